"""Mechanisms as values: what they cost, how they are calibrated, written down and read."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from fedsecure.errors import RemoteProtocolError
from fedsecure.privacy import (
    AdaptiveClip,
    CentralGaussian,
    DistributedDiscreteGaussian,
    DistributedSkellam,
    FixedSizeSampling,
    GaussianEvent,
    NoSampling,
    PoissonSampling,
    PrivacyAccountant,
    Relation,
    VectorMechanism,
    calibrate_noise,
    from_config,
    to_config,
)
from privacy.tables import DISTRIBUTED, ONE_ROUND, agree

MECHANISMS: list[VectorMechanism] = [
    DistributedSkellam(1.0, 2.0),
    DistributedSkellam(1, 2, max_weight=3, adaptive=AdaptiveClip(1), bits=20, corrupt=2, k=5),
    DistributedDiscreteGaussian(0.5, 2.0, beta=0),
    CentralGaussian(0.5, 2.0, max_weight=10.0),
]


def epsilon(event: Any, rounds: int, accountant: Any = "rdp") -> float:
    made = PrivacyAccountant(event.relation, accountant=accountant)
    made.compose(event, rounds)
    return made.get_epsilon(1e-5)


@pytest.mark.parametrize("row", DISTRIBUTED)
def test_published_epsilons(row: tuple) -> None:
    clients, dimension, q, rounds, bits, scale, sigma, ddgauss, skellam, _ = row
    sampling = PoissonSampling(q) if q < 1 else NoSampling()
    for kind, value in ((DistributedSkellam, skellam), (DistributedDiscreteGaussian, ddgauss)):
        mechanism = kind(1.0, 1.0, bits=bits)
        plan = mechanism.plan(clients=clients, size=dimension)
        assert agree(plan.scale, scale)
        assert agree(plan.scale * plan.sigma / math.sqrt(clients), sigma)
        assert agree(epsilon(plan.event(sampling), rounds), value)
        assert plan.event(sampling) == mechanism.event(
            clients=clients, size=dimension, sampling=sampling
        )


@pytest.mark.parametrize("row", ONE_ROUND)
def test_published_epsilons_of_one_round(row: tuple) -> None:
    dimension, bits, beta, delta2, ddgauss, skellam = row
    for kind, value in ((DistributedSkellam, skellam), (DistributedDiscreteGaussian, ddgauss)):
        mechanism = kind(0.1, 0.5, bits=bits, beta=beta, k=3.89059)
        plan = mechanism.plan(clients=100, size=dimension)
        assert agree(plan.delta2, delta2)
        assert agree(epsilon(plan.event(), 1), value)


def test_a_trusted_servers_noise_costs_what_the_gaussian_costs() -> None:
    mechanism = CentralGaussian(0.5, 2.0)
    event = mechanism.event(clients=10, size=100, sampling=PoissonSampling(0.1))
    assert event == GaussianEvent(2.0, sampling=PoissonSampling(0.1))
    # Replacing one by another moves the sum by twice the clip.
    fixed = FixedSizeSampling(100, 10)
    replaced = mechanism.event(clients=10, size=100, sampling=fixed, relation=Relation.REPLACE_ONE)
    assert replaced == GaussianEvent(1.0, sampling=fixed, relation=Relation.REPLACE_ONE)


@pytest.mark.parametrize("mechanism", MECHANISMS, ids=repr)
def test_replacing_costs_more(mechanism: VectorMechanism) -> None:
    plan = mechanism.plan(clients=1000, size=100)
    zeroed, replaced = plan.event(), plan.event(relation=Relation.REPLACE_ONE)
    assert epsilon(replaced, 1) > 1.5 * epsilon(zeroed, 1)


def test_weights_and_indicators_cost_nothing_on_top() -> None:
    """They take noise from the updates, not privacy from the clients."""
    plain = DistributedSkellam(1.0, 2.0, bits=24)
    more = DistributedSkellam(1.0, 2.0, bits=24, max_weight=9, adaptive=AdaptiveClip(1.0))
    one = plain.plan(clients=100, size=1000)
    other = more.plan(clients=100, size=1000, weighted=True)
    assert epsilon(one.event(), 10) == pytest.approx(epsilon(other.event(), 10), rel=1e-4)
    assert one.sigma < other.sigma < 1.1 * one.sigma


@pytest.mark.parametrize("mechanism", MECHANISMS, ids=repr)
def test_calibration(mechanism: VectorMechanism) -> None:
    costs = mechanism.costs(clients=200, size=10_000, noise_shares=120)
    z = calibrate_noise(8.0, 1e-5, 20, mechanism=costs)
    found = epsilon(costs(z, NoSampling(), Relation.REPLACE_SPECIAL), 20, "pld")
    assert 0.99 * 8 < found <= 8
    rough = calibrate_noise(8.0, 1e-5, 20, accountant="rdp")
    assert 0.9 * rough < z < 1.02 * rough


def test_clipping_is_the_mechanisms() -> None:
    x = np.full(4, 3.0)
    assert DistributedSkellam(2.0, 1.0).clip(x) == 6
    assert np.allclose(x, 1.0)


@pytest.mark.parametrize("mechanism", MECHANISMS, ids=repr)
def test_configurations_are_read_as_written(mechanism: VectorMechanism) -> None:
    config = to_config(mechanism)
    assert from_config(config) == mechanism
    as_lists = [list(value) if isinstance(value, tuple) else value for value in config]
    assert from_config(as_lists) == mechanism


def test_equal_mechanisms_have_one_configuration() -> None:
    one = DistributedSkellam(1, 2, max_weight=3, adaptive=AdaptiveClip(1))
    other = DistributedSkellam(1.0, 2.0, max_weight=3.0, adaptive=AdaptiveClip(1.0))
    assert one == other
    assert repr(to_config(one)) == repr(to_config(other))


@pytest.mark.parametrize(
    "change",
    [
        (0, "Skellam"),
        (0, ["x"]),
        (1, 1),
        (1, -1.0),
        (1, 10**400),
        (1, "1"),
        (2, True),
        (3, 0.0),
        (4, [1.0]),
        (4, [2.0, 0.5, 0.2]),
        (4, [1.0, 0.5, 0.2, 0.1]),
        (5, 1.0),
        (6, 16.0),
        (6, 70),
        (7, -1),
        (8, None),
        (8, 4),
    ],
)
def test_other_configurations_are_refused(change: tuple[int, Any]) -> None:
    config: list[Any] = list(to_config(DistributedSkellam(1.0, 2.0, bits=16)))
    config[change[0]] = change[1]
    with pytest.raises(RemoteProtocolError, match="privacy mechanism"):
        from_config(config)


@pytest.mark.parametrize("config", [[], ["DistributedSkellam"], ["CentralGaussian", *[1.0] * 9]])
def test_configurations_of_another_length_are_refused(config: list[Any]) -> None:
    with pytest.raises(RemoteProtocolError, match="privacy mechanism"):
        from_config(config)

"""Noise for a target: close to it, never above; and the clip that follows the norms."""

from __future__ import annotations

import math

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from fedsecure.errors import BudgetError, LocalProtocolError
from fedsecure.privacy import (
    AdaptiveClip,
    DistributedEncoding,
    FixedSizeSampling,
    GaussianEvent,
    PoissonSampling,
    PrivacyAccountant,
    Relation,
    calibrate_noise,
    gaussian_epsilon,
    gaussian_sigma,
    indicator_sigma,
    silo_hint,
    update_noise_multiplier,
)
from fedsecure.privacy.calibration import Mechanism, make_event, sampling_of
from fedsecure.privacy.events import Sampling
from privacy.tables import ANALYTIC_GAUSSIAN

WIDE = DistributedEncoding(100, 10**6, bits=24)


@pytest.mark.parametrize(
    ("epsilon", "delta", "rounds", "rate", "mechanism", "accountant"),
    [
        (1.0, 1e-5, 1, 1.0, "gaussian", "pld"),
        (8.0, 1e-5, 50, 1.0, "gaussian", "pld"),
        (2.0, 1e-5, 1000, 0.01, "gaussian", "pld"),
        (0.1, 1e-6, 10, 0.1, "gaussian", "rdp"),
        (3.0, 1e-5, 100, FixedSizeSampling(1000, 10), WIDE.skellam, "rdp"),
        (1.0, 1e-5, 20, 1.0, "laplace", "pld"),
        (2.0, 1e-5, 100, PoissonSampling(0.1), WIDE.skellam, "pld"),
        (2.0, 1e-5, 10, 1.0, WIDE.ddgauss, "pld"),
        (500.0, 1e-5, 10, 1.0, "gaussian", "rdp"),
    ],
)
def test_calibrated_noise_spends_the_target_and_no_more(
    epsilon: float,
    delta: float,
    rounds: int,
    rate: float | Sampling,
    mechanism: Mechanism,
    accountant: str,
) -> None:
    z = calibrate_noise(
        epsilon,
        delta,
        rounds,
        rate,
        mechanism=mechanism,
        accountant=accountant,  # type: ignore[arg-type]
    )
    sampling = sampling_of(rate)
    fixed = isinstance(sampling, FixedSizeSampling)
    relation = Relation.REPLACE_ONE if fixed else Relation.REPLACE_SPECIAL
    spent = PrivacyAccountant(relation, accountant=accountant)  # type: ignore[arg-type]
    spent.compose(make_event(mechanism)(z, sampling, relation), rounds)
    assert 0.999 * epsilon <= spent.get_epsilon(delta) <= epsilon


@settings(deadline=None, max_examples=20)
@given(epsilon=st.floats(0.05, 50), q=st.floats(0.001, 1), rounds=st.integers(1, 10_000))
def test_calibration_by_rdp_is_close_everywhere(epsilon: float, q: float, rounds: int) -> None:
    z = calibrate_noise(epsilon, 1e-6, rounds, q, accountant="rdp")
    spent = PrivacyAccountant(Relation.REPLACE_SPECIAL, accountant="rdp")
    spent.compose(GaussianEvent(z, sampling=sampling_of(q)), rounds)
    assert 0.999 * epsilon <= spent.get_epsilon(1e-6) <= epsilon


def test_one_round_is_close_to_the_analytic_gaussian() -> None:
    z = calibrate_noise(1.0, 1e-5, 1)
    assert z == pytest.approx(gaussian_sigma(1.0, 1e-5), rel=2e-3)


@pytest.mark.parametrize(("epsilon", "delta", "sigma"), ANALYTIC_GAUSSIAN)
def test_analytic_gaussian(epsilon: float, delta: float, sigma: float) -> None:
    assert gaussian_sigma(epsilon, delta) == pytest.approx(sigma, rel=1e-11)
    assert gaussian_sigma(epsilon, delta, 3.0) == pytest.approx(3 * sigma, rel=1e-11)
    assert gaussian_epsilon(sigma, delta) == pytest.approx(epsilon, rel=1e-9)


@pytest.mark.parametrize(
    ("sigma", "epsilon"),
    [(1, 4.377178095681137), (2, 1.9930914044151198), (10, 0.34066936468432835)],
)
def test_analytic_epsilon(sigma: float, epsilon: float) -> None:
    assert gaussian_epsilon(sigma, 1e-5) == pytest.approx(epsilon, rel=1e-11)
    assert gaussian_epsilon(3 * sigma, 1e-5, 3.0) == pytest.approx(epsilon, rel=1e-11)


def test_out_of_reach_is_refused_with_the_reason() -> None:
    # Rounding to a few steps costs more than the target, however much noise there is.
    narrow = DistributedEncoding(100, 10**6, bits=8)
    with pytest.raises(BudgetError, match="wider ring"):
        calibrate_noise(0.1, 1e-5, 1000, mechanism=narrow.skellam)


def test_no_noise_at_all_is_refused() -> None:
    with pytest.raises(BudgetError, match="hardly any noise"):
        calibrate_noise(1e15, 0.5, 1, accountant="rdp")


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"epsilon": 0.0}, "epsilon"),
        ({"delta": 0.0}, "delta"),
        ({"rounds": 0}, "rounds"),
        ({"sampling_rate": 0.0}, "sampling_rate"),
        ({"sampling_rate": 2}, "sampling_rate"),
        ({"mechanism": "white"}, "mechanism"),
        ({"sampling_rate": 0.5, "relation": Relation.REPLACE_ONE}, "do not go together"),
    ],
)
def test_refused_targets(arguments: dict, what: str) -> None:
    with pytest.raises(LocalProtocolError, match=what):
        calibrate_noise(**{"epsilon": 1.0, "delta": 1e-5, "rounds": 1, **arguments})


def test_clients_of_twenty_silos_are_not_hidden() -> None:
    accountant = PrivacyAccountant(Relation.REPLACE_SPECIAL, accountant="rdp", unit="silo")
    accountant.compose(GaussianEvent(1.0), 50)
    epsilon = accountant.get_epsilon(1e-5)
    assert epsilon == pytest.approx(60.1, abs=0.05)
    assert "DP-SGD inside each silo" in silo_hint(20, epsilon)
    assert silo_hint(1000, epsilon) == silo_hint(20, 1.0) == ""


@pytest.mark.parametrize(
    ("z", "cohort", "expected"),
    [
        (1.0, 100, 1.005037815259212),
        (1.0, 1000, 1.0000500037503126),
        (0.5, 100, 0.5006261743217588),
    ],
)
def test_updates_pay_for_the_indicators(z: float, cohort: int, expected: float) -> None:
    found = update_noise_multiplier(z, indicator_sigma(cohort))
    assert found == pytest.approx(expected, rel=1e-14)
    # Both together are one Gaussian release with z.
    assert found**-2 + (2 * indicator_sigma(cohort)) ** -2 == pytest.approx(z**-2)


def test_indicators_that_cost_more_than_everything() -> None:
    with pytest.raises(LocalProtocolError, match="larger cohort"):
        update_noise_multiplier(10.0, 5.0)


def test_the_clip_finds_the_median_norm() -> None:
    norms = [2.0 ** (each / 10) for each in range(-20, 21)]
    state = AdaptiveClip()
    assert (state.clip, state.target_quantile, state.learning_rate) == (0.1, 0.5, 0.2)
    for _ in range(200):
        within = sum(state.indicator(within=norm <= state.clip) for norm in norms)
        state = state.update(state.fraction(within, len(norms)))
    assert state.clip == pytest.approx(1.0, rel=0.1)


def test_one_step_of_the_clip() -> None:
    assert AdaptiveClip(1.0).update(0.8).clip == pytest.approx(math.exp(-0.2 * 0.3))
    assert AdaptiveClip(1.0).update(0.5) == AdaptiveClip(1.0)
    assert AdaptiveClip(1.0).update(-1e9).clip < math.inf
    with pytest.raises(LocalProtocolError, match="finite"):
        AdaptiveClip().update(math.nan)


@pytest.mark.parametrize(
    "arguments", [{"clip": 0.0}, {"target_quantile": 1.5}, {"learning_rate": -1.0}]
)
def test_refused_clips(arguments: dict) -> None:
    with pytest.raises(LocalProtocolError, match=next(iter(arguments))):
        AdaptiveClip(**arguments)

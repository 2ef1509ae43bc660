"""Attacks on the noise: too little of it, vectors too long for it, floats that show through it."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from fedsecure.errors import LocalProtocolError, ThresholdError
from fedsecure.privacy import (
    CentralGaussian,
    DistributedDiscreteGaussian,
    DistributedSkellam,
    Laplace,
    Plan,
    PoissonSampling,
    PrivacyAccountant,
    Relation,
    norms,
)
from fedsecure.privacy.rotation import rotate, rotate_back
from fedsecure.privacy.shares import certain_shares

PUBLIC = bytes(range(32))
KINDS = [DistributedSkellam, DistributedDiscreteGaussian]
CLIENTS, THRESHOLD, CORRUPT, SIZE = 12, 8, 2, 4096
CERTAIN = certain_shares(THRESHOLD, CORRUPT)


def vector(plan: Plan, update: np.ndarray, client: int) -> np.ndarray:
    """A client's noisy integers, signed."""
    contribution = plan.contribution(
        [update],
        ["x"],
        weight=None,
        seed=client.to_bytes(24, "little"),
        public_seed=PUBLIC,
    )
    lanes = contribution.encode(0, plan.layout.length)
    return lanes.view(f"i{lanes.itemsize}").astype(np.int64)


def noise_left(plan: Plan) -> np.ndarray:
    """The noise that hides a client when as few as can be are in the sum, and those who may be
    corrupt have told their seeds: that of the others. Their updates are zero."""
    return sum(vector(plan, np.zeros(SIZE), client) for client in range(THRESHOLD - CORRUPT))


def is_enough(noise: np.ndarray, target: float) -> bool:
    """Whether the variance is the target or more, to six standard deviations of its estimate."""
    spread = math.sqrt(2 / noise.size + 1 / (target * noise.size))
    return float((noise.astype(float) ** 2).mean()) >= target * (1 - 6 * spread)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("z", [0.05, 1.0, 4.0])
def test_noise_suffices_after_every_tolerated_drop_out(
    kind: type[DistributedSkellam], z: float
) -> None:
    """[A31] However many drop out, the sum has the variance that is accounted."""
    plan = kind(1.0, z).plan(clients=CLIENTS, size=SIZE, noise_shares=CERTAIN)
    target = (plan.scale * plan.sigma) ** 2
    noise = noise_left(plan)
    assert is_enough(noise, target)
    assert noise.var() < 1.2 * target  # and no more than that, where as few as can be are left
    event: Any = plan.event()
    accounted = event.mu if kind is DistributedSkellam else CERTAIN * event.sigma_local**2
    assert accounted == pytest.approx(target)
    for more in range(CERTAIN, CLIENTS):
        noise = noise + vector(plan, np.zeros(SIZE), more)
        assert is_enough(noise, target)


@pytest.mark.parametrize("kind", KINDS)
def test_negative_control_shares_of_all_clients_do_not_suffice(
    kind: type[DistributedSkellam],
) -> None:
    """[A31] Shares that count on everybody leave too little when some go."""
    plan = kind(1.0, 1.0).plan(clients=CLIENTS, size=SIZE)
    assert not is_enough(noise_left(plan), (plan.scale * plan.sigma) ** 2)


def test_no_plan_counts_on_more_than_it_has() -> None:
    """[A31] Noise shares beyond the clients are refused, as is none at all."""
    for shares in (0, CLIENTS + 1):
        with pytest.raises(LocalProtocolError, match="noise_shares"):
            DistributedSkellam(1.0, 1.0).plan(clients=CLIENTS, size=9, noise_shares=shares)
    with pytest.raises(ThresholdError, match="nobody's noise"):
        certain_shares(CORRUPT, CORRUPT)


# z so small that the noise on 2^10 integers is zero: what remains is the rounded vector.
def bare_plan(**how: Any) -> Plan:
    return DistributedSkellam(1.0, 1e-7, bits=12, **how).plan(clients=100, size=1024)


def worst(plan: Plan) -> np.ndarray:
    """An update as long as the clip, of rotated coordinates that all lie halfway between integers:
    rounding moves each by a half, and none is clipped."""
    square = plan.scale**2 / 1024
    low = math.floor(math.sqrt(square) - 0.5) + 0.5
    higher = math.floor(1024 * (square - low**2) / ((low + 1) ** 2 - low**2))
    halves = np.full(1024, low / plan.scale)
    halves[:higher] += 1 / plan.scale
    rotate_back(halves, PUBLIC)
    return halves / 32


def test_rounding_never_makes_a_vector_longer_than_is_accounted() -> None:
    """[A32] The norm of the integers is compared as an integer, whatever the floats were."""
    plan = bare_plan()
    assert plan.delta2 < plan.scale + math.sqrt(1024)
    long = np.random.default_rng(2).normal(size=1024)
    for client, update in enumerate([worst(plan), long * 1e300, long, np.zeros(1024)] * 25):
        steps = vector(plan, update, client)
        square = sum(int(v) ** 2 for v in steps)
        assert square <= plan.most_squared <= Fraction(plan.delta2) ** 2


def test_negative_control_some_roundings_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """[A32] The same vectors, rounded once and taken as they come, exceed the bound."""
    plan = bare_plan()
    asked = []

    def all_pass(integers: np.ndarray, most_squared: int) -> bool:
        asked.append(within(integers, most_squared))
        return True

    within = norms.l2_within
    monkeypatch.setattr(norms, "l2_within", all_pass)
    for client in range(100):
        vector(plan, worst(plan), client)
    assert 0 < asked.count(False) < 61  # beta bounds how many


def test_unconditional_rounding_is_accounted_by_the_worst_case() -> None:
    """[A32] With beta 0 no rounding is refused, and the sensitivity is that much larger."""
    plan, conditional = bare_plan(beta=0), bare_plan()
    assert plan.delta2 == pytest.approx(plan.scale + 32)
    assert plan.delta2 > conditional.delta2
    steps = vector(plan, worst(plan), 1)
    assert math.isqrt(sum(int(v) ** 2 for v in steps)) <= plan.delta2


def test_outputs_show_no_low_bits_of_the_inputs() -> None:
    """[A33] Inputs that differ in their last bits give outputs on one grid, with one support."""
    size = 512
    whole = np.full(size, 0.01)
    odd = np.nextafter(whole, 1.0)
    central = CentralGaussian(1.0, 2.0).plan(clients=1, size=size)
    shared = DistributedSkellam(1.0, 2.0).plan(clients=1, size=size)
    for plan in (central, shared):
        grids = []
        for update in (whole, odd):
            total = vector(plan, update, 1).astype(plan.layout.dtype)
            decoded = plan.decode(
                total, num_contributors=1, public_seed=PUBLIC, dtype=np.float64
            ).values
            # Undoing the public part gives integers back: they are all that there is.
            steps = np.zeros(plan.dimension)
            steps[:size] = decoded
            if plan.rotated:
                rotate(steps, PUBLIC)
                steps /= math.sqrt(size)
            grids.append(steps * plan.scale * 2.0**plan.shift)
        for grid in grids:
            np.testing.assert_allclose(grid, np.round(grid), rtol=0, atol=1e-2)


def test_the_same_integers_come_out_for_inputs_that_differ_in_low_bits() -> None:
    """[A33] Whether a small noisy integer is reached does not depend on the input's last bits."""
    plan = DistributedSkellam(1.0, 0.01, bits=12).plan(clients=1, size=1)
    reached = [
        {int(vector(plan, update, client)[0]) for client in range(600)}
        for update in (np.array([0.3]), np.nextafter([0.3], 1.0), np.array([0.3 + 1e-9]))
    ]
    middle = round(0.3 * plan.scale)
    near = set(range(middle - 2, middle + 3))
    assert all(near <= found for found in reached)
    # Laplace noise goes onto integers too, however the contribution was computed.
    steps = [Laplace(1.0, 5.0, 8).encode(np.array([x]), seed=bytes(40)) for x in (0.3, 0.1 + 0.2)]
    assert (steps[0] == steps[1]).all()


def test_negative_control_noise_of_floats_shows_the_input() -> None:
    """[A33] Mironov's attack on the textbook mechanism: one input reaches what another cannot."""
    rng = np.random.default_rng(7)
    noise = rng.laplace(size=200_000)
    near_zero = [out[np.abs(out) < 2.0**-8] for out in (noise, 1.0 + noise)]
    # Sums with 1.0 are multiples of 2^-53: their small values have a coarse grid, others none.
    coarse = [(out * 2.0**53 == np.round(out * 2.0**53)).mean() for out in near_zero]
    assert all(out.size > 100 for out in near_zero)
    assert coarse[1] == 1.0
    assert coarse[0] < 0.5


def test_reports_say_what_the_sampling_server_learns() -> None:
    """[A34] Epsilon with amplification stands beside that without, which is the server's."""
    mechanism = DistributedSkellam(1.0, 2.0)
    accountant = PrivacyAccountant(Relation.REPLACE_SPECIAL)
    sampling = PoissonSampling(0.01)
    event = mechanism.event(clients=100, size=1000, noise_shares=60, sampling=sampling)
    accountant.compose(event, 100)
    report = accountant.report(1e-5)
    bare = PrivacyAccountant(Relation.REPLACE_SPECIAL)
    bare.compose(mechanism.event(clients=100, size=1000, noise_shares=60), 100)
    assert report.epsilon_without_amplification == bare.get_epsilon(1e-5)
    assert report.epsilon < report.epsilon_without_amplification / 5
    for number in (report.epsilon, report.epsilon_without_amplification):
        assert f"{number:.4g}" in str(report)
    assert "server" in str(report)

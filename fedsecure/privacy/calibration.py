"""The least noise that meets a target."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Literal

from fedsecure.errors import BudgetError, LocalProtocolError
from fedsecure.privacy import _checks, _library
from fedsecure.privacy.accounting import MAX_COUNT, Accounting, spent_epsilon
from fedsecure.privacy.events import (
    Event,
    FixedSizeSampling,
    GaussianEvent,
    LaplaceEvent,
    NoSampling,
    PoissonSampling,
    Relation,
    Sampling,
)

__all__ = [
    "Mechanism",
    "calibrate_noise",
    "gaussian_epsilon",
    "gaussian_sigma",
    "make_event",
    "sampling_of",
]

MakeEvent = Callable[[float, Sampling, Relation], Event]
Mechanism = Literal["gaussian", "laplace"] | MakeEvent
"""A noise by name, or what makes its event of a noise multiplier, a sampling and a relation, such
as `DistributedEncoding.skellam`."""

_CLOSE = 1e-3
_LEAST, _MOST = 1e-6, 1e6
_STEPS = 60


def gaussian_sigma(epsilon: float, delta: float, sensitivity: float = 1.0) -> float:
    """Returns the standard deviation of Gaussian noise for one release, exactly.

    Source: Balle and Wang, "Improving the Gaussian Mechanism for Differential Privacy", ICML 2018.

    Args:
        epsilon: Above 0.
        delta: Between 0 and 1.
        sensitivity: L2 sensitivity of what is released, above 0.

    Raises:
        LocalProtocolError: An argument is out of range, or dp-accounting is not installed.
    """
    _checks.known_target(epsilon, delta)
    _checks.positive("sensitivity", sensitivity)
    return sensitivity * _library.gaussian_sigma(epsilon, delta)


def gaussian_epsilon(sigma: float, delta: float, sensitivity: float = 1.0) -> float:
    """Returns the epsilon of one release with Gaussian noise, exactly. See `gaussian_sigma`."""
    _checks.positive("sigma", sigma)
    _checks.between("delta", delta, 0, 1)
    _checks.positive("sensitivity", sensitivity)
    return _library.gaussian_epsilon(sigma / sensitivity, delta)


def calibrate_noise(
    epsilon: float,
    delta: float,
    rounds: int,
    sampling_rate: float | Sampling = 1.0,
    *,
    mechanism: Mechanism = "gaussian",
    relation: Relation | None = None,
    accountant: Accounting = "pld",
) -> float:
    """Returns the least noise multiplier z with which so many rounds stay within epsilon.

    They spend at most epsilon, and at least 99.9 % of it.

    Args:
        epsilon: Target, above 0.
        delta: Target, between 0 and 1; choose it below one over the number of units.
        rounds: How many releases, 1..1e9.
        sampling_rate: Probability with which each takes part in a round, independently of all
            others (Poisson sampling); or a sampling, such as ``FixedSizeSampling(1000, 100)``.
        mechanism: ``"gaussian"``: z is the standard deviation over the L2 sensitivity.
            ``"laplace"``: the scale over the L1 sensitivity. Or what makes the event of a z: what
            `VectorMechanism.costs` returns, `DistributedEncoding.skellam` or its ``ddgauss``.
        relation: The neighboring relation. By default REPLACE_ONE for cohorts of fixed size, and
            REPLACE_SPECIAL (zero-out) else.
        accountant: As `PrivacyAccountant` takes it.

    Raises:
        BudgetError: No noise meets the target; the message says why.
        LocalProtocolError: An argument is out of range, sampling and relation do not go together,
            or dp-accounting is not installed.
    """
    _checks.known_target(epsilon, delta)
    _checks.whole("rounds", rounds, 1, MAX_COUNT)
    sampling = sampling_of(sampling_rate)
    if relation is None:
        fixed = isinstance(sampling, FixedSizeSampling)
        relation = Relation.REPLACE_ONE if fixed else Relation.REPLACE_SPECIAL
    make, counted = make_event(mechanism), relation

    @cache
    def spent(z: float, how: Accounting) -> float:
        return spent_epsilon(((make(z, sampling, counted), rounds),), delta, how)

    # RDP is quick to compute and almost never below PLD: its answer is where that one begins.
    rough = _bracket(lambda z: spent(z, "rdp"), epsilon)
    high = _search(lambda z: spent(z, "rdp"), epsilon, *rough)
    probe = make(high, sampling, counted)
    if accountant == "rdp" or not _library.has_loss_distribution(probe):
        return high
    near = _tighten(lambda z: spent(z, accountant), epsilon, high)
    return _search(lambda z: spent(z, accountant), epsilon, *near)


def sampling_of(rate: float | Sampling) -> Sampling:
    """Returns the sampling that a rate stands for; 1 is none."""
    if isinstance(rate, NoSampling | PoissonSampling | FixedSizeSampling):
        return rate
    _checks.fraction("sampling_rate", rate)
    return NoSampling() if rate == 1 else PoissonSampling(float(rate))


def make_event(mechanism: Mechanism) -> MakeEvent:
    """Returns what makes an event of a noise multiplier, a sampling and a relation."""
    if mechanism == "gaussian":
        return lambda z, sampling, relation: GaussianEvent(z, sampling=sampling, relation=relation)
    if mechanism == "laplace":
        return lambda z, sampling, relation: LaplaceEvent(z, sampling=sampling, relation=relation)
    if not callable(mechanism):
        raise LocalProtocolError(
            f"mechanism is {mechanism!r:.60}; use 'gaussian', 'laplace', or a function of noise "
            "multiplier, sampling and relation that returns an event"
        )
    return mechanism


def _bracket(spent: Callable[[float], float], epsilon: float) -> tuple[float, float]:
    """Returns a noise multiplier that spends too much, and four times it, which does not."""
    high = 1.0
    while (now := spent(high)) > epsilon:
        if high >= _MOST:
            raise BudgetError(_unreachable(epsilon, high, now))
        high *= 4
    while spent(high / 4) <= epsilon:
        high /= 4
        if high < _LEAST:
            raise BudgetError(
                f"epsilon {epsilon:.6g} is met with hardly any noise (multiplier {high:.3g}): "
                "there is nothing to calibrate; aim at a smaller epsilon"
            )
    return high / 4, high


def _tighten(spent: Callable[[float], float], epsilon: float, high: float) -> tuple[float, float]:
    """Returns a bracket as `_bracket` does, given about the right noise multiplier."""
    # Loss distributions are rounded up to a grid, which can cost more than it saves.
    while (now := spent(high)) > epsilon:
        high *= 1.05
        if high > _MOST:
            raise BudgetError(_unreachable(epsilon, high, now))
    low = high * 0.8
    while spent(low) <= epsilon:
        high, low = low, low * 0.8
    return low, high


def _search(spent: Callable[[float], float], epsilon: float, low: float, high: float) -> float:
    """Returns a z that spends at most epsilon, and hardly less, between two ends of a bracket.

    Every third step halves the bracket; the others follow the line between its ends, both axes on a
    log scale: epsilon is almost a power of z.
    """
    aim = math.log(epsilon * (1 - _CLOSE / 3))
    too_much, enough = spent(low), spent(high)
    for step in range(_STEPS):
        if enough >= (1 - _CLOSE) * epsilon:
            return high
        share = 0.5
        if step % 3 != 2 and enough > 0 and too_much < math.inf:
            share = (math.log(too_much) - aim) / (math.log(too_much) - math.log(enough))
        middle = low * (high / low) ** share
        if not low < middle < high:
            return high
        now = spent(middle)
        if now > epsilon:
            low, too_much = middle, now
        else:
            high, enough = middle, now
    return high


def _unreachable(epsilon: float, z: float, still: float) -> str:
    return (
        f"epsilon {epsilon:.6g} is out of reach: with a noise multiplier of {z:.3g} it is still "
        f"{still:.6g}. For distributed noise, use a wider ring: rounding alone costs as much; "
        "otherwise aim at a larger epsilon or delta"
    )

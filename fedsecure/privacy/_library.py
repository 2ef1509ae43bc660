"""The calls into dp-accounting, which is imported only when something has to be accounted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from fedsecure.errors import LocalProtocolError
from fedsecure.privacy.events import (
    DiscreteLaplaceEvent,
    Event,
    ExponentialEvent,
    FixedSizeSampling,
    GaussianEvent,
    LaplaceEvent,
    NoSampling,
    PoissonSampling,
)

if TYPE_CHECKING:
    from types import ModuleType

__all__ = [
    "check_installed",
    "gaussian_epsilon",
    "gaussian_sigma",
    "has_loss_distribution",
    "loss_distribution",
    "rdp_curve",
    "rdp_delta",
    "rdp_epsilon",
]

# Distributions take megabytes each; a run asks for the same event, one count after another.
_CACHED = 8
# The library's loss distribution of discrete Laplace noise has a place for every step.
_MOST_STEPS = 2**17


def _library() -> ModuleType:
    try:
        import dp_accounting  # noqa: PLC0415  (optional)
        import dp_accounting.pld  # noqa: PLC0415
        import dp_accounting.rdp  # noqa: PLC0415
    except ImportError as error:
        raise LocalProtocolError(
            "privacy accounting needs the library dp-accounting, which is not installed: "
            "pip install 'fedsecure[privacy]'"
        ) from error
    module: ModuleType = dp_accounting
    return module


def check_installed() -> None:
    """Raises `LocalProtocolError`, with the remedy, where dp-accounting is not installed."""
    _library()


def gaussian_sigma(epsilon: float, delta: float) -> float:
    """Returns the standard deviation of one Gaussian release of sensitivity 1."""
    return float(_library().get_sigma_gaussian(epsilon, delta))


def gaussian_epsilon(sigma: float, delta: float) -> float:
    """Returns the epsilon of one Gaussian release of sensitivity 1."""
    return float(_library().get_epsilon_gaussian(sigma, delta))


def rdp_epsilon(orders: Sequence[int], curve: Sequence[float], delta: float) -> float:
    """Returns the epsilon that an RDP curve gives."""
    return float(_library().rdp.compute_epsilon(orders, curve, delta)[0])


def rdp_delta(orders: Sequence[int], curve: Sequence[float], epsilon: float) -> float:
    """Returns the delta that an RDP curve gives."""
    return float(_library().rdp.rdp_privacy_accountant.compute_delta(orders, curve, epsilon)[0])


def rdp_curve(event: GaussianEvent | LaplaceEvent, orders: Sequence[int]) -> tuple[float, ...]:
    """Returns the library's RDP of one release."""
    library = _library()

    class Accountant(library.rdp.RdpAccountant):  # type: ignore[misc,name-defined,unused-ignore]
        def curve(self) -> tuple[float, ...]:
            return tuple(float(value) for value in self._rdp)

    plain = (
        library.GaussianDpEvent(event.noise_multiplier)
        if isinstance(event, GaussianEvent)
        else library.LaplaceDpEvent(event.noise_multiplier)
    )
    match event.sampling:
        case PoissonSampling(q):
            plain = library.PoissonSampledDpEvent(q, plain)
        case FixedSizeSampling(population, cohort):
            plain = library.SampledWithoutReplacementDpEvent(population, cohort, plain)
    relation = library.NeighboringRelation[event.relation.name]
    return Accountant(orders, relation).compose(plain).curve()  # type: ignore[no-any-return]


def has_loss_distribution(event: Event) -> bool:
    """Whether the privacy loss of this event is known as a distribution (PLD)."""
    if isinstance(event, ExponentialEvent):
        return True
    if isinstance(event, DiscreteLaplaceEvent) and event.sensitivity > _MOST_STEPS:
        return False
    if isinstance(event, GaussianEvent | LaplaceEvent | DiscreteLaplaceEvent):
        return not isinstance(event.sampling, FixedSizeSampling)
    return False


def loss_distribution(ledger: Mapping[Event, int], epsilon_of_choice: Any) -> Any:
    """Returns the distribution of the privacy loss of all events together.

    Args:
        ledger: Events that have one, and how often each happened.
        epsilon_of_choice: Gives the epsilon of one `ExponentialEvent`, amplified.
    """
    total = None
    for event, count in ledger.items():
        if isinstance(event, ExponentialEvent):
            one = _of_choice(epsilon_of_choice(event), count)
        else:
            one = _of_noise(event, count)
        total = one if total is None else total.compose(one)
    return total


@lru_cache(maxsize=_CACHED)
def _of_choice(epsilon: float, count: int) -> Any:
    pld = _library().pld
    target = pld.common.DifferentialPrivacyParameters(epsilon, 0.0)
    one = pld.privacy_loss_distribution.from_privacy_parameters(target)
    return one if count == 1 else one.self_compose(count)


@lru_cache(maxsize=_CACHED)
def _of_noise(event: Event, count: int) -> Any:
    if isinstance(event, GaussianEvent) and _q(event) == 1:
        # So many Gaussian releases are one with less noise.
        made = _library().pld.privacy_loss_distribution
        return made.from_gaussian_mechanism(event.noise_multiplier / math.sqrt(count))
    one = _of_one(event)
    return one if count == 1 else one.self_compose(count)


@lru_cache(maxsize=_CACHED)
def _of_one(event: Event) -> Any:
    made, q = _library().pld.privacy_loss_distribution, _q(event)
    # The library would double the sensitivity under replacing; ours is that of the relation
    # already. So it is never told the relation.
    if isinstance(event, GaussianEvent):
        return made.from_gaussian_mechanism(event.noise_multiplier, sampling_prob=q)
    if isinstance(event, LaplaceEvent):
        return made.from_laplace_mechanism(event.noise_multiplier, sampling_prob=q)
    if isinstance(event, DiscreteLaplaceEvent):
        return made.from_discrete_laplace_mechanism(
            event.noise_parameter, event.sensitivity, sampling_prob=q
        )
    raise TypeError(type(event).__name__)


def _q(event: Event) -> float:
    return 1.0 if isinstance(event.sampling, NoSampling) else event.sampling.q

"""Renyi differential privacy of every event, order by order.

Only curves that dp-accounting lacks are written out: those of distributed noise, of discrete
Laplace noise and of pure DP, and amplification by sampling for any curve. Orders are integers: the
library's bounds at fractional orders can be far off (epsilon 2231 where the truth is below 784, for
z = 0.5, q = 0.1 and 10,000 rounds).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fedsecure.privacy import _library
from fedsecure.privacy.events import (
    DDGaussEvent,
    DiscreteLaplaceEvent,
    Event,
    ExponentialEvent,
    FixedSizeSampling,
    GaussianEvent,
    LaplaceEvent,
    NoSampling,
    SkellamEvent,
)

__all__ = [
    "ORDERS",
    "amplified_pure",
    "curve",
    "ddgauss",
    "discrete_laplace",
    "fixed_size",
    "poisson",
    "pure",
    "skellam",
    "tau",
]

Floats = NDArray[np.float64]
Curve = Callable[[Floats], Floats]

ORDERS = (*range(2, 129), 256, 512, 1024)
"""The orders at which curves are taken, all integers."""


@lru_cache(maxsize=256)
def curve(event: Event) -> tuple[float, ...]:
    """Returns the RDP of one release at `ORDERS`.

    Raises:
        LocalProtocolError: dp-accounting is needed and not installed.
    """
    if isinstance(event, GaussianEvent) or (
        isinstance(event, LaplaceEvent) and isinstance(event.sampling, NoSampling)
    ):
        return _library.rdp_curve(event, ORDERS)
    orders = np.array(ORDERS, np.float64)
    if isinstance(event, ExponentialEvent):
        return tuple(pure(orders, amplified_pure(event)).tolist())
    base = _base(event)
    if isinstance(event.sampling, NoSampling):
        return tuple(base(orders).tolist())
    q = event.sampling.q
    amplify = fixed_size if isinstance(event.sampling, FixedSizeSampling) else poisson
    return tuple(amplify(base, q, order) for order in ORDERS)


def _base(event: Event) -> Curve:
    """Returns the curve of an event without its sampling."""
    if isinstance(event, SkellamEvent):
        return lambda orders: skellam(orders, event.delta1, event.delta2, event.mu)
    if isinstance(event, DDGaussEvent):
        return lambda orders: ddgauss(orders, event)
    if isinstance(event, DiscreteLaplaceEvent):
        return lambda orders: discrete_laplace(orders, event.noise_parameter, event.sensitivity)
    if isinstance(event, LaplaceEvent):
        return lambda orders: laplace(orders, 1 / event.noise_multiplier)
    raise TypeError(type(event).__name__)


def tau(num_shares: int, sigma: float) -> float:
    """Returns how far a sum of discrete Gaussians is from being one.

    Source: Kairouz, Liu and Steinke, "The Distributed Discrete Gaussian Mechanism for Federated
    Learning with Secure Aggregation", ICML 2021, theorem 1:
    ``10 * sum(exp(-2 pi**2 sigma**2 k / (k + 1)) for k in 1..n-1)``.

    Args:
        num_shares: n, at least 1; for one it is 0.
        sigma: The parameter of each, in integer units.
    """
    k = np.arange(1, num_shares, dtype=np.float64)
    return float(10 * np.exp(-2 * math.pi**2 * sigma**2 * (k / (k + 1))).sum())


def ddgauss(orders: Floats, event: DDGaussEvent) -> Floats:
    """Returns the RDP of a sum of discrete Gaussians. Source: as `tau`, proposition 14."""
    spread = math.sqrt(event.num_shares) * event.sigma_local
    one, two = event.delta1 / spread, event.delta2 / spread
    gap, d = tau(event.num_shares, event.sigma_local), event.dimension
    bounds = (
        orders / 2 * two**2 + gap * d,
        orders / 2 * (two**2 + 2 * one * gap + gap**2 * d),
        orders / 2 * (two + gap * math.sqrt(d)) ** 2,
    )
    least: Floats = np.minimum.reduce(bounds)
    return least


def skellam(orders: Floats, delta1: float, delta2: float, mu: float) -> Floats:
    """Returns the RDP of Skellam noise with variance mu.

    Source: Agarwal, Kairouz and Liu, "The Skellam Mechanism for Differentially Private Federated
    Learning", NeurIPS 2021, theorem 3.5.
    """
    tail = ((2 * orders - 1) * delta2**2 + 6 * delta1) / (4 * mu**2)
    return orders * delta2**2 / (2 * mu) + np.minimum(tail, 3 * delta1 / (2 * mu))


def discrete_laplace(orders: Floats, a: float, sensitivity: int) -> Floats:
    """Returns the RDP of two-sided geometric noise, exactly: its sum over all integers is one."""
    tails = 1 / -math.expm1(-a)
    ratio = (2 * orders - 1) * a
    middle = np.exp(-ratio) * np.expm1(-ratio * (sensitivity - 1)) / np.expm1(-ratio)
    total = math.tanh(a / 2) * (tails + middle + tails * np.exp(-ratio * sensitivity))
    return np.maximum(0, a * sensitivity + np.log(total) / (orders - 1))


def laplace(orders: Floats, epsilon: float) -> Floats:
    """Returns the RDP of Laplace noise. Source: Mironov, CSF 2017, proposition 6."""
    inner = (orders - 1) * np.expm1((1 - 2 * orders) * epsilon) / (2 * orders - 1)
    return epsilon + np.log1p(inner) / (orders - 1)


def pure(orders: Floats, epsilon: float) -> Floats:
    """Returns the RDP that every epsilon-DP release has: that of randomized response.

    Source: Mironov, CSF 2017, proposition 5, with the truth kept with odds ``exp(epsilon)``.
    """
    kept = -math.log1p(math.exp(-epsilon))
    flipped = kept - epsilon
    both = np.logaddexp(
        orders * kept + (1 - orders) * flipped, orders * flipped + (1 - orders) * kept
    )
    return np.maximum(0, both / (orders - 1))


def amplified_pure(event: ExponentialEvent) -> float:
    """Returns the epsilon of one sampled epsilon-DP release, ``log(1 + q (exp(epsilon) - 1))``.

    It holds for Poisson sampling under adding and removing, and for cohorts of fixed size under
    replacing. Source: Balle, Barthe and Gaboardi, "Privacy Amplification by Subsampling", NeurIPS
    2018, theorems 8 and 9.
    """
    if isinstance(event.sampling, NoSampling):
        return event.epsilon
    q = event.sampling.q
    # The same as log1p(q * expm1(epsilon)), without overflow.
    return event.epsilon + math.log(q + (1 - q) * math.exp(-event.epsilon))


def poisson(base: Curve, q: float, order: int) -> float:
    """Returns the RDP at one order of any mechanism under Poisson sampling.

    Never more than without sampling. Source: Zhu and Wang, "Poisson Subsampled Renyi Differential
    Privacy", ICML 2019, theorem 5.
    """
    whole = float(base(np.array([order], np.float64))[0])
    if q == 1:
        return whole
    taken = np.arange(2, order + 1, dtype=np.float64)
    kept, lost = math.log(q), math.log1p(-q)
    terms = (taken - 1) * base(taken) + _log_choose(order) + taken * kept + (order - taken) * lost
    terms[1:] += math.log(3)
    none = (order - 1) * lost + math.log1p((order - 1) * q)
    total = np.logaddexp.reduce(np.append(terms, none))
    return min(whole, max(0.0, float(total) / (order - 1)))


def fixed_size(base: Curve, q: float, order: int) -> float:
    """Returns the RDP at one order of any mechanism on a cohort drawn without replacement.

    Never more than without sampling. Source: Wang, Balle and Kasiviswanathan, "Subsampled Renyi
    Differential Privacy and Analytical Moments Accountant", AISTATS 2019, theorem 9, without
    a bound on the largest loss.
    """
    whole = float(base(np.array([order], np.float64))[0])
    if q == 1:
        return whole
    taken = np.arange(2, order + 1, dtype=np.float64)
    growth = base(taken)
    terms = (taken - 1) * growth + _log_choose(order) + taken * math.log(q) + math.log(2)
    two = float(growth[0])
    terms[0] += min(0.0, math.log(2) + math.log(-math.expm1(-two)) if two > 0 else -math.inf)
    total = np.logaddexp.reduce(np.append(terms, 0.0))
    return min(whole, max(0.0, float(total) / (order - 1)))


def _log_choose(order: int) -> Floats:
    """Returns the logarithms of order over 2, over 3, ... over order."""
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, order + 1)))])
    chosen: Floats = logs[order] - logs - logs[::-1]
    return chosen[2:]

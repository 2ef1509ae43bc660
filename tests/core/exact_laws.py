"""Probabilities of noise laws from their definitions, to fifty digits, and tests against them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np

DIGITS = 50


@dataclass(frozen=True)
class ExactLaw:
    """pmf[k] for k >= 0, as far as it is above 10^-40; for k < 0 the same, or none."""

    pmf: tuple[Decimal, ...]
    symmetric: bool = True

    def __call__(self, k: int) -> float:
        return float(self.pmf[abs(k)]) if abs(k) < len(self.pmf) else 0.0

    @property
    def variance(self) -> float:
        with localcontext(prec=DIGITS):
            return float(2 * sum(k * k * p for k, p in enumerate(self.pmf)))

    def tail(self, k: int) -> float:
        """P[|X| >= k], k >= 1."""
        with localcontext(prec=DIGITS):
            return float(2 * sum(self.pmf[k:]))

    def array(self, reach: int) -> np.ndarray:
        """P[-reach..reach]."""
        half = np.array([self(k) for k in range(reach + 1)])
        return np.concatenate([half[:0:-1] if self.symmetric else np.zeros(reach), half])


def _law(weight: Callable[[int], Decimal]) -> ExactLaw:
    with localcontext(prec=DIGITS):
        weights = []
        while not weights or weights[-1] > weights[0] * Decimal("1e-40"):
            weights.append(weight(len(weights)))
        total = weights[0] + 2 * sum(weights[1:])
        return ExactLaw(tuple(w / total for w in weights))


def _decimal(x: Fraction) -> Decimal:
    return Decimal(x.numerator) / Decimal(x.denominator)


def gaussian(sigma_squared: Fraction) -> ExactLaw:
    return _law(lambda k: (-_decimal(k * k / (2 * sigma_squared))).exp())


def laplace(rate: Fraction) -> ExactLaw:
    return _law(lambda k: (-_decimal(k * rate)).exp())


def _step_by_step(first: Decimal, ratio: Callable[[int], Decimal]) -> ExactLaw:
    """pmf(0) = first, pmf(j + 1) = pmf(j) * ratio(j)."""
    with localcontext(prec=DIGITS):
        pmf, best = [first], first
        while pmf[-1] > best * Decimal("1e-45") or ratio(len(pmf)) > 1:
            pmf.append(pmf[-1] * ratio(len(pmf) - 1))
            best = max(best, pmf[-1])
        return ExactLaw(tuple(pmf), symmetric=False)


def _difference(law: ExactLaw) -> ExactLaw:
    """Of two independent numbers."""
    with localcontext(prec=DIGITS):
        scaled = [int(p.scaleb(60)) for p in law.pmf]  # integers are faster to convolve
        count = len(scaled)
        sums = [sum(scaled[j] * scaled[j + k] for j in range(count - k)) for k in range(count)]
        return ExactLaw(tuple(Decimal(s).scaleb(-120) for s in sums if s > 10**80))


def poisson(mean: Fraction) -> ExactLaw:
    with localcontext(prec=DIGITS):
        s = _decimal(mean)
        return _step_by_step((-s).exp(), lambda j: s / (j + 1))


def polya(shape: Fraction, rate: Fraction) -> ExactLaw:
    with localcontext(prec=DIGITS):
        p, r = (-_decimal(rate)).exp(), _decimal(shape)
        return _step_by_step((r * (1 - p).ln()).exp(), lambda j: p * (j + r) / (j + 1))


def skellam(variance: Fraction) -> ExactLaw:
    return _difference(poisson(variance / 2))


def polya_difference(shape: Fraction, rate: Fraction) -> ExactLaw:
    return _difference(polya(shape, rate))


def histogram(numbers: np.ndarray, reach: int) -> np.ndarray:
    """Counts of -reach..reach; what lies beyond counts with its end."""
    return np.bincount(np.clip(numbers, -reach, reach) + reach, minlength=2 * reach + 1)


def chi_square(counts: np.ndarray, probabilities: np.ndarray) -> float:
    """How improbable the counts are: a normal deviate (Wilson and Hilferty 1931).

    Neighboring cells are joined until each expects at least ten.
    """
    expected = probabilities * counts.sum()
    cells, seen, wanted = [], 0.0, 0.0
    for count, mean in zip(counts, expected, strict=True):
        seen, wanted = seen + count, wanted + mean
        if wanted >= 10:
            cells.append((seen, wanted))
            seen, wanted = 0.0, 0.0
    last_seen, last_wanted = cells[-1]
    cells[-1] = (last_seen + seen, last_wanted + wanted)
    freedom = len(cells) - 1
    statistic = sum((count - mean) ** 2 / mean for count, mean in cells)
    spread = 2 / (9 * freedom)
    return float(((statistic / freedom) ** (1 / 3) - (1 - spread)) / math.sqrt(spread))


def kolmogorov(counts: np.ndarray, probabilities: np.ndarray) -> float:
    """sqrt(n) times the largest distance of the two distribution functions."""
    size = counts.sum()
    distance = np.abs(np.cumsum(counts) / size - np.cumsum(probabilities)).max()
    return float(math.sqrt(size) * distance)

"""Tails of the hypergeometric distribution, right far below what ``1 - cdf`` can show.

X is how many of `drawn` clients, drawn without replacement from a `population`, are among the
`marked`. Both functions start from probability one and multiply by ratios of small integers, whose
quotient Python rounds correctly; neither takes a logarithm or a gamma function. At a population of
a million those lose nine digits to cancellation, and differ from one C library to the next: here
all parties of a session find the same parameters on every machine.
Source of the recurrences: sequential drawing, e.g. Johnson, Kemp, Kotz, "Univariate Discrete
Distributions" (3rd edition, 2005), chapter 6.
"""

from __future__ import annotations

import math

__all__ = ["TailWalk", "pair_ratio", "tail"]

# A term below this part of the first one changes no bit of a sum of fewer than 2^40 terms.
_NEGLIGIBLE = 2.0**-100


class TailWalk:
    """The least x with ``P[X > x] < limit``, followed while the sample grows one by one.

    A step costs the same whatever the size of the sample. Only additions of positive terms and one
    kind of subtraction are involved; at a subtraction `above` is a small multiple of `limit`, so
    that rounding errors stay far below `limit` however long the walk is.

    Args:
        population: Clients to draw from.
        marked: Clients that count, at most nine tenths of the population.
        limit: What the tail has to stay below; at most ``1 / (2 * population)``.

    Attributes:
        x: The quantile for the present sample. It never goes down, and up by one per draw at most.
        above: ``P[X > x]``.
    """

    __slots__ = ("_at", "_drawn", "_limit", "_marked", "_population", "above", "x")

    def __init__(self, population: int, marked: int, limit: float) -> None:
        self._population = population
        self._marked = marked
        self._limit = limit
        self._drawn = 0
        self._at = 1.0  # P[X = x]
        self.x = 0
        self.above = 0.0

    def draw(self) -> None:
        """Adds one client to the sample."""
        drawn, x = self._drawn, self.x
        left = self._population - drawn
        clean = self._population - self._marked - (drawn - x)
        # X rises above x if it was x and the next client is marked; it stays at x if it is not.
        self.above += self._at * ((self._marked - x) / left)
        self._at *= clean * (drawn + 1) / ((drawn + 1 - x) * left)
        self._drawn = drawn + 1
        while self.above >= self._limit:
            self._up()

    def _up(self) -> None:
        drawn, x = self._drawn, self.x
        clean = self._population - self._marked - (drawn - x)
        self._at *= (self._marked - x) * (drawn - x) / ((x + 1) * (clean + 1))
        self.x = x + 1
        # Nothing is above the largest possible value: not even the rounding of a difference.
        most = min(self._marked, drawn)
        self.above = self.above - self._at if self.x < most else 0.0


def tail(population: int, marked: int, drawn: int, x: int) -> float:
    """Returns ``P[X > x]`` to about twelve digits, however small, by summing outward from x + 1.

    Args:
        population: Clients to draw from.
        marked: Clients that count, 0..population.
        drawn: Size of the sample, 0..population.
        x: The value to exceed, any integer.
    """
    least, most = max(0, drawn + marked - population), min(marked, drawn)
    if x < least:
        return 1.0
    if x >= most:
        return 0.0
    if (x + 1) * population < marked * drawn:  # left of the mean: the other tail is the small one
        return 1.0 - tail(population, population - marked, drawn, drawn - x - 1)
    term = first = _point(population, marked, drawn, x + 1)
    terms = []
    for value in range(x + 1, most + 1):
        if term < first * _NEGLIGIBLE:
            break
        terms.append(term)
        clean = population - marked - (drawn - value)
        term *= (marked - value) * (drawn - value) / ((value + 1) * (clean + 1))
    return math.fsum(terms)


def pair_ratio(population: int, marked: int, drawn: int) -> float:
    """Returns the factor by which P[all drawn are marked] falls when the last two are drawn."""
    if drawn > marked:
        return 0.0
    return (
        (marked - drawn + 2)
        * (marked - drawn + 1)
        / ((population - drawn + 2) * (population - drawn + 1))
    )


def _point(population: int, marked: int, drawn: int, x: int) -> float:
    """Returns ``P[X = x]``, drawing so that the hits come evenly and no factor is extreme."""
    at, hits = 1.0, 0
    for done in range(drawn):
        if (done + 1) * x // drawn > hits:
            at *= (marked - hits) * (done + 1) / ((hits + 1) * (population - done))
            hits += 1
        else:
            clean = population - marked - (done - hits)
            at *= clean * (done + 1) / ((done + 1 - hits) * (population - done))
    return at

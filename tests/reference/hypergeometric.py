"""Tails of the hypergeometric distribution and the choice of parameters, in exact integers."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import accumulate


def tail(population: int, marked: int, drawn: int, x: int) -> Fraction:
    """Returns P[X > x]; from one term in 2^200 on, the rest of the sum is left out."""
    first = max(x + 1, 0, drawn + marked - population)
    last = min(marked, drawn)
    if first > last:
        return Fraction(0)
    term = math.comb(marked, first) * math.comb(population - marked, drawn - first)
    total = 0
    for value in range(first, last + 1):
        total += term
        if term.bit_length() + 200 < total.bit_length():
            break
        clean = population - marked - drawn + value
        term = term * (marked - value) * (drawn - value) // ((value + 1) * (clean + 1))
    return Fraction(total, math.comb(population, drawn))


def above(population: int, marked: int, drawn: int) -> list[Fraction]:
    """Returns P[X > x] for x = 0, 1, ..., drawn."""
    ways = [
        math.comb(marked, x) * math.comb(population - marked, drawn - x) for x in range(drawn + 1)
    ]
    sums = list(accumulate(reversed(ways), initial=0))
    return [Fraction(some, sums[-1]) for some in reversed(sums[:-1])]


def choose(
    n: int, corrupt: int, dropouts: int, sigma: int, eta: int, *, lying: bool
) -> tuple[int, int] | None:
    """Returns the smallest k and its t by the published conditions, counts instead of fractions."""
    for k in range(2, n - 1, 2):
        removed = corrupt + dropouts
        gap = Fraction(math.comb(removed, k), math.comb(n, k)) * n * (n - k - 1) / 2
        if gap >= Fraction(1, 2 ** (sigma + 1)):
            continue
        exposed = above(n, corrupt, k)
        leak = next(x for x in range(k + 1) if exposed[x] <= Fraction(1, n * 2 ** (sigma + 1)))
        # P[survivors <= x - 1] = 1 - P[survivors > x - 1]
        stay = [Fraction(1), *above(n, n - dropouts, k)]  # P[survivors > x - 1]
        arrive = max(x for x in range(k + 1) if 1 - stay[x] < Fraction(1, n * 2**eta))
        if lying:
            leak = math.ceil((leak + k - Fraction(5, 4)) / 2)
        if arrive > leak:
            return k, max(leak + 1, 2)
    return None


def stay(population: int, gone: int, drawn: int) -> list[Fraction]:
    """Returns P[fewer than t of a client's neighbors stay] for t = 0, 1, ..., drawn."""
    return [Fraction(0), *(1 - p for p in above(population, population - gone, drawn)[:-1])]


def divided(n: int, removed: int, k: int) -> Fraction:
    """Returns the expected number of pairs of places with k/2 clients removed in a row."""
    return Fraction(math.comb(removed, k), math.comb(n, k)) * n * (n - k - 1) / 2


def thresholds(
    n: int, corrupt: int, dropouts: int, k: int, sigma: int, eta: int, *, lying: bool
) -> list[int]:
    """Returns the t from 3 that are safe for every roster, by trying each roster and each t."""
    safe = set(range(3, k + 1))
    for m in range(n - dropouts, n + 1):
        gone = dropouts - (n - m)
        if m <= k or divided(m, corrupt + gone, k) >= Fraction(1, 2 ** (sigma + 1)):
            return []
        exposed = [Fraction(1), *above(m, corrupt, k)]  # P[X >= y]
        lost = stay(m, gone, k)
        for t in list(safe):
            colluders = max(2 * t - k, 0) if lying else t
            if m * exposed[colluders] >= Fraction(1, 2 ** (sigma + 1)) or m * lost[t] >= Fraction(
                1, 2**eta
            ):
                safe.discard(t)
    return sorted(safe)

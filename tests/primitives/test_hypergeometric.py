"""Tails against exact integers: every one of small populations, the smallest ones of a million."""

from __future__ import annotations

from fractions import Fraction

import pytest

from fedsecure.primitives._hypergeometric import TailWalk, pair_ratio, tail
from reference import hypergeometric as exact

MILLION = 10**6


def off(found: float, truth: Fraction) -> float:
    """The relative error, exactly computed."""
    return float(abs(Fraction(found) / truth - 1))


@pytest.mark.parametrize("population", [1, 2, 7, 24])
def test_every_tail_of_a_small_population(population: int) -> None:
    for marked in range(population + 1):
        for drawn in range(population + 1):
            for x in range(-2, drawn + 3):
                truth = exact.tail(population, marked, drawn, x)
                found = tail(population, marked, drawn, x)
                if truth in (0, 1):
                    assert found == truth
                else:
                    assert off(found, truth) < 1e-13


@pytest.mark.parametrize(
    ("population", "marked", "drawn"), [(300, 99, 80), (1000, 100, 48), (1000, 450, 822)]
)
def test_tails_far_below_what_one_minus_the_cdf_can_show(
    population: int, marked: int, drawn: int
) -> None:
    smallest = 1.0
    for x in range(marked * drawn // population, min(marked, drawn)):
        found = tail(population, marked, drawn, x)
        assert off(found, exact.tail(population, marked, drawn, x)) < 1e-12
        smallest = min(smallest, found)
    assert 0 < smallest < 2**-61


# Those of the largest published degrees, and of a small one: tails near 2^-61 and 2^-40.
@pytest.mark.parametrize(
    ("marked", "drawn", "x"),
    [
        (300_000, 11136, 3771),
        (300_000, 11136, 3681),
        (450_000, 6240, 3155),
        (450_000, 6240, 3083),
        (100_000, 64, 35),
        (1, 64, 0),
        (9, 40, 4),
    ],
)
def test_tails_of_a_million(marked: int, drawn: int, x: int) -> None:
    found = tail(MILLION, marked, drawn, x)
    assert 0 < found < 2**-10
    assert off(found, exact.tail(MILLION, marked, drawn, x)) < 1e-12


@pytest.mark.parametrize("marked", [0, 1, 3, 30, 90])
@pytest.mark.parametrize("limit", [2.0**-61, 2.0**-41 / 100, 2.0**-20 / 100, 1 / 200])
def test_walk_finds_the_quantile_of_every_sample(marked: int, limit: float) -> None:
    walk = TailWalk(100, marked, limit)
    x = 0
    for drawn in range(1, 100):
        walk.draw()
        truth = exact.above(100, marked, drawn)
        assert walk.x - x in (0, 1)
        x = walk.x
        assert truth[x] < limit
        assert x == 0 or truth[x - 1] >= limit
        assert float(abs(Fraction(walk.above) - truth[x])) < 1e-13 * limit


@pytest.mark.parametrize(
    ("marked", "limit", "samples"),
    [
        (300_000, 2.0**-41 / MILLION, {2, 100, 1000, 11136, 12000}),
        (450_000, 2.0**-20 / MILLION, {6240}),
        (1000, 2.0**-41 / MILLION, {30, 5000}),
        (9, 2.0**-41 / MILLION, {30, 5000}),
    ],
)
def test_walk_is_as_right_after_thousands_of_steps(
    marked: int, limit: float, samples: set[int]
) -> None:
    walk = TailWalk(MILLION, marked, limit)
    for drawn in range(1, max(samples) + 1):
        walk.draw()
        if drawn in samples:
            truth = exact.tail(MILLION, marked, drawn, walk.x)
            assert float(abs(Fraction(walk.above) - truth)) < 1e-12 * limit
            assert truth < limit
            assert exact.tail(MILLION, marked, drawn, walk.x - 1) >= limit


def test_pairs_multiply_to_the_chance_that_all_drawn_are_marked() -> None:
    chance = 1.0
    for drawn in range(2, 30, 2):
        chance *= pair_ratio(40, 25, drawn)
        truth = exact.tail(40, 25, drawn, drawn - 1)
        assert chance == truth == 0 or off(chance, truth) < 1e-13

"""Coins fall with exactly the chances they name."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest

from fedsecure.errors import LocalProtocolError
from fedsecure.primitives.coins import Coins

SEED = bytes(range(40))
COUNT = 20_000
# Fixed seeds: these pass always or never; the chance of a right coin to fail is below 10^-6.
DEVIATE = 5.0


def near(successes: int, probability: float) -> bool:
    spread = math.sqrt(COUNT * probability * (1 - probability))
    return abs(successes - COUNT * probability) <= DEVIATE * spread + 1e-9


@pytest.mark.parametrize("probability", ["0", "1/3", "1/2", "255/256", "1"])
def test_fractions(probability: str) -> None:
    coins = Coins(SEED)
    chance = Fraction(probability)
    assert near(sum(coins.chance(chance) for _ in range(COUNT)), float(chance))


@pytest.mark.parametrize("exponent", ["0", "1/1000", "1/3", "1", "5/2", "6"])
def test_exponentials(exponent: str) -> None:
    coins = Coins(SEED)
    gamma = Fraction(exponent)
    assert near(sum(coins.chance_exp(gamma) for _ in range(COUNT)), math.exp(-gamma))


def test_impossible_exponents_end_at_once() -> None:
    assert not Coins(SEED).chance_exp(Fraction(10) ** 300)


@pytest.mark.parametrize("bound", [1, 2, 3, 7, 256, 257])
def test_integers_are_uniform(bound: int) -> None:
    coins = Coins(SEED)
    counts = [0] * bound
    for _ in range(COUNT):
        counts[coins.below(bound)] += 1
    assert all(near(count, 1 / bound) for count in counts)


def test_long_integers_are_below_their_bound() -> None:
    coins = Coins(SEED)
    drawn = [coins.below(3 << 40_000) for _ in range(30)]
    assert max(drawn) >> 40_000 == 2
    assert min(drawn) >> 40_000 == 0


def test_a_seed_gives_the_same_coins_and_another_others() -> None:
    def run(seed: bytes | None) -> list[int]:
        coins = Coins(seed)
        return [coins.below(1 << 64) for _ in range(1000)]

    assert run(SEED) == run(SEED)
    assert len(set(run(SEED) + run(SEED[::-1]) + run(None) + run(None))) == 4000


def test_wiped_and_refused() -> None:
    coins = Coins(SEED)
    coins.below(1000)
    coins.wipe()
    assert not coins._buffer.any()
    assert coins._seed.wiped
    assert "hidden" in repr(coins)
    with pytest.raises(LocalProtocolError, match="40 bytes"):
        Coins(b"short")

"""Choices have exactly the laws of the exponential mechanism and of permute-and-flip."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from fedsecure.errors import LocalProtocolError
from fedsecure.privacy import ExponentialEvent, ExponentialMechanism, PoissonSampling

COUNT = 6000
CASES: list[tuple[float, float, Sequence[Any]]] = [
    (1.0, 1.0, [0, 1, 2, 3]),
    (0.3, 1.0, [Fraction(1, 3), 0.5, -2, 4]),
    (2.0, 0.5, [1.0, 1.0, 0.75]),
    (5.0, 1.0, [-1e3, 0, -0.1]),
    (1.0, 2.0, [7]),
]


def exponential(epsilon: float, sensitivity: float, utilities: Sequence[Any]) -> list[float]:
    weights = [math.exp(epsilon * float(u - max(utilities)) / (2 * sensitivity)) for u in utilities]
    return [w / sum(weights) for w in weights]


def permute_and_flip(epsilon: float, sensitivity: float, utilities: Sequence[Any]) -> list[float]:
    """By going through all orders."""
    coins = [math.exp(epsilon * float(u - max(utilities)) / (2 * sensitivity)) for u in utilities]
    chances = [0.0] * len(coins)
    orders = list(itertools.permutations(range(len(coins))))
    for order in orders:
        left = 1.0 / len(orders)
        for index in order:
            chances[index] += left * coins[index]
            left *= 1 - coins[index]
    return chances


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize(("epsilon", "sensitivity", "utilities"), CASES)
def test_choices_have_the_exact_law(
    epsilon: float, sensitivity: float, utilities: Sequence[Any], flip: bool
) -> None:
    mechanism = ExponentialMechanism(epsilon, sensitivity, permute_and_flip=flip)
    law = (permute_and_flip if flip else exponential)(epsilon, sensitivity, utilities)
    assert sum(law) == pytest.approx(1)
    counts = np.zeros(len(utilities))
    for number in range(COUNT):
        counts[mechanism.choose(utilities, seed=number.to_bytes(40, "little"))] += 1
    for count, chance in zip(counts, law, strict=True):
        assert abs(count - COUNT * chance) <= 5 * math.sqrt(COUNT * chance * (1 - chance)) + 1e-6


@pytest.mark.parametrize("case", CASES)
def test_permute_and_flip_is_never_worse(case: tuple[float, float, Sequence[Any]]) -> None:
    utilities = [float(u) for u in case[2]]
    worse = float(np.dot(exponential(*case), utilities))
    assert float(np.dot(permute_and_flip(*case), utilities)) >= worse - 1e-12


def test_neighbors_choose_alike() -> None:
    """The laws of neighbors, whose utilities differ by the sensitivity, are within epsilon."""
    for law in (exponential, permute_and_flip):
        for change in itertools.product([-1, 0, 1], repeat=3):
            one, other = [3, 1, 0], [3 + change[0], 1 + change[1], change[2]]
            pairs = zip(law(0.7, 1.0, one), law(0.7, 1.0, other), strict=True)
            assert all(abs(math.log(p / q)) <= 0.7 + 1e-12 for p, q in pairs)


def test_large_numbers_are_no_trouble() -> None:
    assert ExponentialMechanism(1.0).choose([1e308, -1e308, 0]) == 0
    assert ExponentialMechanism(1e-300, permute_and_flip=True).choose([1e-300, 2e-300]) in {0, 1}


def test_determined_by_the_seed() -> None:
    mechanism, seeds = ExponentialMechanism(0.1), [bytes([n]) * 40 for n in range(50)]
    chosen = [mechanism.choose(range(9), seed=seed) for seed in seeds]
    assert chosen == [mechanism.choose(range(9), seed=seed) for seed in seeds]
    assert len(set(chosen)) > 3
    assert len({mechanism.choose(range(1000)) for _ in range(20)}) > 10


def test_event() -> None:
    sampling = PoissonSampling(0.1)
    assert ExponentialMechanism(0.5).event(sampling) == ExponentialEvent(0.5, sampling=sampling)


@pytest.mark.parametrize("utilities", [[], [math.nan], [1, math.inf], ["1"], [True], [None]])
def test_refused_utilities(utilities: list[Any]) -> None:
    with pytest.raises(LocalProtocolError, match="utilit"):
        ExponentialMechanism(1.0).choose(utilities)


@pytest.mark.parametrize("arguments", [(0.0,), (1.0, 0.0), (math.nan,), (1.0, math.inf)])
def test_refused_mechanisms(arguments: tuple[float, ...]) -> None:
    with pytest.raises(LocalProtocolError):
        ExponentialMechanism(*arguments)

"""Laws are values: exact, checked when made, and thin over the core."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fedsecure import _core
from fedsecure._prg import Prg
from fedsecure.errors import LocalProtocolError
from fedsecure.primitives import samplers
from fedsecure.primitives.samplers import (
    DiscreteGaussian,
    DiscreteLaplace,
    NoiseLaw,
    PolyaDifference,
    Skellam,
)

if TYPE_CHECKING:
    from collections.abc import Callable

SEED = bytes(range(40))
LAWS: list[NoiseLaw] = [
    DiscreteGaussian(Fraction(21, 2)),
    Skellam(Fraction(10)),
    DiscreteLaplace(Fraction(1, 3)),
    PolyaDifference(Fraction(1, 4), Fraction(1, 3)),
]
# Numbers 0 to 9 and 2^44 - 3 to 2^44 - 1 of SEED: what a seed means does not change.
KNOWN: list[tuple[NoiseLaw, list[int], list[int]]] = [
    (DiscreteGaussian(Fraction(1, 4)), [0, 0, 0, 0, 0, 0, 0, 0, 0, 1], [0, -1, 1]),
    (DiscreteGaussian(Fraction(21, 2)), [-1, 0, 6, -2, 4, 7, 0, 0, 4, -3], [5, -5, -3]),
    (
        DiscreteGaussian(Fraction(10**10)),
        [-25683, 42108, -8275, -70446, 168766, -8160, 24190, 50604, 177387, -99865],
        [-11077, -224863, 64622],
    ),
    (
        DiscreteGaussian(Fraction(2**61)),
        [
            -230178090,
            -389206999,
            2550270151,
            475710235,
            2694741343,
            -760783891,
            1053064676,
            249418997,
            350220899,
            912472737,
        ],
        [-638623979, 717280571, -1818846398],
    ),
    (Skellam(Fraction(1, 3)), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0], [0, 0, 2]),
    (Skellam(Fraction(10000)), [19, 90, -48, -14, 119, -32, 26, 36, 99, -48], [46, 72, -189]),
    (
        Skellam(Fraction(10**10)),
        [17843, 87766, -55808, -10826, 130303, -26736, 29554, 32268, 99417, -47532],
        [-15010, -7423, -197531],
    ),
    (DiscreteLaplace(Fraction(1, 3)), [-1, 1, 7, -2, 4, 8, 0, 1, 4, -3], [-6, -3, 7]),
    (PolyaDifference(Fraction(1, 4), Fraction(1, 3)), [0, -1, 0, 1, 0, 0, 0, 0, 0, 1], [0, 0, 8]),
    (
        PolyaDifference(Fraction(1, 3), Fraction(1, 10**6)),
        [-145997, -485674, 111616, 157110, -68353, 128400, -147982, 5026, 68697, 493140],
        [603513, 889987, -3571],
    ),
]


@pytest.mark.parametrize(("law", "begin", "end"), KNOWN)
def test_known_answers(law: NoiseLaw, begin: list[int], end: list[int]) -> None:
    assert law.draw(10, SEED).tolist() == begin
    assert law.draw(3, SEED, 2**44 - 3).tolist() == end


@pytest.mark.parametrize("law", LAWS, ids=repr)
def test_drawing_and_adding_are_one(law: NoiseLaw) -> None:
    numbers = law.draw(1000, SEED, 50)
    assert numbers.dtype == np.int64
    vector = np.arange(1000, dtype=np.uint32)
    law.add_to(vector[:300], SEED, 50)
    law.add_to(vector[300:], SEED, 350)
    np.testing.assert_array_equal(
        vector, np.arange(1000, dtype=np.uint32) + numbers.astype(np.uint32)
    )


def test_the_core_is_called_with_the_fractions() -> None:
    out = np.zeros(100, np.int64)
    _core.sample_polya_difference((1, 4), (1, 3), SEED, 0, out)
    np.testing.assert_array_equal(out, LAWS[3].draw(100, SEED))
    _core.sample_skellam((10, 1), SEED[:24], 0, out, prg=1)
    np.testing.assert_array_equal(out, LAWS[1].draw(100, SEED[:24], prg=Prg.AES128))


def test_floats_and_integers_are_exact_fractions() -> None:
    assert Skellam(0.1).variance == Fraction(0.1) != Fraction(1, 10)  # type: ignore[arg-type]
    assert Skellam(3) == Skellam(Fraction(3))
    assert hash(Skellam(3)) == hash(Skellam(3.0))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Skellam(0), "variance=0"),
        (lambda: Skellam(Fraction(-1)), "variance=-1"),
        (lambda: Skellam(2**42), "variance=4.39"),
        (lambda: Skellam(math.nan), "finite number"),
        (lambda: Skellam(math.inf), "finite number"),
        (lambda: Skellam("3"), "a str"),
        (lambda: Skellam(True), "a bool"),
        (lambda: Skellam(Fraction(2**61 + 1, 2**61)), "limit_denominator"),
        (lambda: DiscreteGaussian(2**62), "limit_denominator"),
        (lambda: DiscreteGaussian(2**63), "sigma_squared=9.2"),
        (lambda: DiscreteGaussian(Fraction(1, 2**41)), "sigma_squared=4.5"),
        (lambda: DiscreteLaplace(2**41), "rate=2.19"),
        (lambda: PolyaDifference(2, 1), "shape=2"),
        (lambda: PolyaDifference(1, Fraction(1, 2**25)), "rate=2.9"),
    ],
)
def test_refusals(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(LocalProtocolError, match=message):
        make()


def test_what_cannot_be_drawn() -> None:
    for first, count in ((2**44, 1), (2**44 - 1, 2), (-1, 1)):
        with pytest.raises(LocalProtocolError, match="2\\*\\*44"):
            LAWS[0].draw(count, SEED, first)
    with pytest.raises(LocalProtocolError, match="not to int64"):
        LAWS[0].add_to(np.zeros(3, np.int64), SEED)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rotating_there_and_back(dtype: type[np.floating]) -> None:
    x = np.random.default_rng(0).normal(size=4096).astype(dtype)
    y = x.copy()
    samplers.flip_signs(y, SEED)
    samplers.hadamard(y)
    assert abs(np.abs(y).max() / 64) < 6  # spread
    samplers.hadamard(y)
    samplers.flip_signs(y, SEED)
    np.testing.assert_allclose(y / 4096, x, atol=1e-4)


@pytest.mark.parametrize("size", [0, 3, 4097])
def test_lengths_without_a_transform(size: int) -> None:
    with pytest.raises(LocalProtocolError, match="pad it with zeros"):
        samplers.hadamard(np.zeros(size))

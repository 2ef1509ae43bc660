"""Norms are exact for integers and robust for floats."""

from __future__ import annotations

import math
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as arrays

from fedsecure.errors import EncodingError
from fedsecure.privacy import norms

LANES: list[Any] = [np.uint16, np.uint32, np.uint64, np.int64]


def signed(values: np.ndarray) -> list[int]:
    return [int(v) for v in values.view(f"i{values.dtype.itemsize}")]


@given(st.sampled_from(LANES).flatmap(lambda lane: arrays.arrays(lane, st.integers(1, 40))))
def test_integer_norms_are_those_of_long_integers(values: np.ndarray) -> None:
    square = sum(v * v for v in signed(values))
    total = sum(map(abs, signed(values)))
    if max(map(abs, signed(values))) < norms.MAX_NORM:
        assert norms.l2_within(values, square)
        assert not norms.l2_within(values, square - 1)
    else:
        assert not norms.l2_within(values, norms.MAX_NORM**2 - 1)
    if total < 2**47:
        assert norms.l1_within(values, total)
        assert not norms.l1_within(values, total - 1)


def test_squares_of_many_pieces_add_up_beyond_64_bits() -> None:
    values = np.full(200_001, 2**31 - 1, np.uint32)
    square = 200_001 * (2**31 - 1) ** 2
    assert square > 2**64
    assert norms.l2_within(values, square)
    assert not norms.l2_within(values, square - 1)


def test_the_least_integer_is_not_zero() -> None:
    for lane in LANES[:3]:
        values = np.array([1 << (8 * np.dtype(lane).itemsize - 1)], lane)
        assert not norms.l2_within(values, 100)
        assert not norms.l1_within(values, 100)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("clip", [norms.clip_l1, norms.clip_l2])
def test_clipping(clip: Any, dtype: Any) -> None:
    order = 1 if clip is norms.clip_l1 else 2
    x = np.random.default_rng(5).normal(size=200_000).astype(dtype)
    norm = np.linalg.norm(x.astype(np.float64), order)
    y = x.copy()
    assert clip(y, norm * 2) == pytest.approx(norm, rel=1e-12)
    assert (y == x).all()
    assert clip(y, 3.0) == pytest.approx(norm, rel=1e-12)
    assert np.linalg.norm(y.astype(np.float64), order) == pytest.approx(3, rel=1e-6)
    assert np.allclose(y * (norm / 3), x, rtol=1e-5, atol=0)


@pytest.mark.parametrize("clip", [norms.clip_l1, norms.clip_l2])
def test_clipping_at_the_ends_of_the_floats(clip: Any) -> None:
    zero = np.zeros(3)
    assert clip(zero, 1.0) == 0
    assert clip(np.zeros(0), 1.0) == 0
    tiny = np.full(4, 5e-324)
    assert clip(tiny, 1.0) > 0
    assert (tiny == 5e-324).all()
    huge = np.full(4, 1.7e308)
    assert clip(huge, 1.0) == math.inf
    assert np.allclose(huge, 0.25 if clip is norms.clip_l1 else 0.5)
    for bad in (math.nan, math.inf):
        with pytest.raises(EncodingError, match="1 NaN or infinite values among 2"):
            clip(np.array([1.0, bad]), 1.0)

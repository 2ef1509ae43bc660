"""Real vectors to ring elements at random, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fedsecure.primitives import rounding

SEED = bytes(range(24))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_looked_at(dtype: Any) -> None:
    assert rounding.inspect(np.array([1, -3, 2], dtype)) == (0, 3.0)
    assert rounding.inspect(np.array([np.nan, -3, np.inf, -np.inf], dtype)) == (3, 3.0)


@pytest.mark.parametrize("lane", [np.uint16, np.uint32, np.uint64])
def test_rounding_goes_to_neighbors_and_is_right_on_average(lane: Any) -> None:
    x = np.full(100_000, -2.3)
    out = np.empty(x.size, lane)
    rounding.round_to_ring(x, 2.0, 10.0, SEED, first=0, out=out)
    back = np.empty(x.size)
    rounding.from_ring(out, 8 * out.itemsize, 1.0, back)
    assert set(back) == {-5.0, -4.0}
    assert abs(back.mean() + 4.6) < 5 * 0.5 / np.sqrt(x.size)
    part = np.empty(10, lane)
    rounding.round_to_ring(x[500:510], 2.0, 10.0, SEED, first=500, out=part)
    np.testing.assert_array_equal(part, out[500:510])
    fresh = np.empty(x.size, lane)
    rounding.round_to_ring(x, 2.0, 10.0, SEED, first=x.size, out=fresh)
    assert (fresh != out).any()


def test_elements_are_read_modulo_their_bits() -> None:
    out = np.empty(4, np.float64)
    rounding.from_ring(np.array([1, 255, 256, 384], np.uint16), 8, 0.5, out)
    assert out.tolist() == [0.5, -0.5, 0.0, -64.0]

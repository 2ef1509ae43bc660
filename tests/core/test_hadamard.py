"""The Walsh-Hadamard transform against its definition, and its bits against plain loops."""

from __future__ import annotations

import numpy as np
import pytest

from core import reference
from fedsecure import _core

SEED = reference.random_seed(3, 2)
FLOATS = [np.float32, np.float64]
by_float = pytest.mark.parametrize("dtype", FLOATS)


def values(size: int, dtype: type[np.floating]) -> np.ndarray:
    return np.random.default_rng(size).normal(size=size).astype(dtype)


def level_by_level(x: np.ndarray) -> np.ndarray:
    """The order of operations that the core promises."""
    x, distance = x.copy(), 1
    while distance < len(x):
        pairs = x.reshape(-1, 2, distance)
        a, b = pairs[:, 0].copy(), pairs[:, 1].copy()
        pairs[:, 0], pairs[:, 1] = a + b, a - b
        distance *= 2
    return x


@by_float
@pytest.mark.parametrize("log_size", range(8))
def test_definition(log_size: int, dtype: type[np.floating]) -> None:
    size = 1 << log_size
    matrix = [[(-1.0) ** (i & j).bit_count() for j in range(size)] for i in range(size)]
    x = np.arange(3, 3 + size, dtype=dtype)  # sums are exact
    wanted = np.array(matrix) @ x
    _core.hadamard(x)
    np.testing.assert_array_equal(x, wanted)


@by_float
@pytest.mark.parametrize("log_size", [3, 4, 11, 12, 13, 14, 15, 17, 19])
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_bits_are_those_of_plain_loops(
    log_size: int, threads: int, dtype: type[np.floating]
) -> None:
    x = values(1 << log_size, dtype)
    wanted = level_by_level(x)
    _core.hadamard(x, threads=threads)
    np.testing.assert_array_equal(x, wanted)


def test_bits_where_there_are_columns_of_columns() -> None:
    x = values(1 << 23, np.float32)
    wanted = level_by_level(x)
    _core.hadamard(x, threads=2)
    np.testing.assert_array_equal(x, wanted)


@by_float
def test_twice_is_the_identity_times_the_length(dtype: type[np.floating]) -> None:
    x = values(1 << 16, dtype)
    y = x.copy()
    _core.hadamard(y)
    assert np.linalg.norm(y) == pytest.approx(256 * np.linalg.norm(x), rel=1e-5)
    _core.hadamard(y)
    np.testing.assert_allclose(y / len(x), x, atol=1e-5)


@pytest.mark.parametrize("size", [0, 3, 12, 4095, 4097, 3 << 12])
def test_lengths_that_have_none(size: int) -> None:
    x = np.ones(size)
    with pytest.raises(ValueError, match="power of two"):
        _core.hadamard(x)
    assert (x == 1).all()


@by_float
@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("first", [0, 1, 7, 8, 8191, 123_456])
def test_signs_are_bits_of_the_keystream(
    first: int, threads: int, dtype: type[np.floating], prg: int
) -> None:
    x = values(70_001, dtype)
    x[5], x[6], x[7] = 0.0, np.inf, np.nan
    stream = reference.keystream(SEED[: reference.SEED_BYTES[prg]], 0, 25_000, prg)
    bits = np.unpackbits(np.frombuffer(stream, np.uint8), bitorder="little")
    wanted = np.where(bits[first : first + len(x)] == 1, -x, x)
    _core.flip_signs(x, SEED[: reference.SEED_BYTES[prg]], first, prg=prg, threads=threads)
    assert x.tobytes() == wanted.astype(dtype).tobytes()


def test_signs_far_out() -> None:
    x = np.ones(64)
    with pytest.raises(ValueError, match="2\\*\\*63 signs"):
        _core.flip_signs(x, SEED, 2**63 - 63)
    assert (x == 1).all()
    _core.flip_signs(x, SEED, 2**63 - 64)
    assert 0 < (x < 0).sum() < 64

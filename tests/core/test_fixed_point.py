"""Fixed point: encode and decode against exact rational arithmetic."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import reference
from core.reference import LANES
from fedsecure import _core

SEED = reference.random_seed(5)
FLOATS = [np.float32, np.float64]
TINY = [5e-324, 2.2e-308, 1e-45, 1.1e-38, 2.0**-54, 2.0**-33, 2.0**-32, 2.0**-31]
TIES = [0.0, 0.25, 0.5, 0.75, 1.5, 2.5, 3.5, 7.5, 0.49999997, 0.50000006, 0.49999999999999994]
LARGE = [7.999999, 8.0, 8.000001, 9.0, 1e30]
EDGES = [s * v for v in TINY + TIES + LARGE for s in (1, -1)]


def encode(
    x: np.ndarray,
    factor: float,
    clip: float,
    seed: bytes | None,
    first: int,
    lane: type[np.unsignedinteger],
) -> tuple[np.ndarray, int]:
    out = np.full(x.size, 0x5A, lane)
    return out, _core.encode(x, factor, clip, seed, first, out)


def check(x: np.ndarray, factor: float, clip: float, seed: bytes | None, first: int) -> None:
    random = None if seed is None else reference.words(seed, first, x.size, np.uint32)
    for lane in LANES:
        out, clipped = encode(x, factor, clip, seed, first, lane)
        wanted = reference.encode(x, factor, clip, random, 8 * out.itemsize)
        assert out.tolist() == wanted
        assert clipped == sum(abs(float(v)) > clip for v in x)


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("seed", [None, SEED])
@pytest.mark.parametrize("factor", [1.0, 0.5, 1.0 / 3.0, 2.0**20, 1234.567, 2.0**-30])
def test_edges_are_exact(dtype: type[np.floating], seed: bytes | None, factor: float) -> None:
    check(np.array(EDGES, dtype), factor, 8.0, seed, 0)


@pytest.mark.usefixtures("kernels")
def test_any_generator_rounds(prg: int) -> None:
    x, seed = np.array(EDGES), reference.random_seed(5, prg)
    random = reference.words(seed, 9, x.size, np.uint32, prg)
    out = np.zeros(x.size, np.uint32)
    _core.encode(x, 1234.567, 8.0, seed, 9, out, prg=prg)
    assert out.tolist() == reference.encode(x, 1234.567, 8.0, random, 32)
    with pytest.raises(ValueError, match="seed must have"):
        _core.encode(x, 1.0, 8.0, bytes(64 - len(seed)), 0, out, prg=prg)


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("seed", [None, SEED])
def test_huge_factors_are_exact(seed: bytes | None) -> None:
    x = np.array(EDGES, np.float64)
    check(x, 2.0**58, 8.0, seed, 3)  # |t| up to 2**61
    check(x, 1e300, 4e-283, seed, 3)  # subnormal and tiny x made large


@pytest.mark.usefixtures("kernels")
@given(
    x=st.lists(st.floats(-20, 20, allow_subnormal=True), max_size=40),
    factor=st.floats(2.0**-40, 2.0**50),
    clip=st.floats(2.0**-20, 16),
    first=st.integers(0, 2**61 - 100),
    seed=st.sampled_from([None, SEED]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_values_are_exact(
    x: list[float], factor: float, clip: float, first: int, seed: bytes | None
) -> None:
    check(np.array(x, np.float64), factor, clip, seed, first)
    check(np.array(x, np.float32), factor, clip, seed, first)


def test_ties_go_to_even() -> None:
    x = np.array([0.5, 1.5, 2.5, -0.5, -1.5, -2.5], np.float32)
    out, _ = encode(x, 1.0, 8.0, None, 0, np.uint32)
    assert out.view(np.int32).tolist() == [0, 2, 2, 0, -2, -2]


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("value", [0.3, -0.3, 1e-3, -2.75])
def test_stochastic_rounding_is_unbiased(value: float) -> None:
    count = 1 << 18
    out, _ = encode(np.full(count, value), 1.0, 8.0, SEED, 0, np.uint64)
    q = out.view(np.int64)
    fraction = value - math.floor(value)
    assert set(np.unique(q)) <= {math.floor(value), math.floor(value) + 1}
    sigma = math.sqrt(fraction * (1 - fraction) / count)
    assert abs(q.mean() - value) < 5 * sigma


@pytest.mark.usefixtures("kernels")
def test_pieces_give_the_whole() -> None:
    x = np.random.default_rng(3).normal(size=5000)
    whole, _ = encode(x, 1e4, 8.0, SEED, 50, np.uint32)
    pieces = [
        encode(x[a:b], 1e4, 8.0, SEED, 50 + a, np.uint32)[0]
        for a, b in [(0, 1), (1, 1024), (1024, 1027), (1027, 5000)]
    ]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("seed", [None, SEED])
def test_non_finite_values_are_refused(
    dtype: type[np.floating], bad: float, seed: bytes | None
) -> None:
    for position in (0, 3, 2999):
        x = np.zeros(3000, dtype)
        x[position] = bad
        with pytest.raises(ValueError, match="1 values are NaN or infinite"):
            encode(x, 1.0, 8.0, seed, 0, np.uint32)


def test_values_beyond_2_to_62_are_refused() -> None:
    x = np.array([1.0, -1.0])
    out, _ = encode(x, math.nextafter(2.0**62, 0), 1.0, None, 0, np.uint64)
    assert out.view(np.int64).tolist() == [2**62 - 512, -(2**62) + 512]
    for factor in (2.0**62, 1e300, 1.7e308):
        with pytest.raises(ValueError, match="2 values times factor"):
            encode(x, factor, 1.0, None, 0, np.uint64)


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_bad_factor_and_clip_are_refused(value: float) -> None:
    x = np.ones(2)
    with pytest.raises(ValueError, match="factor"):
        encode(x, value, 8.0, None, 0, np.uint32)
    with pytest.raises(ValueError, match="clip"):
        encode(x, 1.0, value, None, 0, np.uint32)


def test_bad_positions_and_sizes_are_refused() -> None:
    x = np.ones(4)
    for first in (-1, 2**61 - 3, 2**61, 2**64):
        with pytest.raises(ValueError, match="first"):
            encode(x, 1.0, 8.0, SEED, first, np.uint32)
    with pytest.raises(ValueError, match="elements"):
        _core.encode(x, 1.0, 8.0, None, 0, np.zeros(3, np.uint32))
    with pytest.raises(ValueError, match="elements"):
        _core.decode(np.zeros(3, np.uint32), 20, 1.0, x)
    memory = np.ones(4)
    with pytest.raises(ValueError, match="share memory"):
        _core.encode(memory, 1.0, 8.0, None, 0, memory.view(np.uint64))


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("lane", LANES)
def test_decode_every_width(lane: type[np.unsignedinteger]) -> None:
    rng = np.random.default_rng(11)
    x = rng.integers(0, np.iinfo(lane).max, 40, lane, endpoint=True)
    for bits in range(8, 8 * x.itemsize + 1):
        for offset in (-1, 0, 1):
            x[40 + offset - 5] = (1 << (bits - 1)) + offset  # both sides of the centre
        for factor in (1.0, 2.0**-20, 1 / 3, -2.5):
            wanted = reference.decode(x.tolist(), bits, factor)
            for dtype in FLOATS:
                out = np.zeros(40, dtype)
                _core.decode(x, bits, factor, out)
                np.testing.assert_array_equal(out, np.array(wanted).astype(dtype))


def test_decode_centre() -> None:
    x = np.array([0, 127, 128, 255, 256, 383, 384], np.uint16)
    out = np.zeros(7)
    _core.decode(x, 8, 0.5, out)
    assert out.tolist() == [0, 63.5, -64, -0.5, 0, 63.5, -64]


def test_decode_refusals() -> None:
    out = np.zeros(2)
    for bits in (7, 17, 64):
        with pytest.raises(ValueError, match="bits"):
            _core.decode(np.zeros(2, np.uint16), bits, 1.0, out)
    for factor in (math.nan, math.inf):
        with pytest.raises(ValueError, match="factor"):
            _core.decode(np.zeros(2, np.uint16), 16, factor, out)


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("dtype", FLOATS)
def test_inspect(dtype: type[np.floating]) -> None:
    x = np.array([1, -2, 8, -8.5, np.nan, np.inf, -np.inf, 0, -9], dtype)
    assert _core.inspect(x, 8.0) == (4, 3, 9.0)
    assert _core.inspect(x, 8.5) == (3, 3, 9.0)
    assert _core.inspect(x[:0], 8.0) == (0, 0, 0.0)
    assert _core.inspect(x[4:7], 1.0) == (2, 3, 0.0)
    largest = np.finfo(dtype).max
    assert _core.inspect(np.array([-largest, 1], dtype), 8.0) == (1, 0, float(largest))
    for clip in (-1.0, math.nan):
        with pytest.raises(ValueError, match="clip"):
            _core.inspect(x, clip)

"""Ring vectors: addition, and packing of every width against Python integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import reference
from core.reference import LANES
from fedsecure import _core

WIDTHS = [(lane, bits) for lane in LANES for bits in range(8, 8 * np.dtype(lane).itemsize + 1)]


def any_words(lane: type[np.unsignedinteger], count: int, number: int = 0) -> np.ndarray:
    rng = np.random.default_rng([count, number])
    return rng.integers(0, np.iinfo(lane).max, count, lane, endpoint=True)


def packed(x: np.ndarray, bits: int) -> np.ndarray:
    out = np.full(_core.packed_size(x.size, bits), 0xFF, np.uint8)
    _core.pack(x, bits, out)
    return out


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize(("lane", "bits"), WIDTHS)
def test_every_width_against_integers(lane: type[np.unsignedinteger], bits: int) -> None:
    for count in (0, 1, 2, 7, 8, 9, 15, 16, 17, 63, 64, 65, 129, 255, 256, 257, 1031):
        x = any_words(lane, count)
        values = [int(v) % (1 << bits) for v in x]
        data = packed(x, bits)
        assert data.tobytes() == reference.pack(values, bits)
        out = np.full(count, 0x5A, lane)
        _core.unpack(data, bits, out)
        assert out.tolist() == values
        acc = any_words(lane, count, 1)
        wanted = acc + np.array(values, lane)
        _core.unpack_add(data, bits, acc)
        np.testing.assert_array_equal(acc, wanted)


@pytest.mark.usefixtures("kernels")
@given(width=st.sampled_from(WIDTHS), data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_unpack_undoes_pack(
    width: tuple[type[np.unsignedinteger], int], data: st.DataObject
) -> None:
    lane, bits = width
    values = data.draw(st.lists(st.integers(0, (1 << bits) - 1), max_size=70))
    x = np.array(values, lane)
    out = np.zeros_like(x)
    _core.unpack(packed(x, bits), bits, out)
    assert out.tolist() == values


@pytest.mark.parametrize(("lane", "bits"), WIDTHS)
def test_set_padding_bits_are_refused(lane: type[np.unsignedinteger], bits: int) -> None:
    for count in (1, 3, 7):
        used = count * bits % 8
        if used == 0:
            continue
        data = packed(any_words(lane, count), bits)
        for bit in range(used, 8):
            bad = data.copy()
            bad[-1] |= 1 << bit
            out = np.zeros(count, lane)
            with pytest.raises(ValueError, match="padding"):
                _core.unpack(bad, bits, out)
            with pytest.raises(ValueError, match="padding"):
                _core.unpack_add(bad, bits, out)
            assert not out.any()


def test_sizes_must_match() -> None:
    x = np.ones(5, np.uint32)
    for size in (0, 12, 14):
        with pytest.raises(ValueError, match="13"):
            _core.pack(x, 20, np.zeros(size, np.uint8))
        with pytest.raises(ValueError, match="13"):
            _core.unpack(np.zeros(size, np.uint8), 20, x)
        with pytest.raises(ValueError, match="13"):
            _core.unpack_add(np.zeros(size, np.uint8), 20, x)
    assert (x == 1).all()
    with pytest.raises(ValueError, match="elements"):
        _core.ring_add(x, np.ones(4, np.uint32))


@pytest.mark.parametrize("lane", LANES)
def test_widths_out_of_range_are_refused(lane: type[np.unsignedinteger]) -> None:
    x = np.zeros(8, lane)
    for bits in (-1, 0, 7, 8 * x.itemsize + 1, 65, 2**32 + 8, 2**64 + 8):
        with pytest.raises(ValueError, match="bits"):
            _core.pack(x, bits, np.zeros(8, np.uint8))
        with pytest.raises(ValueError, match="bits"):
            _core.unpack(np.zeros(8, np.uint8), bits, x)
    for bits in (7, 65):
        with pytest.raises(ValueError, match="bits"):
            _core.packed_size(8, bits)


def test_packed_size() -> None:
    for bits in range(8, 65):
        for count in (0, 1, 7, 8, 9, 10**9 + 1, 2**57 - 1):
            assert _core.packed_size(count, bits) == (count * bits + 7) // 8
    for count in (-1, 2**60, 2**64):
        with pytest.raises(ValueError, match="count"):
            _core.packed_size(count, 64)


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("lane", LANES)
def test_ring_add_wraps(lane: type[np.unsignedinteger]) -> None:
    acc, x = any_words(lane, 1001), any_words(lane, 1001, 1)
    wanted = acc + x
    before = x.copy()
    _core.ring_add(acc, x)
    np.testing.assert_array_equal(acc, wanted)
    np.testing.assert_array_equal(x, before)


def test_overlap() -> None:
    memory = np.arange(100, dtype=np.uint32)
    with pytest.raises(ValueError, match="share memory"):
        _core.ring_add(memory[:50], memory[10:60])
    np.testing.assert_array_equal(memory, np.arange(100))
    _core.ring_add(memory, memory)
    np.testing.assert_array_equal(memory, 2 * np.arange(100))
    _core.ring_add(memory[:50], memory[50:])
    raw = memory.view(np.uint8)
    with pytest.raises(ValueError, match="share memory"):
        _core.pack(memory[:10], 32, raw[:40])
    with pytest.raises(ValueError, match="share memory"):
        _core.unpack(raw[20:60], 32, memory[:10])
    with pytest.raises(ValueError, match="share memory"):
        _core.unpack_add(raw[20:60], 32, memory[:10])

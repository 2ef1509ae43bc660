"""What an array is (dtype, strides, order, alignment, read-only) is checked, never adapted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from core import reference
from fedsecure import _core

if TYPE_CHECKING:
    from collections.abc import Callable

SEED = reference.random_seed(6)
SEEDS = np.frombuffer(SEED, np.uint8).reshape(1, 24)
SIGNS = np.ones(1, np.int8)
PACKED = np.zeros(16, np.uint8)


def unaligned(dtype: Any, count: int) -> np.ndarray:
    raw = np.zeros(count * np.dtype(dtype).itemsize + 1, np.uint8)
    return raw[1:].view(dtype)


# Every argument that takes a ring array, a float array or bytes: call(array of 4, 4 or 16 items).
RING: dict[str, Callable[[Any], object]] = {
    "apply_masks acc": lambda a: _core.apply_masks(a, SEEDS, SIGNS, 0),
    "ring_add acc": lambda a: _core.ring_add(a, np.zeros(4, np.uint32)),
    "ring_add x": lambda a: _core.ring_add(np.zeros(4, np.uint32), a),
    "pack x": lambda a: _core.pack(a, 32, np.zeros(16, np.uint8)),
    "unpack out": lambda a: _core.unpack(PACKED, 32, a),
    "unpack_add acc": lambda a: _core.unpack_add(PACKED, 32, a),
    "encode out": lambda a: _core.encode(np.zeros(4), 1.0, 8.0, None, 0, a),
    "decode x": lambda a: _core.decode(a, 32, 1.0, np.zeros(4)),
}
FLOAT: dict[str, Callable[[Any], object]] = {
    "inspect x": lambda a: _core.inspect(a, 8.0),
    "encode x": lambda a: _core.encode(a, 1.0, 8.0, None, 0, np.zeros(4, np.uint32)),
    "decode out": lambda a: _core.decode(np.zeros(4, np.uint32), 32, 1.0, a),
}
BYTES: dict[str, Callable[[Any], object]] = {
    "keystream out": lambda a: _core.keystream(SEED, 0, a),
    "pack out": lambda a: _core.pack(np.zeros(4, np.uint32), 32, a),
    "unpack data": lambda a: _core.unpack(a, 32, np.zeros(4, np.uint32)),
    "unpack_add data": lambda a: _core.unpack_add(a, 32, np.zeros(4, np.uint32)),
}
CALLS = (
    [(name, call, np.uint32, 4) for name, call in RING.items()]
    + [(name, call, np.float32, 4) for name, call in FLOAT.items()]
    + [(name, call, np.uint8, 16) for name, call in BYTES.items()]
)
EVERY = pytest.mark.parametrize(
    ("call", "dtype", "count"), [c[1:] for c in CALLS], ids=[c[0] for c in CALLS]
)
OUTPUTS = [c for c in CALLS if c[0].split()[1] in ("acc", "out")]


@EVERY
def test_right_arrays_pass(call: Callable[[Any], object], dtype: Any, count: int) -> None:
    call(np.zeros(count, dtype))


@EVERY
def test_wrong_dtypes(call: Callable[[Any], object], dtype: Any, count: int) -> None:
    wrong = [np.int32, np.bool_, np.complex64, np.float16, np.dtype(dtype).newbyteorder("S")]
    for other in wrong:
        if np.dtype(other) == np.dtype(dtype):
            continue  # bytes have no order
        with pytest.raises(TypeError, match="must be an array of native"):
            call(np.zeros(count, other))


@EVERY
def test_wrong_strides(call: Callable[[Any], object], dtype: Any, count: int) -> None:
    for view in (np.zeros(2 * count, dtype)[::2], np.zeros(count, dtype)[::-1]):
        with pytest.raises(TypeError, match="C-contiguous"):
            call(view)


@EVERY
def test_unaligned(call: Callable[[Any], object], dtype: Any, count: int) -> None:
    array = unaligned(dtype, count)
    if array.itemsize == 1:
        call(array)
        return
    with pytest.raises(TypeError, match="aligned"):
        call(array)


@EVERY
def test_wrong_dimensions(call: Callable[[Any], object], dtype: Any, count: int) -> None:
    for shape in ((1, count), (count, 1), ()):
        with pytest.raises(ValueError, match="dimension"):
            call(np.zeros(shape, dtype))


@EVERY
def test_not_an_array(call: Callable[[Any], object], dtype: Any, count: int) -> None:
    for other in ([0] * count, None, "text", bytes(count)):
        with pytest.raises(TypeError):
            call(other)


@pytest.mark.parametrize(
    ("call", "dtype", "count"), [c[1:] for c in OUTPUTS], ids=[c[0] for c in OUTPUTS]
)
def test_read_only_outputs(call: Callable[[Any], object], dtype: Any, count: int) -> None:
    array = np.zeros(count, dtype)
    array.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        call(array)
    assert not array.any()


def test_read_only_inputs_pass() -> None:
    data = np.frombuffer(bytes(16), np.uint8)
    out = np.ones(4, np.uint32)
    _core.unpack(data, 32, out)
    assert not out.any()


def test_lanes_of_different_width_do_not_mix() -> None:
    with pytest.raises(TypeError, match="same dtype"):
        _core.ring_add(np.zeros(4, np.uint32), np.zeros(4, np.uint64))


def test_empty_arrays_pass() -> None:
    none32, none8 = np.zeros(0, np.uint32), np.zeros(0, np.uint8)
    _core.keystream(SEED, 0, none8)
    _core.apply_masks(none32, SEEDS, SIGNS, 0)
    _core.apply_masks(np.zeros(3, np.uint32), SEEDS[:0], SIGNS[:0], 0)
    _core.ring_add(none32, none32)
    _core.pack(none32, 20, none8)
    _core.unpack(none8, 20, none32)
    _core.unpack_add(none8, 20, none32)
    assert _core.encode(np.zeros(0), 1.0, 1.0, SEED, 0, none32) == 0
    _core.decode(none32, 20, 1.0, np.zeros(0))

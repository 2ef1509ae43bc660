"""Small integers in slots of plaintexts, against Python integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import paillier_reference as ref
from core.paillier_reference import to_ints, to_rows
from fedsecure import _core

KEY = ref.key(2048)
DTYPES = [np.uint16, np.uint32, np.uint64]


def centered(x: int, bits: int) -> int:
    x %= 1 << bits
    return x - (1 << bits) if x >> (bits - 1) else x


def packed(x: list[int], bits: int, slots: int, n: int) -> list[int]:
    rows = [x[i : i + slots] for i in range(0, len(x), slots)]
    return [sum(centered(v, bits) << (bits * j) for j, v in enumerate(row)) % n for row in rows]


@given(
    dtype=st.sampled_from(DTYPES),
    bits=st.integers(8, 64),
    size=st.sampled_from([2048, 3072, 4096]),
    data=st.data(),
)
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_equals_python_integers(dtype: type, bits: int, size: int, data: st.DataObject) -> None:
    key = ref.key(size)
    slots = data.draw(st.integers(1, (size - 2) // bits))
    width = 8 * np.dtype(dtype).itemsize
    special = st.sampled_from([0, 1, 2**width - 1, 2 ** (width - 1), 2 ** (bits - 1) % 2**width])
    x = data.draw(st.lists(special | st.integers(0, 2**width - 1), max_size=2 * slots + 1))
    rows = _core.pack_slots(np.array(x, dtype), bits, slots, key.n_bytes)
    assert rows.shape == (-(-len(x) // slots), key.size)
    assert to_ints(rows) == packed(x, bits, slots, key.n)
    out = np.empty(len(x), dtype)
    _core.unpack_slots(rows, bits, slots, key.n_bytes, out)
    assert out.tolist() == [centered(v, bits) % 2**width for v in x]


@pytest.mark.parametrize(("bits", "slots"), [(8, 3), (40, 51), (64, 31), (62, 33), (33, 62)])
def test_refuses_what_does_not_fit(bits: int, slots: int) -> None:
    half = sum(1 << (bits * j + bits - 1) for j in range(slots))
    top = (1 << (bits * slots)) - 1 - half
    out = np.empty(2 * slots, np.uint64)
    for good in (top, KEY.n - half):
        _core.unpack_slots(to_rows([1, good], KEY.size), bits, slots, KEY.n_bytes, out)
        wanted = packed([int(v) for v in out], bits, slots, KEY.n)
        assert wanted == [1, good]
    for bad in (top + 1, KEY.n - half - 1, KEY.n // 2, KEY.n, KEY.n + 1, 2**2048 - 1):
        out[:] = 7
        with pytest.raises(ValueError, match="plaintext 1 does not fit"):
            _core.unpack_slots(to_rows([1, bad], KEY.size), bits, slots, KEY.n_bytes, out)
        assert not out.any()


def test_refuses_wrong_arguments() -> None:
    x = np.zeros(4, np.uint32)
    rows = np.zeros((2, KEY.size), np.uint8)
    for bits, slots in [(7, 2), (65, 2), (40, 0), (40, 52), (64, 32), (8, 2**60)]:
        with pytest.raises(ValueError, match="must lie in"):
            _core.pack_slots(x, bits, slots, KEY.n_bytes)
        with pytest.raises(ValueError, match="must lie in"):
            _core.unpack_slots(rows, bits, slots, KEY.n_bytes, x)
    with pytest.raises(ValueError, match="256, 384 or 512"):
        _core.pack_slots(x, 32, 2, KEY.n_bytes[1:])
    with pytest.raises(ValueError, match="odd, with its top bit set"):
        _core.pack_slots(x, 32, 2, bytes(256))
    with pytest.raises(ValueError, match="needs 4 plaintexts"):
        _core.unpack_slots(rows, 32, 1, KEY.n_bytes, x)
    with pytest.raises(TypeError, match="uint16, uint32 or uint64"):
        _core.pack_slots(np.zeros(4, np.int32), 32, 2, KEY.n_bytes)
    with pytest.raises(TypeError, match="contiguous"):
        _core.unpack_slots(rows, 32, 2, KEY.n_bytes, np.zeros(8, np.uint32)[::2])
    x.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        _core.unpack_slots(rows, 32, 2, KEY.n_bytes, x)

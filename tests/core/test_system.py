"""Entropy and wiping."""

from __future__ import annotations

import os

import numpy as np
import pytest

from fedsecure import _core


@pytest.mark.parametrize("size", [0, 1, 24, 255, 256, 257, 100_000])
def test_random_bytes_have_the_size_asked_for(size: int) -> None:
    data = _core.random_bytes(size)
    assert isinstance(data, bytes)
    assert len(data) == size


def test_random_bytes_are_fresh_and_balanced() -> None:
    assert len({_core.random_bytes(16) for _ in range(1000)}) == 1000
    counts = np.bincount(np.frombuffer(_core.random_bytes(1 << 20), np.uint8), minlength=256)
    assert (abs(counts - 4096) < 10 * 64).all()  # ten standard deviations


@pytest.mark.parametrize("size", [-1, 2**63, 2**64])
def test_impossible_sizes_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match="n "):
        _core.random_bytes(size)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_parent_and_child_draw_differently() -> None:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, _core.random_bytes(32))
        os._exit(0)
    mine = _core.random_bytes(32)
    os.waitpid(child, 0)
    assert os.read(read, 32) != mine
    os.close(read)
    os.close(write)


def test_wipe() -> None:
    array = np.arange(1, 1001, dtype=np.uint64)
    _core.wipe(array)
    assert not array.any()
    data = bytearray(b"secret" * 100)
    _core.wipe(memoryview(data)[6:12])
    assert data == b"secret" + bytes(6) + b"secret" * 98
    _core.wipe(data)
    assert not any(data)
    _core.wipe(bytearray())


@pytest.mark.parametrize("buffer", [b"bytes", "text", None, memoryview(bytearray(8))[::2]])
def test_wipe_refuses_what_it_cannot_write(buffer: object) -> None:
    with pytest.raises(TypeError, match="buffer"):
        _core.wipe(buffer)

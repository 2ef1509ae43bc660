"""Any number of threads gives the same bits; threads live for one call only."""

from __future__ import annotations

import os
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from core import reference
from fedsecure import _core

SEED = reference.random_seed(4)
COUNT = 700_001  # several chunks for every operation, and an odd end
THREADS = [0, 2, 3, 7]


def seeds(count: int, prg: int = 1) -> np.ndarray:
    rows = b"".join(reference.random_seed(j, prg) for j in range(count))
    return np.frombuffer(rows, np.uint8).reshape(count, reference.SEED_BYTES[prg])


@pytest.fixture
def x() -> np.ndarray:
    return np.random.default_rng(8).normal(size=COUNT)


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("threads", THREADS)
def test_keystream(threads: int, prg: int) -> None:
    seed = reference.random_seed(4, prg)
    for offset in (0, 5, 1024):
        one, many = np.zeros(COUNT, np.uint8), np.zeros(COUNT, np.uint8)
        _core.keystream(seed, offset, one, prg=prg, threads=1)
        _core.keystream(seed, offset, many, prg=prg, threads=threads)
        np.testing.assert_array_equal(one, many)


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("lane", reference.LANES)
def test_masks(threads: int, lane: type[np.unsignedinteger], prg: int) -> None:
    signs = np.array([1, -1, 1], np.int8)
    for first in (0, 77):
        one = np.arange(COUNT, dtype=lane)
        many = one.copy()
        _core.apply_masks(one, seeds(3, prg), signs, first, prg=prg, threads=1)
        _core.apply_masks(many, seeds(3, prg), signs, first, prg=prg, threads=threads)
        np.testing.assert_array_equal(one, many)


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("bits", [9, 16, 17, 21, 32])
def test_ring(threads: int, bits: int) -> None:
    x = np.frombuffer(reference.keystream(SEED, 0, 4 * COUNT), np.uint32)
    size = _core.packed_size(COUNT, bits)
    one, many = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
    _core.pack(x, bits, one, threads=1)
    _core.pack(x, bits, many, threads=threads)
    np.testing.assert_array_equal(one, many)
    out = np.zeros(COUNT, np.uint32)
    _core.unpack(many, bits, out, threads=threads)
    np.testing.assert_array_equal(out, x & np.uint32(2**bits - 1))
    acc = x.copy()
    _core.unpack_add(many, bits, acc, threads=threads)
    np.testing.assert_array_equal(acc, x + out)
    _core.ring_add(acc, x, threads=threads)
    np.testing.assert_array_equal(acc, x + x + out)


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("seed", [None, SEED])
def test_fixed_point(threads: int, seed: bytes | None, x: np.ndarray) -> None:
    one, many = np.zeros(COUNT, np.uint32), np.zeros(COUNT, np.uint32)
    clipped = _core.encode(x, 2.0**20, 3.0, seed, 11, one, threads=1)
    assert clipped == np.count_nonzero(np.abs(x) > 3)
    assert _core.encode(x, 2.0**20, 3.0, seed, 11, many, threads=threads) == clipped
    np.testing.assert_array_equal(one, many)
    back, again = np.zeros(COUNT), np.zeros(COUNT)
    _core.decode(one, 32, 2.0**-20, back, threads=1)
    _core.decode(one, 32, 2.0**-20, again, threads=threads)
    np.testing.assert_array_equal(back, again)
    assert _core.inspect(x, 3.0, threads=threads) == (clipped, 0, np.abs(x).max())


def test_errors_come_back_from_threads(x: np.ndarray) -> None:
    x[[5, COUNT // 2, COUNT - 1]] = np.nan
    with pytest.raises(ValueError, match="3 values are NaN"):
        _core.encode(x, 1.0, 8.0, None, 0, np.zeros(COUNT, np.uint32), threads=4)


def test_calls_from_python_threads_do_not_disturb_each_other() -> None:
    def work(number: int) -> np.ndarray:
        acc = np.zeros(50_000, np.uint64)
        _core.apply_masks(acc, seeds(number + 1), np.ones(number + 1, np.int8), 0, threads=2)
        return acc

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(work, range(8)))
    for number, result in enumerate(results):
        np.testing.assert_array_equal(result, work(number))


def test_switching_kernels_meanwhile_changes_no_bits() -> None:
    before = _core.active_kernels()
    wanted = reference.keystream(SEED, 3, 2_000_000)
    stop = threading.Event()

    def switch() -> None:
        while not stop.is_set():
            for name in _core.available_kernels():
                _core.select_kernels(name)

    thread = threading.Thread(target=switch)
    thread.start()
    try:
        for _ in range(5):
            out = np.zeros(2_000_000, np.uint8)
            _core.keystream(SEED, 3, out, threads=3)
            assert out.tobytes() == wanted
    finally:
        stop.set()
        thread.join()
        _core.select_kernels(before)


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="counts threads in /proc")
def test_no_thread_outlives_the_call() -> None:
    def count() -> int:
        return len(list(Path("/proc/self/task").iterdir()))

    before = count()
    for _ in range(10):
        _core.keystream(SEED, 0, np.zeros(4_000_000, np.uint8), threads=4)
    deadline = time.monotonic() + 10  # the system removes a joined thread's entry a little later
    while count() > before and time.monotonic() < deadline:
        time.sleep(0.001)
    assert count() <= before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_works_after_fork() -> None:
    out = np.zeros(2_000_000, np.uint8)
    _core.keystream(SEED, 0, out, threads=4)
    wanted = out.tobytes()
    with warnings.catch_warnings():
        # numpy's own threads make Python warn about forking; the core has none left.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        code = 1
        try:
            out[:] = 0
            _core.keystream(SEED, 0, out, threads=4)
            code = 0 if out.tobytes() == wanted else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("threads", [-1, 2**64])
def test_impossible_thread_counts_are_refused(threads: int) -> None:
    with pytest.raises(ValueError, match="threads"):
        _core.keystream(SEED, 0, np.zeros(1, np.uint8), threads=threads)
    with pytest.raises(TypeError):
        _core.keystream(SEED, 0, np.zeros(1, np.uint8), threads=1.5)

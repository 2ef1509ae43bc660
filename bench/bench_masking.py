"""The cost of one pairwise mask, beside the quickest generators a Python user has at hand.

Each call adds or subtracts the masks of several neighbors, as a client does. The baseline of each
group is the same keystream from `cryptography`: AES-128-CTR if no other cipher is named. numpy's
PCG64, which is no generator for secrets, stands for "masks for free". See
`fedsecure.benchmark.baselines`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from fedsecure import _core
from fedsecure.benchmark import Row, baselines
from fedsecure.primitives import ports

KERNEL_SETS = tuple(_core.available_kernels())
# Weights and neighbors: inside the second-level cache, outside it, and 64 MB as a large model has,
# where a loop over neighbors that passes over the whole vector each time waits for memory.
CASES = [(10_000, 1), (10_000, 8), (1_000_000, 1), (1_000_000, 8), (1 << 24, 16)]
# The core's number, bytes of a seed, and the same cipher in `cryptography`.
CIPHERS = {"AES-256": (2, 40, baselines.aes_ctr), "ChaCha20": (3, 40, baselines.chacha20)}
OTHER_CASE = (1_000_000, 8)
# One thread is timed by seconds of processor, which other programs disturb less.
one_thread = pytest.mark.benchmark(timer=time.process_time)
THREADS = [pytest.param(1, marks=one_thread), 0]  # 0: all cores
UNIT = "ns/weight/neighbor"
MEMORY = 1 << 26  # words of 4 bytes: 256 MB, which no cache holds

Run = Callable[..., None]
Select = Callable[[str], None]
Record = Callable[[Sequence[Row]], None]


def seeds(neighbors: int) -> tuple[np.ndarray, np.ndarray]:
    drawn = np.arange(24 * neighbors, dtype=np.uint8).reshape(neighbors, 24)
    return drawn, np.resize(np.array([1, -1], np.int8), neighbors)


def rounds(size: int) -> int | None:
    """Returns how often to run one: a fixed few times what takes seconds."""
    return 5 if size > 1_000_000 else None


def group(size: int, neighbors: int) -> str:
    return f"mask, k = {neighbors}, d = {size}"


@pytest.mark.parametrize(("size", "neighbors"), CASES)
@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("kernels", KERNEL_SETS)
def bench_apply_masks(
    measure: Run, select: Select, kernels: str, threads: int, neighbors: int, size: int
) -> None:
    select(kernels)
    total = np.zeros(size, np.uint32)
    drawn, signs = seeds(neighbors)
    measure(
        group(size, neighbors),
        f"{kernels}, {threads or 'all'} threads",
        size * neighbors,
        lambda: _core.apply_masks(total, drawn, signs, 0, threads=threads),
        unit=UNIT,
        rounds=rounds(size),
    )


@pytest.mark.parametrize(("size", "neighbors"), CASES)
@one_thread
def bench_cryptography(measure: Run, neighbors: int, size: int) -> None:
    total = np.zeros(size, np.uint32)
    drawn, signs = seeds(neighbors)
    keys = [seed.tobytes() for seed in drawn]
    measure(
        group(size, neighbors),
        "cryptography",
        size * neighbors,
        lambda: baselines.cryptography_masks(total, keys, signs.tolist()),
        unit=UNIT,
        rounds=rounds(size),
        baseline=True,
    )


@pytest.mark.parametrize(("size", "neighbors"), CASES)
@one_thread
def bench_numpy_pcg64(measure: Run, neighbors: int, size: int) -> None:
    total = np.zeros(size, np.uint32)
    _, signs = seeds(neighbors)
    measure(
        group(size, neighbors),
        "numpy PCG64",
        size * neighbors,
        lambda: baselines.pcg64_masks(total, range(neighbors), signs.tolist()),
        unit=UNIT,
        rounds=rounds(size),
    )


def by_cipher(cipher: str) -> tuple[str, int, np.ndarray, np.ndarray]:
    size, neighbors = OTHER_CASE
    number, seed_bytes, _ = CIPHERS[cipher]
    drawn = np.arange(seed_bytes * neighbors, dtype=np.uint16).astype(np.uint8)
    signs = np.resize(np.array([1, -1], np.int8), neighbors)
    group = f"mask by {cipher}, k = {neighbors}, d = {size}"
    return group, number, drawn.reshape(neighbors, seed_bytes), signs


@pytest.mark.parametrize("cipher", CIPHERS)
@pytest.mark.parametrize("kernels", KERNEL_SETS)
@one_thread
def bench_other_ciphers(measure: Run, select: Select, kernels: str, cipher: str) -> None:
    select(kernels)
    size, neighbors = OTHER_CASE
    group, number, drawn, signs = by_cipher(cipher)
    total = np.zeros(size, np.uint32)
    measure(
        group,
        f"{kernels}, 1 threads",
        size * neighbors,
        lambda: _core.apply_masks(total, drawn, signs, 0, prg=number, threads=1),
        unit=UNIT,
    )


@pytest.mark.parametrize("cipher", CIPHERS)
@one_thread
def bench_other_ciphers_cryptography(measure: Run, cipher: str) -> None:
    size, neighbors = OTHER_CASE
    group, _, drawn, signs = by_cipher(cipher)
    keys, total = [seed.tobytes() for seed in drawn], np.zeros(size, np.uint32)
    measure(
        group,
        "cryptography",
        size * neighbors,
        lambda: baselines.cryptography_masks(total, keys, signs.tolist(), CIPHERS[cipher][2]),
        unit=UNIT,
        baseline=True,
    )


@pytest.mark.parametrize("kernels", KERNEL_SETS)
def bench_port_bound(select: Select, record: Record, kernels: str) -> None:
    """What no mask can be below: the AES instructions alone, for the 4 bytes of a word."""
    select(kernels)
    count = 100_000_000
    times = []
    for _ in range(9):
        start = time.process_time()
        done = ports.aes_rounds(count)
        times.append((time.process_time() - start) / max(done, 1))
    if not done:
        return
    ns = 1e9 * sorted(times)[len(times) // 2] * ports.ROUNDS_PER_BLOCK * 4 / 16
    record([Row(f"AES port bound: {kernels}", ns, UNIT, None, None)])


@pytest.mark.parametrize("threads", THREADS)
def bench_memory(measure: Run, threads: int) -> None:
    """Read, modify, write: what bounds a mask of one neighbor on a long vector."""
    total, x = np.zeros(MEMORY, np.uint32), np.ones(MEMORY, np.uint32)
    measure(
        "memory, read both and write one",
        f"ring_add, {threads or 'all'} threads",
        3 * total.nbytes,
        lambda: _core.ring_add(total, x, threads=threads),
        unit="GB/s",
        rounds=5,
    )


@one_thread
def bench_memory_numpy(measure: Run) -> None:
    total, x = np.zeros(MEMORY, np.uint32), np.ones(MEMORY, np.uint32)
    measure(
        "memory, read both and write one",
        "numpy add",
        3 * total.nbytes,
        lambda: np.add(total, x, out=total),
        unit="GB/s",
        rounds=5,
        baseline=True,
    )

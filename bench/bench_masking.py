"""The cost of one pairwise mask, beside the quickest generators a Python user has at hand.

Each call adds or subtracts the masks of several neighbors, as a client does. The others in the
table do the same sum with `cryptography`'s AES-128-CTR (the same keystream, in cache-sized pieces,
then numpy's add) and with numpy's PCG64, which is no cryptographic generator: it stands for "masks
for free".
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from fedsecure import _core

KERNEL_SETS = tuple(_core.available_kernels())
# Weights and neighbors: inside the second-level cache, outside it, and 64 MB as a large model has,
# where a loop over neighbors that passes over the whole vector each time waits for memory.
CASES = [(10_000, 1), (10_000, 8), (1_000_000, 1), (1_000_000, 8), (1 << 24, 16)]
THREADS = [1, 0]  # 0: all cores
PIECE = 1 << 16  # words of 4 bytes: keystream and sum stay in the cache between the two passes
# Fixed, so that two commits expand the same seeds; the time does not depend on their value.
SEED = 20_240_229

Run = Callable[..., None]
Select = Callable[[str], None]


def seeds(neighbors: int) -> tuple[np.ndarray, np.ndarray]:
    drawn = np.random.default_rng(SEED).integers(0, 256, (neighbors, 24), np.uint8)
    return drawn, np.resize(np.array([1, -1], np.int8), neighbors)


def rounds(size: int) -> int | None:
    """Returns how often to run one: a fixed few times what takes seconds."""
    return 5 if size > 1_000_000 else None


def group(size: int) -> str:
    return f"mask uint32, d = {size}; weights counted once per neighbor"


@pytest.mark.parametrize(("size", "neighbors"), CASES)
@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("kernels", KERNEL_SETS)
def bench_apply_masks(
    per_weight: Run, select: Select, kernels: str, threads: int, neighbors: int, size: int
) -> None:
    select(kernels)
    total = np.zeros(size, np.uint32)
    drawn, signs = seeds(neighbors)
    per_weight(
        group(size),
        f"{kernels}, {neighbors} neighbors, {threads or 'all'} threads",
        size * neighbors,
        lambda: _core.apply_masks(total, drawn, signs, 0, threads=threads),
        rounds(size),
    )


@pytest.mark.parametrize(("size", "neighbors"), CASES)
def bench_cryptography(per_weight: Run, neighbors: int, size: int) -> None:
    total = np.zeros(size, np.uint32)
    zeros, stream = bytes(4 * PIECE), np.empty(4 * PIECE + 16, np.uint8)
    drawn, signs = seeds(neighbors)

    def mask() -> None:
        for seed, sign in zip(drawn, signs, strict=True):
            nonce = seed[16:].tobytes() + bytes(8)
            encryptor = Cipher(AES(seed[:16].tobytes()), CTR(nonce)).encryptor()
            combine = np.add if sign > 0 else np.subtract
            for start in range(0, size, PIECE):
                part = total[start : start + PIECE]
                encryptor.update_into(memoryview(zeros)[: part.nbytes], stream)
                combine(part, stream[: part.nbytes].view(np.uint32), out=part)

    what = f"cryptography, {neighbors} neighbors"
    per_weight(group(size), what, size * neighbors, mask, rounds(size))


@pytest.mark.parametrize(("size", "neighbors"), CASES)
def bench_numpy_pcg64(per_weight: Run, neighbors: int, size: int) -> None:
    total = np.zeros(size, np.uint32)
    _, signs = seeds(neighbors)

    def mask() -> None:
        for neighbor, sign in enumerate(signs):
            generator = np.random.Generator(np.random.PCG64(neighbor))
            combine = np.add if sign > 0 else np.subtract
            for start in range(0, size, PIECE):
                part = total[start : start + PIECE]
                combine(part, generator.integers(0, 2**32, len(part), np.uint32), out=part)

    what = f"numpy PCG64, {neighbors} neighbors"
    per_weight(group(size), what, size * neighbors, mask, rounds(size))

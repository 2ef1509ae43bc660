"""Float to ring and back, and bit-packing, beside what numpy alone would do."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from fedsecure import _core

KERNEL_SETS = tuple(_core.available_kernels())
SIZES = [10_000, 1_000_000]  # inside the second-level cache, and far outside it
WIDTHS = [24, 32, 41]  # odd bytes, whole lane, odd bits in a wide lane
BITS = 20
CLIP = 8.0
# Fixed, so that two commits encode the same numbers: which way values round costs branches.
SEED = 20_240_229
ROUNDING_SEED = bytes(range(24))

Run = Callable[..., None]
Select = Callable[[str], None]


def update(size: int) -> np.ndarray:
    """Returns weights as training leaves them: small, both signs, inside the clip."""
    return np.random.default_rng(SEED).normal(0.0, 0.05, size).astype(np.float32)


def lane(bits: int) -> type[np.unsignedinteger]:
    return np.uint32 if bits <= 32 else np.uint64


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("rounding", ["nearest", "stochastic"])
@pytest.mark.parametrize("kernels", KERNEL_SETS)
def bench_encode(per_weight: Run, select: Select, kernels: str, rounding: str, size: int) -> None:
    select(kernels)
    x, out = update(size), np.empty(size, np.uint32)
    seed = ROUNDING_SEED if rounding == "stochastic" else None
    per_weight(
        f"encode float32 -> uint32, d = {size}",
        f"{kernels}, {rounding}, 1 thread",
        size,
        lambda: _core.encode(x, 2.0**BITS, CLIP, seed, 0, out, threads=1),
    )


@pytest.mark.parametrize("size", SIZES)
def bench_encode_numpy(per_weight: Run, size: int) -> None:
    x = update(size)

    def encode() -> np.ndarray:
        return (
            np.rint(np.clip(x, -CLIP, CLIP) * np.float64(2.0**BITS)).astype(np.int64).astype("u4")
        )

    per_weight(f"encode float32 -> uint32, d = {size}", "numpy, nearest", size, encode)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kernels", KERNEL_SETS)
def bench_decode(per_weight: Run, select: Select, kernels: str, size: int) -> None:
    select(kernels)
    x, out = np.random.default_rng(SEED).integers(0, 2**32, size, np.uint32), np.empty(size, "f4")
    per_weight(
        f"decode uint32 -> float32, d = {size}",
        f"{kernels}, 1 thread",
        size,
        lambda: _core.decode(x, 32, 2.0**-BITS, out, threads=1),
    )


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("kernels", KERNEL_SETS)
def bench_pack(per_weight: Run, select: Select, kernels: str, bits: int, size: int) -> None:
    select(kernels)
    x = np.random.default_rng(SEED).integers(0, 2**bits, size, lane(bits))
    out = np.empty(_core.packed_size(size, bits), np.uint8)
    per_weight(
        f"pack, d = {size}",
        f"{kernels}, {bits} bits, 1 thread",
        size,
        lambda: _core.pack(x, bits, out, threads=1),
    )


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("kernels", KERNEL_SETS)
def bench_unpack_add(per_weight: Run, select: Select, kernels: str, bits: int, size: int) -> None:
    select(kernels)
    x = np.random.default_rng(SEED).integers(0, 2**bits, size, lane(bits))
    packed, total = np.empty(_core.packed_size(size, bits), np.uint8), np.zeros(size, lane(bits))
    _core.pack(x, bits, packed)
    per_weight(
        f"unpack and add, d = {size}",
        f"{kernels}, {bits} bits, 1 thread",
        size,
        lambda: _core.unpack_add(packed, bits, total, threads=1),
    )

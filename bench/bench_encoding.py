"""Float to ring and back, and bit-packing, beside what numpy alone would do."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest

from fedsecure import _core
from fedsecure.benchmark import baselines

# All of one thread: seconds of processor, which other programs disturb less.
pytestmark = pytest.mark.benchmark(timer=time.process_time)

KERNEL_SETS = tuple(_core.available_kernels())
SIZES = [10_000, 1_000_000]  # inside the second-level cache, and far outside it
WIDTHS = [20, 24, 31, 41]  # a small ring, whole bytes, a hundred clients, odd bits in a wide lane
BITS = 20
CLIP = 8.0
# Fixed, so that two commits encode the same numbers: which way values round costs branches.
SEED = 20_240_229
ROUNDING_SEED = bytes(range(24))

Run = Callable[..., None]
Select = Callable[[str], None]


def lane(bits: int) -> type[np.unsignedinteger]:
    return np.uint32 if bits <= 32 else np.uint64


def elements(size: int, bits: int) -> np.ndarray:
    return np.random.default_rng(SEED).integers(0, 2**bits, size, lane(bits))


def encoding(size: int) -> str:
    return f"encode float32, d = {size}"


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("rounding", ["nearest", "stochastic"])
@pytest.mark.parametrize("kernels", KERNEL_SETS)
def bench_encode(measure: Run, select: Select, kernels: str, rounding: str, size: int) -> None:
    select(kernels)
    x, out = baselines.update(size), np.empty(size, np.uint32)
    seed = ROUNDING_SEED if rounding == "stochastic" else None
    measure(
        encoding(size),
        f"{kernels}, {rounding}",
        x.nbytes,
        lambda: _core.encode(x, 2.0**BITS, CLIP, seed, 0, out, threads=1),
        unit="GB/s",
    )


@pytest.mark.parametrize("size", SIZES)
def bench_encode_numpy(measure: Run, size: int) -> None:
    """The baseline: round to nearest, without any checks."""
    x = baselines.update(size)

    def encode() -> np.ndarray:
        return (
            np.rint(np.clip(x, -CLIP, CLIP) * np.float64(2.0**BITS)).astype(np.int64).astype("u4")
        )

    measure(encoding(size), "numpy", x.nbytes, encode, unit="GB/s", baseline=True)


def decoding(size: int) -> str:
    return f"decode uint32 to float32, d = {size}"


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kernels", KERNEL_SETS)
def bench_decode(measure: Run, select: Select, kernels: str, size: int) -> None:
    select(kernels)
    x, out = elements(size, 32), np.empty(size, np.float32)
    measure(
        decoding(size),
        kernels,
        size,
        lambda: _core.decode(x, 32, 2.0**-BITS, out, threads=1),
    )


@pytest.mark.parametrize("size", SIZES)
def bench_decode_numpy(measure: Run, size: int) -> None:
    x = elements(size, 32)

    def decode() -> np.ndarray:
        return (x.view(np.int32) * np.float64(2.0**-BITS)).astype(np.float32)

    measure(decoding(size), "numpy", size, decode, baseline=True)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("kernels", KERNEL_SETS)
def bench_pack(measure: Run, select: Select, kernels: str, bits: int, size: int) -> None:
    select(kernels)
    x = elements(size, bits)
    out = np.empty(_core.packed_size(size, bits), np.uint8)
    measure(
        f"pack {bits} bits, d = {size}",
        kernels,
        size,
        lambda: _core.pack(x, bits, out, threads=1),
    )


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("bits", WIDTHS)
def bench_copy(measure: Run, bits: int, size: int) -> None:
    """What sending the lanes as they are would cost: a copy of them."""
    x, out = elements(size, bits), np.empty(size, lane(bits))
    group = f"pack {bits} bits, d = {size}"
    measure(group, "numpy copy", size, lambda: np.copyto(out, x), baseline=True)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("kernels", KERNEL_SETS)
def bench_unpack_add(measure: Run, select: Select, kernels: str, bits: int, size: int) -> None:
    select(kernels)
    x, total = elements(size, bits), np.zeros(size, lane(bits))
    packed = np.empty(_core.packed_size(size, bits), np.uint8)
    _core.pack(x, bits, packed)
    measure(
        f"unpack {bits} bits and add, d = {size}",
        kernels,
        size,
        lambda: _core.unpack_add(packed, bits, total, threads=1),
    )


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("bits", WIDTHS)
def bench_add(measure: Run, bits: int, size: int) -> None:
    """What a sum of lanes that were sent as they are would cost: numpy's add."""
    x, total = elements(size, bits), np.zeros(size, lane(bits))
    group = f"unpack {bits} bits and add, d = {size}"
    measure(group, "numpy add", size, lambda: np.add(total, x, out=total), baseline=True)

"""Noise beside numpy's, whose normal is rounded and whose Poisson is not exact; the rotation."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest

from fedsecure import _core
from fedsecure.benchmark import baselines

# All of one thread: seconds of processor, which other programs disturb less.
pytestmark = pytest.mark.benchmark(timer=time.process_time)

KERNEL_SETS = (_core.available_kernels()[0], "portable")
SIZE = 1_000_000
SIGMAS = ["0.5", "1", "3", "10", "100", "1e3", "1e4", "1e5"]
LENGTHS = [20, 24]  # of vectors that are rotated, as powers of two
SEED = bytes(range(40))

Run = Callable[..., None]
Select = Callable[[str], None]


def noise(law: str, sigma: str) -> str:
    return f"{law}, sigma = {sigma}"


@pytest.mark.parametrize("sigma", SIGMAS)
@pytest.mark.parametrize("kernels", KERNEL_SETS)
@pytest.mark.parametrize("law", ["discrete Gaussian", "Skellam"])
def bench_noise(measure: Run, select: Select, law: str, kernels: str, sigma: str) -> None:
    """Added to ring elements in place, as clients do."""
    select(kernels)
    sample = _core.sample_skellam if law == "Skellam" else _core.sample_discrete_gaussian
    variance, out = float(sigma) ** 2, np.zeros(SIZE, np.uint32)
    measure(
        noise(law, sigma),
        kernels,
        SIZE,
        lambda: sample(variance.as_integer_ratio(), SEED, 0, out, threads=1),
    )


@pytest.mark.parametrize("sigma", SIGMAS)
def bench_normal_numpy(measure: Run, sigma: str) -> None:
    """The baseline of one: normal numbers, rounded and added. Doubles decide."""
    generator, out = np.random.default_rng(1), np.zeros(SIZE, np.uint32)

    def run() -> None:
        numbers = np.rint(generator.normal(scale=float(sigma), size=SIZE)).astype(np.int64)
        np.add(out, numbers.astype(np.uint32), out=out)

    measure(noise("discrete Gaussian", sigma), "numpy", SIZE, run, baseline=True)


@pytest.mark.parametrize("sigma", SIGMAS)
def bench_poisson_numpy(measure: Run, sigma: str) -> None:
    """The baseline of the other: a difference of Poisson numbers, which decide by doubles."""
    generator, out = np.random.default_rng(1), np.zeros(SIZE, np.uint32)
    mean = float(sigma) ** 2 / 2

    def run() -> None:
        numbers = generator.poisson(mean, SIZE) - generator.poisson(mean, SIZE)
        np.add(out, numbers.astype(np.uint32), out=out)

    measure(noise("Skellam", sigma), "numpy", SIZE, run, baseline=True)


def rotation(log_length: int) -> str:
    return f"Hadamard float32, d = 2^{log_length}"


@pytest.mark.parametrize("log_length", LENGTHS)
def bench_hadamard(measure: Run, log_length: int) -> None:
    x = baselines.update(1 << log_length)
    x[:] = 0  # values grow from call to call
    measure(
        rotation(log_length),
        "fedsecure",
        x.nbytes,
        lambda: _core.hadamard(x, threads=1),
        unit="GB/s",
    )


@pytest.mark.parametrize("log_length", LENGTHS)
@pytest.mark.parametrize("kernels", KERNEL_SETS)
def bench_signs(measure: Run, select: Select, kernels: str, log_length: int) -> None:
    select(kernels)
    x = baselines.update(1 << log_length)
    measure(
        rotation(log_length),
        f"{kernels}, signs",
        x.nbytes,
        lambda: _core.flip_signs(x, SEED, 0, threads=1),
        unit="GB/s",
    )


@pytest.mark.parametrize("log_length", LENGTHS)
def bench_copy(measure: Run, log_length: int) -> None:
    x = baselines.update(1 << log_length)
    out = np.empty_like(x)
    measure(
        rotation(log_length),
        "numpy copy",
        x.nbytes,
        lambda: np.copyto(out, x),
        unit="GB/s",
        baseline=True,
    )

"""`secure_aggregate`, every party in this process, beside numpy's mean: the price of privacy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import fedsecure as fs
from fedsecure.benchmark import baselines

CLIENTS = [3, 10, 30]
SIZES = [1_000, 100_000, 1_000_000]
LARGEST = 10_000_000  # weights times clients; beyond it one call takes too long for a bench
CASES = [(n, d) for n in CLIENTS for d in SIZES if n * d <= LARGEST]
ROUNDS = 5

Run = Callable[..., None]


def updates(clients: int, size: int) -> list[dict[str, np.ndarray]]:
    return [{"w": baselines.update(size, number)} for number in range(clients)]


def group(clients: int, size: int) -> str:
    return f"secure_aggregate, n = {clients}, d = {size}"


@pytest.mark.parametrize(("clients", "size"), CASES)
def bench_secure_aggregate(measure: Run, clients: int, size: int) -> None:
    given = updates(clients, size)
    measure(
        group(clients, size),
        "all parties, all threads",
        clients * size,
        lambda: fs.secure_aggregate(given),
        rounds=ROUNDS,
    )


@pytest.mark.parametrize(("clients", "size"), CASES)
def bench_numpy_mean(measure: Run, clients: int, size: int) -> None:
    given = updates(clients, size)

    def mean() -> np.ndarray:
        total = np.zeros(size, np.float32)
        for update in given:
            total += update["w"]
        return total / clients

    what = "numpy mean"
    measure(group(clients, size), what, clients * size, mean, rounds=ROUNDS, baseline=True)

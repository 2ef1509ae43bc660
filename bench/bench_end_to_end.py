"""`secure_aggregate`, every party in this process, beside numpy's mean: the price of privacy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import fedsecure as fs

CLIENTS = [3, 10, 30]
SIZES = [1_000, 100_000, 1_000_000]
LARGEST = 10_000_000  # weights times clients; beyond it one call takes too long for a bench
CASES = [(n, d) for n in CLIENTS for d in SIZES if n * d <= LARGEST]
ROUNDS = 5
# Fixed, so that two commits sum the same updates.
SEED = 20_240_229

Run = Callable[..., None]


def updates(clients: int, size: int) -> list[dict[str, np.ndarray]]:
    generator = np.random.default_rng(SEED)
    return [{"w": generator.normal(0.0, 0.05, size).astype(np.float32)} for _ in range(clients)]


def group(clients: int, size: int) -> str:
    return f"n = {clients}, d = {size}; weights counted once per client"


@pytest.mark.parametrize(("clients", "size"), CASES)
def bench_secure_aggregate(per_weight: Run, clients: int, size: int) -> None:
    given = updates(clients, size)
    per_weight(
        group(clients, size),
        "secure_aggregate, all parties",
        clients * size,
        lambda: fs.secure_aggregate(given),
        rounds=ROUNDS,
    )


@pytest.mark.parametrize(("clients", "size"), CASES)
def bench_numpy_mean(per_weight: Run, clients: int, size: int) -> None:
    given = updates(clients, size)

    def mean() -> np.ndarray:
        total = np.zeros(size, np.float32)
        for update in given:
            total += update["w"]
        return total / clients

    per_weight(group(clients, size), "numpy mean", clients * size, mean, rounds=ROUNDS)

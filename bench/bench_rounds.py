"""Whole rounds beside Flower's: the rows of `fedsecure bench`, and the same for other sizes.

Not by pytest-benchmark: ours and the baseline run in turn (see `fedsecure.benchmark`).
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from fedsecure import _core
from fedsecure.benchmark import SHORT, Row, baselines, masking, rounds
from fedsecure.benchmark.parties import Case, Session
from fedsecure.benchmark.timing import Times, in_turn, on_threads

# The whole of Flower's round is run for each.
CASES = [
    Case(clients=16, weights=100_000, neighbors=None, gone=0),
    Case(clients=16, weights=100_000, neighbors=None, gone=2),
    Case(clients=16, weights=1_000_000, neighbors=None, gone=2),
]
REPEATS = 7
SEEDS = 24  # bytes of a mask's seed, and of that for rounding

Record = Callable[[Sequence[Row]], None]
Parts = dict[str, dict[str, float]]


def bench_masks(record: Record) -> None:
    record(masking.mask_rows(SHORT.words, SHORT.mask_neighbors, REPEATS))


def bench_regular(record: Record) -> None:
    """All of Flower's workflow, and beside it what the short form makes of its parts."""
    record(rounds.regular_rows(SHORT.regular, SHORT.measured, REPEATS, whole=True))
    scaled = rounds.regular_rows(SHORT.regular, SHORT.measured, REPEATS)
    record([replace(row, name=f"{row.name} (parts)") for row in scaled[:2]])


def bench_complete(record: Record, request: pytest.FixtureRequest) -> None:
    whole = bool(request.config.getoption("--whole"))
    record(rounds.complete_rows(SHORT.complete, REPEATS, whole=whole))


@pytest.mark.parametrize("case", CASES, ids=str)
def bench_other_rounds(record: Record, case: Case) -> None:
    client, server, *_ = rounds.regular_rows(case, 0, REPEATS, whole=True)
    sizes = f"n = {case.clients}, k = {case.clients - 1}, d = {case.weights}, {case.gone} gone"
    record([replace(client, name=f"client, {sizes}"), replace(server, name=f"server, {sizes}")])


def bench_client_parts(parts: Parts) -> None:
    """What a client's round is made of. Keys: the same round with one weight in the update."""
    case, flower = SHORT.regular, rounds.baseline()
    with on_threads(1):
        parts["fedsecure"] = {
            "keys": keys_of(replace(case, weights=1)),
            **scaled(our_parts(case)),
        }
        if flower is None:
            return
        clique = Case(case.neighbors + 1, 1, None, case.neighbors + 1 - SHORT.measured)
        keys = 1e3 * statistics.median(flower.play(clique, 11).clients)
        update = baselines.update(case.weights)
        parts["Flower"] = {
            "keys": keys,
            **scaled(flower.client_parts(update, case.neighbors)),
        }


def keys_of(case: Case) -> float:
    session = Session(case)
    session.play()
    return 1e3 * statistics.median(session.client_seconds())


def scaled(parts: Mapping[str, tuple[float, Callable[[], object]]]) -> dict[str, float]:
    """Returns milliseconds of each part."""
    found: Mapping[str, Times] = in_turn({name: each for name, (_, each) in parts.items()}, REPEATS)
    return {name: 1e3 * count * found[name].median for name, (count, _) in parts.items()}


def our_parts(case: Case) -> dict[str, tuple[float, Callable[[], object]]]:
    """Returns what a client does in one pass, one after the other; "encode" includes the check."""
    bits = Session(replace(case, weights=1)).session.layout.modulus_bits
    update, out = baselines.update(case.weights), np.empty(case.weights, np.uint32)
    count = case.neighbors + 1
    seeds = np.arange(SEEDS * count, dtype=np.uint16).astype(np.uint8).reshape(count, SEEDS)
    signs = np.resize(np.array([1, -1], np.int8), count)
    packed = np.empty(_core.packed_size(case.weights, bits), np.uint8)

    def encode() -> None:
        _core.inspect(update, 8.0, threads=1)
        _core.encode(update, 2.0**20, 8.0, bytes(SEEDS), 0, out, threads=1)

    return {
        "encode": (1, encode),
        "masks": (1, lambda: _core.apply_masks(out, seeds, signs, 0, threads=1)),
        "pack": (1, lambda: _core.pack(out, bits, packed, threads=1)),
    }

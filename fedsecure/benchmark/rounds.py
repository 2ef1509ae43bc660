"""Whole rounds, client and server, beside Flower's."""

from __future__ import annotations

import statistics
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

from fedsecure.benchmark.parties import Case, Session
from fedsecure.benchmark.rows import Row
from fedsecure.benchmark.timing import in_turn, on_threads, spread

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fedsecure.benchmark.timing import Times

__all__ = ["MISSING", "baseline", "complete_rows", "regular_rows"]

MISSING = "flwr is not installed; for this baseline: pip install 'flwr>=1.41,<1.43'"
_CLIENT, _SERVER = "client_pass_vs_flower", "server_round_vs_flower"
_COMPLETE = "server_complete_graph_vs_flower"
_OVERHEAD, _UPLOAD = "wire_bits_overhead", "wire_bytes_vs_flower"


def baseline() -> Any:
    """Returns `fedsecure.benchmark.flower`, or None where flwr is not installed."""
    try:
        return import_module("fedsecure.benchmark.flower")
    except ImportError:
        return None


def regular_rows(case: Case, measured: int, repeats: int, *, whole: bool = False) -> list[Row]:
    """Returns what a round in the k-regular graph costs clients and server, and a client's bytes.

    Ours is played before Flower's and after it, so that a machine that gets faster or slower does
    not decide; and once more before that, untimed: a virtual machine gets memory from its host when
    it is touched for the very first time, which can cost more than all that a client does.

    Args:
        case: What is aggregated; with `neighbors`.
        measured: How many of Flower's clients are timed in the short form.
        repeats: How often the server's work is done.
        whole: Whether all of Flower's round is run, once, instead of parts of it.
    """
    flower, before, ours = baseline(), Session(case), Session(case)
    threshold = ours.session.threshold
    with on_threads(1):
        Session(case).play()
        before.play()
        theirs = _play_flower(flower, case, threshold, None if whole else measured)
        ours.play()
        parts = {} if flower is None or whole else flower.server_parts(case, threshold)
        served, scaled = _serve(ours, parts, repeats)
    if theirs is not None and whole:
        scaled = [theirs.server]
    seconds = [*before.client_seconds(), *ours.client_seconds()]
    count = case.survivors if whole else measured
    note = f"secaggplus_mod of Flower; medians of {len(seconds)} clients and of Flower's {count}"
    client = _row(_CLIENT, "ms", seconds, theirs and theirs.clients, note)
    how = "Flower's whole workflow, run once" if whole else _scaled_note(parts)
    server = _row(_SERVER, "s", served.cpu, scaled, how)
    return [client, server, *_upload_rows(ours, case, theirs)]


def complete_rows(case: Case, repeats: int, *, whole: bool = False) -> list[Row]:
    """Returns what a round in the complete graph costs the server.

    Args:
        case: What is aggregated; without `neighbors`.
        repeats: How often the server's work is done.
        whole: Whether all of Flower's round is run, once, which takes minutes.
    """
    flower, ours = baseline(), Session(case)
    threshold = ours.session.threshold
    with on_threads(1):
        parts = {} if flower is None or whole else flower.server_parts(case, threshold)
        served, scaled = _serve(ours, parts, repeats)
        if flower is not None and whole:
            scaled = [flower.play(case, threshold).server]
    how = "Flower's whole workflow, run once" if whole else _scaled_note(parts)
    return [_row(_COMPLETE, "s", served.cpu, scaled, how)]


def _play_flower(flower: Any, case: Case, threshold: int, measured: int | None) -> Any:
    """Plays Flower's session and returns what it cost, or None without Flower.

    The short form takes k + 1 clients that are all neighbors of each other: to one client that is
    the same as k neighbors among n.
    """
    if flower is None:
        return None
    if measured is None:
        return flower.play(case, threshold)
    size = (case.neighbors or case.clients - 1) + 1
    return flower.play(replace(case, clients=size, neighbors=None, gone=size - measured), threshold)


def _serve(
    ours: Session, parts: Mapping[str, tuple[float, Callable[[], object]]], repeats: int
) -> tuple[Times, list[float] | None]:
    """Returns our server's times, and Flower's: each the sum of the parts, times their counts."""
    functions = {f"flower {name}": function for name, (_, function) in parts.items()}
    found = in_turn({"ours": ours.serve, **functions}, repeats)
    if not parts:
        return found["ours"], None
    each = [
        sum(count * found[f"flower {name}"].cpu[turn] for name, (count, _) in parts.items())
        for turn in range(repeats)
    ]
    return found["ours"], each


def _scaled_note(parts: Mapping[str, tuple[float, object]]) -> str:
    counts = ", ".join(f"{name} x {count:.4g}" for name, (count, _) in parts.items())
    return f"Flower's parts, each timed and scaled: {counts}"


def _row(
    name: str,
    unit: str,
    ours: Sequence[float],
    theirs: Sequence[float] | None,
    note: str,
) -> Row:
    scale = {"s": 1.0, "ms": 1e3}[unit]
    value = scale * statistics.median(ours)
    if not theirs:
        return Row(name, value, unit, None, None, MISSING, spread(ours))
    other = scale * statistics.median(theirs)
    wider = max(spread(ours), spread(theirs))
    return Row(name, value, unit, other, other / value, note, wider)


def _upload_rows(ours: Session, case: Case, theirs: Any) -> list[Row]:
    value, bits = ours.upload / case.weights, ours.session.layout.modulus_bits
    bound = bits / 8
    note = f"bound: {bits} bits, the width of the ring; ratio: times the bound"
    unit = "bytes/weight"
    rows = [Row(_OVERHEAD, value, unit, bound, value / bound, note)]
    if theirs is None:
        return [*rows, Row(_UPLOAD, value, unit, None, None, MISSING)]
    other = theirs.upload / case.weights
    return [*rows, Row(_UPLOAD, value, unit, other, other / value, "Flower's masked vectors")]

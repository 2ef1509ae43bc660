"""Masks alone: for sixteen neighbors over one long vector."""

from __future__ import annotations

import os
from functools import partial

import numpy as np

from fedsecure.benchmark import baselines
from fedsecure.benchmark.rows import Row
from fedsecure.benchmark.timing import Times, in_turn, on_threads, spread
from fedsecure.primitives import masks, ports

__all__ = ["mask_rows"]

_WORD_BYTES, _BLOCK_BYTES = 4, 16
_UNIT = "ns/weight/neighbor"
_OTHERS = {
    "cryptography": "AES-128-CTR of cryptography by update_into, then numpy's add, mask by mask",
    "cryptography_in_cache": "the same, cut by hand into pieces that stay in the cache",
    "pcg64": "numpy's PCG64 and add, mask by mask: no generator for secrets",
    "pcg64_in_cache": "the same, cut by hand into pieces that stay in the cache",
}


def mask_rows(words: int, neighbors: int, repeats: int) -> list[Row]:
    """Returns the rows ``mask_k16_*``, for so many uint32 words and neighbors.

    Args:
        words: Length of the vector; it is masked in place.
        neighbors: k, half of them to be added and half subtracted.
        repeats: Of each measurement; the medians count.
    """
    total = np.zeros(words, np.uint32)
    seeds = [bytes([neighbor]) * masks.Prg.AES128.seed_bytes for neighbor in range(neighbors)]
    signs = [1 - 2 * (neighbor % 2) for neighbor in range(neighbors)]
    ours = masks.MaskSet(seeds, signs)
    # As many rounds as the masks themselves take.
    rounds = words * _WORD_BYTES // _BLOCK_BYTES * neighbors * ports.ROUNDS_PER_BLOCK
    done = ports.aes_rounds(1)

    def threaded(count: int) -> None:
        with on_threads(count):
            ours.apply(total)

    made_by_cryptography = partial(baselines.cryptography_masks, total, seeds, signs)
    drawn_by_pcg64 = partial(baselines.pcg64_masks, total, range(neighbors), signs)
    found = in_turn(
        {
            "one": partial(threaded, 1),
            "two": partial(threaded, 2),
            "port": partial(ports.aes_rounds, rounds),
            "cryptography": partial(made_by_cryptography, piece=words),
            "cryptography_in_cache": made_by_cryptography,
            "pcg64": partial(drawn_by_pcg64, piece=words),
            "pcg64_in_cache": drawn_by_pcg64,
        },
        repeats,
    )
    ours.wipe()
    per = 1e9 / (words * neighbors)
    return [
        _bound(found["one"], found["port"] if done else None, per),
        *(_beside(name, found, per, note) for name, note in _OTHERS.items()),
        _two_threads(found["one"], found["two"], per),
    ]


def _bound(ours: Times, port: Times | None, per: float) -> Row:
    name, value = "mask_k16_vs_port_bound", ours.median * per
    if port is None:
        note = "no AES instructions in the kernel set in use: no bound"
        return Row(name, value, _UNIT, None, None, note, ours.spread)
    note = "bound: the AES instructions alone, 10 for 16 bytes; ratio: times the bound"
    wider = max(ours.spread, port.spread)
    return Row(name, value, _UNIT, port.median * per, ours.median / port.median, note, wider)


def _beside(name: str, found: dict[str, Times], per: float, note: str) -> Row:
    ours, theirs = found["one"], found[name]
    return Row(
        f"mask_k16_vs_{name}",
        ours.median * per,
        _UNIT,
        theirs.median * per,
        theirs.median / ours.median,
        note,
        max(ours.spread, theirs.spread),
    )


def _two_threads(one: Times, two: Times, per: float) -> Row:
    name, value, baseline = "mask_k16_two_threads", two.wall_least * per, one.wall_least * per
    if (os.cpu_count() or 1) < 2:
        return Row(name, None, _UNIT, baseline, None, "this machine has one processor")
    note = "two threads; baseline: one; the least times of both, by the clock"
    wider = max(spread(one.wall), spread(two.wall))
    return Row(name, value, _UNIT, baseline, baseline / value, note, wider)

"""Every keystream has one use: no two purposes, clients or sessions draw from one seed.

A mask word that also rounded a value, or made a share, would tell something about both. Positions
in a keystream cannot collide where seeds never do, so this is what keeps counters apart.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest

import fedsecure as fs
from fedsecure import _core

SIZE = 100


class Watch:
    """Calls of the core that expand a seed, by purpose, over whole sessions."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.uses: dict[str, list[bytes]] = defaultdict(list)
        self.ranges: dict[bytes, list[tuple[int, int]]] = defaultdict(list)
        self._real = {name: getattr(_core, name) for name in ("encode_masked", "shamir_split")}
        monkeypatch.setattr(_core, "encode_masked", self._encode_masked)
        monkeypatch.setattr(_core, "shamir_split", self._shamir_split)

    def _encode_masked(self, *given: Any, **more: Any) -> Any:
        _, floats, integers, _, _, seed, first, seeds, *_ = given
        count = sum(piece.size for piece in floats) + len(integers)
        for purpose, row in (("rounding", seed), *(("mask", row) for row in seeds)):
            key = bytes(row)
            self.uses[purpose].append(key)
            self.ranges[purpose.encode() + key].append((first, first + count))
        return self._real["encode_masked"](*given, **more)

    def _shamir_split(self, *given: Any, **more: Any) -> Any:
        self.uses["shares"].append(bytes(given[3]))
        return self._real["shamir_split"](*given, **more)


@pytest.mark.parametrize("adversary", ["semi_honest", "malicious"])
def test_no_keystream_has_two_uses(monkeypatch: pytest.MonkeyPatch, adversary: Any) -> None:
    watch = Watch(monkeypatch)
    updates = [np.full(SIZE, float(at), np.float32) for at in range(5)]
    protocol = fs.PairwiseMasking(adversary=adversary, chunk=37)
    sessions = 2
    for _ in range(sessions):
        fs.secure_aggregate(updates, weights=[1, 2, 3, 4, 5], protocol=protocol)
    purposes = {purpose: set(seeds) for purpose, seeds in watch.uses.items()}
    assert set(purposes) == {"rounding", "mask", "shares"}
    assert len(set.union(*purposes.values())) == sum(map(len, purposes.values()))
    # One rounding seed and one splitting seed per client and session; a self mask per client, and
    # one mask per pair, which exactly its two ends expand.
    assert len(purposes["rounding"]) == len(purposes["shares"]) == 5 * sessions
    assert len(purposes["mask"]) == (5 + 10) * sessions
    pieces = -(-(SIZE + 1) // 37)
    counts = sorted(watch.uses["mask"].count(seed) for seed in purposes["mask"])
    assert counts == [pieces] * 5 * sessions + [2 * pieces] * 10 * sessions


def test_no_position_is_used_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of one vector take words that follow each other, without a gap or an overlap."""
    watch = Watch(monkeypatch)
    update = {"a": np.zeros(50, np.float32), "b": np.zeros(61, np.float16)}
    fs.secure_aggregate([update] * 3, protocol=fs.PairwiseMasking(chunk=16))
    assert watch.ranges
    for ranges in watch.ranges.values():
        by_user = sorted(ranges)
        starts = {first for first, _ in by_user}
        assert starts == set(range(0, 111, 16))
        assert {stop for _, stop in by_user} == {*range(16, 111, 16), 111}

"""The complete graph: who masks against whom, and where each holds its shares."""

from __future__ import annotations

import hashlib

import pytest

from fedsecure.primitives.graph import CompleteGraph

IDS = (2, 5, 7, 2**32 - 2)


def test_everybody_but_oneself() -> None:
    graph = CompleteGraph(IDS)
    for client_id in IDS:
        neighbors = graph.neighbors(client_id)
        assert sorted([*neighbors, client_id]) == list(IDS)
        assert list(neighbors) == sorted(neighbors)
        assert graph.holders(client_id) == IDS
        assert graph.position(client_id, client_id) == IDS.index(client_id) + 1


def test_positions_are_those_of_the_ids_from_one() -> None:
    graph = CompleteGraph(IDS)
    for owner in IDS:
        assert [graph.position(owner, holder) for holder in IDS] == [1, 2, 3, 4]


def test_strangers() -> None:
    graph = CompleteGraph(IDS)
    with pytest.raises(KeyError):
        graph.neighbors(3)
    with pytest.raises(KeyError):
        graph.position(2, 3)


def test_digest() -> None:
    ids = b"".join(client_id.to_bytes(4, "little") for client_id in IDS)
    assert CompleteGraph(IDS).digest == hashlib.sha256(b"fedsecure/v1/graphcomplete" + ids).digest()
    assert CompleteGraph(IDS).digest != CompleteGraph(IDS[:3]).digest

"""The k-regular graph: its shape, its shuffle word for word, and that every order is as likely."""

from __future__ import annotations

import hashlib
from collections import Counter
from itertools import product
from math import factorial
from typing import Any

import pytest

from fedsecure.errors import LocalProtocolError
from fedsecure.primitives.graph import HararyGraph

SEED = bytes(range(32))
IDS = (2, 5, 7, 11, 13, 17, 2**32 - 2)


def seed(number: int) -> bytes:
    return hashlib.sha256(number.to_bytes(8, "little")).digest()


def shuffled(ids: list[int], key: bytes) -> list[int]:
    """The ring by its description alone, bytes taken one by one."""
    data = bytearray()
    used = 0
    blocks = 0
    ring = list(ids)
    for i in range(len(ids) - 1, 0, -1):
        while True:
            if used == len(data):
                prefix = b"fedsecure/v1/ring" + key
                data += hashlib.sha256(prefix + blocks.to_bytes(8, "little")).digest()
                blocks += 1
            word = data[used] | data[used + 1] << 8 | data[used + 2] << 16 | data[used + 3] << 24
            used += 4
            r = word % 2 ** len(f"{i:b}")
            if r <= i:
                break
        ring[i], ring[r] = ring[r], ring[i]
    return ring


def test_known_answers() -> None:
    """Pinned: another implementation must find the same rings."""
    assert HararyGraph(range(10), 4, SEED).ring == (9, 0, 3, 2, 1, 7, 5, 4, 6, 8)
    assert HararyGraph(IDS, 2, bytes(32)).ring == (5, 7, 11, 2, 4294967294, 13, 17)
    long = HararyGraph(range(1000), 4, SEED).ring
    packed = b"".join(client_id.to_bytes(4, "little") for client_id in long)
    assert (
        hashlib.sha256(packed).hexdigest()
        == "36c877c9029eca1a36f91121bb31bedf231a10d71e7b21206161a5be44169536"
    )


@pytest.mark.parametrize("n", [3, 4, 8, 9, 33, 257, 1000])
def test_ring_equals_its_description(n: int) -> None:
    ids = [7 * number + 1 for number in range(n)]
    for number in range(5):
        assert list(HararyGraph(ids, 2, seed(number)).ring) == shuffled(ids, seed(number))


@pytest.mark.parametrize(("n", "k"), [(3, 2), (4, 2), (5, 4), (9, 4), (10, 8), (40, 6), (41, 40)])
def test_shape(n: int, k: int) -> None:
    graph = HararyGraph(range(100, 100 + n), k, SEED)
    ring = graph.ring
    for place, client in enumerate(ring):
        near = {ring[(place + s) % n] for s in range(-k // 2, k // 2 + 1)}
        neighbors = graph.neighbors(client)
        assert list(neighbors) == sorted(near - {client})
        assert len(neighbors) == k
        assert all(client in graph.neighbors(other) for other in neighbors)
        assert list(graph.holders(client)) == sorted(near - {client})
        assert [graph.position(client, holder) for holder in graph.holders(client)] == list(
            range(1, k + 1)
        )


@pytest.mark.parametrize(("n", "k"), [(3, 2), (9, 8), (30, 10)])
def test_nobody_holds_a_share_of_its_own_secrets(n: int, k: int) -> None:
    graph = HararyGraph(range(n), k, SEED)
    for owner in range(n):
        assert owner not in graph.holders(owner)
        with pytest.raises(KeyError):
            graph.position(owner, owner)
        # Every pair of an owner and a holder has a place of its own, and no other has one.
        places = {}
        for holder in set(range(n)) - {owner}:
            if holder in graph.neighbors(owner):
                places[graph.position(owner, holder)] = holder
            else:
                with pytest.raises(KeyError):
                    graph.position(owner, holder)
        assert [places[x] for x in range(1, k + 1)] == list(graph.neighbors(owner))


def test_known_positions() -> None:
    """Pinned: the abscissas of the shares of two clients of a ring of ten."""
    graph = HararyGraph(range(10), 4, SEED)  # ring 9 0 3 2 1 7 5 4 6 8
    assert graph.holders(1) == (2, 3, 5, 7)
    assert [graph.position(1, holder) for holder in (2, 3, 5, 7)] == [1, 2, 3, 4]
    assert graph.holders(9) == (0, 3, 6, 8)
    assert [graph.position(9, holder) for holder in (0, 3, 6, 8)] == [1, 2, 3, 4]


def test_graphs_that_differ_share_nothing() -> None:
    """Equal graphs share what was worked out; others have an answer of their own."""
    for ids, k, key in product((IDS, IDS[:-1]), (2, 4), (SEED, seed(1))):
        graph = HararyGraph(ids, k, key)
        ring = shuffled(list(ids), key)
        for client in ids:
            place = ring.index(client)
            near = {ring[(place + s) % len(ring)] for s in range(-k // 2, k // 2 + 1)}
            assert graph.neighbors(client) == tuple(sorted(near - {client}))
        again = HararyGraph(list(ids), k, bytearray(key))
        assert again.ring is graph.ring
        assert again.neighbors(ids[0]) is graph.neighbors(ids[0])


def test_connected_until_half_the_neighbors_in_a_row_are_gone_twice() -> None:
    """Removing fewer than k clients, whichever, leaves the rest in one piece."""
    graph = HararyGraph(range(12), 4, SEED)
    for gone in range(2**12):
        kept = {client for client in range(12) if not gone >> client & 1}
        if len(kept) < 9:
            continue
        reached, ahead = {min(kept)}, [min(kept)]
        while ahead:
            fresh = set(graph.neighbors(ahead.pop())) & kept - reached
            reached |= fresh
            ahead += fresh
        assert reached == kept
    two_pairs = {graph.ring[place] for place in (0, 1, 6, 7)}
    left = {graph.ring[place] for place in (2, 3, 4, 5)}
    assert all(set(graph.neighbors(one)) <= left | two_pairs for one in left)


def test_strangers() -> None:
    graph = HararyGraph(IDS, 2, SEED)
    far = next(one for one in IDS if one not in graph.holders(IDS[0]))
    for call in (
        lambda: graph.neighbors(3),
        lambda: graph.holders(3),
        lambda: graph.position(3, 2),
        lambda: graph.position(2, 3),
        lambda: graph.position(2, 2**32 - 1),
        lambda: graph.position(IDS[0], far),
    ):
        with pytest.raises(KeyError):
            call()


@pytest.mark.parametrize(
    ("ids", "k", "key", "name"),
    [
        (IDS, 3, SEED, "even"),
        (IDS, 0, SEED, "even"),
        (IDS, 8, SEED, "7 clients"),
        (IDS, 2.0, SEED, "even"),
        ((1, 2), 2, SEED, "2 clients"),
        ((), 2, SEED, "0 clients"),
        (IDS, 2, SEED[:31], "32 bytes"),
        ((1, 3, 2), 2, SEED, "increasing"),
        ((1, 1, 2), 2, SEED, "increasing"),
        ((-1, 1, 2), 2, SEED, "increasing"),
        ((1, 2, 2**32), 2, SEED, "increasing"),
    ],
)
def test_refused(ids: Any, k: Any, key: bytes, name: str) -> None:
    with pytest.raises(LocalProtocolError, match=name):
        HararyGraph(ids, k, key)


def test_same_for_the_same_and_other_for_anything_else() -> None:
    graph = HararyGraph(IDS, 4, SEED)
    again = HararyGraph(list(IDS), 4, bytearray(SEED))
    assert (graph.ring, graph.digest) == (again.ring, again.digest)
    others = [
        HararyGraph(IDS, 2, SEED),
        HararyGraph(IDS, 4, seed(1)),
        HararyGraph((*IDS[:-1], 2**32 - 1), 4, SEED),
        HararyGraph(IDS[:-1], 4, SEED),
    ]
    assert len({graph.digest, *(other.digest for other in others)}) == 5
    assert others[1].ring != graph.ring


def test_digest() -> None:
    ids = b"".join(client_id.to_bytes(4, "little") for client_id in IDS)
    written = b"fedsecure/v1/graph" + b"harary" + (4).to_bytes(4, "little") + SEED + ids
    assert HararyGraph(IDS, 4, SEED).digest == hashlib.sha256(written).digest()


@pytest.mark.parametrize(("n", "runs", "limit"), [(3, 6000, 20.5), (4, 12_000, 49.7)])
def test_every_order_is_equally_likely(n: int, runs: int, limit: float) -> None:
    """Chi-square over all orders, for fixed seeds; the limit is the 99.9 % point."""
    counts = Counter(HararyGraph(range(n), 2, seed(number)).ring for number in range(runs))
    expected = runs / factorial(n)
    assert len(counts) == factorial(n)
    assert sum((count - expected) ** 2 / expected for count in counts.values()) < limit


def test_every_client_is_equally_likely_at_every_place() -> None:
    n, runs = 13, 6500
    counts = [[0] * n for _ in range(n)]
    for number in range(runs):
        for place, client in enumerate(HararyGraph(range(n), 2, seed(number)).ring):
            counts[place][client] += 1
    expected = runs / n
    statistic = sum((count - expected) ** 2 / expected for row in counts for count in row)
    assert statistic < 202.1  # 144 degrees of freedom, 99.9 %


def test_hundred_thousand_clients() -> None:
    graph = HararyGraph(range(100_000), 48, SEED)
    assert sorted(graph.ring) == list(range(100_000))
    assert all(7 in graph.neighbors(other) for other in graph.neighbors(7))
    assert graph.position(7, graph.holders(7)[-1]) == 48
    assert len(graph.digest) == 32

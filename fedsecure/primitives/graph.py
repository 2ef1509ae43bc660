"""Who shares with whom: the graph of a masking session.

A client masks against, and sends shares to, its neighbors. The holders of its secrets are these
neighbors; in the complete graph the client itself is one more. In the order of their ids, holders
sit at the abscissas 1, 2, 3, ... of Shamir's sharing. Every graph that offers these few methods
fits the protocol.
"""

from __future__ import annotations

import itertools
import operator
import struct
from bisect import bisect_left
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from fedsecure.errors import LocalProtocolError
from fedsecure.primitives import keys

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["SEED_BYTES", "CompleteGraph", "Graph", "HararyGraph"]

SEED_BYTES = 32


class Graph(Protocol):
    """An undirected graph over client ids."""

    def neighbors(self, client_id: int) -> Sequence[int]:
        """The clients this one masks against, by increasing id, itself not included."""

    def holders(self, client_id: int) -> Sequence[int]:
        """The clients that hold shares of this one's secrets, by increasing id.

        Its neighbors, and in the complete graph itself.
        """

    def position(self, owner: int, holder: int) -> int:
        """The abscissa, from 1, at which `holder` keeps its shares of the secrets of `owner`."""

    @property
    def digest(self) -> bytes:
        """32 bytes that differ for different graphs."""


class CompleteGraph:
    """Everybody with everybody (Bonawitz et al., CCS 2017).

    Args:
        client_ids: Strictly increasing.
    """

    def __init__(self, client_ids: Sequence[int]) -> None:
        self._ids = tuple(client_ids)
        self._position = {client_id: x for x, client_id in enumerate(self._ids, start=1)}

    def neighbors(self, client_id: int) -> Sequence[int]:
        """All the others, by increasing id."""
        at = self._position[client_id]
        return self._ids[: at - 1] + self._ids[at:]

    def holders(self, client_id: int) -> Sequence[int]:
        """All clients, whoever is asked about: a client keeps a share of its own secrets."""
        del client_id
        return self._ids

    def position(self, owner: int, holder: int) -> int:
        """One more than the holder's place among all clients."""
        del owner
        return self._position[holder]

    @property
    def digest(self) -> bytes:
        """Digest of the word "complete" and the ids."""
        return keys.digest(b"graph", b"complete", struct.pack(f"<{len(self._ids)}I", *self._ids))


class HararyGraph:
    """Each client joined to the k/2 nearest on either side of a ring that is shuffled by a seed.

    The k neighbors are all that hold shares of a client's secrets; it keeps none itself.

    This is the graph of SecAgg+ (Bell et al., CCS 2020). Its guarantees hold for a ring that nobody
    could choose: the seed is a hash of what all clients said first, which each client computes for
    itself. The ring is the same in every language:

    - The seed gives an endless row of words: for i = 0, 1, 2, ... the 32 bytes of
      ``SHA-256("fedsecure/v1/ring" || seed || i as u64)``, read as eight u32, all little-endian.
    - ``ring[0..n-1]`` starts as the ids in increasing order. For i = n-1, n-2, ..., 1, take words
      until the lowest b bits of one make a number r <= i, b being the length of i in bits; swap
      ``ring[i]`` and ``ring[r]`` (Fisher-Yates; Knuth, TAOCP volume 2, algorithm 3.4.2 P).
    - ``ring[p]`` has the neighbors ``ring[(p + s) mod n]`` for s = -k/2, ..., -1, 1, ..., k/2.

    The seed is public, so nothing here hides which words it gives.

    Args:
        client_ids: Strictly increasing, each below 2^32.
        neighbors: k, even, at least 2 and less than the number of clients.
        seed: 32 bytes.

    Raises:
        LocalProtocolError: The ids do not increase, k does not fit them, or the seed has another
            length.
    """

    def __init__(self, client_ids: Sequence[int], neighbors: int, seed: bytes) -> None:
        self._ids = tuple(client_ids)
        ordered = all(map(operator.lt, self._ids, self._ids[1:]))
        if not ordered or (self._ids and not 0 <= self._ids[0] <= self._ids[-1] < 1 << 32):
            raise LocalProtocolError(
                "client ids of a graph are strictly increasing, each from 0 to 2^32 - 1: sort them"
            )
        if type(neighbors) is not int or neighbors % 2 or not 2 <= neighbors < len(self._ids):
            raise LocalProtocolError(
                f"neighbors is {neighbors!r}; use an even number from 2 to less than the "
                f"{len(self._ids)} clients"
            )
        if len(seed) != SEED_BYTES:
            raise LocalProtocolError(f"the seed of a graph has {SEED_BYTES} bytes, not {len(seed)}")
        self._neighbors = neighbors
        self._seed = bytes(seed)
        self._layout = _layout(self._ids, neighbors, self._seed)

    @property
    def ring(self) -> Sequence[int]:
        """All ids in the order of the ring, from where the shuffle has its first place."""
        return self._layout.ring

    def neighbors(self, client_id: int) -> tuple[int, ...]:
        """The k clients nearest on the ring, by increasing id."""
        return self._layout.near(client_id)

    def holders(self, client_id: int) -> tuple[int, ...]:
        """The k neighbors: a client keeps no share of its own secrets."""
        return self._layout.near(client_id)

    def position(self, owner: int, holder: int) -> int:
        """One more than the holder's place among the k neighbors of the owner."""
        holders = self._layout.near(owner)
        at = bisect_left(holders, holder)
        if at == len(holders) or holders[at] != holder:
            raise KeyError(holder)
        return at + 1

    @property
    def digest(self) -> bytes:
        """Digest of the word "harary", k, the seed and the ids; the ring follows from them."""
        return keys.digest(
            b"graph",
            b"harary",
            struct.pack("<I", self._neighbors),
            self._seed,
            struct.pack(f"<{len(self._ids)}I", *self._ids),
        )


class _Layout:
    """Who is near whom on one ring; neighborhoods are worked out when first asked for."""

    __slots__ = ("_near", "_neighbors", "_place", "ring")

    def __init__(self, ids: tuple[int, ...], neighbors: int, seed: bytes) -> None:
        self.ring = _shuffled(ids, seed)
        self._neighbors = neighbors
        self._place = {client_id: place for place, client_id in enumerate(self.ring)}
        self._near: dict[int, tuple[int, ...]] = {}

    def near(self, client_id: int) -> tuple[int, ...]:
        """Returns the neighbors of a client, by increasing id."""
        known = self._near.get(client_id)
        if known is None:
            ring, at, half = self.ring, self._place[client_id], self._neighbors // 2
            steps = itertools.chain(range(-half, 0), range(1, half + 1))
            known = tuple(sorted(ring[(at + step) % len(ring)] for step in steps))
            self._near[client_id] = known
        return known


# The clients of a session that run in one process draw the same graph: all of it is public, and it
# only ever grows by what follows from the arguments, so they may share it.
@lru_cache(maxsize=4)
def _layout(ids: tuple[int, ...], neighbors: int, seed: bytes) -> _Layout:
    return _Layout(ids, neighbors, seed)


def _shuffled(ids: Sequence[int], seed: bytes) -> tuple[int, ...]:
    ring = list(ids)
    words = _words(seed)
    for last in range(len(ring) - 1, 0, -1):
        mask = (1 << last.bit_length()) - 1
        # Rejecting, rather than reducing, leaves every order equally likely.
        pick = next(words) & mask
        while pick > last:
            pick = next(words) & mask
        ring[last], ring[pick] = ring[pick], ring[last]
    return tuple(ring)


def _words(seed: bytes) -> Iterator[int]:
    block = 0
    while True:
        data = keys.digest(b"ring", seed, struct.pack("<Q", block))
        yield from struct.unpack("<8I", data)
        block += 1

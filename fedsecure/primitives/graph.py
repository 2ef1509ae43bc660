"""Who shares with whom: the graph of a masking session.

A client masks against, and sends shares to, its neighbors; it also holds a share of its own. The
holders of a client's secrets, in the order of their ids, sit at the abscissas 1, 2, 3, ... of
Shamir's sharing. Every graph that offers these few methods fits the protocol.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Protocol

from fedsecure.primitives import keys

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["CompleteGraph", "Graph"]


class Graph(Protocol):
    """An undirected graph over client ids."""

    def neighbors(self, client_id: int) -> Sequence[int]:
        """The clients this one masks against, by increasing id, itself not included."""

    def holders(self, client_id: int) -> Sequence[int]:
        """The clients that hold shares of this one's secrets: itself and its neighbors."""

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
        """All clients, whoever is asked about."""
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

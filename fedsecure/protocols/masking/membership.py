"""What one client knows of the others: who is in, who shared, who survived; and what it refuses.

Everything the server says about the others passes through here. A client computes the context and
the graph for itself, and nothing that it was told can be taken back or told in another way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fedsecure import wire
from fedsecure.errors import CheaterDetected, LocalProtocolError, RemoteProtocolError
from fedsecure.protocols.masking import levels, schedule

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fedsecure.primitives.graph import Graph
    from fedsecure.protocols.masking.messages import Member, SignedBy
    from fedsecure.protocols.session import Session

__all__ = ["Membership"]


class Membership:
    """The other clients, as one client was told of them.

    Attributes:
        graph: Who shares with whom.
        ctx: The context of the session, 32 bytes.
        sharers: Who shared its secrets, this client among them.
        alive: Whose vectors are in the sum.
        dead: Who shared and is not in the sum.
        transcript: 32 bytes for all of this, once it is known.

    Args:
        session: The session.
        client_id: Whose view this is.
        members: The roster.

    Raises:
        RemoteProtocolError: Too few members, strangers among them, or a key that is there twice.
    """

    def __init__(self, session: Session, client_id: int, members: Sequence[Member]) -> None:
        self._session = session
        self._id = client_id
        self._require_survivors(len(members), "roster")
        self._rostered = frozenset([member.client_id for member in members])
        strangers = self._rostered.difference(session.client_ids)
        if strangers:
            raise RemoteProtocolError(f"roster names client {min(strangers)}, who was not invited")
        distinct = {member.share_key for member in members}
        distinct.update([member.mask_key for member in members])
        if len(distinct) != 2 * len(members):
            raise RemoteProtocolError("roster holds the same public key twice")
        self.graph: Graph
        try:
            self.graph, self.ctx = schedule.draw_graph(session, members)
        except LocalProtocolError as error:
            raise RemoteProtocolError(f"roster of {len(members)} clients: {error}") from None
        self.sharers: frozenset[int] = frozenset()
        self.alive: frozenset[int] = frozenset()
        self.dead: frozenset[int] = frozenset()
        self.transcript: bytes | None = None

    def check_own(self, own: Member | None, share_key: bytes, mask_key: bytes) -> None:
        """Raises `CheaterDetected` unless the roster holds this client's keys as it sent them."""
        if own is None or (own.share_key, own.mask_key) != (share_key, mask_key):
            raise CheaterDetected(
                "roster does not hold this client's keys as it sent them", wire.SERVER
            )

    def check_signatures(self, members: Sequence[Member]) -> None:
        """Raises `CheaterDetected` unless each client signed the keys it stands in the roster with.

        An honest server lets nobody in without a right signature, so it is the one that is named.
        """
        session = self._session
        if not session.verify_keys:  # then only a signature can be wrong
            members = [member for member in members if member.signature]
        for member in members:
            client_id, statement = member.client_id, b""
            if session.verify_keys:
                statement = schedule.key_statement(
                    session, client_id, member.share_key, member.mask_key
                )
            levels.check_signature(session, client_id, member.signature, statement, wire.SERVER)

    def set_gone(self, gone: Sequence[int], senders: Sequence[int]) -> None:
        """Takes who has vanished since the roster, and who sent this client shares.

        Raises:
            RemoteProtocolError: They are not of the roster, or not exactly this client's neighbors
                among the rest, or too few of them or of all are left.
        """
        strangers = set(gone) - self._rostered
        if strangers:
            raise RemoteProtocolError(
                f"delivery calls client {min(strangers)} gone, who is not in the roster"
            )
        sharers = self._rostered.difference(gone)
        if self._id not in sharers:
            raise RemoteProtocolError("delivery calls this client itself gone")
        self._require_survivors(len(sharers), "delivery of shares")
        due = [peer for peer in self.graph.neighbors(self._id) if peer in sharers]
        if list(senders) != due:
            wrong = min(set(senders).symmetric_difference(due))
            raise RemoteProtocolError(
                f"delivery of shares is not from this client's neighbors: see client {wrong}"
            )
        self._require_holders(sharers, "delivery of shares")
        self.sharers = sharers

    def set_dead(self, dead: Sequence[int]) -> bytes:
        """Takes who has vanished since the shares, once, and returns the transcript.

        Raises:
            RemoteProtocolError: They name this client, or clients that never shared, or leave too
                few.
        """
        if self._id in dead:
            raise RemoteProtocolError("unmask request calls this client itself dead")
        strangers = set(dead) - self.sharers
        if strangers:
            raise RemoteProtocolError(
                f"unmask request calls client {min(strangers)} dead, who never shared its keys"
            )
        alive = self.sharers.difference(dead)
        self._require_survivors(len(alive), "unmask request")
        self._require_holders(alive, "unmask request")
        self.alive, self.dead = alive, frozenset(dead)
        self.transcript = schedule.transcript(self.ctx, sorted(self.sharers), sorted(alive))
        return self.transcript

    def recall(self, sharers: Sequence[int], alive: Sequence[int]) -> None:
        """Takes what this client had been told, and had checked, before it was saved."""
        self.sharers = frozenset(sharers)
        if alive:
            self.set_dead(sorted(self.sharers.difference(alive)))

    def check_confirmations(self, signatures: Sequence[SignedBy]) -> None:
        """Checks that enough survivors confirmed what this client confirmed.

        Raises:
            CheaterDetected: A signature is not of this transcript: the server told different
                clients different things, or made the signature up.
            RemoteProtocolError: Too few signatures, or of others than survivors.
        """
        self._require_survivors(len(signatures), "list of confirmations")
        statement = schedule.survivors_statement(self.transcript or b"")
        for entry in signatures:
            if entry.client_id not in self.alive:
                raise RemoteProtocolError(
                    f"client {entry.client_id} confirms the survivors and is none of them"
                )
            levels.check_signature(
                self._session, entry.client_id, entry.signature, statement, wire.SERVER
            )

    def _require_survivors(self, count: int, where: str) -> None:
        if count < self._session.survivors:
            raise RemoteProtocolError(
                f"{where} leaves {count} clients, below the threshold {self._session.survivors}"
            )

    def _require_holders(self, present: frozenset[int] | set[int], where: str) -> None:
        count = len(present.intersection(self.graph.holders(self._id)))
        if count < self._session.threshold:
            raise RemoteProtocolError(
                f"{where} leaves {count} clients that hold shares of this one's secrets, below the "
                f"threshold {self._session.threshold}"
            )

"""What the clients of a session have told its server, each message checked when it comes.

Vectors aside: they are summed, not kept. Nothing is taken in part: a message that is refused leaves
all this as it was.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fedsecure import wire
from fedsecure.errors import CheaterDetected, RemoteProtocolError
from fedsecure.primitives import keys
from fedsecure.primitives.graph import CompleteGraph, Graph
from fedsecure.protocols.masking import levels, schedule
from fedsecure.protocols.masking.messages import (
    AdvertiseKeys,
    Confirmation,
    HeldShare,
    Kind,
    Member,
    SealedShares,
    ShareDelivery,
    ShareKeys,
    UnmaskShares,
    read,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fedsecure.protocols.session import Session

__all__ = ["Collected", "mark", "second_answer"]


@dataclass(frozen=True, slots=True)
class _Due:
    """The tags of the shares that one client is asked for, by owner: of the living, of the dead."""

    alive: dict[int, bytes] = field(default_factory=dict)
    dead: dict[int, bytes] = field(default_factory=dict)


class Collected:
    """The keys, sealed shares, confirmations and returned shares of a session.

    Attributes:
        members: Who advertised which keys.
        graph: Who shares with whom, once the roster is closed.
        ctx: The context of the session, 32 bytes, once the roster is closed.
        shares: What each client shared.
        sharers: Who shared, once that is closed, by increasing id.
        alive: Who of them is in the sum, once that is closed, by increasing id.
        dead: The rest of them.
        transcript: 32 bytes for all this.
        confirmed: Signatures of the transcript, by client.
        unmask: The shares that clients gave back.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._public_keys: set[bytes] = set()
        self.members: dict[int, Member] = {}
        self.graph: Graph = CompleteGraph(())
        self.ctx = b""
        self.shares: dict[int, ShareKeys] = {}
        self.sharers: tuple[int, ...] = ()
        self.alive: tuple[int, ...] = ()
        self.dead: tuple[int, ...] = ()
        self.transcript = b""
        self.confirmed: dict[int, bytes] = {}
        self.unmask: dict[int, UnmaskShares] = {}
        self._due: dict[int, _Due] = {}

    def take(self, kind: Kind, client_id: int, body: memoryview) -> None:
        """Takes the body of one control message.

        Raises:
            CheaterDetected: It is signed wrongly, or holds a share that nobody gave this client.
            CryptoError: A public key is none.
            RemoteProtocolError: It is malformed, or not what is due from this client.
        """
        if kind is Kind.ADVERTISE_KEYS:
            self._take_keys(client_id, read(AdvertiseKeys, body))
        elif kind is Kind.SHARE_KEYS:
            self._take_shares(client_id, read(ShareKeys, body))
        elif kind is Kind.CONFIRMATION:
            self._take_confirmation(client_id, read(Confirmation, body))
        else:
            self._take_unmask_shares(client_id, read(UnmaskShares, body))

    def add_member(self, member: Member) -> None:
        """Notes a client and its keys."""
        self._public_keys |= {member.share_key, member.mask_key}
        self.members[member.client_id] = member

    @property
    def roster(self) -> tuple[Member, ...]:
        """All members by increasing id."""
        return tuple(self.members[client_id] for client_id in sorted(self.members))

    def close_roster(self) -> None:
        """Draws the graph for those who are in the roster."""
        self.graph, self.ctx = schedule.draw_graph(self._session, self.roster)

    def deliveries(self) -> dict[int, ShareDelivery]:
        """Returns for each sharer who is gone, and the shares that others sealed for it."""
        gone = tuple(sorted(self.members.keys() - self.sharers))
        sealed: dict[int, list[SealedShares]] = {client_id: [] for client_id in self.sharers}
        for sender in self.sharers:
            for entry in self.shares[sender].sealed:
                if entry.peer in sealed:
                    sealed[entry.peer].append(
                        SealedShares(sender, entry.ciphertext, entry.key_tag, entry.seed_tag)
                    )
        return {
            client_id: ShareDelivery(gone, tuple(entries)) for client_id, entries in sealed.items()
        }

    def close_inputs(self, alive: Sequence[int]) -> None:
        """Settles who is in the sum and who of the sharers is not."""
        self.alive = tuple(alive)
        self.dead = tuple(sorted(set(self.sharers).difference(alive)))
        self.transcript = schedule.transcript(self.ctx, self.sharers, self.alive)
        self._due = {holder: _Due() for holder in self.alive}
        dead = frozenset(self.dead)
        for owner in self.sharers:
            body = self.shares[owner]
            if owner in self._due and body.own_tag:
                self._due[owner].alive[owner] = body.own_tag
            for entry in body.sealed:
                due = self._due.get(entry.peer)
                if due is None:
                    continue
                if owner in dead:
                    due.dead[owner] = entry.key_tag
                else:
                    due.alive[owner] = entry.seed_tag

    def _take_keys(self, client_id: int, body: AdvertiseKeys) -> None:
        # One bad key would make every other client end the session: it is refused at the door.
        new = {body.share_key, body.mask_key}
        if len(new) != 2 or new & self._public_keys:
            raise RemoteProtocolError("a public key was advertised before")
        for key in new:
            keys.check_public_key(key)
        statement = schedule.key_statement(self._session, client_id, body.share_key, body.mask_key)
        levels.check_signature(self._session, client_id, body.signature, statement, client_id)
        self.add_member(Member(client_id, body.share_key, body.mask_key, body.signature))

    def _take_shares(self, client_id: int, body: ShareKeys) -> None:
        if [entry.peer for entry in body.sealed] != list(self.graph.neighbors(client_id)):
            raise RemoteProtocolError("shares are not for exactly this client's neighbors")
        keeps_one = client_id in self.graph.holders(client_id)
        if len(body.own_tag) != (32 if keeps_one else 0):
            raise RemoteProtocolError("the tag of the share a client keeps has another length")
        statement = b""
        if self._session.verify_keys:
            unsigned = ShareKeys(body.commitment, body.own_tag, body.sealed, b"")
            encoded = wire.encode_control(unsigned)
            statement = schedule.shares_statement(self.ctx, client_id, encoded)
        levels.check_signature(self._session, client_id, body.signature, statement, client_id)
        self.shares[client_id] = body

    def _take_confirmation(self, client_id: int, body: Confirmation) -> None:
        statement = schedule.survivors_statement(self.transcript)
        levels.check_signature(self._session, client_id, body.signature, statement, client_id)
        self.confirmed[client_id] = body.signature

    def _take_unmask_shares(self, client_id: int, body: UnmaskShares) -> None:
        due = self._due[client_id]
        for held, tags in ((body.alive, due.alive), (body.dead, due.dead)):
            if [entry.owner for entry in held] != list(tags):
                raise RemoteProtocolError("shares are not for exactly the clients asked about")
        self._check_tags(client_id, body.alive, due.alive, schedule.seed_tag)
        self._check_tags(client_id, body.dead, due.dead, schedule.key_tag)
        self.unmask[client_id] = body

    def _check_tags(
        self,
        holder: int,
        held: Sequence[HeldShare],
        tags: Mapping[int, bytes],
        make: Callable[[bytes, int, int, bytes], bytes],
    ) -> None:
        for entry in held:
            if make(self.ctx, entry.owner, holder, entry.share) != tags[entry.owner]:
                raise CheaterDetected(
                    f"its share of a secret of client {entry.owner} is not the one it was given",
                    holder,
                )


def mark(kind: Kind, data: bytes) -> bytes:
    """Returns what to remember of an answer, so that another one is recognised.

    A masked input leaves none: its pieces would have to be hashed, which costs more than summing.
    """
    return b"" if kind is Kind.MASKED_INPUT else hashlib.sha256(data).digest()


def second_answer(client_id: int, data: bytes, marked: bytes) -> RemoteProtocolError:
    """Returns the error for a message of a client that has answered: repeated, or contradicted."""
    reason = "this client has answered already"
    if not marked or hmac.compare_digest(hashlib.sha256(data).digest(), marked):
        return RemoteProtocolError(reason)
    return CheaterDetected(f"{reason}, and with something else", client_id)

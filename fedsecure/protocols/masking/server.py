"""The server of a masking session: it collects four stages, or five, and learns one sum."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fedsecure import wire
from fedsecure.encoding import decode_sum
from fedsecure.errors import (
    CryptoError,
    LocalProtocolError,
    RemoteProtocolError,
    ThresholdError,
)
from fedsecure.primitives import keys, masks
from fedsecure.primitives.graph import CompleteGraph, Graph
from fedsecure.protocols.base import Aggregate
from fedsecure.protocols.masking import evidence, levels, saved, schedule
from fedsecure.protocols.masking.messages import (
    AdvertiseKeys,
    Confirmation,
    Confirmations,
    Kind,
    Member,
    Roster,
    SealedShares,
    ShareDelivery,
    ShareKeys,
    SignedBy,
    Survivors,
    UnmaskRequest,
    UnmaskShares,
    read,
    size_limits,
    write,
)
from fedsecure.protocols.masking.party import Party, restated
from fedsecure.protocols.masking.states import Act, Flow, Role, Stage
from fedsecure.protocols.masking.unmasking import Unmasking
from fedsecure.protocols.session import Session
from fedsecure.protocols.vectors import VectorSum

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

__all__ = ["MaskingServer"]

_TAKEN = (
    Kind.ADVERTISE_KEYS,
    Kind.SHARE_KEYS,
    Kind.MASKED_INPUT,
    Kind.UNMASK_SHARES,
    Kind.CONFIRMATION,
)


class MaskingServer(Party):
    """The server of one session; made by `PairwiseMasking.server`.

    Each stage takes one message per client, or the pieces of one vector. A refused message raises
    `RemoteProtocolError` naming stage and client and changes nothing; where no honest client sends
    such a message, the error is a `CheaterDetected`. The caller decides when to stop waiting:
    `advance` closes the stage, and whoever has not answered has dropped out.

    Args:
        session: The session, as all clients have it.
    """

    role = Role.SERVER

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._limits = size_limits(session, _TAKEN)
        self._invited = frozenset(session.client_ids)
        self._asked = self._invited
        self._answered: dict[int, bytes] = {}
        self._members: dict[int, Member] = {}
        self._public_keys: set[bytes] = set()
        self._graph: Graph = CompleteGraph(())
        self._ctx = b""
        self._shares: dict[int, ShareKeys] = {}
        self._sharers: tuple[int, ...] = ()
        self._vectors = VectorSum(session)
        self._alive: tuple[int, ...] = ()
        self._dead: tuple[int, ...] = ()
        self._transcript = b""
        self._confirmed: dict[int, bytes] = {}
        self._unmask: dict[int, UnmaskShares] = {}
        self._result: Aggregate | None = None

    @classmethod
    def from_bytes(cls, data: bytes, session: Session | None = None) -> MaskingServer:
        """Returns the server that `to_bytes` wrote, where it stood.

        Args:
            data: Bytes from this library, kept where nobody else reads or replaces them.
            session: The session as it was made, for a mean with its containers and kinds of array;
                without it, the mean is a mapping from paths to numpy arrays.

        Raises:
            LocalProtocolError: Not the bytes of a server, or those of another session.
        """

        def restore(state: saved.ServerState, vectors: memoryview) -> MaskingServer:
            if session is not None and session.to_bytes() != state.session:
                raise LocalProtocolError("these are the bytes of another session's server")
            server = cls(session or Session.from_bytes(state.session))
            server._restore(state, vectors)
            return server

        return saved.load(saved.ServerState, data, restore)

    def to_bytes(self) -> bytes:
        """Returns all of this server, accumulator and unfinished uploads included.

        The bytes are as secret as what the server learns: write them to safe storage, before the
        messages that `advance` returned are sent. Results of finished sessions are not in them.
        """
        if self._stage is Stage.FINISHED:
            raise LocalProtocolError("this server has finished: keep its result instead")
        arriving = self._vectors.arriving
        state = saved.ServerState(
            session=self._session.to_bytes(),
            stage=self._stage,
            asked=tuple(sorted(self._asked)),
            answered=tuple(saved.Answered(*item) for item in self._answered.items()),
            members=tuple(self._members.values()),
            shares=tuple(saved.Shared(*item) for item in self._shares.items()),
            sharers=self._sharers,
            alive=self._alive,
            confirmed=tuple(SignedBy(*item) for item in self._confirmed.items()),
            unmask=tuple(saved.Returned(*item) for item in self._unmask.items()),
            arriving=tuple(saved.Arriving(name, len(has)) for name, has in arriving.items()),
        )
        pieces = [piece for has in arriving.values() for piece in has]
        return saved.store(state, [self._vectors.total.data.cast("B"), *pieces])

    @property
    def ready(self) -> bool:
        """Whether enough clients have answered for `advance` to succeed."""
        return not self.finished and self._lack(self._answered) is None

    @property
    def waiting_for(self) -> frozenset[int]:
        """The clients whose messages of this stage are not complete yet."""
        if self.finished:
            return frozenset()
        return self._asked.difference(self._answered)

    def receive(self, client_id: int, data: bytes) -> None:
        """Takes one message.

        Args:
            client_id: Whom the transport says it is from; the message must say the same.
            data: The message.

        Raises:
            CheaterDetected: No honest client sends this: it is of another session, says it is from
                somebody else, is signed wrongly, differs from what the client has answered
                already, or holds a wrong share. Nothing has changed.
            RemoteProtocolError: Not a message of this session, stage and client; a second one; or
                one whose content breaks the protocol. Nothing has changed.
        """
        try:
            self._take(client_id, data)
        except (RemoteProtocolError, CryptoError) as error:
            reason = f"message of client {client_id} in stage {self._stage} refused: {error}"
            if isinstance(error, RemoteProtocolError):
                raise restated(error, reason) from None
            raise RemoteProtocolError(reason) from None

    def advance(self) -> dict[int, list[bytes]]:
        """Closes the stage.

        Returns:
            The messages for each client that is still in; empty after the last stage.

        Raises:
            ThresholdError: Too few clients have answered. Nothing has changed and nothing is
                revealed: wait for more, or give the session up.
            CheaterDetected: A client shared a secret wrongly, so that no sum can be had. Nothing
                has changed; run the round again without it.
            RemoteProtocolError: The sum is none of honest clients; the session is over.
            LocalProtocolError: The session is over.
        """
        following = self._following(Act.ADVANCE)
        lack = self._lack(self._answered)
        if lack is not None:
            raise ThresholdError(
                f"{lack} in stage {self._stage}: nothing is revealed; wait for more, or give this "
                "session up"
            )
        answered = tuple(sorted(self._answered))
        replies = self._close(answered)
        self._asked = frozenset(answered)
        self._answered = {}
        self._stage = following
        return replies

    def result(self) -> Aggregate:
        """Returns what the session revealed.

        Raises:
            LocalProtocolError: The session has not finished.
        """
        if self._result is None:
            raise LocalProtocolError(f"there is no result: this server is in stage {self._stage}")
        return self._result

    def __repr__(self) -> str:
        return (
            f"<MaskingServer in stage {self._stage}, "
            f"{len(self._answered)} of {len(self._asked)} clients have answered>"
        )

    def _restore(self, state: saved.ServerState, vectors: memoryview) -> None:
        self._stage = Stage(state.stage)
        self._asked = frozenset(state.asked)
        self._answered = {entry.client_id: entry.mark for entry in state.answered}
        self._members = {member.client_id: member for member in state.members}
        for member in state.members:
            self._public_keys |= {member.share_key, member.mask_key}
        if self._stage is not Stage.ADVERTISE_KEYS:
            members = tuple(self._members[name] for name in sorted(self._members))
            self._graph, self._ctx = schedule.draw_graph(self._session, members)
        self._shares = {entry.client_id: entry.body for entry in state.shares}
        self._sharers, self._alive = state.sharers, state.alive
        if self._alive:
            self._dead = tuple(sorted(set(self._sharers).difference(self._alive)))
            self._transcript = schedule.transcript(self._ctx, self._sharers, self._alive)
        self._confirmed = {entry.client_id: entry.signature for entry in state.confirmed}
        self._unmask = {entry.client_id: entry.body for entry in state.unmask}
        uploads = [(entry.client_id, entry.pieces) for entry in state.arriving]
        self._vectors.restore(vectors, uploads)

    def _lack(self, answered: Collection[int]) -> str | None:
        """Returns what is missing for the stage to be closed, or None."""
        session = self._session
        complete = session.neighbors == len(session.client_ids) - 1
        needed = session.survivors
        if self._stage is Stage.UNMASKING:
            needed = session.threshold
        elif self._stage is Stage.ADVERTISE_KEYS and not complete:
            needed = max(needed, session.neighbors + 1)
        if len(answered) < needed:
            return f"{len(answered)} of {len(self._asked)} clients have answered, {needed} must,"
        if self._stage is Stage.ADVERTISE_KEYS or complete:
            return None
        owners = self._sharers or answered
        for owner in owners:
            count = sum(holder in answered for holder in self._graph.holders(owner))
            if count < session.threshold:
                return (
                    f"{count} of the {session.neighbors} neighbors of client {owner} have answered,"
                    f" {session.threshold} must,"
                )
        return None

    def _take(self, client_id: int, data: bytes) -> None:
        if client_id not in self._invited:
            raise RemoteProtocolError("this client was not invited")
        if client_id not in self._asked:
            raise RemoteProtocolError("this client has dropped out of the session")
        envelope = self._session.open(data, client_id, self._limits)
        kind = Kind(envelope.kind)
        self._following(kind)
        if client_id in self._answered:
            raise evidence.second_answer(client_id, data, self._answered[client_id])
        if kind is Kind.MASKED_INPUT:
            complete = self._vectors.add(client_id, envelope.body)
        else:
            self._take_control(kind, client_id, envelope.body)
            complete = True
        if complete:
            self._answered[client_id] = evidence.mark(kind, data)

    def _take_control(self, kind: Kind, client_id: int, body: memoryview) -> None:
        if kind is Kind.ADVERTISE_KEYS:
            self._take_keys(client_id, read(AdvertiseKeys, body))
        elif kind is Kind.SHARE_KEYS:
            self._take_shares(client_id, read(ShareKeys, body))
        elif kind is Kind.CONFIRMATION:
            self._take_confirmation(client_id, read(Confirmation, body))
        else:
            self._take_unmask_shares(client_id, read(UnmaskShares, body))

    def _take_keys(self, client_id: int, body: AdvertiseKeys) -> None:
        # One bad key would make every other client end the session: it is refused at the door.
        new = {body.share_key, body.mask_key}
        if len(new) != 2 or new & self._public_keys:
            raise RemoteProtocolError("a public key was advertised before")
        for key in new:
            keys.check_public_key(key)
        statement = schedule.key_statement(self._session, client_id, body.share_key, body.mask_key)
        levels.check_signature(self._session, client_id, body.signature, statement, client_id)
        self._public_keys |= new
        self._members[client_id] = Member(client_id, body.share_key, body.mask_key, body.signature)

    def _take_shares(self, client_id: int, body: ShareKeys) -> None:
        if [entry.peer for entry in body.sealed] != list(self._graph.neighbors(client_id)):
            raise RemoteProtocolError("shares are not for exactly this client's neighbors")
        keeps_one = client_id in self._graph.holders(client_id)
        if len(body.own_tag) != (32 if keeps_one else 0):
            raise RemoteProtocolError("the tag of the share a client keeps has another length")
        unsigned = ShareKeys(body.commitment, body.own_tag, body.sealed, b"")
        statement = schedule.shares_statement(self._ctx, client_id, wire.encode_control(unsigned))
        levels.check_signature(self._session, client_id, body.signature, statement, client_id)
        self._shares[client_id] = body

    def _take_confirmation(self, client_id: int, body: Confirmation) -> None:
        statement = schedule.survivors_statement(self._transcript)
        levels.check_signature(self._session, client_id, body.signature, statement, client_id)
        self._confirmed[client_id] = body.signature

    def _take_unmask_shares(self, client_id: int, body: UnmaskShares) -> None:
        holds = set(self._graph.holders(client_id))
        for held, owners in ((body.alive, self._alive), (body.dead, self._dead)):
            if [entry.owner for entry in held] != [owner for owner in owners if owner in holds]:
                raise RemoteProtocolError("shares are not for exactly the clients asked about")
        evidence.check_tags(self._ctx, client_id, body, self._shares)
        self._unmask[client_id] = body

    def _close(self, answered: tuple[int, ...]) -> dict[int, list[bytes]]:
        if self._stage is Stage.ADVERTISE_KEYS:
            return self._send_roster(answered)
        if self._stage is Stage.SHARE_KEYS:
            return self._deliver_shares(answered)
        if self._stage is Stage.MASKED_INPUT:
            return self._name_survivors(answered)
        if self._stage is Stage.CONSISTENCY_CHECK:
            return self._send_confirmations(answered)
        self._unmask_sum()
        return {}

    def _send_roster(self, answered: Sequence[int]) -> dict[int, list[bytes]]:
        members = tuple(self._members[client_id] for client_id in answered)
        self._graph, self._ctx = schedule.draw_graph(self._session, members)
        return self._to_all(answered, Kind.ROSTER, Roster(members))

    def _deliver_shares(self, answered: tuple[int, ...]) -> dict[int, list[bytes]]:
        self._sharers = answered
        gone = tuple(sorted(self._asked.difference(answered)))
        delivered: dict[int, list[SealedShares]] = {client_id: [] for client_id in answered}
        for sender in answered:
            for entry in self._shares[sender].sealed:
                if entry.peer in delivered:
                    delivered[entry.peer].append(
                        SealedShares(sender, entry.ciphertext, entry.key_tag, entry.seed_tag)
                    )
        return {
            client_id: [
                write(
                    self._session,
                    Kind.SHARE_DELIVERY,
                    wire.SERVER,
                    ShareDelivery(gone, tuple(sealed)),
                )
            ]
            for client_id, sealed in delivered.items()
        }

    def _name_survivors(self, answered: tuple[int, ...]) -> dict[int, list[bytes]]:
        self._vectors.close()
        self._alive = answered
        self._dead = tuple(sorted(self._asked.difference(answered)))
        self._transcript = schedule.transcript(self._ctx, self._sharers, self._alive)
        if self._flow is Flow.FIVE_STAGES:
            return self._to_all(answered, Kind.SURVIVORS, Survivors(self._dead))
        return self._to_all(answered, Kind.UNMASK_REQUEST, UnmaskRequest(self._dead))

    def _send_confirmations(self, answered: tuple[int, ...]) -> dict[int, list[bytes]]:
        signatures = tuple(SignedBy(name, self._confirmed[name]) for name in answered)
        return self._to_all(answered, Kind.CONFIRMATIONS, Confirmations(signatures))

    def _to_all(
        self,
        answered: Sequence[int],
        kind: Kind,
        body: Roster | UnmaskRequest | Confirmations,
    ) -> dict[int, list[bytes]]:
        message = write(self._session, kind, wire.SERVER, body)
        return {client_id: [message] for client_id in answered}

    def _unmask_sum(self) -> None:
        taken_off = Unmasking(
            ctx=self._ctx,
            graph=self._graph,
            threshold=self._session.threshold,
            members=self._members,
            commitments={owner: body.commitment for owner, body in self._shares.items()},
            alive=self._alive,
            dead=self._dead,
            answers=self._unmask,
        ).masks()
        try:
            taken_off.apply(self._vectors.total)
            masks.reduce(self._vectors.total, self._session.layout.modulus_bits)
            self._result = self._decode()
        except BaseException:
            # The sum has been changed and cannot be unmasked a second time.
            self._stage = self._following(Act.ABORT)
            raise
        finally:
            taken_off.wipe()

    def _decode(self) -> Aggregate:
        session = self._session
        decoded = decode_sum(
            self._vectors.total,
            encoding=session.encoding,
            layout=session.layout,
            num_contributors=len(self._alive),
            dtype=session.spec.dtype,
            threads=masks.threads(),
        )
        return Aggregate(
            mean=session.spec.unflatten(decoded.values),
            total_weight=decoded.total_weight,
            contributors=self._alive,
            dropouts=tuple(sorted(self._invited.difference(self._alive))),
            clipped=decoded.clipped,
            adversary=levels.adversary_of(session),
            transcript=self._transcript,
        )

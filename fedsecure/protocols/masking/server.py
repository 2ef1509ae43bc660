"""The server of a masking session: it collects four stages, or five, and learns one sum."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fedsecure import wire
from fedsecure.errors import (
    CryptoError,
    LocalProtocolError,
    RemoteProtocolError,
    ThresholdError,
)
from fedsecure.protocols.base import Aggregate
from fedsecure.protocols.masking import levels, saved
from fedsecure.protocols.masking.collected import Collected, mark, second_answer
from fedsecure.protocols.masking.messages import (
    Confirmations,
    Kind,
    Roster,
    SignedBy,
    Survivors,
    UnmaskRequest,
    size_limits,
    write,
)
from fedsecure.protocols.masking.party import Party, restated
from fedsecure.protocols.masking.states import Act, Flow, Role, Stage
from fedsecure.protocols.masking.unmasking import Unmasking
from fedsecure.protocols.noise import release
from fedsecure.protocols.session import Session
from fedsecure.protocols.vectors import VectorSum, decode, mean_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from fedsecure.protocols.vectors import RunningSum

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
        vectors: Makes what the clients' vectors are summed in.
    """

    role = Role.SERVER

    def __init__(
        self, session: Session, *, vectors: Callable[[Session], RunningSum] = VectorSum
    ) -> None:
        super().__init__(session)
        self._limits = size_limits(session, _TAKEN)
        self._invited = frozenset(session.client_ids)
        self._asked = self._invited
        self._answered: dict[int, bytes] = {}
        self._told = Collected(session)
        self._vectors = vectors(session)
        self._result: Aggregate | None = None

    @classmethod
    def from_bytes(
        cls,
        data: bytes,
        session: Session | None = None,
        *,
        vectors: Callable[[Session], RunningSum] = VectorSum,
    ) -> MaskingServer:
        """Returns the server that `to_bytes` wrote, where it stood.

        Args:
            data: Bytes from this library, kept where nobody else reads or replaces them.
            session: The session as it was made, for a mean with its containers and kinds of array;
                without it, the mean is a mapping from paths to numpy arrays.
            vectors: Makes what the clients' vectors are summed in.

        Raises:
            LocalProtocolError: Not the bytes of a server, or those of another session.
        """

        def restore(state: saved.ServerState, content: memoryview) -> MaskingServer:
            if session is not None and session.to_bytes() != state.session:
                raise LocalProtocolError("these are the bytes of another session's server")
            public = session or Session.from_bytes(state.session)
            # What a session claims is only believed once there are bytes enough for its sum.
            if len(content) < public.layout.length * public.layout.dtype.itemsize:
                raise LocalProtocolError("the bytes of this server are too few for its sum")
            server = cls(public, vectors=vectors)
            server._restore(state, content)
            return server

        return saved.load(saved.ServerState, data, restore)

    def to_bytes(self) -> bytes:
        """Returns all of this server, accumulator and unfinished uploads included.

        The bytes are as secret as what the server learns: write them to safe storage, before the
        messages that `advance` returned are sent. Results of finished sessions are not in them.
        """
        if self._stage is Stage.FINISHED:
            raise LocalProtocolError("this server has finished: keep its result instead")
        told, arriving = self._told, self._vectors.arriving
        state = saved.ServerState(
            session=self._session.to_bytes(),
            stage=self._stage,
            asked=tuple(sorted(self._asked)),
            answered=tuple(saved.Answered(*item) for item in self._answered.items()),
            members=tuple(told.members.values()),
            shares=tuple(saved.Shared(*item) for item in told.shares.items()),
            sharers=told.sharers,
            alive=told.alive,
            confirmed=tuple(SignedBy(*item) for item in told.confirmed.items()),
            unmask=tuple(saved.Returned(*item) for item in told.unmask.items()),
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
                "session up",
                may_be_known=self._stage is Stage.UNMASKING and bool(self._answered),
            )
        answered = tuple(sorted(self._answered))
        self._close(answered)
        self._asked = frozenset(answered)
        self._answered = {}
        self._stage = following
        return self.replies()

    def replies(self) -> dict[int, list[bytes]]:
        """Returns again, to the byte, what the last `advance` returned.

        For a server that was restored and may not have sent all of it. A client takes each message
        once, so sending one again does no harm.
        """
        asked, told = sorted(self._asked), self._told
        if self._stage is Stage.SHARE_KEYS:
            return self._to_all(asked, Kind.ROSTER, Roster(told.roster))
        if self._stage is Stage.MASKED_INPUT:
            return {
                name: [write(self._session, Kind.SHARE_DELIVERY, wire.SERVER, delivery)]
                for name, delivery in told.deliveries().items()
            }
        if self._stage is Stage.CONSISTENCY_CHECK:
            return self._to_all(asked, Kind.SURVIVORS, Survivors(told.dead))
        if self._stage is not Stage.UNMASKING:
            return {}
        if self._flow is Flow.FOUR_STAGES:
            return self._to_all(asked, Kind.UNMASK_REQUEST, UnmaskRequest(told.dead))
        signatures = tuple(SignedBy(name, told.confirmed[name]) for name in asked)
        return self._to_all(asked, Kind.CONFIRMATIONS, Confirmations(signatures))

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
        told = self._told
        for member in state.members:
            told.add_member(member)
        if self._stage is not Stage.ADVERTISE_KEYS:
            told.close_roster()
        told.shares = {entry.client_id: entry.body for entry in state.shares}
        told.sharers = state.sharers
        if state.alive:
            told.close_inputs(state.alive)
        told.confirmed = {entry.client_id: entry.signature for entry in state.confirmed}
        told.unmask = {entry.client_id: entry.body for entry in state.unmask}
        uploads = [(entry.client_id, entry.pieces) for entry in state.arriving]
        summed = self._answered if self._stage is Stage.MASKED_INPUT else state.alive
        self._vectors.restore(vectors, uploads, tuple(summed))

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
        present = frozenset(answered)
        for owner in self._told.sharers or answered:
            count = len(present.intersection(self._told.graph.holders(owner)))
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
            raise second_answer(client_id, data, self._answered[client_id])
        if kind is Kind.MASKED_INPUT:
            complete = self._vectors.add(client_id, envelope.body)
        else:
            self._told.take(kind, client_id, envelope.body)
            complete = True
        if complete:
            self._answered[client_id] = mark(kind, data)

    def _close(self, answered: tuple[int, ...]) -> None:
        if self._stage is Stage.ADVERTISE_KEYS:
            self._told.close_roster()
        elif self._stage is Stage.SHARE_KEYS:
            self._told.sharers = answered
        elif self._stage is Stage.MASKED_INPUT:
            self._vectors.close(answered)
            self._told.close_inputs(answered)
        elif self._stage is Stage.UNMASKING:
            self._unmask_sum()

    def _to_all(
        self,
        answered: Sequence[int],
        kind: Kind,
        body: Roster | UnmaskRequest | Confirmations,
    ) -> dict[int, list[bytes]]:
        message = write(self._session, kind, wire.SERVER, body)
        return {client_id: [message] for client_id in answered}

    def _unmask_sum(self) -> None:
        told = self._told
        taken_off = Unmasking(
            ctx=told.ctx,
            prg=self._session.prg,
            graph=told.graph,
            threshold=self._session.threshold,
            members=told.members,
            commitments={owner: body.commitment for owner, body in told.shares.items()},
            alive=told.alive,
            dead=told.dead,
            answers=told.unmask,
        ).masks()
        try:
            self._vectors.unmask(taken_off, told.alive)
            self._result = self._decode()
        except BaseException:
            # The sum has been changed and cannot be unmasked a second time.
            self._stage = self._following(Act.ABORT)
            raise
        finally:
            taken_off.wipe()

    def _decode(self) -> Aggregate:
        session = self._session
        decoded = decode(session, self._vectors.total, len(self._told.alive))
        return Aggregate(
            mean=mean_of(session, decoded),
            total_weight=decoded.total_weight,
            contributors=self._told.alive,
            dropouts=tuple(sorted(self._invited.difference(self._told.alive))),
            clipped=decoded.clipped,
            privacy=release(session, len(self._told.alive), decoded),
            adversary=levels.adversary_of(session),
            transcript=self._told.transcript,
        )

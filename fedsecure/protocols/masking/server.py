"""The server of a masking session: it collects four stages and learns one sum."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from fedsecure import wire
from fedsecure.encoding import decode_sum
from fedsecure.errors import (
    CryptoError,
    LocalProtocolError,
    RemoteProtocolError,
    ThresholdError,
)
from fedsecure.primitives import keys, masks, shamir
from fedsecure.primitives.graph import CompleteGraph, Graph
from fedsecure.protocols.base import Aggregate, Session
from fedsecure.protocols.masking import schedule
from fedsecure.protocols.masking.messages import (
    AdvertiseKeys,
    Kind,
    Member,
    Roster,
    SealedShares,
    ShareDelivery,
    ShareKeys,
    UnmaskRequest,
    UnmaskShares,
    read,
    size_limits,
    write,
)
from fedsecure.protocols.masking.states import Act, Role, Stage, step
from fedsecure.protocols.masking.unmasking import Unmasking
from fedsecure.protocols.vectors import VectorSum

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MaskingServer"]


class MaskingServer:
    """The server of one session; made by `PairwiseMasking.server`.

    Each stage takes one message per client, or the pieces of one vector. A refused message raises
    `RemoteProtocolError` naming stage and client and changes nothing. The caller decides when to
    stop waiting: `advance` closes the stage, and whoever has not answered has dropped out.

    Args:
        session: The session, as all clients have it.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._stage = Stage.ADVERTISE_KEYS
        self._limits = size_limits(
            session,
            (Kind.ADVERTISE_KEYS, Kind.SHARE_KEYS, Kind.MASKED_INPUT, Kind.UNMASK_SHARES),
        )
        self._invited = frozenset(session.client_ids)
        self._asked = self._invited
        self._answered: set[int] = set()
        self._members: dict[int, Member] = {}
        self._public_keys: set[bytes] = set()
        self._graph: Graph = CompleteGraph(())
        self._ctx = b""
        self._shares: dict[int, ShareKeys] = {}
        self._vectors = VectorSum(session)
        self._alive: tuple[int, ...] = ()
        self._dead: tuple[int, ...] = ()
        self._unmask: dict[int, UnmaskShares] = {}
        self._result: Aggregate | None = None

    @property
    def stage(self) -> Stage:
        """The stage whose messages are being collected; FINISHED or ABORTED at the end."""
        return self._stage

    @property
    def finished(self) -> bool:
        """Whether this server neither gives nor takes any further message."""
        return self._stage in (Stage.FINISHED, Stage.ABORTED)

    @property
    def ready(self) -> bool:
        """Whether enough clients have answered for `advance` to succeed."""
        return not self.finished and len(self._answered) >= self._session.threshold

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
            RemoteProtocolError: Not a message of this session, stage and client; a second one; or
                one whose content breaks the protocol. Nothing has changed.
        """
        try:
            self._take(client_id, data)
        except (RemoteProtocolError, CryptoError) as error:
            reason = f"message of client {client_id} in stage {self._stage} refused: {error}"
            raise RemoteProtocolError(reason) from None

    def advance(self) -> dict[int, list[bytes]]:
        """Closes the stage.

        Returns:
            The messages for each client that is still in; empty after the last stage.

        Raises:
            ThresholdError: Fewer clients than the threshold have answered. Nothing has changed
                and nothing is revealed: wait for more, or give the session up.
            RemoteProtocolError: Clients sent shares or vectors that do not fit together.
            LocalProtocolError: The session is over.
        """
        following = step(Role.SERVER, self._stage, Act.ADVANCE)
        answered = tuple(sorted(self._answered))
        if len(answered) < self._session.threshold:
            raise ThresholdError(
                f"{len(answered)} of {len(self._asked)} clients have answered in stage "
                f"{self._stage}, below the threshold of {self._session.threshold}; nothing has "
                "been revealed: wait for more clients, or give this session up and begin a new one"
            )
        messages = self._close(answered)
        self._stage = following
        self._asked = frozenset(answered)
        self._answered = set()
        return messages

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

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise LocalProtocolError("a server is neither copied nor pickled: it closes a stage once")

    def _take(self, client_id: int, data: bytes) -> None:
        if client_id not in self._invited:
            raise RemoteProtocolError("this client was not invited")
        if client_id not in self._asked:
            raise RemoteProtocolError("this client has dropped out of the session")
        envelope = self._session.open(data, client_id, self._limits)
        kind = Kind(envelope.kind)
        step(Role.SERVER, self._stage, kind)
        if client_id in self._answered:
            raise RemoteProtocolError("this client has answered already")
        if kind is Kind.MASKED_INPUT:
            complete = self._vectors.add(client_id, envelope.body)
        else:
            self._take_control(kind, client_id, envelope.body)
            complete = True
        if complete:
            self._answered.add(client_id)

    def _take_control(self, kind: Kind, client_id: int, body: memoryview) -> None:
        if kind is Kind.ADVERTISE_KEYS:
            self._take_keys(client_id, read(AdvertiseKeys, body))
        elif kind is Kind.SHARE_KEYS:
            self._take_shares(client_id, read(ShareKeys, body))
        else:
            self._take_unmask_shares(client_id, read(UnmaskShares, body))

    def _take_keys(self, client_id: int, body: AdvertiseKeys) -> None:
        # One bad key would make every other client end the session: it is refused at the door.
        new = {body.share_key, body.mask_key}
        if len(new) != 2 or new & self._public_keys:
            raise RemoteProtocolError("a public key was advertised before")
        for key in new:
            keys.check_public_key(key)
        self._public_keys |= new
        self._members[client_id] = Member(client_id, body.share_key, body.mask_key)

    def _take_shares(self, client_id: int, body: ShareKeys) -> None:
        if [entry.peer for entry in body.sealed] != list(self._graph.neighbors(client_id)):
            raise RemoteProtocolError("shares are not for exactly this client's neighbors")
        self._shares[client_id] = body

    def _take_unmask_shares(self, client_id: int, body: UnmaskShares) -> None:
        holds = set(self._graph.holders(client_id))
        for held, owners in ((body.alive, self._alive), (body.dead, self._dead)):
            if [entry.owner for entry in held] != [owner for owner in owners if owner in holds]:
                raise RemoteProtocolError("shares are not for exactly the clients asked about")
            if not all(shamir.is_share(entry.share) for entry in held):
                raise RemoteProtocolError("a share is not made of canonical field elements")
        self._unmask[client_id] = body

    def _close(self, answered: tuple[int, ...]) -> dict[int, list[bytes]]:
        if self._stage is Stage.ADVERTISE_KEYS:
            return self._send_roster(answered)
        if self._stage is Stage.SHARE_KEYS:
            return self._deliver_shares(answered)
        if self._stage is Stage.MASKED_INPUT:
            return self._request_unmasking(answered)
        self._unmask_sum()
        return {}

    def _send_roster(self, answered: Sequence[int]) -> dict[int, list[bytes]]:
        members = tuple(self._members[client_id] for client_id in answered)
        self._graph = CompleteGraph(answered)
        self._ctx = schedule.context(self._session, members, self._graph)
        message = write(self._session, Kind.ROSTER, wire.SERVER, Roster(members))
        return {client_id: [message] for client_id in answered}

    def _deliver_shares(self, answered: Sequence[int]) -> dict[int, list[bytes]]:
        delivered: dict[int, list[SealedShares]] = {client_id: [] for client_id in answered}
        for sender in answered:
            for entry in self._shares[sender].sealed:
                if entry.peer in delivered:
                    delivered[entry.peer].append(SealedShares(sender, entry.ciphertext))
        return {
            client_id: [
                write(self._session, Kind.SHARE_DELIVERY, wire.SERVER, ShareDelivery(tuple(sealed)))
            ]
            for client_id, sealed in delivered.items()
        }

    def _request_unmasking(self, answered: tuple[int, ...]) -> dict[int, list[bytes]]:
        self._vectors.close()
        self._alive = answered
        self._dead = tuple(sorted(self._asked.difference(answered)))
        message = write(self._session, Kind.UNMASK_REQUEST, wire.SERVER, UnmaskRequest(self._dead))
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
            self._stage = step(Role.SERVER, self._stage, Act.ABORT)
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
        )

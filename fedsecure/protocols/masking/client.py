"""The client of a masking session: four answers, each given once."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NoReturn

from fedsecure import wire
from fedsecure.errors import LocalProtocolError, RemoteProtocolError
from fedsecure.primitives import entropy
from fedsecure.primitives.graph import CompleteGraph
from fedsecure.primitives.keys import PrivateKey
from fedsecure.protocols.masking import schedule
from fedsecure.protocols.masking.keyring import KeyRing
from fedsecure.protocols.masking.messages import (
    AdvertiseKeys,
    Kind,
    Roster,
    ShareDelivery,
    ShareKeys,
    UnmaskRequest,
    read,
    size_limits,
    write,
)
from fedsecure.protocols.masking.states import Act, Role, Stage, step
from fedsecure.protocols.vectors import Upload, contribute

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fedsecure.encoding import Contribution
    from fedsecure.primitives.masks import MaskSet
    from fedsecure.protocols.base import Session
    from fedsecure.pytree import PyTree

__all__ = ["MaskingClient"]

_SECRET_BYTES = 32


class MaskingClient:
    """One client in one session; made by `PairwiseMasking.client`.

    Bytes that are malformed, foreign or out of place raise `RemoteProtocolError` and change
    nothing. A message that is in place but breaks the protocol raises it too and ends the session
    here: the client is ABORTED, its secrets are wiped, and it answers nothing more.

    Args:
        session: The session, already compared with this client's own policy.
        client_id: One of the session's clients.
        update: The update to aggregate, or None to give it later with `set_update`.
        weight: Its weight, in a weighted session.
    """

    def __init__(
        self,
        session: Session,
        client_id: int,
        update: PyTree = None,
        weight: float | None = None,
    ) -> None:
        if client_id not in session.client_ids:
            raise LocalProtocolError(f"client {client_id!r} is not invited to this session")
        self._session = session
        self._id = client_id
        self._stage = Stage.ADVERTISE_KEYS
        self._limits = size_limits(session, (Kind.ROSTER, Kind.SHARE_DELIVERY, Kind.UNMASK_REQUEST))
        self._share_secret = entropy.draw(_SECRET_BYTES)
        self._mask_secret = entropy.draw(_SECRET_BYTES)
        self._advertised = AdvertiseKeys(
            PrivateKey(self._share_secret).public, PrivateKey(self._mask_secret).public
        )
        self._keyring: KeyRing | None = None
        self._masks: MaskSet | None = None
        self._contribution: Contribution | None = None
        self._given = False
        self._uploaded = False
        self._sharers: frozenset[int] = frozenset()
        if update is not None or weight is not None:
            self.set_update(update, weight)

    @property
    def client_id(self) -> int:
        """This client's id."""
        return self._id

    @property
    def stage(self) -> Stage:
        """The stage whose message this client gives next; FINISHED or ABORTED at the end."""
        return self._stage

    @property
    def finished(self) -> bool:
        """Whether this client neither gives nor takes any further message."""
        return self._stage in (Stage.FINISHED, Stage.ABORTED)

    def start(self) -> list[bytes]:
        """Returns the message that advertises this client's keys. Once.

        Raises:
            LocalProtocolError: The client has been started before.
        """
        self._stage = step(Role.CLIENT, self._stage, Act.START)
        return [write(self._session, Kind.ADVERTISE_KEYS, self._id, self._advertised)]

    def set_update(self, update: PyTree, weight: float | None = None) -> None:
        """Gives the update to aggregate, checked at once; its arrays are referred to, not copied.

        Possible once, at any time before the delivery of shares is received, so that training can
        go on while keys are exchanged. Leave the arrays alone until the masked input is drawn.

        Args:
            update: A pytree that fits the session's spec.
            weight: Its weight, if and only if the session is weighted.

        Raises:
            EncodingError: The update or the weight cannot be encoded; another may be given.
            LocalProtocolError: An update was given before, or it is too late for one.
        """
        if self._given:
            raise LocalProtocolError(
                "this client has its update: a second one under the same masks would reveal their "
                "difference; make a new session"
            )
        if self._stage not in (Stage.ADVERTISE_KEYS, Stage.SHARE_KEYS, Stage.MASKED_INPUT):
            raise LocalProtocolError(f"too late for an update: this client is in {self._stage}")
        self._contribution = contribute(self._session, update, weight)
        self._given = True

    def receive(self, data: bytes) -> Iterable[bytes]:
        """Takes one message of the server and returns the messages that answer it.

        The answer to the delivery of shares is the masked input: an iterator that makes each
        message when it is drawn, once. Draw all of it before handing over the next message.

        Raises:
            RemoteProtocolError: See the class.
            LocalProtocolError: No update was given yet, or the masked input is not drawn; nothing
                has changed.
        """
        envelope = self._session.open(data, wire.SERVER, self._limits)
        kind = Kind(envelope.kind)
        following = step(Role.CLIENT, self._stage, kind)
        answer = self._prepare(kind, envelope.body)
        try:
            messages = answer()
        except RemoteProtocolError as error:
            reason = f"client {self._id} ended the session in stage {self._stage}: {error}"
            self._abort()
            raise RemoteProtocolError(reason) from None
        except BaseException:
            self._abort()
            raise
        self._stage = following
        if self._stage is Stage.FINISHED:
            self._wipe()
        return messages

    def __repr__(self) -> str:
        return f"<MaskingClient {self._id} in stage {self._stage}>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise LocalProtocolError(
            "a client is neither copied nor pickled: two of them could answer the same stage"
        )

    def _prepare(self, kind: Kind, body: memoryview) -> Callable[[], Iterable[bytes]]:
        """Reads the body and checks this side's readiness; what is returned may end the session."""
        if kind is Kind.ROSTER:
            return partial(self._share_keys, read(Roster, body))
        if kind is Kind.SHARE_DELIVERY:
            delivery = read(ShareDelivery, body)
            if self._contribution is None:
                raise LocalProtocolError("give this client its update first, with set_update")
            return partial(self._mask_input, delivery, self._contribution)
        request = read(UnmaskRequest, body)
        if not self._uploaded:
            raise LocalProtocolError("draw all messages of the masked input before going on")
        return partial(self._unmask, request)

    def _share_keys(self, roster: Roster) -> list[bytes]:
        self._check_roster(roster)
        members = {member.client_id: member for member in roster.members}
        graph = CompleteGraph(tuple(members))
        self._keyring = KeyRing(
            client_id=self._id,
            ctx=schedule.context(self._session, roster.members, graph),
            graph=graph,
            members=members,
            share_secret=self._share_secret,
            mask_secret=self._mask_secret,
        )
        self_secret = entropy.draw(_SECRET_BYTES)
        commitment, sealed = self._keyring.distribute(
            self._mask_secret, self_secret, self._session.threshold
        )
        for secret in (self._share_secret, self._mask_secret, self_secret):
            secret.wipe()
        body = ShareKeys(commitment, sealed)
        return [write(self._session, Kind.SHARE_KEYS, self._id, body)]

    def _check_roster(self, roster: Roster) -> None:
        members, session = roster.members, self._session
        self._require_survivors(len(members), "roster")
        strangers = {member.client_id for member in members}.difference(session.client_ids)
        if strangers:
            raise RemoteProtocolError(f"roster names client {min(strangers)}, who was not invited")
        own = [member for member in members if member.client_id == self._id]
        mine = (self._advertised.share_key, self._advertised.mask_key)
        if [(member.share_key, member.mask_key) for member in own] != [mine]:
            raise RemoteProtocolError("roster does not hold this client's keys as it sent them")
        distinct = {key for member in members for key in (member.share_key, member.mask_key)}
        if len(distinct) != 2 * len(members):
            raise RemoteProtocolError("roster holds the same public key twice")

    def _mask_input(self, delivery: ShareDelivery, contribution: Contribution) -> Upload:
        keyring = self._ready_keyring()
        keyring.accept(delivery.sealed)
        self._sharers = frozenset(entry.peer for entry in delivery.sealed) | {self._id}
        self._require_survivors(len(self._sharers), "delivery of shares")
        self._masks = keyring.masks(self._sharers)
        return Upload(
            self._session,
            contribution,
            kind=Kind.MASKED_INPUT,
            sender=self._id,
            mask=self._masks.apply,
            ended=self._close_upload,
            failed=self._abort,
        )

    def _close_upload(self) -> None:
        self._uploaded = True
        if self._masks is not None:
            self._masks.wipe()
        if self._contribution is not None:
            self._contribution.wipe()

    def _unmask(self, request: UnmaskRequest) -> list[bytes]:
        keyring = self._ready_keyring()
        dead = frozenset(request.dead)
        if self._id in dead:
            raise RemoteProtocolError("unmask request calls this client itself dead")
        if not dead <= self._sharers:
            stranger = min(dead - self._sharers)
            raise RemoteProtocolError(
                f"unmask request calls client {stranger} dead, who never shared its keys"
            )
        alive = self._sharers - dead
        self._require_survivors(len(alive), "unmask request")
        body = keyring.unmask_shares(alive, dead)
        return [write(self._session, Kind.UNMASK_SHARES, self._id, body)]

    def _require_survivors(self, count: int, where: str) -> None:
        if count < self._session.threshold:
            raise RemoteProtocolError(
                f"{where} leaves {count} clients, below the threshold {self._session.threshold}"
            )

    def _ready_keyring(self) -> KeyRing:
        if self._keyring is None:
            raise LocalProtocolError(f"client {self._id} has no keys in stage {self._stage}")
        return self._keyring

    def _abort(self) -> None:
        self._stage = step(Role.CLIENT, self._stage, Act.ABORT)
        self._wipe()

    def _wipe(self) -> None:
        self._share_secret.wipe()
        self._mask_secret.wipe()
        for holder in (self._keyring, self._masks, self._contribution):
            if holder is not None:
                holder.wipe()

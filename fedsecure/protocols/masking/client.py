"""The client of a masking session: four answers, or five, each given once."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from fedsecure import wire
from fedsecure.errors import LocalProtocolError, RemoteProtocolError
from fedsecure.primitives import entropy
from fedsecure.primitives.entropy import Secret
from fedsecure.primitives.keys import PrivateKey
from fedsecure.protocols.masking import levels, saved, schedule
from fedsecure.protocols.masking.keyring import KeyRing, KeyRingSecrets
from fedsecure.protocols.masking.masked_input import MaskedInput
from fedsecure.protocols.masking.membership import Membership
from fedsecure.protocols.masking.messages import (
    AdvertiseKeys,
    Confirmation,
    Confirmations,
    Kind,
    Roster,
    ShareDelivery,
    ShareKeys,
    Survivors,
    UnmaskRequest,
    read,
    size_limits,
    write,
)
from fedsecure.protocols.masking.party import Party, restated
from fedsecure.protocols.masking.states import Act, Role, Stage
from fedsecure.protocols.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fedsecure.primitives.identity import Identity
    from fedsecure.protocols.vectors import Upload
    from fedsecure.pytree import PyTree

__all__ = ["MaskingClient"]

_SECRET_BYTES = 32
_TAKEN = (
    Kind.ROSTER,
    Kind.SHARE_DELIVERY,
    Kind.UNMASK_REQUEST,
    Kind.SURVIVORS,
    Kind.CONFIRMATIONS,
)


class MaskingClient(Party):
    """One client in one session; made by `PairwiseMasking.client`.

    Bytes that are malformed, foreign or out of place raise `RemoteProtocolError` and change
    nothing. A message that is in place but breaks the protocol raises it too and ends the session
    here: the client is ABORTED, its secrets are wiped, and it answers nothing more. Where the
    message proves who cheated, the error is a `CheaterDetected` that names it.

    Args:
        session: The session, already compared with this client's own policy.
        client_id: One of the session's clients.
        update: The update to aggregate, or None to give it later with `set_update`.
        weight: Its weight, in a weighted session.
        identity: This client's signing key, in a session whose parties sign.

    Raises:
        LocalProtocolError: The client is not invited, or the identity is missing or another one.
        EncodingError: The update or the weight cannot be encoded.
    """

    role = Role.CLIENT

    def __init__(
        self,
        session: Session,
        client_id: int,
        update: PyTree = None,
        weight: float | None = None,
        *,
        identity: Identity | None = None,
    ) -> None:
        self._setup(session, client_id, identity)
        self._share_secret = entropy.draw(_SECRET_BYTES)
        self._mask_secret = entropy.draw(_SECRET_BYTES)
        if update is not None or weight is not None:
            self.set_update(update, weight)

    def _setup(self, session: Session, client_id: int, identity: Identity | None) -> None:
        if client_id not in session.client_ids:
            raise LocalProtocolError(f"client {client_id!r} is not invited to this session")
        levels.check_identity(session, client_id, identity)
        super().__init__(session)
        self._id = client_id
        self._identity = identity
        self._limits = size_limits(session, _TAKEN)
        self._keys: tuple[PrivateKey, PrivateKey] | None = None
        self._keyring: KeyRing | None = None
        self._membership: Membership | None = None
        self._roster = memoryview(b"")  # as it came: the message is shorter than what it says
        self._input = MaskedInput(session)

    @classmethod
    def from_bytes(cls, data: bytes, identity: Identity | None = None) -> MaskingClient:
        """Returns the client that `to_bytes` wrote, where it stood.

        If it had its update and has not sent all of it, give the same one again with `set_update`,
        and send what `resume` returns.

        Args:
            data: Secret bytes from this library, kept where nobody else reads or replaces them.
            identity: This client's signing key, in a session whose parties sign.

        Raises:
            LocalProtocolError: Not the bytes of a client, or not its identity.
        """

        def restore(state: saved.ClientState, nothing: memoryview) -> MaskingClient:
            if nothing:
                raise LocalProtocolError("these are not the bytes of a client: there are too many")
            client = cls.__new__(cls)
            client._restore(state, identity)  # noqa: SLF001  # our own class
            return client

        return saved.load(saved.ClientState, data, restore)

    def to_bytes(self) -> bytes:
        """Returns all of this client but its update and identity, as secret bytes.

        Write them to safe storage before sending the messages that were made last: a client that
        is restored from older bytes could answer a stage a second time (see SECURITY.md).
        """
        membership = self._membership
        given, fingerprint, rounding, made = self._input.save(over=self.finished)
        state = saved.ClientState(
            session=self._session.to_bytes(),
            client_id=self._id,
            stage=self._stage,
            share_secret=_kept(self._share_secret),
            mask_secret=_kept(self._mask_secret),
            roster=bytes(self._roster),
            keyring=() if self._keyring is None else self._keyring.save(),
            sharers=() if membership is None else tuple(sorted(membership.sharers)),
            alive=() if membership is None else tuple(sorted(membership.alive)),
            given=given,
            fingerprint=fingerprint,
            rounding=rounding,
            made=made,
        )
        return saved.store(state)

    @property
    def client_id(self) -> int:
        """This client's id."""
        return self._id

    @property
    def session(self) -> Session:
        """The session this client takes part in."""
        return self._session

    @property
    def survivors(self) -> tuple[int, ...]:
        """Whose updates are in the sum, increasing, as this client was told; empty until it is."""
        return () if self._membership is None else tuple(sorted(self._membership.alive))

    @property
    def transcript(self) -> bytes | None:
        """32 bytes that all honest parties of the session have in common, once it is known."""
        return None if self._membership is None else self._membership.transcript

    def start(self) -> list[bytes]:
        """Returns the message that advertises this client's keys. Once.

        Raises:
            LocalProtocolError: The client has been started before.
        """
        self._stage = self._following(Act.START)
        share_key, mask_key = (key.public for key in self._private_keys())
        statement = schedule.key_statement(self._session, self._id, share_key, mask_key)
        body = AdvertiseKeys(share_key, mask_key, levels.sign(self._identity, statement))
        return [write(self._session, Kind.ADVERTISE_KEYS, self._id, body)]

    def set_update(self, update: PyTree, weight: float | None = None) -> None:
        """Gives the update to aggregate, checked at once; its arrays are referred to, not copied.

        Possible once, at any time before the delivery of shares is received, so that training can
        go on while keys are exchanged. Leave the arrays alone until the masked input is drawn. A
        restored client is given its update again.

        Args:
            update: A pytree that fits the session's spec.
            weight: Its weight, if and only if the session is weighted.

        Raises:
            EncodingError: The update or the weight cannot be encoded; another may be given.
            LocalProtocolError: An update was given before, or it is too late for one.
        """
        early = (Stage.ADVERTISE_KEYS, Stage.SHARE_KEYS, Stage.MASKED_INPUT)
        if self._stage not in early and not self._uploading and not self._input.ready:
            raise LocalProtocolError(f"too late for an update: this client is in {self._stage}")
        self._input.set_update(update, weight)

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
        following = self._following(kind)
        answer = self._prepare(kind, envelope.body)
        try:
            messages = answer()
        except RemoteProtocolError as error:
            reason = f"client {self._id} ended the session in stage {self._stage}: {error}"
            self._abort()
            raise restated(error, reason) from None
        except BaseException:
            self._abort()
            raise
        self._stage = following
        if self._stage is Stage.FINISHED:
            self._wipe()
        return messages

    def resume(self) -> Iterable[bytes]:
        """Returns the messages of the masked input that have not been made yet, in order.

        There are some if the client was restored while it was sending its masked input.

        Raises:
            LocalProtocolError: They cannot be made before the update is given again.
        """
        if not self._uploading:
            return ()
        return self._input.upload or self._begin_upload()

    def __repr__(self) -> str:
        return f"<MaskingClient {self._id} in stage {self._stage}>"

    def _restore(self, state: saved.ClientState, identity: Identity | None) -> None:
        session = Session.from_bytes(state.session)
        self._setup(session, state.client_id, identity)
        self._stage = Stage(state.stage)
        self._share_secret = Secret(state.share_secret)
        self._mask_secret = Secret(state.mask_secret)
        self._input = MaskedInput(
            session,
            given=state.given,
            fingerprint=state.fingerprint,
            rounding=state.rounding,
            made=state.made,
        )
        if state.roster:
            self._roster = memoryview(state.roster)
            membership = Membership(session, self._id, read(Roster, self._roster).members)
            membership.recall(state.sharers, state.alive)
            self._membership = membership
            secrets = KeyRingSecrets(*state.keyring)
            self._keyring = KeyRing(
                self._id, membership.ctx, session.prg, membership.graph, secrets
            )

    @property
    def _uploading(self) -> bool:
        """Whether some of the masked input is still to be made."""
        begun = self._stage in (Stage.CONSISTENCY_CHECK, Stage.UNMASKING)
        return begun and not self._input.complete

    def _private_keys(self) -> tuple[PrivateKey, PrivateKey]:
        """The keys of both secrets, kept while those are: a public half costs an agreement."""
        if self._keys is None:
            self._keys = PrivateKey(self._share_secret), PrivateKey(self._mask_secret)
        return self._keys

    def _prepare(self, kind: Kind, body: memoryview) -> Callable[[], Iterable[bytes]]:
        """Reads the body and checks this side's readiness; what is returned may end the session."""
        if kind is Kind.ROSTER:
            return partial(self._share_keys, read(Roster, body), body)
        if kind is Kind.SHARE_DELIVERY:
            delivery = read(ShareDelivery, body)
            if not self._input.ready:
                raise LocalProtocolError("give this client its update first, with set_update")
            return partial(self._mask_input, delivery)
        if kind is Kind.CONFIRMATIONS:
            return partial(self._unmask_confirmed, read(Confirmations, body))
        request = read(Survivors if kind is Kind.SURVIVORS else UnmaskRequest, body)
        if self._uploading:
            raise LocalProtocolError("draw all messages of the masked input before going on")
        if kind is Kind.SURVIVORS:
            return partial(self._confirm, request)
        return partial(self._unmask_requested, request)

    def _share_keys(self, roster: Roster, body: memoryview) -> list[bytes]:
        membership = Membership(self._session, self._id, roster.members)
        members = {member.client_id: member for member in roster.members}
        share_key, mask_key = self._private_keys()
        membership.check_own(members.get(self._id), share_key.public, mask_key.public)
        membership.check_signatures(roster.members)
        self._membership, self._roster = membership, body
        self._keyring = KeyRing.agree(
            client_id=self._id,
            ctx=membership.ctx,
            prg=self._session.prg,
            graph=membership.graph,
            members=members,
            share_key=share_key,
            mask_key=mask_key,
        )
        self_secret = entropy.draw(_SECRET_BYTES)
        commitment, own_tag, sealed = self._keyring.distribute(
            self._mask_secret, self_secret, self._session.threshold
        )
        for secret in (self._share_secret, self._mask_secret, self_secret):
            secret.wipe()
        self._keys = None
        told = ShareKeys(commitment, own_tag, sealed, b"")
        if self._identity is not None:
            unsigned = wire.encode_control(told)
            statement = schedule.shares_statement(membership.ctx, self._id, unsigned)
            told = ShareKeys(commitment, own_tag, sealed, levels.sign(self._identity, statement))
        return [write(self._session, Kind.SHARE_KEYS, self._id, told)]

    def _mask_input(self, delivery: ShareDelivery) -> Upload:
        keyring, membership = self._ready()
        membership.set_gone(delivery.gone, [entry.peer for entry in delivery.sealed])
        keyring.accept(delivery.sealed)
        return self._begin_upload()

    def _begin_upload(self) -> Upload:
        keyring, membership = self._ready()
        return self._input.begin(
            keyring.masks(membership.sharers),
            sender=self._id,
            check=self._check_process,
            ended=keyring.forget_masks,
            failed=self._abort,
        )

    def _confirm(self, request: UnmaskRequest) -> list[bytes]:
        _, membership = self._ready()
        agreed = membership.set_dead(request.dead)
        statement = schedule.survivors_statement(agreed)
        body = Confirmation(levels.sign(self._identity, statement))
        return [write(self._session, Kind.CONFIRMATION, self._id, body)]

    def _unmask_confirmed(self, confirmations: Confirmations) -> list[bytes]:
        _, membership = self._ready()
        membership.check_confirmations(confirmations.signatures)
        return self._unmask()

    def _unmask_requested(self, request: UnmaskRequest) -> list[bytes]:
        _, membership = self._ready()
        membership.set_dead(request.dead)
        return self._unmask()

    def _unmask(self) -> list[bytes]:
        keyring, membership = self._ready()
        body = keyring.unmask_shares(membership.alive, membership.dead)
        return [write(self._session, Kind.UNMASK_SHARES, self._id, body)]

    def _ready(self) -> tuple[KeyRing, Membership]:
        if self._keyring is None or self._membership is None:
            raise LocalProtocolError(f"client {self._id} has no keys in stage {self._stage}")
        return self._keyring, self._membership

    def _abort(self) -> None:
        self._stage = self._following(Act.ABORT)
        self._wipe()

    def _wipe(self) -> None:
        self._keys = None  # the library clears what it holds
        for holder in (self._share_secret, self._mask_secret, self._keyring, self._input):
            if holder is not None:
                holder.wipe()


def _kept(secret: Secret) -> bytes:
    return b"" if secret.wiped else bytes(secret.view)

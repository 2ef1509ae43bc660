"""Who decrypts: the holder of the key, or clients that each hold a share of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from fedsecure import wire
from fedsecure.errors import (
    CheaterDetected,
    CryptoError,
    LocalProtocolError,
    RemoteProtocolError,
)
from fedsecure.primitives import masks
from fedsecure.protocols.homomorphic import saved, schedule
from fedsecure.protocols.homomorphic.audit import Auditor
from fedsecure.protocols.homomorphic.client import PaillierClient
from fedsecure.protocols.homomorphic.messages import Kind, size_limits
from fedsecure.protocols.homomorphic.party import Party
from fedsecure.protocols.homomorphic.states import Act, Role, Stage
from fedsecure.protocols.party import restated
from fedsecure.protocols.session import Session
from fedsecure.protocols.vectors import decode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy as np
    from numpy.typing import NDArray

    from fedsecure.paillier import PrivateKey
    from fedsecure.paillier.threshold import KeyShare
    from fedsecure.primitives.identity import Identity
    from fedsecure.pytree import PyTree

    Rows = NDArray[np.uint8]

__all__ = ["KeyHolder", "ShareHolder"]


class _Decryptor(Party, ABC):
    """Audits what the server relays, and answers once."""

    _auditor: Auditor
    _id: int

    def receive(self, data: bytes) -> Iterable[bytes]:
        """Takes one message that the server relays, or its request, which this answers once.

        Raises:
            CheaterDetected: The server asks for what it may not have; the session is over here.
            RemoteProtocolError: Malformed, foreign or out of place: nothing has changed; or the sum
                is none of honest clients: the session is over here.
        """
        limits = size_limits(self._session, self._layout)
        sender = wire.open_envelope(data, limits).sender
        try:
            envelope = self._session.open(data, sender, limits)
        except CheaterDetected as error:  # who relays it has opened it first
            raise CheaterDetected(str(error), wire.SERVER) from None
        kind = Kind(envelope.kind)
        if (kind is Kind.AUDIT) != (sender == wire.SERVER):
            raise RemoteProtocolError(f"{kind.name} does not come from {sender}")
        following = self._following(kind)
        if kind is not Kind.AUDIT and sender not in self._session.client_ids:
            raise RemoteProtocolError(f"client {sender} was not invited")
        try:
            return self._take(kind, sender, envelope.body, following)
        except CheaterDetected as error:
            self._give_up()
            reason = f"the {self.role} ended the session: {error}"
            raise restated(error, reason) from None

    def _take(self, kind: Kind, sender: int, body: memoryview, following: Stage) -> Iterable[bytes]:
        if kind is not Kind.AUDIT:
            self._auditor.take(kind, sender, body)
            return ()
        product = self._auditor.finish(body)
        self._stage = following  # one answer, whatever becomes of it
        try:
            return self._answer(product, len(self._auditor.digests))
        except BaseException:
            self._stage = Stage.ABORTED
            raise
        finally:
            self._audit_anew()

    @abstractmethod
    def _answer(self, product: NDArray[Any], contributors: int) -> list[bytes]:
        """Returns the messages that answer an audited product of so many inputs."""

    def _audit_anew(self) -> None:
        self._auditor = Auditor(self._session, self._layout)

    def _give_up(self) -> None:
        self._audit_anew()  # lets go of what came
        self._stage = self._following(Act.ABORT)

    def _save(self) -> bytes:
        auditor = self._auditor
        if not auditor.between:
            raise LocalProtocolError("hand over the rest of this client's contribution first")
        product, digests = auditor.save()
        entries = tuple(saved.Digested(*item) for item in sorted(digests.items()))
        state = saved.HolderState(self._session.to_bytes(), self._id, self._stage, entries)
        return saved.store(state, [memoryview(product)] if digests else [])

    def _restore(self, state: saved.HolderState, product: memoryview) -> None:
        self._stage = Stage(state.stage)
        if state.digests:
            digests = ((entry.client_id, entry.digest) for entry in state.digests)
            self._auditor.restore(product, digests)
        elif product:
            raise RemoteProtocolError("a product of nothing")


class KeyHolder(_Decryptor):
    """Who has the private key; made by `PaillierSum.key_holder`. It decrypts one sum a session.

    For the caller it is a client under the id `fedsecure.wire.KEY_HOLDER`: `start` gives nothing,
    the server's messages go to `receive`, and what that returns goes to the server.

    Make it once for each session id, and remember which ones you made it for: two of them for one
    session, as after a server has sent the same session again, would answer twice, and two sums can
    differ in one client.

    It sees every contribution that it audits, and could read it: nothing but its own honesty keeps
    it from that. Where no single party may be trusted so far, take `ThresholdPaillierSum`.

    Args:
        session: The session, already compared with this party's own policy.
        key: The private key.
        decrypt: Gives the plaintexts of ciphertexts under it, if not `key.decrypt_rows`.
    """

    role = Role.KEY_HOLDER

    def __init__(
        self,
        session: Session,
        key: PrivateKey,
        *,
        decrypt: Callable[[Rows], Rows] | None = None,
    ) -> None:
        super().__init__(session, key.public, Stage.DECRYPTION)
        self._id = wire.KEY_HOLDER
        self._decrypt = key.decrypt_rows if decrypt is None else decrypt
        self._audit_anew()

    @classmethod
    def from_bytes(cls, data: bytes, key: PrivateKey) -> KeyHolder:
        """Returns the key holder that `to_bytes` wrote, where it stood.

        Raises:
            LocalProtocolError: Not the bytes of a key holder, or of one with another key.
        """

        def restore(state: saved.HolderState, product: memoryview) -> KeyHolder:
            session = Session.from_bytes(state.session)
            if state.client_id != wire.KEY_HOLDER or session.parameters != key.public.fingerprint:
                raise LocalProtocolError("these are not the bytes of the holder of this key")
            holder = cls(session, key)
            holder._restore(state, product)
            return holder

        return saved.load(saved.HolderState, data, restore)

    def to_bytes(self) -> bytes:
        """Returns this party without its key, between the contributions of two clients.

        Write it before sending an answer: one that is restored from older bytes would answer again.
        """
        return self._save()

    @property
    def client_id(self) -> int:
        """The id that messages go to: `fedsecure.wire.KEY_HOLDER`."""
        return self._id

    def start(self) -> Iterable[bytes]:
        """Returns nothing: the server speaks first."""
        self._stage = self._following(Act.START)
        return ()

    def set_update(self, update: PyTree, weight: float | None = None) -> None:
        """Refuses: the key holder contributes nothing under this name.

        Raises:
            LocalProtocolError: Always.
        """
        del update, weight
        raise LocalProtocolError("the key holder has no update; who has one takes part as a client")

    def resume(self) -> Iterable[bytes]:
        """Returns nothing."""
        return ()

    def __repr__(self) -> str:
        return f"<KeyHolder in stage {self._stage}>"

    def _answer(self, product: NDArray[Any], contributors: int) -> list[bytes]:
        session, packing = self._session, self._layout.packing
        plaintexts = self._decrypt(product)
        total = packing.unpack(plaintexts, session.layout.length, session.layout.dtype)
        if session.plan is None:  # noise may make it anything
            decode(session, total, contributors)  # what honest clients cannot have sent stays here
        bits, messages = session.layout.modulus_bits, []
        for index in range(session.num_chunks):
            start, stop = session.piece(index)
            head = wire.vector_header(bits, stop - start, index)
            body = head + masks.pack(total[start:stop], bits)
            messages.append(session.seal(Kind.DECRYPTED_SUM, self._id, body))
        return messages


class ShareHolder(PaillierClient, _Decryptor):
    """A client that also holds a share of the key; made by `ThresholdPaillierSum.client`.

    After its contribution it audits those of all, its own among them, and gives its part of the
    decryption of their product, with a proof.

    Args:
        session: The session, already compared with this client's own policy.
        share: Its share of the key.
        client_id: One of the session's clients.
        update: The update to aggregate, or None to give it later with `set_update`.
        weight: Its weight, in a weighted session.
        identity: This client's signing key.
    """

    role = Role.SHARE_HOLDER

    def __init__(
        self,
        session: Session,
        share: KeyShare,
        client_id: int,
        update: PyTree = None,
        weight: float | None = None,
        *,
        identity: Identity | None,
    ) -> None:
        super().__init__(session, share.public.key, client_id, update, weight, identity=identity)
        self._share = share
        self._audit_anew()

    receive = _Decryptor.receive

    @classmethod
    def from_bytes(  # type: ignore[override]  # restored with its share, not with the public key
        cls, data: bytes, share: KeyShare, identity: Identity
    ) -> ShareHolder:
        """Returns the client that `to_bytes` wrote, where it stood.

        Raises:
            LocalProtocolError: Not the bytes of such a client, or not its identity.
        """

        def restore(state: saved.HolderState, product: memoryview) -> ShareHolder:
            session = Session.from_bytes(state.session)
            client = cls(session, share, state.client_id, identity=identity)
            client._restore(state, product)  # our own class
            return client

        return saved.load(saved.HolderState, data, restore)

    def to_bytes(self) -> bytes:
        """Returns this client without update, identity and share; see `KeyHolder.to_bytes`."""
        return self._save()

    def _answer(self, product: NDArray[Any], contributors: int) -> list[bytes]:
        del contributors
        ctx = schedule.context(self._session)
        try:
            partial = self._share.partial_rows(product, ctx)
        except CryptoError as error:
            raise RemoteProtocolError(str(error)) from None
        return [self._session.seal(Kind.PARTIAL_DECRYPTION, self._id, partial.to_bytes())]

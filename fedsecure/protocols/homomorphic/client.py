"""The clients of an encrypted sum: one message wave, after which most of them may go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fedsecure import wire
from fedsecure.errors import LocalProtocolError
from fedsecure.primitives import entropy
from fedsecure.protocols.homomorphic import saved
from fedsecure.protocols.homomorphic.contribution import EncryptedUpload
from fedsecure.protocols.homomorphic.messages import Kind, size_limits
from fedsecure.protocols.homomorphic.party import Party
from fedsecure.protocols.homomorphic.states import Act, Role, Stage
from fedsecure.protocols.session import Session
from fedsecure.protocols.signing import check_identity
from fedsecure.protocols.vectors import contribute

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fedsecure.paillier import PublicKey
    from fedsecure.primitives.identity import Identity
    from fedsecure.protocols.vectors import Input
    from fedsecure.pytree import PyTree

__all__ = ["PaillierClient"]


class PaillierClient(Party):
    """One client of an encrypted sum; made by `PaillierSum.client`.

    It encrypts its update under the key that its own policy pins, signs all of it, and is done:
    whoever gets the messages reads nothing without the private key.

    Args:
        session: The session, already compared with this client's own policy.
        key: The public key.
        client_id: One of the session's clients.
        update: The update to aggregate, or None to give it later with `set_update`.
        weight: Its weight, in a weighted session.
        identity: This client's signing key.

    Raises:
        LocalProtocolError: The client is not invited, or the identity is missing or another one.
        EncodingError: The update or the weight cannot be encoded.
    """

    role = Role.CLIENT

    def __init__(
        self,
        session: Session,
        key: PublicKey,
        client_id: int,
        update: PyTree = None,
        weight: float | None = None,
        *,
        identity: Identity | None,
    ) -> None:
        if client_id not in session.client_ids:
            raise LocalProtocolError(f"client {client_id!r} is not invited to this session")
        check_identity(session, client_id, identity)
        super().__init__(session, key, Stage.ENCRYPTED_INPUT)
        self._id = client_id
        self._identity = identity
        self._update: Input | None = None
        if update is not None or weight is not None:
            self.set_update(update, weight)

    @classmethod
    def from_bytes(cls, data: bytes, key: PublicKey, identity: Identity) -> PaillierClient:
        """Returns the client that `to_bytes` wrote, where it stood.

        One that has been started has nothing more to say; make a new client instead if its messages
        were lost, which reveals nothing: no two encryptions are alike.

        Raises:
            LocalProtocolError: Not the bytes of a client, or not its identity.
        """

        def restore(state: saved.ClientState, nothing: memoryview) -> PaillierClient:
            if nothing:
                raise LocalProtocolError("these are not the bytes of a client: there are too many")
            session = Session.from_bytes(state.session)
            client = cls(session, key, state.client_id, identity=identity)
            client._stage = Stage(state.stage)  # our own class
            return client

        return saved.load(saved.ClientState, data, restore)

    def to_bytes(self) -> bytes:
        """Returns this client without its update and identity, for `from_bytes`."""
        return saved.store(saved.ClientState(self._session.to_bytes(), self._id, self._stage))

    @property
    def client_id(self) -> int:
        """This client's id."""
        return self._id

    def set_update(self, update: PyTree, weight: float | None = None) -> None:
        """Gives the update, checked at once; its arrays are referred to, not copied.

        Possible once, before `start`. Leave the arrays alone until all messages are drawn.

        Raises:
            EncodingError: The update or the weight cannot be encoded; another may be given.
            LocalProtocolError: An update was given before, or it is too late for one.
        """
        if self._stage is not Stage.ENCRYPTED_INPUT or self._update is not None:
            raise LocalProtocolError("this client has its update, or has sent it")
        seed = entropy.draw(self._session.prg.seed_bytes)
        try:
            self._update = contribute(self._session, update, weight, seed)
        finally:
            seed.wipe()

    def start(self) -> Iterable[bytes]:
        """Returns this client's contribution: messages that are encrypted as they are drawn, once.

        Raises:
            LocalProtocolError: There is no update yet, or the client has been started before.
        """
        following = self._following(Act.START)
        if self._update is None or self._identity is None:
            raise LocalProtocolError("give this client its update first, with set_update")
        update, self._update = self._update, None
        self._stage = following
        return EncryptedUpload(
            self._session,
            self._layout,
            update,
            sender=self._id,
            signer=self._identity,
            check=self._check_process,
            ended=_nothing,
            failed=self._abort,
        )

    def receive(self, data: bytes) -> Iterable[bytes]:
        """Refuses: nothing is sent to a client that only contributes.

        Raises:
            RemoteProtocolError: Always.
        """
        limits = size_limits(self._session, self._layout)
        envelope = self._session.open(data, wire.SERVER, limits)
        self._following(Kind(envelope.kind))
        return ()

    def resume(self) -> Iterable[bytes]:
        """Returns nothing: an upload that was interrupted is begun again by a new client."""
        return ()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._id} in stage {self._stage}>"


def _nothing() -> None: ...

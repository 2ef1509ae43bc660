"""One client's ciphertexts, on both ends of their way: made and signed, taken and checked."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from fedsecure import wire
from fedsecure.errors import CheaterDetected, CryptoError, RemoteProtocolError
from fedsecure.primitives import entropy
from fedsecure.protocols.homomorphic import schedule
from fedsecure.protocols.homomorphic.messages import Contribution, Kind, Layout
from fedsecure.protocols.signing import check_signature

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fedsecure.primitives.identity import Identity
    from fedsecure.protocols.session import Session
    from fedsecure.protocols.vectors import Input

__all__ = ["Arrival", "EncryptedUpload"]


class EncryptedUpload(Iterator[bytes]):
    """The messages of one client's contribution, each encrypted when it is drawn, each once.

    Args:
        session: The session.
        layout: That of its ciphertexts.
        update: The validated update; wiped after the last piece.
        sender: The client's id.
        signer: Its identity.
        check: Called before each message; may refuse.
        ended: Called after the last message was made.
        failed: Called instead when making one failed; no further message comes then.
    """

    def __init__(
        self,
        session: Session,
        layout: Layout,
        update: Input,
        *,
        sender: int,
        signer: Identity,
        check: Callable[[], None],
        ended: Callable[[], None],
        failed: Callable[[], None],
    ) -> None:
        self._session, self._layout, self._update = session, layout, update
        self._sender, self._signer = sender, signer
        self._check, self._ended, self._failed = check, ended, failed
        self._digest = hashlib.sha256()
        self._next = 0

    def __next__(self) -> bytes:
        last = self._layout.num_pieces
        if self._next > last:
            raise StopIteration
        index, self._next = self._next, self._next + 1
        try:
            self._check()
            message = self._close() if index == last else self._piece(index)
        except BaseException:
            self._next = last + 1
            self._update.wipe()
            self._failed()
            raise
        if index == last:
            self._update.wipe()
            self._ended()
        return message

    def __repr__(self) -> str:
        return f"EncryptedUpload({self._next} of {self._layout.num_pieces + 1} messages made)"

    def _piece(self, index: int) -> bytes:
        words = self._update.encode(*self._layout.elements_of(index))
        plaintexts = self._layout.packing.pack(words)
        entropy.wipe(words.data.cast("B"))
        try:
            rows = self._layout.packing.public.encrypt_rows(plaintexts)
        finally:
            entropy.wipe(plaintexts.reshape(-1).data)
        self._digest.update(rows.reshape(-1).data)
        return self._session.seal(
            Kind.ENCRYPTED_INPUT, self._sender, self._layout.write(index, rows)
        )

    def _close(self) -> bytes:
        digest = self._digest.digest()
        ctx = schedule.context(self._session)
        statement = schedule.contribution_statement(ctx, self._sender, digest)
        body = Contribution(digest, self._signer.sign(statement))
        return self._session.seal(Kind.CONTRIBUTION, self._sender, wire.encode_control(body))


class Arrival:
    """One client's contribution as it comes, piece by piece, up to its signature.

    Args:
        session: The session.
        layout: That of its ciphertexts.
        client_id: Whose it is.
    """

    def __init__(self, session: Session, layout: Layout, client_id: int) -> None:
        self._session, self._layout, self._id = session, layout, client_id
        self._digest = hashlib.sha256()
        self._next = 0

    def take(self, body: memoryview, culprit: int) -> NDArray[Any]:
        """Returns the ciphertexts of the next piece.

        Args:
            body: That of the message.
            culprit: Whom a number that is no ciphertext betrays: not the client, where somebody
                else could have put it in the client's place.

        Raises:
            CheaterDetected: A number is no ciphertext.
            RemoteProtocolError: Not the piece that is due.
        """
        rows = self._layout.read(body, self._next)
        try:
            self._layout.packing.public.check_rows(rows)
        except CryptoError as error:
            raise CheaterDetected(str(error), culprit) from None
        self._digest.update(rows.reshape(-1).data)
        self._next += 1
        return rows

    def close(self, body: memoryview, culprit: int) -> bytes:
        """Returns the digest of all ciphertexts, which the client has signed.

        Args:
            body: That of the closing message.
            culprit: Whom a wrong signature betrays.

        Raises:
            CheaterDetected: The digest or the signature is wrong.
            RemoteProtocolError: Malformed, or pieces are missing.
        """
        told = wire.decode_control(Contribution, body)
        if self._next != self._layout.num_pieces:
            raise RemoteProtocolError(
                f"{self._next} of {self._layout.num_pieces} pieces of an encrypted input came "
                "before its end"
            )
        if told.digest != self._digest.digest():
            raise CheaterDetected("the digest is not that of the ciphertexts that came", culprit)
        ctx = schedule.context(self._session)
        statement = schedule.contribution_statement(ctx, self._id, told.digest)
        check_signature(self._session, self._id, told.signature, statement, culprit)
        return told.digest

    @property
    def next_piece(self) -> int:
        """Number of the piece that is due."""
        return self._next

"""The messages of an encrypted sum, and how large each may be.

=====================  =====================  ===================================================
kind                   sent by                body
=====================  =====================  ===================================================
ENCRYPTED_INPUT        client                 a run of its ciphertexts: index u32, then the rows
CONTRIBUTION           client                 digest of all its ciphertexts, and its signature
AUDIT                  server                 the clients in the sum, and a digest of their product
DECRYPTED_SUM          key holder             a piece of the sum (`wire.decode_vector`)
PARTIAL_DECRYPTION     client, with a share   its partial decryption of the product, with a proof
=====================  =====================  ===================================================

To whoever decrypts, the server relays the messages of every client in the sum as they came, one
client after the other, each ending in its CONTRIBUTION; AUDIT follows.
"""

from __future__ import annotations

import itertools
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from msgspec import Meta

from fedsecure import wire
from fedsecure.errors import RemoteProtocolError
from fedsecure.primitives.identity import SIGNATURE_BYTES
from fedsecure.protocols.vectors import piece_limit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fedsecure.paillier import Packing
    from fedsecure.protocols.session import Session

    Rows = NDArray[np.uint8]

__all__ = ["Audit", "Contribution", "Kind", "Layout", "read_audit", "size_limits"]

_INDEX = struct.Struct("<I")
_CONTROL_BYTES = 256
_ID_BYTES = 5  # of a client id in msgpack, at most


class Kind(IntEnum):
    """The kind byte of the envelope."""

    ENCRYPTED_INPUT = 16
    CONTRIBUTION = 17
    AUDIT = 18
    DECRYPTED_SUM = 19
    PARTIAL_DECRYPTION = 20


class Contribution(wire.Control, frozen=True):
    """What a client vouches for: the digest of all its ciphertexts, signed with their context."""

    digest: wire.Digest
    signature: Annotated[bytes, Meta(min_length=SIGNATURE_BYTES, max_length=SIGNATURE_BYTES)]


class Audit(wire.Control, frozen=True):
    """What is to be decrypted: the product of these clients' ciphertexts."""

    contributors: Annotated[tuple[wire.ClientId, ...], Meta(max_length=wire.MAX_PARTIES)]
    digest: wire.Digest


def read_audit(body: memoryview) -> Audit:
    """Returns an audit whose ids are strictly increasing.

    Raises:
        RemoteProtocolError: The body is none.
    """
    audit = wire.decode_control(Audit, body)
    if any(before >= after for before, after in itertools.pairwise(audit.contributors)):
        raise RemoteProtocolError("the clients of an audit are not strictly increasing")
    return audit


@dataclass(frozen=True)
class Layout:
    """How one client's ring elements become ciphertexts, and these become messages.

    Attributes:
        packing: Slots as wide as the session's ring elements.
        length: Ring elements of a vector.
        rows: Ciphertexts in a message, but in the last one.
    """

    packing: Packing
    length: int
    rows: int

    @classmethod
    def of(cls, session: Session, packing: Packing) -> Layout:
        """Returns that of a session: messages of about `session.chunk` ring elements."""
        return cls(packing, session.layout.length, max(1, session.chunk // packing.slots))

    @property
    def num_rows(self) -> int:
        """Ciphertexts of one client."""
        return self.packing.num_ciphertexts(self.length)

    @property
    def num_pieces(self) -> int:
        """Messages that carry them."""
        return -(-self.num_rows // self.rows)

    @property
    def row_bytes(self) -> int:
        """Bytes of a ciphertext."""
        return 2 * self.packing.public.key_bytes

    def rows_of(self, index: int) -> tuple[int, int]:
        """Returns the range of ciphertexts, start and stop, in message number `index`."""
        start = index * self.rows
        return start, min(start + self.rows, self.num_rows)

    def elements_of(self, index: int) -> tuple[int, int]:
        """Returns the range of ring elements in message number `index`."""
        start, stop = self.rows_of(index)
        slots = self.packing.slots
        return start * slots, min(stop * slots, self.length)

    def rows_from(self, data: memoryview) -> NDArray[Any]:
        """Returns all ciphertexts of a vector from their bytes.

        Raises:
            RemoteProtocolError: They are of another length.
        """
        if len(data) != self.num_rows * self.row_bytes:
            raise RemoteProtocolError(
                f"{len(data)} bytes are not {self.num_rows} ciphertexts of {self.row_bytes}"
            )
        return np.frombuffer(data, np.uint8).reshape(self.num_rows, self.row_bytes)

    def write(self, index: int, rows: Rows) -> bytes:
        """Returns the body of message number `index`."""
        return _INDEX.pack(index) + rows.tobytes()

    @staticmethod
    def index_of(body: memoryview) -> int:
        """Returns the index that the body of a piece claims.

        Raises:
            RemoteProtocolError: It is too short to have one.
        """
        if len(body) < _INDEX.size:
            raise RemoteProtocolError("a run of ciphertexts is shorter than its index")
        (index,) = _INDEX.unpack_from(body)
        return int(index)

    def read(self, body: memoryview, due: int) -> NDArray[Any]:
        """Returns the ciphertexts of a body that must be message number `due`.

        Raises:
            RemoteProtocolError: It is not, or of another length.
        """
        index = self.index_of(body)
        if index != due or due >= self.num_pieces:
            raise RemoteProtocolError(
                f"piece {index} of an encrypted input came where piece {due} of {self.num_pieces} "
                "was due"
            )
        start, stop = self.rows_of(index)
        if len(body) - _INDEX.size != (stop - start) * self.row_bytes:
            raise RemoteProtocolError(
                f"piece {index} has {len(body) - _INDEX.size} bytes of ciphertexts; "
                f"{stop - start} of {self.row_bytes} bytes were due"
            )
        rows = np.frombuffer(body, np.uint8, offset=_INDEX.size)
        return rows.reshape(stop - start, self.row_bytes)


def size_limits(session: Session, layout: Layout, partial: int = 0) -> dict[int, int]:
    """Returns the largest body of each kind, in bytes.

    Args:
        session: The session.
        layout: That of its ciphertexts.
        partial: Bytes of a partial decryption; 0 if there are none.
    """
    limits = {
        Kind.ENCRYPTED_INPUT: _INDEX.size + min(layout.rows, layout.num_rows) * layout.row_bytes,
        Kind.CONTRIBUTION: _CONTROL_BYTES,
        Kind.AUDIT: _CONTROL_BYTES + _ID_BYTES * len(session.client_ids),
        Kind.DECRYPTED_SUM: piece_limit(session),
    }
    if partial:
        limits[Kind.PARTIAL_DECRYPTION] = partial
    return {int(kind): limit for kind, limit in limits.items()}

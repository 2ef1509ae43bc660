"""`PartialDecryption`: what one party contributes, and the check that it is right."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fedsecure.errors import (
    CheaterDetected,
    CryptoError,
    LocalProtocolError,
    RemoteProtocolError,
)
from fedsecure.paillier import _proofs
from fedsecure.paillier._seam import Rows, as_rows

if TYPE_CHECKING:
    from fedsecure.paillier._threshold_public import ThresholdPublic

__all__ = ["PartialDecryption", "ciphertexts", "statement", "verify"]

_MAGIC = b"FSTD"
_VERSION = 1
_HEADER = struct.Struct("<4sBHHQ")


@dataclass(frozen=True, slots=True, eq=False)
class PartialDecryption:
    """One party's part of the decryption of some ciphertexts, and the proof that it is right.

    Attributes:
        index: The party, from 1.
        rows: A number modulo n^2 for each ciphertext, uint8 of shape (count, 2 * key_bytes).
        proof: For all rows together.
    """

    index: int
    rows: Rows
    proof: bytes

    def to_bytes(self) -> bytes:
        """Returns a header, the proof and the rows: the one encoding of this."""
        count, width = self.rows.shape
        header = _HEADER.pack(_MAGIC, _VERSION, 4 * width, self.index, count)
        return b"".join((header, self.proof, self.rows.tobytes()))

    @classmethod
    def from_bytes(cls, data: bytes, public: ThresholdPublic) -> PartialDecryption:
        """Returns what `to_bytes` wrote; whether it is right is for `combine_rows` to find.

        Raises:
            RemoteProtocolError: The bytes are no partial decryption under this key.
            LocalProtocolError: `data` is not bytes.
        """
        if not isinstance(data, bytes):
            raise LocalProtocolError(f"a partial decryption is read from bytes, not {type(data)}")
        if len(data) < _HEADER.size:
            raise RemoteProtocolError("not a partial decryption: too short")
        magic, version, bits, index, count = _HEADER.unpack_from(data)
        if magic != _MAGIC or version != _VERSION:
            raise RemoteProtocolError("not a partial decryption, or one of another version")
        if bits != public.key.bits or not 1 <= index <= public.parties:
            raise RemoteProtocolError("a partial decryption of another key")
        first = _HEADER.size + _proofs.proof_bytes(public.key, public.parties)
        width = 2 * public.key.key_bytes
        if len(data) != first + count * width:
            raise RemoteProtocolError(f"{len(data)} bytes are no {count} partial decryptions")
        rows = np.frombuffer(data, np.uint8, offset=first).reshape(count, width)
        return cls(index, rows, data[_HEADER.size : first])

    def __repr__(self) -> str:
        return f"PartialDecryption(party {self.index}, {len(self.rows)} ciphertexts)"


def ciphertexts(public: ThresholdPublic, rows: Rows) -> Rows:
    """Returns `rows` once it is known that they are ciphertexts.

    Raises:
        CryptoError: A row is not in [1, n^2), or has no inverse.
        LocalProtocolError: They have another shape.
    """
    rows = as_rows("ciphertexts", rows, 2 * public.key.key_bytes)
    public.key.check_rows(rows)
    return rows


def verify(public: ThresholdPublic, rows: Rows, partial: PartialDecryption, context: bytes) -> None:
    """Raises `CheaterDetected` unless `partial` is right; see `fedsecure.paillier.threshold`.

    Args:
        public: The dealing.
        rows: Ciphertexts, checked.
        partial: What a party sent.
        context: What the party was to bind its proof to.
    """
    index = partial.index
    if type(index) is not int or not 1 <= index <= public.parties:
        raise RemoteProtocolError(f"no party of this key has index {index!r}")
    if partial.rows.shape != rows.shape:
        raise CheaterDetected(
            f"party {index} sent {len(partial.rows)} partial decryptions for {len(rows)} "
            "ciphertexts",
            index,
        )
    try:
        public.key.check_rows(partial.rows)
    except CryptoError:
        raise CheaterDetected(f"party {index} sent numbers that are no units", index) from None
    proven = statement(public, rows, index, partial.rows, context)
    if not _proofs.holds(proven, partial.proof):
        raise CheaterDetected(
            f"party {index} does not prove its partial decryption: it is wrong, or of other "
            "ciphertexts, or for another context",
            index,
        )


def statement(
    public: ThresholdPublic, rows: Rows, index: int, partial: Rows, context: bytes
) -> _proofs.Statement:
    """Returns what party `index` has to prove about its rows."""
    return _proofs.Statement(
        key=public.key,
        dealing=public.fingerprint,
        parties=public.parties,
        index=index,
        verify_base=public.verify_base,
        verify_key=public.verify_keys[index - 1],
        context=bytes(context),
        rows=rows,
        partial=partial,
    )

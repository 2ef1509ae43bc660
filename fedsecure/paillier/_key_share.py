"""`KeyShare`: one party's secret, and what it computes with it."""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from fedsecure._progress import Progress, reporting
from fedsecure.errors import CryptoError, LocalProtocolError
from fedsecure.paillier import _proofs
from fedsecure.paillier._partial import PartialDecryption, ciphertexts, statement
from fedsecure.paillier._seam import Rows, integer, octets, sliced
from fedsecure.paillier._threshold_public import ThresholdPublic
from fedsecure.primitives import entropy
from fedsecure.primitives.entropy import Secret
from fedsecure.primitives.masks import threads
from fedsecure.primitives.sealed import open_sealed, seal

if TYPE_CHECKING:
    from fedsecure.paillier.vector import EncryptedVector

__all__ = ["KeyShare"]

_MAGIC = b"FSTS"
_HEADER = struct.Struct("<HI")


class KeyShare:
    """One party's share of a private key. Made by `generate_threshold_keys`; kept by `to_bytes`.

    It is neither copied nor pickled, its `repr` hides the secret, which is wiped when nobody refers
    to it any more. Decrypting computes with copies that Python makes and does not wipe.

    Args:
        public: The dealing it belongs to.
        index: The party, from 1.
        secret: d_i, 2 * key_bytes bytes, little-endian. Taken over.

    Raises:
        CryptoError: The share is not that of this party in this dealing.
    """

    __slots__ = ("_index", "_public", "_secret")

    def __init__(self, public: ThresholdPublic, index: int, secret: Secret) -> None:
        if not 1 <= index <= public.parties or len(secret) != 2 * public.key.key_bytes:
            raise CryptoError("not a share of this key")
        self._public, self._index, self._secret = public, index, secret
        v = np.frombuffer(octets(public.verify_base, len(secret)), np.uint8).reshape(1, -1)
        if integer(self._power(v, 1)[0]) != public.verify_keys[index - 1]:
            raise CryptoError(f"not the share of party {index} in this dealing")

    @property
    def public(self) -> ThresholdPublic:
        """The dealing this share belongs to."""
        return self._public

    @property
    def index(self) -> int:
        """The party, from 1."""
        return self._index

    def partial_rows(
        self, rows: Rows, context: bytes = b"", *, progress: bool | Progress = False
    ) -> PartialDecryption:
        """Returns this party's part of the decryption: c^(2 Delta d_i) of each row, and the proof.

        Args:
            rows: Ciphertexts, uint8 of shape (count, 2 * key_bytes).
            context: What else the proof is bound to, such as a session and a round; whoever
                combines says the same.
            progress: False, True for a bar, or a callable(stage, done, total).

        Raises:
            CryptoError: A row is no ciphertext; or the share has been wiped.
            LocalProtocolError: They have another shape.
        """
        public = self._public
        rows = ciphertexts(public, rows)

        def power(start: int, stop: int) -> Rows:
            return self._power(rows[start:stop], 2)

        with reporting(progress=progress) as report:
            partial = sliced("partial decryption", len(rows), rows.shape[1], power, report)
        proven = statement(public, rows, self._index, partial, context)
        return PartialDecryption(self._index, partial, _proofs.prove(proven, self._secret))

    def partial_decrypt(
        self, vector: EncryptedVector, context: bytes = b"", *, progress: bool | Progress = False
    ) -> PartialDecryption:
        """Returns this party's part of a vector's decryption; see `partial_rows`.

        Args:
            vector: Under this key; the same bytes at every party, from `EncryptedVector.to_bytes`.
            context: What else the proof is bound to.
            progress: False, True for a bar, or a callable(stage, done, total) in ciphertexts.

        Raises:
            CryptoError: The vector is under another key; or the share has been wiped.
        """
        self._public.check_vector(vector)
        return self.partial_rows(vector.rows, context, progress=progress)

    def to_bytes(self, password: str | bytes) -> bytes:
        """Returns the share and its dealing for a file, encrypted like a private key.

        Args:
            password: Not empty; a long one, since whoever has the file can try as many as they
                like.

        Raises:
            LocalProtocolError: The password is empty or no text.
        """
        public = self._public.to_bytes()
        plain = bytearray(_HEADER.pack(self._index, len(public))) + public + self._secret.view
        try:
            return seal(plain, password, magic=_MAGIC, bits=self._public.key.bits)
        finally:
            entropy.wipe(plain)

    @classmethod
    def from_bytes(cls, data: bytes, password: str | bytes) -> KeyShare:
        """Returns the share that `to_bytes` wrote.

        Raises:
            CryptoError: Another password, changed bytes, or no share at all.
            LocalProtocolError: The password is empty or no text.
        """
        bits, plain = open_sealed(data, password, magic=_MAGIC)
        try:
            if len(plain) < _HEADER.size:
                raise CryptoError("not a share: too short")
            index, size = _HEADER.unpack_from(plain)
            end = _HEADER.size + size
            public = ThresholdPublic.from_bytes(bytes(plain[_HEADER.size : end]))
            if public.key.bits != bits:
                raise CryptoError("not a share: its length does not fit its size")
            return cls(public, index, Secret(plain[end:]))
        finally:
            entropy.wipe(plain)

    def wipe(self) -> None:
        """Overwrites the secret; the share is of no use any more."""
        self._secret.wipe()

    def _power(self, rows: Rows, factor: int) -> Rows:
        """Every row to `factor` * Delta * d_i."""
        factor *= math.factorial(self._public.parties)
        size = len(self._secret) + (factor.bit_length() + 7) // 8
        exponent = Secret(bytearray(octets(factor * integer(self._secret.view), size)))
        powers: Rows = self._public.key.compiled.power(rows, exponent.view, threads=threads())
        exponent.wipe()
        return powers

    def __repr__(self) -> str:
        return f"KeyShare(party {self._index} of {self._public}, secret hidden)"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise LocalProtocolError(
            "a key share is neither copied nor pickled; keep its to_bytes(password)"
        )

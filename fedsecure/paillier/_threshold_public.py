"""`ThresholdPublic`: what everybody knows of a dealt key."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fedsecure.errors import CryptoError, LocalProtocolError
from fedsecure.paillier._seam import integer, octets
from fedsecure.paillier.public_key import PublicKey
from fedsecure.primitives import keys

if TYPE_CHECKING:
    from fedsecure.paillier.vector import EncryptedVector

__all__ = ["MAX_PARTIES", "ThresholdPublic"]

MAX_PARTIES = 64
"""Most parties of one dealing: exponents grow with the bits of the factorial of their number."""

_MAGIC = b"FSTP"
_VERSION = 1
_HEADER = struct.Struct("<4sBHHH")


@dataclass(frozen=True, slots=True)
class ThresholdPublic:
    """What everybody knows of a dealing; all parties pin the same one.

    Attributes:
        key: Encrypts; also what a vector's ciphertexts belong to.
        threshold: t, how many partial decryptions give a plaintext.
        verify_base: v, a square modulo n^2.
        verify_keys: v_i of party i = 1, 2, ..., that its proofs are checked against.

    Raises:
        CryptoError: They can be no dealing.
    """

    key: PublicKey
    threshold: int
    verify_base: int
    verify_keys: tuple[int, ...]

    def __post_init__(self) -> None:
        if not 2 <= self.threshold <= self.parties <= MAX_PARTIES:
            raise CryptoError(f"no dealing: threshold {self.threshold} of {self.parties} parties")
        powers = (self.verify_base, *self.verify_keys)
        if len(set(powers)) < len(powers) or any(not 1 < v < self.key.n_squared for v in powers):
            raise CryptoError("no dealing: a verification key is repeated or out of range")
        if math.gcd(math.prod(powers), self.key.n) != 1:
            raise CryptoError("no dealing: a verification key has no inverse")

    @property
    def parties(self) -> int:
        """l, the number of shares."""
        return len(self.verify_keys)

    @property
    def fingerprint(self) -> bytes:
        """32 bytes that stand for all of it."""
        return keys.digest(b"paillier/dealing", self.to_bytes())

    def to_bytes(self) -> bytes:
        """Returns a header, the key, v and all v_i, little-endian: the one encoding of this."""
        width = 2 * self.key.key_bytes
        powers = (self.verify_base, *self.verify_keys)
        header = _HEADER.pack(_MAGIC, _VERSION, self.key.bits, self.parties, self.threshold)
        return b"".join((header, self.key.n_bytes, *(octets(power, width) for power in powers)))

    @classmethod
    def from_bytes(cls, data: bytes) -> ThresholdPublic:
        """Returns what `to_bytes` wrote.

        Raises:
            CryptoError: The bytes are not that, or can be no dealing.
            LocalProtocolError: `data` is not bytes.
        """
        if not isinstance(data, bytes):
            raise LocalProtocolError(f"a public part is read from bytes, not {type(data)}")
        if len(data) < _HEADER.size:
            raise CryptoError("not the public part of a dealing: too short")
        magic, version, bits, parties, threshold = _HEADER.unpack_from(data)
        if magic != _MAGIC or version != _VERSION:
            raise CryptoError("not the public part of a dealing, or one of another version")
        size = bits // 8
        if len(data) != _HEADER.size + size + (parties + 1) * 2 * size:
            raise CryptoError("not the public part of a dealing: another length than it says")
        n = integer(data[_HEADER.size : _HEADER.size + size])
        if n.bit_length() != bits:
            raise CryptoError(f"not the public part of a dealing: n does not have {bits} bits")
        first = _HEADER.size + size
        v, *v_i = (integer(data[at : at + 2 * size]) for at in range(first, len(data), 2 * size))
        return cls(PublicKey.from_n(n), threshold, v, tuple(v_i))

    def check_vector(self, vector: EncryptedVector) -> None:
        """Raises `CryptoError` unless the vector is encrypted under this key."""
        if vector.public != self.key:
            raise CryptoError(f"this vector is encrypted under {vector.public}, not {self.key}")

    def __repr__(self) -> str:
        return f"ThresholdPublic({self.threshold} of {self.parties}, {self.key})"

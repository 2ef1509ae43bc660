"""Who a party is, from session to session: an Ed25519 key pair (RFC 8032).

Everybody else pins the public half, the verify key, before any session; with it a server cannot
put its own keys in a client's place.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from fedsecure.errors import CryptoError, LocalProtocolError
from fedsecure.primitives import entropy
from fedsecure.primitives.entropy import Secret
from fedsecure.primitives.sealed import open_sealed, seal

__all__ = ["SIGNATURE_BYTES", "VERIFY_KEY_BYTES", "Identity", "check_verify_key", "verify"]

SIGNATURE_BYTES = 64
VERIFY_KEY_BYTES = 32
_SECRET_BYTES = 32
_MAGIC = b"FSID"
_FIELD_PRIME = (1 << 255) - 19
# Compressed points of order 1, 2, 4 and 8 (RFC 8032, section 5.1), signs included. A signature
# under such a key can be valid for any message.
_ORDER_8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
_LOW_ORDER = {0, 1, _FIELD_PRIME - 1, _ORDER_8, _FIELD_PRIME - _ORDER_8}


class Identity:
    """A party's long-term signing key. Make it once, and keep it: in a file, `to_sealed_bytes`.

    The verify key is what the other parties pin: hand it over on a way that the server does not
    control. Identities are neither copied nor pickled by accident; `to_bytes`, for a key store, and
    `to_sealed_bytes` are the ways out.

    Args:
        secret: 32 uniform bytes, the RFC 8032 private key. Kept by reference.

    Raises:
        CryptoError: Not 32 bytes.
    """

    __slots__ = ("_key", "_secret", "_verify_key")

    def __init__(self, secret: Secret) -> None:
        if len(secret) != _SECRET_BYTES:
            raise CryptoError(f"an identity has {_SECRET_BYTES} secret bytes, not {len(secret)}")
        self._secret = secret
        self._key = Ed25519PrivateKey.from_private_bytes(secret.view)
        self._verify_key = self._key.public_key().public_bytes_raw()

    @classmethod
    def generate(cls) -> Identity:
        """Returns a new identity, from the operating system's entropy."""
        return cls(entropy.draw(_SECRET_BYTES))

    @classmethod
    def from_bytes(cls, data: bytes) -> Identity:
        """Returns the identity that `to_bytes` gave, which is 32 secret bytes.

        Raises:
            CryptoError: Not 32 bytes.
        """
        return cls(Secret(data))

    def to_bytes(self) -> bytes:
        """Returns the 32 secret bytes, for a key store: whoever has them can sign as this party."""
        return bytes(self._secret.view)

    @classmethod
    def from_sealed_bytes(cls, data: bytes, password: str | bytes) -> Identity:
        """Returns the identity that `to_sealed_bytes` gave.

        Raises:
            CryptoError: Another password, changed bytes, or no identity at all.
            LocalProtocolError: The password is empty or no text.
        """
        _, secret = open_sealed(data, password, magic=_MAGIC)
        return cls(Secret(secret))

    def to_sealed_bytes(self, password: str | bytes) -> bytes:
        """Returns the identity for a file, encrypted: AES-256-GCM under scrypt of the password.

        Args:
            password: Not empty; a long one, since whoever has the file can try as many as they
                like.

        Raises:
            LocalProtocolError: The password is empty or no text.
        """
        secret = bytearray(self._secret.view)
        try:
            return seal(secret, password, magic=_MAGIC, bits=8 * _SECRET_BYTES)
        finally:
            entropy.wipe(secret)

    @property
    def verify_key(self) -> bytes:
        """The public half, 32 bytes."""
        return self._verify_key

    def sign(self, message: bytes) -> bytes:
        """Returns the Ed25519 signature of `message`, 64 bytes."""
        return self._key.sign(message)

    def __repr__(self) -> str:
        return f"Identity(verify_key={self._verify_key.hex()})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Identity) and other.verify_key == self._verify_key

    def __hash__(self) -> int:
        return hash(self._verify_key)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise LocalProtocolError(
            "an identity is neither copied nor pickled; keep its to_bytes() in a key store"
        )


# Nothing here is secret and the answer never changes; where one process plays all the clients, each
# of them asks about every other one.
@lru_cache(maxsize=1 << 12)
def verify(verify_key: bytes, signature: bytes, message: bytes) -> bool:
    """Returns whether `signature` is that of `message` under `verify_key`."""
    try:
        Ed25519PublicKey.from_public_bytes(verify_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def check_verify_key(verify_key: bytes) -> None:
    """Raises `CryptoError` unless these are 32 bytes that can be an honest party's verify key."""
    if not isinstance(verify_key, bytes) or len(verify_key) != VERIFY_KEY_BYTES:
        raise CryptoError(f"a verify key is {VERIFY_KEY_BYTES} bytes")
    y = int.from_bytes(verify_key, "little") & ((1 << 255) - 1)
    if y >= _FIELD_PRIME or y in _LOW_ORDER:
        raise CryptoError("not a verify key: the point is not canonical or of low order")

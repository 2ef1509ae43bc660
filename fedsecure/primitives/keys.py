"""Key agreement, key derivation and authenticated encryption: a thin seam over `cryptography`.

All suites: X25519 (RFC 7748), HKDF-SHA256 (RFC 5869), AES-256-GCM (NIST SP 800-38D); they differ in
the generator of masks only (`fedsecure.primitives.masks.Prg`). The keys here are used once each,
which is why `encrypt` and `decrypt` take no nonce: it is zero.
"""

from __future__ import annotations

import hashlib
import struct
from functools import lru_cache
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fedsecure.errors import CryptoError

if TYPE_CHECKING:
    from fedsecure.primitives.entropy import Secret

__all__ = [
    "AEAD_OVERHEAD",
    "PrivateKey",
    "check_public_key",
    "decrypt",
    "derive",
    "digest",
    "encrypt",
    "info",
]

AEAD_OVERHEAD = 16
"""Bytes by which a ciphertext is longer than its plaintext."""

_LABEL = b"fedsecure/v1/"
_FIELD_PRIME = (1 << 255) - 19
# Every u of a point of order 1, 2, 4 or 8, of the curve and of its twist (RFC 7748, section 7).
_LOW_ORDER = {
    0,
    1,
    _FIELD_PRIME - 1,
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
}
_NONCE = bytes(12)
_SHA256 = hashes.SHA256()


class PrivateKey:
    """An X25519 private key.

    Args:
        secret: 32 uniform bytes. Kept by reference: whoever owns the `Secret` wipes it.
    """

    __slots__ = ("_key", "_public")

    def __init__(self, secret: Secret) -> None:
        if len(secret) != 32:
            raise CryptoError(f"an X25519 private key has 32 bytes, not {len(secret)}")
        self._key = X25519PrivateKey.from_private_bytes(secret.view)
        self._public = self._key.public_key().public_bytes_raw()

    @property
    def public(self) -> bytes:
        """The public key, 32 bytes."""
        return self._public

    def agree(self, public: bytes) -> bytes:
        """Returns the 32 shared bytes of this key and another party's public key.

        Raises:
            CryptoError: `public` is no canonical field element, or a point of low order, with which
                every private key agrees on zero.
        """
        try:
            return self._key.exchange(_parse(public))
        except ValueError:
            raise CryptoError("public key is a point of low order") from None

    def __repr__(self) -> str:
        return f"PrivateKey(public={self._public.hex()})"


def check_public_key(public: bytes) -> None:
    """Raises `CryptoError` unless `public` is a canonical X25519 key that is not of low order."""
    # Clamped scalars are multiples of 8: these points, and no others, go to zero with every one.
    if _element(public) in _LOW_ORDER:
        raise CryptoError("public key is a point of low order")


def _element(public: bytes) -> int:
    # RFC 7748 lets a receiver mask the top bit and reduce. Here one point has one spelling, so
    # that comparing keys as bytes finds every duplicate.
    element = int.from_bytes(public, "little")
    if len(public) != 32 or element >= _FIELD_PRIME:
        raise CryptoError("public key is not a canonical X25519 key of 32 bytes")
    return element


# Public, and always the same: a server agrees for all dropouts with the same neighbors, and where
# one process plays all the clients, each of them parses the keys of many others.
@lru_cache(maxsize=1 << 12)
def _parse(public: bytes) -> X25519PublicKey:
    _element(public)
    return X25519PublicKey.from_public_bytes(public)


def info(label: bytes, *ids: int) -> bytes:
    """Returns the domain-separating string ``fedsecure/v1/<label>`` followed by u32 LE ids."""
    return _LABEL + label + struct.pack(f"<{len(ids)}I", *ids)


def digest(label: bytes, *parts: bytes | memoryview) -> bytes:
    """Returns SHA-256 of ``fedsecure/v1/<label>`` and the parts, 32 bytes.

    The parts are simply joined: the caller gives them fixed lengths or a self-delimiting encoding.
    """
    state = hashlib.sha256(_LABEL + label)
    for part in parts:
        state.update(part)
    return state.digest()


def derive(secret: bytes | memoryview, context: bytes, purpose: bytes, size: int) -> bytes:
    """Returns `size` key bytes: HKDF-SHA256 with salt `context` and info `purpose` (RFC 5869)."""
    return HKDF(_SHA256, size, context, purpose).derive(secret)


def encrypt(key: bytes | memoryview, plaintext: bytes | bytearray, associated: bytes) -> bytes:
    """Returns the AES-256-GCM ciphertext and tag of `plaintext` under a key used this once."""
    return AESGCM(key).encrypt(_NONCE, plaintext, associated)


def decrypt(key: bytes | memoryview, ciphertext: bytes, associated: bytes) -> bytes:
    """Returns the plaintext of `encrypt`.

    Raises:
        CryptoError: Key, ciphertext or associated data are not those of the encryption.
    """
    try:
        return AESGCM(key).decrypt(_NONCE, ciphertext, associated)
    except InvalidTag:
        raise CryptoError("ciphertext does not authenticate") from None

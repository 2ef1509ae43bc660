"""Secrets in files: encrypted with a password, AES-256-GCM under scrypt."""

from __future__ import annotations

import struct

from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from fedsecure.errors import CryptoError, LocalProtocolError
from fedsecure.primitives import entropy, keys

__all__ = ["open_sealed", "seal"]

_VERSION = 1
_HEADER = struct.Struct("<4sBH16s")


def seal(plain: bytes | bytearray, password: str | bytes, *, magic: bytes, bits: int) -> bytes:
    """Returns `plain` encrypted with a password: a header, AES-256-GCM ciphertext and tag.

    The key is scrypt of the password (RFC 7914; N = 2^15, r = 8, p = 3) with a fresh salt, so it
    encrypts once.

    Args:
        plain: What to keep.
        password: Not empty.
        magic: Four bytes that say what it is.
        bits: Size of the key it is, or belongs to.
    """
    salt = entropy.token(16)
    header = _HEADER.pack(magic, _VERSION, bits, salt)
    return header + keys.encrypt(_password_key(password, salt), plain, header)


def open_sealed(data: bytes, password: str | bytes, *, magic: bytes) -> tuple[int, bytearray]:
    """Returns the size of the key and the contents of what `seal` wrote; the caller wipes them.

    Raises:
        CryptoError: Another password, changed bytes, or nothing that `seal` wrote.
    """
    if len(data) < _HEADER.size:
        raise CryptoError("not a key file: too short")
    found, version, bits, salt = _HEADER.unpack_from(data)
    if found != magic or version != _VERSION:
        raise CryptoError("not a key file of this kind, or one of another version")
    header, body = data[: _HEADER.size], data[_HEADER.size :]
    try:
        return bits, bytearray(keys.decrypt(_password_key(password, salt), body, header))
    except CryptoError:
        raise CryptoError("this key does not open: wrong password, or a changed file") from None


def _password_key(password: str | bytes, salt: bytes) -> bytes:
    if not isinstance(password, str | bytes) or not password:
        raise LocalProtocolError("a password is text that is not empty")
    data = password.encode() if isinstance(password, str) else password
    return Scrypt(salt, 32, n=1 << 15, r=8, p=3).derive(data)

"""Suite 1's mask generator: AES-128-CTR, as words of a lane."""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

SEED_BYTES = 24


def keystream(seed: bytes, size: int) -> bytes:
    """The first bytes of the stream: key 16 B, nonce 8 B, then a 64-bit big-endian block count."""
    assert len(seed) == SEED_BYTES
    key, nonce = seed[:16], seed[16:]
    return Cipher(algorithms.AES(key), modes.CTR(nonce + bytes(8))).encryptor().update(bytes(size))


def words(seed: bytes, count: int, width: int) -> list[int]:
    """The first `count` little-endian words of `width` bytes."""
    stream = keystream(seed, count * width)
    return [int.from_bytes(stream[i * width : (i + 1) * width], "little") for i in range(count)]


def lane(bits: int) -> int:
    """Bytes of the narrowest lane (2, 4 or 8) that holds an element of `bits` bits."""
    return 2 if bits <= 16 else 4 if bits <= 32 else 8


def mask(seed: bytes, count: int, bits: int) -> list[int]:
    """The mask of a vector of `count` elements modulo 2^bits."""
    return [word % 2**bits for word in words(seed, count, lane(bits))]

"""The generator of a suite, as words of a lane: 1 is AES-128-CTR, 2 AES-256-CTR, 3 ChaCha20."""

from __future__ import annotations

import struct

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

SEED_BYTES = {1: 24, 2: 40, 3: 40}
COLUMNS = [(0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)]
DIAGONALS = [(0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)]


def keystream(seed: bytes, size: int, suite: int) -> bytes:
    """The first bytes of the stream: the seed is the key, then a nonce of 8 bytes."""
    assert len(seed) == SEED_BYTES[suite]
    key, nonce = seed[:-8], seed[-8:]
    if suite == 3:
        blocks = range(-(-size // 64))
        return b"".join(chacha20_block(key, nonce, block) for block in blocks)[:size]
    counter = nonce + bytes(8)  # then a 64-bit big-endian block number, from 0
    return Cipher(algorithms.AES(key), modes.CTR(counter)).encryptor().update(bytes(size))


def chacha20_block(key: bytes, nonce: bytes, block: int) -> bytes:
    """RFC 8439, section 2.3, but for words 12 and 13, which are one number, and 14 and 15."""
    numbers = struct.unpack("<8I", key), struct.unpack("<4I", block.to_bytes(8, "little") + nonce)
    start = [*struct.unpack("<4I", b"expand 32-byte k"), *numbers[0], *numbers[1]]
    state = list(start)
    for _ in range(10):
        for quarter in (*COLUMNS, *DIAGONALS):
            quarter_round(state, *quarter)
    return struct.pack("<16I", *((x + y) % 2**32 for x, y in zip(state, start, strict=True)))


def quarter_round(state: list[int], a: int, b: int, c: int, d: int) -> None:
    """RFC 8439, section 2.1."""
    for bits, (to, from_, turned) in zip(
        (16, 12, 8, 7), ((a, b, d), (c, d, b), (a, b, d), (c, d, b)), strict=True
    ):
        state[to] = (state[to] + state[from_]) % 2**32
        mixed = state[turned] ^ state[to]
        state[turned] = (mixed << bits | mixed >> (32 - bits)) % 2**32


def words(seed: bytes, count: int, width: int, suite: int) -> list[int]:
    """The first `count` little-endian words of `width` bytes."""
    stream = keystream(seed, count * width, suite)
    return [int.from_bytes(stream[i * width : (i + 1) * width], "little") for i in range(count)]


def lane(bits: int) -> int:
    """Bytes of the narrowest lane (2, 4 or 8) that holds an element of `bits` bits."""
    return 2 if bits <= 16 else 4 if bits <= 32 else 8


def mask(seed: bytes, count: int, bits: int, suite: int) -> list[int]:
    """The mask of a vector of `count` elements modulo 2^bits."""
    return [word % 2**bits for word in words(seed, count, lane(bits), suite)]

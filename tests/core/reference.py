"""What the compiled core must compute, said again in Python integers and pyca/cryptography."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

LANES = [np.uint16, np.uint32, np.uint64]
PRIME = (1 << 61) - 1
LIMBS = [52, 52, 52, 52, 48]
SEED_BYTES = {1: 24, 2: 40, 3: 40}
PRGS = list(SEED_BYTES)


def random_seed(number: int, prg: int = 1) -> bytes:
    """A different seed for every number, the same in every run."""
    return np.random.default_rng(number).bytes(SEED_BYTES[prg])


def keystream(seed: bytes, offset: int, size: int, prg: int = 1) -> bytes:
    """The generator's stream through pyca: prg 1 is AES-128, 2 AES-256, 3 ChaCha20."""
    key, nonce = seed[:-8], seed[-8:]
    assert len(seed) == SEED_BYTES[prg]
    if prg == 3:
        return _chacha20(key, nonce, offset, size)
    block, skip = divmod(offset, 16)
    counter = nonce + block.to_bytes(8, "big")
    cipher = Cipher(algorithms.AES(key), modes.CTR(counter)).encryptor()
    return cipher.update(bytes(skip + size))[skip:]


def _chacha20(key: bytes, nonce: bytes, offset: int, size: int) -> bytes:
    # pyca counts in 32 bits, and refuses to go on where they end; the other 32 bits of a block's
    # number are for it a part of the nonce. So this begins again there.
    out = b""
    while len(out) < size:
        block, skip = divmod(offset + len(out), 64)
        count = min(size - len(out), ((block | 0xFFFFFFFF) + 1 - block) * 64 - skip)
        cipher = algorithms.ChaCha20(key, block.to_bytes(8, "little") + nonce)
        out += Cipher(cipher, None).encryptor().update(bytes(skip + count))[skip:]
    return out


def words(
    seed: bytes, first: int, count: int, lane: type[np.unsignedinteger], prg: int = 1
) -> np.ndarray:
    """Words [first, first + count) of the keystream, as a lane array."""
    width = np.dtype(lane).itemsize
    return np.frombuffer(keystream(seed, first * width, count * width, prg), lane)


def pack(values: list[int], bits: int) -> bytes:
    """Element i in bits [i * bits, (i + 1) * bits) of one little-endian integer."""
    total = sum((value % (1 << bits)) << (i * bits) for i, value in enumerate(values))
    return total.to_bytes((len(values) * bits + 7) // 8, "little")


def encode(
    x: np.ndarray, factor: float, clip: float, random: np.ndarray | None, bits: int
) -> list[int]:
    """Fixed-point values mod 2**bits; every step but the documented roundings is exact."""
    out = []
    for i, value in enumerate(x.tolist()):
        t = max(-clip, min(clip, value)) * factor
        whole = math.floor(t)
        if random is None:
            q = round(Fraction(t))
        else:
            fraction = t - float(whole)
            q = whole + (int(random[i]) < math.floor(Fraction(fraction) * 2**32))
        out.append(q % (1 << bits))
    return out


def decode(x: list[int], bits: int, factor: float) -> list[float]:
    """Centred representative times factor, in double."""
    half = 1 << (bits - 1)
    return [float((value + half) % (1 << bits) - half) * factor for value in x]


def coefficients(seed: bytes, count: int, prg: int = 1) -> list[int]:
    """Uniform field elements: low 61 bits of the 64-bit words, p skipped."""
    stream = words(seed, 0, count + 8, np.uint64, prg).tolist()
    return [w & PRIME for w in stream if w & PRIME != PRIME][:count]


def shamir_split(
    secrets: list[bytes], threshold: int, xs: list[int], seed: bytes, prg: int = 1
) -> np.ndarray:
    """Shares (m, n, 40) by evaluating the polynomials term by term."""
    source = iter(coefficients(seed, len(secrets) * 5 * (threshold - 1), prg))
    shares = np.zeros((len(secrets), len(xs), 5), np.uint64)
    for i, secret in enumerate(secrets):
        rest = int.from_bytes(secret, "little")
        for limb, bits in enumerate(LIMBS):
            polynomial = [rest % (1 << bits)] + [next(source) for _ in range(threshold - 1)]
            rest >>= bits
            for j, x in enumerate(xs):
                y = sum(c * pow(x, k, PRIME) for k, c in enumerate(polynomial)) % PRIME
                shares[i, j, limb] = y
    return shares.view(np.uint8)

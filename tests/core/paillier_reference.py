"""Paillier's cryptosystem in Python integers, and keys to test with."""

from __future__ import annotations

import hashlib
import math
import random
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from core import reference

if TYPE_CHECKING:
    from collections.abc import Iterable

# A prime is a number made from its name plus this.
_OFFSETS = {
    (1024, "p"): 184,
    (1024, "q"): 1696,
    (1536, "p"): 152,
    (1536, "q"): 324,
    (2048, "p"): 4682,
    (2048, "q"): 2692,
}
SEED = reference.random_seed(21, 2)


@cache
def prime(bits: int, name: str) -> int:
    """A prime of so many bits, the upper two set."""
    start = hashlib.shake_256(f"{name}{bits}".encode()).digest(bits // 8)
    return (int.from_bytes(start, "little") | 3 << (bits - 2) | 1) + _OFFSETS[bits, name]


def to_rows(numbers: Iterable[int], size: int) -> np.ndarray:
    """Numbers to rows of bytes."""
    data = b"".join(number.to_bytes(size, "little") for number in numbers)
    return np.frombuffer(data, np.uint8).reshape(-1, size)


def to_ints(rows: np.ndarray) -> list[int]:
    """Back."""
    return [int.from_bytes(row.tobytes(), "little") for row in rows]


class Key:
    """A key, and what the core must do with it."""

    def __init__(self, bits: int) -> None:
        """With primes of half so many bits."""
        self.p, self.q = prime(bits // 2, "p"), prime(bits // 2, "q")
        self.n = self.p * self.q
        self.n2 = self.n**2
        self.size = bits // 8
        self.random = random.Random(bits)

    @property
    def n_bytes(self) -> bytes:
        """The public key, as the core takes it."""
        return self.n.to_bytes(self.size, "little")

    @property
    def primes(self) -> tuple[bytes, bytes]:
        """The secret key, likewise."""
        half = self.size // 2
        return self.p.to_bytes(half, "little"), self.q.to_bytes(half, "little")

    def plaintexts(self, count: int) -> list[int]:
        """Some numbers below n, the first ones special."""
        special = [0, 1, self.n - 1, self.n // 2, self.p, 2**64 - 1]
        return [*special, *(self.random.randrange(self.n) for _ in range(count))][:count]

    def ciphertexts(self, count: int) -> list[int]:
        """Some numbers below n**2, the first ones special and all invertible."""
        special = [1, self.n2 - 1, self.n + 1, self.n2 - self.n + 1, 2, 2**2048 - 1]
        made = [*special, *(self.random.randrange(self.n2) for _ in range(count))][:count]
        assert all(math.gcd(c, self.n) == 1 for c in made)
        return made

    def value(self) -> int:
        """A base."""
        return pow(self.random.randrange(self.n), self.n, self.n2)

    def factors(self, base: tuple[int, int] | None, first: int, count: int) -> list[int]:
        """The random factors of an encryption; a base is its value and bits."""
        size = self.size + 16 if base is None else base[1] // 8
        stream = reference.keystream(SEED, first * size, count * size, 2)
        numbers = to_ints(np.frombuffer(stream, np.uint8).reshape(count, size))
        if base is None:
            return [pow(r, self.n, self.n2) for r in numbers]
        return [pow(base[0], r, self.n2) for r in numbers]

    def encrypt(self, ms: list[int], base: tuple[int, int] | None, first: int = 0) -> np.ndarray:
        """What `encrypt` must give."""
        factors = self.factors(base, first, len(ms))
        both = zip(ms, factors, strict=True)
        return to_rows([(1 + m * self.n) * r % self.n2 for m, r in both], 2 * self.size)

    def decrypt(self, c: int) -> int:
        """By the textbook, without p and q apart."""
        order = math.lcm(self.p - 1, self.q - 1)
        return (pow(c, order, self.n2) - 1) // self.n * pow(order, -1, self.n) % self.n


@cache
def key(bits: int) -> Key:
    """One key for each size."""
    return Key(bits)

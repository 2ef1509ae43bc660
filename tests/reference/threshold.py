"""Threshold decryption in Python integers: Damgard and Jurik (PKC 2001), section 4.1, for s = 1."""

from __future__ import annotations

import hashlib
import math
import struct
from dataclasses import dataclass

LABEL = b"fedsecure/v1/"
LONG = 2**14


def evaluate(polynomial: list[int], x: int, modulus: int) -> int:
    """The value at x; coefficients from the constant one up."""
    return sum(a * x**k for k, a in enumerate(polynomial)) % modulus


def secret_exponent(p: int, q: int) -> int:
    """D, which is 0 modulo p'q' and 1 modulo n, by the Chinese remainder theorem."""
    n, m = p * q, (p - 1) // 2 * ((q - 1) // 2)
    return m * pow(m, -1, n) % (n * m)


def partial(c: int, d_i: int, parties: int, n: int) -> int:
    """C^(2 Delta d_i)."""
    return pow(c, 2 * math.factorial(parties) * d_i, n**2)


def combine(partials: dict[int, int], parties: int, n: int) -> int:
    """The plaintext, by c' = prod c_i^(2 lambda_i) with lambda_i = Delta * prod j / (j - i)."""
    delta = math.factorial(parties)
    product = 1
    for i, c_i in partials.items():
        above, below = delta, 1
        for j in partials:
            if j != i:
                above, below = above * j, below * (j - i)
        assert above % below == 0
        product = product * pow(c_i, 2 * (above // below), n**2) % n**2
    assert product % n == 1
    return (product - 1) // n * pow(4 * delta**2, -1, n) % n


@dataclass
class Proof:
    """The numbers that a proof of a partial decryption is about."""

    n: int
    parties: int
    index: int
    dealing: bytes
    verify_base: int
    verify_key: int
    context: bytes
    ciphertexts: list[int]
    partials: list[int]

    def prove(self, d_i: int, r: int) -> bytes:
        """The proof, with r for the commitment."""
        square = self.n**2
        a, b = pow(self.verify_base, r, square), pow(self.x(), r, square)
        challenge = self.challenge(a, b)
        e = int.from_bytes(challenge, "little")
        return challenge + (r + e * self.delta * d_i).to_bytes(self.response_bytes, "little")

    def holds(self, proof: bytes) -> bool:
        """Whether it is one."""
        e, z = (int.from_bytes(part, "little") for part in (proof[:32], proof[32:]))
        square = self.n**2
        a = pow(self.verify_base, z, square) * pow(self.verify_key, -e, square) % square
        b = pow(self.x(), z, square) * pow(self.y(), -e, square) % square
        return len(proof) == 32 + self.response_bytes and self.challenge(a, b) == proof[:32]

    @property
    def delta(self) -> int:
        """The factorial of the number of parties."""
        return math.factorial(self.parties)

    @property
    def mask_bytes(self) -> int:
        """Of r: those of e * Delta * d_i and 128 bits more."""
        return math.ceil((2 * self.n.bit_length() + self.delta.bit_length() + 256 + 128) / 8)

    @property
    def response_bytes(self) -> int:
        """Of z: r and one byte for the carry."""
        return self.mask_bytes + 1

    def x(self) -> int:
        """The fold of all ciphertexts, to the fourth power."""
        return pow(self.fold(self.ciphertexts), 4, self.n**2)

    def y(self) -> int:
        """The fold of all partial decryptions, squared."""
        return pow(self.fold(self.partials), 2, self.n**2)

    def fold(self, numbers: list[int]) -> int:
        """The product of all numbers to the power of their coefficients.

        Those are products: one for the column, one for the lane.
        """
        lanes = 8 if len(numbers) < LONG else 64
        columns = math.ceil(len(numbers) / lanes)
        size = 16 * (columns + lanes)
        stream = hashlib.shake_256(LABEL + b"paillier/fold" + self.digest()).digest(size)
        words = [int.from_bytes(stream[i : i + 8], "little") for i in range(0, size, 8)]
        product = 1
        for j, number in enumerate(numbers):
            k, lane = divmod(j, lanes)
            low, high = words[2 * k], words[2 * k + 1]
            of_column = (low >> 1) + (high >> 1) * 2**63
            low, high = words[2 * (columns + lane)], words[2 * (columns + lane) + 1]
            e_j = of_column * (low + high * 2**64)
            product = product * pow(number, e_j, self.n**2) % self.n**2
        return product

    def digest(self) -> bytes:
        """SHA-256 of everything that is said."""
        counts = struct.pack("<IQQ", self.index, len(self.context), len(self.ciphertexts))
        said = [self.dealing, counts, self.context, *map(self.row, self.ciphertexts)]
        said += map(self.row, self.partials)
        return hashlib.sha256(LABEL + b"paillier/partial" + b"".join(said)).digest()

    def challenge(self, a: int, b: int) -> bytes:
        """SHA-256 of that and the commitment."""
        said = self.digest() + self.row(a) + self.row(b)
        return hashlib.sha256(LABEL + b"paillier/challenge" + said).digest()

    def row(self, number: int) -> bytes:
        """A number modulo n^2 as bytes."""
        return number.to_bytes(self.n.bit_length() // 4, "little")

"""Dealing a Paillier key to several parties: the one moment at which somebody knows all of it.

Sources: Shoup, "Practical threshold signatures" (EUROCRYPT 2000), section 3; Damgard and Jurik,
"A generalisation, a simplification and some applications of Paillier's probabilistic public-key
system" (PKC 2001), section 4.1, here for s = 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fedsecure.paillier._draw import below
from fedsecure.paillier._safe_primes import safe_prime
from fedsecure.paillier._seam import integer, octets
from fedsecure.paillier.public_key import PublicKey
from fedsecure.primitives import entropy
from fedsecure.primitives.entropy import Secret
from fedsecure.primitives.masks import threads

if TYPE_CHECKING:
    from fedsecure._progress import Progress

__all__ = ["Dealing", "deal", "safe_primes", "share"]


@dataclass(frozen=True, slots=True)
class Dealing:
    """What a dealer gives away; the rest it forgets.

    Attributes:
        key: The public key.
        verify_base: v, a generator of the squares modulo n^2.
        verify_keys: v_i = v^(Delta d_i) for party i = 1, 2, ...
        shares: d_i for party i = 1, 2, ..., each 2 * key_bytes bytes, little-endian.
    """

    key: PublicKey
    verify_base: int
    verify_keys: tuple[int, ...]
    shares: tuple[Secret, ...]


def safe_primes(bits: int, report: Progress) -> tuple[int, int]:
    """Returns two different safe primes whose product has `bits` bits."""
    found: list[int] = []
    while len(found) < 2:
        prime = safe_prime(bits // 2)
        if prime not in found:
            found.append(prime)
            report("safe primes", len(found), 2)
    return found[0], found[1]


def deal(p: int, q: int, parties: int, threshold: int) -> Dealing:
    """Returns a dealing of the key pq.

    Args:
        p: A safe prime, 2p' + 1.
        q: Another one, of the same length.
        parties: l, how many shares.
        threshold: t, how many of them decrypt.
    """
    n, m = p * q, (p >> 1) * (q >> 1)
    key = PublicKey.from_n(n)
    # 0 modulo m = p'q' and 1 modulo n: c^d takes the randomness away and leaves the plaintext.
    d = m * pow(m, -1, n)
    numbers = share(d, n * m, parties, threshold)
    # The squares modulo n^2 are a cyclic group of order nm = pqp'q', all of them huge primes: a
    # random square generates it but for a chance of about 2 / p'.
    v = pow(below(n * n), 2, n * n)
    width = 2 * key.key_bytes
    shares = tuple(Secret(bytearray(octets(d_i, width))) for d_i in numbers)
    return Dealing(key, v, _verify_keys(key, v, numbers), shares)


def share(secret: int, modulus: int, parties: int, threshold: int) -> list[int]:
    """Returns f(1), ..., f(parties) of a random polynomial of degree threshold - 1, f(0) = secret.

    Any threshold - 1 of them are uniform modulo `modulus` and independent of the secret, as long
    as every prime factor of the modulus is larger than `parties`.
    """
    coefficients = [secret, *(below(modulus) for _ in range(threshold - 1))]
    values = []
    for x in range(1, parties + 1):
        value = 0
        for coefficient in reversed(coefficients):
            value = (value * x + coefficient) % modulus
        values.append(value)
    return values


def _verify_keys(key: PublicKey, v: int, numbers: list[int]) -> tuple[int, ...]:
    """v^(Delta d_i) for each share."""
    delta = math.factorial(len(numbers))
    width = 2 * key.key_bytes
    size = width + (delta.bit_length() + 7) // 8
    exponents = bytearray(b"".join(octets(delta * d_i, size) for d_i in numbers))
    bases = np.frombuffer(octets(v, width) * len(numbers), np.uint8).reshape(-1, width)
    try:
        powers = key.compiled.power_each(
            bases, np.frombuffer(exponents, np.uint8).reshape(-1, size), threads=threads()
        )
    finally:
        entropy.wipe(exponents)
    return tuple(integer(row) for row in powers)

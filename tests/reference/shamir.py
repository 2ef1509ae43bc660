"""Shamir's sharing over GF(2^61 - 1), five limbs of 52 bits (Shamir, CACM 1979)."""

from __future__ import annotations

from reference import prg

PRIME = 2**61 - 1
LIMBS = 5


def to_limbs(secret: bytes) -> list[int]:
    """A 32-byte secret as five 52-bit limbs, the last of 48."""
    number = int.from_bytes(secret, "little")
    return [number >> 52 * i & 2**52 - 1 for i in range(LIMBS)]


def from_limbs(limbs: list[int]) -> bytes:
    """The inverse of `to_limbs`."""
    return sum(limb << 52 * i for i, limb in enumerate(limbs)).to_bytes(32, "little")


def field_elements(seed: bytes, count: int, suite: int) -> list[int]:
    """Uniform field elements: 61 bits of each 64-bit word, skipping the one value too many."""
    candidates = [word & PRIME for word in prg.words(seed, count + 64, 8, suite)]
    return [candidate for candidate in candidates if candidate != PRIME][:count]


def split(
    secrets: list[bytes], threshold: int, xs: list[int], seed: bytes, suite: int
) -> list[list[bytes]]:
    """Shares [secret][holder]; coefficients in the order secret, limb, power."""
    drawn = iter(field_elements(seed, len(secrets) * LIMBS * (threshold - 1), suite))
    shares = []
    for secret in secrets:
        polynomials = [
            [limb, *(next(drawn) for _ in range(threshold - 1))] for limb in to_limbs(secret)
        ]
        shares.append([b"".join(_element(evaluate(p, x)) for p in polynomials) for x in xs])
    return shares


def evaluate(polynomial: list[int], x: int) -> int:
    """The value at x."""
    return sum(coefficient * pow(x, k, PRIME) for k, coefficient in enumerate(polynomial)) % PRIME


def combine(shares: dict[int, bytes]) -> bytes:
    """The secret from shares by abscissa: Lagrange interpolation at 0."""
    limbs = [0] * LIMBS
    for x, share in shares.items():
        factor = 1
        for other in shares:
            if other != x:
                factor = factor * other * pow(other - x, -1, PRIME) % PRIME
        for i in range(LIMBS):
            value = int.from_bytes(share[8 * i : 8 * i + 8], "little")
            limbs[i] = (limbs[i] + factor * value) % PRIME
    return from_limbs(limbs)


def _element(value: int) -> bytes:
    return value.to_bytes(8, "little")

"""What a Paillier modulus, and its primes, must be before anything is encrypted under them.

No test of n alone shows that it has exactly two prime factors of the same length; these find what
is cheap to find and would break the scheme. Whoever trusts a key trusts who made it.
"""

from __future__ import annotations

import math
from functools import cache

from cryptography.hazmat.primitives.asymmetric import rsa

from fedsecure.errors import CryptoError, LocalProtocolError

__all__ = ["KEY_BITS", "check_bits", "check_modulus", "check_primes"]

KEY_BITS = (2048, 3072, 4096)
_SIZES = "2048, 3072 or 4096"

_SMALL = 1 << 16
# RSA's own check of its numbers tests primality; any exponent serves that is invertible.
_FIRST_EXPONENT = 65537
_LEAST_DISTANCE = 100


def check_bits(bits: int) -> int:
    """Returns `bits` if keys can have that size.

    Raises:
        LocalProtocolError: They cannot.
    """
    if type(bits) is not int or bits not in KEY_BITS:
        raise LocalProtocolError(f"bits={bits!r}; a key has {_SIZES} bits")
    return bits


def check_modulus(n: int) -> None:
    """Raises `CryptoError` unless n may be the product of two large primes.

    It has 2048, 3072 or 4096 bits, no prime factor below 2^16, is no power of an integer, and is
    composite (it fails Fermat's test in base 2, which every prime passes).

    Raises:
        CryptoError: It is none of that.
        LocalProtocolError: n is not an integer.
    """
    if type(n) is not int:
        raise LocalProtocolError(f"n is a {type(n).__name__}; use a plain int")
    if n < 0 or n.bit_length() not in KEY_BITS:
        raise CryptoError(
            f"a number of {n.bit_length()} bits is no modulus; it is positive and has {_SIZES}"
        )
    if n % 2 == 0:
        raise CryptoError("this modulus is even: it is no product of two large primes")
    if math.gcd(n, _primorial() % n) != 1:
        raise CryptoError("this modulus has a prime factor below 2^16: anybody can break it")
    if _is_power(n):
        raise CryptoError("this modulus is a power of an integer: anybody can factor it")
    if pow(2, n - 1, n) == 1:
        raise CryptoError("this modulus is prime: its ciphertexts hide nothing")


def check_primes(p: int, q: int) -> None:
    """Raises `CryptoError` unless p and q are the primes of a sound key.

    They are distinct primes of the same size, not close to each other (Fermat's factoring), n = pq
    has the full number of bits, and gcd(n, (p - 1)(q - 1)) = 1.

    Raises:
        CryptoError: They are not.
        LocalProtocolError: They are not integers.
    """
    if type(p) is not int or type(q) is not int:
        raise LocalProtocolError("p and q are plain ints")
    if min(p, q) < 0 or p.bit_length() * 2 not in KEY_BITS or p.bit_length() != q.bit_length():
        raise CryptoError("the primes of a key have 1024, 1536 or 2048 bits each")
    if (p * q).bit_length() != 2 * p.bit_length():
        raise CryptoError("the product of these primes is one bit short of a key's size")
    if abs(p - q).bit_length() <= p.bit_length() - _LEAST_DISTANCE:
        raise CryptoError("the primes of this key are equal or close: anybody can factor it")
    totient = (p - 1) * (q - 1)
    if math.gcd(p * q, totient) != 1 or not _are_primes(p, q, totient):
        raise CryptoError("these are not the two primes of a Paillier key")


def _are_primes(p: int, q: int, totient: int) -> bool:
    exponent = _FIRST_EXPONENT
    while math.gcd(exponent, totient) != 1:
        exponent += 2
    d = pow(exponent, -1, totient)
    try:
        rsa.RSAPrivateNumbers(
            p,
            q,
            d,
            rsa.rsa_crt_dmp1(d, p),
            rsa.rsa_crt_dmq1(d, q),
            rsa.rsa_crt_iqmp(p, q),
            rsa.RSAPublicNumbers(exponent, p * q),
        ).private_key()
    except ValueError:
        return False
    return True


@cache
def _small_primes() -> tuple[int, ...]:
    sieve = bytearray([1]) * _SMALL
    sieve[:2] = bytes(2)
    for i in range(2, math.isqrt(_SMALL) + 1):
        if sieve[i]:
            sieve[i * i :: i] = bytes(len(range(i * i, _SMALL, i)))
    return tuple(i for i, prime in enumerate(sieve) if prime)


@cache
def _primorial() -> int:
    return math.prod(_small_primes())


def _is_power(n: int) -> bool:
    # Its base has no factor below 2^16, so it is above 2^16 itself.
    most = n.bit_length() // 16
    return any(_root(n, k) ** k == n for k in _small_primes() if k <= most)


def _root(n: int, k: int) -> int:
    """Returns floor(n ** (1 / k)), by Newton's iteration from above."""
    x = 1 << -(-n.bit_length() // k)
    while True:
        y = ((k - 1) * x + n // x ** (k - 1)) // k
        if y >= x:
            return x
        x = y

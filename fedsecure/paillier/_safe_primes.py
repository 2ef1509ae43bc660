"""Safe primes p = 2p' + 1: a sieve over an arithmetic progression, then tests of primality.

Safe primes are some ln(p) times rarer than primes, which is why both p and p' go through one sieve
before either is tested (Wiener, "Safe prime generation with a combined sieve", 2003).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fedsecure.paillier._draw import below

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["safe_prime"]

# Every safe prime above 7 is 11 modulo 12.
_STEP = 12
_WINDOW = 1 << 17
_SIEVE_BOUND = 1 << 23
_ROUNDS = 40


def safe_prime(bits: int) -> int:
    """Returns a random safe prime of `bits` bits, its two top bits set, so that products are whole.

    A random start, then the first safe prime after it (Brandt and Damgard, "On generation of
    probable primes by incremental search", CRYPTO 1992). p' is prime but for a chance below
    4^-40 (Miller-Rabin with random bases), and if it is, p is prime for certain (Pocklington).

    Args:
        bits: At least 32. The time grows with about the fourth power of it.
    """
    while True:
        start = _start(bits)
        for step in _sieved(start):
            candidate = start + _STEP * step
            if _is_safe_prime(candidate):
                return candidate


def _start(bits: int) -> int:
    """A random number of 11 modulo 12 whose window stays below 2^bits."""
    top = 3 << bits - 2
    while True:
        start = top + below(1 << bits - 2)
        start += (_STEP - 1 - start) % _STEP
        if start + _STEP * _WINDOW < 1 << bits:
            return start


def _sieved(start: int) -> Iterator[int]:
    """The steps from `start` at which neither p nor p' has a factor below the sieve's bound."""
    primes = _small_primes()
    remainders = _remainders(start, primes)
    # 12^-1 modulo a prime: units modulo 12 are their own inverses.
    inverse = (1 + primes * ((-primes) % _STEP)) // _STEP
    alive = np.ones(_WINDOW, bool)
    short = int(np.searchsorted(primes, _WINDOW))
    # p' = (p - 1) / 2 has the factor where p is 1 modulo it.
    for target in (0, 1):
        first = (target - remainders) % primes * inverse % primes
        pairs = zip(primes[:short].tolist(), first[:short].tolist(), strict=True)
        for prime, at in pairs:
            alive[at::prime] = False
        once = first[short:]
        alive[once[once < _WINDOW]] = False
    yield from np.flatnonzero(alive).tolist()


def _small_primes() -> NDArray[np.int64]:
    """The primes from 5 up to the sieve's bound."""
    alive = np.ones(_SIEVE_BOUND, bool)
    alive[:2] = False
    for prime in range(2, int(_SIEVE_BOUND**0.5) + 1):
        if alive[prime]:
            alive[prime * prime :: prime] = False
    return np.flatnonzero(alive)[2:].astype(np.int64)


def _remainders(value: int, primes: NDArray[np.int64]) -> NDArray[np.int64]:
    remainders = np.zeros(len(primes), np.int64)
    for shift in reversed(range(0, value.bit_length(), 32)):
        remainders = (remainders << 32 | value >> shift & 0xFFFF_FFFF) % primes
    return remainders


def _is_safe_prime(candidate: int) -> bool:
    half = candidate >> 1
    # The cheap test first: nearly all candidates fail it.
    if pow(2, half - 1, half) != 1 or pow(2, candidate - 1, candidate) != 1:
        return False
    return all(_passes(half, 2 + below(half - 3)) for _ in range(_ROUNDS))


def _passes(number: int, base: int) -> bool:
    """Miller and Rabin's test of an odd number with one base."""
    odd = number - 1
    twos = (odd & -odd).bit_length() - 1
    power = pow(base, odd >> twos, number)
    if power in {1, number - 1}:
        return True
    for _ in range(twos - 1):
        power = power * power % number
        if power == number - 1:
            return True
    return False

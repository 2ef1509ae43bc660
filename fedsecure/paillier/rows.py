"""The hazardous level: ciphertexts as rows of bytes, for protocols that keep their own accounts.

Nothing here knows what the plaintexts mean or how often they were added, and results are not
randomized again; `EncryptedVector` does both. A ciphertext row has twice `key_bytes` bytes, little-
endian, and is a number in [1, n^2) that is coprime to n; a plaintext row has `key_bytes`, below n.
"""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Protocol

import numpy as np

from fedsecure.errors import CryptoError, LocalProtocolError
from fedsecure.paillier._seam import Rows, as_rows, core, integer, octets
from fedsecure.primitives.masks import threads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fedsecure.paillier.public_key import PublicKey

__all__ = [
    "Product",
    "RunningProduct",
    "check_rows",
    "ciphertext_rows",
    "invert_rows",
    "weighted_product",
]

_OUT_OF_RANGE = "a ciphertext is not a number from 1 to n^2 - 1"
_NO_INVERSE = "a ciphertext has no inverse modulo n^2: no encryption gives it"


class Product(Protocol):
    """What ciphertexts are multiplied in: `RunningProduct`, or one whose rows are elsewhere."""

    def multiply(self, rows: Rows, *, first: int = 0) -> None:
        """Multiplies ciphertexts into elements [first, first + len(rows))."""

    def rows(self) -> Rows:
        """Returns the product as ciphertexts."""


class RunningProduct:
    """The product of ciphertexts, row by row, kept in the form in which multiplying is cheap.

    Begins as ones, which decrypt to zero.

    Args:
        public: The key.
        count: Number of ciphertexts.
    """

    __slots__ = ("_compiled", "_count", "_lock", "_public")

    def __init__(self, public: PublicKey, count: int) -> None:
        self._public = public
        self._count = count
        self._lock = threading.Lock()  # the core wants one thread at a time
        self._compiled = core.PaillierProduct(public.compiled, count) if count else None

    def multiply(self, rows: Rows, *, first: int = 0) -> None:
        """Multiplies ciphertexts into elements [first, first + len(rows)).

        Raises:
            CryptoError: One is not below n^2; nothing is changed.
            LocalProtocolError: They do not fit.
        """
        rows = ciphertext_rows(self._public, rows)
        if not 0 <= first <= self._count - len(rows):
            raise LocalProtocolError(
                f"{len(rows)} ciphertexts at {first} do not fit a product of {self._count}"
            )
        if self._compiled is not None and len(rows):
            try:
                with self._lock:
                    self._compiled.multiply(rows, first=first, threads=threads())
            except ValueError:
                raise CryptoError(_OUT_OF_RANGE) from None

    def rows(self) -> Rows:
        """Returns the product as ciphertexts."""
        if self._compiled is None:
            return np.empty((0, 2 * self._public.key_bytes), np.uint8)
        with self._lock:
            return self._compiled.rows(threads=threads())

    def copy(self) -> RunningProduct:
        """Returns an independent one, equal for now."""
        other = RunningProduct(self._public, 0)
        other._count = self._count
        if self._compiled is not None:
            with self._lock:
                other._compiled = self._compiled.copy()
        return other

    def __len__(self) -> int:
        return self._count


def ciphertext_rows(public: PublicKey, rows: Rows) -> Rows:
    """Returns `rows` once it is known that they have the shape of ciphertexts."""
    return as_rows("ciphertexts", rows, 2 * public.key_bytes)


def check_rows(public: PublicKey, rows: Rows) -> None:
    """Raises `CryptoError` unless all rows are in [1, n^2) and invertible modulo n^2."""
    rows = ciphertext_rows(public, rows)
    if not len(rows):
        return
    if not public.compiled.below(rows):
        raise CryptoError(_OUT_OF_RANGE)
    product = _levels(public, rows)[-1]
    if math.gcd(integer(product[0]), public.n) != 1:
        raise CryptoError(_NO_INVERSE)


def invert_rows(public: PublicKey, rows: Rows) -> Rows:
    """Returns the inverses modulo n^2, which decrypt to the negated plaintexts.

    One inversion of a number and three products for each row (Montgomery's trick).

    Raises:
        CryptoError: A row has no inverse, or is not below n^2.
    """
    rows = ciphertext_rows(public, rows)
    if not len(rows):
        return rows
    try:
        levels = _levels(public, rows)
        root = pow(integer(levels[-1][0]), -1, public.n_squared)
    except ValueError:
        raise CryptoError(_NO_INVERSE) from None
    inverse = np.frombuffer(octets(root, rows.shape[1]), np.uint8).reshape(1, -1)
    for level in reversed(levels[:-1]):
        below = np.empty_like(level)
        pairs = len(level) // 2
        # The inverse of one is the inverse of both, times the other.
        below[0 : 2 * pairs : 2] = _multiply(public, inverse[:pairs], level[1 : 2 * pairs : 2])
        below[1 : 2 * pairs : 2] = _multiply(public, inverse[:pairs], level[0 : 2 * pairs : 2])
        if len(level) % 2:
            below[-1] = inverse[-1]
        inverse = below
    return inverse


def weighted_product(public: PublicKey, vectors: Sequence[Rows], weights: Sequence[int]) -> Rows:
    """Returns the product of vectors[j] ** weights[j]: the sum of plaintexts times weights.

    Args:
        public: The key.
        vectors: Ciphertexts, all of one shape; at least one.
        weights: Integers of magnitude below 2^63, one for each vector. They are public: the time
            this takes depends on them.

    Raises:
        CryptoError: A row is not below n^2 or, with a negative weight, has no inverse.
        LocalProtocolError: The lists do not fit each other.
    """
    vectors = [ciphertext_rows(public, rows) for rows in vectors]
    if not vectors or len(vectors) != len(weights) or len({rows.shape for rows in vectors}) > 1:
        raise LocalProtocolError("give vectors of one shape, and a weight for each")
    if not len(vectors[0]):
        return vectors[0]
    positive = _power_product(public, vectors, [max(weight, 0) for weight in weights])
    if all(weight >= 0 for weight in weights):
        return positive
    negative = _power_product(public, vectors, [max(-weight, 0) for weight in weights])
    return _multiply(public, positive, invert_rows(public, negative))


def _power_product(public: PublicKey, vectors: Sequence[Rows], weights: Sequence[int]) -> Rows:
    used = [(rows, weight) for rows, weight in zip(vectors, weights, strict=True) if weight]
    if not used:
        ones = np.zeros_like(vectors[0])
        ones[:, 0] = 1
        return ones
    try:
        return public.compiled.weighted_product(
            [rows for rows, _ in used], [weight for _, weight in used], threads=threads()
        )
    except ValueError:
        raise CryptoError(_OUT_OF_RANGE) from None


def _multiply(public: PublicKey, a: Rows, b: Rows) -> Rows:
    if not len(a):
        return np.empty_like(a)
    a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
    return public.compiled.multiply(a, b, threads=threads())


def _levels(public: PublicKey, rows: Rows) -> list[Rows]:
    """Returns the rows, the products of pairs of them, and so on up to one product of all."""
    levels = [rows]
    while len(levels[-1]) > 1:
        level = levels[-1]
        pairs = len(level) // 2
        above = np.empty((len(level) - pairs, rows.shape[1]), np.uint8)
        above[:pairs] = _multiply(public, level[0 : 2 * pairs : 2], level[1 : 2 * pairs : 2])
        if len(level) % 2:
            above[-1] = level[-1]
        levels.append(above)
    return levels

"""Products of ciphertexts, and their decryption, in parts: each worker has a range of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fedsecure.errors import LocalProtocolError
from fedsecure.paillier import PrivateKey, PublicKey, RunningProduct
from fedsecure.protocols.sharding.workers import Parts, spans

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fedsecure.protocols.sharding.workers import Workers

    Rows = NDArray[np.uint8]

__all__ = ["ShardedProduct", "decrypt_rows"]


class ShardedProduct:
    """A `fedsecure.paillier.rows.Product` whose rows are at workers.

    Args:
        public: The key.
        count: Number of ciphertexts.
        workers: Where they are multiplied.

    Raises:
        ShardError: Here and in every method: a worker has died or is too late.
    """

    def __init__(self, public: PublicKey, count: int, workers: Workers) -> None:
        self._count, self._width = count, 2 * public.key_bytes
        self._spans = spans(count, len(workers))
        sizes = [(public.to_bytes(), stop - start) for start, stop in self._spans]
        self._parts = Parts(workers, _product, sizes)

    def multiply(self, rows: Rows, *, first: int = 0) -> None:
        """Multiplies ciphertexts into elements [first, first + len(rows)).

        Raises:
            LocalProtocolError: They do not fit.
        """
        if not 0 <= first <= self._count - len(rows):
            raise LocalProtocolError(
                f"{len(rows)} ciphertexts at {first} do not fit a product of {self._count}"
            )
        calls = []
        for index, (start, stop) in enumerate(self._spans):
            low, high = max(first, start), min(first + len(rows), stop)
            if low < high:
                part = rows[low - first : high - first]
                calls.append(self._parts.send(index, "multiply_at", part, low - start))
        self._parts.follow(calls)

    def rows(self) -> Rows:
        """Returns the product as ciphertexts, brought here from all workers."""
        self._parts.follow(())
        found = self._parts.settle(self._parts.send_all("rows"))
        return np.concatenate([np.empty((0, self._width), np.uint8), *found])


def decrypt_rows(private: PrivateKey, rows: Rows, workers: Workers) -> Rows:
    """Returns what `PrivateKey.decrypt_rows` does, each worker having decrypted some of the rows.

    The primes travel to the workers, which must be as trusted as whoever holds the key.

    Raises:
        ShardError: A worker has died or is too late.
        CryptoError: A row is no ciphertext of this key.
    """
    cuts = spans(len(rows), len(workers))
    p, q = private.primes
    parts = Parts(workers, PrivateKey.from_primes, [(p, q)] * len(cuts))
    try:
        calls = [
            parts.send(index, "decrypt_rows", rows[start:stop])
            for index, (start, stop) in enumerate(cuts)
        ]
        found = parts.settle(calls)
    finally:
        parts.drop()
    return np.concatenate([np.empty((0, private.public.key_bytes), np.uint8), *found])


class _Part(RunningProduct):
    """A product whose place can be given by position."""

    __slots__ = ()

    def multiply_at(self, rows: Rows, first: int) -> None:
        self.multiply(rows, first=first)


def _product(public: bytes, count: int) -> _Part:
    return _Part(PublicKey.from_bytes(public), count)

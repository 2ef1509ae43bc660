"""What all keys of one n share: its numbers, the base of short randomizers, and tables of powers.

The base is h_s = h^n mod n^2 with h = -y^2 mod n (Damgard, Jurik, Nielsen, IJIS 2010, section 4.2),
and y is expanded from n by SHAKE-256. So everybody who has n computes the same base, and nobody can
hand out one whose powers are few.
"""

from __future__ import annotations

import hashlib
import math
import threading
from functools import cached_property
from weakref import WeakValueDictionary

import numpy as np

from fedsecure.errors import CryptoError
from fedsecure.paillier._seam import core, integer, octets
from fedsecure.paillier._validation import check_modulus
from fedsecure.primitives import keys
from fedsecure.primitives.masks import threads

__all__ = ["Modulus"]

_BASE_LABEL = b"fedsecure/v1/paillier/base"
# Bytes beyond those of n, so that what is left of them modulo n is uniform.
_SPARE = 16

_lock = threading.RLock()


class Modulus:
    """A checked n. Use `Modulus.of`, which makes each one once.

    Attributes:
        n: The modulus.
        bits: Its size.
        key_bytes: Bytes of a plaintext; a ciphertext has twice as many.
    """

    def __init__(self, n: int) -> None:
        self.n = n
        self.bits = n.bit_length()
        self.key_bytes = self.bits // 8
        self._bases: dict[int, core.PaillierBase] = {}

    @classmethod
    def of(cls, n: int, *, checked: bool = False) -> Modulus:
        """Returns the one object of this n.

        Args:
            n: The modulus.
            checked: This process made n itself, from primes.

        Raises:
            CryptoError: n is no sound modulus.
            LocalProtocolError: n is not an integer.
        """
        with _lock:
            known = _known.get(n) if type(n) is int else None
        if known is not None:
            return known
        if not checked:
            check_modulus(n)
        with _lock:
            return _known.setdefault(n, cls(n))

    @cached_property
    def n_bytes(self) -> bytes:
        """N, little-endian."""
        return octets(self.n, self.key_bytes)

    @cached_property
    def n_squared(self) -> int:
        """Ciphertexts are below it."""
        return self.n**2

    @cached_property
    def fingerprint(self) -> bytes:
        """32 bytes that stand for n."""
        return keys.digest(b"paillier/key", self.n_bytes)

    @cached_property
    def compiled(self) -> core.PaillierPublic:
        """The arithmetic modulo n^2."""
        return core.PaillierPublic(self.n_bytes)

    @cached_property
    def h_s(self) -> bytes:
        """The base, as bytes of a row."""
        stream = hashlib.shake_256(_BASE_LABEL + self.n_bytes).digest(self.key_bytes + _SPARE)
        y = integer(stream) % self.n
        if math.gcd(y, self.n) != 1:
            raise CryptoError("this modulus has a factor that anybody can find")
        h = octets(-y * y % self.n, 2 * self.key_bytes)
        row = np.frombuffer(h, np.uint8).reshape(1, -1)
        return bytes(self.compiled.power(row, self.n_bytes, threads=threads())[0])

    def base(self, bits: int) -> core.PaillierBase:
        """Returns the table for powers of h_s with exponents of that many bits."""
        with _lock:
            if bits not in self._bases:
                self._bases[bits] = self.compiled.base(self.h_s, bits, threads=threads())
            return self._bases[bits]


_known: WeakValueDictionary[int, Modulus] = WeakValueDictionary()

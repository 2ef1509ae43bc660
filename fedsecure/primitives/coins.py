"""Exact coins: integers, and chances that are fractions or exponentials of fractions.

Source: Canonne, Kamath and Steinke, "The Discrete Gaussian for Differential Privacy", NeurIPS 2020,
algorithm 1. Every decision compares integers; no floating-point number is rounded on the way.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from fedsecure import _core
from fedsecure._prg import Prg
from fedsecure.primitives import entropy

__all__ = ["Coins"]

_PRG = Prg.AES256
_BUFFER = 1 << 12


class Coins:
    """A run of coins from one seed. Wipe it after use.

    Args:
        seed: 40 secret bytes that serve no other purpose; fresh ones of the operating system if
            left out.

    Raises:
        LocalProtocolError: The seed has another length.
        CryptoError: The operating system has no entropy to give.
    """

    __slots__ = ("_at", "_buffer", "_offset", "_seed")

    def __init__(self, seed: bytes | bytearray | memoryview | None = None) -> None:
        self._seed = entropy.copied_or_drawn(seed, _PRG.seed_bytes)
        self._buffer = np.empty(_BUFFER, np.uint8)
        self._offset, self._at = 0, _BUFFER

    def below(self, bound: int) -> int:
        """Returns a uniform integer in 0..bound - 1; bound is at least 1."""
        bits = (bound - 1).bit_length()
        while True:
            value = int.from_bytes(self._take(-(-bits // 8)), "little") & ((1 << bits) - 1)
            if value < bound:
                return value

    def chance(self, probability: Fraction) -> bool:
        """Returns True with this probability, 0 to 1."""
        return self.below(probability.denominator) < probability.numerator

    def chance_exp(self, exponent: Fraction) -> bool:
        """Returns True with probability exp(-exponent), exponent 0 or more."""
        whole, rest = divmod(exponent, 1)
        return all(self._chance_exp(Fraction(1)) for _ in range(whole)) and self._chance_exp(rest)

    def wipe(self) -> None:
        """Overwrites the seed and what was drawn in advance."""
        self._seed.wipe()
        entropy.wipe(self._buffer.data)

    def __repr__(self) -> str:
        return "<Coins, seed hidden>"

    def _chance_exp(self, exponent: Fraction) -> bool:
        """Returns True with probability exp(-exponent), exponent 0 to 1."""
        flips = 1
        while self.chance(exponent / flips):
            flips += 1
        return flips % 2 == 1

    def _take(self, count: int) -> bytes:
        taken = bytearray()
        while len(taken) < count:
            if self._at == _BUFFER:
                _core.keystream(self._seed.view, self._offset, self._buffer, prg=_PRG, threads=1)
                self._offset, self._at = self._offset + _BUFFER, 0
            part = self._buffer[self._at : self._at + count - len(taken)]
            self._at += part.size
            taken += part.tobytes()
        return bytes(taken)

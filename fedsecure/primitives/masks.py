"""Masks on ring vectors, and the packed form in which vectors travel.

Thin over the compiled core. A seed is a cipher's key and an 8-byte nonce, and stands for one
endless keystream (`Prg`); word i of a mask is the i-th little-endian word of the vector's lane
width. A seed masks one vector, once.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fedsecure import _core
from fedsecure._prg import Prg, PrgName
from fedsecure.errors import CryptoError, LocalProtocolError
from fedsecure.primitives.entropy import Secret

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["MaskSet", "Prg", "PrgName", "pack", "reduce", "threads", "unpack_add"]

RingArray = NDArray[Any]
"""A 1-D array of uint16, uint32 or uint64."""

_THREADS = "FEDSECURE_THREADS"


def threads() -> int:
    """Returns how many threads the core may use: FEDSECURE_THREADS, or 0 for all cores.

    Raises:
        LocalProtocolError: The variable is set to something that is no count.
    """
    text = os.environ.get(_THREADS, "0")
    if re.fullmatch("[0-9]{1,4}", text) is None or int(text) > 1024:
        raise LocalProtocolError(
            f"{_THREADS} is {text!r}; set it to a number from 1 to 1024, or 0 for all cores"
        )
    return int(text)


class MaskSet:
    """The masks that go onto one vector, or come off it: seeds and signs, secret until wiped.

    Args:
        seeds: prg.seed_bytes each.
        signs: +1 to add the mask of the seed, -1 to subtract it.
        prg: What the seeds are expanded by.
    """

    __slots__ = ("_prg", "_seeds", "_signs")

    def __init__(
        self,
        seeds: Iterable[bytes | memoryview],
        signs: Sequence[int],
        prg: Prg = Prg.AES128,
    ) -> None:
        self._prg = prg
        self._seeds = Secret(bytearray().join(seeds))
        self._signs = np.asarray(signs, np.int8)
        if len(self._seeds) != prg.seed_bytes * len(signs):
            raise CryptoError(f"{len(signs)} signs do not fit {len(self._seeds)} bytes of seeds")

    @property
    def seeds(self) -> NDArray[np.uint8]:
        """The seeds, shape (k, prg.seed_bytes): a view, not a copy.

        Raises:
            CryptoError: They have been wiped.
        """
        return np.frombuffer(self._seeds.view, np.uint8).reshape(-1, self._prg.seed_bytes)

    @property
    def signs(self) -> NDArray[np.int8]:
        """The signs, shape (k,)."""
        return self._signs

    @property
    def prg(self) -> Prg:
        """What the seeds are expanded by."""
        return self._prg

    def apply(self, vector: RingArray, first_word: int = 0) -> None:
        """Adds or subtracts all masks, in place, in one pass.

        Args:
            vector: Ring elements; the arithmetic wraps in their lane.
            first_word: Position of ``vector[0]`` in the whole masked vector.

        Raises:
            CryptoError: The seeds have been wiped.
        """
        _core.apply_masks(
            vector, self.seeds, self._signs, first_word, prg=self._prg, threads=threads()
        )

    def wipe(self) -> None:
        """Overwrites the seeds."""
        self._seeds.wipe()

    def __repr__(self) -> str:
        return f"MaskSet({len(self._signs)} masks, seeds hidden)"


def pack(vector: RingArray, bits: int) -> bytes:
    """Returns the elements of a vector modulo 2^bits in packed form."""
    out = np.empty(_core.packed_size(vector.size, bits), np.uint8)
    _core.pack(vector, bits, out, threads=threads())
    return out.tobytes()


def unpack_add(packed: memoryview, bits: int, total: RingArray) -> None:
    """Adds packed elements to `total` in place; a wrong form changes nothing."""
    _core.unpack_add(np.frombuffer(packed, np.uint8), bits, total, threads=threads())


def reduce(vector: RingArray, bits: int) -> None:
    """Reduces the elements modulo 2^bits in place, from the wider lane they are computed in."""
    if bits < vector.dtype.itemsize * 8:
        vector &= vector.dtype.type((1 << bits) - 1)

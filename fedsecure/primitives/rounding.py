"""Real vectors to ring elements and back, and what is checked about them before.

Thin over the compiled core, which computes in double precision, each operation rounded once: the
same bits on every machine and for every number of threads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fedsecure import _core
from fedsecure._prg import Prg

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from typing_extensions import Buffer

    Floats = NDArray[np.float32] | NDArray[np.float64]
    RingArray = NDArray[Any]

__all__ = ["from_ring", "inspect", "round_to_ring"]


def inspect(x: Floats, threads: int = 0) -> tuple[int, float]:
    """Returns how many values are NaN or infinite, and the largest finite magnitude.

    Args:
        x: 1-D float32 or float64, contiguous.
        threads: How many threads the core may use; 0 for all cores.
    """
    _, nonfinite, largest = _core.inspect(x, np.inf, threads=threads)
    return nonfinite, largest


def round_to_ring(
    x: Floats,
    factor: float,
    limit: float,
    seed: Buffer,
    *,
    first: int,
    out: RingArray,
    prg: Prg = Prg.AES128,
    threads: int = 0,
) -> None:
    """Writes ``x * factor``, rounded at random to a neighboring integer, modulo out's lane.

    Up with a probability equal to the fraction, to within 2**-32: the mean is the value.

    Args:
        x: 1-D float32 or float64, contiguous, finite.
        factor: Units per 1.0, above 0; ``limit * factor`` is below 2**62.
        limit: Values beyond it are clipped to it, above 0.
        seed: prg.seed_bytes, secret, for this use only.
        first: Value i takes the 32-bit word first + i of the seed's keystream.
        out: 1-D uint16, uint32 or uint64, as long as x.
        prg: What the seed is expanded by.
        threads: How many threads the core may use; 0 for all cores.
    """
    _core.encode(x, factor, limit, seed, first, out, prg=prg, threads=threads)


def from_ring(ring: RingArray, bits: int, factor: float, out: Floats, threads: int = 0) -> None:
    """Writes the integers of least magnitude that are the elements modulo 2**bits, times factor.

    Args:
        ring: 1-D uint16, uint32 or uint64; bits above `bits` are ignored.
        bits: 8 to the width of the lane.
        factor: Finite.
        out: 1-D float32 or float64, as long as the ring array.
        threads: How many threads the core may use; 0 for all cores.
    """
    _core.decode(ring, bits, factor, out, threads=threads)

"""Norms: of real vectors, to clip them; and of integer vectors, exactly, to be sure of them.

Clipping works on floats and may be off by their rounding. It decides nothing about privacy: what
does is the norm of the integers that leave, and that is compared as an integer.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fedsecure.errors import EncodingError, list_problems
from fedsecure.primitives import entropy, rounding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from fedsecure._prg import Prg

    Floats = NDArray[np.float32] | NDArray[np.float64]

__all__ = [
    "MAX_NORM",
    "clip_l1",
    "clip_l2",
    "gather",
    "l1_within",
    "l2_within",
    "magnitudes",
    "round_within",
]

# Sums are taken over so many numbers at a time, whatever the machine: always in the same order.
_PIECE = 1 << 16
# A rounding is refused with a chance of beta at most, 0.61 by default: this many in a row, never.
_MOST_ROUNDINGS = 1000

MAX_NORM = 2**31
"""Norms of integer vectors are below this, so that squares of elements fit into 64 bits."""


def gather(
    leaves: Sequence[NDArray[Any]], names: Sequence[str], out: NDArray[np.float64], threads: int = 0
) -> None:
    """Writes the leaves' values, one leaf after the other, to the beginning of `out`.

    Args:
        leaves: 1-D C-contiguous float16, float32 or float64 arrays.
        names: A name for each, used in errors.
        out: At least as long as all of them.
        threads: How many threads the core may use; 0 for all cores.

    Raises:
        EncodingError: A value is NaN or infinite. One error lists all such leaves.
    """
    problems, at = [], 0
    for name, leaf in zip(names, leaves, strict=True):
        part = out[at : at + leaf.size]
        part[:] = leaf
        at += leaf.size
        if not leaf.size:
            continue
        nonfinite, largest = rounding.inspect(part, threads)
        if nonfinite:
            problems.append(
                f"{name!r} has {nonfinite} NaN or infinite values among {leaf.size}, the largest "
                f"finite magnitude being {largest:.6g}"
            )
    if problems:
        remedy = "Look for divergence in the local training"
        raise EncodingError(list_problems("this update cannot be encoded", problems, remedy))


def clip_l2(vector: Floats, clip: float) -> float:
    """Scales the vector down, in place, to an L2 norm of about `clip` where it is longer.

    Args:
        vector: 1-D float32 or float64, contiguous.
        clip: Above 0.

    Returns:
        The norm before; infinity where it is beyond the floats.

    Raises:
        EncodingError: A value is NaN or infinite.
    """
    exponent = _exponent(vector)
    root = math.sqrt(math.fsum(np.square(piece).sum() for piece in _scaled(vector, exponent)))
    return _shrink(vector, root, exponent, clip)


def clip_l1(vector: Floats, clip: float) -> float:
    """Scales the vector down, in place, to an L1 norm of about `clip`. See `clip_l2`."""
    exponent = _exponent(vector)
    total = math.fsum(np.abs(piece).sum() for piece in _scaled(vector, exponent))
    return _shrink(vector, total, exponent, clip)


def l2_within(integers: NDArray[Any], most_squared: int) -> bool:
    """Returns whether the sum of squares is at most `most_squared`, in exact integers.

    Args:
        integers: 1-D. Unsigned ones are ring elements: those of the upper half are negative.
        most_squared: Below `MAX_NORM` squared.
    """
    total = 0
    for piece in magnitudes(integers):
        if piece.max() >= MAX_NORM:
            return False
        squares = piece * piece
        total += int((squares >> np.uint64(32)).sum()) << 32
        total += int((squares & np.uint64(0xFFFFFFFF)).sum())
    return total <= most_squared


def l1_within(integers: NDArray[Any], most: int) -> bool:
    """Returns whether the sum of magnitudes is at most `most`, below 2**47. See `l2_within`."""
    total = 0
    for piece in magnitudes(integers):
        if piece.max() > most:
            return False
        total += int(piece.sum())
    return total <= most


def round_within(
    x: NDArray[np.float64],
    factor: float,
    limit: float,
    seed: entropy.Secret,
    *,
    out: NDArray[Any],
    within: Callable[[NDArray[Any]], bool],
    prg: Prg,
    threads: int = 0,
) -> None:
    """Writes ``x * factor`` rounded at random, again until the integers are within their bound.

    Args:
        x: As in `rounding.round_to_ring`; so are `factor`, `limit`, `out`, `prg` and `threads`.
        factor: Units per 1.0.
        limit: Values beyond it are clipped to it.
        seed: prg.seed_bytes, for this use only. Every attempt takes fresh words of its keystream.
        out: Ring elements, as long as x. Wiped if all attempts fail.
        within: Says whether the integers in `out` are.
        prg: What the seed is expanded by.
        threads: How many threads the core may use; 0 for all cores.

    Raises:
        EncodingError: None was within it, which clipping makes impossible.
    """
    for attempt in range(_MOST_ROUNDINGS):
        first = attempt * x.size
        rounding.round_to_ring(
            x, factor, limit, seed.view, first=first, out=out, prg=prg, threads=threads
        )
        if within(out):
            return
    entropy.wipe(out.data.cast("B"))
    raise EncodingError(
        f"{_MOST_ROUNDINGS} random roundings of this update were all longer than the sensitivity "
        "allows, which clipping should have made impossible; nothing was sent"
    )


def magnitudes(integers: NDArray[Any]) -> Iterator[NDArray[np.uint64]]:
    """Yields the magnitudes of a 1-D integer array, piece by piece. See `l2_within`."""
    signed = integers.view(f"i{integers.dtype.itemsize}")
    for at in range(0, signed.size, _PIECE):
        # The one number without a negative stays what it is, which as unsigned is its magnitude.
        yield np.abs(signed[at : at + _PIECE].astype(np.int64)).view(np.uint64)


def _exponent(vector: Floats) -> int:
    """Returns a power of two near the largest magnitude: squares of the rest fit into floats."""
    nonfinite, largest = rounding.inspect(vector) if vector.size else (0, 0.0)
    if nonfinite:
        raise EncodingError(
            f"the vector has {nonfinite} NaN or infinite values among {vector.size}; look for "
            "divergence in the local training"
        )
    return math.frexp(largest)[1]


def _scaled(vector: Floats, exponent: int) -> Iterator[NDArray[np.float64]]:
    for at in range(0, vector.size, _PIECE):
        yield np.ldexp(vector[at : at + _PIECE].astype(np.float64), -exponent)


def _shrink(vector: Floats, root: float, exponent: int, clip: float) -> float:
    try:
        norm = math.ldexp(root, exponent)
    except OverflowError:
        norm = math.inf
    if norm > clip:
        vector *= math.ldexp(clip / root, -exponent)
    return norm

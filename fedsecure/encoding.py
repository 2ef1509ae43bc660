"""Updates as integers modulo a power of two: exact sums, known head-room, no silent saturation.

A client's value x becomes `V = round(x * W)` with `W = 2**bits`, or `W = round(weight * 2**bits)`
in a weighted session, where W itself travels inside the sum as one more element. The server learns
`sum V / sum W`, the (weighted) mean, and never a weight. Sums modulo `2**modulus_bits` are exact
because the ring is wide enough for every honest client at its limits; that width is arithmetic on
integers and fractions, done when a session is made.

Error of the mean. Rounding moves one V by less than 1 (by at most 1/2 with rounding="nearest"), so
n clients move the mean by less than `n / sum W = step / (mean weight)`: less than one step when
weights are at least 1 or absent. On top comes float arithmetic: each product x * W and the division
are rounded to 53 bits, and the result to 24 if float32 was asked for. Weights count as rounded to
whole steps, which integers are already.
"""

from __future__ import annotations

import hashlib
import math
from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from fedsecure import _core
from fedsecure._decoding import Decoded, decode_sum
from fedsecure._fixed_point import FixedPoint, RingLayout, check_int, ring_width
from fedsecure._prg import Prg
from fedsecure.errors import (
    EncodingError,
    LocalProtocolError,
    list_problems,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    FloatArray = npt.NDArray[np.floating[Any]]
    RingArray = npt.NDArray[np.unsignedinteger[Any]]

__all__ = [
    "Contribution",
    "Decoded",
    "FixedPoint",
    "Masks",
    "RingLayout",
    "decode_sum",
    "ring_width",
]

# float16 values widened at a time: 256 KiB of float32, small enough to stay in the cache.
_WIDENED = 1 << 16

_CHANGED = (
    "the update was changed while it was being encoded; leave its arrays alone (or pass copies) "
    "until the client has sent its input"
)


class Masks(Protocol):
    """What is added to a vector: the keystreams of seeds, each added or subtracted."""

    @property
    def seeds(self) -> npt.NDArray[np.uint8]:
        """The seeds, shape (k, prg.seed_bytes)."""

    @property
    def signs(self) -> npt.NDArray[np.int8]:
        """For each +1 or -1, shape (k,)."""

    @property
    def prg(self) -> Prg:
        """What the seeds are expanded by."""


class Contribution:
    """One client's validated update, encoded piece by piece.

    Element i of the encoded vector depends only on the values, the seed and i, so any partition
    into pieces gives the same integers. Arrays are referred to, never copied or changed; they must
    stay as they are until the last piece is encoded.

    Args:
        leaves: 1-D C-contiguous float16, float32 or float64 arrays, in flat order.
        names: A name for each leaf, used in errors.
        encoding: The session's encoding.
        layout: The session's ring vectors.
        weight: This client's weight in a weighted session (`FixedPoint.weight_units`), else None.
        seed: prg.seed_bytes secret random bytes that decide the stochastic rounding; they must
            serve no other purpose. Copied. Unused with rounding="nearest".
        prg: What the seed is expanded by, and those of masks.
        threads: How many threads the core may use; 0 for all cores. The integers are the same.

    Raises:
        EncodingError: NaN or infinite values; values outside [-clip, clip] with overflow="raise"; a
            bad weight; leaves that do not fit the layout. One error lists all offending leaves.
    """

    __slots__ = (
        "_encoding",
        "_factor",
        "_layout",
        "_leaves",
        "_prg",
        "_seed",
        "_starts",
        "_tail",
        "_threads",
    )

    def __init__(
        self,
        leaves: Sequence[FloatArray],
        names: Sequence[str],
        *,
        encoding: FixedPoint,
        layout: RingLayout,
        weight: float | None,
        seed: bytes | bytearray | memoryview | None,
        prg: Prg = Prg.AES128,
        threads: int = 0,
    ) -> None:
        check_int("threads", threads, 0, None)
        _check_layout(leaves, names, encoding, layout)
        self._encoding = encoding
        self._layout = layout
        self._leaves = tuple(leaves)
        self._starts = _offsets(leaves)
        self._prg = prg
        self._seed = _rounding_seed(encoding, seed, prg)
        units = _units(encoding, layout, weight)
        self._factor = float(units)  # exact: round() of a double times a power of two
        self._threads = threads
        clipped = _check_values(leaves, names, encoding, threads)
        self._tail = (units,) * layout.weighted + (clipped,) * layout.counts_clipped

    def encode(self, start: int, stop: int) -> RingArray:
        """Returns elements [start, stop) of the encoded vector in a new array.

        Integers are reduced modulo the lane, not yet modulo 2**modulus_bits.

        Args:
            start: First element, >= 0.
            stop: One past the last element, <= layout.length.

        Raises:
            LocalProtocolError: Not a range of the vector.
            EncodingError: The arrays were changed after they had been checked.
        """
        self._check_range(start, stop)
        out = np.empty(stop - start, dtype=self._layout.dtype)
        outside = 0
        try:
            for first, piece in self._pieces(start, stop):
                for at, part in _widened(piece):
                    low = first + at - start
                    outside += _core.encode(
                        part,
                        self._factor,
                        self._encoding.clip,
                        self._seed,
                        first + at,
                        out[low : low + part.size],
                        prg=self._prg,
                        threads=self._threads,
                    )
        except ValueError as error:
            raise EncodingError(_CHANGED) from error
        self._check_outside(outside)
        tail = self._tail_of(start, stop)
        out[len(out) - len(tail) :] = tail
        return out

    def message(self, head: bytes, start: int, stop: int, masks: Masks) -> bytes:
        """Returns `head` and then elements [start, stop), masked and packed.

        Each weight is read once and written once, as its modulus_bits bits; the integers without
        their masks are never in memory as a vector.

        Args:
            head: What comes before the packed elements.
            start: First element, >= 0.
            stop: One past the last element, <= layout.length.
            masks: What is added, at the elements' own positions; may be none.

        Raises:
            LocalProtocolError: Not a range of the vector, or masks of another generator.
            EncodingError: The arrays were changed after they had been checked.
        """
        self._check_range(start, stop)
        seeds, signs = masks.seeds, masks.signs
        if masks.prg != self._prg:
            raise LocalProtocolError(f"masks of {masks.prg.name} on a vector of {self._prg.name}")
        try:
            message, outside = _core.encode_masked(
                head,
                [piece for _, piece in self._pieces(start, stop)],
                self._tail_of(start, stop),
                self._factor,
                self._encoding.clip,
                self._seed,
                start,
                seeds,
                signs,
                self._layout.modulus_bits,
                prg=self._prg,
                threads=self._threads,
            )
        except ValueError as error:
            raise EncodingError(_CHANGED) from error
        self._check_outside(outside)
        return message

    def fingerprint(self) -> bytes:
        """Returns 32 bytes that differ for different values, weights and counts; as secret as they.

        It is the SHA-256 of the arrays as they are now, so it costs a pass over all of them.
        """
        state = hashlib.sha256(repr(self._tail).encode())
        for leaf in self._leaves:
            state.update(f"{leaf.dtype} {leaf.size} ".encode())
            state.update(leaf.data)
        return state.digest()

    def wipe(self) -> None:
        """Zeroises the seed and lets go of the arrays; `encode` has nothing to work on any more."""
        if self._seed is not None:
            _core.wipe(self._seed)
        self._seed, self._leaves, self._starts, self._tail = None, (), (), ()

    def __repr__(self) -> str:
        return f"<Contribution to {self._layout}, contents withheld>"

    def _check_range(self, start: int, stop: int) -> None:
        if not self._leaves:
            raise LocalProtocolError("this contribution was wiped; a client encodes its input once")
        if not 0 <= start <= stop <= self._layout.length:
            raise LocalProtocolError(
                f"elements [{start}, {stop}) were asked for; the vector has {self._layout.length}"
            )

    def _check_outside(self, outside: int) -> None:
        if outside and not self._layout.counts_clipped:
            raise EncodingError(_CHANGED)

    def _tail_of(self, start: int, stop: int) -> tuple[int, ...]:
        size = self._layout.size
        return self._tail[max(0, start - size) : max(0, stop - size)]

    def _pieces(self, start: int, stop: int) -> Iterator[tuple[int, FloatArray]]:
        for i in range(max(0, bisect_right(self._starts, start) - 1), len(self._leaves)):
            offset, leaf = self._starts[i], self._leaves[i]
            if offset >= stop:
                return
            low = max(start, offset)
            yield low, leaf[low - offset : stop - offset]


def check_leaves(leaves: Sequence[FloatArray], names: Sequence[str]) -> int:
    """Returns how many values the leaves of an update have together.

    Args:
        leaves: 1-D C-contiguous float16, float32 or float64 arrays.
        names: A name for each leaf, used in errors.

    Raises:
        LocalProtocolError: Another number of names than of leaves.
        EncodingError: A leaf is something else.
    """
    if len(leaves) != len(names):
        raise LocalProtocolError(f"{len(leaves)} leaves came with {len(names)} names")
    for name, leaf in zip(names, leaves, strict=True):
        flat = leaf.ndim == 1 and leaf.flags.c_contiguous
        if not flat or leaf.dtype not in (np.float16, np.float32, np.float64):
            raise EncodingError(
                f"{name!r} is {leaf.dtype} of shape {leaf.shape}; pass what pytree.flatten gives"
            )
    return sum(leaf.size for leaf in leaves)


def _offsets(leaves: Sequence[FloatArray]) -> tuple[int, ...]:
    return tuple(accumulate((leaf.size for leaf in leaves[:-1]), initial=0))


def _widened(leaf: FloatArray) -> Iterator[tuple[int, FloatArray]]:
    """Yields the leaf in pieces the core takes: as it is, or float16 as float32 bit by bit."""
    if leaf.dtype != np.float16:
        if leaf.size:
            yield 0, leaf
        return
    for at in range(0, leaf.size, _WIDENED):
        yield at, leaf[at : at + _WIDENED].astype(np.float32)


def _rounding_seed(
    encoding: FixedPoint, seed: bytes | bytearray | memoryview | None, prg: Prg
) -> bytearray | None:
    if encoding.rounding == "nearest":
        return None
    size = prg.seed_bytes
    if seed is None or len(seed) != size:
        raise LocalProtocolError(f"stochastic rounding takes a seed of {size} secret bytes")
    return bytearray(seed)


def _units(encoding: FixedPoint, layout: RingLayout, weight: float | None) -> int:
    if not layout.weighted:
        if weight is not None:
            raise EncodingError("a weight was given, but this session has none; leave it out")
        return 1 << encoding.bits
    if weight is None:
        raise EncodingError("this session is weighted; give this client's weight")
    return encoding.weight_units(weight)


def _check_layout(
    leaves: Sequence[FloatArray], names: Sequence[str], encoding: FixedPoint, layout: RingLayout
) -> None:
    size = check_leaves(leaves, names)
    if layout.counts_clipped != (encoding.overflow == "clip"):
        raise LocalProtocolError(
            "this layout belongs to another encoding; use encoding.layout(...)"
        )
    if size != layout.size:
        raise EncodingError(f"this update has {size} values; the session expects {layout.size}")


def _check_values(
    leaves: Sequence[FloatArray], names: Sequence[str], encoding: FixedPoint, threads: int
) -> int:
    """Returns how many values will be clipped, having refused all that must not be encoded."""
    problems: list[str] = []
    remedies: dict[str, None] = {}
    all_outside, clip_needed = 0, 0.0
    for name, leaf in zip(names, leaves, strict=True):
        outside, nonfinite, largest = _inspect(leaf, encoding.clip, threads)
        if nonfinite:
            problems.append(
                f"{name!r} has {nonfinite} NaN or infinite values among {leaf.size}, the largest "
                f"finite magnitude being {largest:.6g}"
            )
            remedies["Look for divergence in the local training"] = None
        elif outside and encoding.overflow == "raise":
            problems.append(
                f"{name!r} has {outside} of {leaf.size} values outside [-{encoding.clip:g}, "
                f"{encoding.clip:g}], the largest magnitude being {largest:.6g}"
            )
            clip_needed = max(clip_needed, largest)
        all_outside += outside
    if clip_needed:
        remedies[
            f"Raise clip to {_power_of_two_above(clip_needed):g}, or pass overflow='clip' to clip "
            "such values and have them counted"
        ] = None
    if problems:
        remedy = ". ".join(remedies)
        raise EncodingError(list_problems("this update cannot be encoded", problems, remedy))
    return all_outside


def _inspect(leaf: FloatArray, clip: float, threads: int) -> tuple[int, int, float]:
    outside, nonfinite, largest = 0, 0, 0.0
    for _, piece in _widened(leaf):
        counted = _core.inspect(piece, clip, threads=threads)
        outside, nonfinite = outside + counted[0], nonfinite + counted[1]
        largest = max(largest, counted[2])
    return outside, nonfinite, largest


def _power_of_two_above(value: float) -> float:
    mantissa, exponent = math.frexp(value)
    return math.ldexp(0.5 if mantissa == 0.5 else 1.0, exponent)

"""From a sum in the ring back to a mean, with what no honest clients can have sent refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fedsecure import _core
from fedsecure._fixed_point import FixedPoint, RingLayout, check_int, too_narrow
from fedsecure.errors import EncodingError, LocalProtocolError, RemoteProtocolError

if TYPE_CHECKING:
    import numpy.typing as npt

    FloatArray = npt.NDArray[np.floating[Any]]
    RingArray = npt.NDArray[np.unsignedinteger[Any]]

__all__ = ["Decoded", "check_sum", "decode_sum"]


@dataclass(frozen=True, eq=False)
class Decoded:
    """What a sum says.

    Attributes:
        values: The mean, weighted by the clients' weights if there are any; float32 or float64,
            shape (size,).
        total_weight: Sum of the weights; the number of contributors in a session without weights.
        clipped: How many values the contributors clipped, all together; None with overflow="raise".
    """

    values: FloatArray
    total_weight: float
    clipped: int | None


def decode_sum(
    total: RingArray,
    *,
    encoding: FixedPoint,
    layout: RingLayout,
    num_contributors: int,
    dtype: npt.DTypeLike,
    threads: int = 0,
) -> Decoded:
    """Returns the mean held by the sum of the contributors' vectors.

    Elements are taken as the integers of least magnitude modulo 2**modulus_bits and divided by the
    sum of weights (or n * 2**bits); `fedsecure.encoding` has the error. What no set of honest
    clients can send is refused: a weight sum outside [n steps, n * max_weight], a mean beyond clip
    plus its rounding, a count above n * size. A forged input inside these limits is not detectable.

    Args:
        total: Sum of the contributors' vectors, layout.dtype, shape (layout.length,); bits above
            modulus_bits are ignored. Not changed.
        encoding: The session's encoding.
        layout: The session's ring vectors.
        num_contributors: n, how many clients' vectors are in the sum, >= 1.
        dtype: float32 or float64, for the values.
        threads: How many threads the core may use; 0 for all cores.

    Raises:
        LocalProtocolError: `total` or `dtype` does not fit.
        EncodingError: The ring is too narrow for that many contributors.
        RemoteProtocolError: The sum is none of honest clients.
    """
    check_int("threads", threads, 0, None)
    check_sum(total, layout, dtype)
    needed = encoding.required_bits(num_contributors, size=layout.size, weighted=layout.weighted)
    if needed > layout.modulus_bits:
        raise EncodingError(too_narrow(layout.modulus_bits, needed, num_contributors))
    tail = [_centred(int(element), layout.modulus_bits) for element in total[layout.size :]]
    units = num_contributors << encoding.bits
    if layout.weighted:
        units = tail[0]
        largest = num_contributors * encoding.max_weight_units
        _check_range("the sum of weights", units, num_contributors, largest)
    clipped = tail[-1] if layout.counts_clipped else None
    if clipped is not None:
        _check_range("the count of clipped values", clipped, 0, num_contributors * layout.size)
    values = np.empty(layout.size, dtype=dtype)
    _core.decode(total[: layout.size], layout.modulus_bits, 1.0 / units, values, threads=threads)
    _check_mean(values, encoding.clip + num_contributors / units, threads)
    total_weight = units / 2**encoding.bits if layout.weighted else float(num_contributors)
    return Decoded(values, total_weight, clipped)


def check_sum(total: RingArray, layout: RingLayout, dtype: npt.DTypeLike) -> None:
    """Refuses what is no sum of this layout, or nothing that it can be decoded to.

    Args:
        total: layout.dtype, shape (layout.length,).
        layout: The session's ring vectors.
        dtype: float32 or float64.

    Raises:
        LocalProtocolError: One of them is something else.
    """
    if total.shape != (layout.length,) or total.dtype != layout.dtype:
        raise LocalProtocolError(
            f"the sum is {total.dtype} of shape {total.shape}; this session's is {layout.dtype} of "
            f"shape ({layout.length},)"
        )
    if np.dtype(dtype) not in (np.float32, np.float64):
        raise LocalProtocolError(f"dtype={dtype!r}; decode to float32 or float64")


def _centred(element: int, bits: int) -> int:
    """Returns the integer of least magnitude that is `element` modulo 2**bits."""
    half = 1 << (bits - 1)
    return ((element + half) & ((1 << bits) - 1)) - half


def _check_range(name: str, found: int, low: int, high: int) -> None:
    if not low <= found <= high:
        raise RemoteProtocolError(
            f"{name} is outside what honest clients can send: one of them sent a forged input, or "
            "the parties did not agree on masks; run the round again and watch who takes part"
        )


def _check_mean(values: FloatArray, limit: float, threads: int) -> None:
    # The products, the division and a float32 result are rounded; none of it by more than this.
    slack = 2.0**-22 if values.dtype == np.float32 else 2.0**-50
    outside, nonfinite, _ = _core.inspect(values, limit * (1.0 + slack), threads=threads)
    _check_range("the mean", outside + nonfinite, 0, 0)

"""The compiled core as this package sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fedsecure import _core
from fedsecure.errors import LocalProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable

    from fedsecure._progress import Progress

__all__ = ["Rows", "as_rows", "core", "integer", "octets", "sliced"]

core = _core

Rows = NDArray[np.uint8]
"""Numbers of one length, little-endian: shape (count, bytes), C-contiguous."""

# Rows that the core works on between two reports, and between two chances to interrupt it.
_SLICE = 1024


def octets(value: int, size: int) -> bytes:
    """Returns `value` as `size` bytes, little-endian."""
    return value.to_bytes(size, "little")


def integer(data: bytes | bytearray | memoryview | Rows) -> int:
    """Returns the number of a row, or of bytes."""
    return int.from_bytes(bytes(data), "little")


def as_rows(what: str, rows: Rows, width: int) -> Rows:
    """Returns `rows` once it is known that they are rows of `width` bytes.

    Raises:
        LocalProtocolError: They are not.
    """
    fits = isinstance(rows, np.ndarray) and rows.dtype == np.uint8 and rows.ndim == 2
    if not fits or rows.shape[1] != width:
        found = (
            f"{rows.dtype} of shape {rows.shape}" if isinstance(rows, np.ndarray) else type(rows)
        )
        raise LocalProtocolError(f"{what} are uint8 of shape (count, {width}), not {found}")
    return np.ascontiguousarray(rows)


def sliced(
    stage: str, count: int, width: int, work: Callable[[int, int], Rows], report: Progress
) -> Rows:
    """Returns `count` rows of `width` bytes, made by `work(start, stop)` piece by piece.

    Args:
        stage: What the report calls this work.
        count: Rows in all.
        width: Bytes of one.
        work: Makes rows [start, stop).
        report: Told after every piece.
    """
    out = np.empty((count, width), np.uint8)
    for start in range(0, count, _SLICE):
        stop = min(start + _SLICE, count)
        out[start:stop] = work(start, stop)
        report(stage, stop, count)
    return out

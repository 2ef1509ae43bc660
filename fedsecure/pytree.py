"""Updates as nested containers of arrays, and the flat order every party agrees on.

An update is any nesting of dicts (and other mappings), lists, tuples, named tuples and dataclasses
whose leaves are float16, float32 or float64 arrays: numpy arrays and scalars, Python floats, and
torch, JAX or TensorFlow tensors. `flatten` gives its leaves as 1-D arrays in a fixed order together
with a `TreeSpec`, and `TreeSpec.unflatten` turns one vector back into the same nesting.

The order is depth first; mappings by the text of their keys, everything else in its own order. Each
leaf has a path such as `layers/0/w`, so two parties compare specs without sharing Python objects.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fedsecure import _tensors
from fedsecure._nesting import Branch, Leaf, Walk
from fedsecure.errors import EncodingError, list_problems

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from fedsecure._tensors import FloatArray

__all__ = ["LeafSpec", "PyTree", "TreeSpec", "flatten", "flatten_rows"]

PyTree: TypeAlias = Any

# What any numpy takes: specs also come from other parties, who may claim anything.
_MAX_DIMENSIONS = 32
_MAX_SIZE = 2**59

_REMEDY = (
    "An update is a nesting of dicts, lists, tuples, named tuples and dataclasses whose leaves are "
    "float16, float32 or float64 arrays, tensors or Python floats"
)


@dataclass(frozen=True)
class LeafSpec:
    """One array of an update, without its values.

    Attributes:
        path: Keys, indices and field names from the root, joined by "/"; "" for a bare array.
        shape: Its shape; `()` for a scalar.
        dtype: "float16", "float32" or "float64" (native byte order).
        kind: "numpy", "float", "torch", "jax" or "tensorflow".

    Raises:
        EncodingError: A field has none of these values.
    """

    path: str
    shape: tuple[int, ...]
    dtype: str
    kind: str = "numpy"

    def __post_init__(self) -> None:
        refusal = _tensors.why_refused(self.dtype)
        if refusal is not None:
            raise EncodingError(f"leaf {self.path!r} {refusal}")
        if self.kind not in _tensors.KINDS:
            raise EncodingError(f"leaf {self.path!r} has kind {self.kind!r}; use {_tensors.KINDS}")
        sides = math.prod(side for side in self.shape if side != 0)
        if len(self.shape) > _MAX_DIMENSIONS or min(self.shape, default=0) < 0 or sides > _MAX_SIZE:
            raise EncodingError(
                f"leaf {self.path!r} has shape {self.shape}, which no array can have"
            )
        if self.kind == "float" and (self.shape, self.dtype) != ((), "float64"):
            raise EncodingError(f"leaf {self.path!r} is a Python float: shape (), dtype float64")

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)


@dataclass(frozen=True, eq=False)
class TreeSpec:
    """The shape of an update without its values: leaves in flat order, and how they nest.

    Two specs are equal when their leaves have the same paths, shapes and dtypes in the same order:
    containers and tensor kinds are each party's own business.

    Attributes:
        leaves: The leaves in flat order.
        structure: Private. The containers; None when the spec was restored from bytes.

    Raises:
        EncodingError: No leaves, no values at all, or two leaves with one path.
    """

    leaves: tuple[LeafSpec, ...]
    structure: Branch | Leaf | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.size == 0:
            raise EncodingError("this update has no values: it needs at least one non-empty array")
        seen: set[str] = set()
        for leaf in self.leaves:
            if leaf.path in seen:
                raise EncodingError(
                    f"two leaves have the path {leaf.path!r}; rename one of the keys that make it"
                )
            seen.add(leaf.path)

    @classmethod
    def of(cls, tree: PyTree) -> TreeSpec:
        """Returns the spec of `tree` without reading its values.

        Args:
            tree: An update; see the module's docstring.

        Raises:
            EncodingError: As in `flatten`.
        """
        return _spec_of(Walk(tree))

    @classmethod
    def of_row(cls, tree: PyTree) -> TreeSpec:
        """Returns the spec of one row of `tree`, whose leaves have an axis for the rows in front.

        Args:
            tree: As `flatten_rows` takes it.

        Raises:
            EncodingError: As in `flatten_rows`.
        """
        return _row_spec_of(Walk(tree))[0]

    @cached_property
    def size(self) -> int:
        """Number of values in all leaves."""
        return sum(leaf.size for leaf in self.leaves)

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """The dtype that holds every leaf: float64 when one of them is, float32 otherwise."""
        wide = any(leaf.dtype == "float64" for leaf in self.leaves)
        return np.dtype(np.float64 if wide else np.float32)

    def unflatten(self, vector: npt.NDArray[Any]) -> PyTree:
        """Returns the values of one flat vector in the nesting of this spec.

        Containers, shapes, dtypes and the original order of mappings are kept, and tensor kinds
        when their package is loaded in this process (otherwise those leaves are numpy arrays). A
        spec without structure gives a dict from path to leaf. Leaves that have the dtype of
        `vector` are views of it; `vector` is not changed.

        Args:
            vector: float32 or float64, shape (size,).

        Raises:
            EncodingError: Wrong length or dtype, or a value that does not fit the leaf's dtype.
        """
        if vector.shape != (self.size,):
            raise EncodingError(
                f"a vector of shape {vector.shape} does not fill this tree; it takes ({self.size},)"
            )
        if vector.dtype not in (np.float32, np.float64):
            raise EncodingError(f"a vector of {vector.dtype} was given; pass float32 or float64")
        pieces = self._pieces(vector)
        if self.structure is None:
            return {leaf.path: _restore(leaf, piece, scalar=False) for leaf, piece in pieces}
        return _grow(self.structure, pieces)

    def difference(self, other: TreeSpec) -> str | None:
        """Returns the first way in which this spec is not the expected `other`, or None if equal.

        Example: "leaf 'layers/0/w' has shape (3, 4), expected (3, 5)", where (3, 4) is this one's.
        """
        expected_paths = {leaf.path for leaf in other.leaves}
        paths = {leaf.path for leaf in self.leaves}
        for mine in self.leaves:
            if mine.path not in expected_paths:
                return f"leaf {mine.path!r} is not expected"
        for theirs in other.leaves:
            if theirs.path not in paths:
                return f"leaf {theirs.path!r} is missing"
        for mine, theirs in zip(self.leaves, other.leaves, strict=True):
            if mine.path != theirs.path:
                return f"leaf {mine.path!r} stands where {theirs.path!r} is expected"
            if mine.shape != theirs.shape:
                return f"leaf {mine.path!r} has shape {mine.shape}, expected {theirs.shape}"
            if mine.dtype != theirs.dtype:
                return f"leaf {mine.path!r} has dtype {mine.dtype}, expected {theirs.dtype}"
        return None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TreeSpec):
            return NotImplemented
        return self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    @cached_property
    def _identity(self) -> tuple[tuple[str, tuple[int, ...], str], ...]:
        return tuple((leaf.path, leaf.shape, leaf.dtype) for leaf in self.leaves)

    def _pieces(self, vector: FloatArray) -> Iterator[tuple[LeafSpec, FloatArray]]:
        start = 0
        for leaf in self.leaves:
            yield leaf, vector[start : start + leaf.size]
            start += leaf.size


def flatten(tree: PyTree) -> tuple[list[FloatArray], TreeSpec]:
    """Returns the leaves of an update as 1-D arrays in flat order, and its spec.

    Arrays are C-contiguous, aligned and in native byte order, with their own dtype (float16 stays
    float16). They are views of the caller's memory wherever it already is all that; other leaves
    are copied one by one. The caller's arrays are never changed.

    Args:
        tree: An update; see the module's docstring. Keys of mappings are strings, numbers, enum
            members or tuples of these.

    Returns:
        The arrays (each of shape (leaf size,)), one per `spec.leaves`, and the spec.

    Raises:
        EncodingError: No values at all; a leaf that is no float array (None, integers, bool,
            bfloat16, complex, masked, sparse, strings, ...); keys with the same text; containers
            that cannot be rebuilt or hold themselves. One error lists all offending leaves.
    """
    walk = Walk(tree)
    spec = _spec_of(walk)
    return _arrays_of(walk), spec


def flatten_rows(tree: PyTree) -> tuple[list[FloatArray], TreeSpec, int]:
    """Returns the leaves of many updates of one kind at once, the spec of one, and their number.

    Args:
        tree: An update whose leaves have one more axis, in front, along which the updates stand:
            the same number in all leaves, perhaps 0. See `flatten`.

    Returns:
        The arrays (each of shape (rows * leaf size,)), one per ``spec.leaves``; the spec of one
        row; the number of rows.

    Raises:
        EncodingError: As in `flatten`; or leaves with another number of rows, or none at all.
    """
    walk = Walk(tree)
    spec, rows = _row_spec_of(walk)
    return _arrays_of(walk), spec, rows


def _spec_of(walk: Walk) -> TreeSpec:
    _raise_any(walk.problems)
    leaves = tuple(
        LeafSpec(path, tensor.shape, tensor.dtype, tensor.kind)
        for path, tensor in zip(walk.paths, walk.tensors, strict=True)
    )
    return TreeSpec(leaves, walk.structure)


def _row_spec_of(walk: Walk) -> tuple[TreeSpec, int]:
    _raise_any(walk.problems)
    leaves: list[LeafSpec] = []
    rows, first = 0, ""
    for path, tensor in zip(walk.paths, walk.tensors, strict=True):
        if not tensor.shape:
            raise EncodingError(
                f"leaf {path!r} is a single number; give arrays with an axis for the records in "
                "front"
            )
        if leaves and tensor.shape[0] != rows:
            raise EncodingError(
                f"leaf {path!r} has {tensor.shape[0]} records, and leaf {first!r} has {rows}"
            )
        rows, first = tensor.shape[0], first if leaves else path
        leaves.append(LeafSpec(path, tensor.shape[1:], tensor.dtype, tensor.kind))
    return TreeSpec(tuple(leaves), walk.structure), rows


def _arrays_of(walk: Walk) -> list[FloatArray]:
    arrays: list[FloatArray] = []
    problems: list[str] = []
    for path, tensor in zip(walk.paths, walk.tensors, strict=True):
        try:
            arrays.append(_tensors.flat_view(tensor))
        except EncodingError as error:
            problems.append(f"{path!r} {error}")
    _raise_any(problems)
    return arrays


def _raise_any(problems: list[str]) -> None:
    if problems:
        raise EncodingError(list_problems("this update cannot be encoded", problems, _REMEDY))


def _grow(node: Branch | Leaf, leaves: Iterator[tuple[LeafSpec, FloatArray]]) -> Any:
    if isinstance(node, Leaf):
        leaf, piece = next(leaves)
        return _restore(leaf, piece, scalar=node.scalar)
    return node.build([_grow(child, leaves) for child in node.children])


def _restore(leaf: LeafSpec, piece: FloatArray, *, scalar: bool) -> Any:
    with np.errstate(over="ignore", under="ignore"):  # overflow is refused just below
        array = piece.astype(leaf.dtype, copy=False)
    if array.dtype.itemsize < piece.dtype.itemsize and not np.isfinite(array).all():
        raise EncodingError(
            f"leaf {leaf.path!r} is {leaf.dtype}, which cannot hold the largest value "
            f"{np.abs(piece).max():.6g}; use a wider dtype for this leaf, or a smaller clip"
        )
    if leaf.kind == "float":
        return float(array[0])
    shaped = array.reshape(leaf.shape)
    return shaped[()] if scalar else _tensors.to_kind(shaped, leaf.kind)

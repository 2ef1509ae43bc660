"""The model that clients train from, by name: what binds a session to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fedsecure import wire
from fedsecure.primitives import keys
from fedsecure.pytree import flatten

if TYPE_CHECKING:
    from fedsecure.pytree import PyTree

__all__ = ["model_digest"]


class _Leaves(wire.Control, frozen=True):
    leaves: tuple[tuple[str, tuple[int, ...], str], ...]


def model_digest(model: PyTree) -> bytes:
    """Returns 32 bytes that name a model: paths, shapes, dtypes and every bit of its values.

    For `Protocol.session`, and for clients to compare with the model that they were given.

    Args:
        model: As an update is: any nesting of float arrays.

    Raises:
        EncodingError: It holds something else.
    """
    arrays, spec = flatten(model)
    leaves = tuple((leaf.path, leaf.shape, leaf.dtype) for leaf in spec.leaves)
    shapes = wire.encode_control(_Leaves(leaves))
    little: list[Any] = [a.astype(a.dtype.newbyteorder("<"), copy=False) for a in arrays]
    values = [memoryview(array).cast("B") for array in little]
    return keys.digest(b"model", len(shapes).to_bytes(8, "little"), shapes, *values)

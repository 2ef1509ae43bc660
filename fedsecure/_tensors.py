"""What counts as one array of an update: numpy, Python floats, and tensors of loaded frameworks.

A framework is recognised only through `sys.modules`: whoever holds a tensor has imported its
package already, so nothing here imports torch, TensorFlow or JAX, and none of them is a dependency.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fedsecure.errors import EncodingError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    FloatArray = npt.NDArray[np.floating[Any]]

FLOAT_DTYPES = ("float16", "float32", "float64")

# What frameworks raise for values that numpy cannot have: sparse, deferred, of an own dtype.
UNREADABLE = (AttributeError, RuntimeError, TypeError, ValueError)
KINDS = ("numpy", "float", "torch", "jax", "tensorflow")

# Module and class names: the classes are looked up in the loaded module when a leaf is met.
_FRAMEWORKS = (
    ("torch", ("Tensor",)),
    ("jax", ("Array",)),
    ("tensorflow", ("Tensor", "Variable")),
)


@dataclass(frozen=True)
class Tensor:
    """One array-like leaf, described without copying or converting it.

    Attributes:
        kind: Where it comes from, one of `KINDS`.
        shape: Its shape; `()` for a scalar.
        dtype: Name of its dtype, which need not be one that can be encoded.
        read: Gives the values as a numpy array: a view wherever the framework allows one.
        scalar: True for a numpy scalar, which is not the same object as a 0-d array.
    """

    kind: str
    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], npt.NDArray[Any]]
    scalar: bool = False


def recognise(value: object) -> Tensor | None:
    """Returns the description of an array-like leaf, or None when `value` is none.

    Raises:
        EncodingError: An array of a kind that has values beside its numbers (masked, sparse, ...);
            the message is a clause that follows the name of the leaf.
    """
    if isinstance(value, np.ma.MaskedArray):
        raise EncodingError("is a masked array, whose mask would be lost; pass .filled(0)")
    if isinstance(value, np.ndarray | np.generic):
        array = np.asarray(value)
        return Tensor(
            "numpy", array.shape, array.dtype.name, lambda: array, isinstance(value, np.generic)
        )
    if isinstance(value, float):
        return Tensor("float", (), "float64", lambda: np.array(value, dtype=np.float64))
    framework = _framework_of(value)
    return None if framework is None else _describe(framework, value)


def why_refused(dtype: str) -> str | None:
    """Returns the clause refusing a dtype and naming the remedy, or None when it can be encoded."""
    if dtype in FLOAT_DTYPES:
        return None
    if dtype == "bfloat16":
        return "is bfloat16, which numpy does not have; convert it to float32"
    if dtype.startswith(("int", "uint", "bool")):
        return f"is {dtype}, not floating point; convert it to float32 or leave it out"
    if dtype.startswith("complex"):
        return f"is {dtype}; pass its real and imaginary parts as two arrays"
    return f"is {dtype}; convert it to float16, float32 or float64"


def flat_view(tensor: Tensor) -> FloatArray:
    """Returns the values as a 1-D, C-contiguous, aligned array in native byte order.

    A view of the caller's memory when it already is all that; otherwise a copy of this leaf alone.

    Raises:
        EncodingError: The framework could not hand over the values (the message is a clause).
    """
    try:
        array = tensor.read()
    except UNREADABLE as error:
        raise EncodingError(
            f"is a {tensor.kind} tensor whose values cannot be read "
            f"({type(error).__name__}); pass a dense, computed tensor or a numpy array"
        ) from error
    native = array.dtype.newbyteorder("=")
    # The core dereferences these pointers, so an unaligned view must be copied too.
    return np.require(array.ravel(), dtype=native, requirements=["C", "A"])


def to_kind(array: FloatArray, kind: str) -> object:
    """Returns `array` as a tensor of its former framework, or as it is when that is not loaded.

    torch tensors share the memory of `array`; JAX and TensorFlow make their own copy.
    """
    module: Any = sys.modules.get(kind)
    if module is None or kind in {"numpy", "float"}:
        return array
    if kind == "torch":
        return module.from_numpy(array if array.flags.writeable else array.copy())
    if kind == "tensorflow":
        return module.convert_to_tensor(array)
    # Without its 64-bit mode JAX would silently give float32: the dtype matters more than the kind.
    if array.dtype == np.float64 and not module.config.jax_enable_x64:
        return array
    return module.numpy.array(array)


def _framework_of(value: object) -> str | None:
    for module_name, class_names in _FRAMEWORKS:
        module = sys.modules.get(module_name)
        for class_name in class_names:
            tensor_class = getattr(module, class_name, None)
            if isinstance(tensor_class, type) and isinstance(value, tensor_class):
                return module_name
    return None


def _describe(framework: str, value: Any) -> Tensor:
    shape = tuple(int(side) for side in value.shape)
    if framework == "torch":
        dtype = str(value.dtype).removeprefix("torch.")
        return Tensor("torch", shape, dtype, lambda: _read_torch(value))
    if framework == "tensorflow":
        return Tensor("tensorflow", shape, str(value.dtype.name), lambda: _read_tensorflow(value))
    return Tensor("jax", shape, str(value.dtype), lambda: np.asarray(value))


def _read_torch(value: Any) -> npt.NDArray[Any]:
    array: npt.NDArray[Any] = value.detach().cpu().contiguous().numpy()
    return array


def _read_tensorflow(value: Any) -> npt.NDArray[Any]:
    # A symbolic tensor has no `numpy`, which `flat_view` reports.
    array: npt.NDArray[Any] = value.numpy()
    return array

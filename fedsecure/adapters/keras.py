"""Keras 3, on any of its backends: a model's weights as an update, and back.

`model.get_weights()` is an update already where all weights are float32. This door adds the rule
for the others: floating-point variables take part; integer ones, such as counts, stay each party's
own. bfloat16 travels as float32. TensorFlow's own variables need no door: lists and dicts of them
are updates, and `variable.assign` takes what comes back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fedsecure.errors import EncodingError, list_problems

try:
    import keras
except ImportError as error:
    raise ImportError(
        "fedsecure.adapters.keras needs Keras 3 and a backend: pip install 'fedsecure[keras]'"
    ) from error

__all__ = ["get_weights", "set_weights"]

_NUMPY_HAS = ("float16", "float32", "float64")


def get_weights(model: Any) -> list[Any]:
    """Returns the floating-point weights of a model or layer, in its own order: an update.

    Args:
        model: A built Keras 3 model or layer.

    Raises:
        EncodingError: The model is not built, or has complex weights.
    """
    return [keras.ops.convert_to_numpy(_wide(variable)) for variable in _floats(model)]


def set_weights(model: Any, weights: Sequence[Any]) -> None:
    """Writes a mean, or what `get_weights` gave, into a model, in place.

    Args:
        model: A built Keras 3 model or layer.
        weights: One array for each weight that takes part, in order.

    Raises:
        EncodingError: Number or shapes are not the model's, or values are complex. Nothing has been
            changed then.
    """
    own = _floats(model)
    if len(weights) != len(own):
        raise EncodingError(
            f"{len(weights)} arrays for a model with {len(own)} floating-point weights; give what "
            "get_weights gives for this model"
        )
    problems = [
        f"{variable.path!r} takes shape {tuple(variable.shape)}, not {tuple(np.shape(value))}"
        for variable, value in zip(own, weights, strict=True)
        if tuple(variable.shape) != tuple(np.shape(value))
    ]
    problems += [
        f"{variable.path!r} takes real numbers, not {value.dtype}"
        for variable, value in zip(own, weights, strict=True)
        if "complex" in str(getattr(value, "dtype", ""))
    ]
    if problems:
        remedy = "Give what get_weights gives for this model"
        raise EncodingError(list_problems("these weights do not fit the model", problems, remedy))
    for variable, value in zip(own, weights, strict=True):
        variable.assign(keras.ops.cast(value, variable.dtype))


def _floats(model: Any) -> list[Any]:
    if not model.weights:
        raise EncodingError("this model has no weights yet; build it, or call it on one input")
    odd = [f"{v.path!r} is {v.dtype}" for v in model.weights if "complex" in str(v.dtype)]
    if odd:
        remedy = "Keep real and imaginary parts in two weights"
        raise EncodingError(list_problems("this model cannot be an update", odd, remedy))
    return [v for v in model.weights if keras.backend.is_float_dtype(v.dtype)]


def _wide(variable: Any) -> Any:
    dtype = keras.backend.standardize_dtype(variable.dtype)
    return variable.value if dtype in _NUMPY_HAS else keras.ops.cast(variable.value, "float32")

"""PyTorch: a module or `state_dict` as an update, and back.

A `state_dict` of float tensors is an update as it is. This door adds the rule for what else is in
one: floating-point tensors take part; integer and boolean tensors, such as the
`num_batches_tracked` of a batch norm, and whatever is no tensor stay each party's own, since their
mean means nothing. Types that numpy does not have, such as bfloat16, travel as float32.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from fedsecure.errors import EncodingError, list_problems

try:
    import torch
except ImportError as error:
    raise ImportError(
        "fedsecure.adapters.torch needs PyTorch: pip install 'fedsecure[torch]'"
    ) from error

__all__ = ["get_weights", "set_weights"]

Model: TypeAlias = "torch.nn.Module | Mapping[str, Any]"

_NUMPY_HAS = (torch.float16, torch.float32, torch.float64)


def get_weights(model: Model) -> dict[str, torch.Tensor]:
    """Returns copies of all floating-point tensors by name, on the CPU: an update.

    They are copies because training changes tensors in place.

    Args:
        model: A module, or its `state_dict`.

    Raises:
        EncodingError: Complex or quantized tensors, which would be left out unseen.
    """
    return {
        name: tensor.detach().to("cpu", _wide(tensor), copy=True)
        for name, tensor in _floats(model).items()
    }


def set_weights(model: Model, weights: Mapping[str, Any]) -> None:
    """Writes a mean, or what `get_weights` gave, into the tensors of a model, in place.

    Devices and dtypes stay the model's, and so does all that takes no part.

    Args:
        model: A module, or a `state_dict`.
        weights: Tensors or numpy arrays by name: exactly those that take part.

    Raises:
        EncodingError: Names or shapes are not the model's, or values are complex, sparse or meta
            tensors. Nothing has been changed then.
    """
    own = _floats(model)
    given = {name: torch.as_tensor(value) for name, value in weights.items()}
    problems = [f"{name!r} is missing" for name in own if name not in given]
    problems += [f"{name!r} is not of this model" for name in given if name not in own]
    problems += [
        f"{name!r} has shape {tuple(value.shape)}, not {tuple(own[name].shape)}"
        for name, value in given.items()
        if name in own and value.shape != own[name].shape
    ]
    problems += [
        f"{name!r} is no dense tensor of real numbers"
        for name, value in given.items()
        if value.is_complex() or value.layout != torch.strided or value.is_meta
    ]
    if problems:
        remedy = "Give what get_weights gives for this model"
        raise EncodingError(list_problems("these weights do not fit the model", problems, remedy))
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(given[name])


def _wide(tensor: torch.Tensor) -> torch.dtype:
    return tensor.dtype if tensor.dtype in _NUMPY_HAS else torch.float32


def _floats(model: Model) -> dict[str, torch.Tensor]:
    state = model.state_dict() if isinstance(model, torch.nn.Module) else model
    tensors = {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}
    odd = [
        f"{name!r} is {str(value.dtype).removeprefix('torch.')}"
        for name, value in tensors.items()
        if value.is_complex() or value.is_quantized
    ]
    if odd:
        remedy = "Give real floating-point tensors, such as torch.view_as_real of a complex one"
        raise EncodingError(list_problems("this model cannot be an update", odd, remedy))
    return {name: value for name, value in tensors.items() if value.is_floating_point()}

"""JAX: any registered pytree as an update, and back.

Dicts, lists, tuples, named tuples and dataclasses of JAX arrays are updates as they are. This door
adds the containers that only JAX knows (`jax.tree_util.register_pytree_node`, as in Flax, Equinox
or optax), and the rule for other leaves: floating-point ones take part; integers, booleans and
random keys, such as step counts, stay each party's own. bfloat16 travels as float32.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fedsecure.errors import EncodingError, list_problems

try:
    import jax
    import jax.numpy as jnp
except ImportError as error:
    raise ImportError("fedsecure.adapters.jax needs JAX: pip install 'fedsecure[jax]'") from error

__all__ = ["get_weights", "set_weights"]

_NUMPY_HAS = ("float16", "float32", "float64")


def get_weights(tree: Any) -> dict[str, Any]:
    """Returns the floating-point leaves of a pytree by path, such as ``layers/0/w``: an update.

    Args:
        tree: Any pytree that JAX knows.

    Raises:
        EncodingError: Complex leaves, or two leaves with one path.
    """
    named, _ = _named(tree)
    return {name: jnp.asarray(leaf, _wide(leaf)) for name, leaf in _own(named).items()}


def set_weights(tree: Any, weights: Mapping[str, Any]) -> Any:
    """Returns a pytree like `tree` with a mean, or what `get_weights` gave, in its leaves.

    Dtypes and placement are those of `tree`, as is every leaf that takes no part.

    Args:
        tree: A pytree; JAX arrays never change, so neither does it.
        weights: Arrays by path: exactly those that take part.

    Raises:
        EncodingError: Paths or shapes are not those of `tree`, or values are complex; or two of its
            leaves have one path.
    """
    named, structure = _named(tree)
    own = _own(named)
    problems = [f"{name!r} is missing" for name in own if name not in weights]
    problems += [f"{name!r} is not of this tree" for name in weights if name not in own]
    problems += [
        f"{name!r} has shape {jnp.shape(value)}, not {jnp.shape(own[name])}"
        for name, value in weights.items()
        if name in own and jnp.shape(value) != jnp.shape(own[name])
    ]
    problems += [f"{name!r} is complex" for name, value in weights.items() if _is_complex(value)]
    if problems:
        remedy = "Give what get_weights gives for this tree"
        raise EncodingError(list_problems("these weights do not fit the tree", problems, remedy))
    leaves = [_like(leaf, weights[name]) if name in own else leaf for name, leaf in named]
    return jax.tree_util.tree_unflatten(structure, leaves)


def _named(tree: Any) -> tuple[list[tuple[str, Any]], Any]:
    pairs, structure = jax.tree_util.tree_flatten_with_path(tree)
    keystr = jax.tree_util.keystr
    return [(keystr(path, simple=True, separator="/"), leaf) for path, leaf in pairs], structure


def _own(named: list[tuple[str, Any]]) -> dict[str, Any]:
    """Returns the leaves that take part, by path."""
    taking_part = [(name, leaf) for name, leaf in named if _takes_part(name, leaf)]
    own = dict(taking_part)
    if len(own) < len(taking_part):
        raise EncodingError("two leaves of this tree have one path; rename one of the keys in it")
    return own


def _takes_part(name: str, leaf: Any) -> bool:
    dtype = jnp.result_type(leaf)
    if _is_complex(leaf):
        raise EncodingError(f"leaf {name!r} is {dtype}; keep its real and imaginary parts apart")
    return bool(jnp.issubdtype(dtype, jnp.floating))


def _is_complex(value: Any) -> bool:
    return bool(jnp.issubdtype(jnp.result_type(value), jnp.complexfloating))


def _wide(leaf: Any) -> Any:
    dtype = jnp.result_type(leaf)
    return dtype if dtype.name in _NUMPY_HAS else jnp.float32


def _like(leaf: Any, value: Any) -> Any:
    if not isinstance(leaf, jax.Array):
        return jnp.asarray(value, jnp.result_type(leaf))
    return jax.device_put(jnp.asarray(value, leaf.dtype), leaf.sharding)

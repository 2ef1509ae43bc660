"""Containers for trees of arrays, and what it means that two trees are the same."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from fedsecure.pytree import flatten

F32 = np.float32


class Pair(NamedTuple):
    mean: Any
    scale: Any


Point = namedtuple("Point", ["x", "y"])  # noqa: PYI024 - the untyped kind must work too


@dataclass(frozen=True)
class Layer:
    w: Any
    b: Any


def joined(tree: Any) -> np.ndarray:
    """The flat vector of a tree, in the spec's dtype."""
    arrays, spec = flatten(tree)
    return np.concatenate([array.astype(spec.dtype) for array in arrays])


def there_and_back(tree: Any) -> Any:
    return flatten(tree)[1].unflatten(joined(tree))


def assert_same(found: Any, expected: Any) -> None:
    """Equal values, dtypes, shapes, container classes and key orders."""
    assert type(found) is type(expected)
    if isinstance(expected, np.ndarray | np.generic):
        assert found.dtype == expected.dtype
        assert found.shape == expected.shape
        np.testing.assert_array_equal(found, expected)
    elif isinstance(expected, dict | MappingProxyType):
        assert list(found) == list(expected)
        for key in expected:
            assert_same(found[key], expected[key])
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    elif isinstance(expected, float):
        assert found == expected
    else:
        for name in expected.__dataclass_fields__:
            assert_same(getattr(found, name), getattr(expected, name))

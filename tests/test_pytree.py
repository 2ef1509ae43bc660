"""Updates to flat arrays and back: order, views, containers, refusals."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from dataclasses import InitVar, dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedsecure.errors import EncodingError
from fedsecure.pytree import TreeSpec, flatten
from trees import F32, Layer, Pair, Point, assert_same, there_and_back


@dataclass(slots=True)
class Counted:
    w: Any
    derived: Any = field(init=False)

    def __post_init__(self) -> None:
        self.derived = np.zeros(1)


@dataclass
class NeedsMore:
    w: Any
    secret: InitVar[int]

    def __post_init__(self, secret: int) -> None:
        self.w = self.w


class Shouting(dict[str, Any]):
    """Changes its keys whenever it is made."""

    def __init__(self, items: dict[str, Any]) -> None:
        super().__init__({key + "!": value for key, value in items.items()})


class Key(Enum):
    KERNEL = "kernel"


def test_flat_order_and_paths() -> None:
    tree = {
        "layers": [Layer(w=np.zeros((2, 3)), b=np.ones(3, F32)), {}],
        "head": Pair(np.float16(1), (2.0, np.zeros((0, 4)))),
        10: np.ones((), F32),
        9: np.full((1, 1), 3.0),
        Key.KERNEL: np.zeros(2),
        ("a", 1): np.zeros(1),
    }
    arrays, spec = flatten(tree)
    assert [leaf.path for leaf in spec.leaves] == [
        "('a', 1)",
        "10",
        "9",
        "Key.KERNEL",
        "head/mean",
        "head/scale/0",
        "head/scale/1",
        "layers/0/w",
        "layers/0/b",
    ]
    assert [leaf.shape for leaf in spec.leaves] == [
        *[(1,), (), (1, 1), (2,), (), (), (0, 4), (2, 3), (3,)]
    ]
    assert [array.dtype.name for array in arrays] == [leaf.dtype for leaf in spec.leaves]
    assert [array.shape for array in arrays] == [(leaf.size,) for leaf in spec.leaves]
    assert spec.size == 1 + 1 + 1 + 2 + 1 + 1 + 0 + 6 + 3
    assert TreeSpec.of(tree) == spec


@pytest.mark.parametrize(
    "tree",
    [
        np.arange(6.0).reshape(2, 3),
        np.float16(1.5),
        2.5,
        np.array(7, F32),
        {"b": np.ones(2, F32), "a": np.arange(3, dtype=np.float16)},
        OrderedDict(z=np.ones(1), a=np.zeros(2, F32)),
        defaultdict(list, {"b": np.ones(1), "a": np.zeros(2)}),
        defaultdict(None, {"b": np.ones(1)}),
        MappingProxyType({"b": np.ones(1), "a": 0.25}),
        [np.ones(1), (np.ones(2), [np.zeros((2, 0)), 1.0]), {}],
        Pair(np.ones(2), {"x": 1.0}),
        Point(x=1.0, y=np.ones(1, F32)),
        Layer(w=np.ones((2, 2)), b=[np.float32(3)]),
        {2: np.ones(1), 10: np.zeros(1), 1: np.full(1, 5.0)},
    ],
    ids=lambda tree: type(tree).__name__,
)
def test_containers_dtypes_and_key_order_come_back(tree: Any) -> None:
    assert_same(there_and_back(tree), tree)


def test_a_dataclass_keeps_fields_that_init_does_not_take() -> None:
    tree = Counted(np.ones(2))
    tree.derived = np.full(3, 4.0)
    assert_same(there_and_back(tree), tree)


def test_a_defaultdict_keeps_its_factory() -> None:
    assert there_and_back(defaultdict(list, {"b": 1.0}))["new"] == []


leaves = st.one_of(
    st.floats(-100, 100),
    st.tuples(
        st.sampled_from([np.float16, np.float32, np.float64]),
        st.lists(st.integers(0, 3), max_size=3),
    ).map(
        lambda made: (np.arange(np.prod(made[1], dtype=int)).reshape(made[1]) - 2).astype(made[0])
    ),
)
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text(max_size=3), inner, max_size=3),
        st.tuples(inner, inner).map(lambda pair: Pair(*pair)),
        st.tuples(inner, inner).map(lambda pair: Layer(*pair)),
    ),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(trees)
def test_any_tree_comes_back_as_it_was(tree: Any) -> None:
    try:
        spec = TreeSpec.of(tree)
    except EncodingError as error:
        assert "no values" in str(error) or "have the path" in str(error)  # noqa: PT017
        return
    assert spec.size == sum(array.size for array in flatten(tree)[0])
    assert_same(there_and_back(tree), tree)


def test_contiguous_leaves_are_views() -> None:
    tree = {"w": np.zeros((3, 4), F32), "h": np.zeros(5, np.float16), "s": np.zeros(())}
    arrays, spec = flatten(tree)
    for leaf, array in zip(spec.leaves, arrays, strict=True):
        assert np.shares_memory(array, tree[leaf.path])
        assert array.flags.c_contiguous
    assert [array.dtype for array in arrays] == [np.float16, np.float64, np.float32]


def _unaligned() -> np.ndarray:
    raw = np.zeros(4 * 6 + 1, np.uint8)
    array = raw[1:].view(F32)
    array[:] = np.arange(6)
    assert not array.flags.aligned
    return array


@pytest.mark.parametrize(
    "array",
    [
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(12.0)[::2],
        np.arange(6.0)[::-1],
        np.broadcast_to(np.float32(3), (2, 3)),
        np.arange(6.0, dtype=">f4"),
        np.arange(6.0, dtype=">f2").reshape(2, 3),
        _unaligned(),
    ],
    ids=["fortran", "strided", "reversed", "broadcast", "swapped", "swapped2d", "unaligned"],
)
def test_awkward_leaves_are_copied_and_left_alone(array: np.ndarray) -> None:
    before = array.copy()
    (flat,), spec = flatten(array)
    assert flat.flags.c_contiguous
    assert flat.flags.aligned
    assert flat.dtype.isnative
    np.testing.assert_array_equal(flat, before.ravel())
    np.testing.assert_array_equal(array, before)
    assert not np.shares_memory(flat, array)
    np.testing.assert_array_equal(spec.unflatten(flat.astype(np.float64)), before)


def test_read_only_leaves_are_taken() -> None:
    array = np.ones(3)
    array.flags.writeable = False
    assert np.shares_memory(flatten(array)[0][0], array)


@pytest.mark.parametrize(
    ("leaf", "words"),
    [
        (None, "NoneType"),
        (3, "int"),
        (True, "bool"),
        ("text", "str"),
        (np.arange(3), "int64, not floating point; convert it to float32"),
        (np.zeros(2, bool), "bool, not floating point"),
        (np.zeros(2, np.uint8), "uint8, not floating point"),
        (np.zeros(2, complex), "complex128; pass its real and imaginary parts"),
        (np.zeros(2, object), "object"),
        (np.zeros(2, np.longdouble), "convert it to float16, float32 or float64"),
        (np.zeros(2, "datetime64[s]"), "datetime64"),
        (np.ma.masked_array([1.0, 2.0], [True, False]), "masked"),
        ({1, 2}, "set"),
        (Layer, "type"),
        (NeedsMore(np.ones(1), 3), "NeedsMore that its items do not rebuild"),
        (Shouting({"a": 1.0}), "Shouting that its items do not rebuild"),
        ({1: 1.0, "1": 2.0}, "two keys with the text '1'"),
        ({object(): 1.0}, "key of type object"),
    ],
    ids=lambda value: value.split()[0] if isinstance(value, str) else "",
)
def test_what_is_no_float_array_is_refused_by_its_path(leaf: Any, words: str) -> None:
    tree = {"layers": [{"w": np.ones(2)}, {"w": leaf}]}
    for take in (flatten, TreeSpec.of):
        with pytest.raises(EncodingError) as caught:
            take(tree)
        assert "'layers/1/w'" in str(caught.value)
        assert words in str(caught.value)


def test_one_error_lists_all_bad_leaves() -> None:
    with pytest.raises(EncodingError) as caught:
        flatten({f"k{i:02}": np.arange(2) for i in range(12)} | {"good": np.ones(1)})
    text = str(caught.value)
    assert [f"'k{i:02}'" in text for i in range(6)] == [True] * 5 + [False]
    assert "and 7 more" in text
    assert "good" not in text


@pytest.mark.parametrize("tree", [{}, [], [np.zeros(0), {}], np.zeros((3, 0))])
def test_no_values_at_all_is_refused(tree: Any) -> None:
    with pytest.raises(EncodingError, match="no values"):
        flatten(tree)


def test_a_container_that_holds_itself_is_refused() -> None:
    tree: list[Any] = [np.ones(1)]
    tree.append(tree)
    with pytest.raises(EncodingError, match="deeper than 100 levels or holds itself"):
        flatten(tree)


def test_two_leaves_with_one_path_are_refused() -> None:
    with pytest.raises(EncodingError, match="path 'a/b'"):
        flatten({"a/b": np.ones(1), "a": {"b": np.ones(1)}})

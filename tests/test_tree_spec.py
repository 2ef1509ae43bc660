"""Specs on their own: filling them, comparing them, restoring them."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from fedsecure.errors import EncodingError
from fedsecure.pytree import LeafSpec, TreeSpec
from trees import F32, Layer, Pair, Point, assert_same, joined


def test_unflatten_gives_views_and_keeps_the_vector() -> None:
    spec = TreeSpec.of({"w": np.zeros((2, 2), F32), "b": np.zeros(1, np.float16)})
    vector = np.arange(5, dtype=F32)
    made = spec.unflatten(vector)
    assert np.shares_memory(made["w"], vector)
    np.testing.assert_array_equal(vector, np.arange(5))


@pytest.mark.parametrize(
    ("vector", "words"),
    [
        (np.zeros(4), r"takes \(5,\)"),
        (np.zeros((5, 1)), r"takes \(5,\)"),
        (np.zeros(5, np.float16), "float16 was given"),
        (np.zeros(5, np.int64), "int64 was given"),
    ],
)
def test_unflatten_refuses_other_vectors(vector: np.ndarray, words: str) -> None:
    with pytest.raises(EncodingError, match=words):
        TreeSpec.of(np.zeros(5)).unflatten(vector)


@pytest.mark.parametrize(
    ("dtype", "value"), [("float16", 65520.0), ("float32", 3.5e38), ("float16", np.nan)]
)
def test_values_that_do_not_fit_on_the_way_back_are_refused(dtype: str, value: float) -> None:
    spec = TreeSpec.of({"wide": 1.0, "narrow": np.zeros(2, dtype)})
    with pytest.raises(EncodingError, match=f"leaf 'narrow' is {dtype}"):
        spec.unflatten(np.array([0.0, value, 0.0]))


def test_the_largest_float16_comes_back() -> None:
    made = TreeSpec.of(np.zeros(1, np.float16)).unflatten(np.array([65504.0]))
    assert made == np.float16(65504)


@pytest.mark.parametrize(
    ("dtypes", "wide"),
    [
        (["float16"], "float32"),
        (["float16", "float32"], "float32"),
        (["float32", "float64"], "float64"),
    ],
)
def test_dtype_holds_every_leaf(dtypes: list[str], wide: str) -> None:
    assert TreeSpec.of([np.zeros(1, dtype) for dtype in dtypes]).dtype == np.dtype(wide)


def test_a_spec_without_structure_gives_paths() -> None:
    tree = {"b": [np.ones((1, 2), F32), 2.0], "a": np.float16(3)}
    spec = TreeSpec.of(tree)
    restored = TreeSpec(tuple(LeafSpec(x.path, x.shape, x.dtype, x.kind) for x in spec.leaves))
    assert restored == spec
    assert hash(restored) == hash(spec)
    made = restored.unflatten(joined(tree))
    assert list(made) == ["a", "b/0", "b/1"]
    assert_same(made["b/0"], np.ones((1, 2), F32))
    assert_same(made["a"], np.array(3, np.float16))
    assert_same(made["b/1"], 2.0)


def test_a_spec_survives_pickling_with_its_structure() -> None:
    tree = {"b": Layer(np.ones(1), 1.0), "a": Pair(np.ones(2), [2.0])}
    spec = pickle.loads(pickle.dumps(TreeSpec.of(tree)))
    assert_same(spec.unflatten(joined(tree)), tree)


def test_containers_and_kinds_do_not_count_in_equality() -> None:
    one, other = TreeSpec.of({"0": 1.0}), TreeSpec.of([np.zeros(())])
    assert one == other
    assert hash(one) == hash(other)
    assert one.difference(other) is None
    assert one != TreeSpec.of([np.zeros(1)])
    assert one != "0"


@pytest.mark.parametrize(
    ("mine", "expected", "words"),
    [
        ({"w": np.zeros((3, 4))}, {"w": np.zeros((3, 5))}, "'w' has shape (3, 4), expected (3, 5)"),
        ({"w": np.zeros(2, F32)}, {"w": np.zeros(2)}, "'w' has dtype float32, expected float64"),
        ({"w": 1.0}, {"w": 1.0, "a": 1.0}, "leaf 'a' is missing"),
        ({"w": 1.0, "z": 1.0}, {"w": 1.0}, "leaf 'z' is not expected"),
        ({"w": 1.0}, {"v": 1.0}, "leaf 'w' is not expected"),
        (Point(1.0, 2.0), Layer(1.0, 2.0), "leaf 'x' is not expected"),
    ],
)
def test_difference_names_the_first_mismatch(mine: Any, expected: Any, words: str) -> None:
    assert words in str(TreeSpec.of(mine).difference(TreeSpec.of(expected)))


def test_difference_sees_another_order() -> None:
    one, two = LeafSpec("a", (1,), "float32"), LeafSpec("b", (1,), "float32")
    found = TreeSpec((two, one)).difference(TreeSpec((one, two)))
    assert found == "leaf 'b' stands where 'a' is expected"


@pytest.mark.parametrize(
    "fields",
    [
        ("a", (1,), "int32", "numpy"),
        ("a", (1,), "float32", "cupy"),
        ("a", (-1,), "float32", "numpy"),
        ("a", (0, 2**62), "float32", "numpy"),
        ("a", (1,) * 33, "float32", "numpy"),
        ("a", (2,), "float64", "float"),
    ],
)
def test_leaf_specs_of_other_parties_are_checked(fields: tuple[Any, ...]) -> None:
    with pytest.raises(EncodingError, match="'a'"):
        LeafSpec(*fields)


def test_the_representation_of_a_spec_shows_no_values() -> None:
    assert "0.12345" not in repr(TreeSpec.of({"w": np.full(2, 0.12345), "x": 0.12345}))

"""What the encoding refuses: the tensor, the count, the largest value and the remedy are named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from contributions import SEED, decoded, make, whole
from fedsecure.encoding import Contribution, FixedPoint
from fedsecure.errors import EncodingError, LocalProtocolError, RemoteProtocolError


def test_one_error_names_tensors_counts_largest_value_and_remedy() -> None:
    leaves = [
        np.array([1.0, 9.5, -12.34567]),
        np.ones(3, np.float32),
        np.array([8.0, 10.0], np.float16),
        np.array([0.5, np.nan, -np.inf], np.float32),
    ]
    with pytest.raises(EncodingError) as caught:
        make(leaves, FixedPoint(8.0, 10))
    assert str(caught.value) == (
        "this update cannot be encoded: 'leaf0' has 2 of 3 values outside [-8, 8], the largest "
        "magnitude being 12.3457; 'leaf2' has 1 of 2 values outside [-8, 8], the largest "
        "magnitude being 10; 'leaf3' has 2 NaN or infinite values among 3, the largest finite "
        "magnitude being 0.5. Look for divergence in the local training. Raise clip to 16, or "
        "pass overflow='clip' to clip such values and have them counted"
    )


def test_more_than_five_bad_tensors_are_counted() -> None:
    with pytest.raises(EncodingError, match=r"'leaf4'.*; and 7 more"):
        make([np.full(2, 99.0)] * 12, FixedPoint())


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_clipping_does_not_admit_non_finite_values(bad: float, dtype: str) -> None:
    with pytest.raises(EncodingError, match="'leaf0' has 1 NaN or infinite values among 2"):
        make([np.array([bad, 1.0], dtype)], FixedPoint(overflow="clip"))


def test_the_largest_value_of_a_long_float16_leaf_is_found() -> None:
    leaf = np.zeros(200_000, np.float16)
    leaf[[0, -1]] = 100, 50
    with pytest.raises(EncodingError, match=r"2 of 200000 values .* magnitude being 100"):
        make([leaf], FixedPoint())


def test_the_suggested_clip_is_enough() -> None:
    for largest in (8.5, 16.0, 16.000001, 1e5):
        with pytest.raises(EncodingError, match="Raise clip to") as caught:
            make([np.array([largest])], FixedPoint(bits=10))
        suggested = float(str(caught.value).split("Raise clip to ")[1].split(",")[0])
        assert largest <= suggested < 2 * largest


def test_weights_and_sessions_must_agree() -> None:
    encoding = FixedPoint(max_weight=10)
    layouts = [encoding.layout(3, 1, weighted=weighted) for weighted in (False, True)]
    for layout, weight, words in [
        (layouts[0], 1.0, "this session has none"),
        (layouts[1], None, "session is weighted"),
        (layouts[1], 11, "above max_weight=10"),
        (layouts[1], 0, "larger than 0"),
        (layouts[1], 1e-12, "rounds to 0"),
    ]:
        with pytest.raises(EncodingError, match=words):
            Contribution(
                [np.ones(1)], ["w"], encoding=encoding, layout=layout, weight=weight, seed=SEED
            )


@pytest.mark.parametrize(
    ("leaves", "words"),
    [
        ([np.ones(2)], "has 2 values; the session expects 3"),
        ([np.ones((3, 1))], "pass what pytree.flatten gives"),
        ([np.ones(6)[::2]], "pass what pytree.flatten gives"),
        ([np.ones(3, int)], "'leaf0' is int64"),
        ([np.ones(3, ">f4")], "'leaf0' is >f4"),
    ],
)
def test_leaves_that_are_not_flat_or_do_not_fit_are_refused(leaves: Any, words: str) -> None:
    layout = FixedPoint().layout(3, 3, weighted=False)
    with pytest.raises(EncodingError, match=words):
        Contribution(
            leaves, ["leaf0"], encoding=FixedPoint(), layout=layout, weight=None, seed=SEED
        )


def test_callers_mistakes_are_local_errors() -> None:
    layout = FixedPoint().layout(3, 2, weighted=False)
    good = {"encoding": FixedPoint(), "layout": layout, "weight": None, "seed": SEED}
    for change, words in [
        ({"seed": None}, "seed of 24"),
        ({"seed": SEED[1:]}, "seed of 24"),
        ({"encoding": FixedPoint(overflow="clip")}, "another encoding"),
    ]:
        with pytest.raises(LocalProtocolError, match=words):
            Contribution([np.ones(2)], ["w"], **(good | change))
    with pytest.raises(EncodingError, match="threads=-1; use an integer at least 0"):
        Contribution([np.ones(2)], ["w"], **good, threads=-1)
    with pytest.raises(LocalProtocolError, match="1 leaves came with 2 names"):
        Contribution([np.ones(2)], ["w", "b"], **good)
    made = Contribution([np.ones(2)], ["w"], **good)
    for start, stop in [(-1, 1), (2, 1), (0, 3)]:
        with pytest.raises(LocalProtocolError, match="the vector has 2"):
            made.encode(start, stop)


@pytest.mark.parametrize("value", [np.nan, np.inf, 9.0])
def test_an_update_that_changes_meanwhile_is_refused(value: float) -> None:
    leaf = np.ones(4)
    contribution, layout = make([leaf], FixedPoint())
    leaf[2] = value
    with pytest.raises(EncodingError, match="changed while it was being encoded"):
        whole(contribution, layout)


def test_a_wiped_contribution_encodes_nothing() -> None:
    seed = bytearray(SEED)
    update = np.full(64, 1 / 3)
    contribution, layout = make([update], FixedPoint(), seed=seed)
    seed[:] = bytes(24)  # the contribution has its own copy
    again, _ = make([update], FixedPoint())
    np.testing.assert_array_equal(whole(contribution, layout), whole(again, layout))
    contribution.wipe()
    contribution.wipe()
    with pytest.raises(LocalProtocolError, match="wiped"):
        contribution.encode(0, 1)


@pytest.mark.parametrize(
    ("element", "value", "words"),
    [
        (2, 0, "the sum of weights"),
        (2, -1, "the sum of weights"),
        (2, 2, "the sum of weights"),
        (2, 3 * 4 * 2**10 + 1, "the sum of weights"),
        (3, -1, "the count of clipped values"),
        (3, 3 * 2 + 1, "the count of clipped values"),
        (0, 3 * 2**10 + 4, "the mean"),
        (1, -(3 * 2**10) - 4, "the mean"),
    ],
)
def test_sums_no_honest_clients_can_make_are_refused(element: int, value: int, words: str) -> None:
    encoding = FixedPoint(1.0, 10, max_weight=4, overflow="clip")
    layout = encoding.layout(3, 2, weighted=True)
    honest = [3 * 2**10, -3 * 2**10, 3 * 2**10, 6]
    total = np.array([x % 2**layout.modulus_bits for x in honest], layout.dtype)
    assert decoded(total, layout, encoding, 3).values.tolist() == [1.0, -1.0]
    total[element] = value % 2**layout.modulus_bits
    with pytest.raises(RemoteProtocolError, match=words):
        decoded(total, layout, encoding, 3)


def test_decode_sum_refuses_what_is_no_sum_of_the_session() -> None:
    encoding = FixedPoint()
    layout = encoding.layout(3, 2, weighted=False)
    good = np.zeros(2, np.uint32)
    for total, dtype, words in [
        (np.zeros(3, np.uint32), np.float32, r"uint32 of shape \(2,\)"),
        (np.zeros(2, np.uint64), np.float32, "the sum is uint64"),
        (good, np.float16, "decode to float32 or float64"),
        (good, np.int64, "decode to float32 or float64"),
    ]:
        with pytest.raises(LocalProtocolError, match=words):
            decoded(total, layout, encoding, 3, dtype)
    with pytest.raises(EncodingError, match="num_clients=0"):
        decoded(good, layout, encoding, 0)

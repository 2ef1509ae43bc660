"""Contributions and decoded sums: exact against integers and fractions, and their refusals."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedsecure import encoding as module
from fedsecure.encoding import Contribution, Decoded, FixedPoint, RingLayout, decode_sum
from fedsecure.errors import EncodingError, LocalProtocolError, RemoteProtocolError
from reference import encoding as reference

SEED = bytes(range(24))


def seed_of(client: int) -> bytes:
    return bytes([client]) + SEED[1:]


def make(
    leaves: list[np.ndarray],
    encoding: FixedPoint,
    *,
    clients: int = 3,
    weight: float | None = None,
    seed: bytes | None = SEED,
) -> tuple[Contribution, RingLayout]:
    """A contribution named after its positions, and the layout of its session."""
    size = sum(leaf.size for leaf in leaves)
    layout = encoding.layout(clients, size, weighted=weight is not None)
    names = [f"leaf{i}" for i in range(len(leaves))]
    made = Contribution(leaves, names, encoding=encoding, layout=layout, weight=weight, seed=seed)
    return made, layout


def whole(contribution: Contribution, layout: RingLayout) -> np.ndarray:
    return contribution.encode(0, layout.length)


def centred(vector: np.ndarray, layout: RingLayout) -> list[int]:
    return [reference.centred(int(element), layout.modulus_bits) for element in vector]


def sum_of(
    updates: list[np.ndarray], encoding: FixedPoint, weights: list[float] | None = None
) -> tuple[np.ndarray, RingLayout]:
    """The ring sum of all clients, in the lane, and the layout."""
    layout = encoding.layout(len(updates), updates[0].size, weighted=weights is not None)
    total = np.zeros(layout.length, layout.dtype)
    for i, update in enumerate(updates):
        weight = None if weights is None else weights[i]
        made = make([update], encoding, clients=len(updates), weight=weight, seed=seed_of(i))
        total += whole(*made)
    return total, layout


def decoded(
    total: np.ndarray, layout: RingLayout, encoding: FixedPoint, n: int, dtype: Any = np.float64
) -> Decoded:
    return decode_sum(total, encoding=encoding, layout=layout, num_contributors=n, dtype=dtype)


floats = st.floats(-8, 8, width=32)
encodings = st.builds(
    FixedPoint,
    clip=st.just(8.0),
    bits=st.integers(0, 30),
    max_weight=st.just(1000.0),
    rounding=st.sampled_from(["stochastic", "nearest"]),
    overflow=st.sampled_from(["raise", "clip"]),
)


@given(
    st.lists(st.floats(-20, 20), min_size=1, max_size=40), encodings, st.none() | st.floats(1, 1e3)
)
def test_encoded_integers_are_those_of_the_reference(
    values: list[float], encoding: FixedPoint, weight: float | None
) -> None:
    if encoding.overflow == "raise":
        values = [max(-8.0, min(8.0, value)) for value in values]
    contribution, layout = make([np.array(values)], encoding, weight=weight)
    expected = reference.encode(
        values,
        bits=encoding.bits,
        clip=encoding.clip,
        modulus_bits=layout.modulus_bits,
        weight=weight,
        seed=SEED if encoding.rounding == "stochastic" else None,
        count_clipped=encoding.overflow == "clip",
    )
    found = whole(contribution, layout)
    assert found.dtype == layout.dtype
    assert [int(element) % 2**layout.modulus_bits for element in found] == expected


@given(
    st.lists(
        st.tuples(st.sampled_from(["f2", "f4", "f8"]), st.lists(floats, max_size=9)), max_size=5
    ),
    st.lists(st.integers(0, 50), max_size=6),
    encodings,
)
def test_any_partition_into_pieces_gives_the_same_vector(
    parts: list[tuple[str, list[float]]], cuts: list[int], encoding: FixedPoint
) -> None:
    leaves = [np.array(values, dtype) for dtype, values in [*parts, ("f4", [1.0])]]
    contribution, layout = make(leaves, encoding, weight=3.0)
    edges = sorted({0, layout.length, *(min(cut, layout.length) for cut in cuts)})
    pieces = [contribution.encode(a, b) for a, b in pairwise(edges)]
    np.testing.assert_array_equal(np.concatenate(pieces), whole(contribution, layout))


def test_long_float16_leaves_are_widened_bit_by_bit() -> None:
    leaf = (np.arange(3 * module._WIDENED) % 97 / 13).astype(np.float16)
    contribution, layout = make([np.ones(3, np.float32), leaf], FixedPoint())
    same, _ = make([np.ones(3, np.float32), leaf.astype(np.float64)], FixedPoint())
    np.testing.assert_array_equal(whole(contribution, layout), whole(same, layout))
    start = module._WIDENED - 5
    np.testing.assert_array_equal(
        contribution.encode(start, start + 70_000), whole(same, layout)[start : start + 70_000]
    )


def test_pieces_are_one_allocation_and_leave_the_arrays_alone() -> None:
    leaf = np.linspace(-8, 8, 100, dtype=np.float32)
    leaf.flags.writeable = False
    contribution, _ = make([leaf], FixedPoint())
    piece = contribution.encode(10, 20)
    assert piece.base is None
    assert piece.shape == (10,)
    np.testing.assert_array_equal(leaf, np.linspace(-8, 8, 100, dtype=np.float32))


@given(st.lists(st.floats(-8, 8), min_size=1, max_size=30), encodings)
def test_one_client_comes_back_within_a_step(values: list[float], encoding: FixedPoint) -> None:
    update = np.array(values)
    mean = decoded(*sum_of([update], encoding), encoding, 1).values
    allowed = encoding.step if encoding.rounding == "stochastic" else encoding.step / 2
    assert np.abs(mean - update).max() <= allowed


@settings(max_examples=60)
@given(
    st.integers(1, 12).flatmap(
        lambda n: st.tuples(
            st.lists(st.lists(floats, min_size=4, max_size=4), min_size=n, max_size=n),
            st.none() | st.lists(st.floats(0.01, 1000), min_size=n, max_size=n),
        )
    ),
    encodings.filter(lambda encoding: encoding.bits >= 7),
)
def test_sums_are_exact_and_means_keep_their_bound(
    drawn: tuple[list[list[float]], list[float] | None], encoding: FixedPoint
) -> None:
    """The bound of the module's docstring, with exact fractions on the other side."""
    updates, weights = [np.array(update) for update in drawn[0]], drawn[1]
    n = len(updates)
    total, layout = sum_of(updates, encoding, weights)
    vectors = []
    for i, update in enumerate(updates):
        weight = None if weights is None else weights[i]
        made, _ = make([update], encoding, clients=n, weight=weight, seed=seed_of(i))
        vectors.append(centred(whole(made, layout), layout))
    assert centred(total, layout) == [sum(column) for column in zip(*vectors, strict=True)]

    scale = 2**encoding.bits
    units = [scale if w is None else round(Fraction(w) * scale) for w in weights or [None] * n]
    result = decoded(total, layout, encoding, n)
    for i, found in enumerate(result.values):
        exact = sum(u * Fraction(float(x[i])) for u, x in zip(units, updates, strict=True))
        error = abs(Fraction(float(found)) - exact / sum(units))
        assert error <= Fraction(n, sum(units)) + Fraction(8, 2**50)
    if weights is None or min(weights) >= 1:
        assert Fraction(n, sum(units)) <= Fraction(encoding.step)
    assert result.total_weight == (n if weights is None else sum(units) / scale)
    assert result.clipped == (0 if encoding.overflow == "clip" else None)


@pytest.mark.parametrize("fraction", [0.0, 2.0**-7, 0.3, 0.5, 0.999])
@pytest.mark.parametrize("sign", [1, -1])
def test_stochastic_rounding_is_unbiased(fraction: float, sign: int) -> None:
    encoding = FixedPoint(8, 10)
    count = 100_000
    value = sign * (5 + fraction) * encoding.step
    contribution, layout = make([np.full(count, value)], encoding)
    found = np.array(centred(whole(contribution, layout), layout))
    assert set(np.unique(found)) <= {math.floor(value * 2**10), math.ceil(value * 2**10)}
    deviation = math.sqrt(fraction * (1 - fraction) / count)
    assert abs(found.mean() - value * 2**10) <= 5 * deviation + 1e-12


@pytest.mark.parametrize(
    ("encoding", "n", "weight"),
    [
        (FixedPoint(8.0, 20), 100, None),
        (FixedPoint(1.0, 4), 7, None),
        (FixedPoint(0.1, 9), 20, None),
        (FixedPoint(3.3, 55), 3, None),
        (FixedPoint(8.0, 16, max_weight=1e6), 100, 1e6),
        (FixedPoint(1 / 3, 50, max_weight=0.7), 50, 0.7),
        (FixedPoint(1e-3, 30, max_weight=1.0), 9, 1.0),
    ],
)
@pytest.mark.parametrize("sign", [1, -1])
def test_all_clients_at_their_limits_decode_exactly(
    encoding: FixedPoint, n: int, weight: float | None, sign: int
) -> None:
    update = np.full(2, sign * encoding.clip)
    layout = encoding.layout(n, 2, weighted=weight is not None)
    vectors = [
        centred(
            whole(make([update], encoding, clients=n, weight=weight, seed=seed_of(i))[0], layout),
            layout,
        )
        for i in range(n)
    ]
    total, _ = sum_of([update] * n, encoding, None if weight is None else [weight] * n)
    assert centred(total, layout) == [sum(column) for column in zip(*vectors, strict=True)]
    result = decoded(total, layout, encoding, n)
    bound = encoding.step / (weight or 1) + encoding.clip * 2.0**-50
    assert np.abs(result.values - update).max() <= bound
    if weight is not None:
        assert result.total_weight == pytest.approx(n * weight, rel=1e-9)


def test_a_sum_of_more_clients_than_the_ring_holds_is_refused() -> None:
    encoding = FixedPoint(1.0, 10)
    layout = encoding.layout(511, 1, weighted=False)
    assert layout.modulus_bits == 20
    decoded(np.zeros(1, np.uint32), layout, encoding, 511)
    with pytest.raises(
        EncodingError, match=r"ring too narrow: modulus_bits=20.*512 clients need 21"
    ):
        decoded(np.zeros(1, np.uint32), layout, encoding, 512)


def test_the_weight_travels_inside_the_vector_only() -> None:
    encoding = FixedPoint(8.0, 10, max_weight=50, overflow="clip")
    light, layout = make([np.ones(3)], encoding, weight=1)
    heavy, _ = make([np.ones(3)], encoding, weight=50)
    assert whole(light, layout).nbytes == whole(heavy, layout).nbytes
    assert centred(whole(heavy, layout), layout) == [51200, 51200, 51200, 51200, 0]
    assert repr(light) == repr(heavy)
    assert SEED.hex() not in repr(light)


def test_a_weighted_mean_weighs() -> None:
    encoding = FixedPoint(8.0, 20, max_weight=100)
    updates = [np.array([1.0, -2.0]), np.array([4.0, 0.5]), np.array([0.25, 8.0])]
    result = decoded(*sum_of(updates, encoding, [1, 10, 100]), encoding, 3)
    np.testing.assert_allclose(result.values, [66 / 111, 803 / 111], atol=encoding.step / 30)
    assert result.total_weight == 111.0


def test_clipped_values_are_clipped_and_counted() -> None:
    encoding = FixedPoint(1.0, 8, overflow="clip", rounding="nearest")
    updates = [np.array([5.0, -3.0, 0.5]), np.array([1.0, 1.5, -0.5]), np.zeros(3)]
    result = decoded(*sum_of(updates, encoding), encoding, 3)
    assert result.clipped == 3
    np.testing.assert_allclose(result.values, [2 / 3, 0, 0], atol=1e-12)


def test_float32_means_are_float32() -> None:
    encoding = FixedPoint()
    result = decoded(*sum_of([np.full(2, 8.0)] * 3, encoding), encoding, 3, np.float32)
    assert result.values.dtype == np.float32
    assert result.values.tolist() == [8.0, 8.0]


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
    contribution, layout = make([np.ones(4)], FixedPoint(), seed=seed)
    seed[:] = bytes(24)  # the contribution has its own copy
    again, _ = make([np.ones(4)], FixedPoint())
    np.testing.assert_array_equal(whole(contribution, layout), whole(again, layout))
    contribution.wipe()
    contribution.wipe()
    with pytest.raises(LocalProtocolError, match="wiped"):
        contribution.encode(0, 1)


def test_a_piece_of_nothing_is_empty() -> None:
    contribution, layout = make([np.ones(4)], FixedPoint())
    for position in range(layout.length + 1):
        assert contribution.encode(position, position).size == 0


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


def test_bits_above_the_modulus_do_not_count() -> None:
    encoding = FixedPoint(1.0, 10, modulus_bits=20)
    layout = encoding.layout(3, 2, weighted=False)
    total = np.array([3 * 2**10 + 2**25, 2**32 - 2**10], np.uint32)
    np.testing.assert_allclose(decoded(total, layout, encoding, 3).values, [1.0, -1 / 3])
    assert total.tolist() == [3 * 2**10 + 2**25, 2**32 - 2**10]


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

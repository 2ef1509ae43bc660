"""Contributions and decoded sums: exact against integers and fractions."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contributions import SEED, centred, decoded, make, seed_of, sum_of, whole
from fedsecure import encoding as module
from fedsecure.encoding import Contribution, FixedPoint, decode_sum
from fedsecure.errors import EncodingError
from reference import encoding as reference

floats = st.floats(-8, 8, width=32)
encodings = st.builds(
    FixedPoint,
    clip=st.just(8.0),
    bits=st.integers(0, 30),
    max_weight=st.just(1000.0),
    rounding=st.sampled_from(["stochastic", "nearest"]),
    overflow=st.sampled_from(["raise", "clip"]),
)


@settings(max_examples=150, deadline=None, derandomize=True)
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
        suite=1,
        count_clipped=encoding.overflow == "clip",
    )
    found = whole(contribution, layout)
    assert found.dtype == layout.dtype
    assert [int(element) % 2**layout.modulus_bits for element in found] == expected


@settings(max_examples=150, deadline=None, derandomize=True)
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


def test_any_number_of_threads_gives_the_same_results() -> None:
    encoding, leaf = FixedPoint(), np.linspace(-8, 8, 300_000)
    layout = encoding.layout(3, leaf.size, weighted=False)
    vectors, means = [], []
    for threads in (0, 1, 2, 5):
        one = Contribution(
            [leaf], ["w"], encoding=encoding, layout=layout, weight=None, seed=SEED, threads=threads
        )
        vectors.append(whole(one, layout))
        result = decode_sum(
            vectors[-1],
            encoding=encoding,
            layout=layout,
            num_contributors=1,
            dtype=np.float32,
            threads=threads,
        )
        means.append(result.values)
    assert all(np.array_equal(vectors[0], vector) for vector in vectors)
    assert all(np.array_equal(means[0], mean) for mean in means)


def test_pieces_are_one_allocation_and_leave_the_arrays_alone() -> None:
    leaf = np.linspace(-8, 8, 100, dtype=np.float32)
    leaf.flags.writeable = False
    contribution, _ = make([leaf], FixedPoint())
    piece = contribution.encode(10, 20)
    assert piece.base is None
    assert piece.shape == (10,)
    np.testing.assert_array_equal(leaf, np.linspace(-8, 8, 100, dtype=np.float32))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(st.floats(-8, 8), min_size=1, max_size=30), encodings)
def test_one_client_comes_back_within_a_step(values: list[float], encoding: FixedPoint) -> None:
    update = np.array(values)
    mean = decoded(*sum_of([update], encoding), encoding, 1).values
    allowed = encoding.step if encoding.rounding == "stochastic" else encoding.step / 2
    assert np.abs(mean - update).max() <= allowed


@settings(max_examples=150, deadline=None, derandomize=True)
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
        (
            FixedPoint(8 / 3, 56, max_weight=3),
            1,
            3.0,
        ),  # the double product is 2**59, the exact less
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


def test_a_piece_of_nothing_is_empty() -> None:
    encoding = FixedPoint(max_weight=2, overflow="clip")
    contribution, layout = make([np.ones(2), np.ones(0), np.ones(2)], encoding, weight=1)
    for position in range(layout.length + 1):
        assert contribution.encode(position, position).size == 0


def test_bits_above_the_modulus_do_not_count() -> None:
    encoding = FixedPoint(1.0, 10, modulus_bits=20)
    layout = encoding.layout(3, 2, weighted=False)
    total = np.array([3 * 2**10 + 2**25, 2**32 - 2**10], np.uint32)
    np.testing.assert_allclose(decoded(total, layout, encoding, 3).values, [1.0, -1 / 3])
    assert total.tolist() == [3 * 2**10 + 2**25, 2**32 - 2**10]

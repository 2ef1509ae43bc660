"""Masks: sums of keystreams in place, wrapping in the lane."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import reference
from core.reference import LANES
from fedsecure import _core


def make_seeds(count: int, prg: int = 1) -> np.ndarray:
    rows = b"".join(reference.random_seed(j, prg) for j in range(count))
    return np.frombuffer(rows, np.uint8).reshape(count, reference.SEED_BYTES[prg])


def expected(
    acc: np.ndarray, seeds: np.ndarray, signs: np.ndarray, first: int, prg: int
) -> np.ndarray:
    total = acc.copy()
    for seed, sign in zip(seeds, signs.tolist(), strict=True):
        mask = reference.words(seed.tobytes(), first, acc.size, acc.dtype.type, prg)
        total = total + mask if sign == 1 else total - mask
    return total


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("count", [0, 1, 2, 7, 8, 31, 32, 33, 255, 256, 257, 2048, 5003])
@pytest.mark.parametrize("first", [0, 1, 3, 8, 511, 2**33 + 5, 2**36 - 70])
def test_equals_sum_of_keystreams(
    lane: type[np.unsignedinteger], count: int, first: int, prg: int
) -> None:
    rng = np.random.default_rng(count)
    acc = rng.integers(0, np.iinfo(lane).max, count, lane, endpoint=True)
    seeds = make_seeds(3, prg)
    signs = np.array([1, -1, 1], np.int8)
    wanted = expected(acc, seeds, signs, first, prg)
    _core.apply_masks(acc, seeds, signs, first, prg=prg)
    np.testing.assert_array_equal(acc, wanted)


@pytest.mark.usefixtures("kernels")
@given(
    lane=st.sampled_from(LANES),
    count=st.integers(0, 600),
    first=st.one_of(st.integers(0, 1000), st.integers(0, 2**59)),
    signs=st.lists(st.sampled_from([1, -1]), max_size=6),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_shape(
    lane: type[np.unsignedinteger], count: int, first: int, signs: list[int], prg: int
) -> None:
    acc = np.arange(count, dtype=lane)
    seeds = make_seeds(len(signs), prg)
    row = np.array(signs, np.int8)
    wanted = expected(acc, seeds, row, first, prg)
    _core.apply_masks(acc, seeds, row, first, prg=prg)
    np.testing.assert_array_equal(acc, wanted)


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("lane", LANES)
def test_opposite_masks_cancel(lane: type[np.unsignedinteger], prg: int) -> None:
    start = np.arange(10_007, dtype=lane)
    acc = start.copy()
    seeds = make_seeds(9, prg)
    signs = np.array([1, -1, 1, 1, -1, -1, 1, -1, 1], np.int8)
    _core.apply_masks(acc, seeds, signs, 12, prg=prg)
    assert (acc != start).mean() > 0.99
    _core.apply_masks(acc, seeds, -signs, 12, prg=prg)
    np.testing.assert_array_equal(acc, start)


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("lane", LANES)
def test_pieces_give_the_whole(lane: type[np.unsignedinteger], prg: int) -> None:
    seeds = make_seeds(4, prg)
    signs = np.array([1, -1, -1, 1], np.int8)
    whole = np.zeros(4001, lane)
    _core.apply_masks(whole, seeds, signs, 100, prg=prg)
    pieces = np.zeros(4001, lane)
    for start, stop in [(0, 1), (1, 5), (5, 1029), (1029, 1030), (1030, 4001)]:
        _core.apply_masks(pieces[start:stop], seeds, signs, 100 + start, prg=prg)
    np.testing.assert_array_equal(pieces, whole)


@pytest.mark.parametrize("sign", [0, 2, -2, 127, -128])
def test_signs_other_than_one_are_refused(sign: int) -> None:
    acc = np.zeros(100, np.uint32)
    with pytest.raises(ValueError, match="sign"):
        _core.apply_masks(acc, make_seeds(2), np.array([1, sign], np.int8), 0)
    assert not acc.any()


def test_shapes_that_do_not_fit_are_refused() -> None:
    acc = np.zeros(10, np.uint32)
    signs = np.ones(2, np.int8)
    with pytest.raises(ValueError, match="seeds"):
        _core.apply_masks(acc, make_seeds(3), signs, 0)
    with pytest.raises(ValueError, match="seeds"):
        _core.apply_masks(acc, np.zeros((2, 32), np.uint8), signs, 0)
    with pytest.raises(ValueError, match=r"seeds.*\(k, 40\)"):
        _core.apply_masks(acc, make_seeds(2), signs, 0, prg=3)
    with pytest.raises(ValueError, match="dimension"):
        _core.apply_masks(acc, np.zeros(48, np.uint8), signs, 0)
    with pytest.raises(TypeError, match="seeds"):
        _core.apply_masks(acc, np.zeros((2, 24), np.int8), signs, 0)
    with pytest.raises(TypeError, match="signs"):
        _core.apply_masks(acc, make_seeds(2), signs.astype(np.int64), 0)
    assert not acc.any()


@pytest.mark.parametrize("lane", LANES)
def test_end_of_the_keystream(lane: type[np.unsignedinteger], prg: int) -> None:
    last = 2**63 // np.dtype(lane).itemsize
    seeds, signs = make_seeds(1, prg), np.ones(1, np.int8)
    acc = np.zeros(4, lane)
    _core.apply_masks(acc, seeds, signs, last - 4, prg=prg)
    np.testing.assert_array_equal(acc, reference.words(seeds[0].tobytes(), last - 4, 4, lane, prg))
    for first in (last - 3, last, 2**64 - 1, 2**64, -1):
        with pytest.raises(ValueError, match="first_word"):
            _core.apply_masks(acc, seeds, signs, first, prg=prg)


def test_accumulator_may_not_be_its_own_seed() -> None:
    memory = np.zeros(96, np.uint8)
    with pytest.raises(ValueError, match="share memory"):
        _core.apply_masks(
            memory.view(np.uint32), memory[:48].reshape(2, 24), np.ones(2, np.int8), 0
        )

"""Steps, weights and ring widths against exact integers and the published examples."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fedsecure.encoding import FixedPoint, RingLayout, ring_width
from fedsecure.errors import EncodingError


def largest_sum(encoding: FixedPoint, n: int, *, weighted: bool) -> int:
    """n honest clients at their limits, without floats."""
    factor = Fraction(encoding.max_weight) if weighted else 1
    return n * math.ceil(Fraction(encoding.clip) * factor * 2**encoding.bits)


@pytest.mark.parametrize(
    ("n", "low", "high", "bits"),
    [
        # Bonawitz et al. 2017, section 7: 16-bit inputs; their ring is R = n * (2**16 - 1) + 1.
        (2**10, 0, 2**16 - 1, 26),
        (2**14, 0, 2**16 - 1, 30),
        (1, 0, 1, 1),
        (3, -1, 1, 3),
        (4, 0, 2, 4),
        (7, 5, 5, 0),
    ],
)
def test_ring_width(n: int, low: int, high: int, bits: int) -> None:
    assert ring_width(n, low, high) == bits
    assert 2 ** (bits - 1) < n * (high - low) + 1 <= 2**bits


def test_required_bits_of_the_worked_example() -> None:
    encoding = FixedPoint(8, 16, max_weight=1e6)
    # ceil(log2(2 * 100 * 1e6 * 8 * 2**16 + 1))
    assert encoding.required_bits(100, weighted=True) == 47
    assert encoding.required_bits(100) == math.ceil(math.log2(2 * 100 * 8 * 2**16 + 1)) == 27


def test_the_default_fits_a_32_bit_lane_for_100_clients() -> None:
    layout = FixedPoint().layout(100, 5, weighted=False)
    assert (layout.modulus_bits, layout.dtype) == (31, np.uint32)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    clip=st.floats(1e-6, 1e6),
    bits=st.integers(0, 40),
    n=st.integers(1, 10_000),
    weight=st.none() | st.floats(1e-3, 1e9),
    size=st.integers(1, 10**12),
    overflow=st.sampled_from(["raise", "clip"]),
)
def test_required_bits_hold_every_sum_and_are_the_least(
    clip: float, bits: int, n: int, weight: float | None, size: int, overflow: Any
) -> None:
    assume(clip >= 2.0**-bits)
    assume(weight is None or weight > 2.0 ** -(bits + 1))
    encoding = FixedPoint(clip, bits, max_weight=weight, overflow=overflow)
    weighted = weight is not None
    factor = round(Fraction(weight) * 2**bits) if weighted else 2**bits
    largest = max(
        math.ceil(Fraction(clip) * factor),
        math.ceil(clip * float(factor)),  # the core's product, rounded to a double
        factor if weighted else 0,
        size if overflow == "clip" else 0,
    )
    if 2 * n * largest + 1 > 2**64 or Fraction(clip) * factor >= 2**62:
        with pytest.raises(EncodingError, match="lower bits"):
            encoding.required_bits(n, size=size, weighted=weighted)
        return
    width = encoding.required_bits(n, size=size, weighted=weighted)
    assert n * largest <= 2 ** (width - 1) - 1
    assert width == 8 or n * largest > 2 ** (width - 2) - 1


def test_one_client_more_than_the_ring_holds_is_refused() -> None:
    for encoding in (FixedPoint(1.0, 10, modulus_bits=20), FixedPoint(3.3, 7, modulus_bits=16)):
        per_client = largest_sum(encoding, 1, weighted=False)
        n = (2 ** (encoding.modulus_bits - 1) - 1) // per_client
        assert encoding.layout(n, 1, weighted=False).modulus_bits == encoding.modulus_bits
        with pytest.raises(
            EncodingError, match=f"ring too narrow: modulus_bits={encoding.modulus_bits}"
        ) as caught:
            encoding.layout(n + 1, 1, weighted=False)
        assert f"{n + 1} clients need {encoding.modulus_bits + 1}" in str(caught.value)


def test_the_ring_holds_the_count_of_clipped_values() -> None:
    size = 2**20
    assert FixedPoint(1.0, 4).required_bits(3, size=size) == 8
    assert FixedPoint(1.0, 4, overflow="clip").required_bits(3, size=size) == 23


def test_a_wider_ring_than_needed_is_kept() -> None:
    assert FixedPoint(modulus_bits=64).layout(3, 2, weighted=False).modulus_bits == 64


def test_the_narrowest_ring_has_8_bits() -> None:
    assert FixedPoint(1.0, 0).required_bits(1) == 8


def test_more_than_64_bits_are_refused_with_the_remedy() -> None:
    encoding = FixedPoint(8, 40, max_weight=1e6)
    with pytest.raises(EncodingError, match=r"lower bits \(now 40\), clip \(now 8\) or"):
        encoding.required_bits(100, weighted=True)
    assert encoding.required_bits(100) <= 64


def test_the_cores_integer_limit_is_kept_even_for_one_client() -> None:
    with pytest.raises(EncodingError, match="lower bits"):
        FixedPoint(2.0**22, 40).required_bits(1)
    assert FixedPoint(2.0**21, 40).required_bits(1) == 63


def test_weighted_sessions_declare_the_largest_weight() -> None:
    for use in (
        lambda: FixedPoint().required_bits(3, weighted=True),
        lambda: FixedPoint().layout(3, 1, weighted=True),
        lambda: FixedPoint().weight_units(1.0),
    ):
        with pytest.raises(EncodingError, match=r"declare it with FixedPoint\(max_weight"):
            use()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"clip": 0}, "clip must be finite and larger than 0"),
        ({"clip": -1.0}, "clip must be finite"),
        ({"clip": math.nan}, "clip must be finite"),
        ({"clip": math.inf}, "clip must be finite"),
        ({"clip": 10**400}, "clip must be finite"),
        ({"clip": "8"}, "clip is a str"),
        ({"clip": True}, "clip is a bool"),
        ({"clip": 0.001, "bits": 9}, "smaller than the step"),
        ({"bits": -1}, r"bits=-1; use an integer in 0\.\.60"),
        ({"bits": 61}, "bits=61"),
        ({"bits": 8.0}, "bits=8.0"),
        ({"bits": True}, "bits=True"),
        ({"max_weight": 0}, "max_weight must be finite"),
        ({"max_weight": math.inf}, "max_weight must be finite"),
        ({"max_weight": 1e-9}, "max_weight rounds to 0"),
        ({"rounding": "up"}, "rounding='up'"),
        ({"overflow": "wrap"}, "overflow='wrap'"),
        ({"modulus_bits": 7}, r"modulus_bits=7; use an integer in 8\.\.64"),
        ({"modulus_bits": 65}, "modulus_bits=65"),
    ],
)
def test_bad_configuration_is_refused_when_made(values: dict[str, Any], words: str) -> None:
    with pytest.raises(EncodingError, match=words):
        FixedPoint(**values)


def test_numbers_of_other_types_mean_the_same() -> None:
    assert FixedPoint(np.float32(8), 20, max_weight=np.int64(4)) == FixedPoint(max_weight=4.0)
    assert hash(FixedPoint(8)) == hash(FixedPoint(8.0))


@pytest.mark.parametrize(
    ("weight", "words"),
    [
        (0, "the weight must be finite and larger than 0"),
        (-1.0, "the weight must be finite"),
        (math.nan, "the weight must be finite"),
        (-math.inf, "the weight must be finite"),
        (100.5, "above max_weight=100"),
        (math.inf, "above max_weight=100"),
        (10**400, "above max_weight=100"),
        (1e-9, "rounds to 0"),
        ("3", "the weight is a str"),
        (True, "the weight is a bool"),
        (np.ones(1), "the weight is a ndarray"),
    ],
)
def test_bad_weights_are_refused(weight: Any, words: str) -> None:
    with pytest.raises(EncodingError, match=words):
        FixedPoint(max_weight=100).weight_units(weight)


@pytest.mark.parametrize(
    ("weight", "units"),
    [(100, 102400), (0.5, 512), (np.int32(3), 3072), (1 / 3, 341), (2**-11 + 2**-30, 1)],
)
def test_weights_become_whole_steps(weight: Any, units: int) -> None:
    assert FixedPoint(bits=10, max_weight=100).weight_units(weight) == units


@pytest.mark.parametrize(
    ("bits", "dtype"),
    [(8, "uint16"), (16, "uint16"), (17, "uint32"), (32, "uint32"), (33, "uint64"), (64, "uint64")],
)
def test_lanes(bits: int, dtype: str) -> None:
    assert RingLayout(5, bits, weighted=False, counts_clipped=False).dtype == np.dtype(dtype)


@pytest.mark.parametrize(
    ("weighted", "overflow", "extra"), [(0, "raise", 0), (1, "raise", 1), (1, "clip", 2)]
)
def test_layouts_have_room_for_weight_and_count(weighted: int, overflow: Any, extra: int) -> None:
    encoding = FixedPoint(max_weight=1, overflow=overflow)
    layout = encoding.layout(3, 7, weighted=bool(weighted))
    assert (layout.size, layout.length) == (7, 7 + extra)


@pytest.mark.parametrize("values", [(0, 20), (5, 7), (5, 65), (5, 20.0)])
def test_bad_layouts_are_refused(values: tuple[Any, Any]) -> None:
    with pytest.raises(EncodingError, match="use an integer"):
        RingLayout(*values, weighted=False, counts_clipped=False)


@pytest.mark.parametrize("arguments", [(0, 1), (3, 0), (2.5, 1)])
def test_bad_counts_are_refused(arguments: tuple[Any, Any]) -> None:
    with pytest.raises(EncodingError, match="use an integer at least 1"):
        FixedPoint().layout(*arguments, weighted=False)

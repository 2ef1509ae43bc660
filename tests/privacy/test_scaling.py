"""From clipped vectors to integers: norms, scales, ring widths, noise shares."""

from __future__ import annotations

import math

import pytest

from fedsecure.errors import EncodingError, LocalProtocolError, ThresholdError
from fedsecure.privacy import (
    DistributedEncoding,
    Relation,
    excess_variance,
    guaranteed_variance,
    heuristic_scale,
    least_bits,
    rounded_l1_bound,
    rounded_l2_bound,
    share_variance,
)
from privacy.tables import BETA, DISTRIBUTED, ONE_ROUND, agree


def test_norm_after_rounding() -> None:
    assert rounded_l2_bound(10, BETA, 1024) == pytest.approx(19.544820285692065, rel=1e-15)
    assert rounded_l2_bound(1000, BETA, 2**20) == pytest.approx(1124.1245482596669, rel=1e-15)
    assert rounded_l2_bound(1000, 0, 2**20) == 2024


def test_l1_norm_is_bounded_by_dimension_and_by_integrality() -> None:
    assert rounded_l1_bound(10, 16) == 40
    assert rounded_l1_bound(10, 10**6) == 100


@pytest.mark.parametrize("row", DISTRIBUTED)
def test_scale_and_noise_of_the_published_settings(row: tuple) -> None:
    clients, dimension, _, _, bits, scale, sigma, *_ = row
    encoding = DistributedEncoding(clients, dimension, bits)
    assert agree(encoding.scale(1.0), scale)
    assert agree(encoding.scale(1.0) * encoding.sigma_local(1.0), sigma)


@pytest.mark.parametrize("row", ONE_ROUND)
def test_sensitivity_of_the_published_settings(row: tuple) -> None:
    dimension, bits, beta, delta2, *_ = row
    encoding = DistributedEncoding(100, dimension, bits, clip=0.1, beta=beta, k=3.89059)
    assert agree(encoding.delta2(0.5), delta2)
    if dimension == 2**10:
        assert agree(encoding.scale(0.5), "415.529")


@pytest.mark.parametrize(
    ("clients", "bits"),
    [(10, (12, 15, 19)), (100, (13, 15, 19)), (1000, (15, 16, 19)), (10_000, (19, 19, 19))],
)
def test_narrowest_ring_with_a_hundredth_more_sensitivity(
    clients: int, bits: tuple[int, int, int]
) -> None:
    assert tuple(least_bits(clients, d) for d in (10**4, 10**6, 10**8)) == bits


def test_dropped_shares_are_made_up_for() -> None:
    all_stay = DistributedEncoding(10, 100)
    some_stay = DistributedEncoding(10, 100, noise_shares=6)
    assert some_stay.sigma_local(1.0) ** 2 == pytest.approx(1 / 6)
    assert some_stay.scale(1.0) < all_stay.scale(1.0)
    event = some_stay.skellam(2.0)
    assert event.mu == pytest.approx((2.0 * some_stay.scale(2.0)) ** 2)
    assert some_stay.ddgauss(2.0).num_shares == 6


def test_replacing_has_twice_the_sensitivity() -> None:
    encoding = DistributedEncoding(10, 100)
    zeroed = encoding.skellam(1.0)
    replaced = encoding.skellam(1.0, relation=Relation.REPLACE_ONE)
    assert replaced.delta2 == 2 * zeroed.delta2
    assert replaced.mu == zeroed.mu


def test_variance_of_shares() -> None:
    assert share_variance(12.0, threshold=7, corrupt=3) == 3.0
    assert guaranteed_variance(3.0, threshold=7, corrupt=3) == 12.0
    assert excess_variance(10, threshold=7, corrupt=3) == 2.5
    with pytest.raises(ThresholdError, match="nobody's noise"):
        share_variance(1.0, threshold=3, corrupt=3)
    with pytest.raises(LocalProtocolError, match="survivors"):
        excess_variance(6, threshold=7, corrupt=3)


def test_a_ring_too_narrow_names_the_width_it_takes() -> None:
    with pytest.raises(EncodingError, match="at least 8 bits"):
        DistributedEncoding(2000, 100, bits=7)
    DistributedEncoding(2000, 100, bits=8)


@pytest.mark.parametrize(
    "arguments",
    [
        {"clients": 0},
        {"dimension": 0},
        {"bits": 63},
        {"bits": True},
        {"clip": 0.0},
        {"clip": math.nan},
        {"noise_shares": 0},
        {"noise_shares": 11},
        {"beta": 1.0},
        {"k": -1.0},
    ],
)
def test_refused_encodings(arguments: dict[str, float]) -> None:
    with pytest.raises(LocalProtocolError, match=next(iter(arguments))):
        DistributedEncoding(**{"clients": 10, "dimension": 100, **arguments})


def test_refused_numbers() -> None:
    with pytest.raises(LocalProtocolError, match="sigma_local"):
        heuristic_scale(16, 10, 1.0, 100, -1.0)
    with pytest.raises(LocalProtocolError, match="norm"):
        rounded_l2_bound(-1, 0, 4)
    with pytest.raises(EncodingError, match="62 bits"):
        least_bits(10, 2**40, k=1e16)

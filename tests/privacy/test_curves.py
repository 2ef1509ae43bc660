"""The curves that are ours: against published values, exact laws, and those of the library."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fedsecure.privacy import (
    DDGaussEvent,
    DiscreteLaplaceEvent,
    DistributedEncoding,
    FixedSizeSampling,
    GaussianEvent,
    NoSampling,
    PoissonSampling,
    PrivacyAccountant,
    Relation,
    _curves,
)
from privacy.tables import DISTRIBUTED, ONE_ROUND, agree


def at(curve: object, order: int) -> float:
    return float(curve(np.array([float(order)]))[0])  # type: ignore[operator]


def epsilon(event: object, rounds: int, how: str = "rdp") -> float:
    accountant = PrivacyAccountant(Relation.REPLACE_SPECIAL, accountant=how)  # type: ignore[arg-type]
    accountant.compose(event, rounds)  # type: ignore[arg-type]
    return accountant.get_epsilon(1e-5)


@pytest.mark.parametrize(
    ("shares", "sigma", "expected"),
    [
        (10, 0.5, 2.34532531924677),
        (10, 1, 5.435242581620002e-4),
        (100, 1, 5.47788699060149e-4),
        (1000, 1, 5.731282577500227e-4),
    ],
)
def test_tau(shares: int, sigma: float, expected: float) -> None:
    assert _curves.tau(shares, sigma) == pytest.approx(expected, rel=1e-13)


def test_tau_of_wide_noise_and_of_one_share() -> None:
    assert _curves.tau(10, 2) == pytest.approx(7.157e-17, rel=1e-3)
    assert _curves.tau(1, 0.1) == 0


@pytest.mark.parametrize(
    ("order", "delta1", "delta2", "mu", "expected"),
    [
        (2, 10, 10, 100, 1.009),
        (8, 100, 10, 400, 1.00328125),
        (32, 320, 20, 10000, 0.6400678),
    ],
)
def test_skellam(order: int, delta1: float, delta2: float, mu: float, expected: float) -> None:
    found = at(lambda orders: _curves.skellam(orders, delta1, delta2, mu), order)
    assert found == pytest.approx(expected, rel=1e-12)


def convolved(sigma: float, shares: int) -> np.ndarray:
    """The law of a sum of discrete Gaussians, in the middle of a window that holds it all."""
    x = np.arange(-26, 27)
    one = np.exp(-(x**2) / (2 * sigma**2))
    one /= one.sum()
    law = one
    for _ in range(shares - 1):
        law = np.convolve(law, one)
    return law


@pytest.mark.parametrize(
    ("sigma", "shares", "exact", "bound"),
    [
        (0.5, 4, 4.10952176391, 5.467600395),
        (0.7, 2, 4.08506112668, 4.161011682),
        (1.0, 8, 0.4999999857, 0.5005430918),
    ],
)
def test_ddgauss_bounds_the_exact_divergence(
    sigma: float, shares: int, exact: float, bound: float
) -> None:
    law = convolved(sigma, shares)
    near = slice(len(law) // 2 - 28, len(law) // 2 + 29)
    p, q = np.log(np.roll(law, 1)[near]), np.log(law[near])
    divergence = float(np.logaddexp.reduce(8 * p - 7 * q)) / 7
    event = DDGaussEvent(1.0, 1.0, sigma, shares, 1)
    assert divergence == pytest.approx(exact, rel=1e-8)
    assert at(lambda orders: _curves.ddgauss(orders, event), 8) == pytest.approx(bound, rel=1e-9)
    assert divergence <= bound


@pytest.mark.parametrize("row", DISTRIBUTED)
def test_epsilon_of_distributed_noise(row: tuple) -> None:
    clients, dimension, q, rounds, bits, _, _, ddgauss, skellam, gaussian = row
    encoding = DistributedEncoding(clients, dimension, bits)
    sampling = PoissonSampling(q) if q < 1 else NoSampling()
    assert agree(epsilon(encoding.ddgauss(1.0, sampling), rounds), ddgauss)
    assert agree(epsilon(encoding.skellam(1.0, sampling), rounds), skellam)
    assert agree(epsilon(GaussianEvent(1.0, sampling=sampling), rounds), gaussian)


@pytest.mark.parametrize("row", ONE_ROUND)
def test_epsilon_of_one_round_of_distributed_noise(row: tuple) -> None:
    dimension, bits, beta, _, ddgauss, skellam = row
    encoding = DistributedEncoding(100, dimension, bits, clip=0.1, beta=beta, k=3.89059)
    assert agree(epsilon(encoding.ddgauss(0.5), 1), ddgauss)
    assert agree(epsilon(encoding.skellam(0.5), 1), skellam)


def test_generic_bounds_are_above_those_of_the_gaussian() -> None:
    def base(orders: np.ndarray) -> np.ndarray:
        return orders / (2 * 2.0**2)

    own = GaussianEvent(2.0, sampling=PoissonSampling(0.05))
    fixed = GaussianEvent(2.0, sampling=FixedSizeSampling(1000, 50), relation=Relation.REPLACE_ONE)
    for order, special, drawn in zip(
        _curves.ORDERS, _curves.curve(own), _curves.curve(fixed), strict=True
    ):
        poisson = _curves.poisson(base, 0.05, order)
        without = _curves.fixed_size(base, 0.05, order)
        assert special <= poisson * (1 + 1e-9) <= order / 8 * (1 + 1e-9)
        assert min(drawn, order / 8) <= without * (1 + 1e-9) <= order / 8 * (1 + 1e-9)


def test_fixed_size_bound_at_order_2_by_hand() -> None:
    def base(orders: np.ndarray) -> np.ndarray:
        return orders * 0.1

    expected = math.log(1 + 0.2**2 * min(4 * math.expm1(0.2), 2 * math.exp(0.2)))
    assert _curves.fixed_size(base, 0.2, 2) == pytest.approx(min(0.2, expected), rel=1e-12)


def test_sampling_everybody_is_no_sampling() -> None:
    def base(orders: np.ndarray) -> np.ndarray:
        return orders * 0.1

    assert _curves.poisson(base, 1.0, 7) == _curves.fixed_size(base, 1.0, 7) == pytest.approx(0.7)


@pytest.mark.parametrize(("a", "sensitivity"), [(0.1, 1), (0.5, 3), (2.0, 2)])
@pytest.mark.parametrize("order", [2, 9])
def test_discrete_laplace_is_exact(a: float, sensitivity: int, order: int) -> None:
    k = np.arange(-3000, 3001)
    p, q = -a * np.abs(k), -a * np.abs(k - sensitivity)
    logs = order * p + (1 - order) * q + math.log(math.tanh(a / 2))
    exact = float(np.logaddexp.reduce(logs)) / (order - 1)
    found = at(lambda orders: _curves.discrete_laplace(orders, a, sensitivity), order)
    assert found == pytest.approx(exact, rel=1e-9)


def test_laplace_is_that_of_the_library() -> None:
    from fedsecure.privacy import LaplaceEvent

    theirs = _curves.curve(LaplaceEvent(0.7))
    ours = _curves.laplace(np.array(_curves.ORDERS, np.float64), 1 / 0.7)
    assert ours == pytest.approx(np.array(theirs), rel=1e-12)


def test_pure_is_that_of_randomized_response() -> None:
    kept, flipped = math.e / (1 + math.e), 1 / (1 + math.e)
    exact = math.log(kept**4 * flipped**-3 + flipped**4 * kept**-3) / 3
    assert at(lambda orders: _curves.pure(orders, 1.0), 4) == pytest.approx(exact, rel=1e-12)
    assert at(lambda orders: _curves.pure(orders, 900.0), 4) <= 900


@pytest.mark.parametrize(
    ("a", "zero", "variance"),
    [
        (0.1, 0.049958374958, 199.833416633609),
        (0.5, 0.244918662404, 7.835396178066),
        (1, 0.462117157260, 1.841347188416),
        (2, 0.761594155956, 0.362030830483),
    ],
)
def test_geometric_law(a: float, zero: float, variance: float) -> None:
    event = DiscreteLaplaceEvent(a)
    assert event.probability_of_zero == pytest.approx(zero, abs=1e-12)
    assert event.variance == pytest.approx(variance, abs=1e-11)


def test_orders_are_integers() -> None:
    assert all(type(order) is int and order >= 2 for order in _curves.ORDERS)
    assert {*range(2, 129), 256} <= set(_curves.ORDERS)

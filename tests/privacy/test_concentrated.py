"""zCDP, against the values of those who wrote it down, and against other accountants."""

from __future__ import annotations

import math

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from fedsecure.errors import LocalProtocolError
from fedsecure.privacy import (
    DDGaussEvent,
    GaussianEvent,
    NoSampling,
    PoissonSampling,
    PrivacyAccountant,
    Relation,
    _curves,
    zcdp_epsilon,
    zcdp_rho,
)
from privacy.tables import BY_PRV, CONCENTRATED, OLDER_CONVERSION, SAMPLED_GAUSSIAN, agree


@pytest.mark.parametrize(("rho", "delta", "epsilon"), CONCENTRATED)
def test_published_values(rho: float, delta: float, epsilon: float) -> None:
    assert zcdp_epsilon(rho, delta) == pytest.approx(epsilon, abs=1e-9)
    assert zcdp_rho(epsilon, delta) == pytest.approx(rho, rel=1e-8)
    assert zcdp_epsilon(rho, delta) < rho + 2 * math.sqrt(-rho * math.log(delta))


def test_the_inverse_and_the_naive_bound() -> None:
    assert zcdp_rho(1, 1e-5) == pytest.approx(0.03055659519763956, rel=1e-12)
    assert 0.5 + 2 * math.sqrt(-0.5 * math.log(1e-5)) == pytest.approx(5.298525912)


@settings(deadline=None, max_examples=50)
@given(st.floats(1e-6, 1e3), st.floats(1e-12, 0.5))
def test_there_and_back(epsilon: float, delta: float) -> None:
    rho = zcdp_rho(epsilon, delta)
    assert zcdp_epsilon(rho, delta) <= epsilon
    assert zcdp_epsilon(rho * 1.001, delta) > epsilon


@pytest.mark.parametrize(("z", "rounds"), [(1.0, 1), (3.0, 20), (10.0, 5)])
def test_gaussian_noise_costs_what_its_rho_says(z: float, rounds: int) -> None:
    exact = zcdp_epsilon(rounds / (2 * z**2), 1e-5)
    for how in ("rdp", "pld"):
        accountant = PrivacyAccountant(Relation.REPLACE_SPECIAL, accountant=how)  # type: ignore[arg-type]
        accountant.compose(GaussianEvent(z), rounds)
        found = accountant.get_epsilon(1e-5)
        assert (exact <= found * (1 + 1e-9)) == (how == "rdp")
        assert found == pytest.approx(exact, rel=0.15)


@pytest.mark.parametrize("arguments", [(0.0, 0.1), (1.0, 0.0), (1.0, 1.0), (math.nan, 0.1)])
def test_refusals(arguments: tuple[float, float]) -> None:
    for function in (zcdp_epsilon, zcdp_rho):
        with pytest.raises(LocalProtocolError):
            function(*arguments)


@pytest.mark.parametrize(("row", "prv"), list(zip(SAMPLED_GAUSSIAN[:6], BY_PRV, strict=True)))
def test_loss_distributions_agree_with_the_prv_accountant(row: tuple, prv: float) -> None:
    q, z, rounds, delta, *_ = row
    accountant = PrivacyAccountant(Relation.ADD_OR_REMOVE_ONE)
    sampling = PoissonSampling(q) if q < 1 else NoSampling()
    event = GaussianEvent(z, sampling=sampling, relation=Relation.ADD_OR_REMOVE_ONE)
    accountant.compose(event, rounds)
    assert accountant.get_epsilon(delta) == pytest.approx(prv, abs=0.01)


@pytest.mark.parametrize(("row", "older"), OLDER_CONVERSION)
def test_our_curves_give_the_published_epsilons_by_the_older_conversion(
    row: tuple, older: str
) -> None:
    import dp_accounting as library

    q, z, rounds, delta, *_ = row
    orders = [1 + n / 10 for n in range(1, 100)] + list(range(12, 64))
    accountant = library.rdp.RdpAccountant(orders)
    accountant.compose(library.PoissonSampledDpEvent(q, library.GaussianDpEvent(z)), rounds)
    theirs = min(
        rdp - math.log(delta) / (order - 1)
        for order, rdp in zip(orders, accountant._rdp, strict=True)
    )
    assert agree(theirs, older)
    curve = _curves.curve(GaussianEvent(z, sampling=PoissonSampling(q)))
    ours = min(
        rounds * rdp - math.log(delta) / (order - 1)
        for order, rdp in zip(_curves.ORDERS, curve, strict=True)
    )
    assert theirs * (1 - 1e-6) <= ours <= 1.01 * theirs


def test_one_share_is_a_discrete_gaussian() -> None:
    """By the library's exact loss distribution, whose epsilon for this one is published."""
    from dp_accounting.pld import privacy_loss_distribution as made

    sigma = 3.730631634816464
    exact = made.from_discrete_gaussian_mechanism(sigma, 1).get_epsilon_for_delta(1e-5)
    assert exact == pytest.approx(1.00266, abs=1e-5)
    accountant = PrivacyAccountant(Relation.REPLACE_SPECIAL)
    accountant.compose(DDGaussEvent(1.0, 1.0, sigma, 1, 1))
    assert exact < accountant.get_epsilon(1e-5) < 1.15 * exact

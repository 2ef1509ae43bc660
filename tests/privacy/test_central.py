"""The noise of a trusted server: discrete on a grid, as private as the continuous one."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from core import exact_laws
from fedsecure.primitives import entropy
from fedsecure.privacy import CentralGaussian, Plan

PUBLIC = bytes(32)


def released(plan: Plan, total: np.ndarray) -> np.ndarray:
    decoded = plan.decode(total, num_contributors=1, public_seed=PUBLIC, dtype=np.float64)
    return np.asarray(decoded.values)


def smoothed(variance: float, extra: float, reach: int) -> np.ndarray:
    """The law of a continuous Gaussian of variance - extra, rounded by a discrete one of extra.

    By the trapezoidal rule, whose error for analytic functions is far below what is compared.
    """
    step = 1 / 64
    y = np.arange(-reach * 8, reach * 8 + step, step)
    density = np.exp(-(y**2) / (2 * (variance - extra)))
    near = np.round(y)
    totals = sum(np.exp(-((near + k - y) ** 2) / (2 * extra)) for k in range(-40, 41))
    chances = np.array(
        [(density * np.exp(-((k - y) ** 2) / (2 * extra)) / totals).sum() for k in range(reach)]
    )
    return chances * step / math.sqrt(2 * math.pi * (variance - extra))


def off(variance: float, extra: float) -> float:
    """By which factor the law is off at most, minus 1, within five standard deviations."""
    reach = int(5 * math.sqrt(variance))
    law = exact_laws.gaussian(Fraction(variance))
    exact = np.array([law(k) for k in range(reach)], np.float64)
    return float(np.abs(smoothed(variance, extra, reach) / exact - 1).max())


@pytest.mark.parametrize(("variance", "extra"), [(4.0, 0.1), (9.0, 0.2), (30.0, 0.5), (5.0, 1.0)])
def test_discrete_noise_is_continuous_noise_rounded_at_random(
    variance: float, extra: float
) -> None:
    """What the accounting rests on, where the bound is not yet far below a float's precision."""
    assert off(variance, extra) <= 4 * math.exp(-2 * math.pi**2 * extra)


def test_without_that_rounding_the_laws_differ() -> None:
    assert off(4.0, 0.02) > 0.1 > 50 * off(4.0, 0.2)


@settings(deadline=None, max_examples=60)
@given(
    clients=st.integers(1, 10**6),
    size=st.integers(1, 10**9),
    z=st.floats(0.01, 100),
    weighted=st.booleans(),
)
def test_noise_is_what_the_event_says(clients: int, size: int, z: float, weighted: bool) -> None:
    plan = CentralGaussian(0.7, z, max_weight=3.0).plan(
        clients=clients, size=size, weighted=weighted
    )
    law: Any = plan.central
    needed = (Fraction(z) * Fraction(plan.delta2) * 2**plan.shift) ** 2 + 9
    assert needed <= law.sigma_squared <= needed * (1 + Fraction(1, 10**10)) + 1
    assert law.sigma_squared >= 2**38  # a grid much finer than the noise
    assert plan.delta2 <= 1.001 * plan.scale * plan.joint.norm
    # No honest sum wraps around, and none passes 64 bits with its noise.
    most = clients * math.floor(plan.delta2)
    assert 2 * most < 2**plan.bits
    assert (most << plan.shift) + 50 * math.isqrt(law.sigma_squared.__ceil__()) < 2**63


@pytest.mark.parametrize("z", [0.01, 1.0, 50.0])
def test_the_noise_is_gaussian_and_on_the_grid(z: float) -> None:
    size = 70_000
    plan = CentralGaussian(0.5, z).plan(clients=1, size=size)
    total = np.zeros(size, plan.layout.dtype)
    noise = released(plan, total)
    steps = noise * plan.scale * 2.0**plan.shift
    np.testing.assert_allclose(steps, np.round(steps), rtol=0, atol=1e-3)
    assert noise.std() == pytest.approx(plan.sigma, rel=0.02)
    ranks = np.linspace(0, size - 1, 2001).astype(int)
    normal = [0.5 * math.erfc(-x / plan.sigma / math.sqrt(2)) for x in np.sort(noise)[ranks]]
    assert np.abs(ranks / size - normal).max() * math.sqrt(size) < 2.7
    assert (released(plan, total) != noise).any()


def test_noise_comes_from_the_operating_system_and_leaves_the_sum_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = CentralGaussian(0.5, 1.0).plan(clients=3, size=1000)
    total = np.arange(1000).astype(plan.layout.dtype)
    monkeypatch.setattr(entropy, "_system", bytes)
    one, other = released(plan, total), released(plan, total)
    np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(total, np.arange(1000))
    # The same noise again, on another sum: their difference is exact.
    nothing = released(plan, np.zeros_like(total))
    np.testing.assert_allclose((one - nothing) * plan.scale, np.arange(1000), rtol=0, atol=1e-6)

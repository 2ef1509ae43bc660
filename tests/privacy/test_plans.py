"""Plans: what clients make of their updates, and what the sum says."""

from __future__ import annotations

import numpy as np
import pytest

from fedsecure.privacy import (
    AdaptiveClip,
    CentralGaussian,
    DistributedDiscreteGaussian,
    DistributedSkellam,
    VectorMechanism,
)

PUBLIC = bytes(range(32))
KINDS = [DistributedSkellam, DistributedDiscreteGaussian, CentralGaussian]


def seed_of(client: int) -> bytes:
    return client.to_bytes(24, "little")


@pytest.mark.parametrize("adaptive", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_the_mean_is_right_but_for_the_noise(
    kind: type[VectorMechanism], weighted: bool, adaptive: bool
) -> None:
    rng = np.random.default_rng(1)
    mechanism = kind(
        2.0,
        0.01,
        max_weight=10 if weighted else None,
        adaptive=AdaptiveClip(2.0) if adaptive else None,
    )
    plan = mechanism.plan(clients=40, size=1000, noise_shares=25, weighted=weighted)
    total = np.zeros(plan.layout.length, plan.layout.dtype)
    exact, weights, within = np.zeros(1000), 0.0, 0
    for client in range(40):
        update = rng.normal(size=1000).astype(np.float32) * rng.uniform(0.03, 0.1)
        weight = float(rng.uniform(1, 10)) if weighted else None
        contribution = plan.contribution(
            [update[:300], update[300:]],
            ["a", "b"],
            weight=weight,
            seed=seed_of(client),
            public_seed=PUBLIC,
        )
        total += contribution.encode(0, plan.layout.length)
        norm = np.linalg.norm(update.astype(float))
        exact += update * min(1, 2 / norm) * (weight or 1.0)
        weights += weight or 1.0
        within += bool(norm <= 2)
    decoded = plan.decode(total, num_contributors=40, public_seed=PUBLIC, dtype=np.float64)
    sigma = plan.sigma * np.sqrt(40 / 25) / weights * (10 if weighted else 1)
    error = decoded.values - exact / weights * (weights / decoded.total_weight)
    assert np.std(error) < 1.3 * sigma
    assert decoded.total_weight == pytest.approx(weights, rel=0.02)
    if adaptive:
        assert decoded.within == pytest.approx(within / 40, abs=5 * 0.05 * np.sqrt(40 / 25))
    else:
        assert decoded.within is None

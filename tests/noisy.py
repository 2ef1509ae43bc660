"""Updates, and what a plan makes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fedsecure._prg import Prg
from fedsecure.privacy import CentralGaussian, DistributedDiscreteGaussian, DistributedSkellam

if TYPE_CHECKING:
    from fedsecure.privacy import Plan
    from fedsecure.privacy.contributions import NoisyContribution

PUBLIC = bytes(range(32))
DISTRIBUTED = [DistributedSkellam, DistributedDiscreteGaussian]
KINDS = [*DISTRIBUTED, CentralGaussian]


def seed_of(client: int, prg: Prg = Prg.AES128) -> bytes:
    return client.to_bytes(prg.seed_bytes, "little")


def contribute(
    plan: Plan,
    update: np.ndarray,
    client: int = 0,
    weight: float | None = None,
    prg: Prg = Prg.AES128,
) -> NoisyContribution:
    half = update.size // 2
    return plan.contribution(
        [update[:half], update[half:]],
        ["a", "b"],
        weight=weight,
        seed=seed_of(client, prg),
        public_seed=PUBLIC,
        prg=prg,
    )


def updates(clients: int, size: int, norm: float = 1.0) -> list[np.ndarray]:
    rng = np.random.default_rng(clients + size)
    made = [rng.normal(size=size) for _ in range(clients)]
    return [x * (norm * rng.uniform(0.5, 2) / np.linalg.norm(x)) for x in made]

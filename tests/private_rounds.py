"""Private runs for tests: six clients, a step of each in a direction of its own."""

from __future__ import annotations

from typing import Any

import numpy as np

import fedsecure as fs
from fedsecure.privacy import (
    CentralGaussian,
    DistributedDiscreteGaussian,
    DistributedSkellam,
    PrivacyAccountant,
    Relation,
)
from fedsecure.testing import PlaintextSum

SKELLAM = DistributedSkellam(1.0, 1.0)
KINDS = [DistributedSkellam, DistributedDiscreteGaussian, CentralGaussian]
CLIENTS = [float(name) for name in range(6)]
SIZE = 64
PLAIN = PlaintextSum(min_inputs=4)


def step(params: Any, data: float) -> tuple[Any, int]:
    """A step of length 2 at most, in a direction of the client's own."""
    params["m"][int(data)] += 2.0
    return params, 3


def start() -> dict[str, np.ndarray]:
    return {"m": np.zeros(SIZE)}


def budget(epsilon: float = 100.0, **options: Any) -> PrivacyAccountant:
    relation = options.pop("relation", Relation.REPLACE_SPECIAL)
    return PrivacyAccountant(relation, epsilon=epsilon, delta=1e-5, **options)


def spent(accountant: PrivacyAccountant) -> int:
    return sum(accountant.ledger.values())


def averaging(train: Any = step, **options: Any) -> fs.FederatedAlgorithm:
    given = {"privacy": SKELLAM, "weighted": False, "protocol": PLAIN, **options}
    return fs.federated_averaging(train, **given)

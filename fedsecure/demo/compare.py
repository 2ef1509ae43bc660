"""Averages the same updates securely and in the clear, and holds the two against each other."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fedsecure.aggregate import secure_aggregate
from fedsecure.demo.errors import DemoError
from fedsecure.encoding import FixedPoint
from fedsecure.protocols.base import Aggregate, Protocol
from fedsecure.protocols.masking import PairwiseMasking
from fedsecure.pytree import flatten

__all__ = ["Comparison", "SideBySide", "insecure_plain_average", "worst_case"]


def insecure_plain_average(updates: Sequence[Any], *, weights: Sequence[float]) -> Aggregate:
    """Returns the weighted mean in float64, from updates that whoever runs this can read.

    No protection at all: what plain FedAvg does, here to compare with. `updates` are pytrees of one
    structure; the weights are > 0.
    """
    total = float(sum(weights))
    mean: Any = 0.0
    for update, weight in zip(updates, weights, strict=True):
        leaves, spec = flatten(update)
        mean = mean + (weight / total) * np.concatenate(leaves, dtype=np.float64)
    return Aggregate(
        mean=spec.unflatten(mean),
        total_weight=total,
        contributors=tuple(range(len(updates))),
        dropouts=(),
    )


@dataclass(frozen=True)
class Comparison:
    """One round, averaged both ways.

    Attributes:
        seconds: wall time of the secure aggregation, every party in this process.
        steps: largest difference between the two means, in quantisation steps of the encoding.
    """

    seconds: float
    steps: float


def worst_case(rounds: Sequence[Comparison]) -> dict[str, float]:
    """Returns the seconds of all rounds together, and the largest difference in any of them."""
    return {
        "secure_seconds": sum(each.seconds for each in rounds),
        "largest_difference_steps": max(each.steps for each in rounds),
    }


class SideBySide:
    """An aggregator: answers with the secure mean, remembers how far from the plain one it was.

    Attributes:
        encoding: how updates become integers.
        protocol: how the sum is protected.
        rounds: one `Comparison` per call so far.
    """

    def __init__(self, encoding: FixedPoint, protocol: Protocol | None = None) -> None:
        self.encoding = encoding
        self.protocol = PairwiseMasking() if protocol is None else protocol
        self.rounds: list[Comparison] = []

    def __call__(self, updates: Sequence[Any], *, weights: Sequence[float]) -> Aggregate:
        """Returns the secure mean of the updates.

        Raises:
            DemoError: it is further than one quantisation step from the mean in the clear.
        """
        started = time.perf_counter()
        secure = secure_aggregate(
            updates, weights=weights, protocol=self.protocol, encoding=self.encoding
        )
        seconds = time.perf_counter() - started
        plain = insecure_plain_average(updates, weights=weights)
        steps = largest_difference(secure.mean, plain.mean) / self.encoding.step
        if not steps <= 1.0:
            raise DemoError(
                f"round {len(self.rounds) + 1}: the secure mean is {steps:.3g} quantisation steps "
                "from the plain mean, and may be 1 at most: please report this with the version of "
                "fedsecure"
            )
        self.rounds.append(Comparison(seconds, steps))
        return secure


def largest_difference(first: Any, second: Any) -> float:
    """Returns the largest absolute difference between two pytrees of one structure.

    A NaN anywhere makes it NaN: numpy's maximum keeps it, Python's may lose it.
    """
    pairs = zip(flatten(first)[0], flatten(second)[0], strict=True)
    return float(np.max([np.max(np.abs(one - other)) for one, other in pairs]))

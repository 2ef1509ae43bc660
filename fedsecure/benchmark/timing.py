"""Times of several functions in turn: what disturbs the machine then disturbs all of them."""

from __future__ import annotations

import os
import statistics
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

__all__ = ["Times", "in_turn", "on_threads", "spread"]

_THREADS = "FEDSECURE_THREADS"


@dataclass(frozen=True)
class Times:
    """How long one function took, each time.

    Attributes:
        cpu: Seconds of processor, all threads together, kernel included.
        wall: Seconds on the clock.
    """

    cpu: Sequence[float]
    wall: Sequence[float]

    @property
    def median(self) -> float:
        """Median of the seconds of processor, which other programs disturb less."""
        return statistics.median(self.cpu)

    @property
    def wall_least(self) -> float:
        """Least of the seconds on the clock: all that other programs do is to add to them."""
        return min(self.wall)

    @property
    def spread(self) -> float:
        """Of the seconds of processor; see `spread`."""
        return spread(self.cpu)


def in_turn(
    functions: Mapping[str, Callable[[], object]], repeats: int, *, warm: bool = True
) -> dict[str, Times]:
    """Returns the times of all functions, each called `repeats` times, in turn.

    Args:
        functions: What to call, by name.
        repeats: How often, >= 1.
        warm: Whether all are called once before, untimed.
    """
    found: dict[str, Times] = {name: Times([], []) for name in functions}
    for turn in range(-1 if warm else 0, repeats):
        for name, function in functions.items():
            cpu, wall = time.process_time(), time.perf_counter()
            function()
            took = time.process_time() - cpu, time.perf_counter() - wall
            if turn >= 0:
                found[name] = Times([*found[name].cpu, took[0]], [*found[name].wall, took[1]])
    return found


def spread(seconds: Sequence[float]) -> float:
    """Returns interquartile range over median; 0 for less than two times."""
    if len(seconds) < 2:
        return 0.0
    low, middle, high = statistics.quantiles(seconds, n=4, method="inclusive")
    return (high - low) / middle if middle else 0.0


@contextmanager
def on_threads(count: int) -> Iterator[None]:
    """Holds fedsecure to so many threads inside the ``with``; 0 stands for all cores."""
    before = os.environ.get(_THREADS)
    os.environ[_THREADS] = str(count)
    try:
        yield
    finally:
        if before is None:
            del os.environ[_THREADS]
        else:
            os.environ[_THREADS] = before

"""Four ways: each organisation alone, all rows in one place, plain FedAvg and secure FedAvg.

All four train the same model for as many rounds, and are tried on the same rows: the test rows of
all organisations together. What matters to an organisation is whether its own customers, patients
or flights are predicted better than by what it learns alone, so that is compared as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

import fedsecure as fs
from fedsecure.demo.compare import Comparison, SideBySide, insecure_plain_average
from fedsecure.fedavg import Aggregator

from .models import Measure, Model, Params
from .rows import Organisation, Rows, pooled

__all__ = ["Outcome", "Own", "compare"]

Curve = dict[str, list[float]]
"""The value of each measure after each round."""

Tick = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Own:
    """One organisation's own test rows, by the first measure.

    Attributes:
        name: whose they are.
        train_rows: how many rows it learns from.
        test_rows: how many rows this is measured on.
        alone: what it reaches without the others.
        secure: what secure FedAvg reaches.
    """

    name: str
    train_rows: int
    test_rows: int
    alone: float
    secure: float


@dataclass(frozen=True)
class Outcome:
    """What the four ways reached.

    Attributes:
        measures: names of the measures, the most important first.
        nothing: each measure of the untrained model.
        alone: a curve for each organisation.
        central: the curve of all rows in one place.
        plain: the curve of plain FedAvg.
        secure: the curve of secure FedAvg.
        own: every organisation's own test rows, the largest organisation first.
        comparisons: secure against plain mean of the same updates, round by round.
        step: the quantisation step.
    """

    measures: tuple[str, ...]
    nothing: dict[str, float]
    alone: tuple[Curve, ...]
    central: Curve
    plain: Curve
    secure: Curve
    own: tuple[Own, ...]
    comparisons: tuple[Comparison, ...]
    step: float

    def alone_mean(self, measure: str) -> list[float]:
        """Returns the mean over the organisations, round by round."""
        return [float(np.mean(values)) for values in self.alone_by_round(measure)]

    def alone_by_round(self, measure: str) -> list[tuple[float, ...]]:
        """Returns each round's values of all organisations."""
        return list(zip(*(curve[measure] for curve in self.alone), strict=True))


def compare(
    organisations: Sequence[Organisation],
    model: Model,
    measures: Mapping[str, Measure],
    *,
    rounds: int,
    aggregate: SideBySide | None = None,
) -> Outcome:
    """Returns what each way reaches, and shows a bar while it works.

    Args:
        organisations: at least 3.
        model: what they train.
        measures: how models are judged, the most important first.
        rounds: rounds of federated averaging; of training, where nothing is averaged.
        aggregate: how the sum is protected, and held against the plain one; by default pairwise
            masks.

    Raises:
        DemoError: secure and plain mean of one round are more than a quantisation step apart.
    """
    bench = _Bench(model, measures, pooled([o.test for o in organisations]), rounds)
    train = [o.train for o in organisations]
    aggregate = SideBySide(fs.FixedPoint()) if aggregate is None else aggregate
    with _bars() as tick:
        alone = []
        for done, rows in enumerate(train):
            alone.append(bench.alone(rows, _quiet))
            tick("each organisation alone", done + 1, len(train))
        central, _ = bench.alone(pooled(train), _named(tick, "all rows in one place"))
        plain, _ = bench.federated(train, insecure_plain_average, _named(tick, "plain FedAvg"))
        secure, model_found = bench.federated(train, aggregate, _named(tick, "secure FedAvg"))
    first = next(iter(measures))
    return Outcome(
        measures=tuple(measures),
        nothing=bench.values(model.initial(bench.test.features.shape[1]), bench.test),
        alone=tuple(curve for curve, _ in alone),
        central=central,
        plain=plain,
        secure=secure,
        own=tuple(
            Own(
                o.name,
                len(o.train),
                len(o.test),
                bench.values(lonely, o.test)[first],
                bench.values(model_found, o.test)[first],
            )
            for o, (_, lonely) in zip(organisations, alone, strict=True)
        ),
        comparisons=tuple(aggregate.rounds),
        step=aggregate.encoding.step,
    )


@dataclass(frozen=True)
class _Bench:
    model: Model
    measures: Mapping[str, Measure]
    test: Rows
    rounds: int

    def values(self, params: Params, rows: Rows) -> dict[str, float]:
        if not len(rows):
            return dict.fromkeys(self.measures, math.nan)
        scores = self.model.scores(params, rows.features)
        return {name: measure(scores, rows.target) for name, measure in self.measures.items()}

    def alone(self, rows: Rows, tick: Callable[[int, int], None]) -> tuple[Curve, Params]:
        params = self.model.initial(rows.features.shape[1])
        curve: Curve = {name: [] for name in self.measures}
        for done in range(self.rounds):
            params = self.model.train(params, rows)
            self._note(curve, params)
            tick(done + 1, self.rounds)
        return curve, params

    def federated(
        self, clients: Sequence[Rows], aggregate: Aggregator, tick: Callable[[int, int], None]
    ) -> tuple[Curve, Params]:
        def client_update(params: Params, rows: Rows) -> tuple[Params, int]:
            return self.model.train(params, rows), len(rows)

        algorithm = fs.federated_averaging(client_update, aggregate=aggregate)
        state = algorithm.init(self.model.initial(clients[0].features.shape[1]))
        curve: Curve = {name: [] for name in self.measures}
        for done in range(self.rounds):
            state, _ = algorithm.apply(state, clients)
            self._note(curve, state.params)
            tick(done + 1, self.rounds)
        return curve, state.params

    def _note(self, curve: Curve, params: Params) -> None:
        for name, value in self.values(params, self.test).items():
            curve[name].append(value)


def _quiet(done: int, total: int) -> None:
    del done, total


def _named(tick: Tick, name: str) -> Callable[[int, int], None]:
    return lambda done, total: tick(name, done, total)


@contextmanager
def _bars() -> Iterator[Tick]:
    """Gives a function that moves one bar for each way, where `rich` is installed."""
    try:
        from rich import progress  # noqa: PLC0415  (optional at run time)
    except ImportError:
        yield lambda name, done, total: print(f"  {name}") if done == total else None
        return
    columns: tuple[Any, ...] = (
        progress.TextColumn("  {task.description:<24}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(),
    )
    with progress.Progress(*columns) as bar:
        tasks: dict[str, progress.TaskID] = {}

        def tick(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(name, total=total)
            bar.update(tasks[name], completed=done)

        yield tick

"""Demo (a): participants fit one straight line without showing each other their points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fedsecure._report import Report
from fedsecure.demo.compare import (
    Comparison,
    SideBySide,
    insecure_plain_average,
    worst_case,
)
from fedsecure.demo.errors import DemoError
from fedsecure.demo.models import Params, initial_line, predict_line, train_line
from fedsecure.demo.plot import draw_linear, write_csv
from fedsecure.encoding import FixedPoint
from fedsecure.errors import ThresholdError
from fedsecure.fedavg import Aggregator, federated_averaging

__all__ = ["LinearResult", "run_linear"]

Floats = npt.NDArray[np.float64]
Points = tuple[Floats, Floats]

RATE = 0.01
LOCAL_STEPS = 50
ROUNDS = 100
ASKED_X = 6.0
TRUE_Y = 3.5
TWO = ("A has x = 1, 2, 3", "B has x = 4, 5")
SHOWN = (1, 2, 5, 10, 20, 50)


@dataclass(frozen=True)
class LinearResult:
    """What the demo found, one entry per round.

    Attributes:
        one_step: prediction at 6 with one local step a round.
        plain: the same with `LOCAL_STEPS` local steps, averaged in the clear.
        secure: the same, averaged securely.
        comparisons: the two means of each round, held against each other.
        refusal: why the library would not average two participants.
        params: the line that secure federated averaging found.
    """

    one_step: tuple[float, ...]
    plain: tuple[float, ...]
    secure: tuple[float, ...]
    comparisons: tuple[Comparison, ...]
    refusal: str
    params: Params

    def summary(self) -> dict[str, Any]:
        """Returns the figures at the end."""
        return {
            "rounds": len(self.secure),
            "slope": float(self.params["slope"][0]),
            "intercept": float(self.params["intercept"][0]),
            "asked_x": ASKED_X,
            "true_y": TRUE_Y,
            "prediction": {
                "one_local_step": self.one_step[-1],
                "plain": self.plain[-1],
                "secure": self.secure[-1],
            },
            **worst_case(self.comparisons),
        }


def points(*xs: float) -> Points:
    """Returns points of the line through (1, 1), (2, 1.5), (3, 2), (4, 2.5), (5, 3)."""
    x = np.array(xs, dtype=np.float64)
    return x, 0.5 * x + 0.5


def run_linear(report: Report, out: Path, *, rounds: int = ROUNDS) -> LinearResult:
    """Runs the demo, prints it, and writes linear.csv and linear.png to `out`.

    Raises:
        DemoError: two participants were not refused, or secure and plain means disagree.
    """
    report.heading("Demo (a): one line through everybody's points")
    report.say(
        "The points are x = 1..5, y = 1, 1.5, 2, 2.5, 3; at x = 6 the line has y = 3.5. "
        "Nobody shows points; participants send what local training changed in slope and intercept."
    )
    refusal = _two_participants(report)
    report.say(
        "So C joins, and the five points spread over three: A has x = 1, 2; B has x = 3, 4; "
        "C has x = 5."
    )
    clients = [points(1, 2), points(3, 4), points(5)]
    secure_mean = SideBySide(FixedPoint())
    secure, params = _predictions(clients, secure_mean, LOCAL_STEPS, rounds)
    plain, _ = _predictions(clients, insecure_plain_average, LOCAL_STEPS, rounds)
    one_step, _ = _predictions(clients, insecure_plain_average, 1, rounds)
    result = LinearResult(one_step, plain, secure, tuple(secure_mean.rounds), refusal, params)
    _print_rounds(report, result)
    _print_end(report, result)
    columns = {"one_local_step": one_step, "plain_fedavg": plain, "secure_fedavg": secure}
    report.lines(f"written: {write_csv(out / 'linear.csv', columns)}")
    draw_linear(report, out / "linear.png", columns, truth=TRUE_Y, local_steps=LOCAL_STEPS)
    return result


def _trainer(steps: int) -> Callable[[Params, Points], tuple[Params, int]]:
    def client_update(params: Params, data: Points) -> tuple[Params, int]:
        x, y = data
        return train_line(params, x, y, steps=steps, rate=RATE), len(x)

    return client_update


def _two_participants(report: Report) -> str:
    report.say(f"First A and B alone: {TWO[0]}, {TWO[1]}.")
    algorithm = federated_averaging(_trainer(LOCAL_STEPS))
    try:
        algorithm.apply(algorithm.init(initial_line()), [points(1, 2, 3), points(4, 5)])
    except ThresholdError as refused:
        report.say("The library refuses, in its own words:")
        report.quote(f"ThresholdError: {refused}")
        return str(refused)
    raise DemoError(
        "secure_aggregate averaged two participants; it has to refuse, please report this"
    )


def _predictions(
    clients: list[Points], aggregate: Aggregator, steps: int, rounds: int
) -> tuple[tuple[float, ...], Params]:
    algorithm = federated_averaging(_trainer(steps), aggregate=aggregate)
    state = algorithm.init(initial_line())
    predictions = []
    for _ in range(rounds):
        state, _ = algorithm.apply(state, clients)
        predictions.append(predict_line(state.params, ASKED_X))
    return tuple(predictions), state.params


def _print_rounds(report: Report, result: LinearResult) -> None:
    rounds = len(result.secure)
    shown = sorted({*(number for number in SHOWN if number < rounds), rounds})
    report.table(
        f"Prediction at x = 6 (true: {TRUE_Y}), learning rate {RATE}",
        (
            "round",
            "1 local step,\nplain",
            f"{LOCAL_STEPS} local steps,\nplain",
            f"{LOCAL_STEPS} local steps,\nsecure",
            "difference,\nquant. steps",
            "seconds,\nsecure",
        ),
        [
            (
                str(number),
                f"{result.one_step[number - 1]:.4f}",
                f"{result.plain[number - 1]:.4f}",
                f"{result.secure[number - 1]:.4f}",
                f"{result.comparisons[number - 1].steps:.3f}",
                f"{result.comparisons[number - 1].seconds:.4f}",
            )
            for number in shown
        ],
    )


def _print_end(report: Report, result: LinearResult) -> None:
    rounds = len(result.secure)
    slope, intercept = (float(result.params[name][0]) for name in ("slope", "intercept"))
    worst = max(comparison.steps for comparison in result.comparisons)
    report.say(
        f"After {rounds} rounds: y = {slope:.4f} x + {intercept:.4f}, so "
        f"{result.secure[-1]:.4f} at x = 6, {abs(result.secure[-1] - TRUE_Y):.2g} from the truth. "
        f"With one local step a round instead of {LOCAL_STEPS}, which is plain gradient descent, "
        f"it is still {result.one_step[-1]:.2f}, {abs(result.one_step[-1] - TRUE_Y):.2g} from it. "
        f"Largest difference between secure and plain mean of the same updates: {worst:.3f} "
        "quantisation steps."
    )

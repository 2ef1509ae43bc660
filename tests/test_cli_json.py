"""What every command teaches, and says to other programs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import fedsecure
from fedsecure import benchmark, calibrate, cli
from fedsecure._cli_text import COMMANDS
from fedsecure._report import busy
from fedsecure.benchmark import Row
from fedsecure.cli import main

ROWS = [Row("a", 1.5, "ms", 3.0, 2.0, "beside b", 0.01), Row("c", None, "s", None, None, "absent")]


def asked(capsys: pytest.CaptureFixture[str], *words: object) -> Any:
    assert main([*map(str, words), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def helped(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as stopped:
        main([*words, "--help"])
    assert stopped.value.code == 0
    return capsys.readouterr().out


def test_help_says_commands_and_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    text = helped(capsys)
    for name in ("demo", "params", "calibrate", "keys", "bench", "info"):
        assert re.search(rf"^    {name}\b", text, re.MULTILINE)
    for code, words in ((0, "done"), (1, "refused"), (2, "unusable command line")):
        assert re.search(rf"^  {code}  {words}", text, re.MULTILINE)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_teaches_and_gives_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = " ".join(helped(capsys, name).split())
    words = COMMANDS[name]
    assert words.teaches in text
    assert f"example: {words.example}" in text
    assert len(words.teaches) > 150


@pytest.mark.parametrize("action", ["identity", "paillier", "show"])
def test_help_of_keys(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = helped(capsys, "keys", action)
    assert "--password-file" in text
    assert "--json" in text


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_examples_of_help_are_usable(name: str) -> None:
    for example in COMMANDS[name].example.split(";"):
        words = example.partition(">")[0].split()
        arguments = cli._parser().parse_args(words[words.index("fedsecure") + 1 :])
        assert arguments.command == name


def test_params(capsys: pytest.CaptureFixture[str]) -> None:
    found = asked(capsys, "params", "--clients", 1000, "--corrupt", 0.1, "--dropout", 0.1)
    assert (found["neighbors"], found["threshold"], found["survivors"]) == (48, 28, 900)
    assert found["asked"]["clients"] == 1000
    bounds = found["failure_at_most"]
    assert bounds["exposed"] + bounds["divided"] < 2.0**-40
    assert bounds["lost"] < 2.0**-20
    assert found["python"].startswith("PairwiseMasking(adversary=")


def test_calibrate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibrate, "_SHOWN_ROUNDS", 2)  # accounting takes long for so little noise
    monkeypatch.setattr(calibrate, "_DRAWN_ROUNDS", 2)
    out = tmp_path / "x.png"
    words = ("calibrate", "--rounds", 50, "--clients", 20, "--noise-multiplier", 1, "--out", out)
    found = asked(capsys, *words)
    assert found["epsilon"] == pytest.approx(54.3766, abs=1e-4)
    assert found["by_round"][-1]["epsilon"] == found["epsilon"]
    assert found["by_round"][-1]["rounds"] == found["plan"]["rounds"] == 50
    assert "DP-SGD inside each silo" in found["hint"]
    assert found["picture"] == str(out)
    assert out.exists()


def test_calibrate_without_a_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    words = ("calibrate", "--rounds", 5, "--clients", 20, "--epsilon", 1, "--out", tmp_path / "x")
    assert asked(capsys, *words)["picture"] is None
    assert main([*map(str, words)]) == 0
    assert "No picture: matplotlib is not installed" in capsys.readouterr().out


def test_info(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEDSECURE_THREADS", "3")
    found = asked(capsys, "info")
    assert found["version"] == fedsecure.__version__
    assert found["kernels"] == fedsecure.active_kernels()
    assert found["available_kernels"] == fedsecure.available_kernels()
    assert found["threads"] == 3
    assert {"rich", "ray", "flwr"} <= found["extras"].keys()


def test_demo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["demo", "--only", "linear", "--rounds", "3", "--out", str(tmp_path), "--json"]) == 0
    )
    printed = capsys.readouterr()
    found = json.loads(printed.out)["linear"]
    assert "ThresholdError" in printed.err  # what is told goes elsewhere
    assert found["rounds"] == 3
    assert found["true_y"] == 3.5
    assert found["prediction"]["secure"] == pytest.approx(found["prediction"]["plain"], abs=1e-4)
    assert found["largest_difference_steps"] <= 1.0


@pytest.mark.parametrize("rich", [True, False])
def test_bench(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, rich: bool
) -> None:
    def run(progress: Any) -> list[Row]:
        progress("masks")
        return ROWS

    monkeypatch.setattr(benchmark, "run", run)
    monkeypatch.setattr("sys.stdout.isatty", lambda: rich)
    assert [row["name"] for row in asked(capsys, "bench")] == ["a", "c"]
    assert main(["bench"]) == 0
    printed = capsys.readouterr()
    assert "measuring masks ...\n" in printed.err
    for words in ("1.500", "2.000", "beside b", "absent", "kernels"):
        assert words in printed.out
    assert main(["bench", "--markdown"]) == 0
    assert capsys.readouterr().out.startswith("| name |")
    with pytest.raises(SystemExit) as stopped:
        main(["bench", "--markdown", "--json"])
    assert stopped.value.code == 2


def test_a_terminal_gets_a_moving_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with busy(lines=False) as doing:
        doing("measuring")
    assert capsys.readouterr().out == ""

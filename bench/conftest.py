"""What all benches share: one kernel set at a time, and one table, with charts, at the end."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from fedsecure import _core
from fedsecure.benchmark import Row, as_markdown, as_table
from fedsecure.benchmark.rows import machine

OUT = Path(__file__).parent / "out"
ROWS = pytest.StashKey[list[Row]]()
FIGURES = pytest.StashKey[list["Figure"]]()
PARTS = pytest.StashKey[dict[str, dict[str, float]]]()


@dataclass
class Figure:
    """One bench of a group; one of each group is the baseline of the others."""

    group: str
    what: str
    value: float
    unit: str
    spread: float
    baseline: bool


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--whole",
        action="store_true",
        help="run Flower's server on the complete graph as a whole, which takes minutes",
    )
    parser.addoption("--results", action="store_true", help="write table and charts into bench/out")


@pytest.fixture
def select() -> Iterator[Callable[[str], None]]:
    """Chooses a kernel set for one bench and puts the machine's own choice back afterwards."""
    before = _core.active_kernels()
    yield _core.select_kernels
    _core.select_kernels(before)


@pytest.fixture
def measure(request: pytest.FixtureRequest, benchmark: Any) -> Callable[..., None]:
    """Returns `measure(group, what, count, function, unit=, rounds=, baseline=)`.

    It times `function`, which handles `count` weights (times neighbors, if any), or bytes if the
    unit is GB/s; the median goes into the closing table. `rounds` fixes the number of calls;
    `baseline` says that the others of the group are compared with this one.
    """

    def run(
        group: str,
        what: str,
        count: int,
        function: Callable[[], object],
        *,
        unit: str = "ns/weight",
        rounds: int | None = None,
        baseline: bool = False,
    ) -> None:
        benchmark.group = group
        if rounds is None:
            benchmark(function)
        else:
            benchmark.pedantic(function, rounds=rounds, warmup_rounds=1)
        if benchmark.stats is None:  # --benchmark-disable: the call was made once, untimed
            return
        stats = benchmark.stats.stats
        value = count / stats.median / 1e9 if unit == "GB/s" else 1e9 * stats.median / count
        benchmark.extra_info[unit] = value
        figure = Figure(group, what, value, unit, stats.iqr / stats.median, baseline)
        request.config.stash.setdefault(FIGURES, []).append(figure)

    return run


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Callable[[Sequence[Row]], None]:
    """Puts finished rows into the closing table."""
    return request.config.stash.setdefault(ROWS, []).extend


@pytest.fixture
def parts(request: pytest.FixtureRequest) -> dict[str, dict[str, float]]:
    """What a client's round is made of, in milliseconds, by system; for the chart."""
    return request.config.stash.setdefault(PARTS, {})


def pytest_benchmark_update_json(output_json: dict[str, Any]) -> None:
    """Leaves the single times out of the JSON: tens of megabytes that comparing does not need."""
    for bench in output_json["benchmarks"]:
        bench["stats"].pop("data", None)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Prints one table of ratios; with --results writes it as JSON, Markdown and charts."""
    rows = [*config.stash.get(ROWS, []), *compared(config.stash.get(FIGURES, []))]
    if not rows:
        return
    terminalreporter.section("medians; ratios hold within one run")
    terminalreporter.write_line(as_table(rows))
    if not config.getoption("--results"):
        return
    OUT.mkdir(exist_ok=True)
    results = {
        "machine": machine(),
        "rows": [asdict(row) for row in rows],
        "client_parts_ms": config.stash.get(PARTS, {}),
    }
    (OUT / "results.json").write_text(json.dumps(results, indent=1), "utf-8")
    (OUT / "results.md").write_text(as_markdown(rows, "make bench") + "\n", "utf-8")
    # Apart from the benches, because matplotlib is.
    charts = [sys.executable, str(OUT.parent / "charts.py"), str(OUT / "results.json")]
    drawn = subprocess.run(charts, capture_output=True, text=True, check=False)
    terminalreporter.write_line(drawn.stdout + drawn.stderr)


def compared(figures: Sequence[Figure]) -> list[Row]:
    """Returns a row for every figure that is not a baseline itself, beside that of its group."""
    of = {figure.group: figure for figure in figures if figure.baseline}
    rows = []
    for figure in figures:
        other, name = of.get(figure.group), f"{figure.group}: {figure.what}"
        if figure is other:
            continue
        if other is None:
            rows.append(Row(name, figure.value, figure.unit, None, None, "", figure.spread))
            continue
        ratio = other.value / figure.value
        if figure.unit == "GB/s":
            ratio = 1 / ratio
        spread = max(figure.spread, other.spread)
        rows.append(Row(name, figure.value, figure.unit, other.value, ratio, "", spread))
    return rows

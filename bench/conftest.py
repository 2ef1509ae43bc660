"""What all benches share: one kernel set at a time, and a table of time per weight at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fedsecure import _core

RESULTS = pytest.StashKey[list[tuple[str, str, float]]]()


@pytest.fixture
def select() -> Iterator[Callable[[str], None]]:
    """Chooses a kernel set for one bench and puts the machine's own choice back afterwards."""
    before = _core.active_kernels()
    yield _core.select_kernels
    _core.select_kernels(before)


@pytest.fixture
def per_weight(request: pytest.FixtureRequest, benchmark: Any) -> Callable[..., None]:
    """Returns `per_weight(group, what, count, function, rounds=None)`, which times `function`.

    `count` is how many weights (times neighbors, if any) one call handles; the median over it goes
    into the closing table and, as `ns_per_weight`, into the JSON. `rounds` fixes the number of
    calls.
    """

    def run(
        group: str, what: str, count: int, function: Callable[[], object], rounds: int | None = None
    ) -> None:
        benchmark.group = group
        if rounds is None:
            benchmark(function)
        else:
            benchmark.pedantic(function, rounds=rounds, warmup_rounds=1)
        if benchmark.stats is None:  # --benchmark-disable: the call was made once, untimed
            return
        nanoseconds = 1e9 * benchmark.stats.stats.median / count
        benchmark.extra_info["ns_per_weight"] = nanoseconds
        request.config.stash.setdefault(RESULTS, []).append((group, what, nanoseconds))

    return run


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Prints the medians per weight, with ratios to the fastest of the same group in this run."""
    results = config.stash.get(RESULTS, [])
    if not results:
        return
    terminalreporter.section("medians per weight; ratios hold within one run")
    for group in dict.fromkeys(group for group, _, _ in results):
        rows = sorted((ns, what) for of, what, ns in results if of == group)
        terminalreporter.write_line(group)
        for ns, what in rows:
            line = f"  {what:<44} {ns:12.3f} ns/weight {ns / rows[0][0]:10.2f} x"
            terminalreporter.write_line(line)

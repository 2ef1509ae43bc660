"""Calls from several threads at once, under ThreadSanitizer."""

from __future__ import annotations

from pathlib import Path

import pytest

from core import native

PARTS = ["client_pass", "dispatch", "fixed_point", "masks", "parallel", "prg", "ring", "secret"]
RACE = 66  # what the sanitiser ends with

pytestmark = native.needs_compiler


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    here = Path(__file__).parent
    sources = [here / "threads_check.cpp", *native.kernel_sources()]
    sources += [native.SOURCES / f"{part}.cpp" for part in PARTS]
    target = tmp_path_factory.mktemp("threads") / "threads_check"
    if not native.links("-fsanitize=thread", folder=target.parent):
        pytest.skip("the compiler has no ThreadSanitizer")
    return native.link(target, sources, "-fsanitize=thread", "-g")


def test_no_races(program: Path) -> None:
    result = native.run(program)
    assert result.returncode == 0, result.stdout + result.stderr


def test_a_race_would_be_seen(program: Path) -> None:
    result = native.run(program, "control")
    assert result.returncode == RACE
    assert "data race" in result.stderr

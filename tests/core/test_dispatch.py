"""Kernel sets: named, chosen, and refused when unknown."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from fedsecure import _core

SHOW = "from fedsecure import _core; print(_core.active_kernels())"


def run(name: str | None) -> subprocess.CompletedProcess[str]:
    env = {key: value for key, value in os.environ.items() if key != "FEDSECURE_KERNELS"}
    if name is not None:
        env["FEDSECURE_KERNELS"] = name
    command = [sys.executable, "-P", "-c", SHOW]  # not the sources, should we be among them
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def test_portable_is_always_there_and_last() -> None:
    names = _core.available_kernels()
    assert names[-1] == "portable"
    assert len(set(names)) == len(names)
    assert _core.active_kernels() in names


def test_selection_holds(kernels: str) -> None:
    assert _core.active_kernels() == kernels


@pytest.mark.parametrize("name", ["", "Portable", "avx1024", "portable "])
def test_unknown_names_are_refused_and_change_nothing(name: str) -> None:
    before = _core.active_kernels()
    with pytest.raises(ValueError, match=r"available: .*portable"):
        _core.select_kernels(name)
    assert _core.active_kernels() == before


@pytest.mark.parametrize("name", _core.available_kernels())
def test_environment_chooses(name: str) -> None:
    result = run(name)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == name


@pytest.mark.parametrize("name", [None, ""])
def test_without_a_name_the_best_is_taken(name: str | None) -> None:
    assert run(name).stdout.strip() == _core.available_kernels()[0]


def test_unknown_name_in_the_environment_stops_the_import() -> None:
    result = run("avx1024")
    assert result.returncode != 0
    assert "ImportError" in result.stderr
    assert "avx1024" in result.stderr
    assert "available: " + ", ".join(_core.available_kernels()) in result.stderr

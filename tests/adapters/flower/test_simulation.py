"""Flower's simulation engine: the example app, in processes that Ray starts."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fedsecure

pytest.importorskip("flwr")
pytest.importorskip("ray")

TESTS = Path(__file__).resolve().parents[2]
APP = TESTS.parent / "examples" / "flower_app"
NODES, STEP = 5, 2.0**-20


def test_simulated_rounds_are_those_of_plain_averaging(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    paths = [Path(fedsecure.__file__).parents[1], TESTS, APP]
    command = [sys.executable, "-P", str(TESTS / "flower_simulation.py"), "3", "secure"]
    run = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        cwd=tmp_path,  # Ray's workers look there first; the sources have no compiled core
    )
    assert run.returncode == 0, run.stderr[-3000:]
    found = json.loads(run.stdout.splitlines()[-1])
    assert found["waves"] == [
        ["hello", "keys", "shares", "train", "unmask"],
        ["train", "unmask"],
        ["train", "unmask"],
    ]
    monkeypatch.syspath_prepend(str(APP))
    from flower_app import task

    for before, after in itertools.pairwise(found["models"]):
        params = {name: np.asarray(value) for name, value in before.items()}
        trained = [task.train(params, number) for number in range(NODES)]
        total = sum(examples for _, _, examples in trained)
        for name, value in after.items():
            plain = sum(examples * new[name] for new, _, examples in trained) / total
            assert abs(value - plain) <= STEP

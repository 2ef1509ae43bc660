"""The examples run as they stand, and print what they promise."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
EXPECTED = {
    "fedavg_numpy.py": "round 200: y = 2.00 x -1.0",
    "paillier_three_roles.py": "of clients (1, 2, 3)\ntotal weight 60.0 - dropped out: (4,)",
    "parties_over_queues.py": "of clients (1, 2, 3)\ntotal weight 60.0 - dropped out: (4,)",
    "ray_shards.py": "\nthe same bits as on one machine",
}
NEEDS = {"ray_shards.py": "ray"}


def test_every_example_is_tried() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(EXPECTED)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_example(name: str) -> None:
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    command = [sys.executable, "-P", str(EXAMPLES / name)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert run.returncode == 0, run.stderr
    assert EXPECTED[name] in run.stdout

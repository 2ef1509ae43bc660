"""Flower's deployment engine: a server and five nodes as processes, over TLS; one is killed."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

pytest.importorskip("flwr")

from flower_processes import Deployment

pytestmark = pytest.mark.deploy
NODES = 5
WAVE = 60.0  # seconds: more than a wave ever took with two slow cores, and what a dead node costs


def test_round_completes_without_a_node_that_is_killed_in_it(tmp_path: Path) -> None:
    with Deployment(tmp_path, NODES) as deployment:
        deployment.wait_for_nodes(120)
        run = deployment.run(
            rounds=3,
            nodes=NODES - 1,
            timeout=WAVE,
            **{"verify-keys": str(tmp_path / "verify_keys.json")},
        )
        run.until("round 1: the mean of", 6 * WAVE + 60)
        time.sleep(2)  # by now nodes have been sent what starts their second training
        deployment.kill(deployment.node[NODES - 1])
        assert "round 2: the mean of" not in run.text
        run.until("round 2: the mean of", 3 * WAVE + 30)
        run.until("round 3: the mean of", 5 * WAVE + 30)
        run.until(f"round 3: {NODES - 1} nodes", 60)
    lines = r"y = (\S+) x \+ (\S+)\nround 1: (.*)\nround 2: (.*)\nround 3: (.*)\n"
    told = re.search(lines, run.text)
    assert told is not None
    assert abs(float(told[1]) - 2.0) < 0.05
    assert abs(float(told[2]) + 1.0) < 0.05
    assert told[3] == "5 nodes, 6 waves"  # hello, keys and shares come before the first
    assert told[4] == told[5] == "4 nodes, 3 waves"

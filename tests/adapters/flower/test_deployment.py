"""Flower's deployment engine: a server and five nodes as processes, over TLS; one is killed."""

from __future__ import annotations

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
        for number in range(NODES):
            deployment.wait_for_text(f"node{number}", "Starting Flower SuperNode", 120)
        time.sleep(5)
        run = deployment.run(
            rounds=3,
            nodes=NODES - 1,
            timeout=WAVE,
            **{"verify-keys": str(tmp_path / "verify_keys.json")},
        )
        run.until("round 1: the mean of", 6 * WAVE + 60)
        time.sleep(2)  # by now nodes have been sent what starts their second training
        deployment.kill(deployment.node[NODES - 1])
        run.until("round 2: the mean of", 3 * WAVE + 30)
        run.until("round 3: the mean of", 5 * WAVE + 30)
        run.until("y = 2.", 60)

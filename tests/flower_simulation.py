"""Trains in Flower's simulation engine and prints each round's model, as JSON in the last line.

To be run as a program: the engine starts Ray, and is one per process.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

os.environ.update(
    FLWR_TELEMETRY_ENABLED="0", FLWR_DISABLE_UPDATE_CHECK="1", RAY_USAGE_STATS_ENABLED="0"
)

from flower_app import client_app, task
from flwr.app import Array, ArrayRecord, Context, MetricRecord
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation

import fedsecure as fs
from fedsecure.adapters.flower import SecureGrid

NODES = 5


def main(rounds: int, *, secure: bool) -> None:
    models: list[dict[str, float]] = []
    times: list[float] = []
    server = ServerApp()
    found: dict[str, Any] = {"models": models, "times": times}

    def kept(number: int, arrays: ArrayRecord) -> MetricRecord:
        models.append({name: float(array.numpy()) for name, array in arrays.items()})
        times.append(time.monotonic())
        return MetricRecord({"round": number})

    @server.main()
    def run(grid: Grid, context: Context) -> None:
        used = grid
        if secure:
            used = SecureGrid(
                grid,
                protocol=fs.PairwiseMasking(adversary="semi_honest"),
                encoding=fs.FixedPoint(clip=4.0, max_weight=1000),
                timeout=120,
            )
        strategy = FedAvg(fraction_evaluate=0.0, min_train_nodes=NODES, min_available_nodes=NODES)
        initial = ArrayRecord({name: Array(value) for name, value in task.initial().items()})
        strategy.start(used, initial, num_rounds=rounds, timeout=120, evaluate_fn=kept)
        if secure:
            found["waves"] = [report.waves for report in used.reports]

    app = client_app.app
    if not secure:
        app = ClientApp()
        app.train()(client_app.train)
    ray = {"include_dashboard": False, "num_cpus": 2}
    backend = {"client_resources": {"num_cpus": 1}, "init_args": ray}
    run_simulation(server, app, NODES, backend_config=backend)
    sys.stdout.write("\n" + json.dumps(found) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), secure=sys.argv[2] == "secure")

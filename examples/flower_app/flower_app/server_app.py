"""The server end: Flower's own strategy, started with a grid that shows it the mean alone."""

from __future__ import annotations

from flwr.app import Array, ArrayRecord, Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

import fedsecure as fs
from fedsecure.adapters.flower import SecureGrid, read_verify_keys
from flower_app import task

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Trains for some rounds and prints the line that was found."""
    config = context.run_config
    path, timeout = str(config["verify-keys"]), float(config["timeout"])
    protocol = (
        fs.PairwiseMasking(identities=read_verify_keys(path))
        if path
        else fs.PairwiseMasking(adversary="semi_honest")
    )
    secure = SecureGrid(
        grid,
        protocol=protocol,
        encoding=fs.FixedPoint(clip=4.0, max_weight=1000),
        metrics={"train_loss": 100.0},
        timeout=timeout,
    )
    nodes = int(config["nodes"])
    strategy = FedAvg(fraction_evaluate=0.0, min_train_nodes=nodes, min_available_nodes=nodes)
    initial = ArrayRecord({name: Array(value) for name, value in task.initial().items()})
    result = strategy.start(secure, initial, num_rounds=int(config["rounds"]), timeout=timeout)
    if not result.arrays:
        print("no round had a mean; the log says why")
        return
    line = {name: float(array.numpy()) for name, array in result.arrays.items()}
    print(f"y = {line['w']:.2f} x + {line['b']:.2f}")
    for report in secure.reports:
        print(f"round {report.number}: {len(report.contributors)} nodes, {len(report.waves)} waves")

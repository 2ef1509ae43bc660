"""One session, stage by stage: seconds of clients and server, peak memory, bytes on the wire.

    .venv/bin/python bench/stages.py --clients 10 100 1000 --weights 100000 1000000 --repeat 3

Every measurement plays one whole session, all parties, in a process of its own. See bench/README.md
for what the columns mean.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

import fedsecure as fs

SETUP = "set-up"
INPUT = "MASKED_INPUT"
UNMASKING = "UNMASKING"
LEVELS = ("semi_honest", "semi_malicious", "malicious")
# Up to here malicious security on the complete graph is the sensible choice, so it is measured.
COMPLETE_UP_TO = 100
# Of 1000 clients with a million weights each, the updates alone would be 4 GB.
DISTINCT_UPDATES = 4
# Fixed, so that two commits sum the same updates.
SEED = 20_240_229


@dataclass
class Meter:
    """What one session costs: seconds and bytes, by stage."""

    clients: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    server: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    sent: dict[int, dict[str, int]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(int))
    )
    received: dict[int, int] = field(default_factory=lambda: defaultdict(int))


@dataclass
class Figures:
    """One measurement, or the medians of several.

    Attributes:
        neighbors: Neighbors of one client.
        dropouts: Clients that vanished.
        clients: Seconds of all clients together, by stage.
        server: Seconds of the server, by stage.
        total: The sum of both.
        peak: Largest resident memory of the process, in bytes.
        beyond: By how much that is above what was resident with only the inputs made.
        upload: Bytes of one masked input, per weight.
        control_sent: Bytes of all else that a survivor sends, mean over the survivors.
        control_received: Bytes that a survivor receives, mean over the survivors.
    """

    neighbors: float
    dropouts: float
    clients: dict[str, float]
    server: dict[str, float]
    total: float
    peak: float
    beyond: float
    upload: float
    control_sent: float
    control_received: float


Row = tuple[str, int, int, Figures]
"""Adversary, clients, weights, and what they cost."""


def main() -> None:
    args = arguments()
    if args.one:
        level, clients, weights = args.adversary, args.clients[0], args.weights[0]
        print(json.dumps(asdict(measure(level, clients, weights, args.dropout))))
        return
    rows = []
    for clients in args.clients:
        for weights in args.weights:
            level = args.adversary or (
                "malicious" if clients <= COMPLETE_UP_TO else "semi_malicious"
            )
            runs = [apart(level, clients, weights, args.dropout) for _ in range(args.repeat)]
            rows.append((level, clients, weights, median(runs)))
            print(f"{clients} clients, {weights} weights: done", file=sys.stderr)
    show(rows, args.repeat)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clients", type=int, nargs="+", default=[10, 100])
    parser.add_argument("--weights", type=int, nargs="+", default=[100_000])
    parser.add_argument(
        "--dropout", type=float, default=0.1, help="share of the clients that vanish (0.1)"
    )
    parser.add_argument(
        "--adversary",
        choices=LEVELS,
        help=f"default: malicious up to {COMPLETE_UP_TO} clients, semi_malicious above",
    )
    parser.add_argument("--repeat", type=int, default=1, help="sessions of which to take medians")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if not 0 <= args.dropout < 1 or args.repeat < 1:
        parser.error("--dropout is from 0 to below 1, --repeat at least 1")
    if args.one and args.adversary is None:
        parser.error("--one is for this script alone")
    return args


def apart(level: str, clients: int, weights: int, dropout: float) -> Figures:
    """Returns one measurement from a process of its own: a peak of memory cannot be reset."""
    command = [sys.executable, __file__, "--one", "--adversary", level, "--dropout", str(dropout)]
    command += ["--clients", str(clients), "--weights", str(weights)]
    run = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if run.returncode != 0:  # it has said why
        sys.exit(f"the session of {clients} clients with {weights} weights failed")
    return Figures(**json.loads(run.stdout))


def measure(level: str, clients: int, weights: int, dropout: float) -> Figures:
    updates = make_updates(min(clients, DISTINCT_UPDATES), weights)
    before = peak_memory()
    gone = frozenset(range(clients - int(clients * dropout), clients))
    meter = Meter()
    session = play(level, clients, updates, gone, meter)
    peak = peak_memory()
    survivors = [client_id for client_id in range(clients) if client_id not in gone]
    uploads = [meter.sent[client_id].pop(INPUT) for client_id in survivors]
    return Figures(
        neighbors=session.neighbors,
        dropouts=len(gone),
        clients=dict(meter.clients),
        server=dict(meter.server),
        total=sum(meter.clients.values()) + sum(meter.server.values()),
        peak=peak,
        beyond=peak - before,
        upload=statistics.mean(uploads) / weights,
        control_sent=statistics.mean(sum(meter.sent[at].values()) for at in survivors),
        control_received=statistics.mean(meter.received[at] for at in survivors),
    )


def make_updates(count: int, weights: int) -> list[np.ndarray]:
    generator = np.random.default_rng(SEED)
    updates = [generator.standard_normal(weights, dtype=np.float32) for _ in range(count)]
    for update in updates:
        np.multiply(update, np.float32(0.05), out=update)
    return updates


def play(
    level: str, count: int, updates: Sequence[np.ndarray], gone: frozenset[int], meter: Meter
) -> fs.Session:
    """Plays a session in which the clients in `gone` share their secrets and send no input."""
    ids = range(count)
    spec = fs.TreeSpec.of(updates[0])
    identities = {at: fs.Identity.generate() for at in ids} if level == "malicious" else None
    protocol = fs.PairwiseMasking(adversary=level, identities=identities)
    session = protocol.session(client_ids=ids, spec=spec, encoding=fs.FixedPoint())
    start = time.perf_counter()
    server = protocol.server(session)
    made = time.perf_counter()
    clients = {at: protocol.client(session, at, updates[at % len(updates)]) for at in ids}
    meter.server[SETUP] += made - start
    meter.clients[SETUP] += time.perf_counter() - made

    mail: Mapping[int, Sequence[bytes] | None] = dict.fromkeys(ids)
    while not server.finished:
        stage = str(server.stage)
        for client_id, inbox in mail.items():
            if stage != INPUT or client_id not in gone:
                take_turn(server, clients[client_id], inbox, stage, meter)
        start = time.perf_counter()
        mail = server.advance()
        meter.server[stage] += time.perf_counter() - start
    if server.result().dropouts != tuple(sorted(gone)):
        sys.exit("the clients that were to vanish are not those that did")
    return session


def take_turn(
    server: Any, client: Any, inbox: Sequence[bytes] | None, stage: str, meter: Meter
) -> None:
    """Lets one client answer; a vector is handed over piece by piece, as it is made."""
    start = time.perf_counter()
    for message in [None] if inbox is None else inbox:
        if message is not None:
            meter.received[client.client_id] += len(message)
        answers = iter(client.start() if message is None else client.receive(message))
        while (answer := next(answers, None)) is not None:
            made = time.perf_counter()
            server.receive(client.client_id, answer)
            taken = time.perf_counter()
            meter.clients[stage] += made - start
            meter.server[stage] += taken - made
            meter.sent[client.client_id][stage] += len(answer)
            start = time.perf_counter()
    meter.clients[stage] += time.perf_counter() - start


def peak_memory() -> int:
    """Returns the largest resident memory of this process so far, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def median(runs: Sequence[Figures]) -> Figures:
    def of(values: Sequence[Any]) -> Any:
        if isinstance(values[0], dict):
            return {stage: of([value[stage] for value in values]) for stage in values[0]}
        return statistics.median(values)

    tables = [asdict(run) for run in runs]
    return Figures(**{name: of([table[name] for table in tables]) for name in tables[0]})


def show(rows: Sequence[Row], repeat: int) -> None:
    """Prints two Markdown tables: seconds by stage, and memory with bytes."""
    print(
        f"fedsecure {fs.__version__}, {fs.active_kernels()} kernels, {platform.machine()}, "
        f"{os.cpu_count()} CPUs, Python {platform.python_version()}; "
        f"medians of {repeat} session(s), each in a process of its own."
    )
    print(
        f"All parties in one process; the clients share {DISTINCT_UPDATES} distinct float32 "
        "updates, so that the inputs take little memory."
    )
    show_seconds(rows)
    show_memory(rows)


def show_seconds(rows: Sequence[Row]) -> None:
    stages = list(dict.fromkeys(stage for *_, figures in rows for stage in figures.server))
    if UNMASKING in stages:  # a stage that only some levels have belongs before the last one
        stages.append(stages.pop(stages.index(UNMASKING)))
    print("\nSeconds of all clients + seconds of the server:\n")
    table(
        [*(stage.replace("_", " ").lower() for stage in stages), "total"],
        [
            [*who(row), *(seconds(row[3], stage) for stage in stages), f"{row[3].total:.2f}"]
            for row in rows
        ],
    )


def show_memory(rows: Sequence[Row]) -> None:
    print("\nMemory of the process; bytes of one survivor:\n")
    table(
        [
            "peak, MB",
            "beyond inputs, MB",
            "upload, B per weight",
            "control sent, KB",
            "control received, KB",
        ],
        [
            [
                *who(row),
                f"{row[3].peak / 1e6:.0f}",
                f"{row[3].beyond / 1e6:.0f}",
                f"{row[3].upload:.3f}",
                f"{row[3].control_sent / 1e3:.1f}",
                f"{row[3].control_received / 1e3:.1f}",
            ]
            for row in rows
        ],
    )


def who(row: Row) -> list[str]:
    level, clients, weights, figures = row
    return [level, f"{clients}", f"{figures.neighbors:g}", f"{figures.dropouts:g}", f"{weights}"]


def seconds(figures: Figures, stage: str) -> str:
    if stage not in figures.server:
        return "-"
    return f"{figures.clients[stage]:.3f} + {figures.server[stage]:.3f}"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    head = ["adversary", "clients", "k", "gone", "weights", *columns]
    print("|", " | ".join(head), "|")
    print("|" + "---|" + "---:|" * (len(head) - 1))
    for row in rows:
        print("|", " | ".join(row), "|")


if __name__ == "__main__":
    main()

"""A server's round on the threads of one machine, and in Ray actors on the same one.

Run it with python bench/ray_server.py where fedsecure is installed with Ray. Both servers take the
same messages, in turn, several times: what is timed is summing the masked inputs, unmasking and
decoding, from the first upload to the result. It says what Ray costs where it is not needed;
docs/ray.md says where it is.
"""

from __future__ import annotations

import os
import statistics
import time
from typing import TYPE_CHECKING, Any

import numpy as np

import fedsecure as fs

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import ray

from fedsecure.adapters.ray import Shards

if TYPE_CHECKING:
    from collections.abc import Callable

CLIENTS, GONE, WEIGHTS = 20, 2, 10_000_000
SHARDS, REPEATS = 2, 3

Mail = dict[int, list[bytes]]


def main() -> None:
    """Prints both medians and their ratio."""
    ray.init(num_cpus=SHARDS, include_dashboard=False, log_to_driver=False)
    options = {"runtime_env": {"env_vars": {"FEDSECURE_THREADS": "1"}}}
    found: dict[str, list[float]] = {"threads": [], "shards": []}
    with Shards(SHARDS, deadline=300.0, options=options) as shards:
        for turn in range(-1, REPEATS):
            session = Round()
            seconds = {"threads": session.serve(), "shards": session.serve(vectors=shards.sum)}
            if turn >= 0:
                for name, taken in seconds.items():
                    found[name].append(taken)
    ray.shutdown()
    here, there = (statistics.median(found[name]) for name in ("threads", "shards"))
    print(f"{CLIENTS} clients, {GONE} gone, {WEIGHTS} weights, {os.cpu_count()} CPUs")
    print(f"one process, its threads: {here:.3f} s; {SHARDS} shards: {there:.3f} s")
    print(f"ratio {there / here:.1f} (all: {found})")


class Round:
    """The messages of one session, up to what the survivors answer at the end."""

    def __init__(self) -> None:
        protocol = fs.PairwiseMasking(adversary="semi_malicious")
        rng = np.random.default_rng(1)
        update = {"w": rng.uniform(-1, 1, WEIGHTS).astype(np.float32)}
        session = protocol.session(
            client_ids=range(CLIENTS), spec=fs.TreeSpec.of(update), encoding=fs.FixedPoint()
        )
        self._protocol, self._session = protocol, session
        clients = {name: protocol.client(session, name, update) for name in range(CLIENTS)}
        server = protocol.server(session)
        self._stages: list[Mail] = []
        mail: Any = {name: [] for name in clients}
        while not server.finished:
            answers: Mail = {}
            for name, inbox in mail.items():
                if server.stage == "MASKED_INPUT" and name < GONE:
                    continue
                answers[name] = (
                    [m for data in inbox for m in clients[name].receive(data)]
                    if inbox
                    else list(clients[name].start())
                )
            self._stages.append(answers)
            for name, messages in answers.items():
                for message in messages:
                    server.receive(name, message)
            mail = server.advance()
        self._mean = server.result().mean["w"]

    def serve(self, **where: Callable[..., Any]) -> float:
        """Returns how many seconds a server takes from the first masked input to the result."""
        server = self._protocol.server(self._session, **where)
        began = 0.0
        for answers in self._stages:
            if server.stage == "MASKED_INPUT":
                began = time.perf_counter()
            for name, messages in answers.items():
                for message in messages:
                    server.receive(name, message)
            server.advance()
        taken = time.perf_counter() - began
        if server.result().mean["w"].tobytes() != self._mean.tobytes():
            raise SystemExit("the sums differ")
        return taken


if __name__ == "__main__":
    main()

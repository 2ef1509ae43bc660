"""Flower without its network: nodes in this process, a grid that loses what it is told to lose.

Importing this needs flwr; tests ask for it with `pytest.importorskip("flwr")` first.
"""

from __future__ import annotations

import itertools
import logging
import os
import pickle
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
os.environ.setdefault("FLWR_DISABLE_UPDATE_CHECK", "1")
with warnings.catch_warnings():  # of its dependencies
    warnings.simplefilter("ignore")
    from flwr.app import (
        Array,
        ArrayRecord,
        Context,
        Error,
        Message,
        MetricRecord,
        RecordDict,
    )
    from flwr.clientapp import ClientApp
    from flwr.serverapp import Grid
    from flwr.serverapp.strategy import FedAvg
    from flwr.supercore.task_identity import TaskIdentity

    from fedsecure.adapters import flower

from fedsecure import FixedPoint, Identity, PairwiseMasking

ENCODING = FixedPoint(clip=4.0, max_weight=64)
FIRST_NODE = (1 << 63) + 5  # as long as Flower's ids are
TIMEOUT = 0.05  # nodes answer at once, so whoever has not by then never will

COLD = {"malicious": ["hello", "keys", "shares", "train", "survivors", "unmask"]}
COLD["semi_malicious"] = COLD["semi_honest"] = ["hello", "keys", "shares", "train", "unmask"]
"""The waves of a first round, by what the server may do."""

WARM = {name: waves[3:] for name, waves in COLD.items()}
"""The waves of every later one."""

Fault = str
"""What happens to a message: "lost" on its way, "unanswered" though taken, "crash", or None."""

logging.getLogger("flwr").setLevel(logging.ERROR)


def node_of(client_id: int) -> int:
    return FIRST_NODE + 1000 * client_id


@dataclass
class Seen:
    """One reply as the server got it."""

    round: int
    wave: str
    node: int
    content: Any


@dataclass
class LocalGrid(Grid):
    """Hands each message to its node at once, through bytes, as a network would.

    `fault(round, wave, client_id)` says what happens to a message; round and wave are those of the
    `SecureGrid` on top, if there is one, else 0 and "plain".
    """

    app: Any
    count: int
    fault: Callable[[int, str, int], Fault | None] = lambda *_: None
    tamper: Callable[[int, str, int, Any], None] = lambda *_: None
    seen: list[Seen] = field(default_factory=list)
    waves: list[tuple[int, str]] = field(default_factory=list)
    states: dict[int, bytes] = field(default_factory=dict)
    disconnected: set[int] = field(default_factory=set)
    replies: dict[str, Any] = field(default_factory=dict)
    secure: Any = None
    ids: Any = field(default_factory=itertools.count)

    def context(self, client_id: int) -> Any:
        config = {"partition-id": client_id}
        return Context(1, node_of(client_id), config, self.state(client_id), {})

    def state(self, client_id: int) -> Any:
        return pickle.loads(self.states[client_id]) if client_id in self.states else RecordDict()

    def where(self) -> tuple[int, str]:
        rounds = self.secure and self.secure._rounds
        return (rounds._number, rounds._waves[-1]) if rounds and rounds._waves else (0, "plain")

    def get_node_ids(self) -> list[int]:
        return [node_of(i) for i in range(self.count) if i not in self.disconnected]

    def push_messages(self, messages: Any) -> list[str]:
        at = self.where()
        messages = list(messages)
        sent: list[str] = []
        if messages:
            self.waves.append(at)
        for message in messages:
            message_id = f"{next(self.ids)}"
            message.metadata.__dict__["_message_id"] = message_id
            client_id = (message.metadata.dst_node_id - FIRST_NODE) // 1000
            sent.append(message_id)
            fault = self.fault(*at, client_id)
            if fault != "lost" and client_id not in self.disconnected:
                reply = self.deliver(pickle.loads(pickle.dumps(message)), client_id, fault)
                if fault != "unanswered":
                    reply = pickle.loads(pickle.dumps(reply))
                    if not reply.has_error():
                        self.tamper(*at, client_id, reply.content)
                        copy = RecordDict(dict(reply.content))
                        self.seen.append(Seen(*at, reply.metadata.src_node_id, copy))
                    self.replies[message_id] = reply
        return sent

    def deliver(self, message: Any, client_id: int, fault: Fault | None) -> Any:
        if fault == "crash":
            return Message(Error(2, "the process is gone"), reply_to=message)
        context = self.context(client_id)
        reply = self.app(message, context)
        self.states[client_id] = pickle.dumps(context.state)
        return reply

    def pull_messages(self, message_ids: Any) -> list[Any]:
        return [self.replies.pop(each) for each in message_ids if each in self.replies]

    def send_and_receive(self, messages: Any, *, timeout: float | None = None) -> list[Any]:
        return self.pull_messages(self.push_messages(list(messages)))

    def set_run(self, run: Any) -> None:
        raise NotImplementedError

    @property
    def run(self) -> Any:
        return "run"

    def create_message(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError


def identities(count: int) -> dict[int, Identity]:
    return {i: Identity.generate() for i in range(count)}


@dataclass
class Federation:
    """Some clients with data of their own, and what a server needs to train with them."""

    count: int = 5
    adversary: str = "malicious"
    train: Callable[[Any, Any], Any] | None = None
    inner: tuple[Any, ...] = ()
    plain: bool = False
    timeout: float = TIMEOUT
    privacy: Any = None

    def __post_init__(self) -> None:
        TaskIdentity.run_id = TaskIdentity.node_id = TaskIdentity.task_id = 1
        self.known = identities(self.count) if self.adversary == "malicious" else None
        mods = [] if self.plain else [flower.secure_mod(self.policy, privacy=self.privacy)]
        app = ClientApp(mods=[*mods, *self.inner])
        app.train()(self.train or train)
        app.evaluate()(evaluate)
        self.grid = LocalGrid(app, self.count)

    def policy(self, context: Any) -> PairwiseMasking:
        own = context.node_config["partition-id"]
        return self.protocol({own: self.known[own]} if self.known else {})

    def protocol(self, own: Any = None) -> PairwiseMasking:
        if self.known is None:
            return PairwiseMasking(adversary=self.adversary)
        keys = {i: each.verify_key for i, each in self.known.items()}
        return PairwiseMasking(identities={**keys, **(own or {})})

    def secure(self, **options: Any) -> Any:
        encoding = None if options.get("privacy") is not None else ENCODING
        options = {"timeout": self.timeout, "encoding": encoding, **options}
        self.grid.secure = flower.SecureGrid(self.grid, protocol=self.protocol(), **options)
        return self.grid.secure

    def run(self, strategy: Any = None, *, rounds: int = 1, **options: Any) -> Any:
        grid = self.grid if self.plain else self.secure(**options)
        strategy = strategy or fedavg()
        return strategy.start(grid, initial_arrays(), num_rounds=rounds, timeout=self.timeout)


def fedavg(kind: Any = FedAvg, **options: Any) -> Any:
    return kind(fraction_evaluate=0.0, min_train_nodes=3, min_available_nodes=3, **options)


def initial_arrays() -> Any:
    start = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)
    return ArrayRecord({"w": as_array(start), "b": as_array(np.float64(0.5))})


def as_array(values: Any) -> Any:
    return Array(np.asarray(values))


def change(client_id: int, name: str, before: Any) -> Any:
    """What training does to an array: a little of it, and something of the client's own."""
    own = np.cos(np.arange(before.size) * (client_id + 1) + len(name)).reshape(before.shape)
    return (before - 0.1 * before + 0.3 * own).astype(before.dtype)


def train(message: Any, context: Any) -> Any:
    client_id = context.node_config["partition-id"]
    (record,) = message.content.array_records.values()
    after = {n: as_array(change(client_id, n, a.numpy())) for n, a in record.items()}
    metrics = MetricRecord(
        {"num-examples": 10 + client_id, "train_loss": 20.0 / (client_id + 1), "private": 7.0}
    )
    content = RecordDict({"arrays": ArrayRecord(after), "metrics": metrics})
    return Message(content, reply_to=message)


def evaluate(message: Any, context: Any) -> Any:
    metrics = MetricRecord({"num-examples": 1, "accuracy": 0.25})
    return Message(RecordDict({"metrics": metrics}), reply_to=message)


def expected(arrays: Any, client_ids: Any, *, weighted: bool = True) -> dict[str, Any]:
    """The weighted mean of what these clients train from some arrays."""
    weights = {i: 10 + i if weighted else 1 for i in client_ids}
    total = sum(weights.values())
    return {
        name: sum(w * change(i, name, array.numpy()).astype(np.float64) for i, w in weights.items())
        / total
        for name, array in arrays.items()
    }


def assert_close(arrays: Any, wanted: Any, steps: float = 1.0) -> None:
    """Compares models: within quantization steps, and what their own precision allows."""
    assert set(arrays) == set(wanted)
    for name, array in arrays.items():
        found = array.numpy()
        tolerance = steps * ENCODING.step + np.finfo(found.dtype).eps * np.abs(found).max()
        np.testing.assert_allclose(found, wanted[name], rtol=0, atol=tolerance)


def models_of(federation: Federation, rounds: int = 3) -> tuple[list[Any], Any]:
    """Runs some rounds; returns the models before and after each, and the reports."""
    models = [initial_arrays()]

    def kept(number: int, arrays: Any) -> Any:
        if number:
            models.append(ArrayRecord(dict(arrays)))
        return MetricRecord({"round": number})

    secure = federation.secure()
    fedavg().start(
        secure, initial_arrays(), num_rounds=rounds, timeout=federation.timeout, evaluate_fn=kept
    )
    return models, secure.reports

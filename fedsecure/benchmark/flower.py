"""Flower's own secure aggregation, in this process: the baseline. Importing this needs flwr.

Its workflow and its client mod run as they are, joined by a grid that hands messages over directly.
What is not theirs to count is left out: copies of messages, training, and the averaging of results
that are all the same (`Strategy.aggregate_fit`), which their workflow does once more afterwards.
"""

from __future__ import annotations

import copy
import logging
import os
import time
import warnings
from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from fedsecure.benchmark.parties import MAX_EXAMPLES

os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
os.environ.setdefault("FLWR_DISABLE_UPDATE_CHECK", "1")
with warnings.catch_warnings():  # of its dependencies
    warnings.simplefilter("ignore")
    from flwr.app import ConfigRecord, Context, Message, RecordDict
    from flwr.common import (
        Code,
        FitRes,
        Parameters,
        Status,
        bytes_to_ndarray,
        ndarray_to_bytes,
        ndarrays_to_parameters,
        parameters_to_ndarrays,
    )
    from flwr.common.secure_aggregation.crypto.shamir import combine_shares, create_shares
    from flwr.common.secure_aggregation.secaggplus_constants import (
        RECORD_KEY_CONFIGS,
        Key,
        Stage,
    )
    from flwr.server.compat.grid_client_proxy import GridClientProxy
    from flwr.server.compat.legacy_context import LegacyContext
    from flwr.server.strategy import FedAvg
    from flwr.server.workflow.constant import MAIN_CONFIGS_RECORD, MAIN_PARAMS_RECORD
    from flwr.server.workflow.constant import Key as WorkflowKey
    from flwr.server.workflow.secure_aggregation import secaggplus_workflow as server_side
    from flwr.serverapp import Grid
    from flwr.supercore.primitives.asymmetric import (
        generate_key_pairs,
        private_key_to_bytes,
        public_key_to_bytes,
    )
    from flwr.supercore.task_identity import TaskIdentity

# Its package has a function of the same name.
client_side: Any = import_module("flwr.client.mod.secure_aggregation.secaggplus_mod")

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from fedsecure.benchmark.parties import Case

__all__ = ["Played", "client_parts", "play", "server_parts"]

_FIRST_NODE = 101
_CHUNK = 16  # bytes of a secret that are shared at a time
_SEED_BYTES = 32  # of a private mask
_CLIP, _TARGET, _MODULUS = 8.0, 1 << 22, 1 << 32  # as SecAggPlusWorkflow has them by default


@dataclass
class Played:
    """What one round gave and cost.

    Attributes:
        mean: The weighted mean; None if the round was not played to its end.
        clients: Seconds of processor of each client whose input was collected, up to it.
        server: Seconds of processor of the server.
        upload: Bytes of one client's masked vectors.
    """

    mean: NDArray[Any] | None = None
    clients: list[float] = field(default_factory=list)
    server: float = 0.0
    upload: int = 0


class _Client:
    """One client: their mod, around a training that gives the update at once."""

    def __init__(self, node: int, update: NDArray[np.float32], examples: int) -> None:
        self._context = Context(1, node, {}, RecordDict(), {})
        self._update, self._examples = update, examples
        self._training = 0.0
        self.seconds: dict[str, float] = defaultdict(float)

    def answer(self, message: Any, stage: str) -> Any:
        self._training = 0.0
        start = time.process_time()
        reply = client_side.secaggplus_mod(message, self._context, self._train)
        self.seconds[stage] += time.process_time() - start - self._training
        return reply

    def _train(self, message: Any, _context: Any) -> Any:
        start = time.process_time()
        parameters = ndarrays_to_parameters([self._update])
        result = FitRes(Status(Code.OK, ""), parameters, self._examples, {})
        record = client_side.compat.fitres_to_recorddict(result, keep_input=False)
        reply = Message(record, reply_to=message)
        self._training = time.process_time() - start
        return reply


class _Grid(Grid):
    """Hands each message to its client at once; from the clients in `gone`, no masked input."""

    def __init__(self, clients: dict[int, _Client], gone: frozenset[int]) -> None:
        self._clients, self._gone = clients, gone
        self.seconds = 0.0
        self.upload = 0

    def send_and_receive(self, messages: Iterable[Any], *, timeout: float | None = None) -> Any:
        del timeout
        start = time.process_time()
        replies = []
        for message in messages:
            node = message.metadata.dst_node_id
            stage = message.content.config_records[RECORD_KEY_CONFIGS][Key.STAGE]
            if stage == Stage.COLLECT_MASKED_VECTORS and node in self._gone:
                continue
            message.metadata.__dict__["_message_id"] = f"{stage} {node}"
            reply = self._clients[node].answer(copy.deepcopy(message), stage)
            reply.metadata.__dict__["_src_node_id"] = node
            vectors = reply.content.config_records[RECORD_KEY_CONFIGS].get(Key.MASKED_PARAMETERS)
            if vectors is not None:
                self.upload = sum(map(len, vectors))
            replies.append(reply)
        self.seconds += time.process_time() - start
        return replies

    # Flower's workflow of secure aggregation calls none of these, and one that did should fail.
    def _unused(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError

    run = property(_unused)
    set_run = create_message = get_node_ids = get_nodes = _unused
    push_messages = pull_messages = _unused


class _Strategy(FedAvg):
    """Keeps the mean, which is in every result by then, instead of taking their mean again."""

    kept: Any = None

    def aggregate_fit(self, _round: int, results: Any, _failures: Any) -> Any:
        self.kept = results[0][1].parameters
        return None, {}


def play(case: Case, threshold: int) -> Played:
    """Plays a round with Flower's `SecAggPlusWorkflow` and `secaggplus_mod`.

    Args:
        case: What is aggregated. The last `gone` clients share their keys and then vanish; if they
            are so many that there is no mean, those before them are timed all the same.
        threshold: How many shares give a secret back.
    """
    TaskIdentity.run_id = TaskIdentity.node_id = TaskIdentity.task_id = 1
    nodes = range(_FIRST_NODE, _FIRST_NODE + case.clients)
    clients = {
        node: _Client(node, update, examples)
        for node, update, examples in zip(nodes, case.updates(), case.examples(), strict=True)
    }
    grid = _Grid(clients, frozenset(nodes[case.survivors :]))
    context = _server_context(grid, nodes)
    shares = 1.0 if case.neighbors is None else case.neighbors + 1
    workflow = server_side.SecAggPlusWorkflow(shares, threshold, max_weight=float(MAX_EXAMPLES))
    logger = logging.getLogger("flwr")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    start = time.process_time()
    try:
        workflow(grid, context)
    finally:
        took = time.process_time() - start
        logger.setLevel(level)
    kept = context.strategy.kept
    return Played(
        mean=None if kept is None else parameters_to_ndarrays(kept)[0],
        clients=[
            sum(s for stage, s in clients[node].seconds.items() if stage != Stage.UNMASK)
            for node in nodes[: case.survivors]
        ],
        server=took - grid.seconds,
        upload=grid.upload,
    )


def _server_context(grid: _Grid, nodes: Sequence[int]) -> Any:
    strategy = _Strategy(
        fraction_fit=1.0,
        min_fit_clients=len(nodes),
        min_available_clients=len(nodes),
        accept_failures=False,
    )
    context = LegacyContext(context=Context(1, 1, {}, RecordDict(), {}), strategy=strategy)
    for node in nodes:
        context.client_manager.register(GridClientProxy(node, grid, 1))
    configs = ConfigRecord({WorkflowKey.CURRENT_ROUND: 1, WorkflowKey.START_TIME: 0.0})
    context.state.config_records[MAIN_CONFIGS_RECORD] = configs
    nothing = server_side.compat.parameters_to_arrayrecord(Parameters([], ""), keep_input=True)
    context.state.array_records[MAIN_PARAMS_RECORD] = nothing
    return context


def server_parts(case: Case, threshold: int) -> dict[str, tuple[float, Callable[[], object]]]:
    """Returns the server's work as parts: how often it does each, and a function that does it once.

    The parts are the functions of `SecAggPlusWorkflow` in `collect_masked_vectors_stage` and
    `unmask_stage`, as they are composed there; of handing messages on, nothing is counted.

    Args:
        case: As for `play`.
        threshold: As for `play`.
    """
    degree = case.clients - 1 if case.neighbors is None else case.neighbors
    alive, gone = case.survivors, case.gone
    # Of one survivor, itself and its surviving neighbors hold shares; of one that is gone, those.
    held = round(degree * (alive - 1) / (case.clients - 1)) + 1
    shapes = [(1,), (case.weights,)]
    total = [np.zeros(shape, np.int64) for shape in shapes]
    sent = [ndarray_to_bytes(vector) for vector in total]
    (private, public), seed = generate_key_pairs(), bytes(_SEED_BYTES)
    key, other = private_key_to_bytes(private), public_key_to_bytes(public)
    shares = create_shares(seed, threshold, degree + 1)[:held]
    # A key costs as many seeds as it is longer in chunks; padding adds 1 to 16 bytes.
    seeds = alive + gone * (len(key) // _CHUNK + 1) / (len(seed) // _CHUNK + 1)

    def receive() -> object:
        vectors = [bytes_to_ndarray(data) for data in sent]
        return server_side.parameters_addition(total, vectors)

    def take_off() -> object:
        mask = server_side.pseudo_rand_gen(seed, _MODULUS, shapes)
        return server_side.parameters_subtraction(total, mask)

    def agree() -> object:
        return server_side.generate_shared_key(
            server_side.bytes_to_private_key(key), server_side.bytes_to_public_key(other)
        )

    def decode() -> object:
        _, vectors = server_side.factor_extract(server_side.parameters_mod(total, _MODULUS))
        (found,) = server_side.dequantize(vectors, _CLIP, _TARGET)
        found += 1.0
        found *= 1.0
        return ndarrays_to_parameters([found])

    return {
        "receive": (alive, receive),
        "shares": (seeds, partial(combine_shares, shares)),
        "masks": (alive + gone * degree, take_off),
        "keys": (gone * degree, agree),
        "decode": (1, decode),
    }


def client_parts(
    update: NDArray[np.float32], neighbors: int
) -> dict[str, tuple[float, Callable[[], object]]]:
    """Returns what their client does with its vector as parts, as `server_parts` does.

    They are those of `_collect_masked_vectors` in their mod: "encode" scales and quantizes, "masks"
    draws and adds one of k + 1, "pack" reduces and serializes.

    Args:
        update: The update.
        neighbors: k.
    """
    parameters = ndarrays_to_parameters([update])
    quantized = client_side.factor_combine(1, client_side.quantize([update], _CLIP, _TARGET))
    vectors = [vector.astype(np.int64) for vector in quantized]  # as after the first mask
    shapes = [vector.shape for vector in vectors]

    def encode() -> object:
        scaled = client_side.parameters_multiply(parameters_to_ndarrays(parameters), 1.0)
        return client_side.factor_combine(1, client_side.quantize(scaled, _CLIP, _TARGET))

    def mask() -> object:
        drawn = client_side.pseudo_rand_gen(bytes(_SEED_BYTES), _MODULUS, shapes)
        return client_side.parameters_addition(vectors, drawn)

    def pack() -> object:
        return [ndarray_to_bytes(each) for each in client_side.parameters_mod(vectors, _MODULUS)]

    return {"encode": (1, encode), "masks": (neighbors + 1, mask), "pack": (1, pack)}

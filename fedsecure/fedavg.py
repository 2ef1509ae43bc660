"""Federated averaging as a value: two functions, a frozen state, any model and any aggregator.

McMahan, Moore, Ramage, Hampson, Aguera y Arcas: "Communication-Efficient Learning of Deep Networks
from Decentralized Data" (AISTATS 2017), Algorithm 1, with the server step of Reddi et al. "Adaptive
Federated Optimization" (ICLR 2021), Algorithm 1, for SGD:
params + server_lr * mean(trained - params).
"""

from __future__ import annotations

import math
import numbers
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from fedsecure._private_rounds import PrivateRounds, hint
from fedsecure.aggregate import secure_aggregate
from fedsecure.errors import EncodingError, LocalProtocolError
from fedsecure.privacy.events import NoSampling
from fedsecure.privacy.release import Release
from fedsecure.protocols.base import Aggregate
from fedsecure.protocols.masking import PairwiseMasking
from fedsecure.pytree import TreeSpec, flatten

if TYPE_CHECKING:
    from fedsecure.privacy.accounting import PrivacyAccountant
    from fedsecure.privacy.events import Sampling
    from fedsecure.privacy.mechanisms import VectorMechanism
    from fedsecure.privacy.report import PrivacyReport
    from fedsecure.protocols import base

__all__ = [
    "Aggregator",
    "FederatedAlgorithm",
    "RoundDiagnostics",
    "ServerState",
    "federated_averaging",
]

_NO_SAMPLING = NoSampling()
_DEFAULT_PROTOCOL = PairwiseMasking()
_EXACT = Release()

ClientUpdate = Callable[[Any, Any], tuple[Any, float]]
FloatVector = npt.NDArray[np.floating[Any]]


class Aggregator(Protocol):
    """Anything that turns one update per client and their weights into an `Aggregate`.

    Where all clients weigh the same, `weights` is None. Under privacy it is also given ``privacy``
    and ``protocol``, and it raises `EncodingError`, `LocalProtocolError` or `ThresholdError` only
    where nothing was released; whatever else it raises is accounted as a release.
    """

    def __call__(self, updates: Sequence[Any], *, weights: Sequence[float]) -> Aggregate:
        """Returns the weighted mean of `updates` (pytrees that fit together)."""


@dataclass(frozen=True)
class ServerState:
    """The global model between two rounds.

    Attributes:
        params: pytree of float arrays, the model that the next round starts from.
        round: how many rounds have been applied.
        mechanism: the mechanism of the next round, whose clip norm may have adapted; None without
            privacy, or before the first round.
        privacy: what all rounds so far have spent; None without a budget.
    """

    params: Any
    round: int = 0
    mechanism: VectorMechanism | None = None
    privacy: PrivacyReport | None = None


@dataclass(frozen=True)
class RoundDiagnostics:
    """What one round tells about itself; only values that the server may know.

    Attributes:
        round: number of the round, counted from 1.
        contributors: positions in `clients` whose updates are in the mean.
        total_weight: sum of their numbers of examples.
        update_norm: L2 norm of the mean update, before `server_lr`.
        seconds_training: wall time of all client updates together, in seconds.
        seconds_aggregation: wall time of the aggregator, in seconds.
        privacy: what all rounds up to this one have spent; None without a budget.
        release: what this round's mean does for privacy, in words and as an event to account.
        hint: advice in words, where so few clients have spent so much that none is hidden.
    """

    round: int
    contributors: tuple[int, ...]
    total_weight: float
    update_norm: float
    seconds_training: float
    seconds_aggregation: float
    privacy: PrivacyReport | None = None
    release: Release = _EXACT
    hint: str = ""


@dataclass(frozen=True)
class FederatedAlgorithm:
    """A federated algorithm as a pair of functions; it holds no state of its own.

    Attributes:
        init: `init(params) -> ServerState`; copies `params`.
        apply: `apply(state, clients) -> (ServerState, RoundDiagnostics)`; one round over a sequence
            of whatever `client_update` takes as its second argument. `state` is left as it was.
    """

    init: Callable[[Any], ServerState]
    apply: Callable[[ServerState, Sequence[Any]], tuple[ServerState, RoundDiagnostics]]


def federated_averaging(
    client_update: ClientUpdate,
    *,
    aggregate: Aggregator = secure_aggregate,
    server_lr: float = 1.0,
    weighted: bool = True,
    privacy: VectorMechanism | None = None,
    accountant: PrivacyAccountant | None = None,
    sampling: Sampling = _NO_SAMPLING,
    protocol: base.Protocol | None = None,
) -> FederatedAlgorithm:
    """Returns federated averaging with the given local training (McMahan et al. 2017, Algorithm 1).

    Each round every client gets its own copy of the model, trains it, and its update (trained -
    params) is averaged with its number of examples as weight; the model then moves by `server_lr`
    times the mean.

    With `privacy`, updates are clipped and the mean has noise (McMahan, Ramage, Talwar, Zhang:
    "Learning Differentially Private Recurrent Language Models", ICLR 2018), which hides whole
    clients. An accountant with a budget is asked before each round: the first that does not fit
    raises `BudgetError` before anybody trains, and leaves the state as it was. A round that fails
    is accounted if somebody may have seen its sum: not where a client is refused or too few come,
    but where clients had begun to reveal it. Save the accountant (`to_bytes`) before you publish a
    model.

    Args:
        client_update: `client_update(params, client_data) -> (trained_params, num_examples)`.
            `trained_params` has the tree, shapes and dtypes of `params`, which may be trained in
            place. `num_examples` is a finite number > 0.
        aggregate: how the updates are averaged; by default `secure_aggregate`, with every party in
            this process. Use `functools.partial` to choose its protocol and encoding.
        server_lr: the server's learning rate, > 0; 1.0 is the paper's plain averaging.
        weighted: False weighs all clients the same, whatever their numbers of examples.
        privacy: a mechanism of `fedsecure.privacy` that hides clients; None for exact means. With
            weights it must declare its `max_weight`.
        accountant: adds up what the rounds cost, with its own neighboring relation; None leaves
            that to the caller, who has `RoundDiagnostics.release`.
        sampling: how the clients of each round are chosen. By default nothing is assumed; Poisson
            sampling and cohorts of a fixed size are true only if you draw them so.
        protocol: with `privacy`, how the sum is protected, given to `aggregate`; it decides how
            many shares of the noise are certain. None: `PairwiseMasking()`.

    Returns:
        A `FederatedAlgorithm`.

    Raises:
        LocalProtocolError: `server_lr` is not a finite number > 0; an accountant, sampling or
            protocol without privacy, or parts that do not go together; at `apply`, there are no
            clients, another number than the sampling says, or `client_update` did not return a
            pair.
        BudgetError: at `apply`, the budget does not allow the round. Nothing has changed.
        ThresholdError: at `apply`, too few clients for the sum, or for any certain share of noise.
        EncodingError: weights under a mechanism without `max_weight`; at `init`, `params` holds
            something else than float arrays; at `apply`, a client's number of examples or its
            trained tree is unusable. The message names the client.

    Example:
        >>> import numpy as np
        >>> def train(params, data):  # one step towards the mean of the client's numbers
        ...     return {"m": params["m"] + 0.5 * (np.mean(data) - params["m"])}, len(data)
        >>> algorithm = federated_averaging(train)
        >>> state = algorithm.init({"m": np.zeros(1)})
        >>> for _ in range(20):
        ...     state, diagnostics = algorithm.apply(state, [[1.0], [2.0, 3.0], [6.0]])
        >>> round(float(state.params["m"][0]), 3)  # the mean of all four numbers
        3.0
    """
    rate = _checked_server_lr(server_lr)
    private = _private(privacy, accountant, sampling, protocol, weighted=weighted)

    def init(params: Any) -> ServerState:
        vector, spec = _to_vector(params)
        return ServerState(spec.unflatten(vector))

    def apply(state: ServerState, clients: Sequence[Any]) -> tuple[ServerState, RoundDiagnostics]:
        if len(clients) == 0:
            raise LocalProtocolError(
                "apply() got no clients: pass the data of the clients that take part in this round"
            )
        params, spec = _to_vector(state.params)
        average: Callable[..., Aggregate] = aggregate
        mechanism = None
        if private is not None:
            mechanism = private.current(state.mechanism)
            average = private.admit(aggregate, mechanism, len(clients), spec, state.round + 1)
        started = time.perf_counter()
        updates, weights = _train_all(client_update, params, spec, clients)
        trained = time.perf_counter()
        result = average(updates, weights=weights if weighted else None)
        aggregated = time.perf_counter()
        mean = _mean_vector(result, spec)
        diagnostics = RoundDiagnostics(
            round=state.round + 1,
            contributors=result.contributors,
            total_weight=result.total_weight,
            update_norm=float(np.linalg.norm(mean)),
            seconds_training=trained - started,
            seconds_aggregation=aggregated - trained,
            release=result.privacy,
        )
        stepped = spec.unflatten(params + rate * mean)
        if private is None or mechanism is None:
            return ServerState(stepped, state.round + 1), diagnostics
        report = private.report()
        diagnostics = replace(diagnostics, privacy=report, hint=hint(report, len(clients)))
        within = result.privacy.within
        following = mechanism if within is None else mechanism.updated(within)
        return ServerState(stepped, state.round + 1, following, report), diagnostics

    return FederatedAlgorithm(init, apply)


def _private(
    privacy: VectorMechanism | None,
    accountant: PrivacyAccountant | None,
    sampling: Sampling,
    protocol: base.Protocol | None,
    *,
    weighted: bool,
) -> PrivateRounds | None:
    if privacy is not None:
        return PrivateRounds(privacy, accountant, sampling, weighted, protocol or _DEFAULT_PROTOCOL)
    if accountant is not None or protocol is not None or sampling != _NO_SAMPLING:
        raise LocalProtocolError(
            "accountant, sampling and protocol go with privacy=...: without noise there is nothing "
            "to account, and the aggregator has its own protocol"
        )
    return None


def _checked_server_lr(server_lr: object) -> float:
    rate = _positive(server_lr)
    if rate is None:
        raise LocalProtocolError(
            f"server_lr is {server_lr!r}: give a finite number > 0, such as 1.0 for plain averaging"
        )
    return rate


def _positive(value: object) -> float | None:
    """Returns the value as a float, or None when it is no finite number > 0."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return None
    try:
        number = float(value)
    except OverflowError:  # an int beyond every float
        return None
    return number if 0 < number < math.inf else None


def _to_vector(tree: Any) -> tuple[FloatVector, TreeSpec]:
    """Returns a fresh 1-D copy of all values, in flat order, and the tree's description."""
    leaves, spec = flatten(tree)
    return np.concatenate(leaves, dtype=spec.dtype), spec


def _train_all(
    client_update: ClientUpdate, params: FloatVector, spec: TreeSpec, clients: Sequence[Any]
) -> tuple[list[Any], list[float]]:
    updates: list[Any] = []
    weights: list[float] = []
    for position, data in enumerate(clients):
        # A copy each: training in place is common in numpy, and must not reach the next client.
        answer = client_update(spec.unflatten(params.copy()), data)
        if not isinstance(answer, tuple) or len(answer) != 2:
            raise LocalProtocolError(
                f"client {position}: client_update returned {type(answer).__name__}, "
                "expected the pair (trained_params, num_examples)"
            )
        trained, num_examples = answer
        weights.append(_checked_num_examples(position, num_examples))
        updates.append(_update(position, trained, params, spec))
    return updates, weights


def _checked_num_examples(position: int, num_examples: object) -> float:
    weight = _positive(num_examples)
    if weight is None:
        raise EncodingError(
            f"client {position}: num_examples is {num_examples!r}, expected a finite number > 0; "
            "leave a client without examples out of the round"
        )
    return weight


def _update(position: int, trained: Any, params: FloatVector, spec: TreeSpec) -> Any:
    try:
        vector, found = _to_vector(trained)
        mismatch = found.difference(spec)
        if mismatch is None:
            return spec.unflatten(vector - params)
    except EncodingError as error:
        raise EncodingError(f"client {position}: trained params: {error}") from error
    raise EncodingError(
        f"client {position}: trained params do not fit the model: {mismatch}; "
        "client_update must return the tree, shapes and dtypes that it was given"
    )


def _mean_vector(result: Aggregate, spec: TreeSpec) -> FloatVector:
    vector, found = _to_vector(result.mean)
    mismatch = found.difference(spec)
    if mismatch is not None:
        raise LocalProtocolError(
            f"the aggregator's mean does not fit the model: {mismatch}; "
            "return Aggregate.mean with the tree, shapes and dtypes of the updates"
        )
    return vector

"""The server end: a grid that turns a strategy's training messages into one secure sum."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

from flwr.app import Error, Message, MessageType, MetricRecord, RecordDict
from flwr.serverapp import Grid

from fedsecure._private_rounds import Budget
from fedsecure.adapters.flower import strategies, updates
from fedsecure.adapters.flower.rounds import Failed, Rounds
from fedsecure.encoding import FixedPoint
from fedsecure.errors import LocalProtocolError, ThresholdError
from fedsecure.privacy.events import NoSampling
from fedsecure.protocols.masking import PairwiseMasking

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fedsecure.adapters.flower.letters import Terms
    from fedsecure.adapters.flower.reports import RoundReport
    from fedsecure.privacy.accounting import PrivacyAccountant
    from fedsecure.privacy.events import Sampling
    from fedsecure.privacy.mechanisms import VectorMechanism
    from fedsecure.protocols.base import Aggregate

__all__ = ["SecureGrid"]

_FAILED = 6  # Flower's MOD_FAILED_PRECONDITION: what a training round did not get
_BETWEEN = 30.0  # seconds; who waits for nodes asks every second, others are not waiting
_NO_SAMPLING = NoSampling()
_DEFAULT_PROTOCOL = PairwiseMasking()
_DEFAULT_ENCODING = FixedPoint(max_weight=1 << 20)


class SecureGrid(Grid):
    """A Flower grid under which a strategy gets the mean of the clients' updates, and nothing else.

    ``strategy.start(grid=SecureGrid(grid, ...), ...)``: training messages that the strategy sends
    become rounds of secure aggregation with the clients' `secure_mod`, and it gets one reply that
    holds the mean, under the names it expects. All other messages pass through as they are.

    A client that is late, fails, or dies drops out; the mean is that of the others. If too few are
    left, all replies are errors that say so, and strategies keep their model.

    Args:
        grid: The grid that Flower gave to the server app.
        protocol: The server's policy, the same as the clients'; against a malicious server, the
            default, with ``identities=`` the verify keys of all clients.
        encoding: How the change of a weight becomes an integer. ``clip`` bounds that change in one
            round, ``max_weight`` a client's weight. None: steps of 2^-20, 8 and 2^20. Under
            privacy the mechanism decides that, and none is given.
        weighted_by: The metric that weighs a client, inside the sum; None weighs all the same.
        metrics: Names of the metrics to average, inside the sum, with the largest magnitude each
            can have: ``{"train_loss": 100.0}``; a name alone stands for ``encoding.clip``. All
            other metrics stay with the client.
        exclude: Names or patterns of arrays that are not aggregated: they never leave a client, and
            the strategy gets them back as it sent them. For integers, such as counters.
        privacy: None, or the mechanism whose noise every mean gets, such as
            `fedsecure.DistributedSkellam`; clients give `secure_mod` the same. Weights need its
            ``max_weight``; its clip is fixed.
        accountant: Asked before each round, and told what was released: a round that its budget
            does not allow fails before anybody trains, and the strategy keeps its model.
        sampling: How the nodes of each round are chosen. By default nothing is assumed; sampling is
            true only if the strategy draws them so.
        timeout: Seconds of every wave in which nobody trains, and of waiting for enough nodes. The
            wave in which clients train has the timeout that the strategy is started with.

    Raises:
        LocalProtocolError: An argument is wrong, or the strategy that starts needs single updates.
        EncodingError: Weights under a mechanism that declares no largest one.
    """

    def __init__(
        self,
        grid: Any,
        *,
        protocol: PairwiseMasking = _DEFAULT_PROTOCOL,
        encoding: FixedPoint | None = None,
        weighted_by: str | None = "num-examples",
        metrics: Iterable[str] | Mapping[str, float] = (),
        exclude: Iterable[str] = (),
        privacy: VectorMechanism | None = None,
        accountant: PrivacyAccountant | None = None,
        sampling: Sampling = _NO_SAMPLING,
        timeout: float = 600.0,
    ) -> None:
        if isinstance(grid, SecureGrid):
            raise LocalProtocolError("this grid is a SecureGrid already")
        if not isinstance(protocol, PairwiseMasking):
            raise LocalProtocolError(f"protocol is {protocol!r:.60}; give a PairwiseMasking")
        if weighted_by is not None and (not isinstance(weighted_by, str) or not weighted_by):
            raise LocalProtocolError(
                f"weighted_by is {weighted_by!r}; give a metric's name, or None"
            )
        if privacy is None:
            encoding = _DEFAULT_ENCODING if encoding is None else encoding
            _check_encoding(encoding, weighted_by)
        elif encoding is not None:
            raise LocalProtocolError(
                "under privacy the mechanism decides how floats become integers; leave encoding out"
            )
        else:
            encoding = FixedPoint()
        if isinstance(exclude, str):
            raise LocalProtocolError(f"exclude is the text {exclude!r}; give a list of names")
        self._grid = grid
        self._encoding = encoding
        self._weight = weighted_by or ""
        self._metrics = updates.checked_metrics(metrics, encoding.clip)
        self._exclude = tuple(exclude)
        self._timeout = _seconds("timeout", timeout)
        if privacy is not None and self._metrics:
            raise LocalProtocolError(
                "metrics would be released without noise beside a private mean; give metrics=()"
            )
        options: dict[str, Any] = {"encoding": encoding, "weighted": weighted_by is not None}
        if privacy is not None:
            options["privacy"] = privacy
        budget = _budget(privacy, accountant, sampling, weighted=weighted_by is not None)
        self._rounds = Rounds(grid, protocol, options, self._timeout, budget)
        self._asked_at = self._waiting_since = -math.inf

    @property
    def reports(self) -> tuple[RoundReport, ...]:
        """What happened in each round so far."""
        return tuple(self._rounds.reports)

    def send_and_receive(
        self, messages: Iterable[Any], *, timeout: float | None = None
    ) -> Sequence[Any]:
        """Returns the replies: of training, one that holds the mean, or errors for all nodes.

        Args:
            messages: Messages of one kind, training or not.
            timeout: Seconds until whoever has not trained has dropped out.

        Raises:
            LocalProtocolError: The strategy needs single updates, or sends different models to
                different nodes, or to other than so many nodes as `sampling` draws; or there is no
                deadline.
            EncodingError: The model has arrays that cannot be averaged; see `SecureGrid`.
        """
        self._asked_at = -math.inf
        asked = list(messages)
        training = [message for message in asked if _trains(message)]
        if not training:
            replies: Sequence[Any] = self._grid.send_and_receive(asked, timeout=timeout)
            return replies
        if len(training) < len(asked):
            raise LocalProtocolError("training and other messages in one go; send them apart")
        if timeout is None:
            raise LocalProtocolError(
                "training without a deadline would wait for ever for a client that has died; "
                "start the strategy with timeout=..."
            )
        strategy = self._checked_strategy()
        key, record = _model(training)
        metrics = dict(self._metrics)
        if strategies.norm_bit_wanted(strategy):
            metrics.setdefault(strategies.NORM_BIT, 1.0)
        spec, terms = updates.summed(
            record, exclude=self._exclude, weight=self._weight, metrics=metrics
        )
        try:
            result = self._rounds.run(training, spec, terms, timeout=_seconds("timeout", timeout))
        except Failed as error:
            return [_error(message, error) for message in training]
        return self._replies(strategy, training, (key, record), result, terms)

    def _replies(
        self,
        strategy: Any,
        asked: Sequence[Any],
        model: tuple[str, Any],
        result: Aggregate,
        terms: Terms,
    ) -> list[Any]:
        """Returns the mean as one reply; for a strategy that counts replies, one per contributor.

        Averaging equal replies gives the same mean, so one is enough wherever nobody counts.
        """
        key, record = model
        arrays, metrics = updates.applied(record, result.mean, terms, self._encoding.clip)
        contributors = self.reports[-1].contributors
        counted = strategies.wants_counts(strategy)
        copies = contributors if counted else contributors[:1]
        weight_key = self._weight or strategies.weighted_by_key(strategy, "num-examples")
        weight = result.total_weight / len(copies)
        ones = round(metrics.get(strategies.NORM_BIT, 0.0) * len(copies))
        replies = []
        for at, node in enumerate(copies):
            told = {**metrics, weight_key: weight}
            if strategies.norm_bit_wanted(strategy):
                told[strategies.NORM_BIT] = float(at < ones)  # their number, not whose they are
            content = RecordDict({key: arrays, "metrics": MetricRecord(told)})
            message = next(each for each in asked if each.metadata.dst_node_id == node)
            replies.append(Message(content, reply_to=message))
        return replies

    def _checked_strategy(self) -> Any:
        """Returns the strategy that is running, if it goes with this grid."""
        strategy = strategies.running_strategy()
        strategies.check_strategy(strategy, weighted=bool(self._weight))
        key = strategies.weighted_by_key(strategy, self._weight)
        if self._weight and key != self._weight:
            raise LocalProtocolError(
                f"the strategy is weighted by {key!r}, the sum by {self._weight!r}; give "
                f"SecureGrid(weighted_by={key!r})"
            )
        return strategy

    def get_node_ids(self) -> Iterable[int]:
        """Returns Flower's ids of the nodes that are connected.

        Strategies ask again and again until there are enough, which may never be.

        Raises:
            LocalProtocolError: The strategy that is starting needs single updates.
            ThresholdError: Somebody has asked for longer than the timeout without sending anything.
        """
        self._checked_strategy()
        now = time.monotonic()
        if now - self._asked_at > _BETWEEN:
            self._waiting_since = now
        self._asked_at = now
        if now - self._waiting_since > self._timeout:
            raise ThresholdError(
                f"the strategy has waited for more nodes for {self._timeout:g} s; start them, or "
                "ask for fewer"
            )
        found: Iterable[int] = self._grid.get_node_ids()
        return found

    def push_messages(self, messages: Iterable[Any]) -> Iterable[str]:
        """Sends messages that ask for no training.

        Raises:
            LocalProtocolError: Training is among them: a sum needs `send_and_receive`.
        """
        asked = list(messages)
        if any(_trains(message) for message in asked):
            raise LocalProtocolError(
                "a secure sum takes several waves: send training with send_and_receive"
            )
        sent: Iterable[str] = self._grid.push_messages(asked)
        return sent

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Any]:
        """Returns the replies to messages sent with `push_messages` that have come."""
        replies: Iterable[Any] = self._grid.pull_messages(message_ids)
        return replies

    def get_nodes(self) -> Iterable[Any]:
        """Returns what Flower knows of the nodes that are connected."""
        nodes: Iterable[Any] = self._grid.get_nodes()
        return nodes

    def create_message(self, *args: Any, **kwargs: Any) -> Any:
        """Returns a new message, as Flower's grid makes it."""
        return self._grid.create_message(*args, **kwargs)

    def set_run(self, run: Any) -> None:
        """Sets Flower's run."""
        self._grid.set_run(run)

    @property
    def run(self) -> Any:
        """Flower's run."""
        return self._grid.run


def _trains(message: Any) -> bool:
    kind: str = message.metadata.message_type
    return kind.partition(".")[0] == str(MessageType.TRAIN)


def _model(messages: Sequence[Any]) -> tuple[str, Any]:
    """Returns the one model that all messages carry, and its key."""
    records = messages[0].content.array_records
    if len(records) != 1:
        raise LocalProtocolError(
            f"the training messages carry {len(records)} ArrayRecords; a secure sum is over one"
        )
    ((key, record),) = records.items()
    for message in messages[1:]:
        other = message.content.array_records.get(key)
        if other is not record and other != record:
            raise LocalProtocolError(
                "the strategy sends different models to different nodes, and the changes of "
                "different models have no mean"
            )
    return key, record


def _error(message: Any, reason: object) -> Any:
    return Message(Error(_FAILED, f"no secure sum: {reason}"), reply_to=message)


def _seconds(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise LocalProtocolError(f"{name} is {value!r}; give a finite number of seconds above 0")
    return float(value)


def _budget(
    privacy: VectorMechanism | None,
    accountant: PrivacyAccountant | None,
    sampling: Sampling,
    *,
    weighted: bool,
) -> Budget | None:
    if privacy is None:
        if accountant is not None or sampling != _NO_SAMPLING:
            raise LocalProtocolError(
                "accountant and sampling go with privacy=...: means without noise cost all of any "
                "budget"
            )
        return None
    budget = Budget(privacy, accountant, sampling, weighted)
    if privacy.adaptive is not None:
        raise LocalProtocolError(
            "the next round's session is prepared before this one's clip is known, so a clip does "
            "not adapt under Flower; give the mechanism a fixed clip_norm"
        )
    return budget


def _check_encoding(encoding: Any, weighted_by: str | None) -> None:
    if not isinstance(encoding, FixedPoint):
        raise LocalProtocolError(f"encoding is {encoding!r:.60}; give a FixedPoint")
    if weighted_by is not None and encoding.max_weight is None:
        raise LocalProtocolError(
            f"a sum weighted by {weighted_by!r} needs the largest weight a client can have: give "
            "FixedPoint(max_weight=...), or weighted_by=None to weigh all the same"
        )

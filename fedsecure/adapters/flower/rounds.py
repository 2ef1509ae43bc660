"""The rounds of a run: which waves each takes, and what rides on them.

A round's session needs keys and shares before it can sum. They are exchanged during the round
before, on messages that are sent anyway, so a steady round takes two waves, or three against a
malicious server. Every session has fresh keys and is used once; one that was prepared and is not
wanted is dropped.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from flwr.app import Message, RecordDict

from fedsecure.adapters.flower import updates
from fedsecure.adapters.flower.letters import NO_TERMS, Answer, Order, put, take
from fedsecure.adapters.flower.reports import RoundReport
from fedsecure.adapters.flower.sessions import RunningSession
from fedsecure.adapters.flower.waves import wave
from fedsecure.errors import BudgetError, CheaterDetected, RemoteProtocolError, ThresholdError
from fedsecure.protocols.masking.messages import SignedBy
from fedsecure.protocols.masking.states import Stage
from fedsecure.protocols.signing import check_signature

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fedsecure._private_rounds import Budget
    from fedsecure.adapters.flower.letters import Terms
    from fedsecure.errors import FedSecureError
    from fedsecure.privacy.events import Event
    from fedsecure.protocols.base import Aggregate
    from fedsecure.pytree import TreeSpec

__all__ = ["Failed", "Rounds"]

_LOG = logging.getLogger("flwr.fedsecure")
_CLOCKS = 600.0  # seconds that the clocks of two machines may be apart: messages name their end


class Failed(Exception):
    """A round without a mean: the model stays as it was."""


class Rounds:
    """Runs the sessions of a run, one for each round of training.

    Args:
        grid: Flower's grid.
        protocol: The server's policy.
        options: What else `Protocol.session` is given for each session.
        timeout: Seconds of a wave without training.
        budget: Asked before anybody trains, told what was released; None for exact means.
    """

    def __init__(
        self,
        grid: Any,
        protocol: Any,
        options: Mapping[str, Any],
        timeout: float,
        budget: Budget | None,
    ) -> None:
        self._grid = grid
        self._protocol = protocol
        self._options = options
        self._timeout = timeout
        self._budget = budget
        self._asked: dict[int, Any] = {}
        self._client_of: dict[int, int] = {}
        self._next: RunningSession | None = None
        self._number = 0
        self._waves: list[str] = []
        self._lost: dict[int, str] = {}
        self._signed: dict[int, bytes] = {}
        self.reports: list[RoundReport] = []

    def run(
        self, messages: Sequence[Any], spec: TreeSpec, terms: Terms, *, timeout: float
    ) -> Aggregate:
        """Returns the mean of the updates that the nodes of these messages train.

        Args:
            messages: The strategy's training messages, one per node, all with the same arrays.
            spec: The tree of an update.
            terms: What of a training reply is in it.
            timeout: Seconds of the wave in which clients train.

        Raises:
            Failed: Too few clients are left, or the privacy budget does not allow the round. The
                report says the same.
            LocalProtocolError: Other than so many nodes as the sampling draws.
        """
        if self._budget is not None:
            self._budget.check_cohort(len(messages))
        self._number += 1
        self._waves, self._lost, self._signed = [], {}, {}
        self._asked = {message.metadata.dst_node_id: message for message in messages}
        prepared, self._next = self._next, None
        try:
            self._greet([node for node in self._asked if node not in self._client_of])
            running = self._running(spec, terms, prepared)
            event = self._admitted(running)
            self._exchange_keys(running)
            self._prepare(spec, terms)
            self._train(running, timeout)
            while not running.finished:
                self._unmask(running, event)
        except Failed as error:
            self._next = None
            self._report(failure=str(error))
            raise
        result = running.result()
        self._report(result)
        return result

    def _admitted(self, running: RunningSession) -> Event | None:
        """Returns what the sum of this session is to an accountant, if there is noise in it.

        Raises:
            Failed: The budget does not allow it.
        """
        session = running.session
        if self._budget is None or session.plan is None:
            return None
        try:
            return self._budget.allowed(session.plan, self._number, len(session.client_ids))
        except BudgetError as error:
            raise Failed(str(error)) from error

    def _greet(self, nodes: Sequence[int]) -> None:
        """Asks new nodes for their client ids, in a wave of its own if there are any."""
        if not nodes:
            return
        told: dict[int, int] = {}

        def arrived(node: int, answer: Answer, vectors: Sequence[bytes]) -> None:
            del vectors
            told[node] = answer.client_id

        self._wave("hello", dict.fromkeys(nodes, Order((), b"", NO_TERMS, ())), arrived)
        connected = set(self._grid.get_node_ids())
        owners = {client_id: node for node, client_id in self._client_of.items()}
        pinned = self._protocol.identities
        for node, client_id in told.items():
            owner = owners.get(client_id)
            if owner in connected:
                self._lose(node, f"it says it is client {client_id}, as node {owner} does")
            elif pinned is not None and client_id not in pinned:
                self._lose(node, f"client {client_id} has no pinned verify key at the server")
            else:
                if owner is not None:  # that node is gone, and this one came in its place
                    del self._client_of[owner]
                owners[client_id] = node
                self._client_of[node] = client_id

    def _running(
        self, spec: TreeSpec, terms: Terms, prepared: RunningSession | None
    ) -> RunningSession:
        """Returns this round's session: the one that was prepared, or one without keys yet."""
        clients = self._clients()
        if prepared is not None:
            if prepared.serves(clients, spec, terms):
                return prepared
            _LOG.info(
                "fedsecure: round %d begins with keys in waves of their own: its nodes or its "
                "arrays are others than those that keys were exchanged for in the round before",
                self._number,
            )
        return self._open(spec, terms, clients, self._number)

    def _exchange_keys(self, running: RunningSession) -> None:
        """Two waves after which a session waits for masked inputs, if it does not yet."""
        if running.stage == Stage.MASKED_INPUT:
            return
        for name in ("keys", "shares"):
            self._wave(name, self._orders(running), partial(self._take, running))
            _require(running.close())

    def _prepare(self, spec: TreeSpec, terms: Terms) -> None:
        """Opens the next round's session, which this round's waves carry along.

        Only if all nodes take part: of nodes that are sampled, hardly ever the same come again.
        """
        if set(self._asked) >= set(self._grid.get_node_ids()):
            self._next = self._open(spec, terms, self._clients(), self._number + 1)

    def _open(
        self, spec: TreeSpec, terms: Terms, clients: Sequence[int], number: int
    ) -> RunningSession:
        try:
            session = self._protocol.session(
                client_ids=clients, spec=spec, round=number, **self._options
            )
        except ThresholdError as error:
            raise Failed(str(error)) from error
        return RunningSession(self._protocol, session, terms)

    def _train(self, running: RunningSession, timeout: float) -> None:
        """The wave in which clients train and send their masked inputs."""
        content = next(iter(self._asked.values())).content
        model = updates.digest(content, running.terms) if running.session.verify_keys else b""

        def arrived(node: int, answer: Answer, vectors: Sequence[bytes]) -> str | None:
            if answer.failure or not model or self._signs(running, answer, model):
                return self._take(running, node, answer, vectors)
            self._take_next(answer)
            return "it has not signed the model that it was sent"

        self._wave("train", self._orders(running, training=True), arrived, timeout=timeout)
        self._close_next()
        _require(running.close())

    def _unmask(self, running: RunningSession, event: Event | None) -> None:
        """A wave after training: the survivors are compared, or masks come off.

        The last one is accounted as a release however it ends: an answer that comes after the
        deadline is at the server all the same, and the sum with it.
        """
        if running.stage != Stage.UNMASKING:
            self._end_wave("survivors", running)
            return
        agreed: tuple[SignedBy, ...] = ()
        if running.session.verify_keys:
            # Of all whose inputs are in the sum, gone since or not: that is whom clients ask for.
            agreed = tuple(SignedBy(*entry) for entry in sorted(self._signed.items()))
        try:
            self._end_wave("unmask", running, agreed)
        finally:
            if self._budget is not None and event is not None:
                self._budget.account(event)

    def _end_wave(
        self, name: str, running: RunningSession, agreed: tuple[SignedBy, ...] = ()
    ) -> None:
        self._wave(name, self._orders(running, agreed=agreed), partial(self._take, running))
        self._close_next()
        _require(running.close())

    def _orders(
        self, running: RunningSession, *, training: bool = False, agreed: tuple[SignedBy, ...] = ()
    ) -> dict[int, Order]:
        """Returns what each node is to do in a session, and in the next one beside it."""
        orders: dict[int, Order] = {}
        for node in self._asked:
            client_id = self._client_of.get(node)
            if client_id is None:
                continue
            own = running.part(client_id)
            beside = [] if self._next is None else self._next.part(client_id, hold=True)
            if own or beside:
                orders[node] = Order(
                    parts=(*own, *beside),
                    training=running.session.session_id if training and own else b"",
                    terms=running.terms if training and own else NO_TERMS,
                    agreed=agreed if own else (),
                )
        return orders

    def _take(
        self, running: RunningSession, node: int, answer: Answer, vectors: Sequence[bytes] = ()
    ) -> str | None:
        """Hands an answer to its sessions; returns why its client has dropped out of the first."""
        del node
        self._take_next(answer)
        if answer.client_id not in running.clients:
            return None
        reason = running.receive(answer.client_id, answer.parts, vectors)
        return reason and (answer.failure or reason)

    def _take_next(self, answer: Answer) -> None:
        """Hands an answer to the next session, whose drop-outs are counted when it is used."""
        if self._next is not None and self._next.stage != Stage.MASKED_INPUT:
            self._next.receive(answer.client_id, answer.parts)

    def _close_next(self) -> None:
        if self._next is None or self._next.stage == Stage.MASKED_INPUT:
            return
        error = self._next.close()
        if error is not None:
            _LOG.info("fedsecure: keys for the next round are given up: %s", error)
            self._next = None

    def _signs(self, running: RunningSession, answer: Answer, model: bytes) -> bool:
        """Returns whether a client signed the model it was sent; keeps the signature for all."""
        session, client_id = running.session, answer.client_id
        if client_id not in running.clients:
            return True
        statement = updates.statement(session.session_id, model)
        try:
            check_signature(session, client_id, answer.signature, statement, client_id)
        except CheaterDetected:
            return False
        self._signed[client_id] = answer.signature
        return True

    def _wave(
        self,
        name: str,
        orders: Mapping[int, Order],
        arrived: Callable[[int, Answer, Sequence[bytes]], str | None],
        *,
        timeout: float | None = None,
    ) -> None:
        """Sends orders to nodes and hands over their answers; in training, with the model."""
        self._waves.append(name)
        seconds = self._timeout if timeout is None else timeout

        def opened(node: int, reply: Any) -> str | None:
            try:
                answer, vectors = take(reply.content, Answer)
            except RemoteProtocolError as error:
                return f"{error}: is secure_mod among the mods of its ClientApp?"
            if answer.client_id != self._client_of.get(node, answer.client_id):
                return f"it now says that it is client {answer.client_id}"
            return arrived(node, answer, vectors)

        messages = []
        for node, order in orders.items():
            asked = self._asked[node]
            content = RecordDict(dict(asked.content) if order.training else {})
            put(content, order)
            kind, group = asked.metadata.message_type, asked.metadata.group_id
            lives = seconds + _CLOCKS
            messages.append(Message(content, node, kind, ttl=lives, group_id=group))
        lost = wave(self._grid, name, messages, timeout=seconds, arrived=opened)
        for node, reason in lost.items():
            self._lost.setdefault(node, reason)

    def _lose(self, node: int, reason: str) -> None:
        _LOG.warning("fedsecure: node %d is left out: %s", node, reason)
        self._lost[node] = reason

    def _clients(self) -> list[int]:
        """The clients whose nodes this round asks."""
        return [self._client_of[node] for node in self._asked if node in self._client_of]

    def _report(self, result: Aggregate | None = None, failure: str = "") -> None:
        inside = () if result is None else result.contributors
        contributors = tuple(n for n in self._asked if self._client_of.get(n) in inside)
        dropouts = {
            node: self._lost.get(node, "it was not reached" if failure == "" else failure)
            for node in self._asked
            if node not in contributors
        }
        report = RoundReport(
            number=self._number,
            waves=tuple(self._waves),
            contributors=contributors,
            dropouts=dropouts,
            failure=failure,
            adversary="none" if result is None else result.adversary,
            clipped=None if result is None else result.clipped,
            privacy=None if result is None else result.privacy,
        )
        self.reports.append(report)
        report.log()


def _require(error: FedSecureError | None) -> None:
    if error is not None:
        raise Failed(str(error)) from error

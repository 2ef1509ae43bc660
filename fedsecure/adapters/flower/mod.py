"""The client end: a mod round the training function, which never lets an update out unmasked.

Every message may find a new process, so the parties live in `context.state` between messages, as
the secret bytes of `to_bytes`. They are taken out before anything else happens and put back when
the answer is made: what fails on the way is forgotten, and a finished session leaves nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flwr.app import ConfigRecord, Error, Message, MessageType, RecordDict

from fedsecure import wire
from fedsecure.adapters.flower import updates
from fedsecure.adapters.flower.identities import masking_from_node_config, node_number
from fedsecure.adapters.flower.letters import KEY, MAX_FAILURE, Answer, Order, Part, put, take
from fedsecure.errors import (
    CheaterDetected,
    EncodingError,
    FedSecureError,
    LocalProtocolError,
    RemoteProtocolError,
)
from fedsecure.primitives import identity as identities
from fedsecure.protocols.masking import PairwiseMasking
from fedsecure.protocols.masking.client import MaskingClient
from fedsecure.protocols.masking.states import Stage
from fedsecure.protocols.session import Session
from fedsecure.protocols.signing import sign

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fedsecure.adapters.flower.letters import Terms
    from fedsecure.privacy.mechanisms import VectorMechanism
    from fedsecure.protocols.masking.messages import SignedBy

__all__ = ["secure_mod"]

_LOG = logging.getLogger("flwr.fedsecure")
_REFUSED = 6  # Flower's MOD_FAILED_PRECONDITION

_Policy = PairwiseMasking | Callable[[Any], PairwiseMasking]
_Next = Callable[[Any, Any], Any]


def secure_mod(
    protocol: _Policy = masking_from_node_config,
    *,
    client_id: Callable[[Any], int] = node_number,
    privacy: VectorMechanism | None = None,
) -> Callable[[Any, Any, _Next], Any]:
    """Returns a mod that masks what the training function replies, for Flower's `ClientApp(mods=)`.

    Give it first in the list: what other mods do to a reply, such as clipping it, then happens
    before it is masked. A training message that does not come from a `SecureGrid` is refused, since
    its reply would be readable. Evaluation and queries pass through and are not protected.

    Args:
        protocol: This client's own policy, which the server's sessions are compared with, or a
            function from Flower's context to it. By default a policy against a malicious server,
            made by `masking_from_node_config`.
        client_id: Gives a node's client id, below 2^32 - 1 and its own among all nodes, from
            Flower's context; by default `node_number`. Flower's node ids are too long, and other
            ones in each run.
        privacy: The noise that this client insists on, the same as `SecureGrid` has or less; None
            for exact sums. A session with less noise, or with noise nobody asked for, is refused.

    Raises:
        LocalProtocolError: `protocol` is neither a `PairwiseMasking` nor a function.
    """
    if not isinstance(protocol, PairwiseMasking) and (
        isinstance(protocol, type) or not callable(protocol)
    ):
        raise LocalProtocolError(
            f"protocol is {protocol!r:.60}; give a PairwiseMasking, or a function that makes one "
            "from Flower's context"
        )

    def mod(message: Any, context: Any, call_next: _Next) -> Any:
        if message.metadata.message_type.partition(".")[0] != MessageType.TRAIN:
            return call_next(message, context)
        try:
            order, _ = take(message.content, Order)
            policy = protocol if isinstance(protocol, PairwiseMasking) else protocol(context)
            desk = _Desk(policy, client_id(context), context, privacy)
        except FedSecureError as error:
            _LOG.warning("fedsecure refuses a training message: %s", error)
            mine = not isinstance(error, RemoteProtocolError)
            why = (
                "because of how this client is configured; its log says why" if mine else str(error)
            )
            reason = f"fedsecure refuses this training message, {why}"
            return Message(Error(_REFUSED, reason), reply_to=message)
        answer, vectors = desk.answer(order, message, call_next)
        content = RecordDict()
        put(content, answer, vectors)
        return Message(content, reply_to=message)

    return mod


class _Desk:
    """What a client does with one order.

    Args:
        policy: Its policy.
        client_id: Its id.
        context: Flower's; its sessions are taken out of the state here.
        privacy: The noise that it insists on.
    """

    def __init__(
        self,
        policy: PairwiseMasking,
        client_id: int,
        context: Any,
        privacy: VectorMechanism | None,
    ) -> None:
        self._policy = policy
        self._privacy = privacy
        self._id = client_id
        self._context = context
        saved = context.state.config_records.pop(KEY, {})
        self._saved: dict[str, Sequence[bytes]] = dict(saved)
        self._kept: dict[str, list[bytes]] = {}
        self._failures: list[str] = []
        self._vectors: list[bytes] = []
        self._signature = b""

    def answer(self, order: Order, message: Any, call_next: _Next) -> tuple[Answer, list[bytes]]:
        parts: list[Part] = []
        for part in order.parts:
            try:
                parts.append(self._go_on(part, order, message, call_next))
            except FedSecureError as error:
                self._fail(error)
        if self._kept:
            self._context.state[KEY] = ConfigRecord(self._kept)
        failure = "; ".join(self._failures)[:MAX_FAILURE]
        return Answer(self._id, tuple(parts), self._signature, failure), self._vectors

    def _go_on(self, part: Part, order: Order, message: Any, call_next: _Next) -> Part:
        """Takes one session a step further, and keeps its party if it is not over."""
        client, model = self._party(part)
        mail: list[bytes] = list(client.start()) if part.invitation else []
        answers = mail
        if order.training == part.session_id:
            model, answers = self._train(client, order, message, call_next), self._vectors
        for data in part.mail:
            if client.session.verify_keys and client.stage == Stage.UNMASKING:
                self._check_agreement(client, model, order.agreed)
            answers.extend(client.receive(data))
        if not client.finished:
            self._kept[part.session_id.hex()] = [client.to_bytes(), model]
        return Part(part.session_id, b"", tuple(mail))

    def _party(self, part: Part) -> tuple[MaskingClient, bytes]:
        """Returns the session's party, and the digest of the model it trained, once it has."""
        if part.invitation:
            session = Session.from_bytes(part.invitation)
            if session.session_id != part.session_id:
                raise RemoteProtocolError("the invitation is to another session than it says")
            return self._policy.client(session, self._id, privacy=self._privacy), b""
        # Taken, not looked at: an order that names a session twice would have one stage answered
        # twice, and two sets of survivors unmasked show a single update.
        saved = self._saved.pop(part.session_id.hex(), None)
        if saved is None:
            raise LocalProtocolError(
                "this client has no part in the session: it was never invited, or has forgotten it"
            )
        data, model = saved
        return MaskingClient.from_bytes(data, self._policy.identity_of(self._id)), model

    def _train(self, client: MaskingClient, order: Order, message: Any, call_next: _Next) -> bytes:
        """Trains, gives the party its update, and returns the digest of what was trained from."""
        records = message.content.array_records
        if len(records) != 1:
            raise RemoteProtocolError(f"a training message with {len(records)} ArrayRecords, not 1")
        (record,) = records.values()
        received = dict(record)
        session = client.session
        model = updates.digest(message.content, order.terms)
        reply = _run(call_next, message, self._context)
        tree, weight = updates.contribution(
            received, reply.content, order.terms, session.encoding.clip
        )
        client.set_update(tree, weight)
        _say_what_stays(reply.content, order.terms)
        statement = updates.statement(session.session_id, model)
        self._signature = sign(self._policy.identity_of(self._id), statement)
        return model

    def _check_agreement(
        self, client: MaskingClient, model: bytes, agreed: Sequence[SignedBy]
    ) -> None:
        """Raises `CheaterDetected` unless all survivors signed that they trained this one's model.

        Otherwise a server could let all others train a model that makes their updates vanish.
        """
        signatures = {entry.client_id: entry.signature for entry in agreed}
        session = client.session
        expected = updates.statement(session.session_id, model)
        keys = dict(zip(session.client_ids, session.verify_keys, strict=True))
        for peer in client.survivors:
            if not identities.verify(keys[peer], signatures.get(peer, b""), expected):
                raise CheaterDetected(
                    f"client {peer} has not signed that it trained the model, the configuration "
                    "and the terms that this client was given; all clients of a round must be "
                    "given the same",
                    wire.SERVER,
                )

    def _fail(self, error: FedSecureError) -> None:
        _LOG.warning("fedsecure: client %d drops out of a session: %s", self._id, error)
        # What an EncodingError says of an update is for this side only.
        private = isinstance(error, EncodingError)
        self._failures.append(
            "the update cannot be encoded; this client's log says why" if private else str(error)
        )


def _say_what_stays(content: Any, terms: Terms) -> None:
    (told,) = content.metric_records.values()
    stays = set(told).difference([terms.weight], [name for name, _ in terms.metrics])
    if stays:
        _LOG.info(
            "fedsecure: of the metrics, %s stay here: SecureGrid(metrics=[...]) names what is "
            "averaged inside the sum",
            sorted(stays),
        )


def _run(call_next: _Next, message: Any, context: Any) -> Any:
    """Returns the training function's reply; a failure's text stays in this client's log."""
    try:
        reply = call_next(message, context)
    except Exception as error:
        _LOG.exception("fedsecure: the training function failed")
        kind = type(error).__name__
        raise LocalProtocolError(
            f"training failed with {kind}; this client's log says why"
        ) from None
    if reply.has_error():
        _LOG.warning("fedsecure: training failed: %s", reply.error.reason)
        code = reply.error.code
        raise LocalProtocolError(f"training failed with error {code}; this client's log says why")
    return reply

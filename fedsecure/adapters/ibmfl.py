"""IBM Federated Learning: a bridge between its fusion handler and our parties.

IBM FL's aggregator runs a fusion handler, which queries parties as often as it likes and gets one
`ModelUpdate` from each; its parties answer in a local training handler. That is all a protocol of
several stages needs. `SecureFusion` is what a handler's ``start_global_training`` calls,
`SecureTraining` what a party's ``train`` calls; neither imports `ibmfl`, which is in no package
index: they were written against its documented interface and run with stand-ins for it.
docs/ibm_fl.md has the two classes to derive in `ibmfl`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from fedsecure import wire
from fedsecure.encoding import FixedPoint
from fedsecure.errors import (
    CheaterDetected,
    EncodingError,
    FedSecureError,
    LocalProtocolError,
    RemoteProtocolError,
)
from fedsecure.protocols.base import Aggregate, Client, Protocol
from fedsecure.protocols.model import model_digest
from fedsecure.protocols.session import Session
from fedsecure.pytree import TreeSpec

__all__ = ["SecureFusion", "SecureTraining"]

_KEY = "fedsecure"

Query = Callable[[list[dict[str, Any]], list[Any]], Sequence[Any]]
"""``FusionHandler.query_parties(lst_payload, lst_parties)``: one reply each, None for none."""


class SecureFusion:
    """The aggregator's side: mean of the parties' updates, learning nothing else.

    Args:
        protocol: What all parties have, such as ``PairwiseMasking(identities=verify_keys)``.
        parties: Client id of each of IBM FL's parties, by what it calls them.
        weights: The global model to begin with: a list of float arrays.
        encoding: As in `secure_aggregate`, with `max_weight` if parties weigh.
        query: The handler's ``query_parties``, which has the deadline that IBM FL's connection has.
    """

    def __init__(
        self,
        protocol: Protocol,
        parties: Mapping[Any, int],
        weights: Iterable[Any],
        *,
        encoding: FixedPoint,
        query: Query,
    ) -> None:
        self._protocol = protocol
        self._parties = dict(parties)
        self._encoding = encoding
        self._query = query
        self.weights = [np.asarray(value) for value in weights]
        self.refused: list[str] = []

    def round(self, number: int, params: Mapping[str, Any] | None = None) -> Aggregate:
        """Runs one round over all its queries; `weights` is the new model afterwards.

        Args:
            number: The round.
            params: What else the first query carries, such as ``{"hyperparams": {"local": ...}}``.

        Raises:
            ThresholdError: Too few parties answered: the model stays as it was.
            FedSecureError: See `Server.advance`. `refused` says which answers were not taken.
        """
        session = self._protocol.session(
            client_ids=self._parties.values(),
            spec=TreeSpec.of(self.weights),
            encoding=self._encoding,
            weighted=self._encoding.max_weight is not None,
            round=number,
            model_digest=model_digest(self.weights),
        )
        server = self._protocol.server(session)
        self.refused = []
        name_of = {client_id: name for name, client_id in self._parties.items()}
        first = {**(params or {}), "weights": [value.tolist() for value in self.weights]}
        payloads: dict[int, dict[str, Any]] = {
            i: {**first, _KEY: {"session": session.to_bytes()}} for i in session.client_ids
        }
        while not server.finished:
            asked = list(payloads)
            replies = self._query([payloads[i] for i in asked], [name_of[i] for i in asked])
            for i, reply in zip(asked, replies, strict=True):
                self._take(server, i, reply)
            mail = server.advance()
            payloads = {i: {_KEY: {"messages": list(messages)}} for i, messages in mail.items()}
        result = server.result()
        self.weights = [
            (old + new).astype(old.dtype)
            for old, new in zip(self.weights, result.mean, strict=True)
        ]
        return result

    def _take(self, server: Any, client_id: int, reply: Any) -> None:
        if reply is None:
            return
        try:
            messages = reply.get(_KEY)
        except (AttributeError, KeyError, TypeError):  # no update, or one without our field
            messages = None
        try:
            for message in _messages(messages, f"client {client_id} answered"):
                server.receive(client_id, message)
        except FedSecureError as error:
            self.refused.append(str(error))


class SecureTraining:
    """A party's side: its ``train(fit_params)`` hands every query to `answer`.

    Args:
        protocol: This party's own policy, with its own identity in its place.
        client_id: This party's id.
        train: ``train(weights, fit_params)`` returns the trained weights, a list of float arrays,
            and the number of examples.
    """

    def __init__(
        self,
        protocol: Protocol,
        client_id: int,
        train: Callable[[list[Any], Mapping[str, Any]], tuple[Sequence[Any], float]],
    ) -> None:
        self._protocol = protocol
        self._id = client_id
        self._train = train
        self._party: Client | None = None

    def answer(self, fit_params: Mapping[str, Any]) -> dict[str, list[bytes]]:
        """Returns what the party's ``ModelUpdate`` is made of: ``ModelUpdate(**answer)``.

        Args:
            fit_params: The query's payload.

        Raises:
            FedSecureError: The query is refused, or the update cannot be encoded; nothing is sent.
                Another session ends the one that was under way, also if it is refused.
        """
        told = fit_params.get(_KEY)
        if not isinstance(told, Mapping):
            raise LocalProtocolError("this query is none of SecureFusion: nothing is sent in clear")
        if "session" in told:
            self._party = None  # what fails now, training included, leaves no old secrets
            return {_KEY: self._begin(told["session"], fit_params)}
        party = self._party
        if party is None:
            raise RemoteProtocolError("a query of a session that this party does not know")
        messages = _messages(told.get("messages"), "the aggregator sent a query")
        try:
            return {_KEY: [made for message in messages for made in party.receive(message)]}
        finally:
            if party.finished:
                self._party = None

    def _begin(self, data: Any, fit_params: Mapping[str, Any]) -> list[bytes]:
        (data,) = _messages([data], "the aggregator sent a session")
        session = Session.from_bytes(data)
        party = self._protocol.client(session, self._id)
        before = _weights(fit_params.get("weights"), session)
        if model_digest(before) != session.model_digest:
            raise CheaterDetected("the model is not the one that the session names", wire.SERVER)
        after, examples = self._train([value.copy() for value in before], fit_params)
        if [np.shape(value) for value in after] != [value.shape for value in before]:
            raise EncodingError("the trained weights have other shapes than the model")
        update = [np.asarray(new - old, old.dtype) for new, old in zip(after, before, strict=True)]
        party.set_update(update, examples if session.weighted else None)
        self._party = party
        return list(party.start())


def _messages(given: Any, who: str) -> list[bytes]:
    """Returns what are messages, if it is a list of bytes."""
    if not isinstance(given, list) or not all(isinstance(each, bytes) for each in given):
        raise RemoteProtocolError(f"{who} with no messages")
    return given


def _weights(given: Any, session: Session) -> list[Any]:
    """Returns the weights in a query as arrays of the session's shapes."""
    leaves = session.spec.leaves
    if not isinstance(given, list | tuple) or len(given) != len(leaves):
        count = len(given) if isinstance(given, list | tuple) else "no"
        raise RemoteProtocolError(f"{count} weights in a session of {len(leaves)}")
    try:
        arrays = [np.asarray(v, leaf.dtype) for v, leaf in zip(given, leaves, strict=True)]
    except (OverflowError, TypeError, ValueError):
        raise RemoteProtocolError("the weights of this query are no arrays of numbers") from None
    if [array.shape for array in arrays] != [tuple(leaf.shape) for leaf in leaves]:
        raise RemoteProtocolError("the weights of this query have other shapes than its session")
    return arrays

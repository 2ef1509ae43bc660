"""The bridge to IBM FL, between stand-ins for its fusion handler, connection and parties."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import fedsecure as fs
from fedsecure.adapters.ibmfl import SecureFusion, SecureTraining
from fedsecure.errors import (
    CheaterDetected,
    EncodingError,
    LocalProtocolError,
    RemoteProtocolError,
    ThresholdError,
)
from fedsecure.protocols.model import model_digest

IDENTITIES = {k: fs.Identity.generate() for k in range(4)}
VERIFY_KEYS = {k: identity.verify_key for k, identity in IDENTITIES.items()}
START = [np.arange(6, dtype=np.float32).reshape(2, 3), np.zeros(1, np.float32)]


class ModelUpdate:
    """As IBM FL's: a dictionary that travels, with `get`."""

    def __init__(self, **fields: Any) -> None:
        self.fields = fields

    def get(self, key: str) -> Any:
        return self.fields.get(key)


class LocalTrainingHandler:
    """As IBM FL's: the query's payload goes to `train`, a `ModelUpdate` comes back."""

    def train(self, fit_params: dict[str, Any]) -> ModelUpdate:
        raise NotImplementedError


class FusionHandler:
    """As IBM FL's, with a connection that copies everything, as a real one does."""

    def __init__(self, parties: dict[str, LocalTrainingHandler]) -> None:
        self.parties = parties
        self.lost: set[tuple[str, int]] = set()
        self.queries = 0
        self.seen: list[bytes] = []

    def query_parties(self, payload: list[dict[str, Any]], names: list[str]) -> list[Any]:
        self.queries += 1
        replies: list[Any] = []
        for one, name in zip(payload, names, strict=True):
            if (name, self.queries) in self.lost:
                replies.append(None)
                continue
            try:
                update = self.parties[name].train(pickle.loads(pickle.dumps(one)))
            except fs.errors.FedSecureError:
                replies.append(None)  # IBM FL logs a party's error and goes on without it
                continue
            self.seen.append(pickle.dumps(update))
            replies.append(pickle.loads(pickle.dumps(update)))
        return replies


class SecurePartyHandler(LocalTrainingHandler):
    def __init__(self, number: int, spoil: bool = False) -> None:
        policy = fs.PairwiseMasking(identities={**VERIFY_KEYS, number: IDENTITIES[number]})
        self.secure = SecureTraining(policy, number, self.fit)
        self.number, self.spoil = number, spoil

    def fit(self, weights: list[Any], fit_params: Any) -> tuple[list[Any], float]:
        if self.spoil:
            return [np.zeros((3, 3)), np.zeros(1)], 1
        return [value * 0.5 + self.number / 8 for value in weights], 10 * (self.number + 1)

    def train(self, fit_params: dict[str, Any]) -> ModelUpdate:
        return ModelUpdate(**self.secure.answer(fit_params))


class SecureFusionHandler(FusionHandler):
    def __init__(self, parties: dict[str, LocalTrainingHandler], rounds: int) -> None:
        super().__init__(parties)
        self.rounds = rounds
        self.secure = SecureFusion(
            fs.PairwiseMasking(identities=VERIFY_KEYS),
            {f"party{k}": k for k in range(4)},
            START,
            encoding=fs.FixedPoint(max_weight=100.0),
            query=self.query_parties,
        )
        self.history: list[list[np.ndarray]] = []

    def start_global_training(self) -> None:
        for number in range(self.rounds):
            self.secure.round(number, {"hyperparams": {"local": None}})
            self.history.append(self.secure.weights)

    def get_global_model(self) -> ModelUpdate:
        return ModelUpdate(weights=self.secure.weights)


def handler(rounds: int = 2, spoiled: int | None = None) -> SecureFusionHandler:
    parties = {f"party{k}": SecurePartyHandler(k, spoil=k == spoiled) for k in range(4)}
    return SecureFusionHandler(parties, rounds)


def plain(weights: list[np.ndarray], who: list[int]) -> list[np.ndarray]:
    results = [[value * 0.5 + k / 8 for value in weights] for k in who]
    shares = [10 * (k + 1) for k in who]
    return [np.average([r[i] for r in results], axis=0, weights=shares) for i in range(2)]


def assert_close(got: list[np.ndarray], expected: list[np.ndarray]) -> None:
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=2**-20, rtol=0)


def test_every_round_is_the_plain_round() -> None:
    fusion = handler()
    fusion.start_global_training()
    assert fusion.queries == 2 * 5
    assert_close(fusion.history[0], plain(START, [0, 1, 2, 3]))
    assert_close(fusion.history[1], plain(fusion.history[0], [0, 1, 2, 3]))
    assert fusion.get_global_model().get("weights")[0].dtype == np.float32
    update = (START[0] * 0.5 + 1 / 8 - START[0]).tobytes()
    assert not any(update in sent for sent in fusion.seen)


@pytest.mark.parametrize("query", [1, 2, 3, 4, 5])
def test_a_party_that_stops_answering(query: int) -> None:
    fusion = handler(rounds=1)
    fusion.lost = {("party2", query)}
    fusion.start_global_training()
    assert_close(fusion.history[0], plain(START, [0, 1, 2, 3] if query > 3 else [0, 1, 3]))


def test_a_party_with_a_wrong_shape_is_left_out() -> None:
    fusion = handler(rounds=1, spoiled=1)
    fusion.start_global_training()
    assert_close(fusion.history[0], plain(START, [0, 2, 3]))
    with pytest.raises(EncodingError, match="other shapes"):
        SecurePartyHandler(1, spoil=True).secure.answer(
            {"fedsecure": {"session": _session()}, "weights": START}
        )


def _session() -> bytes:
    return (
        fs.PairwiseMasking(identities=VERIFY_KEYS)
        .session(
            client_ids=range(4),
            spec=fs.TreeSpec.of(START),
            encoding=fs.FixedPoint(),
            model_digest=model_digest(START),
        )
        .to_bytes()
    )


def test_too_few_parties_fail_the_round_and_the_model_stays() -> None:
    fusion = handler(rounds=1)
    fusion.lost = {("party0", 2), ("party1", 2)}
    with pytest.raises(ThresholdError):
        fusion.start_global_training()
    assert_close(fusion.secure.weights, START)


def test_answers_that_are_no_messages_are_named() -> None:
    class Plain(LocalTrainingHandler):
        def train(self, fit_params: dict[str, Any]) -> ModelUpdate:
            return ModelUpdate(weights=START)

    fusion = handler(rounds=1)
    fusion.parties["party3"] = Plain()
    fusion.start_global_training()
    assert_close(fusion.history[0], plain(START, [0, 1, 2]))
    fusion.parties["party3"].train = lambda _: ModelUpdate(fedsecure=[b"junk"])
    with pytest.raises(LocalProtocolError, match="nothing is sent in clear"):
        SecurePartyHandler(0).secure.answer({"model_update": None})


def test_a_session_of_a_weaker_policy_is_refused() -> None:
    weak = fs.PairwiseMasking(adversary="semi_honest").session(
        client_ids=range(4), spec=fs.TreeSpec.of(START), encoding=fs.FixedPoint()
    )
    with pytest.raises(LocalProtocolError):
        SecurePartyHandler(0).secure.answer(
            {"fedsecure": {"session": weak.to_bytes()}, "weights": START}
        )


def test_another_model_than_the_session_names_is_refused() -> None:
    other = [START[0] + 1, START[1]]
    with pytest.raises(CheaterDetected, match="not the one that the session names"):
        SecurePartyHandler(0).secure.answer(
            {"fedsecure": {"session": _session()}, "weights": other}
        )


def queries(fusion: SecureFusionHandler) -> list[dict[str, Any]]:
    """Returns what party 0 was asked in the first round."""
    asked: list[dict[str, Any]] = []
    party = fusion.parties["party0"]
    train = party.train
    party.train = lambda query: asked.append(query) or train(query)
    fusion.secure.round(0)
    return asked


@pytest.mark.parametrize(
    "query",
    [
        {"fedsecure": {}},
        {"fedsecure": {"messages": None}},
        {"fedsecure": {"messages": b"bytes"}},
        {"fedsecure": {"messages": ["text"]}},
        {"fedsecure": {"session": "text"}, "weights": START},
        {"fedsecure": {"session": b"bytes"}, "weights": START},
        {"fedsecure": {"session": _session()}},
        {"fedsecure": {"session": _session()}, "weights": [0.0]},
        {"fedsecure": {"session": _session()}, "weights": [[[1], [2, 3]], [0.0]]},
        {"fedsecure": {"session": _session()}, "weights": [["a"], "b"]},
        {"fedsecure": {"session": _session()}, "weights": [START[0][0], START[1]]},
    ],
)
def test_queries_that_make_no_sense_are_refused(query: dict[str, Any]) -> None:
    """A session that is refused ends the one before; other queries change nothing."""
    party = SecurePartyHandler(0).secure
    party.answer({"fedsecure": {"session": _session()}, "weights": START})
    assert party._party is not None
    with pytest.raises(RemoteProtocolError):
        party.answer(query)
    assert (party._party is None) == ("session" in query["fedsecure"])


def test_a_party_is_gone_when_its_training_fails_or_its_round_is_over() -> None:
    fusion = handler(rounds=1)
    first, second, *_ = queries(fusion)
    assert all(each.secure._party is None for each in fusion.parties.values())
    party = SecurePartyHandler(0).secure
    party.answer({"fedsecure": {"session": _session()}, "weights": START})
    party._train = lambda weights, params: 1 / 0
    with pytest.raises(ZeroDivisionError):
        party.answer(first)
    with pytest.raises(RemoteProtocolError, match="does not know"):
        party.answer(second)


@pytest.mark.parametrize("reply", [{}, 7, [b"junk"], {"fedsecure": b"junk"}])
def test_replies_of_any_kind_cost_their_party_alone(reply: Any) -> None:
    class Replied:
        def get(self, key: str) -> Any:
            return reply[key]

    fusion = handler(rounds=1)
    query = fusion.secure._query
    fusion.secure._query = lambda payloads, names: [
        (reply if reply == 7 else Replied()) if name == "party3" else answer
        for name, answer in zip(names, query(payloads, names), strict=True)
    ]
    fusion.start_global_training()
    assert_close(fusion.history[0], plain(START, [0, 1, 2]))
    assert fusion.secure.refused == ["client 3 answered with no messages"]


def test_training_in_place_changes_no_update() -> None:
    fusion = handler(rounds=1)
    for party in fusion.parties.values():

        def train(weights: list[Any], params: Any, fit: Any = party.fit) -> tuple[list[Any], float]:
            after, examples = fit(weights, params)
            for value, new in zip(weights, after, strict=True):
                value[...] = new
            return weights, examples

        party.secure._train = train
    fusion.start_global_training()
    assert_close(fusion.history[0], plain(START, [0, 1, 2, 3]))


def test_refused_answers_are_those_of_the_last_round() -> None:
    fusion = handler(rounds=1)
    train = fusion.parties["party3"].train
    fusion.parties["party3"].train = lambda _: ModelUpdate(weights=START)
    fusion.start_global_training()
    assert fusion.secure.refused == ["client 3 answered with no messages"]
    fusion.parties["party3"].train = train
    fusion.start_global_training()
    assert fusion.secure.refused == []

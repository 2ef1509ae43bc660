"""Sessions and policies: what all parties agree on, checked when made, strict when read."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedsecure.encoding import FixedPoint
from fedsecure.errors import (
    EncodingError,
    FedSecureError,
    LocalProtocolError,
    RemoteProtocolError,
    ThresholdError,
)
from fedsecure.protocols.masking import PairwiseMasking
from fedsecure.protocols.model import model_digest
from fedsecure.protocols.session import Session
from fedsecure.pytree import TreeSpec
from fedsecure.testing import PlaintextSum
from parties import Parties, make_updates

SPEC = TreeSpec.of(make_updates(1)[0])
ENCODING = FixedPoint(4.0, 12, max_weight=100.0)
FIXED = {"spec": SPEC, "encoding": ENCODING, "session_id": bytes(16), "client_ids": range(10)}


def make(protocol: PairwiseMasking | None = None, **changes: object) -> Session:
    return (protocol or PairwiseMasking(adversary="semi_honest")).session(**{**FIXED, **changes})


@pytest.mark.parametrize(
    ("count", "threshold"), [(3, 3), (4, 3), (5, 4), (7, 5), (10, 7), (20, 14), (50, 34), (64, 43)]
)
def test_default_threshold(count: int, threshold: int) -> None:
    """floor(2n/3) + 1."""
    assert make(client_ids=range(count)).threshold == threshold


@pytest.mark.parametrize("count", [1, 2])
def test_two_parties_cannot_hide_from_each_other(count: int) -> None:
    with pytest.raises(ThresholdError, match="each can subtract its own update"):
        make(client_ids=range(count))


def test_allowed_thresholds() -> None:
    for count in range(3, 30):
        for threshold in range(3, count + 3):
            policy = PairwiseMasking(adversary="semi_honest", threshold=threshold)
            if count // 2 < threshold <= count:
                assert make(policy, client_ids=range(count)).threshold == threshold
                continue
            reason = "never be reached" if threshold > count else "too low for"
            with pytest.raises(ThresholdError, match=reason):
                make(policy, client_ids=range(count))


@pytest.mark.parametrize(
    ("values", "error", "reason"),
    [
        ({"threshold": 2}, ThresholdError, "below 3"),
        ({"threshold": -1}, ThresholdError, "below 3"),
        ({"threshold": 3.0}, LocalProtocolError, "integer or None"),
        ({"threshold": True}, LocalProtocolError, "integer or None"),
        ({"chunk": 0}, LocalProtocolError, "chunk is 0"),
        ({"chunk": 2.0}, LocalProtocolError, "chunk is 2.0"),
        ({"chunk": 2**27 + 1}, LocalProtocolError, "chunk is"),
    ],
)
def test_a_policy_is_checked_when_made(
    values: dict[str, object], error: type[FedSecureError], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        PairwiseMasking(**values)


@pytest.mark.parametrize(
    ("changes", "error", "reason"),
    [
        ({"client_ids": []}, ThresholdError, "0 clients are too few"),
        ({"client_ids": [1, 2, 2, 3]}, LocalProtocolError, "client id 2 is given twice"),
        ({"client_ids": [1, 2, -3]}, LocalProtocolError, "client id is -3"),
        ({"client_ids": [1, 2, 2**32 - 1]}, LocalProtocolError, "client id is 4294967295"),
        ({"client_ids": [1, 2, 3.0]}, LocalProtocolError, "list of integers"),
        ({"client_ids": ["a", "b", "c"]}, LocalProtocolError, "list of integers"),
        ({"client_ids": 3}, LocalProtocolError, "list of integers"),
        ({"round": -1}, LocalProtocolError, "round is -1"),
        ({"round": 2**64}, LocalProtocolError, "round is"),
        ({"round": 1.0}, LocalProtocolError, "round is 1.0"),
        ({"model_digest": b"short"}, LocalProtocolError, "model_digest must be 32 bytes"),
        ({"session_id": bytes(15)}, LocalProtocolError, "session_id must be 16 bytes"),
        ({"session_id": "x" * 16}, LocalProtocolError, "session_id must be 16 bytes"),
        ({"weighted": 1}, LocalProtocolError, "weighted is 1"),
        ({"encoding": FixedPoint(4.0, 12, modulus_bits=16)}, EncodingError, "ring too narrow"),
        ({"encoding": FixedPoint(4.0, 12), "weighted": True}, EncodingError, "max_weight"),
        ({"encoding": FixedPoint(4.0, 59)}, EncodingError, "lower bits"),
    ],
)
def test_a_session_is_checked_when_made(
    changes: dict[str, object], error: type[FedSecureError], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        make(**changes)


def test_client_ids_in_any_order_and_integer_type() -> None:
    session = make(client_ids=np.array([9, 2, 2**32 - 2, 0]))
    assert session.client_ids == (0, 2, 9, 2**32 - 2)
    assert all(type(client_id) is int for client_id in session.client_ids)


def test_session_ids_are_fresh() -> None:
    assert len({make(session_id=None).session_id for _ in range(50)}) == 50


VARIANTS = [
    {"client_ids": range(11)},
    {"client_ids": range(1, 11)},
    {"spec": TreeSpec.of(make_updates(1, 52)[0])},
    {"spec": TreeSpec.of({"a": np.zeros(25), "c": np.zeros(25, "f4")})},
    {"spec": TreeSpec.of({"a": np.zeros((5, 5)), "b": np.zeros(25, "f4")})},
    {"spec": TreeSpec.of({"a": np.zeros(25, "f4"), "b": np.zeros(25)})},
    {"encoding": FixedPoint(5.0, 12, max_weight=100.0)},
    {"encoding": FixedPoint(4.0, 13, max_weight=100.0)},
    {"encoding": FixedPoint(4.0, 12, max_weight=101.0)},
    {"encoding": FixedPoint(4.0, 12)},
    {"encoding": FixedPoint(4.0, 12, max_weight=100.0, rounding="nearest")},
    {"encoding": FixedPoint(4.0, 12, max_weight=100.0, overflow="clip")},
    {"encoding": FixedPoint(4.0, 12, max_weight=100.0, modulus_bits=40)},
    {"weighted": True},
    {"protocol": PairwiseMasking("semi_honest", threshold=8)},
    {"protocol": PairwiseMasking("semi_honest", chunk=1 << 19)},
    {"protocol": PairwiseMasking("semi_malicious")},
]


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_every_part_of_the_configuration_is_in_the_digest(changes: dict[str, object]) -> None:
    assert make(**changes).digest != make().digest


@pytest.mark.parametrize(
    "changes", [{"round": 5}, {"session_id": bytes(15) + b"1"}, {"model_digest": bytes(31) + b"1"}]
)
def test_the_digest_is_that_of_the_configuration_alone(changes: dict[str, object]) -> None:
    """What changes from round to round enters the context beside it."""
    assert make(**changes).digest == make().digest
    assert make(**changes).to_bytes() != make().to_bytes()


@pytest.mark.parametrize("changes", [{}, {"round": 2**64 - 1}, *VARIANTS], ids=str)
def test_bytes_round_trip(changes: dict[str, object]) -> None:
    session = make(**changes)
    restored = Session.from_bytes(session.to_bytes())
    assert restored == session
    assert restored.digest == session.digest
    assert restored.layout == session.layout
    assert restored.to_bytes() == session.to_bytes()


def test_tensor_kinds_are_each_partys_own_business() -> None:
    scalar = make(spec=TreeSpec.of([1.0, 2.0]))
    array = make(spec=TreeSpec.of([np.float64(1.0), np.array(2.0)]))
    assert scalar.digest == array.digest


def test_parties_of_a_restored_session_work_together() -> None:
    parties = Parties(4)
    restored = Session.from_bytes(parties.session.to_bytes())
    assert restored is not parties.session
    parties.server = parties.protocol.server(restored)
    parties.finish()
    assert set(parties.server.result().mean) == {"a", "b"}


def test_a_session_of_nobody() -> None:
    with pytest.raises(LocalProtocolError, match="0 clients; a session has 1 to 1048576"):
        PlaintextSum().session(client_ids=[], spec=SPEC, encoding=ENCODING)


def test_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        make().threshold = 3
    with pytest.raises(dataclasses.FrozenInstanceError):
        PairwiseMasking(adversary="semi_honest").threshold = 3


GOOD = make(weighted=True, round=3).to_bytes()


@given(st.data())
@settings(max_examples=600, deadline=None, derandomize=True)
def test_altered_bytes_are_another_session_or_refused(data: st.DataObject) -> None:
    altered = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(altered) - 1))
        altered[at] = data.draw(st.integers(0, 255))
    try:
        session = Session.from_bytes(bytes(altered))
    except RemoteProtocolError:
        return
    assert session.to_bytes() == altered


@given(st.binary(max_size=200))
@settings(max_examples=300, derandomize=True)
def test_any_body_is_a_session_or_refused(body: bytes) -> None:
    header = bytearray(GOOD[:44])
    header[36:44] = len(body).to_bytes(8, "little")
    with pytest.raises(RemoteProtocolError):
        Session.from_bytes(bytes(header) + body)


def test_truncated_bytes_are_refused() -> None:
    for size in range(len(GOOD)):
        with pytest.raises(RemoteProtocolError):
            Session.from_bytes(GOOD[:size])


def test_the_digest_of_a_model_is_of_every_bit_and_of_no_container() -> None:
    model = {"b": np.zeros(2, np.float32), "w": np.arange(6.0).reshape(2, 3)}
    named = model_digest(model)
    assert len(named) == 32
    assert model_digest({"w": model["w"].copy(), "b": model["b"]}) == named
    for name, value in (
        ("b", np.array([0.0, -0.0], np.float32)),
        ("b", np.zeros(2)),
        ("w", np.arange(6.0).reshape(3, 2)),
    ):
        assert model_digest({**model, name: value}) != named
    assert model_digest({"c": model["b"], "w": model["w"]}) != named

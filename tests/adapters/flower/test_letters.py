"""Letters are read strictly: any bytes give a letter or one named error, and change nothing."""

from __future__ import annotations

import pytest

pytest.importorskip("flwr")

from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict
from hypothesis import given
from hypothesis import strategies as st

from fedsecure import wire
from fedsecure.adapters.flower.letters import KEY, NO_TERMS, VECTORS, Answer, Order, Part, put, take
from fedsecure.errors import RemoteProtocolError
from flower_nodes import Federation, initial_arrays, node_of

ANSWER = Answer(7, (Part(bytes(16), b"", (b"one", b"two")),), bytes(64), "why")


def test_a_letter_and_its_vectors_come_back() -> None:
    content = RecordDict({"arrays": initial_arrays()})
    vectors = [bytes([i]) * 5 for i in range(12)]
    put(content, ANSWER, vectors)
    assert take(content, Answer) == (ANSWER, vectors)
    assert set(content) == {"arrays"}


@given(st.binary(max_size=200))
def test_any_bytes_are_a_letter_or_refused(data: bytes) -> None:
    for kind in (Answer, Order):
        content = RecordDict({KEY: ConfigRecord({"letter": data})})
        try:
            letter, _ = take(content, kind)
        except RemoteProtocolError:
            assert KEY in content
        else:
            assert wire.encode_control(letter) == data


@pytest.mark.parametrize(
    "record",
    [
        {},
        {KEY: ConfigRecord({})},
        {KEY: ConfigRecord({"letter": "text"})},
        {KEY: ConfigRecord({"letter": [b"list"]})},
        {KEY: ArrayRecord({})},
    ],
)
def test_what_is_no_letter_is_refused(record: dict) -> None:
    with pytest.raises(RemoteProtocolError, match="no letter"):
        take(RecordDict(record), Answer)


@pytest.mark.parametrize(
    "arrays",
    [
        {"1": Array("uint8", (1,), "fedsecure.bytes", b"x")},
        {"0": Array("uint8", (1,), "numpy.ndarray", b"x")},
        {"00": Array("uint8", (1,), "fedsecure.bytes", b"x")},
    ],
)
def test_vectors_of_another_form_are_refused(arrays: dict) -> None:
    content = RecordDict()
    put(content, ANSWER)
    content[VECTORS] = ArrayRecord(arrays)
    with pytest.raises(RemoteProtocolError, match="vectors of this message"):
        take(content, Answer)


@pytest.mark.parametrize("invitation", [b"", b"FSEC" + bytes(100), b"garbage"])
def test_orders_for_sessions_there_are_none_of_are_answered_and_change_nothing(
    invitation: bytes,
) -> None:
    federation = Federation()
    federation.run()
    content = RecordDict({"arrays": initial_arrays()})
    parts = (Part(bytes(16), invitation, (b"mail",)),)
    put(content, Order(parts, bytes(16), NO_TERMS, ()))
    context = federation.grid.context(1)
    reply = federation.grid.app(Message(content, node_of(1), "train"), context)
    answer, vectors = take(reply.content, Answer)
    assert (answer.client_id, answer.parts, vectors) == (1, (), [])
    assert answer.failure != ""
    assert KEY not in context.state  # what is not among the parts is forgotten

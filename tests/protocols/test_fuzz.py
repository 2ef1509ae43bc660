"""Any bytes, at any stage, to any party: accepted or `RemoteProtocolError`, never anything else."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedsecure import wire
from fedsecure.errors import RemoteProtocolError
from fedsecure.protocols.masking.messages import (
    AdvertiseKeys,
    Confirmation,
    Confirmations,
    Kind,
    Roster,
    ShareDelivery,
    ShareKeys,
    Survivors,
    UnmaskRequest,
    UnmaskShares,
    read,
)
from fedsecure.protocols.masking.states import Flow, Stage
from parties import SENT_BY_SERVER, STAGES, Parties

BODIES = [
    AdvertiseKeys,
    Roster,
    ShareKeys,
    ShareDelivery,
    UnmaskRequest,
    UnmaskShares,
    Survivors,
    Confirmation,
    Confirmations,
]
BYTES = st.binary(max_size=200)


@st.composite
def alterations(draw: st.DrawFn) -> list[tuple[str, float, int]]:
    """Ways to spoil a message: what, where (as a fraction of its length), and a byte."""
    one = st.tuples(
        st.sampled_from(["set", "flip", "insert", "remove", "cut", "append", "repeat"]),
        st.floats(0, 1, exclude_max=True),
        st.integers(0, 255),
    )
    return draw(st.lists(one, min_size=1, max_size=4))


def spoil(message: bytes, how: list[tuple[str, float, int]]) -> bytes:
    data = bytearray(message)
    for what, place, byte in how:
        at = int(place * len(data))
        if what == "set" and data:
            data[at] = byte
        elif what == "flip" and data:
            data[at] ^= 1 << byte % 8
        elif what == "insert":
            data.insert(at, byte)
        elif what == "remove" and data:
            del data[at]
        elif what == "cut":
            del data[at:]
        elif what == "append":
            data.append(byte)
        elif what == "repeat":
            data += data[at : at + byte]
    return bytes(data)


@pytest.mark.parametrize("stage", STAGES)
def test_random_bytes_change_nothing(stage: Stage) -> None:
    parties = Parties(4).until(stage)
    client, server = parties.clients[0], parties.server

    @given(body=BYTES, kind=st.integers(0, 11), whole=st.booleans())
    @settings(max_examples=150, deadline=None, derandomize=True)
    def run(body: bytes, kind: int, whole: bool) -> None:
        data = body if whole else parties.session.seal(kind, wire.SERVER, body)
        with pytest.raises(RemoteProtocolError):
            client.receive(data)
        assert client.stage is stage
        data = body if whole else parties.session.seal(kind, 0, body)
        with pytest.raises(RemoteProtocolError):
            server.receive(0, data)
        assert 0 in server.waiting_for

    run()
    parties.finish()


@given(
    stage=st.sampled_from(sorted(SENT_BY_SERVER[Flow.FOUR_STAGES])),
    how=alterations(),
    inside=st.booleans(),
)
@settings(max_examples=400, deadline=None, derandomize=True)
def test_spoilt_messages_to_a_client(
    stage: Stage, how: list[tuple[str, float, int]], inside: bool
) -> None:
    """Refused, or the end of the session; only another's keys are whatever the server says."""
    parties = Parties(3).until(stage)
    client = parties.clients[0]
    original = parties.mail[0][0]
    bad = respoil(parties, original, how, wire.SERVER) if inside else spoil(original, how)
    try:
        list(client.receive(bad))
    except RemoteProtocolError:
        assert client.stage in (stage, Stage.ABORTED)
        return
    # Keys that are not those of client 1 or 2 show in the next stage: nothing can be decrypted.
    assert bad == original or stage is Stage.SHARE_KEYS


@given(stage=st.sampled_from(STAGES), how=alterations(), inside=st.booleans())
@settings(max_examples=400, deadline=None, derandomize=True)
def test_spoilt_messages_to_the_server(
    stage: Stage, how: list[tuple[str, float, int]], inside: bool
) -> None:
    """Refused, with nothing changed, or taken for what it says."""
    parties = Parties(4).until(stage)
    server = parties.server
    original = parties.answer(0)[0]
    bad = respoil(parties, original, how, 0) if inside else spoil(original, how)
    before = parties.total.copy()
    try:
        server.receive(0, bad)
    except RemoteProtocolError:
        assert server.stage is stage
        assert 0 in server.waiting_for
        assert (parties.total == before).all()
        server.receive(0, original)


def respoil(
    parties: Parties, message: bytes, how: list[tuple[str, float, int]], sender: int
) -> bytes:
    """Spoils the body under a header that fits it."""
    body = spoil(message[wire.HEADER_SIZE :], how)
    return parties.session.seal(Kind(message[5]), sender, body)


@pytest.mark.parametrize("kind", BODIES)
@given(body=BYTES)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_any_body(kind: type[wire.Control], body: bytes) -> None:
    try:
        message = read(kind, memoryview(body))
    except RemoteProtocolError:
        return
    assert wire.encode_control(message) == body


@pytest.mark.parametrize("kind", BODIES)
@given(data=st.data())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_any_value_round_trips_or_has_no_place_on_the_wire(
    kind: type[wire.Control], data: st.DataObject
) -> None:
    ids = st.lists(st.integers(0, wire.SERVER - 1), max_size=5)
    value = data.draw(values(kind, ids))
    raw = wire.encode_control(value)
    lists = [list(entries) for entries in value.id_lists()]
    if all(entries == sorted(set(entries)) for entries in lists):
        assert read(kind, memoryview(raw)) == value
    else:
        with pytest.raises(RemoteProtocolError, match="repeated or out of order"):
            read(kind, memoryview(raw))


def values(kind: type[wire.Control], ids: st.SearchStrategy[list[int]]) -> st.SearchStrategy:
    """Values of a control body with any ids in any order."""

    def build(first: list[int], second: list[int], filler: int) -> wire.Control:
        key, ciphertext, share = bytes([filler]) * 32, bytes([filler]) * 104, bytes([filler]) * 40
        signature = bytes([filler]) * (filler % 65)
        fields = {
            AdvertiseKeys: [key, key, signature],
            Roster: [[[name, key, key, signature] for name in first]],
            ShareKeys: [key, key, [[name, ciphertext, key, key] for name in first], signature],
            ShareDelivery: [second, [[name, ciphertext, key, key] for name in first]],
            UnmaskRequest: [first],
            Survivors: [first],
            Confirmation: [signature],
            Confirmations: [[[name, signature] for name in first]],
            UnmaskShares: [[[name, share] for name in first], [[name, share] for name in second]],
        }[kind]
        return wire.msgspec.convert(fields, kind)

    return st.builds(build, ids, ids, st.integers(0, 255))

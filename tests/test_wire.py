"""Any bytes are one message or `RemoteProtocolError`; one value has one encoding."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fedsecure import wire
from fedsecure.errors import LocalProtocolError, RemoteProtocolError

LIMITS = {7: 1000}
SESSION_ID = bytes(range(16))


class Sample(wire.Control, frozen=True):
    """A body with one of everything."""

    number: wire.ClientId
    digest: wire.Digest
    more: tuple[wire.ClientId, ...] = ()


def sealed(body: bytes, **changes: int) -> bytes:
    fields = {"kind": 7, "suite": 1, "round_number": 2**63, "sender": 9, **changes}
    return wire.seal(body, session_id=SESSION_ID, **fields)


def test_envelope_layout() -> None:
    """The published layout, spelled out."""
    parts = [
        "46534543 01 07 0100",
        "000102030405060708090a0b0c0d0e0f",
        "0000000000000080 09000000 0300000000000000",
        "616263",
    ]
    assert sealed(b"abc") == bytes.fromhex("".join(parts))
    assert wire.HEADER_SIZE == 44


@given(
    body=st.binary(max_size=50),
    suite=st.integers(0, 2**16 - 1),
    round_number=st.integers(0, 2**64 - 1),
    sender=st.integers(0, 2**32 - 1),
)
def test_open_undoes_seal(body: bytes, suite: int, round_number: int, sender: int) -> None:
    data = sealed(body, suite=suite, round_number=round_number, sender=sender)
    envelope = wire.open_envelope(data, LIMITS)
    assert bytes(envelope.body) == body
    assert (envelope.kind, envelope.suite) == (7, suite)
    assert (envelope.session_id, envelope.round) == (SESSION_ID, round_number)
    assert envelope.sender == sender


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "shorter than its header"),
        (sealed(b"abc")[:43], "shorter than its header"),
        (b"X" + sealed(b"abc")[1:], "mark"),
        (sealed(b"abc").replace(b"FSEC\x01", b"FSEC\x02"), "wire version 2"),
        (sealed(b"abc", kind=8), "kind 8"),
        (sealed(b"abc")[:-1], "announces a body of 3 bytes and carries 2"),
        (sealed(b"abc") + b"\0", "announces a body of 3 bytes and carries 4"),
        (sealed(bytes(1001)), "larger than this session allows"),
    ],
)
def test_open_refuses(data: bytes, reason: str) -> None:
    with pytest.raises(RemoteProtocolError, match=reason):
        wire.open_envelope(data, LIMITS)


def test_open_takes_buffers_and_keeps_its_own_copy() -> None:
    data = bytearray(sealed(b"abc"))
    envelope = wire.open_envelope(data, LIMITS)
    data[-1] ^= 1
    assert bytes(envelope.body) == b"abc"
    assert bytes(wire.open_envelope(memoryview(sealed(b"abc")), LIMITS).body) == b"abc"


@pytest.mark.parametrize("data", [None, "text", 5, ["list"]])
def test_open_blames_the_caller_for_what_is_no_buffer(data: object) -> None:
    with pytest.raises(LocalProtocolError, match="a message is bytes"):
        wire.open_envelope(data, LIMITS)


@given(st.binary(max_size=120))
@settings(max_examples=500, derandomize=True)
@example(b"FSEC\x01\x07" + bytes(38))
def test_open_any_bytes(data: bytes) -> None:
    try:
        envelope = wire.open_envelope(data, LIMITS)
    except RemoteProtocolError:
        return
    assert len(envelope.body) == len(data) - wire.HEADER_SIZE


def test_control_round_trip() -> None:
    value = Sample(5, bytes(32), (1, 2))
    assert wire.decode_control(Sample, wire.encode_control(value)) == value


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ([5, bytes(31), []], "length >= 32"),
        ([5, bytes(33), []], "length <= 32"),
        ([-1, bytes(32), []], ">= 0"),
        ([wire.SERVER, bytes(32), []], "4294967294|4294967295"),
        ([5.0, bytes(32), []], "float"),
        ([True, bytes(32), []], "int"),
        ([5, "x" * 32, []], "bytes"),
        ([5, bytes(32)], "canonical"),
        ([5, bytes(32), [], 0], "length|canonical|fields"),
        ([5], "length|missing"),
        ({"number": 5, "digest": bytes(32)}, "array"),
        (None, "array"),
    ],
)
def test_control_refuses(fields: object, reason: str) -> None:
    with pytest.raises(RemoteProtocolError, match=reason):
        wire.decode_control(Sample, msgspec.msgpack.encode(fields))


def test_control_refuses_a_second_spelling() -> None:
    """The same value with a longer integer, a longer array head, trailing bytes."""
    good = wire.encode_control(Sample(5, bytes(32)))
    assert good[:2] == b"\x93\x05"
    for other in (
        b"\x93\xcc\x05" + good[2:],
        b"\xdc\x00\x03" + good[1:],
        good[:2] + b"\xc5\x00\x20" + good[4:],
        good + b"\xc0",
        good[:-1] + b"\xdc\x00\x00",
    ):
        with pytest.raises(RemoteProtocolError):
            wire.decode_control(Sample, other)


@given(st.binary(max_size=60))
@settings(max_examples=500, derandomize=True)
@example(b"\x93\x05\xc6\xff\xff\xff\xff")
@example(b"\x93\x05\xc4\x20" + bytes(32) + b"\xdd\xff\xff\xff\xff")
@example(b"\x91" * 60)
def test_control_any_bytes(data: bytes) -> None:
    try:
        value = wire.decode_control(Sample, data)
    except RemoteProtocolError:
        return
    assert wire.encode_control(value) == data


def test_vector_round_trip() -> None:
    piece = wire.decode_vector(memoryview(wire.vector_header(20, 3, 6) + bytes(8)))
    assert (piece.bits, piece.count, piece.index, bytes(piece.packed)) == (20, 3, 6, bytes(8))
    assert wire.VECTOR_HEADER_SIZE == 13


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "shorter"),
        (wire.vector_header(20, 3, 0)[:-1], "shorter"),
        (wire.vector_header(7, 8, 0) + bytes(7), "7 bits"),
        (wire.vector_header(65, 8, 0) + bytes(65), "65 bits"),
        (wire.vector_header(20, 3, 0) + bytes(7), "take 8 bytes, but 7"),
        (wire.vector_header(20, 3, 0) + bytes(9), "take 8 bytes, but 9"),
        (wire.vector_header(64, 2**64 - 1, 0) + bytes(9), "but 9 came"),
        (wire.vector_header(20, 3, 0) + bytes(7) + b"\x10", "padding"),
        (wire.vector_header(20, 3, 0) + bytes(7) + b"\x80", "padding"),
    ],
)
def test_vector_refuses(body: bytes, reason: str) -> None:
    with pytest.raises(RemoteProtocolError, match=reason):
        wire.decode_vector(memoryview(body))


@given(st.binary(max_size=40))
@settings(max_examples=300, derandomize=True)
def test_vector_any_bytes(data: bytes) -> None:
    try:
        piece = wire.decode_vector(memoryview(data))
    except RemoteProtocolError:
        return
    assert wire.vector_header(piece.bits, piece.count, piece.index) + bytes(piece.packed) == data

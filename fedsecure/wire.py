"""The wire format, version 1: strict, canonical bytes for every message of every protocol.

A message is one envelope, little-endian, without padding::

    "FSEC" | version u8 | kind u8 | suite u16 | session id 16 B | round u64 | sender u32
           | body length u64 | body

Control bodies are msgpack arrays read into typed structs; a body counts only if encoding what was
read gives the same bytes again, so every value has one encoding and a digest over bytes is a digest
over values. Vector bodies are ``bits u8 | count u64 | chunk index u32 | packed elements``.

Reading takes bytes from strangers: any bytes give a message or `RemoteProtocolError`, nothing
larger than the caller's limit is decoded, and nothing here is ever executed or guessed.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec

from fedsecure.errors import LocalProtocolError, RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "HEADER_SIZE",
    "KEY_HOLDER",
    "MAX_PARTIES",
    "SERVER",
    "VECTOR_HEADER_SIZE",
    "ClientId",
    "Control",
    "Digest",
    "Envelope",
    "VectorPiece",
    "decode_control",
    "decode_vector",
    "encode_control",
    "open_envelope",
    "packed_bytes",
    "seal",
    "vector_header",
]

VERSION = 1
SERVER = 0xFFFF_FFFF
"""The sender field of everything a server sends; therefore never a client's id."""

KEY_HOLDER = SERVER - 1
"""The sender field of who holds the key of an encrypted sum, where there is one."""

MAX_PARTIES = 1 << 20
"""Bound of every list of parties, whatever a message claims."""

_MAGIC = b"FSEC"
_HEADER = struct.Struct("<4sBBH16sQIQ")
_VECTOR = struct.Struct("<BQI")
HEADER_SIZE = _HEADER.size
VECTOR_HEADER_SIZE = _VECTOR.size

ClientId = Annotated[int, msgspec.Meta(ge=0, lt=SERVER)]
Digest = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]


class Control(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Base of every control body: a fixed sequence of bounded fields."""


ControlT = TypeVar("ControlT", bound=Control)


@dataclass(frozen=True, slots=True)
class Envelope:
    """The header of a message and its body, which is still unread."""

    kind: int
    suite: int
    session_id: bytes
    round: int
    sender: int
    body: memoryview


@dataclass(frozen=True, slots=True)
class VectorPiece:
    """A run of ring elements as it travels: `count` elements of `bits` bits, LSB first."""

    bits: int
    count: int
    index: int
    packed: memoryview


def header(
    *, kind: int, suite: int, session_id: bytes, round_number: int, sender: int, size: int
) -> bytes:
    """Returns what stands before a body of `size` bytes."""
    return _HEADER.pack(_MAGIC, VERSION, kind, suite, session_id, round_number, sender, size)


def seal(
    body: bytes | memoryview,
    *,
    kind: int,
    suite: int,
    session_id: bytes,
    round_number: int,
    sender: int,
) -> bytes:
    """Returns the message with the given body."""
    before = header(
        kind=kind,
        suite=suite,
        session_id=session_id,
        round_number=round_number,
        sender=sender,
        size=len(body),
    )
    return b"".join((before, body))


def open_envelope(data: bytes | bytearray | memoryview, limits: Mapping[int, int]) -> Envelope:
    """Returns the envelope of `data`, having read nothing but its header.

    Args:
        data: One whole message. Mutable buffers are copied, so that later changes have no effect.
        limits: The kinds the caller can take, each with the largest body in bytes it accepts.

    Raises:
        RemoteProtocolError: Wrong magic, version, kind or length.
        LocalProtocolError: `data` is not bytes-like: a mistake of the caller, not of the peer.
    """
    data = data if isinstance(data, bytes) else _as_bytes(data)
    if len(data) < HEADER_SIZE:
        raise RemoteProtocolError(
            f"message of {len(data)} bytes is shorter than its header of {HEADER_SIZE}"
        )
    magic, version, kind, suite, session_id, round_number, sender, size = _HEADER.unpack_from(data)
    if magic != _MAGIC:
        raise RemoteProtocolError("message does not begin with the fedsecure mark")
    if version != VERSION:
        raise RemoteProtocolError(f"message has wire version {version}, this is {VERSION}")
    if kind not in limits:
        raise RemoteProtocolError(f"message kind {kind} is not one this party takes")
    if size != len(data) - HEADER_SIZE:
        raise RemoteProtocolError(
            f"message announces a body of {size} bytes and carries {len(data) - HEADER_SIZE}"
        )
    if size > limits[kind]:
        raise RemoteProtocolError(
            f"body of {size} bytes is larger than this session allows ({limits[kind]})"
        )
    body = memoryview(data)[HEADER_SIZE:]
    return Envelope(kind, suite, session_id, round_number, sender, body)


def _as_bytes(data: Any) -> bytes:
    try:
        return bytes(memoryview(data))
    except TypeError:
        kind = type(data).__name__
        raise LocalProtocolError(
            f"a message is bytes, not {kind}; pass what the peer sent"
        ) from None


def encode_control(body: Control) -> bytes:
    """Returns the one encoding of a control body."""
    return msgspec.msgpack.encode(body)


def decode_control(kind: type[ControlT], body: bytes | memoryview) -> ControlT:
    """Returns the control body of type `kind` that `body` encodes.

    Raises:
        RemoteProtocolError: `body` is not the one encoding of a value of that type.
    """
    try:
        value = msgspec.msgpack.decode(body, type=kind)
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as error:
        # The text of msgspec names types and positions, never the bytes themselves.
        raise RemoteProtocolError(f"malformed {kind.__name__} body: {error}") from None
    if msgspec.msgpack.encode(value) != body:
        raise RemoteProtocolError(f"{kind.__name__} body is not in its canonical encoding")
    return value


def packed_bytes(count: int, bits: int) -> int:
    """Returns how many bytes `count` elements of `bits` bits take."""
    return (count * bits + 7) // 8


def vector_header(bits: int, count: int, index: int) -> bytes:
    """Returns what stands before the packed elements in a vector body."""
    return _VECTOR.pack(bits, count, index)


def decode_vector(body: memoryview) -> VectorPiece:
    """Returns the piece of a vector that `body` carries.

    Raises:
        RemoteProtocolError: Bits outside 8..64, a length that does not fit the count, or padding
            bits that are not zero.
    """
    if len(body) < VECTOR_HEADER_SIZE:
        raise RemoteProtocolError("vector body is shorter than its header")
    bits, count, index = _VECTOR.unpack_from(body)
    packed = body[VECTOR_HEADER_SIZE:]
    if not 8 <= bits <= 64:
        raise RemoteProtocolError(f"vector elements of {bits} bits; 8 to 64 are possible")
    if len(packed) != packed_bytes(count, bits):
        raise RemoteProtocolError(
            f"{count} elements of {bits} bits take {packed_bytes(count, bits)} bytes, "
            f"but {len(packed)} came"
        )
    used = count * bits % 8
    if used and packed[-1] >> used:
        raise RemoteProtocolError("padding bits of a packed vector are not zero")
    return VectorPiece(bits, count, index, packed)

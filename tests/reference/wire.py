"""The bytes of messages: envelope, the subset of msgpack that bodies use, packed vectors."""

from __future__ import annotations

import struct

SERVER = 2**32 - 1
(
    ADVERTISE_KEYS,
    ROSTER,
    SHARE_KEYS,
    SHARE_DELIVERY,
    MASKED_INPUT,
    UNMASK_REQUEST,
    UNMASK_SHARES,
    SURVIVORS,
    CONFIRMATION,
    CONFIRMATIONS,
) = range(1, 11)
SESSION = 0
HEADER_SIZE = 44

Value = None | bool | int | float | str | bytes | list["Value"]


def envelope(
    kind: int, suite: int, session_id: bytes, round_number: int, sender: int, body: bytes
) -> bytes:
    """One message."""
    return (
        b"FSEC"
        + bytes([1, kind])
        + suite.to_bytes(2, "little")
        + session_id
        + round_number.to_bytes(8, "little")
        + sender.to_bytes(4, "little")
        + len(body).to_bytes(8, "little")
        + body
    )


def msgpack(value: Value) -> bytes:
    """The shortest msgpack encoding (github.com/msgpack/msgpack, spec.md)."""
    if value is None:
        return b"\xc0"
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, float):
        return b"\xcb" + struct.pack(">d", value)
    if isinstance(value, int):
        return _unsigned(value)
    if isinstance(value, str):
        text = value.encode()
        return _head(len(text), {31: 0xA0}, (0xD9, 0xDA, 0xDB)) + text
    if isinstance(value, bytes):
        return _head(len(value), {}, (0xC4, 0xC5, 0xC6)) + value
    return _head(len(value), {15: 0x90}, (None, 0xDC, 0xDD)) + b"".join(map(msgpack, value))


def _unsigned(value: int) -> bytes:
    for limit, form in ((2**8, ">BB"), (2**16, ">BH"), (2**32, ">BI"), (2**64, ">BQ")):
        if value < 128:
            return bytes([value])
        if value < limit:
            return struct.pack(form, 0xCC + (">BB", ">BH", ">BI", ">BQ").index(form), value)
    raise ValueError(value)


def _head(size: int, fixed: dict[int, int], tags: tuple[int | None, int, int]) -> bytes:
    for most, tag in fixed.items():
        if size <= most:
            return bytes([tag | size])
    for width, tag in zip((1, 2, 4), tags, strict=True):
        if tag is not None and size < 256**width:
            return bytes([tag]) + size.to_bytes(width, "big")
    raise ValueError(size)


def pack(elements: list[int], bits: int) -> bytes:
    """Elements of `bits` bits in a row, least significant bit first, padded with zeros."""
    number = sum(element << bits * i for i, element in enumerate(elements))
    return number.to_bytes((len(elements) * bits + 7) // 8, "little")


def vector(elements: list[int], bits: int, index: int) -> bytes:
    """The body of one chunk of a vector."""
    head = bytes([bits]) + len(elements).to_bytes(8, "little") + index.to_bytes(4, "little")
    return head + pack(elements, bits)


def unmsgpack(data: bytes) -> Value:
    """The value that `msgpack` encoded; for reading one's own messages, hence without checks."""
    value, rest = _first(data)
    assert not rest
    return value


def body(message: bytes) -> bytes:
    """What follows the header of a message."""
    return message[HEADER_SIZE:]


def _first(data: bytes) -> tuple[Value, bytes]:
    tag, rest = data[0], data[1:]
    if tag < 0x80:
        return tag, rest
    if tag in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}[tag], rest
    if tag == 0xCB:
        return struct.unpack(">d", rest[:8])[0], rest[8:]
    if 0xCC <= tag <= 0xCF:
        width = 1 << tag - 0xCC
        return int.from_bytes(rest[:width], "big"), rest[width:]
    if 0x90 <= tag < 0xA0 or tag in (0xDC, 0xDD):
        return _items(tag, rest)
    if 0xA0 <= tag < 0xC0:
        size, width = tag - 0xA0, 0
    else:
        width = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}[tag]
        size = int.from_bytes(rest[:width], "big")
    raw = rest[width : width + size]
    return raw.decode() if 0xA0 <= tag < 0xC0 or tag >= 0xD9 else raw, rest[width + size :]


def _items(tag: int, rest: bytes) -> tuple[list[Value], bytes]:
    width = {0xDC: 2, 0xDD: 4}.get(tag, 0)
    count = int.from_bytes(rest[:width], "big") if width else tag - 0x90
    rest = rest[width:]
    items: list[Value] = []
    for _ in range(count):
        item, rest = _first(rest)
        items.append(item)
    return items, rest

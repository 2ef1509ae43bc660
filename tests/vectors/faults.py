"""Ways to spoil any message: its header, the form of its body, the ids in its lists."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from reference import wire
from reference.session import Session


@dataclass(frozen=True)
class Fault:
    """A message to refuse, and why.

    `cheater`: a server names the sender as a cheater. `ends`: a client must end its session, and
    not only refuse the message.
    """

    reason: str
    message: bytes
    cheater: bool = False
    ends: bool = False


class Raw(bytes):
    """Bytes that stand in a body as they are, encoded as nobody should."""

    __slots__ = ()


@dataclass(frozen=True)
class Good:
    """A right message, and what it takes to make similar ones.

    `finish` gives a changed body the signature that its sender would give it.
    """

    session: Session
    message: bytes
    finish: Callable[[list[Any]], list[Any]] = list

    @property
    def kind(self) -> int:
        """Its kind."""
        return self.message[5]

    @property
    def sender(self) -> int:
        """Who says it."""
        return int.from_bytes(self.message[32:36], "little")

    @property
    def body(self) -> list[Any]:
        """A copy of its body, to be changed."""
        value: Any = wire.unmsgpack(wire.body(self.message))
        return list(value)

    def sealed(self, body: bytes) -> bytes:
        """The same message with another body."""
        return self.session.message(self.kind, self.sender, bytearray(body))

    def saying(self, body: list[Any]) -> bytes:
        """The same message with another body, signed if its kind is and if it can be."""
        return self.sealed(encode(body if _has_raw(body) else self.finish(body)))

    def changed(self, *path: int, to: Any) -> bytes:
        """The same message with one part of the body exchanged."""
        body = copy.deepcopy(self.body)
        target: Any = body
        for step in path[:-1]:
            target = target[step]
        target[path[-1]] = to
        return self.saying(body)


def encode(value: Any) -> bytes:
    """msgpack, with raw parts as they are."""
    if isinstance(value, Raw):
        return bytes(value)
    if isinstance(value, list):
        empty = wire.msgpack([None] * len(value))
        return empty[: len(empty) - len(value)] + b"".join(map(encode, value))
    return wire.msgpack(value)


def of_header(good: Good, wrong_kinds: dict[str, int], other_sender: int) -> Iterator[Fault]:
    """A header that is cut, or says something else."""
    message, size = good.message, len(good.message) - wire.HEADER_SIZE
    yield Fault("no bytes at all", b"")
    yield Fault("shorter than a header", message[: wire.HEADER_SIZE - 1])
    yield Fault("wrong mark", b"FSED" + message[4:])
    yield Fault("version 0", _patched(message, 4, b"\x00"))
    yield Fault("version 2", _patched(message, 4, b"\x02"))
    yield Fault("unknown kind 11", _patched(message, 5, b"\x0b"))
    yield Fault("unknown kind 255", _patched(message, 5, b"\xff"))
    for reason, kind in wrong_kinds.items():
        yield Fault(reason, _patched(message, 5, bytes([kind])))
    yield Fault("suite 0", _patched(message, 6, b"\x00\x00"))
    yield Fault("suite 2", _patched(message, 6, b"\x02\x00"))
    yield Fault("suite 1 in the wrong byte order", _patched(message, 6, b"\x00\x01"))
    yield Fault("another session", _patched(message, 8, bytes(16)), cheater=True)
    later = (good.session.round + 1).to_bytes(8, "little")
    yield Fault("another round", _patched(message, 24, later), cheater=True)
    sender = other_sender.to_bytes(4, "little")
    yield Fault("another sender", _patched(message, 32, sender), cheater=True)
    for reason, claimed in (
        ("body said to be one byte longer", size + 1),
        ("body said to be one byte shorter", size - 1),
        ("body said to have 2^64 - 1 bytes", 2**64 - 1),
        ("body said to have none", 0),
    ):
        yield Fault(reason, _patched(message, 36, claimed.to_bytes(8, "little")))
    yield Fault("last byte missing", message[:-1])
    yield Fault("one byte too many", message + b"\x00")


def of_body(good: Good) -> Iterator[Fault]:
    """A body that is not the one encoding of anything."""
    body = wire.body(good.message)
    items = good.body
    yield Fault("empty body", good.sealed(b""))
    yield Fault("body cut by a byte", good.sealed(body[:-1]))
    yield Fault("body with a byte too many", good.sealed(body + b"\xc0"))
    yield Fault("an element too many", good.sealed(encode([*items, None])))
    yield Fault("an element too few", good.sealed(encode(items[:-1])))
    yield Fault("nil", good.sealed(b"\xc0"))
    yield Fault("a map", good.sealed(bytes([0x80 | len(items)]) + body[1:]))
    long = b"\xdc" + len(items).to_bytes(2, "big") + body[1:]
    yield Fault("array in a longer form than needed", good.sealed(long))
    claimed = b"\xdd\xff\xff\xff\xff" + body[1:]
    yield Fault("array said to have 2^32 - 1 elements", good.sealed(claimed))
    yield Fault("arrays 100 deep", good.sealed(b"\x91" * 100 + b"\xc0"))


def of_bytes(good: Good, size: int, *path: int, name: str) -> Iterator[Fault]:
    """A byte string of another size or form; for those of a fixed size below 256."""
    value: Any = good.body
    for step in path:
        value = value[step]
    assert len(value) == size
    short = Raw(b"\xc5" + size.to_bytes(2, "big") + value)
    text = Raw(b"\xd9" + bytes([size]) + b"a" * size)
    huge = Raw(b"\xc6\xff\xff\xff\xff" + value)
    for reason, changed in (
        (f"{name} of {size - 1} bytes", value[:-1]),
        (f"{name} of {size + 1} bytes", value + b"\x00"),
        (f"{name} in a longer form than needed", short),
        (f"{name} as text", text),
        (f"{name} said to have 2^32 - 1 bytes", huge),
        (f"{name} is nil", None),
    ):
        yield Fault(reason, good.changed(*path, to=changed))


def of_list(good: Good, at: int, name: str) -> Iterator[Fault]:
    """A list by client id with wrong ids, order or size; it has at least two entries."""
    entries = good.body[at]
    first, second, *rest = entries
    nested = isinstance(first, list)

    def renamed(client_id: Any) -> list[Any]:
        return [*entries[:-1], [client_id, *entries[-1][1:]] if nested else client_id]

    last = entries[-1][0] if nested else entries[-1]
    head = encode(entries)[:1]
    inner = encode(entries)[1:]
    wide = Raw(b"\xcf" + last.to_bytes(8, "big"))
    for reason, changed in (
        (f"{name} out of order", [second, first, *rest]),
        (f"{name} with a client twice", [first, first, *rest]),
        (f"{name} with the id of the server", renamed(2**32 - 1)),
        (f"{name} with an id of 2^32", renamed(2**32)),
        (f"{name} with the id -1", renamed(Raw(b"\xff"))),
        (f"{name} with a float as an id", renamed(float(last))),
        (f"{name} with true as an id", renamed(True)),
        (f"{name} with an id in a longer form than needed", renamed(wide)),
        (f"{name} said to have 2^32 - 1 entries", Raw(b"\xdd\xff\xff\xff\xff" + inner)),
        (f"{name} said to have one entry more", Raw(bytes([head[0] + 1]) + inner)),
        (f"{name} is nil", None),
        (f"{name} with an entry that is nil", [*entries[:-1], None]),
    ):
        yield Fault(reason, good.changed(at, to=changed))
    if nested:
        longer = [*entries[:-1], [*entries[-1], None]]
        yield Fault(f"{name} with a longer entry", good.changed(at, to=longer))
        shorter = [*entries[:-1], entries[-1][:-1]]
        yield Fault(f"{name} with a shorter entry", good.changed(at, to=shorter))


def flipped(data: bytes, at: int = 0) -> bytes:
    """One bit changed."""
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def _patched(message: bytes, at: int, new: bytes) -> bytes:
    return message[:at] + new + message[at + len(new) :]


def _has_raw(value: Any) -> bool:
    return isinstance(value, Raw) or (isinstance(value, list) and any(map(_has_raw, value)))

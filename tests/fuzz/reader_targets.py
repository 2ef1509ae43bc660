"""Readers of bytes as targets: envelopes, bodies, vectors, sessions.

The second byte of an input numbers what the rest edits, among valid samples; 0: nothing, the rest
is what is read.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from fedsecure import wire
from fedsecure.errors import FedSecureError, RemoteProtocolError
from fedsecure.protocols.masking import messages
from fedsecure.protocols.masking.messages import Kind, Message, read
from fedsecure.protocols.session import Session
from fuzz.edits import edited
from fuzz.scenes import VICTIM, Scene

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_LIMITS = dict.fromkeys(Kind, 1 << 16)


class ReaderTarget:
    """A function that reads bytes.

    Args:
        reader: Takes bytes; does its own checks on what it read.
        samples: Valid bytes.
    """

    def __init__(self, reader: Callable[[bytes], None], samples: Sequence[bytes]) -> None:
        self._reader = reader
        self._samples = samples

    def run(self, how: int, rest: bytes) -> None:
        """Reads, or refuses by name."""
        number = how % (len(self._samples) + 1)
        data = edited(self._samples[number - 1], rest) if number else rest
        try:
            self._reader(data)
        except RemoteProtocolError:
            return

    def seeds(self) -> dict[str, bytes]:
        """The first sample as it is, and the last with an edit."""
        return {
            "raw": bytes(1) + self._samples[0],
            "edited": bytes([len(self._samples), 1, 8, 0, 1]),
        }


def readers(scenes: Sequence[Scene]) -> Iterator[tuple[str, ReaderTarget]]:
    """All readers by name, with samples from real sessions."""
    found = _by_kind(scenes)
    yield "envelope", ReaderTarget(_open, [samples[0] for samples in found.values()])
    for kind, samples in found.items():
        bodies = [message[wire.HEADER_SIZE :] for message in samples]
        yield f"body-{kind.name}", ReaderTarget(partial(_read, kind), bodies)
    sessions = [scene.session.to_bytes() for scene in scenes]
    yield "session", ReaderTarget(partial(_session, scenes), sessions)


def _by_kind(scenes: Sequence[Scene]) -> dict[Kind, list[bytes]]:
    """The messages to and from the victim, one of a kind and session."""
    found: dict[Kind, list[bytes]] = {kind: [] for kind in Kind}
    for scene in scenes:
        said = (answer[-1] for answer in scene.said[VICTIM])
        for message in (*said, *scene.mail[VICTIM]):
            found[Kind(message[5])].append(message)
    return found


def _open(data: bytes) -> None:
    envelope = wire.open_envelope(data, _LIMITS)
    again = wire.seal(
        envelope.body,
        kind=envelope.kind,
        suite=envelope.suite,
        session_id=envelope.session_id,
        round_number=envelope.round,
        sender=envelope.sender,
    )
    assert again == data, "two spellings of one message"


def _read(kind: Kind, body: bytes) -> None:
    if kind is Kind.MASKED_INPUT:
        piece = wire.decode_vector(memoryview(body))
        head = wire.vector_header(piece.bits, piece.count, piece.index)
        assert head + piece.packed == body, "two spellings of one piece"
    else:
        value = read(_body_type(kind), memoryview(body))
        assert wire.encode_control(value) == body, "two spellings of one body"


def _body_type(kind: Kind) -> type[Message]:
    name = "".join(word.capitalize() for word in kind.name.split("_"))
    found: type[Message] = getattr(messages, name)
    return found


def _session(scenes: Sequence[Scene], data: bytes) -> None:
    session = Session.from_bytes(data)
    assert session.to_bytes() == data, "two spellings of one session"
    for scene in scenes:
        # A client may refuse the session, by name; it must not come to harm by it.
        try:
            client = scene.protocol.client(session, VICTIM)
        except FedSecureError:
            continue
        client.start()

"""What grid and mod write to each other: one strict letter per message, and vectors beside it.

A letter carries the parts of up to two sessions: the one that sums this round's updates, and the
one that is being prepared for the next. Control messages travel inside the letter; masked inputs
travel as raw bytes in arrays of their own, since Flower cuts arrays, and nothing else, in pieces.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from flwr.app import Array, ArrayRecord, ConfigRecord
from msgspec import Meta

from fedsecure import wire
from fedsecure.errors import RemoteProtocolError
from fedsecure.protocols.masking.messages import SignedBy

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "KEY",
    "MAX_FAILURE",
    "NO_TERMS",
    "VECTORS",
    "Answer",
    "Order",
    "Part",
    "Terms",
    "put",
    "take",
]

KEY = "fedsecure"
"""The record that holds the letter."""

VECTORS = "fedsecure.vectors"
"""The record that holds the masked input, one array for each of its messages."""

MAX_FAILURE = 1000
"""Characters of a failure's reason."""

_LETTER = "letter"
_BYTES = "fedsecure.bytes"  # how the arrays say they are serialized: no array library reads them
_MAX_NAMES = 1 << 20

SessionId = Annotated[bytes, Meta(min_length=16, max_length=16)]
Name = Annotated[str, Meta(max_length=1 << 16)]


class Part(wire.Control, frozen=True):
    """One session's part of a letter.

    Attributes:
        session_id: Which session.
        invitation: The session itself, when it begins; empty afterwards.
        mail: Messages of the protocol, in order.
    """

    session_id: SessionId
    invitation: bytes
    mail: Annotated[tuple[bytes, ...], Meta(max_length=1 << 16)]


class Terms(wire.Control, frozen=True):
    """What of a training reply is summed.

    Attributes:
        arrays: Names of the arrays whose change is summed.
        weight: The metric that weighs them; empty if all clients weigh the same.
        metrics: Names of the metrics that are averaged, each with its largest magnitude.
    """

    arrays: Annotated[tuple[Name, ...], Meta(max_length=_MAX_NAMES)]
    weight: Name
    metrics: Annotated[tuple[tuple[Name, float], ...], Meta(max_length=_MAX_NAMES)]


class Order(wire.Control, frozen=True):
    """What the server asks of a client with one message.

    A client forgets every session that is not among the parts; without any, it only says its id.

    Attributes:
        parts: The sessions that go on.
        training: The session that sums the update which this message asks for; empty if none.
        terms: What of that update is summed.
        agreed: What the survivors signed about the model they trained, see `updates.digest`.
    """

    parts: Annotated[tuple[Part, ...], Meta(max_length=2)]
    training: Annotated[bytes, Meta(max_length=16)]
    terms: Terms
    agreed: Annotated[tuple[SignedBy, ...], Meta(max_length=wire.MAX_PARTIES)]


class Answer(wire.Control, frozen=True):
    """What a client answers to an order.

    Attributes:
        client_id: Who it is.
        parts: The sessions it goes on with.
        signature: Its signature of the model it trained, if parties sign; else empty.
        failure: Why a session is missing from the parts; empty if none is.
    """

    client_id: wire.ClientId
    parts: Annotated[tuple[Part, ...], Meta(max_length=2)]
    signature: Annotated[bytes, Meta(max_length=64)]
    failure: Annotated[str, Meta(max_length=MAX_FAILURE)]


NO_TERMS = Terms((), "", ())
"""Those of an order that asks for no training."""

LetterT = TypeVar("LetterT", Order, Answer)


def put(content: Any, letter: Order | Answer, vectors: Sequence[bytes] = ()) -> None:
    """Adds a letter to the content of a message, and the vectors that go with it."""
    content[KEY] = ConfigRecord({_LETTER: wire.encode_control(letter)})
    if vectors:
        content[VECTORS] = ArrayRecord(
            {
                str(at): Array("uint8", (len(data),), _BYTES, bytes(data))
                for at, data in enumerate(vectors)
            }
        )


def take(content: Any, kind: type[LetterT]) -> tuple[LetterT, list[bytes]]:
    """Returns the letter in the content of a message, which it leaves, and the vectors beside it.

    Raises:
        RemoteProtocolError: There is none, or not one of this kind.
    """
    record = content.config_records.get(KEY)
    data = None if record is None else record.get(_LETTER)
    if not isinstance(data, bytes):
        raise RemoteProtocolError("this message has no letter of fedsecure in it")
    letter = wire.decode_control(kind, data)
    arrays = content.array_records.get(VECTORS, {})
    vectors = [arrays.get(str(at)) for at in range(len(arrays))]
    if any(array is None or array.stype != _BYTES for array in vectors):
        raise RemoteProtocolError("the vectors of this message are not as fedsecure sends them")
    del content[KEY]
    if arrays:
        del content[VECTORS]
    return letter, [array.data for array in vectors]

"""A party as bytes, for a process that may end between two messages.

The bytes are not part of the wire format: they hold secrets, never leave the party that wrote
them, and are read by the same version of this library only. They begin with a mark that says so,
and end in a checksum against accidents; against somebody who can change them there is no help.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, TypeVar

from fedsecure import wire
from fedsecure.errors import FedSecureError, LocalProtocolError, RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["load", "store"]

_MARK = b"FEDSECURE-SECRET"
_VERSION = 1
_DIGEST_BYTES = 32
_HEAD_BYTES = len(_MARK) + 1 + 8

StateT = TypeVar("StateT", bound=wire.Control)
PartyT = TypeVar("PartyT")


def store(state: wire.Control, vectors: Sequence[memoryview] = ()) -> bytes:
    """Returns the bytes of a party: its state, and vectors that follow it as they are."""
    body = wire.encode_control(state)
    head = _MARK + bytes([_VERSION]) + len(body).to_bytes(8, "little")
    digest = hashlib.sha256(head)
    digest.update(body)
    for vector in vectors:
        digest.update(vector)
    return b"".join((head, body, *vectors, digest.digest()))


def load(
    kind: type[StateT], data: bytes, restore: Callable[[StateT, memoryview], PartyT]
) -> PartyT:
    """Returns the party that `restore` makes of a state and what follows it.

    Raises:
        LocalProtocolError: Not the whole and unchanged bytes of such a party.
    """
    try:
        view = memoryview(data).cast("B")
    except TypeError:
        raise LocalProtocolError(
            f"a saved party is bytes, not {type(data).__name__}: pass what to_bytes() gave"
        ) from None
    head = _MARK + bytes([_VERSION])
    if len(view) < _HEAD_BYTES + _DIGEST_BYTES or view[: len(head)] != head:
        raise LocalProtocolError(
            "these are not the bytes of a party as this version of fedsecure saves them"
        )
    content, checksum = view[:-_DIGEST_BYTES], view[-_DIGEST_BYTES:]
    if hashlib.sha256(content).digest() != checksum:
        raise LocalProtocolError("the bytes of this party are damaged; restore an intact copy")
    size = int.from_bytes(view[len(head) : _HEAD_BYTES], "little")
    body, vectors = content[_HEAD_BYTES:][:size], content[_HEAD_BYTES:][size:]
    try:
        return restore(wire.decode_control(kind, body), vectors)
    except LocalProtocolError:
        raise
    except (FedSecureError, ValueError, TypeError, LookupError) as error:
        what = kind.__name__.removesuffix("State").lower()
        reason = error if isinstance(error, RemoteProtocolError) else type(error).__name__
        raise LocalProtocolError(f"these are not the bytes of a {what}: {reason}") from None

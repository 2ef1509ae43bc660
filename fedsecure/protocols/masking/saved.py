"""A party as bytes, for a process that may end between two messages.

The bytes are not part of the wire format: they hold secrets, never leave the party that wrote
them, and are read by the same version of this library only. They begin with a mark that says so,
and end in a checksum against accidents; against somebody who can change them there is no help.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated, TypeVar

from msgspec import Meta

from fedsecure import wire
from fedsecure.errors import FedSecureError, LocalProtocolError, RemoteProtocolError
from fedsecure.protocols.masking.messages import Member, ShareKeys, SignedBy, UnmaskShares

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["ClientState", "ServerState", "load", "store"]

_MARK = b"FEDSECURE-SECRET"
_VERSION = 1
_DIGEST_BYTES = 32
_HEAD_BYTES = len(_MARK) + 1 + 8

Ids = tuple[wire.ClientId, ...]


class ClientState(wire.Control, frozen=True):
    """All of a client but its update and identity. Secrets that are used up are empty."""

    session: bytes
    client_id: wire.ClientId
    stage: str
    share_secret: bytes
    mask_secret: bytes
    roster: bytes
    keyring: tuple[bytes, ...]
    sharers: Ids
    alive: Ids
    given: bool
    fingerprint: bytes
    rounding: bytes
    made: Annotated[int, Meta(ge=0)]


class Answered(wire.Control, frozen=True):
    """Who has answered the stage, and what is remembered of the answer."""

    client_id: wire.ClientId
    mark: bytes


class Shared(wire.Control, frozen=True):
    """What a client shared."""

    client_id: wire.ClientId
    body: ShareKeys


class Returned(wire.Control, frozen=True):
    """The shares that a client answered the unmask request with."""

    client_id: wire.ClientId
    body: UnmaskShares


class Arriving(wire.Control, frozen=True):
    """An unfinished upload: the packed pieces that have come."""

    client_id: wire.ClientId
    pieces: Annotated[int, Meta(ge=1)]


class ServerState(wire.Control, frozen=True):
    """All of a server but its vectors, which follow as they are: the sum, then unfinished ones."""

    session: bytes
    stage: str
    asked: Ids
    answered: tuple[Answered, ...]
    members: tuple[Member, ...]
    shares: tuple[Shared, ...]
    sharers: Ids
    alive: Ids
    confirmed: tuple[SignedBy, ...]
    unmask: tuple[Returned, ...]
    arriving: tuple[Arriving, ...]


StateT = TypeVar("StateT", ClientState, ServerState)
PartyT = TypeVar("PartyT")


def store(state: ClientState | ServerState, vectors: Sequence[memoryview] = ()) -> bytes:
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
        what = "client" if kind is ClientState else "server"
        reason = error if isinstance(error, RemoteProtocolError) else type(error).__name__
        raise LocalProtocolError(f"these are not the bytes of a {what}: {reason}") from None

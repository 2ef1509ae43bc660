"""What is saved of the parties of a masking session; see `fedsecure.protocols.saving`."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from fedsecure import wire
from fedsecure.protocols.masking.messages import Member, ShareKeys, SignedBy, UnmaskShares
from fedsecure.protocols.saving import load, store

__all__ = ["ClientState", "ServerState", "load", "store"]

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

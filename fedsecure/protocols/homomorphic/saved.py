"""What is saved of the parties of an encrypted sum; see `fedsecure.protocols.saving`."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from fedsecure import wire
from fedsecure.protocols.saving import load, store

__all__ = ["ClientState", "Digested", "HolderState", "Received", "ServerState", "load", "store"]


class ClientState(wire.Control, frozen=True):
    """All of a client but its update and identity: nothing secret."""

    session: bytes
    client_id: wire.ClientId
    stage: str


class Digested(wire.Control, frozen=True):
    """A client that has been audited, and the digest of its ciphertexts."""

    client_id: wire.ClientId
    digest: wire.Digest


class HolderState(wire.Control, frozen=True):
    """All of who decrypts but the key or share; the product so far follows, if there is one."""

    session: bytes
    client_id: wire.ClientId
    stage: str
    digests: tuple[Digested, ...]


class Received(wire.Control, frozen=True):
    """A message that the server has taken: from whom, and how long."""

    client_id: wire.ClientId
    size: Annotated[int, Meta(ge=0)]


class ServerState(wire.Control, frozen=True):
    """All of a server but the messages it has taken, which follow as they came."""

    session: bytes
    stage: str
    inputs: tuple[Received, ...]
    answers: tuple[Received, ...]

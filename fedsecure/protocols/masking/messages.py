"""The messages of a masking session: what each carries, and how large it may be.

=================  ================  ==========================================================
kind               sent by           body
=================  ================  ==========================================================
ADVERTISE_KEYS     client            its two public keys
ROSTER             server            everybody's public keys
SHARE_KEYS         client            commitment to its self-mask seed; one ciphertext per neighbor
SHARE_DELIVERY     server            the ciphertexts addressed to the receiver
MASKED_INPUT       client            a piece of its masked vector (`wire.decode_vector`)
UNMASK_REQUEST     server            the clients whose masked input did not arrive
UNMASK_SHARES      client            for each client one share, of the one kind or of the other
SURVIVORS          server            as UNMASK_REQUEST, to be confirmed first
CONFIRMATION       client            its signature of who survived
CONFIRMATIONS      server            everybody's signatures of who survived
=================  ================  ==========================================================

The last three stand between MASKED_INPUT and UNMASK_SHARES against a malicious server, in the place
of UNMASK_REQUEST. Signatures are empty where no party signs.

Lists are ordered by strictly increasing client id. The size of a message depends on who takes part
and on the configuration, never on a value of an update.
"""

from __future__ import annotations

import operator
from enum import IntEnum
from typing import TYPE_CHECKING, Annotated, TypeVar

from msgspec import Meta

from fedsecure import wire
from fedsecure.errors import RemoteProtocolError
from fedsecure.primitives.identity import SIGNATURE_BYTES
from fedsecure.primitives.keys import AEAD_OVERHEAD
from fedsecure.primitives.shamir import SHARE_BYTES
from fedsecure.protocols.vectors import piece_limit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fedsecure.protocols.session import Session

__all__ = [
    "PLAINTEXT_BYTES",
    "AdvertiseKeys",
    "Confirmation",
    "Confirmations",
    "HeldShare",
    "Kind",
    "Member",
    "Message",
    "Roster",
    "SealedShares",
    "ShareDelivery",
    "ShareKeys",
    "SignedBy",
    "Survivors",
    "UnmaskRequest",
    "UnmaskShares",
    "read",
    "size_limits",
    "write",
]

PLAINTEXT_BYTES = 8 + 2 * SHARE_BYTES
"""Sender u32, receiver u32, share of the mask key, share of the self-mask seed."""

_CIPHERTEXT_BYTES = PLAINTEXT_BYTES + AEAD_OVERHEAD

Ciphertext = Annotated[bytes, Meta(min_length=_CIPHERTEXT_BYTES, max_length=_CIPHERTEXT_BYTES)]
Share = Annotated[bytes, Meta(min_length=SHARE_BYTES, max_length=SHARE_BYTES)]
Signature = Annotated[bytes, Meta(max_length=SIGNATURE_BYTES)]
_Bounded = Meta(max_length=wire.MAX_PARTIES)


class Kind(IntEnum):
    """The kind byte of the envelope."""

    ADVERTISE_KEYS = 1
    ROSTER = 2
    SHARE_KEYS = 3
    SHARE_DELIVERY = 4
    MASKED_INPUT = 5
    UNMASK_REQUEST = 6
    UNMASK_SHARES = 7
    SURVIVORS = 8
    CONFIRMATION = 9
    CONFIRMATIONS = 10


# The entries of lists below are gc=False: they refer to bytes only, and there may be 10^5 of them,
# which the collector of cycles would walk through again and again.


class Message(wire.Control, frozen=True):
    """A control body; the ids of each list in it are strictly increasing."""

    def id_lists(self) -> Iterable[list[int]]:
        """The ids in each list, in the order in which they stand."""
        return ()


class AdvertiseKeys(Message, frozen=True):
    """C_u, for encrypting shares, and S_u, for pairwise masks."""

    share_key: wire.Digest
    mask_key: wire.Digest
    signature: Signature


class Member(wire.Control, frozen=True, gc=False):
    """One client of the roster with the keys it advertised."""

    client_id: wire.ClientId
    share_key: wire.Digest
    mask_key: wire.Digest
    signature: Signature


class Roster(Message, frozen=True):
    """The clients that advertised keys."""

    members: Annotated[tuple[Member, ...], _Bounded]

    def id_lists(self) -> Iterable[list[int]]:
        """The clients."""
        return ([member.client_id for member in self.members],)


class SealedShares(wire.Control, frozen=True, gc=False):
    """Shares encrypted between two clients; `peer` is the one that the message does not name.

    The tags are digests of the two shares, by which whoever is shown one later recognises it.
    """

    peer: wire.ClientId
    ciphertext: Ciphertext
    key_tag: wire.Digest
    seed_tag: wire.Digest


class ShareKeys(Message, frozen=True):
    """A client's commitment B_u and its sealed shares; `peer` is the receiver.

    `own_tag` is the tag of the share of its seed that the client keeps, empty if it keeps none.
    """

    commitment: wire.Digest
    own_tag: Annotated[bytes, Meta(max_length=32)]
    sealed: Annotated[tuple[SealedShares, ...], _Bounded]
    signature: Signature

    def id_lists(self) -> Iterable[list[int]]:
        """The receivers."""
        return ([entry.peer for entry in self.sealed],)


class ShareDelivery(Message, frozen=True):
    """Who of the roster shared nothing, and the sealed shares for one client; `peer` sent them."""

    gone: Annotated[tuple[wire.ClientId, ...], _Bounded]
    sealed: Annotated[tuple[SealedShares, ...], _Bounded]

    def id_lists(self) -> Iterable[list[int]]:
        """Those who are gone, and the senders."""
        return (list(self.gone), [entry.peer for entry in self.sealed])


class UnmaskRequest(Message, frozen=True):
    """The dead set. The living are its complement, so nobody can be in both."""

    dead: Annotated[tuple[wire.ClientId, ...], _Bounded]

    def id_lists(self) -> Iterable[list[int]]:
        """The dead."""
        return (list(self.dead),)


class Survivors(UnmaskRequest, frozen=True):
    """The dead set, whose complement each of the living is asked to sign."""


class Confirmation(Message, frozen=True):
    """A client's signature of who survived."""

    signature: Signature


class SignedBy(wire.Control, frozen=True, gc=False):
    """The signature of one client."""

    client_id: wire.ClientId
    signature: Signature


class Confirmations(Message, frozen=True):
    """The signatures of all who confirmed who survived."""

    signatures: Annotated[tuple[SignedBy, ...], _Bounded]

    def id_lists(self) -> Iterable[list[int]]:
        """Those who signed."""
        return ([entry.client_id for entry in self.signatures],)


class HeldShare(wire.Control, frozen=True, gc=False):
    """A share of a secret of `owner`."""

    owner: wire.ClientId
    share: Share


class UnmaskShares(Message, frozen=True):
    """Shares of the living's self-mask seeds and of the dead's mask keys."""

    alive: Annotated[tuple[HeldShare, ...], _Bounded]
    dead: Annotated[tuple[HeldShare, ...], _Bounded]

    def id_lists(self) -> Iterable[list[int]]:
        """The living, and the dead."""
        return ([held.owner for held in self.alive], [held.owner for held in self.dead])


MessageT = TypeVar("MessageT", bound=Message)

# An entry of a list at its largest: 1 byte of array, 5 of id, 2 before each byte string.
_SEALED_BYTES = 6 + 2 + _CIPHERTEXT_BYTES + 34 + 34
_ENTRY_BYTES = {
    Kind.ADVERTISE_KEYS: 0,
    Kind.ROSTER: 6 + 34 + 34 + 66,
    Kind.SHARE_KEYS: _SEALED_BYTES,
    Kind.SHARE_DELIVERY: _SEALED_BYTES + 5,
    Kind.UNMASK_REQUEST: 5,
    Kind.UNMASK_SHARES: 6 + 2 + SHARE_BYTES,
    Kind.SURVIVORS: 5,
    Kind.CONFIRMATION: 0,
    Kind.CONFIRMATIONS: 6 + 66,
}
_FIXED_BYTES = 256


def size_limits(session: Session, kinds: Iterable[Kind]) -> dict[int, int]:
    """Returns the largest body, in bytes, that each kind can have in a session."""
    parties = len(session.client_ids)
    return {
        kind: piece_limit(session)
        if kind is Kind.MASKED_INPUT
        else _FIXED_BYTES + parties * _ENTRY_BYTES[kind]
        for kind in kinds
    }


def write(session: Session, kind: Kind, sender: int, body: Message) -> bytes:
    """Returns the message of this session that carries `body`."""
    return session.seal(kind, sender, wire.encode_control(body))


def read(kind: type[MessageT], body: memoryview) -> MessageT:
    """Returns the control body of type `kind`.

    Raises:
        RemoteProtocolError: Malformed, not canonical, or ids out of order.
    """
    message = wire.decode_control(kind, body)
    for ids in message.id_lists():
        if not all(map(operator.lt, ids, ids[1:])):
            raise RemoteProtocolError(f"client ids in {kind.__name__} are repeated or out of order")
    return message

"""Parties against somebody with keys: what is altered here is signed, tagged and encrypted right.

Outsiders stop at the first signature or tag. A client that turns against the others does not, so
these targets edit what it says before it is sealed. The second byte of an input numbers what is
edited, the rest spells the edits.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import msgspec

from fedsecure import wire
from fedsecure.errors import RemoteProtocolError
from fedsecure.primitives import keys
from fedsecure.primitives.keys import PrivateKey
from fedsecure.protocols.masking import schedule
from fedsecure.protocols.masking.messages import (
    AdvertiseKeys,
    Member,
    Roster,
    ShareDelivery,
    ShareKeys,
    read,
)
from fedsecure.protocols.masking.states import Stage
from fuzz.edits import edited
from fuzz.party_targets import BODY, ClientTarget, ServerTarget
from fuzz.scenes import IDS, VICTIM, Scene
from fuzz.values import revalued

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fuzz.party_targets import PartyTarget

PEER = IDS[1]
"""Who has turned against the victim, its neighbor in every scene."""


class InsiderTarget:
    """A party that is told what one of the clients really says.

    Args:
        target: The party.
        scene: Its session.
    """

    def __init__(self, target: PartyTarget, scene: Scene) -> None:
        self._target = target
        self._scene = scene

    def run(self, how: int, rest: bytes) -> None:
        """Says it; an insider who cannot say it in the form of a message has nothing to say."""
        try:
            body = self.body(how, rest)
        except RemoteProtocolError:
            return
        self._target.run(BODY, wire.encode_control(body))

    def body(self, how: int, rest: bytes) -> wire.Control:
        """The body, with everything right that keys can make right."""
        raise NotImplementedError

    @property
    def honest(self) -> bytes:
        """The body that was said."""
        return self._target.due[wire.HEADER_SIZE :]

    def seeds(self) -> dict[str, bytes]:
        """The truth, and a lie."""
        return {"truth": bytes(1), "lie": bytes([1, 1, 9, 0, 1])}

    def _signed(self, name: int, share_key: bytes, mask_key: bytes) -> AdvertiseKeys:
        statement = schedule.key_statement(self._scene.session, name, share_key, mask_key)
        return AdvertiseKeys(share_key, mask_key, self._scene.sign(name, statement))


class Keys(InsiderTarget):
    """To the server: keys that the client signed and never made."""

    def body(self, how: int, rest: bytes) -> AdvertiseKeys:
        """Edits of the public keys."""
        honest = read(AdvertiseKeys, self._scene.body(VICTIM, 0))
        both = edited(honest.share_key + honest.mask_key, rest).ljust(64, b"\0")
        return self._signed(VICTIM, both[:32], both[32:64])


class Shares(InsiderTarget):
    """To the server: shares that the client signed and never made."""

    def body(self, how: int, rest: bytes) -> ShareKeys:
        """Edits of everything but the signature; of values for an odd `how`."""
        honest = read(ShareKeys, self._scene.body(VICTIM, 1))
        plain = wire.encode_control(msgspec.structs.replace(honest, signature=b""))
        unsigned = read(ShareKeys, memoryview((revalued if how & 1 else edited)(plain, rest)))
        stripped = wire.encode_control(msgspec.structs.replace(unsigned, signature=b""))
        statement = schedule.shares_statement(self._scene.ctx, VICTIM, stripped)
        signature = self._scene.sign(VICTIM, statement)
        return msgspec.structs.replace(unsigned, signature=signature)


class PeersKeys(InsiderTarget):
    """To a client: a roster with keys that a peer signed and never made."""

    def body(self, how: int, rest: bytes) -> Roster:
        """Edits of the peer's public keys."""
        honest = self._scene.roster
        member = next(member for member in honest if member.client_id == PEER)
        both = edited(member.share_key + member.mask_key, rest).ljust(64, b"\0")
        body = self._signed(PEER, both[:32], both[32:64])
        lie = Member(PEER, body.share_key, body.mask_key, body.signature)
        return Roster(tuple(lie if member.client_id == PEER else member for member in honest))


class PeersShares(InsiderTarget):
    """To a client: shares that a peer encrypted to it."""

    def body(self, how: int, rest: bytes) -> ShareDelivery:
        """Edits of the plaintext, or of the tags; the tags fit the plaintext for an odd `how`."""
        delivery = read(ShareDelivery, self._scene.told(VICTIM, 1))
        at = next(n for n, entry in enumerate(delivery.sealed) if entry.peer == PEER)
        ctx, entry = self._scene.ctx, delivery.sealed[at]
        victim = next(member for member in self._scene.roster if member.client_id == VICTIM)
        agreed = PrivateKey(self._scene.share_secret(PEER)).agree(victim.share_key)
        key = schedule.share_key(agreed, ctx, PEER, VICTIM)
        label = schedule.share_label(ctx, PEER, VICTIM, entry.key_tag, entry.seed_tag)
        plaintext = keys.decrypt(key, entry.ciphertext, label)
        altered = edited(plaintext, rest)[: len(plaintext)].ljust(len(plaintext), b"\0")
        shares = altered[struct.calcsize("<II") :]
        tags = entry.key_tag, entry.seed_tag
        if how & 1:
            half = len(shares) // 2
            tags = (
                schedule.key_tag(ctx, PEER, VICTIM, shares[:half]),
                schedule.seed_tag(ctx, PEER, VICTIM, shares[half:]),
            )
        label = schedule.share_label(ctx, PEER, VICTIM, *tags)
        lie = type(entry)(PEER, keys.encrypt(key, altered, label), *tags)
        return ShareDelivery(
            delivery.gone, (*delivery.sealed[:at], lie, *delivery.sealed[at + 1 :])
        )


def insiders(scenes: list[Scene]) -> Iterator[tuple[str, InsiderTarget]]:
    """The lies of one client, in every scene."""
    for scene in scenes:
        name = f"{scene.policy}-insider"
        yield f"{name}-keys", Keys(ServerTarget(scene, Stage.ADVERTISE_KEYS), scene)
        yield f"{name}-shares", Shares(ServerTarget(scene, Stage.SHARE_KEYS), scene)
        yield f"{name}-peers-keys", PeersKeys(ClientTarget(scene, Stage.SHARE_KEYS), scene)
        yield f"{name}-peers-shares", PeersShares(ClientTarget(scene, Stage.MASKED_INPUT), scene)

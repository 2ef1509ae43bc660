"""What an attacker in a test has and does: a server that keeps everything, with accomplices.

The parties are the real ones. The attacker sees each message, may have accomplices hand over all
that they know, and then tries every way there is from shares to one client's input.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fedsecure import _core, wire
from fedsecure.errors import CryptoError, RemoteProtocolError
from fedsecure.primitives import masks, shamir
from fedsecure.primitives.entropy import Secret
from fedsecure.primitives.identity import Identity
from fedsecure.primitives.keys import PrivateKey
from fedsecure.primitives.masks import MaskSet
from fedsecure.protocols.masking import MaskingClient, MaskingServer, levels, schedule
from fedsecure.protocols.masking.messages import (
    Confirmation,
    Confirmations,
    Kind,
    Member,
    Message,
    Roster,
    ShareDelivery,
    ShareKeys,
    SignedBy,
    Survivors,
    UnmaskRequest,
    UnmaskShares,
    read,
    write,
)
from fedsecure.protocols.masking.states import Stage
from parties import Parties, body_of, encoded, make_updates, reseal, stages_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

IDENTITIES = {name: Identity.generate() for name in range(12)}

REGULAR_POLICY = {"corrupt": 0.1, "dropout": 0.2}
SETTINGS: dict[str, dict[str, Any]] = {
    "semi_honest": {"adversary": "semi_honest"},
    "semi_malicious": {"adversary": "semi_malicious"},
    "malicious": {"adversary": "malicious"},
    "regular": {"adversary": "semi_malicious", "neighbors": 6, "policy": REGULAR_POLICY},
}


def parties_of(setting: str, count: int | None = None, **more: Any) -> Parties:
    """A session of one of the four kinds: each adversary on the complete graph, and k-regular."""
    size = (12 if setting == "regular" else 5) if count is None else count
    return Parties(size, **{**SETTINGS[setting], **more})


def with_same_identities(setting: str, **more: Any) -> Parties:
    """Parties who are known from earlier sessions."""
    if setting == "malicious":
        more["policy"] = {"identities": IDENTITIES}
    return parties_of(setting, **more)


def stages_in(setting: str) -> tuple[Stage, ...]:
    """The stages of such a session."""
    return stages_of(SETTINGS[setting]["adversary"])


def weakened(count: int, adversary: str, *, size: int = 4, **changes: Any) -> Parties:
    """Parties of a session that no policy asks for: made directly, with these fields changed."""
    updates = make_updates(count, size)
    parties = Parties(count, adversary=adversary, updates=updates)
    parties.session = session = replace(parties.session, **changes)
    parties.clients = {
        name: MaskingClient(
            session, name, updates[name], identity=parties.protocol.identity_of(name)
        )
        for name in session.client_ids
    }
    parties.inputs = {name: encoded(client) for name, client in parties.clients.items()}
    parties.server = MaskingServer(session)
    return parties


def forged(parties: Parties, kind: Kind, body: wire.Control) -> bytes:
    """A message of the server with a body that it made up."""
    return write(parties.session, kind, wire.SERVER, body)


def altered(message: bytes, body: Message) -> bytes:
    """The same message with another body."""
    return reseal(message, body=wire.encode_control(body))


def fresh_public_key(byte: int) -> bytes:
    """A public key whose secret the attacker has."""
    return PrivateKey(Secret(bytes([byte]) * 32)).public


def roster_of(parties: Parties, name: int) -> tuple[Member, ...]:
    """The roster that is under way to a client."""
    return read(Roster, body_of(parties.mail[name][0])).members


def unpacked(messages: Iterable[bytes], dtype: Any) -> NDArray[Any]:
    """The ring elements in the messages of one upload."""
    elements = []
    for message in messages:
        piece = wire.decode_vector(body_of(message))
        out = np.empty(piece.count, dtype)
        _core.unpack(np.frombuffer(piece.packed, np.uint8), piece.bits, out)
        elements.append(out)
    return np.concatenate(elements)


class Spy:
    """The server's memory: what it saw, what accomplices told it, and what it makes of that.

    Args:
        parties: The session, at its start.
    """

    def __init__(self, parties: Parties) -> None:
        self.parties = parties
        self.session = parties.session
        self.members: tuple[Member, ...] = ()
        self.graph: Any = None
        self.ctx = b""
        self.accomplices: set[int] = set()
        self.mask_secrets: dict[int, bytes] = {}
        self.shared: dict[int, ShareKeys] = {}
        self.vectors: dict[int, NDArray[Any]] = {}
        self.masked_with: dict[int, frozenset[int]] = {}
        self.shares: dict[str, dict[int, dict[int, bytes]]] = {"seed": {}, "key": {}}

    # --- listening ------------------------------------------------------------------------------

    def until(self, stage: str) -> Spy:
        """Relays honestly, and keeps everything, until the server collects `stage`."""
        while self.parties.server.stage != stage:
            self.finish_stage()
        return self

    def finish_stage(self, late: Collection[int] = ()) -> None:
        """One stage; the answers of those who are `late` are kept, and the server goes on."""
        parties = self.parties
        stage = parties.server.stage
        for name in list(parties.mail):
            for_server = parties.answer(name)
            self.keep(stage, name, for_server)
            if name not in late:
                for message in for_server:
                    parties.server.receive(name, message)
        parties.mail = parties.server.advance()
        if stage == Stage.ADVERTISE_KEYS:
            self.members = roster_of(parties, next(iter(parties.mail)))
            self.graph, self.ctx = schedule.draw_graph(self.session, self.members)

    def keep(self, stage: str, name: int, messages: Sequence[bytes]) -> None:
        """Takes down one answer of a client."""
        if stage == Stage.SHARE_KEYS:
            self.shared[name] = read(ShareKeys, body_of(messages[0]))
        elif stage == Stage.MASKED_INPUT:
            self.vectors[name] = unpacked(messages, self.session.layout.dtype)
            if name in self.accomplices:
                self.betray(name)
        elif stage == Stage.UNMASKING:
            self.learn(name, read(UnmaskShares, body_of(messages[0])))

    def learn(self, holder: int, body: UnmaskShares) -> None:
        """Takes down the shares of an answer."""
        for kind, entries in (("seed", body.alive), ("key", body.dead)):
            for entry in entries:
                self.shares[kind].setdefault(entry.owner, {})[holder] = entry.share

    def corrupt(self, names: Iterable[int]) -> None:
        """Makes these clients accomplices; before they share their keys."""
        for name in names:
            self.accomplices.add(name)
            self.mask_secrets[name] = bytes(self.parties.clients[name]._mask_secret.view)

    def betray(self, name: int) -> None:
        """Takes all shares, of both kinds, that an accomplice holds."""
        everybody = {member.client_id for member in self.members}
        keyring = self.parties.clients[name]._keyring
        self.learn(name, keyring.unmask_shares(everybody, ()))
        self.learn(name, keyring.unmask_shares((), everybody - {name}))

    def forget_all_but(self, names: Iterable[int]) -> None:
        """Forgets everything that was told by others than these accomplices."""
        self.accomplices.intersection_update(names)
        for name in self.mask_secrets.keys() - self.accomplices:
            del self.mask_secrets[name]
        for owners in self.shares.values():
            for known in owners.values():
                for holder in known.keys() - self.accomplices:
                    del known[holder]

    # --- using it -------------------------------------------------------------------------------

    def secret(self, kind: str, owner: int) -> Secret | None:
        """The client's secret of that kind, if what is known gives it."""
        if kind == "key" and owner in self.mask_secrets:
            return Secret(self.mask_secrets[owner])
        known = list(self.shares[kind].get(owner, {}).items())[: self.session.threshold]
        if not known:
            return None
        xs = [self.graph.position(owner, holder) for holder, _ in known]
        rows = np.frombuffer(b"".join(share for _, share in known), np.uint8)
        try:
            (secret,) = shamir.combine(xs, rows.reshape(1, len(xs), shamir.SHARE_BYTES))
        except CryptoError:
            return None  # too few shares give any 320 bits, seldom a secret of 256
        if kind == "seed":
            found = schedule.commitment(secret.view, self.ctx, owner)
            return secret if found == self.shared[owner].commitment else None
        public = PrivateKey(secret).public
        mask_key = next(entry.mask_key for entry in self.members if entry.client_id == owner)
        return secret if public == mask_key else None

    def pair_seed(self, one: int, other: int) -> bytes | None:
        """The seed of the mask that two clients share, if either's key is known."""
        for owner, peer in ((one, other), (other, one)):
            secret = self.secret("key", owner)
            if secret is not None:
                mask_key = next(e.mask_key for e in self.members if e.client_id == peer)
                agreed = PrivateKey(secret).agree(mask_key)
                return schedule.pair_seed(agreed, self.ctx, self.session.prg, one, other)
        return None

    def pairwise_off(self, victim: int, *, self_mask: bool = True) -> NDArray[Any] | None:
        """The victim's vector without the masks; None if one of those is not known.

        Args:
            victim: Whose.
            self_mask: Whether its self mask has to come off too.
        """
        seeds, signs = [], []
        if self_mask:
            secret = self.secret("seed", victim)
            if secret is None:
                return None
            own = schedule.self_seed(secret.view, self.ctx, self.session.prg, victim)
            seeds, signs = [own], [-1]
        everybody = frozenset(self.shared)
        for peer in self.graph.neighbors(victim):
            if peer not in self.masked_with.get(victim, everybody):
                continue
            seed = self.pair_seed(victim, peer)
            if seed is None:
                return None
            seeds.append(seed)
            signs.append(-schedule.pair_sign(victim, peer))
        vector = self.vectors[victim].copy()
        MaskSet(seeds, signs, self.session.prg).apply(vector)
        masks.reduce(vector, self.session.layout.modulus_bits)
        return vector

    def has_input_of(self, victim: int) -> bool:
        """Whether the attack ends with the victim's input, element by element."""
        found = self.pairwise_off(victim)
        bits = self.session.layout.modulus_bits
        plain = self.parties.inputs[victim].copy()
        masks.reduce(plain, bits)
        return found is not None and np.array_equal(found, plain)

    # --- lying ----------------------------------------------------------------------------------

    def tell(self, views: Mapping[int, Sequence[int]], *, pad: bool = False) -> list[int]:
        """Tells each client its own set of dead clients, and keeps what they give for it.

        Against clients that compare, the confirmations of the like-minded and of all accomplices
        are shown.

        Args:
            views: The dead, for each client that is asked.
            pad: Show the confirmations of all the others as well.

        Returns:
            Those who answered with shares.
        """
        clients = self.parties.clients
        if not self.session.verify_keys:
            requests = {
                name: forged(self.parties, Kind.UNMASK_REQUEST, UnmaskRequest(tuple(dead)))
                for name, dead in views.items()
            }
        else:
            signed = self._confirmations(views)
            requests = {name: self._shown(name, signed, pad=pad) for name in signed}
        answered = []
        for name, request in requests.items():
            try:
                (answer,) = clients[name].receive(request)
            except RemoteProtocolError:
                assert clients[name].stage is Stage.ABORTED
                continue
            self.learn(name, read(UnmaskShares, body_of(answer)))
            answered.append(name)
        return answered

    def _confirmations(self, views: Mapping[int, Sequence[int]]) -> dict[int, bytes]:
        signed: dict[int, bytes] = {}
        for name, dead in views.items():
            survivors = forged(self.parties, Kind.SURVIVORS, Survivors(tuple(dead)))
            try:
                (answer,) = self.parties.clients[name].receive(survivors)
            except RemoteProtocolError:
                continue
            signed[name] = read(Confirmation, body_of(answer)).signature
        return signed

    def _shown(self, name: int, signed: Mapping[int, bytes], *, pad: bool) -> bytes:
        clients = self.parties.clients
        told = clients[name].transcript
        shown = {
            other: signature
            for other, signature in signed.items()
            if pad or clients[other].transcript == told
        }
        statement = schedule.survivors_statement(told)
        alive = clients[name]._membership.alive
        for accomplice in self.accomplices & alive:
            signer = self.parties.protocol.identity_of(accomplice)
            shown[accomplice] = levels.sign(signer, statement)
        entries = (SignedBy(*item) for item in sorted(shown.items()) if item[0] in alive)
        return forged(self.parties, Kind.CONFIRMATIONS, Confirmations(tuple(entries)))

    def delivery(self, name: int, gone: Collection[int]) -> bytes:
        """The delivery of shares for a client that is told that these others are gone."""
        sealed = tuple(
            replace_peer(entry, sender)
            for sender in sorted(self.shared)
            if sender not in gone
            for entry in self.shared[sender].sealed
            if entry.peer == name
        )
        body = ShareDelivery(tuple(sorted(gone)), sealed)
        return forged(self.parties, Kind.SHARE_DELIVERY, body)


def replace_peer(entry: Any, peer: int) -> Any:
    """The sealed shares, as the receiver is to see them: from `peer`."""
    return type(entry)(peer, entry.ciphertext, entry.key_tag, entry.seed_tag)


def ends_the_session(parties: Parties, name: int, message: bytes, reason: str) -> Any:
    """The client refuses the message, is over, and has no secret left; returns the error."""
    client = parties.clients[name]
    with pytest.raises(RemoteProtocolError, match=reason) as caught:
        list(client.receive(message))
    assert client.stage is Stage.ABORTED
    with pytest.raises(RemoteProtocolError, match="ABORTED"):
        client.receive(message)
    return caught.value

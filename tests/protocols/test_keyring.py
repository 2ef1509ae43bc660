"""The secrets of one client between roster and end: agreed on, dealt out, accepted, wiped."""

from __future__ import annotations

import struct
from typing import Any

import msgspec
import numpy as np
import pytest

from fedsecure.errors import CheaterDetected, CryptoError, RemoteProtocolError
from fedsecure.primitives import entropy, keys, shamir
from fedsecure.primitives.entropy import Secret
from fedsecure.primitives.graph import CompleteGraph, Graph, HararyGraph
from fedsecure.primitives.keys import PrivateKey
from fedsecure.primitives.masks import Prg
from fedsecure.primitives.shamir import SHARE_BYTES, combine
from fedsecure.protocols.masking import keyring, schedule
from fedsecure.protocols.masking.keyring import KeyRing, KeyRingSecrets
from fedsecure.protocols.masking.messages import Member, SealedShares
from parties import Parties

IDS = (3, 5, 8, 20, 21, 300)
CTX = bytes(range(32))
GRAPHS: dict[str, Graph] = {
    "complete": CompleteGraph(IDS),
    "regular": HararyGraph(IDS, 4, bytes(32)),
}
THRESHOLD = 3


class Party:
    """A client's secrets, and the ring that they give."""

    def __init__(self, name: int, ring: KeyRing, secrets: tuple[Secret, Secret, Secret]) -> None:
        self.name, self.ring = name, ring
        self.share_secret, self.mask_secret, self.self_secret = secrets

    def deal(self) -> tuple[bytes, bytes, dict[int, SealedShares]]:
        """Distributes both secrets; the sealed shares by receiver, as they are delivered."""
        made = self.ring.distribute(self.mask_secret, self.self_secret, THRESHOLD)
        delivered = {
            entry.peer: msgspec.structs.replace(entry, peer=self.name) for entry in made[2]
        }
        return made[0], made[1], delivered

    def seal(self, receiver: int, plaintext: bytes, key_tag: bytes, seed_tag: bytes) -> Any:
        """What a client can encrypt to a neighbor if it does not keep to the protocol."""
        row = self.ring._row[receiver]
        key = self.ring._outward.view[row * 32 : row * 32 + 32]
        label = schedule.share_label(CTX, self.name, receiver, key_tag, seed_tag)
        return SealedShares(self.name, keys.encrypt(key, plaintext, label), key_tag, seed_tag)


def parties(graph: Graph) -> dict[int, Party]:
    """All clients, with rings that agree."""
    drawn = {name: tuple(entropy.draw(32) for _ in range(3)) for name in IDS}
    members = {
        name: Member(name, PrivateKey(share).public, PrivateKey(mask).public, b"")
        for name, (share, mask, _) in drawn.items()
    }
    return {
        name: Party(
            name,
            KeyRing.agree(
                client_id=name,
                ctx=CTX,
                prg=Prg.AES128,
                graph=graph,
                members=members,
                share_key=PrivateKey(secrets[0]),
                mask_key=PrivateKey(secrets[1]),
            ),
            secrets,
        )
        for name, secrets in drawn.items()
    }


def shares(number: int = 7) -> tuple[bytes, bytes]:
    """Two well-formed shares."""
    dealt = shamir.split([Secret(bytes([number]) * 32)], 2, [1, 2])
    return dealt[0, 0].tobytes(), dealt[0, 1].tobytes()


@pytest.mark.parametrize("kind", GRAPHS)
def test_t_holders_have_both_secrets_and_one_less_has_neither(kind: str) -> None:
    graph = GRAPHS[kind]
    all_parties = parties(graph)
    dealt = {name: party.deal()[2] for name, party in all_parties.items()}
    for name, party in all_parties.items():
        party.ring.accept([dealt[peer][name] for peer in graph.neighbors(name)])
    owner = 8
    secrets = all_parties[owner].self_secret, all_parties[owner].mask_secret
    holders = list(graph.holders(owner))
    assert (owner in holders) == (kind == "complete")
    others = [name for name in holders if name != owner]
    for alive, secret in ((IDS, secrets[0]), ((), secrets[1])):
        dead = () if alive else (owner,)
        given = {}
        for name in holders if alive else others:
            body = all_parties[name].ring.unmask_shares(alive, dead)
            found = [held.share for held in body.alive + body.dead if held.owner == owner]
            assert len(found) == 1
            given[name] = found[0]
        chosen = list(given)[-THRESHOLD:]
        xs = [graph.position(owner, name) for name in chosen]
        rows = np.frombuffer(b"".join(given[name] for name in chosen), np.uint8)
        (again,) = combine(xs, rows.reshape(1, THRESHOLD, SHARE_BYTES))
        assert again == secret
        try:
            (wrong,) = combine(xs[1:], rows.reshape(1, THRESHOLD, SHARE_BYTES)[:, 1:])
        except CryptoError:
            continue
        assert wrong != secret


@pytest.mark.parametrize("kind", GRAPHS)
def test_tags_and_commitment_are_those_of_what_was_dealt(kind: str) -> None:
    graph = GRAPHS[kind]
    all_parties = parties(graph)
    me = all_parties[5]
    b = bytes(me.self_secret.view)
    commitment, own_tag, delivered = me.deal()
    assert commitment == schedule.commitment(b, CTX, 5)
    assert list(delivered) == list(graph.neighbors(5))
    body = me.ring.unmask_shares([5], [])
    if kind == "complete":
        assert own_tag == schedule.seed_tag(CTX, 5, 5, body.alive[0].share)
    else:
        assert (own_tag, body.alive) == (b"", ())
    for peer, entry in delivered.items():
        ring = all_parties[peer].ring
        ring.accept([entry])
        (alive,) = ring.unmask_shares([5], []).alive
        (dead,) = ring.unmask_shares([], [5]).dead
        assert entry.seed_tag == schedule.seed_tag(CTX, 5, peer, alive.share)
        assert entry.key_tag == schedule.key_tag(CTX, 5, peer, dead.share)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_neighbor_that_seals_what_is_not_well_formed(which: int) -> None:
    """It opens, so only the neighbor can have written it, and the tags are right, too."""
    all_parties = parties(GRAPHS["complete"])
    cheat, me = all_parties[3], all_parties[8]
    right = shares()
    too_large = struct.pack("<5Q", 0, 0, 2**61 - 1, 0, 0)
    for names in ((8, 3), (3, 20), (5, 8)) if which == 0 else ((3, 8),):
        parts = [struct.pack("<II", *names), *right]
        if which:
            parts[which] = too_large
        tags = schedule.key_tag(CTX, 3, 8, parts[1]), schedule.seed_tag(CTX, 3, 8, parts[2])
        entry = cheat.seal(8, b"".join(parts), *tags)
        with pytest.raises(CheaterDetected, match="client 3 are not well-formed") as caught:
            me.ring.accept([entry])
        assert caught.value.culprit == 3


@pytest.mark.parametrize("wrong", ["key", "seed", "both", "exchanged", "another owner"])
def test_a_neighbor_whose_tags_are_not_those_of_its_shares(wrong: str) -> None:
    all_parties = parties(GRAPHS["complete"])
    cheat, me = all_parties[3], all_parties[8]
    one, other = shares()
    key_tag, seed_tag = schedule.key_tag(CTX, 3, 8, one), schedule.seed_tag(CTX, 3, 8, other)
    tags = {
        "key": (bytes(32), seed_tag),
        "seed": (key_tag, bytes(32)),
        "both": (bytes(32), bytes(32)),
        "exchanged": (seed_tag, key_tag),
        "another owner": (schedule.key_tag(CTX, 5, 8, one), schedule.seed_tag(CTX, 5, 8, other)),
    }[wrong]
    plaintext = struct.pack("<II", 3, 8) + one + other
    with pytest.raises(CheaterDetected, match="client 3 do not have the tags it gave") as caught:
        me.ring.accept([cheat.seal(8, plaintext, *tags)])
    assert caught.value.culprit == 3
    me.ring.accept([cheat.seal(8, plaintext, key_tag, seed_tag)])


def test_what_does_not_open_names_nobody() -> None:
    """The server may have altered it: only the pair of them could tell."""
    all_parties = parties(GRAPHS["complete"])
    entry = all_parties[3].deal()[2][8]
    ring = all_parties[8].ring
    for wrong in (
        msgspec.structs.replace(entry, ciphertext=bytes(len(entry.ciphertext))),
        msgspec.structs.replace(entry, key_tag=bytes(32)),
        msgspec.structs.replace(entry, seed_tag=bytes(32)),
        msgspec.structs.replace(entry, peer=5),
    ):
        with pytest.raises(RemoteProtocolError, match="it, or the server, altered") as caught:
            ring.accept([wrong])
        assert not isinstance(caught.value, CheaterDetected)
    ring.accept([entry])


def test_shares_of_who_is_no_neighbor() -> None:
    graph = GRAPHS["regular"]
    all_parties = parties(graph)
    far = next(name for name in IDS if name not in (8, *graph.neighbors(8)))
    near = graph.neighbors(8)[0]
    entry = msgspec.structs.replace(all_parties[near].deal()[2][8], peer=far)
    with pytest.raises(RemoteProtocolError, match=f"from client {far}, which is no neighbor"):
        all_parties[8].ring.accept([entry])


@pytest.mark.parametrize("field", ["share_key", "mask_key"])
@pytest.mark.parametrize("key", [bytes(32), b"\1" + bytes(31), b"\xff" * 32])
def test_keys_that_are_none_end_the_agreement(field: str, key: bytes) -> None:
    secrets = entropy.draw(32), entropy.draw(32)
    members = {
        name: Member(name, *(PrivateKey(entropy.draw(32)).public for _ in "cs"), b"")
        for name in IDS
    }
    members[20] = msgspec.structs.replace(members[20], **{field: key})
    with pytest.raises(RemoteProtocolError, match="keys of client 20: public key is"):
        KeyRing.agree(
            client_id=3,
            ctx=CTX,
            prg=Prg.AES128,
            graph=GRAPHS["complete"],
            members=members,
            share_key=PrivateKey(secrets[0]),
            mask_key=PrivateKey(secrets[1]),
        )


def test_the_shares_of_all_others_are_wiped_once_they_are_sealed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dealt = []

    def split(*arguments: Any) -> np.ndarray:
        dealt.append(shamir.split(*arguments))
        assert dealt[-1].any(axis=(1, 2)).all()
        return dealt[-1]

    monkeypatch.setattr(keyring, "split", split)
    parties(GRAPHS["complete"])[3].deal()
    assert not dealt[0].any()


def test_all_that_was_drawn_for_the_keys_is_wiped_with_the_shares_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """c_u and s_u, and b_u and the seed of the polynomials, of which nothing else is kept."""
    drawn = []

    def draw(size: int) -> Secret:
        drawn.append(Secret(system(size)))
        return drawn[-1]

    system = entropy.token
    monkeypatch.setattr(entropy, "draw", draw)
    made = Parties(4)
    drawn.clear()
    made.clients[1] = made.protocol.client(made.session, 1)
    made.finish_stage()
    assert [secret.wiped for secret in drawn] == [False, False]
    made.send([1])
    assert [len(secret) for secret in drawn] == [32, 32, 32, 24]
    assert all(secret.wiped for secret in drawn)


def test_used_keys_are_saved_as_nothing() -> None:
    """Not even as zeros: a restored ring must not take them for keys."""
    graph = GRAPHS["complete"]
    all_parties = parties(graph)
    party = all_parties[3]
    names = list(KeyRingSecrets.__dataclass_fields__)

    def present(ring: KeyRing) -> set[str]:
        again = KeyRing(3, CTX, Prg.AES128, graph, KeyRingSecrets(*ring.save()))
        assert again.save() == ring.save()
        return {name for name, data in zip(names, ring.save(), strict=True) if data}

    assert present(party.ring) == {"outward", "inward", "pair_seeds"}
    party.deal()
    assert present(party.ring) == {"inward", "pair_seeds", "self_seed", "own_share"}
    party.ring.accept([all_parties[peer].deal()[2][3] for peer in graph.neighbors(3)])
    assert present(party.ring) == {"pair_seeds", "self_seed", "own_share", "held"}
    party.ring.forget_masks()
    assert present(party.ring) == {"own_share", "held"}
    party.ring.wipe()
    assert present(party.ring) == set()

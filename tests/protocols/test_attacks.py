"""Scripted cheaters. Names in brackets are those of the attacks in the literature."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from fedsecure import wire
from fedsecure.errors import RemoteProtocolError
from fedsecure.primitives.entropy import Secret
from fedsecure.primitives.keys import PrivateKey
from fedsecure.protocols.masking import keyring
from fedsecure.protocols.masking.messages import (
    Kind,
    Member,
    Roster,
    SealedShares,
    ShareDelivery,
    ShareKeys,
    UnmaskRequest,
    UnmaskShares,
    read,
)
from fedsecure.protocols.masking.states import Stage
from parties import Parties, body_of, refuses_for_good, reseal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Members = tuple[Member, ...]
Sealed = tuple[SealedShares, ...]


def member(client_id: int, share_key: bytes, mask_key: bytes) -> Member:
    return Member(client_id, share_key, mask_key, b"")


def fresh_key(byte: int = 77) -> bytes:
    return PrivateKey(Secret(bytes([byte]) * 32)).public


def forged(parties: Parties, name: int, body: wire.Control) -> bytes:
    return reseal(parties.mail[name][0], body=wire.encode_control(body))


# --- the roster -------------------------------------------------------------------------------


def without_me(members: Members) -> Members:
    return tuple(member for member in members if member.client_id != 0)


def my_keys_swapped(members: Members) -> Members:
    return (member(0, members[0].mask_key, members[0].share_key), *members[1:])


def my_mask_key_replaced(members: Members) -> Members:
    return (member(0, members[0].share_key, fresh_key()), *members[1:])


def key_of_one_given_to_another(members: Members) -> Members:
    return (*members[:3], member(3, fresh_key(), members[2].mask_key))


def my_key_given_to_another(members: Members) -> Members:
    return (*members[:3], member(3, fresh_key(), members[0].share_key))


def one_key_in_both_roles(members: Members) -> Members:
    return (*members[:3], member(3, fresh_key(), fresh_key()))


def uninvited_client(members: Members) -> Members:
    return (*members, member(99, fresh_key(1), fresh_key(2)))


def too_few(members: Members) -> Members:
    return members[:2]


def low_order_mask_key(members: Members) -> Members:
    return (*members[:3], member(3, fresh_key(), b"\1" + bytes(31)))


def low_order_share_key(members: Members) -> Members:
    return (*members[:3], member(3, bytes(32), fresh_key()))


def key_not_canonical(members: Members) -> Members:
    high = members[3].share_key[:31] + bytes([members[3].share_key[31] | 128])
    return (*members[:3], member(3, high, members[3].mask_key))


@pytest.mark.parametrize(
    ("forge", "reason"),
    [
        (without_me, "this client's keys"),
        (my_keys_swapped, "this client's keys"),
        (my_mask_key_replaced, "this client's keys"),
        (key_of_one_given_to_another, "same public key twice"),
        (my_key_given_to_another, "same public key twice"),
        (one_key_in_both_roles, "same public key twice"),
        (uninvited_client, "client 99, who was not invited"),
        (too_few, "leaves 2 clients, below the threshold 3"),
        (low_order_mask_key, "keys of client 3: public key is a point of low order"),
        (low_order_share_key, "keys of client 3: public key is a point of low order"),
        (key_not_canonical, "keys of client 3: public key is not a canonical"),
    ],
)
def test_roster(forge: Callable[[Members], Members], reason: str) -> None:
    """[A5, A7, A8] What a client sees of the others' keys decides whom it masks against."""
    parties = Parties(4).until(Stage.SHARE_KEYS)
    members = read(Roster, body_of(parties.mail[0][0])).members
    refuses_for_good(parties, 0, forged(parties, 0, Roster(forge(members))), reason)


@pytest.mark.parametrize("order", [(0, 0, 1, 2, 3), (1, 0, 2, 3), (0, 1, 2, 2, 3)])
def test_roster_out_of_order(order: tuple[int, ...]) -> None:
    """Nobody is in it twice; such a message is malformed, and an honest one is still welcome."""
    parties = Parties(4).until(Stage.SHARE_KEYS)
    members = read(Roster, body_of(parties.mail[0][0])).members
    bad = forged(parties, 0, Roster(tuple(members[at] for at in order)))
    with pytest.raises(RemoteProtocolError, match="repeated or out of order"):
        parties.clients[0].receive(bad)
    parties.finish()


def test_two_rosters() -> None:
    """[A39] Clients shown different keys of a third do not agree on any key at all."""
    parties = Parties(4).until(Stage.SHARE_KEYS)
    members = read(Roster, body_of(parties.mail[0][0])).members
    other = (*members[:3], member(3, fresh_key(1), fresh_key(2)))
    parties.mail = {**parties.mail, 0: [forged(parties, 0, Roster(other))]}
    parties.finish_stage()
    for name in (0, 1):
        refuses_for_good(parties, name, parties.mail[name][0], "does not authenticate")


# --- the shares -------------------------------------------------------------------------------


def altered(entry: SealedShares, **changes: object) -> SealedShares:
    return msgspec.structs.replace(entry, **changes)


def flipped(sealed: Sealed) -> Iterable[SealedShares]:
    first = bytearray(sealed[0].ciphertext)
    first[30] ^= 1
    return (altered(sealed[0], ciphertext=bytes(first)), *sealed[1:])


def wrong_key_tag(sealed: Sealed) -> Iterable[SealedShares]:
    return (altered(sealed[0], key_tag=bytes(32)), *sealed[1:])


def wrong_seed_tag(sealed: Sealed) -> Iterable[SealedShares]:
    return (altered(sealed[0], seed_tag=bytes(32)), *sealed[1:])


def tags_exchanged(sealed: Sealed) -> Iterable[SealedShares]:
    first = sealed[0]
    return (altered(first, key_tag=first.seed_tag, seed_tag=first.key_tag), *sealed[1:])


def exchanged(sealed: Sealed) -> Iterable[SealedShares]:
    one, other, *rest = sealed
    return (
        altered(one, ciphertext=other.ciphertext),
        altered(other, ciphertext=one.ciphertext),
        *rest,
    )


def repeated(sealed: Sealed) -> Iterable[SealedShares]:
    return (sealed[0], altered(sealed[0], peer=sealed[1].peer), *sealed[2:])


def from_myself(sealed: Sealed) -> Iterable[SealedShares]:
    return (altered(sealed[0], peer=0), *sealed)


def from_a_stranger(sealed: Sealed) -> Iterable[SealedShares]:
    return (*sealed, altered(sealed[0], peer=99))


def only_one(sealed: Sealed) -> Iterable[SealedShares]:
    return sealed[:1]


@pytest.mark.parametrize(
    ("forge", "reason"),
    [
        (flipped, "shares from client 1: ciphertext does not authenticate"),
        (exchanged, "does not authenticate"),
        (repeated, "does not authenticate"),
        (wrong_key_tag, "does not authenticate"),
        (wrong_seed_tag, "does not authenticate"),
        (tags_exchanged, "does not authenticate"),
        (from_myself, "not from this client's neighbors: see client 0"),
        (from_a_stranger, "not from this client's neighbors: see client 99"),
        (only_one, "not from this client's neighbors: see client 2"),
    ],
)
def test_delivery(forge: Callable[[Sealed], Iterable[SealedShares]], reason: str) -> None:
    parties = Parties(4).until(Stage.MASKED_INPUT)
    sealed = read(ShareDelivery, body_of(parties.mail[0][0])).sealed
    bad = forged(parties, 0, ShareDelivery((), tuple(forge(sealed))))
    refuses_for_good(parties, 0, bad, reason)


def test_reflection() -> None:
    """[A6] A client's own ciphertext for a neighbor does not come back as the neighbor's."""
    parties = Parties(4).until(Stage.SHARE_KEYS)
    (message,) = parties.answer(0)
    parties.server.receive(0, message)
    parties.finish_stage_of([1, 2, 3])
    reflected = ShareDelivery((), read(ShareKeys, body_of(message)).sealed)
    refuses_for_good(parties, 0, forged(parties, 0, reflected), "does not authenticate")


def test_an_altered_commitment_is_noticed() -> None:
    parties = Parties(4).until(Stage.SHARE_KEYS)
    (message,) = parties.answer(2)
    body = read(ShareKeys, body_of(message))
    other = bytes([body.commitment[0] ^ 1]) + body.commitment[1:]
    altered = wire.encode_control(msgspec.structs.replace(body, commitment=other))
    parties.server.receive(2, reseal(message, body=altered))
    parties.finish_stage_of([0, 1, 3])
    parties.finish_stage()
    with pytest.raises(RemoteProtocolError, match="shares of client 2 do not give"):
        parties.finish_stage()


@pytest.mark.parametrize("what", ["names", "shares"])
def test_a_neighbor_that_encrypts_nonsense(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ciphertext that authenticates still says from whom, to whom, and two well-formed shares."""
    parties = Parties(4).until(Stage.SHARE_KEYS)
    with monkeypatch.context() as cheat:
        if what == "names":
            cheat.setattr(keyring, "_IDS", struct.Struct(">II"))
        else:
            cheat.setattr(keyring, "split", lambda *_: np.full((2, 4, 40), 255, np.uint8))
        parties.send([1])
    parties.finish_stage_of([0, 2, 3])
    reason = "shares from client 1 are not well-formed"
    refuses_for_good(parties, 0, parties.mail[0][0], reason)


# --- the request ------------------------------------------------------------------------------


def request(parties: Parties, dead: Iterable[int]) -> bytes:
    return forged(parties, 0, UnmaskRequest(tuple(dead)))


@pytest.mark.parametrize(
    ("dead", "reason"),
    [
        ([0], "itself dead"),
        ([0, 4], "itself dead"),
        ([2], "client 2 dead, who never shared"),
        ([77], "client 77 dead, who never shared"),
        ([1, 3], "leaves 4 clients, below the threshold 5"),
    ],
)
def test_unmask_request(dead: list[int], reason: str) -> None:
    """[A8, A38] Client 2 left before it shared; six are alive and five are needed."""
    parties = Parties(7, threshold=5).until(Stage.SHARE_KEYS)
    parties.finish_stage(absent=[2])
    parties.finish_stage()
    refuses_for_good(parties, 0, request(parties, dead), reason)


@pytest.mark.parametrize("second", [[], [1], [1, 2], [3]])
def test_one_answer_per_session(second: list[int]) -> None:
    """[A1, A37] Dead now, alive then, or more dead: whatever comes second gets no share."""
    parties = Parties(7, threshold=5).until(Stage.UNMASKING)
    client = parties.clients[0]
    (answer,) = client.receive(request(parties, [1]))
    body = read(UnmaskShares, body_of(answer))
    assert [held.owner for held in body.alive] == [0, 2, 3, 4, 5, 6]
    assert [held.owner for held in body.dead] == [1]
    with pytest.raises(RemoteProtocolError, match="no place in stage FINISHED"):
        client.receive(request(parties, second))


def test_a_request_before_the_upload_gets_nothing() -> None:
    parties = Parties(4).until(Stage.MASKED_INPUT)
    early = wire.encode_control(UnmaskRequest((1,)))
    message = reseal(parties.mail[0][0], kind=Kind.UNMASK_REQUEST, body=early)
    with pytest.raises(RemoteProtocolError, match="no place in stage MASKED_INPUT"):
        parties.clients[0].receive(message)
    parties.finish()

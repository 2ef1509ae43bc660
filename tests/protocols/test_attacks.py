"""Scripted cheaters. Names in brackets are those of the attacks in the literature."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fedsecure import wire
from fedsecure.encoding import FixedPoint
from fedsecure.errors import LocalProtocolError, RemoteProtocolError, ThresholdError
from fedsecure.primitives.entropy import Secret
from fedsecure.primitives.keys import PrivateKey
from fedsecure.protocols.base import Session
from fedsecure.protocols.masking import PairwiseMasking, keyring
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
from parties import SENT_BY_SERVER, STAGES, Parties, body_of, make_updates, reseal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Members = tuple[Member, ...]
Sealed = tuple[SealedShares, ...]


def fresh_key(byte: int = 77) -> bytes:
    return PrivateKey(Secret(bytes([byte]) * 32)).public


def refuses_for_good(parties: Parties, name: int, message: bytes, reason: str) -> None:
    """The client ends the session, and answers not even the honest message afterwards."""
    client = parties.clients[name]
    with pytest.raises(RemoteProtocolError, match=reason):
        client.receive(message)
    assert client.stage is Stage.ABORTED
    with pytest.raises(RemoteProtocolError, match="ABORTED"):
        client.receive(parties.mail[name][0])


def forged(parties: Parties, name: int, body: wire.Control) -> bytes:
    return reseal(parties.mail[name][0], body=wire.encode_control(body))


# --- the roster -------------------------------------------------------------------------------


def without_me(members: Members) -> Members:
    return tuple(member for member in members if member.client_id != 0)


def my_keys_swapped(members: Members) -> Members:
    return (Member(0, members[0].mask_key, members[0].share_key), *members[1:])


def my_mask_key_replaced(members: Members) -> Members:
    return (Member(0, members[0].share_key, fresh_key()), *members[1:])


def key_of_one_given_to_another(members: Members) -> Members:
    return (*members[:3], Member(3, fresh_key(), members[2].mask_key))


def my_key_given_to_another(members: Members) -> Members:
    return (*members[:3], Member(3, fresh_key(), members[0].share_key))


def one_key_in_both_roles(members: Members) -> Members:
    return (*members[:3], Member(3, fresh_key(), fresh_key()))


def uninvited_client(members: Members) -> Members:
    return (*members, Member(99, fresh_key(1), fresh_key(2)))


def too_few(members: Members) -> Members:
    return members[:2]


def low_order_mask_key(members: Members) -> Members:
    return (*members[:3], Member(3, fresh_key(), b"\1" + bytes(31)))


def low_order_share_key(members: Members) -> Members:
    return (*members[:3], Member(3, bytes(32), fresh_key()))


def key_not_canonical(members: Members) -> Members:
    high = members[3].share_key[:31] + bytes([members[3].share_key[31] | 128])
    return (*members[:3], Member(3, high, members[3].mask_key))


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
    other = (*members[:3], Member(3, fresh_key(1), fresh_key(2)))
    parties.mail = {**parties.mail, 0: [forged(parties, 0, Roster(other))]}
    parties.finish_stage()
    for name in (0, 1):
        refuses_for_good(parties, name, parties.mail[name][0], "does not authenticate")


# --- the shares -------------------------------------------------------------------------------


def flipped(sealed: Sealed) -> Iterable[SealedShares]:
    first = bytearray(sealed[0].ciphertext)
    first[30] ^= 1
    return (SealedShares(sealed[0].peer, bytes(first)), *sealed[1:])


def exchanged(sealed: Sealed) -> Iterable[SealedShares]:
    one, other, *rest = sealed
    return (
        SealedShares(one.peer, other.ciphertext),
        SealedShares(other.peer, one.ciphertext),
        *rest,
    )


def repeated(sealed: Sealed) -> Iterable[SealedShares]:
    return (sealed[0], SealedShares(sealed[1].peer, sealed[0].ciphertext), *sealed[2:])


def from_myself(sealed: Sealed) -> Iterable[SealedShares]:
    return (SealedShares(0, sealed[0].ciphertext), *sealed)


def from_a_stranger(sealed: Sealed) -> Iterable[SealedShares]:
    return (*sealed, SealedShares(99, sealed[0].ciphertext))


def only_one(sealed: Sealed) -> Iterable[SealedShares]:
    return sealed[:1]


@pytest.mark.parametrize(
    ("forge", "reason"),
    [
        (flipped, "shares from client 1: ciphertext does not authenticate"),
        (exchanged, "does not authenticate"),
        (repeated, "does not authenticate"),
        (from_myself, "client 0, which is no neighbour"),
        (from_a_stranger, "client 99, which is no neighbour"),
        (only_one, "leaves 2 clients, below the threshold 3"),
    ],
)
def test_delivery(forge: Callable[[Sealed], Iterable[SealedShares]], reason: str) -> None:
    parties = Parties(4).until(Stage.MASKED_INPUT)
    sealed = read(ShareDelivery, body_of(parties.mail[0][0])).sealed
    bad = forged(parties, 0, ShareDelivery(tuple(forge(sealed))))
    refuses_for_good(parties, 0, bad, reason)


def test_reflection() -> None:
    """[A6] A client's own ciphertext for a neighbour does not come back as the neighbour's."""
    parties = Parties(4).until(Stage.SHARE_KEYS)
    (message,) = parties.answer(0)
    parties.server.receive(0, message)
    parties.finish_stage_of([1, 2, 3])
    reflected = ShareDelivery(read(ShareKeys, body_of(message)).sealed)
    refuses_for_good(parties, 0, forged(parties, 0, reflected), "does not authenticate")


def test_an_altered_commitment_is_noticed() -> None:
    parties = Parties(4).until(Stage.SHARE_KEYS)
    (message,) = parties.answer(2)
    body = read(ShareKeys, body_of(message))
    other = bytes([body.commitment[0] ^ 1]) + body.commitment[1:]
    altered = wire.encode_control(ShareKeys(other, body.sealed))
    parties.server.receive(2, reseal(message, body=altered))
    parties.finish_stage_of([0, 1, 3])
    parties.finish_stage()
    with pytest.raises(RemoteProtocolError, match="shares of client 2 do not give"):
        parties.finish_stage()


@pytest.mark.parametrize("what", ["names", "shares"])
def test_a_neighbour_that_encrypts_nonsense(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
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


# --- replays ----------------------------------------------------------------------------------


def transcript(parties: Parties) -> dict[tuple[Stage, str], bytes]:
    """The first message to and from client 0 in each stage."""
    found: dict[tuple[Stage, str], bytes] = {}
    for stage in STAGES:
        if stage in SENT_BY_SERVER:
            found[stage, "to"] = parties.mail[0][0]
        answers = {name: parties.answer(name) for name in parties.mail}
        found[stage, "from"] = answers[0][0]
        for name, messages in answers.items():
            for message in messages:
                parties.server.receive(name, message)
        parties.mail = parties.server.advance()
    parties.check()
    return found


@pytest.mark.parametrize("change", ["session", "round", "both"])
@pytest.mark.parametrize("stage", STAGES)
def test_replayed_as_it_was(change: str, stage: Stage) -> None:
    """[A4] A message of another session or round is refused and changes nothing."""
    first = Parties(4, round=6)
    old = transcript(first)
    session_id = first.session.session_id if change == "round" else None
    parties = Parties(4, round=6 if change == "session" else 7, session_id=session_id)
    parties.until(stage)
    reason = "another session" if change != "round" else "round 6, not 7"
    with pytest.raises(RemoteProtocolError, match=reason):
        parties.server.receive(0, old[stage, "from"])
    if stage in SENT_BY_SERVER:
        with pytest.raises(RemoteProtocolError, match=reason):
            parties.clients[0].receive(old[stage, "to"])
        assert parties.clients[0].stage is stage
    parties.finish()


@pytest.mark.parametrize(
    ("stage", "reason"),
    [(Stage.SHARE_KEYS, "this client's keys"), (Stage.MASKED_INPUT, "does not authenticate")],
)
def test_replayed_under_a_new_header(stage: Stage, reason: str) -> None:
    """[A4] What a header says is only what the attacker wrote; the keys hold the context."""
    old = transcript(Parties(4))[stage, "to"]
    parties = Parties(4).until(stage)
    message = reseal(old, session_id=parties.session.session_id)
    refuses_for_good(parties, 0, message, reason)


def test_replayed_answers_under_a_new_header_spoil_but_do_not_reveal() -> None:
    """[A4] Old shares do not open the new commitments."""
    first = Parties(4)
    old = transcript(first)[Stage.UNMASKING, "from"]
    parties = Parties(4).until(Stage.UNMASKING)
    parties.server.receive(0, reseal(old, session_id=parties.session.session_id))
    with pytest.raises(RemoteProtocolError, match="do not give the secret"):
        parties.finish_stage_of([1, 2, 3])


@pytest.mark.parametrize("stage", STAGES)
def test_other_suite(stage: Stage) -> None:
    parties = Parties(4).until(stage)
    if stage in SENT_BY_SERVER:
        with pytest.raises(RemoteProtocolError, match="suite 2, not 1"):
            parties.clients[0].receive(reseal(parties.mail[0][0], suite=2))
    answers = parties.answer(0)
    with pytest.raises(RemoteProtocolError, match="suite 0, not 1"):
        parties.server.receive(0, reseal(answers[0], suite=0))


# --- what the parties agree on ------------------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [
        {"model_digest": bytes(31) + b"\1"},
        {"threshold": 4},
        {"size": 52},
        {"encoding": FixedPoint(4.0, 13)},
        {"encoding": FixedPoint(4.0, 12, overflow="clip")},
    ],
    ids=["model", "threshold", "shapes", "bits", "overflow"],
)
def test_clients_told_different_things_do_not_agree_on_keys(other: dict[str, object]) -> None:
    """[A11, A39] Same session id and roster, one thing different: no share can be opened."""
    parties = Parties(4)
    twin = Parties(4, session_id=parties.session.session_id, **other)
    parties.clients[0] = twin.clients[0]
    parties.until(Stage.MASKED_INPUT)
    for name in (0, 1):
        refuses_for_good(parties, name, parties.mail[name][0], "does not authenticate")


@pytest.mark.parametrize(("count", "threshold"), [(10, 6), (5, 3), (100, 51)])
def test_a_lower_threshold_than_the_clients_policy(count: int, threshold: int) -> None:
    """[A9] The default policy of a client does not take part in a session that asks for less."""
    lenient = Parties(count, threshold=threshold).session
    policy = PairwiseMasking(chunk=lenient.chunk)
    for restored in (lenient, Session.from_bytes(lenient.to_bytes())):
        with pytest.raises(ThresholdError, match=f"threshold {threshold} is below the"):
            policy.client(restored, 0, make_updates(1)[0])
        with pytest.raises(ThresholdError):
            policy.server(restored)
    strict = Parties(count, threshold=count).session
    assert policy.client(strict, 0, make_updates(1)[0]).stage is Stage.ADVERTISE_KEYS


def test_another_chunk_or_protocol_than_the_clients_policy() -> None:
    session = Parties(4, chunk=16).session
    with pytest.raises(LocalProtocolError, match="chunk"):
        PairwiseMasking(chunk=17).client(session, 0)
    with pytest.raises(LocalProtocolError, match="not invited"):
        PairwiseMasking(chunk=16).client(session, 9)

"""A server in the middle: it hands out keys of its own, of others, or such as fit anything."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from attackers import SETTINGS, ends_the_session, forged, fresh_public_key, parties_of, roster_of
from fedsecure import wire
from fedsecure.errors import CheaterDetected, LocalProtocolError, RemoteProtocolError
from fedsecure.primitives.identity import Identity
from fedsecure.protocols.masking import MaskingClient, PairwiseMasking, levels, schedule
from fedsecure.protocols.masking.messages import AdvertiseKeys, Kind, Member, Roster, read
from fedsecure.protocols.masking.states import Stage
from parties import LEVELS, Parties, body_of, encoded, make_updates, modular_sum, reseal

if TYPE_CHECKING:
    from collections.abc import Callable

VICTIM = 0
VECTORS = Path(__file__).parents[1] / "vectors" / "x25519_test.json"


def signed(parties: Parties, name: int, share_key: bytes, mask_key: bytes) -> Member:
    """A client's entry of a roster, with these keys and its own right signature."""
    statement = schedule.key_statement(parties.session, name, share_key, mask_key)
    signer = parties.protocol.identity_of(name)
    return Member(name, share_key, mask_key, levels.sign(signer, statement))


def with_member(members: tuple[Member, ...], new: Member) -> tuple[Member, ...]:
    """The roster with another entry in the place of that client's."""
    return tuple(new if member.client_id == new.client_id else member for member in members)


def show(parties: Parties, name: int, members: tuple[Member, ...], reason: str) -> Exception:
    """Shows a client this roster, which it must refuse for good; returns the error."""
    return ends_the_session(parties, name, forged(parties, Kind.ROSTER, Roster(members)), reason)


# --- keys that are not the client's -----------------------------------------------------------


def other_mask_key(parties: Parties, member: Member) -> Member:
    return Member(member.client_id, member.share_key, fresh_public_key(7), member.signature)


def other_share_key(parties: Parties, member: Member) -> Member:
    return Member(member.client_id, fresh_public_key(7), member.mask_key, member.signature)


def keys_exchanged(parties: Parties, member: Member) -> Member:
    return Member(member.client_id, member.mask_key, member.share_key, member.signature)


def unsigned(parties: Parties, member: Member) -> Member:
    return Member(member.client_id, fresh_public_key(7), fresh_public_key(8), b"")


def signed_by_the_server(parties: Parties, member: Member) -> Member:
    one, other = fresh_public_key(7), fresh_public_key(8)
    statement = schedule.key_statement(parties.session, member.client_id, one, other)
    return Member(member.client_id, one, other, Identity.generate().sign(statement))


def signed_by_an_accomplice(parties: Parties, member: Member) -> Member:
    one, other = fresh_public_key(7), fresh_public_key(8)
    statement = schedule.key_statement(parties.session, member.client_id, one, other)
    return Member(member.client_id, one, other, parties.protocol.identity_of(4).sign(statement))


def signed_in_another_session(parties: Parties, member: Member) -> Member:
    """What the client really said, with the same identity, a session earlier."""
    session = replace(parties.session, session_id=bytes(16))
    client = parties.protocol.client(session, member.client_id)
    said = read(AdvertiseKeys, body_of(client.start()[0]))
    return Member(member.client_id, said.share_key, said.mask_key, said.signature)


SWAPS = [
    other_mask_key,
    other_share_key,
    keys_exchanged,
    unsigned,
    signed_by_the_server,
    signed_by_an_accomplice,
    signed_in_another_session,
]


@pytest.mark.parametrize("swap", SWAPS, ids=lambda swap: swap.__name__)
def test_a_swapped_key_names_the_server(swap: Callable[[Parties, Member], Member]) -> None:
    """[A5] One key in the roster that its owner did not sign here, and the client is out."""
    parties = Parties(5, adversary="malicious").until(Stage.SHARE_KEYS)
    members = roster_of(parties, VICTIM)
    bad = with_member(members, swap(parties, members[2]))
    error = show(parties, VICTIM, bad, "signature of client 2")
    assert isinstance(error, CheaterDetected)
    assert error.culprit == wire.SERVER


@pytest.mark.parametrize("setting", SETTINGS)
def test_own_keys_swapped_name_the_server_at_every_level(setting: str) -> None:
    """[A5] Its own entry a client knows without any signature."""
    for swap in (other_mask_key, other_share_key, keys_exchanged):
        parties = parties_of(setting).until(Stage.SHARE_KEYS)
        members = roster_of(parties, VICTIM)
        bad = with_member(members, swap(parties, members[VICTIM]))
        error = show(parties, VICTIM, bad, "this client's keys")
        assert isinstance(error, CheaterDetected)
        assert error.culprit == wire.SERVER


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_client_that_is_left_out_of_its_roster(setting: str) -> None:
    """[A5] It would share its secrets with nobody that holds it to anything."""
    parties = parties_of(setting, 14 if setting == "regular" else 5).until(Stage.SHARE_KEYS)
    error = show(parties, VICTIM, roster_of(parties, VICTIM)[1:], "this client's keys")
    assert isinstance(error, CheaterDetected)


def test_keys_signed_by_somebody_else_do_not_pass_the_server() -> None:
    """[A5] On the way to the server the same holds; the client of the transport is named."""
    parties = Parties(5, adversary="malicious")
    (message,) = parties.answer(2)
    said = read(AdvertiseKeys, body_of(message))
    member = Member(2, said.share_key, said.mask_key, said.signature)
    for swap in SWAPS:
        bad = swap(parties, member)
        body = wire.encode_control(AdvertiseKeys(bad.share_key, bad.mask_key, bad.signature))
        with pytest.raises(CheaterDetected, match="wrong signature of client 2") as caught:
            parties.server.receive(2, reseal(message, body=body))
        assert caught.value.culprit == 2
    parties.server.receive(2, message)
    parties.finish_stage_of([0, 1, 3, 4])
    parties.finish()


# --- the whole attack -------------------------------------------------------------------------


def surround(adversary: str) -> tuple[Parties, dict[int, MaskingClient]]:
    """A victim whose server invents everybody else; the real others are not even asked.

    Returns:
        The victim's session, and the made-up clients, whose updates are the server's.
    """
    parties = Parties(5, adversary=adversary)
    names = [name for name in parties.clients if name != VICTIM]
    for name, update in zip(names, make_updates(4, seed=9), strict=True):
        signer = Identity.generate() if adversary == "malicious" else None
        fake = MaskingClient(parties.session, name, update, identity=signer)
        parties.clients[name] = fake
        parties.inputs[name] = encoded(fake)
    return parties, {name: parties.clients[name] for name in names}


def victims_input(parties: Parties) -> np.ndarray:
    """What is left of the sum without the server's own updates."""
    while not parties.server.finished:
        parties.finish_stage()
    bits = parties.session.layout.modulus_bits
    fakes = [vector for name, vector in parties.inputs.items() if name != VICTIM]
    return (parties.total.astype(object) - modular_sum(fakes, bits)) % 2**bits


@pytest.mark.parametrize("adversary", ["semi_honest", "semi_malicious"])
def test_unsigned_sessions_do_not_withstand_it_and_do_not_say_so(adversary: str) -> None:
    """[A5] Whoever relays unsigned keys can read one client; the result names what it withstood."""
    parties, _ = surround(adversary)
    found = victims_input(parties)
    bits = parties.session.layout.modulus_bits
    np.testing.assert_array_equal(found, parties.inputs[VICTIM].astype(object) % 2**bits)
    result = parties.server.result()
    assert result.adversary == adversary
    assert result.adversary != "malicious"
    assert not parties.session.protocol.endswith("/malicious")


def no_check(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(levels, name, lambda *_: None)


def test_a_surrounded_client_among_signers_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """[A5] The invented clients cannot sign as those that the victim has pinned."""
    with monkeypatch.context() as theirs:
        no_check(theirs, "check_identity")
        parties, fakes = surround("malicious")
        no_check(theirs, "check_signature")  # the server does not check its own inventions
        parties.finish_stage()
    members = roster_of(parties, VICTIM)
    assert {member.client_id for member in members} == {VICTIM, *fakes}
    error = show(parties, VICTIM, members, "signature of client 1")
    assert isinstance(error, CheaterDetected)
    assert error.culprit == wire.SERVER


def test_negative_control_signatures_that_nobody_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """[A5] Without the check on the victim's side the whole attack works, at the same level."""
    no_check(monkeypatch, "check_identity")
    no_check(monkeypatch, "check_signature")
    parties, _ = surround("malicious")
    found = victims_input(parties)
    bits = parties.session.layout.modulus_bits
    np.testing.assert_array_equal(found, parties.inputs[VICTIM].astype(object) % 2**bits)


# --- identities -------------------------------------------------------------------------------


def cast() -> tuple[dict[int, Identity], PairwiseMasking]:
    """Five clients and the protocol object of the first: its identity, the others' verify keys."""
    identities = {name: Identity.generate() for name in range(5)}
    pinned = {name: known.verify_key for name, known in identities.items()}
    return identities, PairwiseMasking(identities={**pinned, 0: identities[0]}, chunk=16)


def test_a_session_that_pins_another_key_is_refused() -> None:
    """[A5] The verify keys in a session are the server's word; the client has its own list."""
    identities, own = cast()
    template = Parties(5, adversary="malicious", policy={"identities": identities})
    good = template.session
    assert own.client(good, 0).stage is Stage.ADVERTISE_KEYS
    keys = good.verify_keys
    stranger = Identity.generate().verify_key
    for other in (
        (*keys[:4], stranger),
        (stranger, *keys[1:]),
        (keys[1], keys[0], *keys[2:]),
        (*keys[:4], keys[3]),
    ):
        with pytest.raises(LocalProtocolError, match="other verify keys"):
            own.client(replace(good, verify_keys=other), 0)
        with pytest.raises(LocalProtocolError, match="other verify keys"):
            own.server(replace(good, verify_keys=other))
    with pytest.raises(LocalProtocolError, match="one for each client"):
        own.client(replace(good, verify_keys=()), 0)


def test_a_client_without_or_with_a_wrong_identity() -> None:
    """[A5] Nobody takes part with another's identity, with none, or unknown to the others."""
    identities, own = cast()
    session = Parties(5, adversary="malicious", policy={"identities": identities}).session
    update = make_updates(1)[0]
    for name in range(1, 5):
        with pytest.raises(LocalProtocolError, match=f"client {name} signs in this session"):
            own.client(session, name, update)
    for signer in (None, identities[1], Identity.generate()):
        with pytest.raises(LocalProtocolError, match="client 0 signs in this session"):
            MaskingClient(session, 0, update, identity=signer)
        data = MaskingClient(session, 0, update, identity=identities[0]).to_bytes()
        with pytest.raises(LocalProtocolError, match="client 0 signs in this session"):
            MaskingClient.from_bytes(data, signer)
    with pytest.raises(LocalProtocolError, match="identities="):
        PairwiseMasking(chunk=16).client(session, 0, update)
    few = PairwiseMasking(identities={name: identities[name] for name in range(4)}, chunk=16)
    with pytest.raises(LocalProtocolError, match="client 4 has no identity here"):
        few.client(session, 0, update)


@pytest.mark.parametrize("adversary", LEVELS[:2])
def test_an_identity_where_nobody_signs(adversary: str) -> None:
    """[A5] A weaker level does not look like the strong one by accident."""
    session = Parties(5, adversary=adversary).session
    with pytest.raises(LocalProtocolError, match="signs nothing in this session"):
        MaskingClient(session, 0, identity=Identity.generate())
    with pytest.raises(LocalProtocolError, match="against a malicious server only"):
        PairwiseMasking(adversary, identities={0: Identity.generate()})


# --- keys that fit anything -------------------------------------------------------------------


def low_order_points() -> list[bytes]:
    """Public keys of the Wycheproof collection with which every agreement gives zeros."""
    groups = json.loads(VECTORS.read_text())["testGroups"]
    cases = [case for group in groups for case in group["tests"]]
    zeros = bytes(32).hex()
    return sorted({bytes.fromhex(case["public"]) for case in cases if case["shared"] == zeros})


def with_key_of_a_neighbor(parties: Parties, role: str, key: bytes) -> tuple[int, tuple]:
    """A neighbor of the victim, and a roster in which it has, and signed, such a key."""
    members = roster_of(parties, VICTIM)
    for member in members[1:]:
        keys = {"share_key": member.share_key, "mask_key": member.mask_key, role: key}
        bad = with_member(members, signed(parties, member.client_id, **keys))
        graph, _ = schedule.draw_graph(parties.session, bad)
        if member.client_id in graph.neighbors(VICTIM):
            return member.client_id, bad
    raise AssertionError


@pytest.mark.parametrize("role", ["share_key", "mask_key"])
@pytest.mark.parametrize("setting", SETTINGS)
def test_low_order_points_signed_by_an_accomplice(setting: str, role: str) -> None:
    """[A7] A mask that everybody can compute: refused by the client itself, signed or not."""
    points = low_order_points()
    assert len(points) >= 7
    for point in points:
        parties = parties_of(setting).until(Stage.SHARE_KEYS)
        name, members = with_key_of_a_neighbor(parties, role, point)
        show(parties, VICTIM, members, f"keys of client {name}: public key is ")


@pytest.mark.parametrize("setting", SETTINGS)
def test_repeated_keys_signed_by_an_accomplice(setting: str) -> None:
    """[A7] The victim's own key under another name, one key in two roles, or in two hands."""
    for which in range(5):
        parties = parties_of(setting).until(Stage.SHARE_KEYS)
        members = roster_of(parties, VICTIM)
        mine, third, fresh = members[VICTIM], members[2], fresh_public_key(7)
        share_key, mask_key = [
            (fresh, mine.mask_key),
            (mine.mask_key, fresh),
            (mine.share_key, mine.mask_key),
            (fresh, fresh),
            (third.share_key, fresh),
        ][which]
        bad = with_member(members, signed(parties, 3, share_key, mask_key))
        show(parties, VICTIM, bad, "same public key twice")


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_client_does_not_meet_itself(setting: str) -> None:
    """[A7] Twice in the roster, or under a name that was not invited."""
    parties = parties_of(setting).until(Stage.SHARE_KEYS)
    members = roster_of(parties, VICTIM)
    for twice in ((members[0], *members), (*members, members[0])):
        message = forged(parties, Kind.ROSTER, Roster(twice))
        with pytest.raises(RemoteProtocolError, match="repeated or out of order"):
            parties.clients[VICTIM].receive(message)
    stranger = Member(99, fresh_public_key(1), fresh_public_key(2), members[1].signature)
    show(parties, VICTIM, (*members, stranger), "client 99, who was not invited")

"""What each adversary means for a session: its name, its stages, who signs, and who is who."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from fedsecure import wire
from fedsecure.errors import CheaterDetected, LocalProtocolError, RemoteProtocolError
from fedsecure.primitives.identity import Identity
from fedsecure.protocols.masking import MaskingClient, MaskingServer, PairwiseMasking, levels
from fedsecure.protocols.masking.messages import AdvertiseKeys, Confirmation, ShareKeys, read
from fedsecure.protocols.masking.states import Flow, Stage
from fedsecure.protocols.session import Session
from fedsecure.pytree import TreeSpec
from parties import ENCODING, LEVELS, Parties, body_of, make_updates, reseal

WEAKER = LEVELS[:2]
SPEC = TreeSpec.of(make_updates(1)[0])
KNOWN = {client_id: Identity.from_bytes(bytes([client_id]) * 32) for client_id in range(1, 6)}
PINNED = {client_id: known.verify_key for client_id, known in KNOWN.items()}
LOW_ORDER = b"\1" + bytes(31)


def session_of(protocol: PairwiseMasking, ids: Any = (1, 2, 3, 4, 5)) -> Session:
    return protocol.session(client_ids=ids, spec=SPEC, encoding=ENCODING)


def own(client_id: int, **changes: Any) -> PairwiseMasking:
    """The protocol object of one client: its own identity, everybody else's verify key."""
    return PairwiseMasking(identities={**PINNED, client_id: KNOWN[client_id]}, **changes)


# --- names and stages -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("adversary", "name", "flow"),
    [
        ("semi_honest", "pairwise-masking/semi-honest", Flow.FOUR_STAGES),
        ("semi_malicious", "pairwise-masking/semi-malicious", Flow.FOUR_STAGES),
        ("malicious", "pairwise-masking/malicious", Flow.FIVE_STAGES),
    ],
)
def test_names_and_stages(adversary: Any, name: str, flow: Flow) -> None:
    session = Parties(4, adversary=adversary).session
    assert levels.protocol_name(adversary) == name
    assert session.protocol == name
    assert levels.adversary_of(session) == adversary
    assert levels.flow_of(session) is flow


def test_malicious_is_the_default() -> None:
    assert PairwiseMasking().name == "pairwise-masking/malicious"


@pytest.mark.parametrize("adversary", LEVELS)
def test_the_result_says_what_it_withstood(adversary: str) -> None:
    parties = Parties(5, adversary=adversary).until(Stage.MASKED_INPUT)
    assert all(client.transcript is None for client in parties.clients.values())
    parties.finish_stage(absent=[2])
    parties.finish()
    result = parties.server.result()
    assert result.adversary == adversary
    assert len(result.transcript) == 32
    for name, client in parties.clients.items():
        assert client.transcript == (None if name == 2 else result.transcript)
    assert "no differential privacy" in str(result.privacy)
    assert "over 4 clients" in str(result.privacy)


@pytest.mark.parametrize("name", ["plaintext", "pairwise-masking", "pairwise-masking/none", ""])
def test_a_session_of_another_protocol(name: str) -> None:
    session = dataclasses.replace(Parties(4).session, protocol=name)
    with pytest.raises(LocalProtocolError, match=f"{name!r}, not of pairwise masking"):
        levels.adversary_of(session)


@pytest.mark.parametrize("adversary", WEAKER)
def test_a_level_does_not_pass_for_another(adversary: Any) -> None:
    """Neither by its name alone, nor by its verify keys alone."""
    weak, strong = (
        Parties(5, adversary=adversary).session,
        session_of(PairwiseMasking(identities=PINNED, chunk=16)),
    )
    named = dataclasses.replace(weak, protocol=strong.protocol)
    keyed = dataclasses.replace(weak, verify_keys=strong.verify_keys)
    for odd, count in ((named, 0), (keyed, 5)):
        with pytest.raises(LocalProtocolError, match=f"with {count} verify keys: there is one for"):
            levels.adversary_of(odd)
    with pytest.raises(LocalProtocolError, match=r"has \(protocol, suite, chunk\)"):
        PairwiseMasking(adversary=adversary, chunk=16).server(named)
    with pytest.raises(LocalProtocolError, match="5 verify keys"):
        PairwiseMasking(adversary=adversary, chunk=16).server(keyed)
    with pytest.raises(LocalProtocolError, match="0 verify keys"):
        own(1, chunk=16).client(named, 1)
    for session, protocol in (
        (weak, own(1, chunk=16)),
        (strong, PairwiseMasking(adversary=adversary, chunk=16)),
    ):
        for make in (protocol.server, lambda s, p=protocol: p.client(s, 1)):
            with pytest.raises(LocalProtocolError, match="give all parties the same protocol"):
                make(session)


# --- signatures -------------------------------------------------------------------------------


def test_without_signatures_only_an_empty_one_is_right() -> None:
    session = Parties(4).session
    assert levels.sign(None, b"hello") == b""
    levels.check_signature(session, 1, b"", b"hello", 1)
    for wrong in (b"\0", bytes(64), KNOWN[1].sign(b"hello")):
        with pytest.raises(CheaterDetected, match="wrong signature of client 1") as caught:
            levels.check_signature(session, 1, wrong, b"hello", 3)
        assert caught.value.culprit == 3


def test_with_signatures_only_the_clients_own_is_right() -> None:
    session = session_of(PairwiseMasking(identities=PINNED))
    for client_id, known in KNOWN.items():
        signature = levels.sign(known, b"hello")
        levels.check_signature(session, client_id, signature, b"hello", client_id)
        other = KNOWN[client_id % 5 + 1]
        for wrong in (b"", bytes(64), signature[:63], other.sign(b"hello"), known.sign(b"hallo")):
            with pytest.raises(CheaterDetected, match=f"signature of client {client_id}"):
                levels.check_signature(session, client_id, wrong, b"hello", client_id)


@pytest.mark.parametrize("adversary", LEVELS)
def test_who_signs_what(adversary: str) -> None:
    """64 bytes in three of a client's messages against a malicious server, none otherwise."""
    parties = Parties(4, adversary=adversary)
    kinds = {
        Stage.ADVERTISE_KEYS: AdvertiseKeys,
        Stage.SHARE_KEYS: ShareKeys,
        Stage.CONSISTENCY_CHECK: Confirmation,
    }
    signed = 0
    while not parties.server.finished:
        kind = kinds.get(parties.server.stage)
        if kind is not None:
            (message,) = parties.answer(2)
            signed += len(read(kind, body_of(message)).signature)
            parties.server.receive(2, message)
            parties.finish_stage_of([0, 1, 3])
        else:
            parties.finish_stage()
    assert signed == (3 * 64 if adversary == "malicious" else 0)
    parties.check()


@pytest.mark.parametrize("adversary", LEVELS)
@pytest.mark.parametrize("stage", [Stage.ADVERTISE_KEYS, Stage.SHARE_KEYS])
def test_a_signature_where_none_is_due_or_none_where_one_is(adversary: str, stage: Stage) -> None:
    parties = Parties(4, adversary=adversary).until(stage)
    (message,) = parties.answer(1)
    wrong = b"" if adversary == "malicious" else bytes(64)
    kind = AdvertiseKeys if stage is Stage.ADVERTISE_KEYS else ShareKeys
    body = read(kind, body_of(message))
    fields = {name: getattr(body, name) for name in body.__struct_fields__}
    altered = kind(**{**fields, "signature": wrong})
    with pytest.raises(CheaterDetected, match="wrong signature of client 1") as caught:
        parties.server.receive(1, reseal(message, body=wire.encode_control(altered)))
    assert caught.value.culprit == 1
    parties.server.receive(1, message)
    parties.finish_stage_of([0, 2, 3])
    parties.finish()


# --- who is who -------------------------------------------------------------------------------


def test_ids_of_any_integer_type_in_any_order() -> None:
    """numpy's integers too, and in a session they are plain and in order."""
    ids = np.array([5, 3, 1, 2, 4])
    protocol = PairwiseMasking(identities={number: PINNED[int(number)] for number in ids})
    assert list(protocol.identities) == [1, 2, 3, 4, 5]
    assert all(type(number) is int for number in protocol.identities)
    session = session_of(protocol, ids)
    assert session.client_ids == (1, 2, 3, 4, 5)
    assert session.verify_keys == tuple(PINNED.values())
    assert all(type(number) is int for number in session.client_ids)
    mine = PairwiseMasking(identities={**PINNED, np.uint32(3): KNOWN[3]})
    assert mine.identity_of(np.int64(3)) is KNOWN[3]
    assert mine.client(session, np.int64(3)).stage is Stage.ADVERTISE_KEYS


def test_an_identity_and_its_verify_key_pin_the_same() -> None:
    sessions = [
        session_of(PairwiseMasking(identities=known)).verify_keys
        for known in (PINNED, KNOWN, {**PINNED, 2: KNOWN[2]})
    ]
    assert sessions[0] == sessions[1] == sessions[2]


def test_only_those_who_are_invited_are_in_the_session() -> None:
    """A policy may know more clients than a session invites."""
    session = session_of(PairwiseMasking(identities=PINNED), [5, 1, 3])
    assert session.verify_keys == (PINNED[1], PINNED[3], PINNED[5])
    for client_id in (1, 3, 5):
        assert own(client_id).client(session, client_id).client_id == client_id
    with pytest.raises(LocalProtocolError, match="client 2 is not invited"):
        own(2).client(session, 2)


@pytest.mark.parametrize(
    ("identities", "reason"),
    [
        ([PINNED[1]], "identities is no mapping; give {client id: verify key or Identity}"),
        ({}.keys(), "identities is no mapping"),
        ({1: PINNED[1], "b": PINNED[2]}, "identity of client 'b'.*integer"),
        ({1: PINNED[1], 2.0: PINNED[2]}, "identity of client 2.0.*integer"),
        ({1: PINNED[1], None: PINNED[2]}, "identity of client None"),
        ({1: PINNED[1], 2: PINNED[2][:31]}, "identity of client 2: a verify key is 32 bytes"),
        ({1: PINNED[1], 2: PINNED[2].hex()}, "identity of client 2: a verify key is 32 bytes"),
        ({1: PINNED[1], 2: bytearray(PINNED[2])}, "identity of client 2: a verify key is 32"),
        ({1: PINNED[1], 2: None}, "identity of client 2: a verify key is 32 bytes"),
        ({1: PINNED[1], 2: LOW_ORDER}, "identity of client 2: not a verify key.*low order"),
        ({1: PINNED[1], 2: b"\xff" * 32}, "identity of client 2: not a verify key.*canonical"),
        ({1: PINNED[1], 2: PINNED[2], 4: PINNED[1]}, "clients 1 and 4 have one verify key"),
        ({1: KNOWN[1], 4: PINNED[1]}, "clients 1 and 4 have one verify key; each needs its own"),
        ({4: PINNED[1], 1: KNOWN[1]}, "clients 4 and 1 have one verify key"),
    ],
)
def test_identities_that_are_none(identities: Any, reason: str) -> None:
    with pytest.raises(LocalProtocolError, match=reason) as caught:
        PairwiseMasking(identities=identities)
    assert KNOWN[1].to_bytes().hex() not in str(caught.value)


@pytest.mark.parametrize("adversary", WEAKER)
def test_weaker_levels_take_no_identities(adversary: Any) -> None:
    reason = f"against a malicious server only, not a {adversary} one"
    for identities in (PINNED, {}):
        with pytest.raises(LocalProtocolError, match=reason):
            PairwiseMasking(adversary=adversary, identities=identities)


def test_a_client_that_nobody_has_pinned_is_not_invited() -> None:
    with pytest.raises(LocalProtocolError, match=r"give identities=.*or name a weaker adversary"):
        session_of(PairwiseMasking())
    with pytest.raises(LocalProtocolError, match="client 6 has no identity here; pin its verify"):
        session_of(PairwiseMasking(identities=PINNED), [1, 2, 6, 7])
    strangers = PairwiseMasking(identities={1: KNOWN[1], 2: PINNED[2], 3: PINNED[3]})
    with pytest.raises(LocalProtocolError, match="client 4 has no identity here"):
        strangers.client(session_of(PairwiseMasking(identities=PINNED)), 1)


def test_a_client_that_pins_another_key_takes_no_part() -> None:
    """[A5] Keys come from the clients, never from the session that a server hands out."""
    session = session_of(PairwiseMasking(identities=PINNED))
    changed = {**PINNED, 4: Identity.from_bytes(bytes(32)).verify_key}
    exchanged = {**PINNED, 2: PINNED[3], 3: PINNED[2]}
    for pinned in (changed, exchanged):
        protocol = PairwiseMasking(identities={**pinned, 1: KNOWN[1]})
        for make in (protocol.server, lambda s, p=protocol: p.client(s, 1)):
            with pytest.raises(LocalProtocolError, match=r"names other verify keys.*learn its"):
                make(session)


@pytest.mark.parametrize(
    "known", [PINNED, {**PINNED, 2: KNOWN[2]}], ids=["no identity", "that of another"]
)
def test_a_client_needs_its_own_identity(known: dict[int, Any]) -> None:
    protocol = PairwiseMasking(identities=known)
    session = session_of(protocol)
    with pytest.raises(LocalProtocolError, match=r"client 1 signs in this session, and needs"):
        protocol.client(session, 1)
    assert protocol.identity_of(1) is None
    assert protocol.identity_of(9) is None


def test_a_client_made_without_a_policy_is_checked_too() -> None:
    strong = session_of(PairwiseMasking(identities=PINNED))
    for wrong in (None, KNOWN[2], Identity.generate()):
        with pytest.raises(LocalProtocolError, match="needs the Identity whose verify key is"):
            MaskingClient(strong, 1, identity=wrong)
    assert MaskingClient(strong, 1, identity=KNOWN[1]).client_id == 1
    weak = Parties(5).session
    with pytest.raises(LocalProtocolError, match="signs nothing in this session"):
        MaskingClient(weak, 1, identity=KNOWN[1])


# --- one process, and equality ----------------------------------------------------------------


def test_identities_are_made_for_one_process() -> None:
    protocol = PairwiseMasking(threshold=3, chunk=16)
    made = protocol.for_one_process(number for number in np.arange(4))
    assert protocol.identities is None
    assert (made.threshold, made.chunk, made.adversary) == (3, 16, "malicious")
    assert list(made.identities) == [0, 1, 2, 3]
    assert len({made.identity_of(name).verify_key for name in range(4)}) == 4
    again = protocol.for_one_process(range(4))
    assert all(made.identity_of(name) != again.identity_of(name) for name in range(4))


def test_identities_that_are_given_are_kept() -> None:
    for protocol in (
        PairwiseMasking(identities=PINNED),
        PairwiseMasking(adversary="semi_honest"),
        PairwiseMasking(adversary="semi_malicious"),
    ):
        assert protocol.for_one_process(range(1, 6)) is protocol


def test_a_policy_is_a_value() -> None:
    same = own(1)
    assert same == own(1)
    assert hash(same) == hash(own(1))
    assert same != own(2)
    mapping = dict(PINNED)
    protocol = PairwiseMasking(identities=mapping)
    mapping[1] = Identity.generate().verify_key
    assert protocol.identities == PINNED
    assert KNOWN[1].to_bytes().hex() not in repr(same)


# --- sessions with verify keys ----------------------------------------------------------------


def test_bytes_of_a_session_hold_its_verify_keys() -> None:
    session = session_of(PairwiseMasking(identities=PINNED))
    data = session.to_bytes()
    restored = Session.from_bytes(data)
    assert restored.verify_keys == session.verify_keys
    assert restored.to_bytes() == data
    assert restored.digest == session.digest
    for name in (1, 5):
        assert own(name).client(restored, name).stage is Stage.ADVERTISE_KEYS
    for key in PINNED.values():
        at = data.index(key)
        altered = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        other = Session.from_bytes(altered)
        assert other.digest != session.digest
        with pytest.raises(LocalProtocolError, match="other verify keys"):
            own(1).client(other, 1)


@pytest.mark.parametrize("count", [1, 4, 6])
def test_a_verify_key_for_each_client_or_none(count: int) -> None:
    session = session_of(PairwiseMasking(identities=PINNED))
    keys = tuple(bytes([number]) * 32 for number in range(count))
    with pytest.raises(LocalProtocolError, match=f"{count} verify keys for 5 clients"):
        dataclasses.replace(session, verify_keys=keys)


def test_bytes_of_a_session_with_too_few_verify_keys() -> None:
    session = session_of(PairwiseMasking(identities=PINNED))
    odd = dataclasses.replace(session)
    object.__setattr__(odd, "verify_keys", session.verify_keys[:4])
    with pytest.raises(RemoteProtocolError, match="4 verify keys for 5 clients"):
        Session.from_bytes(odd.to_bytes())


@pytest.mark.parametrize("key", [b"", bytes(31), bytes(33), "x" * 32, None])
def test_a_verify_key_has_32_bytes(key: Any) -> None:
    session = session_of(PairwiseMasking(identities=PINNED))
    with pytest.raises(LocalProtocolError, match="verify key must be 32 bytes"):
        dataclasses.replace(session, verify_keys=(key, *session.verify_keys[1:]))


def test_parties_of_a_restored_session_agree() -> None:
    """The server made it; each client has only bytes, its own identity, and what it pinned."""
    session = session_of(PairwiseMasking(identities=PINNED))
    data = session.to_bytes()
    server = MaskingServer(session)
    clients = {
        name: own(name).client(Session.from_bytes(data), name, make_updates(5)[name - 1])
        for name in KNOWN
    }
    answers = {name: list(client.start()) for name, client in clients.items()}
    while not server.finished:
        for name, messages in answers.items():
            for message in messages:
                server.receive(name, message)
        mail = server.advance()
        answers = {name: list(clients[name].receive(inbox[0])) for name, inbox in mail.items()}
    assert server.result().contributors == (1, 2, 3, 4, 5)
    assert {client.transcript for client in clients.values()} == {server.result().transcript}

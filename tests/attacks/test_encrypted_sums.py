"""What a server, or a client, could try in an encrypted sum."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fedsecure as fs
from encrypted_sums import ENCODING, IDS, KINDS, Play, identity, policy
from fedsecure import wire
from fedsecure.errors import (
    CheaterDetected,
    LocalProtocolError,
    RemoteProtocolError,
    ThresholdError,
)
from fedsecure.protocols.homomorphic import schedule
from fedsecure.protocols.homomorphic.messages import Audit, Kind
from fedsecure.protocols.homomorphic.states import Stage
from paillier_keys import private_key
from parties import make_updates


def decryptor(play: Play) -> Any:
    """Who is asked to decrypt: the key holder, or a client with a share that has contributed."""
    return play.parties.get(wire.KEY_HOLDER) or play.parties[IDS[0]]


def request(play: Play, names: tuple[int, ...], rows: np.ndarray) -> bytes:
    ctx = schedule.context(play.session)
    body = Audit(names, schedule.product_digest(ctx, rows.reshape(-1).data))
    return play.session.seal(Kind.AUDIT, wire.SERVER, wire.encode_control(body))


def ciphertexts(play: Play, messages: list[bytes]) -> np.ndarray:
    rows = [np.frombuffer(data[wire.HEADER_SIZE + 4 :], np.uint8) for data in messages[:-1]]
    return np.concatenate(rows).reshape(-1, 512)


def ask(play: Play, messages: list[bytes]) -> None:
    """Hands it all over; what comes back is never an answer."""
    party = decryptor(play)
    for message in messages:
        assert list(party.receive(message)) == []


def refused(play: Play, messages: list[bytes], match: str) -> None:
    party = decryptor(play)
    with pytest.raises(CheaterDetected, match=match) as caught:
        ask(play, messages)
    assert caught.value.culprit == wire.SERVER
    assert party.stage is Stage.ABORTED
    with pytest.raises(RemoteProtocolError):
        party.receive(messages[-1])


@pytest.mark.parametrize("kind", KINDS)
def test_one_input_is_not_decrypted(kind: str) -> None:
    """[A21] Nor two, nor any number below the least that the session pins."""
    for count in range(1, 4):
        play = Play.of(kind)
        sent = play.contribute()
        names = IDS[:count]
        messages = [message for name in names for message in sent[name]]
        rows = ciphertexts(play, sent[names[0]])
        refused(play, [*messages, request(play, names, rows)], f"the sum of {count} clients")


@pytest.mark.parametrize("kind", KINDS)
def test_an_input_counts_once(kind: str) -> None:
    """[A21] One client relayed again and again is one client."""
    play = Play.of(kind)
    sent = play.contribute()
    refused(play, sent[IDS[1]] * 4, f"client {IDS[1]} was relayed before")


@pytest.mark.parametrize("kind", KINDS)
def test_inputs_are_signed_for_this_session(kind: str) -> None:
    """[A21, A4] Inputs of another session, changed ones, and inputs under another name."""
    other = Play.of(kind, seed=2).contribute()
    for forge in (changed, redirected, resigned):
        play = Play.of(kind)
        sent = play.contribute()
        messages = [message for name in IDS[:3] for message in sent[name]]
        refused(play, [*messages, *forge(play, sent)], "signature|digest")
    play = Play.of(kind)
    play.contribute()
    with pytest.raises(CheaterDetected, match="another session"):
        ask(play, other[IDS[0]])


def changed(play: Play, sent: dict[int, list[bytes]]) -> list[bytes]:
    """The last client's ciphertexts, multiplied by something of the server's choice."""
    piece, *rest = sent[IDS[3]]
    body = piece[: wire.HEADER_SIZE + 4]
    rows = ciphertexts(play, sent[IDS[3]])
    public = play.server._layout.packing.public
    return [body + public.randomize_rows(rows).tobytes(), *rest]


def redirected(play: Play, sent: dict[int, list[bytes]]) -> list[bytes]:
    """One client's messages, sealed as another's."""
    bodies = [(data[5], data[wire.HEADER_SIZE :]) for data in sent[IDS[0]]]
    return [play.session.seal(kind, IDS[4], body) for kind, body in bodies]


def resigned(play: Play, sent: dict[int, list[bytes]]) -> list[bytes]:
    """An input of the server's own under a client's name, signed by somebody else."""
    stranger = replace(
        play.protocol, identities={**play.protocol.identities, IDS[3]: fs.Identity.generate()}
    )
    session = stranger.session(
        client_ids=IDS,
        spec=play.session.spec,
        encoding=ENCODING,
        session_id=play.session.session_id,
    )
    client = stranger.client(session, IDS[3], make_updates(1, 300)[0])
    return list(client.start())


@pytest.mark.parametrize("kind", KINDS)
def test_the_product_is_the_holders_own(kind: str) -> None:
    """[A21] A request that names others, or another product, than what was relayed."""
    play = Play.of(kind)
    sent = play.contribute()
    messages = [message for name in IDS for message in sent[name]]
    rows = ciphertexts(play, sent[IDS[0]])
    refused(play, [*messages, request(play, IDS, rows)], "another product")
    play = Play.of(kind)
    sent = play.contribute()
    messages = [message for name in IDS for message in sent[name]]
    refused(play, [*messages, request(play, IDS[:4], rows)], "not those that were relayed")
    play = Play.of(kind)
    sent = play.contribute()
    half = [*sent[IDS[0]], *sent[IDS[1]][:-1]]
    refused(play, [*half, *sent[IDS[2]]], "in the middle of")


@pytest.mark.parametrize("kind", KINDS)
def test_one_answer_a_session(kind: str) -> None:
    """[A21] A second request, the same or another, gets nothing."""
    play = Play.of(kind)
    play.contribute()
    mail = play.server.advance()
    party = decryptor(play)
    inbox = mail[party.client_id]
    answers = [answer for message in inbox for answer in party.receive(message)]
    assert answers
    assert party.finished
    for message in inbox:
        with pytest.raises(RemoteProtocolError, match="out of place"):
            party.receive(message)


def test_negative_control_a_holder_without_an_audit_gives_inputs_away() -> None:
    """[A21] What the audit keeps the server from: the key decrypts a single input."""
    play = Play.of("one key")
    rows = ciphertexts(play, play.contribute()[IDS[0]])
    layout = play.server._layout
    words = layout.packing.unpack(private_key().decrypt_rows(rows), layout.length, np.uint32)
    update = make_updates(len(IDS), 300)[0]
    flat = np.concatenate([update["a"], update["b"].astype(float)])
    assert np.allclose(words.view(np.int32) * ENCODING.step, flat, atol=ENCODING.step)


def test_a_wrong_partial_decryption_names_its_sender() -> None:
    """[A16, A22] The sum comes from the others; too few of them give nothing."""
    play = Play.of("shares")
    play.contribute()
    answers = play.answers(play.server.advance())
    liar = IDS[2]
    message = bytearray(answers[liar][0])
    message[-1] ^= 1
    with pytest.raises(CheaterDetected) as caught:
        play.server.receive(liar, bytes(message))
    assert caught.value.culprit == liar
    theirs = answers[IDS[0]][0][wire.HEADER_SIZE :]
    with pytest.raises(CheaterDetected, match="not this client's"):
        play.server.receive(liar, play.session.seal(Kind.PARTIAL_DECRYPTION, liar, theirs))
    for name in (*IDS[:2], IDS[3]):
        play.server.receive(name, answers[name][0])
    with pytest.raises(ThresholdError):
        play.server.advance()
    play.server.receive(IDS[4], answers[IDS[4]][0])
    play.server.advance()
    assert play.server.result().contributors == IDS


def test_messages_of_all_inputs_look_alike() -> None:
    """[A17, A18] Lengths and plain fields do not depend on values."""
    shapes = set()
    for value in (0.0, 1e-3, -4.0):
        update = {"a": np.full(150, value), "b": np.full(150, value, np.float32)}
        play = Play.of("one key")
        client = play.protocol.client(play.session, IDS[0], update)
        shapes.add(tuple((len(data), data[5]) for data in client.start()))
    assert len(shapes) == 1


def test_equal_inputs_do_not_look_equal() -> None:
    """[A20] The same update twice, in one session."""
    play = Play.of("one key")
    update = make_updates(1, 300)[0]
    one, other = (list(play.protocol.client(play.session, IDS[0], update).start()) for _ in "ab")
    assert not set(one) & set(other)


@pytest.mark.parametrize("kind", KINDS)
def test_sums_at_the_limits_do_not_carry_over(kind: str) -> None:
    """[A14, A23] Every client at its largest magnitude, signs alternating from slot to slot."""
    ids = tuple(range(5))
    row = np.resize([4.0, -4.0], 300)
    updates = [{"w": row}] * 5
    play = policy(kind, ids)
    mean = fs.secure_aggregate(updates, protocol=play, encoding=ENCODING).mean
    assert np.array_equal(mean["w"], row)


@pytest.mark.parametrize("kind", KINDS)
def test_parties_refuse_weaker_sessions(kind: str) -> None:
    """[A8, A9] Fewer inputs in a sum than the party's own policy asks for."""
    weaker = policy(kind, min_inputs=3)
    session = Play.of(kind, min_inputs=3).session
    assert weaker.server(session).stage is Stage.ENCRYPTED_INPUT
    strict = policy(kind)
    for make in (strict.server, lambda s: strict.client(s, IDS[0]), strict.helpers):
        if kind == "shares" and make == strict.helpers:
            continue
        with pytest.raises(ThresholdError, match="3 inputs, this policy of 4"):
            make(session)


def test_parties_refuse_another_key() -> None:
    """[A5, A24] A server that puts its own key in the place of the pinned one."""
    stolen = fs.paillier.generate_keypair(2048)[1]
    identities = {name: identity(name) for name in IDS}
    theirs = fs.PaillierSum(stolen, identities=identities)
    session = theirs.session(
        client_ids=IDS, spec=Play.of("one key").session.spec, encoding=ENCODING
    )
    with pytest.raises(LocalProtocolError, match="another key"):
        policy("one key").client(session, IDS[0])
    swapped = replace(policy("shares"), holders=(IDS[1], IDS[0], *IDS[2:]))
    with pytest.raises(LocalProtocolError, match="another key"):
        swapped.server(Play.of("shares").session)


def test_different_configurations_do_not_add() -> None:
    """[A11, A39] What is signed belongs to one configuration and one model."""
    play = Play.of("one key")
    for option in ({"model_digest": bytes([1]) * 32}, {"round": 7}):
        session = play.protocol.session(
            client_ids=IDS,
            spec=play.session.spec,
            encoding=ENCODING,
            session_id=play.session.session_id,
            **option,
        )
        client = play.protocol.client(session, IDS[0], make_updates(1, 300)[0])
        piece, closing = client.start()
        with pytest.raises(RemoteProtocolError):
            submit(play, [piece, closing])


def submit(play: Play, messages: list[bytes]) -> None:
    for message in messages:
        play.server.receive(IDS[0], message)


def test_forged_sums_are_refused_by_who_decrypts() -> None:
    """[A15] An input outside the range gives no sum of honest clients, and no answer."""
    play = Play.of("one key")
    sent = play.contributions()
    layout = play.server._layout
    public = private_key().public
    words = np.full(layout.length, 1 << (play.session.layout.modulus_bits - 2), np.uint32)
    rows = public.encrypt_rows(layout.packing.pack(words.astype(play.session.layout.dtype)))
    name = IDS[4]
    body = layout.write(0, rows)
    ctx = schedule.context(play.session)
    digest = hashlib.sha256(rows.tobytes()).digest()
    signature = identity(name).sign(schedule.contribution_statement(ctx, name, digest))
    closing = wire.msgspec.msgpack.encode([digest, signature])
    sent[name] = [
        play.session.seal(Kind.ENCRYPTED_INPUT, name, body),
        play.session.seal(Kind.CONTRIBUTION, name, closing),
    ]
    for sender, messages in sent.items():
        for message in messages:
            play.server.receive(sender, message)
    with pytest.raises(RemoteProtocolError):
        play.answers(play.server.advance())
    assert play.parties[wire.KEY_HOLDER].stage is Stage.ABORTED


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_bytes_hurt_their_reader(kind: str, data: st.DataObject) -> None:
    """[A35] Any bytes are a message or a RemoteProtocolError, and move nothing."""
    play, sent = prepared(kind)
    message = bytearray(data.draw(st.sampled_from(sent)))
    if data.draw(st.booleans()):
        message[data.draw(st.integers(0, len(message) - 1))] ^= data.draw(st.integers(1, 255))
    else:
        message = message[: data.draw(st.integers(0, len(message) - 1))]
    before = play.server.to_bytes()
    for name in (IDS[0], wire.KEY_HOLDER, 99):
        with pytest.raises(RemoteProtocolError):
            play.server.receive(name, bytes(message))
    assert play.server.to_bytes() == before
    for party in (decryptor(play), play.parties[IDS[1]]):
        if party.finished:
            continue
        stage = party.stage
        try:
            party.receive(bytes(message))
        except CheaterDetected:
            assert party.stage in (stage, Stage.ABORTED)
        except RemoteProtocolError:
            assert party.stage is stage


def prepared(kind: str) -> tuple[Play, list[bytes]]:
    """A session in which one client has contributed, and all kinds of messages."""
    play = Play.of(kind, size=20)
    sent = play.contributions()
    for message in sent[IDS[0]]:
        play.server.receive(IDS[0], message)
    rows = ciphertexts(play, sent[IDS[0]])
    return play, [*sent[IDS[0]], *sent[IDS[1]], request(play, IDS, rows)]

"""Encrypted sums whose server does not work alone, or lays its own doing at a client's door."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import fedsecure as fs
from encrypted_sums import ENCODING, IDS, KINDS, Play, identity
from fedsecure import wire
from fedsecure.errors import (
    CheaterDetected,
    EncodingError,
    LocalProtocolError,
    RemoteProtocolError,
    ThresholdError,
)
from fedsecure.paillier import RunningProduct
from fedsecure.paillier.rows import invert_rows
from fedsecure.protocols.homomorphic import KeyHolder, schedule
from fedsecure.protocols.homomorphic.messages import Contribution, Kind
from fedsecure.protocols.homomorphic.states import Stage
from paillier_keys import private_key
from parties import make_updates
from threshold_keys import dealt

if TYPE_CHECKING:
    from numpy.typing import NDArray


def ciphertexts(play: Play, messages: list[bytes]) -> NDArray[Any]:
    return play.server._layout.read(memoryview(messages[0])[wire.HEADER_SIZE :], 0)


def signed(play: Play, name: int, rows: NDArray[Any]) -> list[bytes]:
    """Ciphertexts as a client's contribution, whoever computed them."""
    digest = hashlib.sha256(rows.reshape(-1).data).digest()
    ctx = schedule.context(play.session)
    told = Contribution(
        digest, identity(name).sign(schedule.contribution_statement(ctx, name, digest))
    )
    body = play.server._layout.write(0, rows)
    return [
        play.session.seal(Kind.ENCRYPTED_INPUT, name, body),
        play.session.seal(Kind.CONTRIBUTION, name, wire.encode_control(told)),
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_the_limit_a_client_of_the_servers_cancels_all_but_one(kind: str) -> None:
    """[A21] Not withstood, and SECURITY.md says so: whoever changes that changes both."""
    play = Play.of(kind)
    sent = play.contributions()
    victim, *others, insider = IDS
    public = play.server._layout.packing.public
    product = RunningProduct(public, play.server._layout.num_rows)
    for name in others:
        product.multiply(ciphertexts(play, sent[name]))
    sent[insider] = signed(
        play, insider, public.randomize_rows(invert_rows(public, product.rows()))
    )
    for name, messages in sent.items():
        for message in messages:
            play.server.receive(name, message)
    found = play.finish().mean
    update = make_updates(len(IDS), 300)[IDS.index(victim)]
    for leaf, values in update.items():
        assert np.allclose(len(IDS) * found[leaf], values, atol=ENCODING.step)


def test_no_two_groups_of_holders_can_be_shown_two_sums() -> None:
    """[A22, A39] Else two sums that differ in one input are decrypted, and subtracted."""
    for parties, least in ((3, 3), (4, 3), (5, 4), (6, 4), (7, 5)):
        public, _ = dealt(parties, least)
        assert fs.ThresholdPaillierSum(public, holders=range(parties)).public == public
        # Honest holders answer once, and one may work for the server.
        assert (parties - 1) // (least - 1) < 2
        public, _ = dealt(parties, least - 1)
        with pytest.raises(ThresholdError, match=f"threshold {least} or more"):
            fs.ThresholdPaillierSum(public, holders=range(parties))


@pytest.mark.parametrize("kind", KINDS)
def test_no_client_is_blamed_for_what_the_server_relays(kind: str) -> None:
    """The server has opened all of it first, and could have put it there."""
    play, other = Play.of(kind), Play.of(kind)
    sent, theirs = play.contribute(), other.contribute()
    holder = play.parties.get(wire.KEY_HOLDER) or play.parties[IDS[0]]
    with pytest.raises(CheaterDetected, match="another session") as caught:
        holder.receive(theirs[IDS[1]][0])
    assert caught.value.culprit == wire.SERVER
    zeros = np.zeros_like(ciphertexts(play, sent[IDS[1]]))
    body = play.server._layout.write(0, zeros)
    with pytest.raises(CheaterDetected, match="not a number") as caught:
        holder.receive(play.session.seal(Kind.ENCRYPTED_INPUT, IDS[1], body))
    assert caught.value.culprit == wire.SERVER
    assert holder.stage is Stage.ABORTED


@pytest.mark.parametrize("kind", KINDS)
def test_a_malformed_relay_changes_nothing(kind: str) -> None:
    """[A35] Not even whose contribution is under way."""
    play = Play.of(kind)
    play.contribute()
    holder = play.parties.get(wire.KEY_HOLDER) or play.parties[IDS[0]]
    mail = play.server.advance()[holder.client_id]
    for body in (b"", b"\1\0\0\0", mail[0][wire.HEADER_SIZE : -1]):
        with pytest.raises(RemoteProtocolError):
            holder.receive(play.session.seal(Kind.ENCRYPTED_INPUT, IDS[2], body))
    assert [answer for message in mail for answer in holder.receive(message)]


def test_memory_follows_what_came_not_what_a_session_says() -> None:
    """[A35] A session of 2^40 values costs its key holder nothing."""
    play = Play.of("one key")
    leaves = tuple((leaf.path, (1 << 40,), leaf.dtype) for leaf in play.session.spec.leaves)
    spec = type(play.session.spec)(
        tuple(type(play.session.spec.leaves[0])(*leaf) for leaf in leaves)
    )
    session = play.protocol.session(client_ids=IDS, spec=spec, encoding=ENCODING, round=1)
    holder = play.protocol.key_holder(session)
    layout = play.server._layout
    rows = play.server._layout.packing.public.encrypt_rows(
        np.zeros((holder._layout.rows, layout.packing.public.key_bytes), np.uint8)
    )
    body = holder._layout.write(0, rows)
    assert holder.receive(session.seal(Kind.ENCRYPTED_INPUT, IDS[0], body)) == ()
    assert play.protocol.server(session).waiting_for == set(IDS)


def test_kinds_are_not_mixed_up() -> None:
    """[A35] A partial decryption under another kind is none."""
    play = Play.of("shares", size=3000)
    play.contribute()
    answers = play.answers(play.server.advance())
    body = answers[IDS[0]][0][wire.HEADER_SIZE :]
    with pytest.raises(RemoteProtocolError, match="kind 19"):
        play.server.receive(IDS[0], play.session.seal(Kind.DECRYPTED_SUM, IDS[0], body))


def test_a_first_piece_that_comes_twice_does_not_begin_again() -> None:
    play = Play.of("one key", chunk=50)
    name = IDS[0]
    messages = list(play.clients[name].start())
    assert len(messages) > 3
    for message in messages[:2]:
        play.server.receive(name, message)
    with pytest.raises(RemoteProtocolError, match="came before"):
        play.server.receive(name, messages[0])
    for message in messages[2:]:
        play.server.receive(name, message)
    assert name not in play.server.waiting_for


def test_a_key_holder_is_restored_with_its_own_key_and_bytes() -> None:
    play, other = Play.of("one key"), Play.of("shares")
    data = play.parties[wire.KEY_HOLDER].to_bytes()
    with pytest.raises(LocalProtocolError, match="holder of this key"):
        KeyHolder.from_bytes(data, private_key(3072))
    with pytest.raises(LocalProtocolError, match="holder of this key"):
        KeyHolder.from_bytes(other.parties[IDS[0]].to_bytes(), private_key())


@pytest.mark.parametrize("audited", [True, False])
def test_an_upload_that_fails_late_says_why(audited: bool) -> None:
    """A share holder that has answered, or ended the session, before its own upload was drawn."""
    play = Play.of("shares", min_inputs=3, chunk=50)
    update = make_updates(1, 300)[0]
    client = play.protocol.client(play.session, IDS[0], update)
    upload = client.start()
    for name in IDS[1:]:
        for message in play.clients[name].start():
            play.server.receive(name, message)
    for message in next(iter(play.server.advance().values())):
        if audited or message[5] != Kind.AUDIT:
            list(client.receive(message))
    if not audited:
        again = play.server.replies()[IDS[1]][0]
        with pytest.raises(CheaterDetected, match="relayed before"):
            client.receive(again)
    update["a"][:] = np.nan
    with pytest.raises(EncodingError, match="changed"):
        list(upload)
    assert client.stage is Stage.ABORTED

"""The server: what it refuses, what it tells, and when it reveals nothing."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from fedsecure import wire
from fedsecure.encoding import FixedPoint
from fedsecure.errors import (
    CheaterDetected,
    LocalProtocolError,
    RemoteProtocolError,
    ThresholdError,
)
from fedsecure.primitives import shamir
from fedsecure.primitives.entropy import Secret
from fedsecure.primitives.keys import PrivateKey
from fedsecure.primitives.masks import Prg
from fedsecure.protocols.masking import MaskingServer, keyring
from fedsecure.protocols.masking.messages import (
    AdvertiseKeys,
    HeldShare,
    ShareKeys,
    UnmaskShares,
    read,
)
from fedsecure.protocols.masking.states import Stage
from parties import LEVELS, STAGES, Parties, body_of, make_updates, reseal

WEIGHTED = FixedPoint(4.0, 12, max_weight=4.0)


@pytest.mark.parametrize("stage", STAGES)
def test_below_threshold_nothing_changes_and_nothing_is_revealed(stage: Stage) -> None:
    parties = Parties(10).until(stage)
    server, session = parties.server, parties.session
    names = list(parties.mail)
    few = names[: session.threshold - 1]
    answers = {name: parties.answer(name) for name in names}
    for name in few:
        for message in answers[name]:
            server.receive(name, message)
    total = parties.total.copy()
    for _ in range(2):
        assert not server.ready
        with pytest.raises(ThresholdError, match=f"{len(few)} of 10.*{stage}.*nothing"):
            server.advance()
        assert server.stage is stage
        assert server.waiting_for == set(names) - set(few)
        np.testing.assert_array_equal(parties.total, total)
        with pytest.raises(LocalProtocolError, match=f"no result.*{stage}"):
            server.result()
    last = names[len(few)]
    for message in answers[last]:
        server.receive(last, message)
    assert server.ready
    parties.mail = server.advance()
    parties.finish()
    gone = set() if stage == Stage.UNMASKING else set(names[session.threshold :])
    assert set(server.result().dropouts) == gone


@pytest.mark.parametrize("stage", STAGES)
def test_a_second_answer_is_refused(stage: Stage) -> None:
    parties = Parties(4).until(stage)
    messages = parties.answer(1)
    for message in messages:
        parties.server.receive(1, message)
    for message in messages:
        with pytest.raises(RemoteProtocolError, match=f"client 1 in stage {stage}.*answered"):
            parties.server.receive(1, message)
    parties.finish_stage_of([0, 2, 3])
    while not parties.server.finished:
        parties.finish_stage()
    parties.check()


@pytest.mark.parametrize("stage", STAGES)
def test_an_answer_after_the_stage_is_closed_is_refused(stage: Stage) -> None:
    parties = Parties(4).until(stage)
    late = parties.answer(1)
    parties.finish_stage_of([0, 2, 3])
    for message in late:
        with pytest.raises(RemoteProtocolError, match="client 1 in stage"):
            parties.server.receive(1, message)
    parties.finish()
    assert parties.server.result().contributors == (
        (0, 1, 2, 3) if stage == Stage.UNMASKING else (0, 2, 3)
    )


@pytest.mark.parametrize("stage", STAGES)
def test_nobody_speaks_for_another(stage: Stage) -> None:
    parties = Parties(4).until(stage)
    message = parties.answer(1)[0]
    for name, reason in [(2, "says it is from client 1"), (9, "not invited"), (-1, "not invited")]:
        with pytest.raises(RemoteProtocolError, match=f"client {name} in stage {stage}.*{reason}"):
            parties.server.receive(name, message)
    with pytest.raises(RemoteProtocolError, match="says it is from the server"):
        parties.server.receive(1, reseal(message, sender=wire.SERVER))


def key() -> bytes:
    return PrivateKey(Secret(np.random.default_rng().bytes(32))).public


def test_bad_keys_are_refused_at_the_door() -> None:
    parties = Parties(4)
    first = parties.answer(0)[0]
    parties.server.receive(0, first)
    theirs = read(AdvertiseKeys, body_of(first))
    template = parties.answer(1)[0]
    one, other = key(), key()
    bad = {
        "same key twice": AdvertiseKeys(one, one, b""),
        "another's share key": AdvertiseKeys(theirs.share_key, other, b""),
        "another's key in another role": AdvertiseKeys(other, theirs.share_key, b""),
        "low order: 0": AdvertiseKeys(bytes(32), other, b""),
        "low order: 1": AdvertiseKeys(other, b"\1" + bytes(31), b""),
        "not canonical: p": AdvertiseKeys((2**255 - 19).to_bytes(32, "little"), other, b""),
        "top bit": AdvertiseKeys(one[:31] + bytes([one[31] | 128]), other, b""),
    }
    for body in bad.values():
        with pytest.raises(RemoteProtocolError, match="client 1 in stage ADVERTISE_KEYS"):
            parties.server.receive(1, reseal(template, body=wire.encode_control(body)))
    parties.server.receive(1, template)
    parties.finish_stage_of([2, 3])
    parties.finish()


def test_shares_must_be_for_exactly_the_others() -> None:
    parties = Parties(4).until(Stage.SHARE_KEYS)
    message = parties.answer(1)[0]
    body = read(ShareKeys, body_of(message))
    first = body.sealed[0]
    for peers in [(0, 2), (0, 1, 2, 3), (0, 1, 2), (0, 2, 9), (2, 0, 3), (0, 0, 2)]:
        sealed = [[peer, first.ciphertext, first.key_tag, first.seed_tag] for peer in peers]
        bad = wire.msgspec.msgpack.encode([body.commitment, body.own_tag, sealed, b""])
        with pytest.raises(RemoteProtocolError, match="client 1 in stage SHARE_KEYS"):
            parties.server.receive(1, reseal(message, body=bad))
    parties.server.receive(1, message)
    assert parties.server.waiting_for == {0, 2, 3}


def test_unmask_shares_must_be_for_exactly_those_asked_about() -> None:
    parties = Parties(5).until(Stage.MASKED_INPUT)
    parties.finish_stage(absent=[3])
    message = parties.answer(1)[0]
    body = read(UnmaskShares, body_of(message))
    assert [held.owner for held in body.alive] == [0, 1, 2, 4]
    assert [held.owner for held in body.dead] == [3]
    share = body.dead[0].share
    not_canonical = HeldShare(3, b"\xff" * 40)
    bad = [
        UnmaskShares(body.alive[:-1], body.dead),
        UnmaskShares(body.alive, ()),
        UnmaskShares(body.alive, (HeldShare(2, share),)),
        UnmaskShares((*body.alive[:3], HeldShare(3, share)), body.dead),
        UnmaskShares((*body.alive[:3], HeldShare(3, share), body.alive[3]), ()),
        UnmaskShares(body.alive, (not_canonical,)),
    ]
    for other in bad:
        with pytest.raises(RemoteProtocolError, match="client 1 in stage UNMASKING"):
            parties.server.receive(1, reseal(message, body=wire.encode_control(other)))
    parties.server.receive(1, message)
    parties.finish_stage_of([0, 2, 4])
    parties.check()


def test_vector_pieces_come_whole_and_in_order() -> None:
    parties = Parties(4, size=50, chunk=16).until(Stage.MASKED_INPUT)
    server = parties.server
    pieces = parties.answer(1)
    assert len(pieces) == 4
    bits = parties.session.layout.modulus_bits
    body = bytes(body_of(pieces[0]))
    bad = [
        pieces[1],
        pieces[3],
        reseal(pieces[0], body=wire.vector_header(bits, 15, 0) + bytes((15 * bits + 7) // 8)),
        reseal(pieces[0], body=wire.vector_header(bits + 1, 16, 0) + bytes(2 * (bits + 1))),
        reseal(pieces[0], body=body + b"\0"),
        reseal(pieces[0], body=body[:-1]),
        reseal(pieces[0], body=body[:5]),
    ]
    before = parties.total.copy()
    for message in bad:
        with pytest.raises(RemoteProtocolError, match="client 1 in stage MASKED_INPUT"):
            server.receive(1, message)
    for at, message in enumerate(pieces):
        np.testing.assert_array_equal(parties.total, before)
        assert 1 in server.waiting_for
        server.receive(1, message)
        with pytest.raises(RemoteProtocolError, match="client 1"):
            server.receive(1, pieces[at])
    assert 1 not in server.waiting_for
    assert (parties.total != before).any()
    parties.finish_stage_of([0, 2, 3])
    parties.finish()


def test_a_vector_in_a_padded_chunk_has_zero_padding() -> None:
    parties = Parties(4, size=3).until(Stage.MASKED_INPUT)
    bits = parties.session.layout.modulus_bits
    assert 3 * bits % 8
    (message,) = parties.answer(1)
    bad = message[:-1] + bytes([message[-1] | 0x80])
    with pytest.raises(RemoteProtocolError, match="padding"):
        parties.server.receive(1, bad)
    parties.server.receive(1, message)


def lie(body: UnmaskShares, owner: int, share: bytes) -> UnmaskShares:
    """The same answer with another share of one owner's secret."""
    alive, dead = (
        tuple(HeldShare(owner, share) if held.owner == owner else held for held in shares)
        for shares in (body.alive, body.dead)
    )
    return UnmaskShares(alive, dead)


@pytest.mark.parametrize("owner", [2, 3])
@pytest.mark.parametrize("liar", [0, 2, 4])
def test_a_wrong_share_names_the_holder_and_the_rest_suffices(owner: int, liar: int) -> None:
    """[A16] The tag that came with the share says who lies; four true ones are enough."""
    parties = Parties(6, threshold=4).until(Stage.MASKED_INPUT)
    parties.finish_stage(absent=[3])
    others = shamir.split([Secret(bytes(range(32)))], 4, [1, 2, 3, 4, 5])[0]
    for name in parties.mail:
        (message,) = parties.answer(name)
        if name == liar:
            wrong = lie(read(UnmaskShares, body_of(message)), owner, others[1].tobytes())
            message = reseal(message, body=wire.encode_control(wrong))
            with pytest.raises(CheaterDetected, match=f"secret of client {owner}") as caught:
                parties.server.receive(name, message)
            assert caught.value.culprit == liar
            assert parties.server.waiting_for >= {liar}
        else:
            parties.server.receive(name, message)
    parties.mail = parties.server.advance()
    parties.check()


@pytest.mark.parametrize("owner", [2, 3])
def test_a_secret_shared_wrongly_names_its_owner(
    owner: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """[A16] Shares with the right tags that give nothing: their owner dealt them so."""
    parties = Parties(5).until(Stage.SHARE_KEYS)
    with monkeypatch.context() as cheat:
        cheat.setattr(keyring, "split", split_something_else)
        parties.send([owner])
    parties.finish_stage_of([name for name in parties.mail if name != owner])
    parties.finish_stage(absent=[3])
    parties.send(list(parties.mail))
    before = parties.total.copy()
    for _ in range(2):
        with pytest.raises(CheaterDetected, match=f"shares of client {owner} do not") as caught:
            parties.server.advance()
        assert caught.value.culprit == owner
        np.testing.assert_array_equal(parties.total, before)
        assert parties.server.stage is Stage.UNMASKING
    with pytest.raises(LocalProtocolError, match="no result"):
        parties.server.result()


def split_something_else(secrets: object, threshold: int, xs: list[int], prg: Prg) -> np.ndarray:
    return shamir.split([Secret(bytes(32)), Secret(bytes(32))], threshold, xs, prg)


def test_a_second_answer_with_something_else_is_a_cheat() -> None:
    parties = Parties(4, adversary="malicious")
    twin = Parties(4, adversary="malicious", session_id=parties.session.session_id)
    (first,) = parties.answer(1)
    parties.server.receive(1, first)
    with pytest.raises(RemoteProtocolError, match=r"answered already$") as caught:
        parties.server.receive(1, first)
    assert not isinstance(caught.value, CheaterDetected)
    (other,) = twin.answer(1)
    with pytest.raises(CheaterDetected, match="with something else") as cheat:
        parties.server.receive(1, other)
    assert cheat.value.culprit == 1


def test_a_sum_that_honest_clients_cannot_give_ends_the_session() -> None:
    parties = Parties(4, size=4, weights=[1.0, 2.0, 3.0, 4.0], encoding=WEIGHTED)
    parties.until(Stage.MASKED_INPUT)
    for name in parties.mail:
        (message,) = parties.answer(name)
        if name == 2:
            body = bytearray(body_of(message))
            top = 5 * parties.session.layout.modulus_bits - 1  # of its weight, after 4 values
            body[13 + top // 8] ^= 1 << top % 8
            message = reseal(message, body=bytes(body))
        parties.server.receive(name, message)
    parties.mail = parties.server.advance()
    parties.send(list(parties.mail))
    with pytest.raises(RemoteProtocolError, match="weights"):
        parties.server.advance()
    assert parties.server.finished
    assert parties.server.stage is Stage.ABORTED
    with pytest.raises(LocalProtocolError):
        parties.server.advance()
    with pytest.raises(LocalProtocolError, match="no result"):
        parties.server.result()


@pytest.mark.parametrize("stage", STAGES)
def test_ready_and_waiting_for(stage: Stage) -> None:
    parties = Parties(4).until(stage)
    server = parties.server
    assert (server.stage, server.finished, server.ready) == (stage, False, False)
    assert server.waiting_for == {0, 1, 2, 3}
    parties.send([3, 0])
    assert (server.ready, server.waiting_for) == (False, {1, 2})
    parties.send([1])
    assert (server.ready, server.waiting_for) == (True, {2})
    parties.mail = server.advance()
    parties.finish()
    assert (server.finished, server.ready, server.waiting_for) == (True, False, set())


def test_result_says_who_is_in_it() -> None:
    updates = make_updates(5)
    parties = Parties(5, ids=[3, 10, 11, 12, 90], updates=updates)
    parties.finish_stage(absent=[11])
    parties.finish()
    result = parties.server.result()
    assert result.contributors == (3, 10, 12, 90)
    assert result.dropouts == (11,)
    assert result.total_weight == 4
    assert not result.privacy.private
    mean = sum(updates[i]["b"].astype(float) for i in (0, 1, 3, 4)) / 4
    np.testing.assert_allclose(result.mean["b"], mean, atol=2**-12)
    assert result.mean["b"].dtype == np.float32


@pytest.mark.parametrize("clone", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_server_is_not_cloned(clone: object) -> None:
    with pytest.raises(LocalProtocolError, match="neither copied nor pickled"):
        clone(Parties(3).server)


@pytest.mark.parametrize("stage", STAGES[1:])
def test_who_has_dropped_out_stays_out(stage: Stage) -> None:
    """Even with a well-formed message of the right stage, made up from somebody else's."""
    parties = Parties(5)
    parties.finish_stage(absent=[1])
    parties.until(stage)
    for message in parties.answer(0):
        with pytest.raises(RemoteProtocolError, match=r"client 1 in stage.*has dropped out"):
            parties.server.receive(1, reseal(message, sender=1))
        parties.server.receive(0, message)
    parties.finish_stage_of([2, 3, 4])
    parties.finish()


def test_half_an_upload_is_forgotten() -> None:
    parties = Parties(4, size=50, chunk=16).until(Stage.MASKED_INPUT)
    before = parties.total.copy()
    for message in parties.answer(1)[:-1]:
        parties.server.receive(1, message)
    np.testing.assert_array_equal(parties.total, before)
    assert list(parties.server._vectors._arriving) == [1]
    parties.finish_stage_of([0, 2, 3])
    assert parties.server._vectors._arriving == {}
    parties.finish()


@pytest.mark.parametrize("adversary", LEVELS)
def test_replies_are_given_again_to_the_byte(adversary: str) -> None:
    """A server that died before it had sent everything sends it again; nobody takes it twice."""
    parties = Parties(5, adversary=adversary)
    assert parties.server.replies() == {}
    while not parties.server.finished:
        absent = [3] if parties.server.stage == Stage.MASKED_INPUT else []
        parties.finish_stage(absent)
        assert parties.server.replies() == parties.mail
        if parties.server.finished:
            break
        parties.server = MaskingServer.from_bytes(parties.server.to_bytes())
        assert parties.server.replies() == parties.mail
    parties.check()

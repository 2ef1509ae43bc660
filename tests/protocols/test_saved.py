"""Parties that end and go on from bytes: to the byte as if nothing had happened, and no further."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np
import pytest

from fedsecure import wire
from fedsecure.encoding import FixedPoint
from fedsecure.errors import (
    CheaterDetected,
    EncodingError,
    LocalProtocolError,
    RemoteProtocolError,
)
from fedsecure.protocols.masking import MaskingClient, MaskingServer
from fedsecure.protocols.masking.messages import AdvertiseKeys, read
from fedsecure.protocols.masking.states import Stage
from parties import LEVELS, Parties, body_of, encoded, make_updates, reseal, stages_of
from restarts import CASES, SIZE, case, counted_entropy, restored, restored_server, walked

if TYPE_CHECKING:
    from collections.abc import Callable

WEIGHTED = FixedPoint(4.0, 12, max_weight=4.0)


def never(step: int) -> bool:
    return False


def always(step: int) -> bool:
    return True


# --- to the byte ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_everybody_restored_after_every_step(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All messages, the sum, the result and what is kept are those of a twin that ran through."""
    twin, count = walked(monkeypatch, name, never)
    walk, same_count = walked(monkeypatch, name, always)
    assert same_count == count > 40
    assert walk.messages == twin.messages
    np.testing.assert_array_equal(walk.parties.total, twin.parties.total)
    result, expected = walk.parties.server.result(), twin.parties.server.result()
    walk.parties.check()
    assert 2 in result.dropouts
    assert result.transcript == expected.transcript
    assert result.contributors == expected.contributors
    for key in ("a", "b"):
        np.testing.assert_array_equal(result.mean[key], expected.mean[key])
    for client_id, client in walk.parties.clients.items():
        if client_id != 2:
            assert client.stage is Stage.FINISHED
            assert client.transcript == result.transcript
            assert client.to_bytes() == twin.parties.clients[client_id].to_bytes()


@pytest.mark.parametrize("name", ["semi_malicious", "malicious"])
def test_everybody_restored_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """After each step alone: nothing depends on what an earlier restart had put right."""
    twin, count = walked(monkeypatch, name, never)
    for step in range(1, count + 1):
        walk, _ = walked(monkeypatch, name, lambda now, step=step: now == step)
        assert walk.messages == twin.messages, step
        np.testing.assert_array_equal(walk.parties.total, twin.parties.total)


@pytest.mark.parametrize("name", CASES)
def test_a_restored_upload_goes_on_where_it_stood(name: str) -> None:
    """What was made is not made again, and what comes is masked as it would have been."""
    parties = case(name).until(Stage.MASKED_INPUT)
    upload = iter(parties.clients[1].receive(parties.mail[1][0]))
    parties.server.receive(1, next(upload))
    data = parties.clients[1].to_bytes()
    rest = list(upload)
    client = MaskingClient.from_bytes(data, parties.protocol.identity_of(1))
    assert client.stage == parties.clients[1].stage
    with pytest.raises(LocalProtocolError, match="give this client its update first"):
        client.resume()
    client.set_update(make_updates(len(parties.clients), SIZE)[1])
    again = client.resume()
    assert client.resume() is again
    assert list(again) == rest
    assert list(client.resume()) == []
    assert len(rest) == 2
    parties.clients[1] = client
    for message in rest:
        parties.server.receive(1, message)
    parties.finish_stage(absent=[1])
    parties.finish()


@pytest.mark.parametrize("made", [0, 1, 2])
def test_a_restored_client_uploads_before_anything_else(made: int) -> None:
    parties = case("malicious").until(Stage.MASKED_INPUT)
    upload = parties.clients[1].receive(parties.mail[1][0])
    sent = [next(upload) for _ in range(made)]
    client = restored(parties, 1)
    parties.send([0, 2, 3])
    parties.mail = parties.server.advance()
    for _ in range(2):
        with pytest.raises(LocalProtocolError, match="draw all messages of the masked input"):
            client.receive(parties.mail[0][0])
        assert client.stage is Stage.CONSISTENCY_CHECK
    assert len(sent + list(client.resume())) == 3


def test_the_sum_of_an_unfinished_upload_is_restored_too() -> None:
    """The server had two of three messages of one client, and all of another."""
    parties = case("malicious").until(Stage.MASKED_INPUT)
    parties.send([0])
    first, second, third = parties.answer(1)
    parties.server.receive(1, first)
    parties.server.receive(1, second)
    before = parties.total.copy()
    server = restored_server(parties)
    np.testing.assert_array_equal(parties.total, before)
    assert server.waiting_for == {1, 2, 3}
    for early in (first, second):
        with pytest.raises(RemoteProtocolError, match="came where chunk 2 was due"):
            server.receive(1, early)
    server.receive(1, third)
    assert server.waiting_for == {2, 3}
    parties.finish_stage_of([2, 3])
    parties.finish()
    assert parties.server.result().contributors == (0, 1, 2, 3)


# --- no second update, no second answer -------------------------------------------------------


def changed(update: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Another update, by the smallest change there is."""
    other = copy.deepcopy(update)
    other["b"][-1] = np.nextafter(other["b"][-1], np.float32(0))
    return other


BEFORE_UPLOAD = (Stage.ADVERTISE_KEYS, Stage.SHARE_KEYS, Stage.MASKED_INPUT)


@pytest.mark.parametrize(
    ("stage", "drawn"),
    [*((stage, None) for stage in BEFORE_UPLOAD), *((Stage.MASKED_INPUT, n) for n in range(3))],
)
def test_the_same_update_and_weight_or_none(stage: Stage, drawn: int | None) -> None:
    """[A13] The masks are the old ones: another update would show the difference to the old one."""
    updates, weights = make_updates(4, SIZE), [1.0, 2.0, 3.0, 4.0]
    parties = case("malicious", weights=weights, encoding=WEIGHTED).until(stage)
    if drawn is not None:
        upload = parties.clients[1].receive(parties.mail[1][0])
        for _ in range(drawn):
            parties.server.receive(1, next(upload))
    client = restored(parties, 1, give=False)
    for update, weight in [
        (changed(updates[1]), 2.0),
        (updates[0], 2.0),
        (updates[1], 1.0),
        (updates[1], np.nextafter(2.0, 1.0) - 2**-12),
        ({"a": updates[1]["a"] * -1, "b": updates[1]["b"]}, 2.0),
    ]:
        with pytest.raises(LocalProtocolError, match=r"another update, or weight, before.*differ"):
            client.set_update(update, weight)
        assert not client._input.ready
    with pytest.raises(EncodingError):
        client.set_update(updates[1])
    client.set_update({name: leaf.copy() for name, leaf in updates[1].items()}, 2.0)
    with pytest.raises(LocalProtocolError, match="second one under the same masks"):
        client.set_update(updates[1], 2.0)
    np.testing.assert_array_equal(encoded(client), parties.inputs[1])
    if drawn is not None:
        for message in client.resume():
            parties.server.receive(1, message)
        parties.finish_stage(absent=[1])
    parties.finish()
    assert parties.server.result().contributors == (0, 1, 2, 3)


def test_the_same_update_twice_restored() -> None:
    """A restored client that never got its update again still knows which one it was."""
    parties = case("malicious").until(Stage.MASKED_INPUT)
    for _ in range(3):
        client = restored(parties, 1, give=False)
    with pytest.raises(LocalProtocolError, match="had another update"):
        client.set_update(make_updates(4, SIZE)[0])
    restored(parties, 1)
    parties.finish()


def test_a_client_without_an_update_may_be_given_any() -> None:
    parties = case("malicious")
    parties.clients[1] = parties.protocol.client(parties.session, 1)
    assert restored(parties, 1, give=False).stage is Stage.ADVERTISE_KEYS
    parties.until(Stage.MASKED_INPUT)
    client = restored(parties, 1, give=False)
    with pytest.raises(LocalProtocolError, match="give this client its update first"):
        parties.answer(1)
    client.set_update(make_updates(9, SIZE)[7])
    parties.inputs[1] = encoded(client)
    parties.finish()


@pytest.mark.parametrize("adversary", LEVELS)
def test_after_the_upload_no_update_is_taken(adversary: str) -> None:
    parties = case(adversary).until(Stage.MASKED_INPUT)
    list(parties.clients[1].receive(parties.mail[1][0]))
    client = restored(parties, 1, give=False)
    assert list(client.resume()) == []
    for update in make_updates(2, SIZE):
        with pytest.raises(LocalProtocolError, match="too late for an update"):
            client.set_update(update)


@pytest.mark.parametrize("adversary", LEVELS)
def test_each_stage_is_answered_once(adversary: str) -> None:
    """Restored after it has answered, a client does not answer again: not the same, not another."""
    parties = case(adversary)
    while not parties.server.finished:
        inbox, stage = parties.mail[1], parties.clients[1].stage
        for message in parties.answer(1):
            parties.server.receive(1, message)
        client = restored(parties, 1)
        kept = client.to_bytes()
        if inbox is None:
            with pytest.raises(LocalProtocolError, match="in stage SHARE_KEYS cannot start"):
                client.start()
        else:
            with pytest.raises(RemoteProtocolError, match="has no place in stage"):
                client.receive(inbox[0])
        assert client.stage is not stage
        assert client.to_bytes() == kept
        parties.finish_stage(absent=[1])
    parties.check()


@pytest.mark.parametrize("adversary", LEVELS)
def test_a_restored_server_takes_each_answer_once(adversary: str) -> None:
    """And still tells a repeated answer from a contradicting one."""
    parties = case(adversary)
    twin = case(adversary, session_id=parties.session.session_id)
    for stage in stages_of(adversary):
        assert parties.server.stage == stage
        messages, others = parties.answer(1), twin.answer(1)
        for message in messages:
            parties.server.receive(1, message)
        server = restored_server(parties)
        assert 1 not in server.waiting_for
        kept = server.to_bytes()
        for message, other in zip(messages, others, strict=True):
            with pytest.raises(RemoteProtocolError, match="answered already") as caught:
                server.receive(1, message)
            assert not isinstance(caught.value, CheaterDetected)
            contradicting = stage is not Stage.MASKED_INPUT
            with pytest.raises(RemoteProtocolError, match="answered already") as caught:
                server.receive(1, other)
            assert isinstance(caught.value, CheaterDetected) == contradicting
        assert server.to_bytes() == kept
        parties.finish_stage(absent=[1])
        for message in others:
            twin.server.receive(1, message)
        twin.finish_stage(absent=[1])
    parties.check()


@pytest.mark.parametrize("adversary", LEVELS)
def test_a_restored_server_knows_all_keys(adversary: str) -> None:
    """What one client has advertised, in either role, no other one may advertise."""
    parties = case(adversary)
    (first,), (second,) = parties.answer(0), parties.answer(1)
    parties.server.receive(0, first)
    taken, own = (read(AdvertiseKeys, body_of(message)) for message in (first, second))
    server = restored_server(parties)
    for key in (taken.share_key, taken.mask_key):
        for role in ("share_key", "mask_key"):
            copied = wire.encode_control(msgspec.structs.replace(own, **{role: key}))
            with pytest.raises(RemoteProtocolError, match="was advertised before"):
                server.receive(1, reseal(second, body=copied))
    server.receive(1, second)
    parties.finish_stage_of([2, 3])
    parties.finish()


@pytest.mark.parametrize("adversary", LEVELS)
def test_whoever_dropped_out_stays_out_of_a_restored_server(adversary: str) -> None:
    parties = case(adversary)
    first = parties.answer(3)
    parties.finish_stage(absent=[3])
    server = restored_server(parties)
    with pytest.raises(RemoteProtocolError, match="dropped out"):
        server.receive(3, first[0])
    assert server.waiting_for == {0, 1, 2}
    parties.finish()
    assert parties.server.result().dropouts == (3,)


# --- at the end -------------------------------------------------------------------------------


@pytest.mark.parametrize("adversary", LEVELS)
def test_a_finished_client_stays_finished(adversary: str) -> None:
    parties = case(adversary)
    parties.finish()
    client = restored(parties, 1)
    assert client.finished
    assert client.transcript == parties.server.result().transcript
    with pytest.raises(LocalProtocolError, match="too late"):
        client.set_update(make_updates(1, SIZE)[0])
    with pytest.raises(LocalProtocolError, match="cannot start"):
        client.start()
    assert list(client.resume()) == []


@pytest.mark.parametrize("adversary", LEVELS)
def test_an_aborted_client_stays_aborted(adversary: str) -> None:
    parties = case(adversary).until(Stage.SHARE_KEYS)
    foreign = case(adversary, session_id=parties.session.session_id).until(Stage.SHARE_KEYS)
    with pytest.raises(RemoteProtocolError, match="ended the session"):
        parties.clients[1].receive(foreign.mail[1][0])
    client = restored(parties, 1)
    assert client.stage is Stage.ABORTED
    with pytest.raises(RemoteProtocolError, match="no place in stage ABORTED"):
        client.receive(parties.mail[1][0])
    with pytest.raises(LocalProtocolError, match="too late"):
        client.set_update(make_updates(2, SIZE)[1])


def test_a_finished_server_is_not_saved() -> None:
    parties = case("malicious")
    parties.finish()
    with pytest.raises(LocalProtocolError, match="has finished: keep its result instead"):
        parties.server.to_bytes()


class Pair(NamedTuple):
    """Containers of an update."""

    left: np.ndarray
    right: list[np.ndarray]


def test_the_mean_of_a_restored_server() -> None:
    """With the session it has its containers; from bytes alone, paths and numpy arrays."""
    updates = [Pair(np.full(3, float(i)), [np.full((2, 2), -float(i), "f4")]) for i in range(3)]
    parties = Parties(3, updates=updates, adversary="malicious").until(Stage.UNMASKING)
    data = parties.server.to_bytes()
    answers = {name: parties.answer(name) for name in parties.clients}
    means: dict[bool, Any] = {}
    for named in (False, True):
        server = MaskingServer.from_bytes(data, parties.session if named else None)
        for name, messages in answers.items():
            for message in messages:
                server.receive(name, message)
        assert server.advance() == {}
        means[named] = server.result().mean
    assert type(means[True]) is Pair
    np.testing.assert_array_equal(means[True].left, np.ones(3))
    np.testing.assert_array_equal(means[True].right[0], -np.ones((2, 2), "f4"))
    assert list(means[False]) == [leaf.path for leaf in parties.session.spec.leaves]
    left, right = means[False].values()
    np.testing.assert_array_equal(left, means[True].left)
    np.testing.assert_array_equal(right, means[True].right[0])
    assert right.dtype == np.float32


@pytest.mark.parametrize(
    "other",
    [lambda: case("malicious"), lambda: case("semi_honest"), lambda: case("malicious", count=5)],
    ids=["id", "level", "size"],
)
def test_the_session_of_another_server(other: Callable[[], Parties]) -> None:
    data = case("malicious").server.to_bytes()
    with pytest.raises(LocalProtocolError, match="bytes of another session's server"):
        MaskingServer.from_bytes(data, other().session)


def test_restoring_draws_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that is secret comes from the bytes, the seed of the rounding included."""
    drawn = counted_entropy(monkeypatch)
    parties = case("malicious").until(Stage.MASKED_INPUT)
    before = len(drawn)
    restored(parties, 1)
    restored_server(parties)
    assert len(drawn) == before

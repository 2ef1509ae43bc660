"""A sum in parts is the sum on one machine, and nothing is unmasked that parts do not agree on."""

from __future__ import annotations

import gc
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedsecure import wire
from fedsecure.encoding import FixedPoint
from fedsecure.errors import (
    CryptoError,
    FedSecureError,
    LocalProtocolError,
    RemoteProtocolError,
    ShardError,
)
from fedsecure.primitives import masks
from fedsecure.protocols.masking import MaskingServer
from fedsecure.protocols.masking.states import Stage
from fedsecure.protocols.sharding import ShardedSum
from fedsecure.protocols.sharding.sums import cut, digest
from parties import LEVELS, Parties, reseal
from shards import LocalWorkers, Twins, same_result


def twins(workers: LocalWorkers, **facts: Any) -> Twins:
    return Twins(partial(ShardedSum, workers=workers), **facts)


@pytest.mark.parametrize("adversary", LEVELS)
@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_the_same_bits_as_in_one_place(count: int, adversary: str) -> None:
    play = twins(LocalWorkers(count), count=5, size=217, chunk=50, adversary=adversary)
    play.finish_stage()
    play.finish_stage()
    play.finish_stage(absent=[1])
    play.finish()
    play.compare()


@settings(max_examples=40, deadline=None)
@given(
    size=st.integers(1, 90),
    chunk=st.integers(1, 40),
    count=st.integers(1, 9),
    bits=st.integers(0, 40),
    prg=st.sampled_from(["aes128", "aes256", "chacha20"]),
    weights=st.booleans(),
)
def test_any_cut_gives_the_same_bits(
    size: int, chunk: int, count: int, bits: int, prg: str, weights: bool
) -> None:
    encoding = FixedPoint(clip=4.0, bits=bits, max_weight=8.0 if weights else None)
    rng = np.random.default_rng(size)
    play = twins(
        LocalWorkers(count),
        count=3,
        updates=[{"a": rng.uniform(-3, 3, size)} for _ in range(3)],
        chunk=chunk,
        encoding=encoding,
        policy={"prg": prg},
        weights=[1.0, 2.0, 8.0] if weights else None,
    )
    play.finish()
    play.compare()


@given(length=st.integers(1, 3000), chunk=st.integers(1, 500), count=st.integers(1, 20))
def test_cuts_cover_the_vector_and_fall_on_bytes(length: int, chunk: int, count: int) -> None:
    session = Parties(3, updates=[{"a": np.zeros(length)}] * 3, chunk=chunk).session
    ranges = cut(session, count)
    assert 1 <= len(ranges) <= count
    assert [at for one in ranges for at in one][1:-1] == sorted(
        2 * [stop for _, stop in ranges[:-1]]
    )
    assert (ranges[0][0], ranges[-1][1]) == (0, session.layout.length)
    for start, stop in ranges:
        assert start < stop
        assert start % chunk % 8 == 0


def test_a_refused_upload_leaves_no_trace_at_any_shard() -> None:
    workers = LocalWorkers(3)
    play = twins(workers, count=4, size=100, chunk=30)
    play.until(Stage.MASKED_INPUT)
    messages = play.answer(2)
    play.twin.receive(2, messages[0])
    play.twin.receive(2, messages[1])
    sent = len(workers.calls)
    for wrong in (messages[3], reseal(messages[2], body=messages[2][60:-1]), messages[1]):
        with pytest.raises(RemoteProtocolError):
            play.twin.receive(2, wrong)
    assert len(workers.calls) == sent  # it was refused before anything was sent on
    assert [part._clients for part in workers.parts()] == [set()] * 3
    play.send([0, 1, 3])
    play.mail = play.server.advance()
    assert play.twin.advance() == play.mail
    assert [part._held for part in workers.parts()] == [{}] * 3
    play.finish()
    play.compare()
    assert play.twin.result().dropouts == (2,)


def test_what_a_shard_cannot_hold_is_forgotten_at_all_of_them_and_may_come_again() -> None:
    workers = LocalWorkers(2)
    play = twins(workers, count=4, size=100, chunk=30)
    play.until(Stage.MASKED_INPUT)
    messages = play.answer(0)
    workers.broken["hold"] = 1
    for message in messages[:-1]:
        play.twin.receive(0, message)
    with pytest.raises(FedSecureError, match="worker 1 cannot hold"):
        play.twin.receive(0, messages[-1])
    assert [part._held for part in workers.parts()] == [{}, {}]
    assert [part._clients for part in workers.parts()] == [set(), set()]
    assert 0 in play.twin.waiting_for
    del workers.broken["hold"]
    for message in messages:
        play.server.receive(0, message)
        play.twin.receive(0, message)
    play.finish_stage_of([1, 2, 3])
    play.finish()
    play.compare()


def test_a_sum_that_a_shard_does_not_hold_is_not_saved() -> None:
    workers = LocalWorkers(2)
    play = twins(workers, count=4, size=100, chunk=30)
    play.until(Stage.MASKED_INPUT)
    workers.broken["hold"] = 1
    for message in play.answer(0)[:-1]:
        play.twin.receive(0, message)
    with pytest.raises(FedSecureError, match="worker 1 cannot hold"):
        play.twin.to_bytes()


@pytest.mark.parametrize("method", ["unmask", "read"])
def test_what_was_unmasked_in_part_is_forgotten_everywhere(method: str) -> None:
    workers = LocalWorkers(3)
    play = twins(workers, count=4, size=100, chunk=30)
    play.until(Stage.UNMASKING)
    play.send(play.mail)
    workers.broken[method] = 2
    with pytest.raises(FedSecureError, match=f"worker 2 cannot {method}"):
        play.twin.advance()
    assert play.twin.stage == Stage.ABORTED
    assert workers.parts() == []


def test_an_interruption_that_says_nothing_ends_the_sum_with_words() -> None:
    workers = LocalWorkers(2)
    play = twins(workers, count=4)
    play.until(Stage.MASKED_INPUT)
    play.send([0, 2, 3])
    wait, calls = workers.wait, []

    def interrupted(given: Any) -> Any:
        calls.append(given)
        if len(calls) == 2:  # not that of the pieces, but that for the client before
            raise KeyboardInterrupt
        return wait(given)

    workers.wait = interrupted
    *pieces, last = play.answer(1)
    for piece in pieces:
        play.twin.receive(1, piece)
    with pytest.raises(KeyboardInterrupt):
        play.twin.receive(1, last)
    with pytest.raises(ShardError, match="a call ended with KeyboardInterrupt"):
        play.twin.advance()


@pytest.mark.parametrize("lie", ["one more", "one less", "another"])
def test_shards_that_added_others_are_not_unmasked(lie: str) -> None:
    workers = LocalWorkers(3)
    play = twins(workers, count=5, size=100, chunk=30)
    play.until(Stage.MASKED_INPUT)
    play.send([0, 1, 2, 3])
    clients = workers.parts()[1]._clients
    clients.symmetric_difference_update({"one more": {4}, "one less": {3}, "another": {3, 4}}[lie])
    masked = [part.read().tobytes() for part in workers.parts()]
    with pytest.raises(ShardError, match=r"shards \[1\] have added other clients"):
        play.twin.advance()
    assert play.twin.stage == Stage.MASKED_INPUT
    with pytest.raises(ShardError, match="other clients"):  # and it stays so
        play.twin.advance()
    assert [part.read().tobytes() for part in workers.parts()] == masked
    assert not [call for call in workers.calls if call[1] == "unmask"]


def test_shards_that_differ_at_the_end_are_not_unmasked() -> None:
    workers = LocalWorkers(2)
    play = twins(workers, count=5, size=100, chunk=30)
    play.until(Stage.UNMASKING)
    play.send(play.mail)
    workers.parts()[0]._clients.discard(3)
    masked = [part.read().tobytes() for part in workers.parts()]
    with pytest.raises(ShardError, match=r"shards \[0\]"):
        play.twin.advance()
    assert play.twin.stage == Stage.ABORTED
    assert [part.read().tobytes() for part in workers.parts()] == masked


def test_a_shard_unmasks_once_what_is_closed_and_agreed() -> None:
    workers = LocalWorkers(1)
    play = twins(workers, count=4)
    play.until(Stage.MASKED_INPUT)
    (shard,) = workers.parts()
    nothing = (b"", np.zeros(0, np.int8))
    with pytest.raises(LocalProtocolError, match="not the sum that is to be unmasked"):
        shard.unmask(bytes(32), *nothing)
    play.send(play.mail)
    agreed = shard.close()
    with pytest.raises(LocalProtocolError, match="not the sum"):
        shard.unmask(bytes(32), *nothing)
    with pytest.raises(LocalProtocolError, match="came where"):
        shard.hold(9, 0, 8, np.zeros(8 * 32, np.uint8))
    shard.unmask(agreed, *nothing)
    with pytest.raises(LocalProtocolError, match="not the sum"):
        shard.unmask(agreed, *nothing)


@pytest.mark.parametrize("stage", [Stage.MASKED_INPUT, Stage.UNMASKING])
@pytest.mark.parametrize("gone", [0, 2])
def test_a_dead_worker_ends_the_sum_with_one_clear_error(stage: Stage, gone: int) -> None:
    workers = LocalWorkers(3)
    play = twins(workers, count=4, size=100, chunk=1000)
    play.until(stage)
    play.send([0, 1, 2])
    workers.dead.add(gone)
    message = play.answer(3)[0]
    if stage == Stage.MASKED_INPUT:
        with pytest.raises(ShardError, match=f"worker {gone} is gone"):
            play.twin.receive(3, message)
    with pytest.raises(ShardError, match=f"worker {gone} is gone"):
        play.twin.advance()


@pytest.mark.parametrize("stage", [Stage.SHARE_KEYS, Stage.MASKED_INPUT, Stage.UNMASKING])
def test_a_restored_server_goes_on_in_other_places(stage: Stage) -> None:
    play = twins(LocalWorkers(3), count=5, size=100, chunk=30)
    play.until(stage)
    half = [name for name in play.mail if name < 3]
    play.send(half)
    if stage == Stage.MASKED_INPUT:
        for message in play.answer(3)[:2]:
            play.server.receive(3, message)
            play.twin.receive(3, message)
    kept = play.twin.to_bytes()
    assert kept == play.server.to_bytes()
    other = partial(ShardedSum, workers=LocalWorkers(2))
    play.twin = MaskingServer.from_bytes(kept, play.session, vectors=other)
    assert play.twin.to_bytes() == kept
    rest = [4] if stage == Stage.MASKED_INPUT else [3, 4]
    play.finish_stage_of(rest)
    while not play.server.finished:
        play.finish_stage()
    play.compare()


def test_workers_forget_a_sum_that_is_read_or_dropped() -> None:
    workers = LocalWorkers(2)
    play = twins(workers, count=3)
    assert len(workers.parts()) == 2
    play.finish()
    play.compare()
    assert workers.parts() == []
    other = ShardedSum(play.session, workers)
    assert len(workers.parts()) == 2
    del other
    gc.collect()
    assert workers.parts() == []


def test_two_sums_of_one_session_do_not_meet() -> None:
    workers = LocalWorkers(2)
    play = twins(workers, count=3)
    beside = play.protocol.server(play.session, vectors=partial(ShardedSum, workers=workers))
    play.finish()
    same_result(play.twin.result(), play.server.result())
    assert len(workers.parts()) == 2
    assert all((part.read() == 0).all() for part in workers.parts())
    assert beside.stage == Stage.ADVERTISE_KEYS


def test_a_shard_holds_what_comes_next_in_its_size_and_of_each_client_once() -> None:
    workers = LocalWorkers(1)
    play = twins(workers, count=4, size=100, chunk=1000)
    play.until(Stage.MASKED_INPUT)
    (shard,) = workers.parts()
    part = shard._part
    size = wire.packed_bytes(part.stop, part.bits)
    for start, stop, packed in ((0, part.stop, size - 1), (0, part.stop, size + 1), (8, 8, 0)):
        with pytest.raises(LocalProtocolError, match="came where 0 was due"):
            shard.hold(1, start, stop, np.zeros(packed, np.uint8))
    play.send([1])
    with pytest.raises(LocalProtocolError, match="of client 1 came where"):
        shard.hold(1, 0, part.stop, np.zeros(size, np.uint8))


def test_unfinished_uploads_are_forgotten_when_inputs_are_closed() -> None:
    workers = LocalWorkers(2)
    play = twins(workers, count=4, size=100, chunk=30)
    play.until(Stage.MASKED_INPUT)
    first = play.answer(3)[0]
    play.server.receive(3, first)
    play.twin.receive(3, first)
    play.finish_stage_of([0, 1, 2])
    assert play.twin._vectors.arriving == {}
    assert play.twin.to_bytes() == play.server.to_bytes()


def test_a_shard_wipes_the_seeds_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[masks.MaskSet] = []

    class Kept(masks.MaskSet):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            made.append(self)

    monkeypatch.setattr("fedsecure.protocols.sharding.sums.MaskSet", Kept)
    play = twins(LocalWorkers(2), count=4)
    play.finish()
    play.compare()
    assert len(made) == 2
    for each in made:
        with pytest.raises(CryptoError, match="wiped"):
            _ = each.seeds


def test_a_digest_is_of_one_session_and_one_set_of_clients() -> None:
    sets = [(b"a" * 16, [1, 2]), (b"b" * 16, [1, 2]), (b"a" * 16, [1, 3]), (b"a" * 16, [1])]
    assert len({digest(*each) for each in sets}) == len(sets)
    assert digest(b"a" * 16, [2, 1]) == digest(*sets[0])


def test_a_sum_that_is_lost_stays_lost() -> None:
    """A worker that answers again after an error may have missed a client's vector."""
    workers = LocalWorkers(2)
    play = twins(workers, count=4, size=100, chunk=1000)
    play.until(Stage.MASKED_INPUT)
    play.send([0, 1, 2])
    workers.dead.add(1)
    with pytest.raises(ShardError, match="worker 1 is gone"):
        play.twin.receive(3, play.answer(3)[0])
    workers.dead.clear()
    with pytest.raises(ShardError, match="worker 1 is gone"):
        play.twin.advance()
    assert play.twin._vectors._parts._finish.atexit is False

"""Sums, masks and decryption in Ray actors: the same bits as here, and errors instead of waits."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

pytest.importorskip("ray")

import ray

import fedsecure as fs
from encrypted_sums import identity
from fedsecure.adapters.ray import Shards
from fedsecure.errors import CryptoError, LocalProtocolError, RemoteProtocolError, ShardError
from fedsecure.protocols.masking.states import Stage
from fedsecure.protocols.sharding import ShardedSum
from paillier_keys import private_key
from parties import make_updates
from shards import Twins

if TYPE_CHECKING:
    from collections.abc import Iterator

# Ray opens files and sockets that its own shutdown closes late.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning")

DEADLINE = 120.0


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    # Workers look where the driver was started first, and the sources there have no compiled core.
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    yield
    ray.shutdown()
    monkeypatch.undo()


@pytest.fixture
def shards(cluster: None) -> Iterator[Shards]:
    with Shards(2, deadline=DEADLINE) as made:
        yield made


def test_the_same_bits_from_two_workers(shards: Shards) -> None:
    """Two million weights in several pieces: more than Ray sends inline."""
    play = Twins(shards.sum, count=4, size=2_000_000, chunk=600_000, adversary="malicious")
    play.finish_stage()
    play.finish_stage()
    play.finish_stage(absent=[2])
    play.finish()
    play.compare()
    assert play.twin.result().dropouts == (2,)


@pytest.mark.parametrize("prg", ["aes256", "chacha20"])
def test_the_same_bits_of_weighted_updates(shards: Shards, prg: str) -> None:
    encoding = fs.FixedPoint(clip=4.0, max_weight=100.0)
    weights = [1.0, 20.0, 3.0, 99.0]
    play = Twins(
        shards.sum, count=4, chunk=16, weights=weights, encoding=encoding, policy={"prg": prg}
    )
    play.finish()
    play.compare()


def test_a_refused_upload_leaves_no_trace(shards: Shards) -> None:
    play = Twins(shards.sum, count=4, size=100, chunk=30)
    play.until(Stage.MASKED_INPUT)
    messages = play.answer(2)
    play.twin.receive(2, messages[0])
    with pytest.raises(RemoteProtocolError, match="chunk 2 came where chunk 1 was due"):
        play.twin.receive(2, messages[2])
    play.send([0, 1, 3])
    play.mail = play.server.advance()
    assert play.twin.advance() == play.mail
    play.finish()
    play.compare()


def test_shards_that_added_others_are_not_unmasked(shards: Shards) -> None:
    play = Twins(shards.sum, count=4, size=100, chunk=30)
    play.until(Stage.UNMASKING)
    play.send(play.mail)
    vectors = play.twin._vectors
    assert isinstance(vectors, ShardedSum)
    parts = vectors._parts
    masked = vectors.total.copy()
    parts.settle([parts.send(1, "restore", masked[vectors._cuts[1][0] :], (0, 1, 2))])
    with pytest.raises(ShardError, match=r"shards \[1\] have added other clients"):
        play.twin.advance()
    assert play.twin.stage == Stage.ABORTED
    parts._lost = None
    np.testing.assert_array_equal(np.concatenate(parts.settle(parts.send_all("read"))), masked)


def test_encrypted_sums_on_shards(shards: Shards) -> None:
    ids = (0, 1, 2)
    protocol = fs.PaillierSum(private_key(), identities={name: identity(name) for name in ids})
    updates = make_updates(3, 300)
    encoding = fs.FixedPoint(clip=4.0, rounding="nearest")
    here = fs.secure_aggregate(updates, protocol=protocol, encoding=encoding)
    there = fs.secure_aggregate(updates, protocol=shards.on(protocol), encoding=encoding)
    assert here.transcript != there.transcript  # two sessions
    for name, leaf in here.mean.items():
        assert leaf.tobytes() == there.mean[name].tobytes()
    wrong = np.full((3, 2 * private_key().public.key_bytes), 255, np.uint8)
    with pytest.raises(CryptoError, match="no ciphertext of this key"):
        shards.decrypt_rows(private_key(), wrong)


def test_secure_aggregate_on_shards(shards: Shards) -> None:
    protocol = shards.on(fs.PairwiseMasking(adversary="semi_honest"))
    updates = make_updates(4, 300)
    encoding = fs.FixedPoint(clip=4.0, rounding="nearest")
    here = fs.secure_aggregate(updates, weights=[1, 2, 3, 4], encoding=encoding)
    there = fs.secure_aggregate(updates, weights=[1, 2, 3, 4], encoding=encoding, protocol=protocol)
    for name, leaf in here.mean.items():
        assert leaf.tobytes() == there.mean[name].tobytes()
    assert here.total_weight == there.total_weight


def test_a_saved_server_goes_on_in_shards(shards: Shards) -> None:
    play = Twins(shards.sum, count=4, size=100, chunk=30)
    play.until(Stage.MASKED_INPUT)
    play.send([0, 1])
    for message in play.answer(2)[:2]:
        play.server.receive(2, message)
        play.twin.receive(2, message)
    kept = play.twin.to_bytes()
    assert kept == play.server.to_bytes()
    play.twin = fs.MaskingServer.from_bytes(kept, play.session, vectors=shards.sum)
    play.finish_stage_of([3])
    play.finish()
    play.compare()


def test_a_killed_actor_is_one_clear_error_and_no_wait(cluster: None) -> None:
    with Shards(2, deadline=DEADLINE) as shards:
        play = Twins(shards.sum, count=4, size=100, chunk=30)
        play.until(Stage.MASKED_INPUT)
        play.send([0, 1, 2])
        ray.kill(shards._actors[1])
        began = time.monotonic()
        with pytest.raises(ShardError, match=r"a shard is gone .*run the round again"):
            play.twin.advance()
        with pytest.raises(ShardError):
            play.twin.advance()
        assert time.monotonic() - began < DEADLINE
        assert play.twin.stage == Stage.MASKED_INPUT


def test_an_answer_that_does_not_come_is_an_error(shards: Shards) -> None:
    @ray.remote(num_cpus=0.1)
    def sleep() -> None:
        time.sleep(60)

    slow = sleep.remote()
    shards._deadline = 0.5
    with pytest.raises(ShardError, match=r"not answered within 0\.5 seconds"):
        shards.wait([slow])
    ray.cancel(slow, force=True)


def test_a_cluster_without_room_is_an_error(cluster: None) -> None:
    with pytest.raises(ShardError, match="within 2 seconds: it waits for a place"):
        Shards(1, deadline=2.0, options={"num_cpus": 50})


def test_closed_shards_answer_nothing(cluster: None) -> None:
    with Shards(1, deadline=DEADLINE) as shards:
        play = Twins(shards.sum, count=3)
        assert repr(shards) == "<Shards: 1 actors>"
    with pytest.raises(ShardError, match="have been closed"):
        play.until(Stage.UNMASKING)
    with pytest.raises(ShardError, match="have been closed"):
        shards.sum(play.session)


@pytest.mark.parametrize("wrong", [{"count": 0}, {"count": 1.5}, {"count": 1, "deadline": 0}])
def test_impossible_shards_are_refused(cluster: None, wrong: dict[str, float]) -> None:
    with pytest.raises(LocalProtocolError, match=r"is (0|1\.5); use"):
        Shards(**wrong)


def test_without_a_running_ray_there_are_no_shards() -> None:
    code = "from fedsecure.adapters.ray import Shards; Shards(2)"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120
    )
    assert "LocalProtocolError: Ray is not running here: call ray.init(...) before" in run.stderr

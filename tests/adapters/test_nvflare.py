"""The door to NVFlare: all stages over tasks, and whoever does not answer."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

from adapters.nvflare_jobs import (
    IDENTITIES,
    SITES,
    START,
    WAVES,
    assert_close,
    opened,
    plain,
    play,
    script,
    trained,
)
from adapters.nvflare_stand_in import Job
from fedsecure.errors import ThresholdError


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch):
    return opened(monkeypatch)


@pytest.mark.parametrize("diff", [False, True])
def test_every_round_is_the_plain_round(door, diff: bool) -> None:
    job = play(door, diff=diff)
    assert len(job.saved) == 2
    model = START
    for number, saved in enumerate(job.saved):
        assert_close(saved.params, plain(model, SITES, number))
        assert saved.params["w"].dtype == np.float32
        model = saved.params
    assert len(job.seen) == 2 * 4 * WAVES


def test_no_answer_holds_an_update_or_a_weight(door) -> None:
    job = play(door)
    updates = [np.asarray(v - START[n]).tobytes() for n, v in trained(START, "site-1", 0).items()]
    for _, _, answer in job.seen:
        assert set(answer.meta) <= {"fedsecure", "client_name", "props"}
        for value in answer.params.values():
            assert value.dtype == np.uint8
            assert not any(update in value.tobytes() for update in updates)


def test_unweighted_jobs_weigh_all_sites_the_same(door) -> None:
    job = play(door, options={"max_weight": None, "num_rounds": 1})
    results = [trained(START, site, 0) for site in SITES]
    expected = {n: np.mean([r[n] for r in results], axis=0) for n in START}
    assert_close(job.saved[0].params, expected)


@pytest.mark.parametrize("wave", range(1, WAVES + 1))
def test_a_site_that_stops_answering_in_any_wave(door, wave: int) -> None:
    job = play(door, lost=lambda name, at: name == "site-2" and at == wave)
    # Up to the third wave its update is not in the sum; afterwards it is.
    rest = [s for s in SITES if s != "site-2" or wave > 3]
    first = plain(START, rest, 0)
    assert_close(job.saved[0].params, first)
    assert_close(job.saved[1].params, plain(job.saved[0].params, SITES, 1))  # it is back
    assert any("no answer from ['site-2']" in line for line in job.logged)


def test_a_job_that_only_fails_ends(door) -> None:
    with pytest.raises(ThresholdError, match="2 of 4 clients"):
        play(
            door,
            lost=lambda name, at: name in {"site-1", "site-2"},
            options={"num_rounds": 5, "patience": 2},
        )


def test_counts_of_a_model_stay_as_they_are(door) -> None:
    start = {**START, "steps": np.array(7, np.int64)}
    controller = door.SecureFedAvg(SITES, model=start, timeout=5, train_timeout=5, num_rounds=1)
    job = Job(controller, door.flare, lambda name, wave: False)
    for name in SITES:
        job.start(name, script(door, spoil=lambda s, n, p: {**p, "steps": np.array(9)}))
    controller.run()
    job.stop()
    assert int(job.saved[0].params["steps"]) == 7


def test_a_controller_that_starts_again_is_followed(door) -> None:
    first = door.SecureFedAvg(SITES, model=START, timeout=1, train_timeout=1, num_rounds=1)
    job = Job(first, door.flare, lambda name, wave: False)
    send, sent = first.send_model, []

    def dies(targets, data, **rest):
        if len(sent) == 2 * len(SITES) + 1:
            raise KeyboardInterrupt  # in the middle of the third wave
        sent.append(targets)
        send(targets=targets, data=data, **rest)

    first.send_model = dies
    for name in SITES:
        job.start(name, script(door))
    with pytest.raises(KeyboardInterrupt):
        first.run()
    again = door.SecureFedAvg(
        SITES, model=START, timeout=5, train_timeout=5, num_rounds=1, max_weight=100.0
    )
    second = Job(again, door.flare, lambda name, wave: False)
    second.inboxes = job.inboxes
    again.run()
    job.stop()
    assert_close(second.saved[0].params, plain(START, SITES, 0))


def test_sites_may_be_any_iterable_of_names(door) -> None:
    controller = door.SecureFedAvg((name for name in SITES), adversary="semi_honest")
    assert controller.sites == list(SITES)
    assert controller._ids == {f"site-{k}": k for k in range(1, 5)}


def test_training_in_place_changes_no_update(door) -> None:
    def run() -> None:
        site = door.flare.get_site_name()
        secure = door.SecureClient(SITES, identity=IDENTITIES[site])
        while (model := secure.receive(timeout=20)) is not None:
            for name, value in trained(model.params, site, model.current_round).items():
                model.params[name][...] = value
            meta = {door.MetaKey.NUM_STEPS_CURRENT_ROUND: 10 * int(site[-1])}
            secure.send(door.FLModel(params=model.params, meta=meta))

    controller = door.SecureFedAvg(
        SITES, model=START, timeout=5, train_timeout=5, num_rounds=1, max_weight=100.0
    )
    job = Job(controller, door.flare, lambda name, wave: False)
    send = controller.send_model

    def as_a_network_would(targets, data, **rest):
        data.params = {name: np.array(value) for name, value in data.params.items()}
        send(targets=targets, data=data, **rest)

    controller.send_model = as_a_network_would
    for name in SITES:
        job.start(name, run)
    controller.run()
    job.stop()
    assert_close(job.saved[0].params, plain(START, SITES, 0))


def test_only_rounds_that_fail_one_after_the_other_end_a_job(door) -> None:
    """The first and the third of four fail."""
    firsts = {1, 1 + WAVES + 1}  # each site's first task of those rounds
    job = play(
        door,
        lost=lambda name, at: name in {"site-1", "site-2"} and at in firsts,
        options={"num_rounds": 4, "patience": 2},
    )
    failed = [line for line in job.logged if "the model stays as it was" in line]
    assert [line.split()[2] for line in failed] == ["0", "2"]
    assert len(job.saved) == 2


def test_only_sites_that_are_there_are_invited(door) -> None:
    controller = door.SecureFedAvg(
        SITES, model=START, timeout=5, train_timeout=5, num_rounds=1, max_weight=100.0
    )
    job = Job(controller, door.flare, lambda name, wave: False)
    there = ["site-1", "site-3", "site-4"]
    for name in there:
        job.start(name, script(door))
    controller.run()
    job.stop()
    assert_close(job.saved[0].params, plain(START, there, 0))
    assert sorted({name for name, _, _ in job.seen}) == there


def test_waves_have_their_deadlines_and_an_aborted_job_sends_nothing(door, monkeypatch) -> None:
    """NVFlare is told of them, and not waited for where it does not notice that time is up."""
    module = importlib.import_module("fedsecure.adapters.nvflare.controller")
    monkeypatch.setattr(module, "_GRACE", 0.0)
    controller = door.SecureFedAvg(
        SITES, model=START, timeout=1, train_timeout=2, num_rounds=1, max_weight=100.0
    )
    job = Job(controller, door.flare, lambda name, wave: False)
    send, limits, cancelled = controller.send_model, [], []

    def sent(targets, data, timeout, callback):
        limits.append(timeout)
        send(targets=targets, data=data, timeout=timeout, callback=callback)

    controller.send_model = sent
    standing = controller.get_num_standing_tasks
    stuck = [True]
    controller.get_num_standing_tasks = lambda: 1 if stuck[0] else standing()

    def cancel() -> None:
        cancelled.append(len(limits))
        stuck[0] = False

    controller.cancel_all_tasks = cancel
    for name in SITES:
        job.start(name, script(door))
    controller.run()
    assert cancelled == [4]
    assert limits == [2] * 4 + [1] * 4 * (WAVES - 1)
    controller.abort_signal.triggered = True
    controller.run()
    job.stop()
    assert len(limits) == 4 * WAVES
    assert len(job.saved) == 1

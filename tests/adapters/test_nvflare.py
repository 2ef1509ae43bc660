"""The door to NVFlare: all stages over tasks, whoever does not answer, and what never leaves."""

from __future__ import annotations

import importlib
import re
from types import SimpleNamespace

import numpy as np
import pytest

import fedsecure as fs
from adapters.nvflare_stand_in import Flare, Job, install
from fedsecure.errors import EncodingError, LocalProtocolError, ThresholdError

STEP = 2.0**-20
IDENTITIES = {f"site-{k}": fs.Identity.generate() for k in range(1, 5)}
SITES = {name: identity.verify_key.hex() for name, identity in IDENTITIES.items()}
START = {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.zeros(1, np.float32)}
WAVES = 5  # of a round against a malicious server


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch):
    install(monkeypatch)
    package = importlib.import_module("fedsecure.adapters.nvflare")
    client = importlib.import_module("fedsecure.adapters.nvflare.client")
    flare = Flare()
    monkeypatch.setattr(client, "flare", flare)
    return SimpleNamespace(
        flare=flare,
        SecureClient=package.SecureClient,
        SecureFedAvg=package.SecureFedAvg,
        FLModel=client.FLModel,
        MetaKey=client.MetaKey,
        ParamsType=client.ParamsType,
    )


def trained(params, site: str, number: int):
    """Plain local training: something of the model, the site and the round."""
    shift = int(site[-1]) * (number + 1) / 16
    return {name: np.asarray(v * 0.5 + shift, np.float32) for name, v in params.items()}


def script(door, *, diff=False, spoil=None, rounds=None):
    """Returns the script of a site; `spoil(site, number, params)` may change what it sends."""

    def run() -> None:
        site = door.flare.get_site_name()
        secure = door.SecureClient(SITES, identity=IDENTITIES[site])
        while (model := secure.receive(timeout=20)) is not None:
            number = model.current_round
            params = trained(model.params, site, number)
            if diff:
                params = {name: v - model.params[name] for name, v in params.items()}
            if spoil is not None:
                params = spoil(site, number, params)
            kind = door.ParamsType.DIFF if diff else door.ParamsType.FULL
            meta = {door.MetaKey.NUM_STEPS_CURRENT_ROUND: 10 * int(site[-1])}
            try:
                secure.send(door.FLModel(params=params, params_type=kind, meta=meta))
            except EncodingError as error:
                if rounds is not None:
                    rounds.append((site, number, str(error)))

    return run


def play(door, *, lost=lambda name, wave: False, options=None, **script_options) -> Job:
    controller = door.SecureFedAvg(
        SITES,
        model=START,
        timeout=1,
        train_timeout=1,
        **{"num_rounds": 2, "max_weight": 100.0, **(options or {})},
    )
    job = Job(controller, door.flare, lost)
    for name in SITES:
        job.start(name, script(door, **script_options))
    try:
        controller.run()
    finally:
        job.stop()
    return job


def plain(model, sites, number: int):
    results = [trained(model, site, number) for site in sites]
    weights = [10 * int(site[-1]) for site in sites]
    return {n: np.average([r[n] for r in results], axis=0, weights=weights) for n in model}


def assert_close(got, expected) -> None:
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value, atol=STEP, rtol=0)


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


def test_too_few_sites_fail_the_round_and_leave_the_model(door) -> None:
    job = play(door, lost=lambda name, at: name in {"site-1", "site-2"} and at == 3)
    assert len(job.saved) == 1
    assert_close(job.saved[0].params, plain(START, SITES, 1))
    assert any("secure round 0 failed, the model stays as it was" in line for line in job.logged)


def test_a_job_that_only_fails_ends(door) -> None:
    with pytest.raises(ThresholdError, match="2 of 4 clients"):
        play(
            door,
            lost=lambda name, at: name in {"site-1", "site-2"},
            options={"num_rounds": 5, "patience": 2},
        )


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda p: {**p, "w": np.zeros((2, 4), np.float32)}, r"'w' has shape \(2, 4\)"),
        (lambda p: {"w": p["w"]}, "'b' is not in both"),
        (lambda p: {**p, "more": p["w"]}, "'more' is not in both"),
        (lambda p: {**p, "b": np.array([1e3], np.float32)}, "clip"),
        (lambda p: {**p, "b": np.array([np.nan], np.float32)}, "'b'"),
    ],
)
def test_a_wrong_update_leaves_nothing_but_a_goodbye(door, spoil, words: str) -> None:
    told: list = []
    job = play(
        door,
        rounds=told,
        spoil=lambda site, number, p: spoil(p) if (site, number) == ("site-3", 0) else p,
    )
    ((site, number, error),) = told
    assert (site, number) == ("site-3", 0)
    assert re.search(words, error)
    assert_close(job.saved[0].params, plain(START, [s for s in SITES if s != "site-3"], 0))
    assert_close(job.saved[1].params, plain(job.saved[0].params, SITES, 1))
    assert any("site-3 leaves the round" in line for line in job.logged)


def test_counts_of_a_model_stay_as_they_are(door) -> None:
    start = {**START, "steps": np.array(7, np.int64)}
    controller = door.SecureFedAvg(SITES, model=start, timeout=5, train_timeout=5, num_rounds=1)
    job = Job(controller, door.flare, lambda name, wave: False)
    for name in SITES:
        job.start(name, script(door, spoil=lambda s, n, p: {**p, "steps": np.array(9)}))
    controller.run()
    job.stop()
    assert int(job.saved[0].params["steps"]) == 7


def test_sites_take_only_the_model_that_the_session_names(door) -> None:
    controller = door.SecureFedAvg(SITES, model=START, timeout=1, train_timeout=1, num_rounds=1)
    job = Job(controller, door.flare, lambda name, wave: False)
    send = controller.send_model

    def another(targets, data, **rest):
        if targets == ["site-4"] and "w" in data.params:
            data.params["w"] = data.params["w"] + 1
        send(targets=targets, data=data, **rest)

    controller.send_model = another
    for name in SITES:
        job.start(name, script(door))
    controller.run()
    job.stop()
    assert_close(job.saved[0].params, {"b": [1 / 16 * (1 + 2 + 3) / 3]})
    assert any("site-4 leaves the round" in line for line in job.logged)


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


def site_alone(door, *tasks):
    """Returns a site that is given these tasks, and what it answers."""
    answered: list = []
    inbox = iter([(task, answered.append) for task in tasks])
    door.flare.here.name = "site-1"
    door.flare.here.inbox = SimpleNamespace(get=lambda timeout: next(inbox, None))
    return door.SecureClient(SITES, identity=IDENTITIES["site-1"]), answered


def test_tasks_of_other_workflows_pass_through_and_no_model_goes_back(door) -> None:
    secure, answered = site_alone(door, door.FLModel(params={"w": 1.0}))
    assert secure.receive(timeout=1).params == {"w": 1.0}
    model = door.FLModel(params={"w": 2.0})
    with pytest.raises(LocalProtocolError, match="a model would be sent in clear"):
        secure.send(model)
    assert answered == []
    secure.send(door.FLModel(metrics={"loss": 0.5}))
    assert answered[0].metrics == {"loss": 0.5}
    assert not answered[0].params
    with pytest.raises(LocalProtocolError, match="nothing to answer"):
        secure.send(model)


def test_nothing_is_sent_in_clear_when_the_model_is_sent_again(door) -> None:
    """After a refused model, and after one that went out, a second `send` has no task."""
    again: list = []

    def run() -> None:
        site = door.flare.get_site_name()
        secure = door.SecureClient(SITES, identity=IDENTITIES[site])
        while (model := secure.receive(timeout=20)) is not None:
            params = trained(model.params, site, model.current_round)
            wrong = {**params, "b": np.array([1e3], np.float32)} if site == "site-3" else params
            meta = {door.MetaKey.NUM_STEPS_CURRENT_ROUND: 10 * int(site[-1])}
            for each in (wrong, params):
                try:
                    secure.send(door.FLModel(params=each, meta=meta))
                except (EncodingError, LocalProtocolError) as error:
                    again.append((site, type(error)))

    controller = door.SecureFedAvg(
        SITES, model=START, timeout=1, train_timeout=1, num_rounds=1, max_weight=100.0
    )
    job = Job(controller, door.flare, lambda name, wave: False)
    for name in SITES:
        job.start(name, run)
    controller.run()
    job.stop()
    refused = [(site, LocalProtocolError) for site in SITES]
    assert sorted(again, key=str) == sorted([*refused, ("site-3", EncodingError)], key=str)
    assert_close(job.saved[0].params, plain(START, [s for s in SITES if s != "site-3"], 0))


MASKED = np.ma.masked_array([1.0], [True])


@pytest.mark.parametrize(
    ("step", "params"),
    [
        ("invitation", None),
        ("invitation", {"w": np.zeros(1, np.float32)}),
        ("invitation", {"w": MASKED, "fedsecure/down/0": np.zeros(4, np.uint8)}),
        ("invitation", {"fedsecure/down/0": MASKED}),
        ("invitation", {"fedsecure/down/0": np.zeros(4, np.uint8)}),
        ("invitation", {"fedsecure/down/1": np.zeros(4, np.uint8)}),
        ("stage", None),
        ("stage", {"fedsecure/down/0": np.zeros(4, np.uint8)}),
        ("other", {"fedsecure/down/0": "text"}),
    ],
)
def test_tasks_that_make_no_sense_end_the_round_and_not_the_script(door, step, params) -> None:
    task = SimpleNamespace(params=params, meta={"fedsecure": step}, current_round=0, total_rounds=1)
    secure, answered = site_alone(door, task)
    assert secure.receive(timeout=1) is None
    (goodbye,) = answered
    assert goodbye.meta == {"fedsecure": "gone"}
    assert [value.tobytes() for value in goodbye.params.values()] == [b"\0"]


def test_whatever_goes_wrong_with_a_model_the_server_is_told(door) -> None:
    session = door.SecureFedAvg(SITES, model=START, max_weight=100.0)
    job = Job(session, door.flare, lambda name, wave: False)
    tasks: list = []
    session.send_model = lambda targets, data, **_: tasks.append(data)
    job.inboxes = dict.fromkeys(SITES)
    with pytest.raises(ThresholdError):
        session._round(session._initial_model(), 0)
    secure, answered = site_alone(door, tasks[0])
    assert secure.receive(timeout=1).current_round == 0
    complex_w = START["w"].astype(np.complex64)
    with pytest.raises(EncodingError, match="'w' is complex64"):
        secure.send(door.FLModel(params={**START, "w": complex_w}))
    secure, answered = site_alone(door, tasks[0])
    secure.receive(timeout=1)
    model = door.FLModel(params=dict(START))
    model.meta = {door.MetaKey.NUM_STEPS_CURRENT_ROUND: 1}
    secure._party.set_update = lambda *_: 1 / 0
    with pytest.raises(ZeroDivisionError):
        secure.send(model)
    assert [answer.meta for answer in answered] == [{"fedsecure": "gone"}]


def test_tensors_that_numpy_does_not_have_are_refused(door) -> None:
    torch = pytest.importorskip("torch")
    messages = importlib.import_module("fedsecure.adapters.nvflare.messages")
    with pytest.raises(EncodingError, match="'w' is a bfloat16 tensor that numpy cannot read"):
        messages.arrays({"w": torch.zeros(2, dtype=torch.bfloat16)})


def test_sites_may_be_any_iterable_of_names(door) -> None:
    controller = door.SecureFedAvg((name for name in SITES), adversary="semi_honest")
    assert controller.sites == list(SITES)
    assert controller._ids == {f"site-{k}": k for k in range(1, 5)}


def test_metrics_and_missing_weights_are_refused(door) -> None:
    told: list = []
    real = door.FLModel

    class WithMetrics(real):
        def __init__(self, **given):
            super().__init__(metrics={"loss": 0.1}, **given)

    door.FLModel = WithMetrics
    with pytest.raises(ThresholdError):
        play(door, rounds=told, options={"patience": 1})
    assert {error for _, _, error in told} == {
        "metrics would be sent in clear; leave them out, or log them here"
    }


def test_a_weighted_job_asks_for_the_number_of_steps(door) -> None:
    told: list = []
    meta_key = door.MetaKey
    door.MetaKey = SimpleNamespace(NUM_STEPS_CURRENT_ROUND="another")
    with pytest.raises(ThresholdError):
        play(door, rounds=told, options={"patience": 1})
    door.MetaKey = meta_key
    assert len(told) == 4
    assert all("NUM_STEPS_CURRENT_ROUND" in error for _, _, error in told)


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


def test_wrong_arguments_say_so(door) -> None:
    with pytest.raises(LocalProtocolError, match="whole seconds"):
        door.SecureFedAvg(SITES, timeout=0)
    with pytest.raises(LocalProtocolError, match="list of names otherwise"):
        door.SecureFedAvg(list(SITES))
    with pytest.raises(LocalProtocolError, match="not hexadecimal"):
        door.SecureFedAvg({**SITES, "site-1": "zz"})
    with pytest.raises(LocalProtocolError, match="'nowhere', which is not one of"):
        door.SecureClient(SITES, identity=IDENTITIES["site-1"], name="nowhere")
    with pytest.raises(LocalProtocolError, match="verify key"):
        door.SecureClient(SITES, identity=IDENTITIES["site-2"], name="site-1")


def test_a_site_refuses_a_session_below_its_own_policy(door) -> None:
    names = list(SITES)
    controller = door.SecureFedAvg(
        names, adversary="semi_honest", model=START, timeout=1, train_timeout=1, patience=1
    )
    job = Job(controller, door.flare, lambda name, wave: False)
    refused: list = []

    def run() -> None:
        secure = door.SecureClient(SITES, identity=IDENTITIES[door.flare.get_site_name()])
        with pytest.raises(LocalProtocolError) as caught:
            secure.receive(timeout=5)
        refused.append(str(caught.value))

    for name in names:
        job.start(name, run)
    with pytest.raises(ThresholdError):
        controller.run()
    job.stop()
    assert len(refused) == 4
    assert sum("leaves the round" in line for line in job.logged) == 4

"""The door to NVFlare: what never leaves a site, and what is refused on either side."""

from __future__ import annotations

import importlib
import re
from types import SimpleNamespace

import numpy as np
import pytest

from adapters.nvflare_jobs import (
    IDENTITIES,
    SITES,
    START,
    assert_close,
    opened,
    plain,
    play,
    script,
    site_alone,
    trained,
)
from adapters.nvflare_stand_in import Job
from fedsecure.errors import EncodingError, LocalProtocolError, ThresholdError


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch):
    return opened(monkeypatch)


def test_too_few_sites_fail_the_round_and_leave_the_model(door) -> None:
    job = play(door, lost=lambda name, at: name in {"site-1", "site-2"} and at == 3)
    assert len(job.saved) == 1
    assert_close(job.saved[0].params, plain(START, SITES, 1))
    assert any("secure round 0 failed, the model stays as it was" in line for line in job.logged)


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

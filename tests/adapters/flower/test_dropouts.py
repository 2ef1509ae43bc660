"""Whatever is lost, broken or forged: the mean of the others, or a round that says it failed."""

from __future__ import annotations

import logging

import numpy as np
import pytest

pytest.importorskip("flwr")

from flwr.app import Array, ArrayRecord, Error, Message, MetricRecord, RecordDict

from fedsecure import Identity
from fedsecure.adapters.flower import SecureGrid
from fedsecure.adapters.flower.letters import Answer, Part, put, take
from flower_nodes import (
    COLD,
    WARM,
    Federation,
    assert_close,
    expected,
    fedavg,
    initial_arrays,
    models_of,
    node_of,
    train,
)

STAGES = [(level, wave) for level, waves in sorted(COLD.items()) for wave in waves]


def in_sum(wave: str) -> bool:
    """Whether a client that vanishes in this wave has sent its masked input."""
    return wave in ("survivors", "unmask")


@pytest.mark.parametrize("fault", ["lost", "unanswered", "crash"])
@pytest.mark.parametrize(("level", "wave"), STAGES)
def test_one_client_vanishes_in_one_wave(level: str, wave: str, fault: str) -> None:
    federation = Federation(adversary=level)
    at = 1 if wave in ("hello", "keys", "shares") else 2
    federation.grid.fault = lambda number, name, client_id: (
        fault if (number, name, client_id) == (at, wave, 1) else None
    )
    models, reports = models_of(federation)
    for number, report in enumerate(reports, start=1):
        gone = number == at and not in_sum(wave)
        members = [i for i in range(5) if not (gone and i == 1)]
        assert report.failure == ""
        assert set(report.contributors) == {node_of(i) for i in members}
        assert set(report.dropouts) == ({node_of(1)} if gone else set())
        assert_close(models[number], expected(models[number - 1], members))
    # Whoever missed the keys that rode along makes the next round exchange them again.
    waves = WARM[level]
    if wave == "hello":
        waves = COLD[level]
    elif (
        wave in WARM[level][:2]
    ):  # the first asks for keys of the next round, the second for shares
        waves = COLD[level][1:]
    assert list(reports[at].waves) == waves


@pytest.mark.parametrize("wave", ["train", "survivors", "unmask"])
def test_too_many_vanish_and_the_round_fails_cleanly(wave: str) -> None:
    federation = Federation()
    federation.grid.fault = lambda number, name, client_id: (
        "lost" if (number, name) == (2, wave) and client_id < 2 else None
    )
    models, reports = models_of(federation)
    assert [bool(report.failure) for report in reports] == [False, True, False]
    assert "3 of 5 clients have answered, 4 must" in reports[1].failure
    assert reports[1].contributors == ()
    assert len(reports[1].dropouts) == 5
    assert_close(models[2], {n: a.numpy() for n, a in models[1].items()}, steps=0)
    assert list(reports[2].waves) == COLD["malicious"][1:]  # nothing of the failed one is used
    assert_close(models[3], expected(models[2], range(5)))


def test_a_node_that_dies_and_is_no_longer_connected_costs_no_waves() -> None:
    federation = Federation()
    grid = federation.grid

    def fault(number: int, wave: str, client_id: int) -> str | None:
        if (number, wave) == (2, "train"):
            grid.disconnected = {4}
        return None

    grid.fault = fault
    models, reports = models_of(federation, rounds=4)
    assert [len(report.contributors) for report in reports] == [5, 4, 4, 4]
    assert [list(report.waves) for report in reports[1:]] == 3 * [WARM["malicious"]]
    assert_close(models[4], expected(models[3], range(4)))


@pytest.mark.parametrize("wave", COLD["malicious"])
def test_a_server_that_is_started_again_gets_the_exact_sum(wave: str) -> None:
    """What clients keep of the first one's sessions is forgotten when another greets them."""
    federation = Federation()
    grid = federation.grid

    class Restart(Exception):
        pass

    def fault(number: int, name: str, client_id: int) -> None:
        at = 1 if name in COLD["malicious"][:3] else 2
        if (number, name, client_id) == (at, wave, 2):
            grid.fault = lambda *_: None
            raise Restart

    grid.fault = fault
    with pytest.raises(Restart):
        federation.run(rounds=3)
    result = federation.run(rounds=2)
    assert [list(r.waves) for r in grid.secure.reports] == [COLD["malicious"], WARM["malicious"]]
    first = expected(initial_arrays(), range(5))
    start = ArrayRecord(
        {n: Array(np.asarray(v, initial_arrays()[n].dtype)) for n, v in first.items()}
    )
    assert_close(result.arrays, expected(start, range(5)), steps=2)


def broken(kind: str):
    """A training function that, at client 2, replies with something else than it should."""

    def function(message, context):
        reply = train(message, context)
        if context.node_config["partition-id"] != 2:
            return reply
        arrays, metrics = reply.content["arrays"], reply.content["metrics"]
        if kind == "shape":
            arrays["w"] = Array(np.zeros((4, 3), np.float32))
        elif kind == "dtype":
            arrays["w"] = Array(arrays["w"].numpy().astype(np.float64))
        elif kind == "missing":
            del arrays["b"]
        elif kind == "more":
            arrays["c"] = arrays["b"]
        elif kind == "nan":
            arrays["b"] = Array(np.asarray(np.nan))
        elif kind == "large":
            arrays["b"] = Array(np.asarray(123456.0))
        elif kind == "no weight":
            del metrics["num-examples"]
        elif kind == "negative weight":
            metrics["num-examples"] = -1
        elif kind == "heavy":
            metrics["num-examples"] = 65
        elif kind == "list":
            metrics["num-examples"] = [1, 2]
        elif kind == "two records":
            reply.content["more"] = ArrayRecord({})
        elif kind == "raises":
            raise ZeroDivisionError("with the secret 123456 in it")
        elif kind == "error":
            return Message(Error(3, "with the secret 123456 in it"), reply_to=message)
        return reply

    return function


KINDS = [
    "shape",
    "dtype",
    "missing",
    "more",
    "nan",
    "large",
    "no weight",
    "negative weight",
    "heavy",
]
KINDS += ["list", "two records", "raises", "error"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_client_with_a_wrong_update_drops_out(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    federation = Federation(train=broken(kind))
    with caplog.at_level(logging.WARNING, logger="flwr"):
        models, reports = models_of(federation, rounds=2)
    for number, report in enumerate(reports, start=1):
        assert set(report.dropouts) == {node_of(2)}
        assert "log says why" in report.dropouts[node_of(2)]
        assert "123456" not in report.dropouts[node_of(2)]
        assert_close(models[number], expected(models[number - 1], [0, 1, 3, 4]))
    # It took part in the keys for the next round all the same, so that round is a steady one.
    assert list(reports[1].waves) == WARM["malicious"]
    assert any("client 2 drops out" in record.getMessage() for record in caplog.records)


def test_masked_input_that_is_changed_on_its_way_fails_or_is_left_out() -> None:
    federation = Federation()

    def tamper(number: int, wave: str, client_id: int, content) -> None:
        if (wave, client_id) == ("train", 3):
            data = content["fedsecure.vectors"]["0"].data[:-1]
            content["fedsecure.vectors"]["0"] = Array(
                "uint8", (len(data),), "fedsecure.bytes", data
            )

    federation.grid.tamper = tamper
    models, reports = models_of(federation, rounds=1)
    assert set(reports[0].dropouts) == {node_of(3)}
    assert "refused" in reports[0].dropouts[node_of(3)]
    assert_close(models[1], expected(models[0], [0, 1, 2, 4]))


@pytest.mark.parametrize(
    "change", ["no letter", "garbage", "other id", "no signature", "other session"]
)
def test_answers_that_are_none_drop_their_client(change: str) -> None:
    federation = Federation()

    def tamper(number: int, wave: str, client_id: int, content: RecordDict) -> None:
        if (wave, client_id) != ("train", 3):
            return
        answer, vectors = take(content, Answer)
        if change == "no letter":
            return
        if change == "other id":
            answer = Answer(4, answer.parts, answer.signature, answer.failure)
        if change == "no signature":
            answer = Answer(3, answer.parts, bytes(64), answer.failure)
        if change == "other session":
            parts = tuple(Part(bytes(16), part.invitation, part.mail) for part in answer.parts)
            answer, vectors = Answer(3, parts, answer.signature, answer.failure), []
        put(content, answer, vectors)
        if change == "garbage":
            content["fedsecure"]["letter"] = content["fedsecure"]["letter"][:-3]

    federation.grid.tamper = tamper
    models, reports = models_of(federation, rounds=2)
    for number, report in enumerate(reports, start=1):
        assert set(report.dropouts) == {node_of(3)}, report
        said = "it now says that it is client 4" in report.dropouts[node_of(3)]
        assert said == (change == "other id")
        assert_close(models[number], expected(models[number - 1], [0, 1, 2, 4]))


def reply_with_nothing(message, context):
    assert not message.content.array_records  # who does not answer as asked is sent no model
    return Message(RecordDict({"metrics": MetricRecord({"num-examples": 1})}), reply_to=message)


def test_a_node_without_the_mod_is_left_out_and_named() -> None:
    federation = Federation()
    bare = Federation(plain=True, train=reply_with_nothing).grid.app
    both = federation.grid.app
    federation.grid.app = lambda message, context: (
        bare if context.node_config["partition-id"] == 0 else both
    )(message, context)
    models, reports = models_of(federation, rounds=1)
    assert set(reports[0].dropouts) == {node_of(0)}
    assert "secure_mod" in reports[0].dropouts[node_of(0)]
    assert_close(models[1], expected(models[0], range(1, 5)))


def say(federation: Federation, node: int, client_id: int) -> None:
    """Lets a node say that it is that client."""
    original = federation.grid.context

    def context(number: int):
        made = original(number)
        if number == node:
            made.node_config["partition-id"] = client_id
        return made

    federation.grid.context = context


def test_no_two_nodes_are_one_client() -> None:
    federation = Federation(adversary="semi_honest")
    say(federation, 4, 3)
    models, reports = models_of(federation, rounds=2)
    assert set(reports[0].dropouts) in ({node_of(3)}, {node_of(4)})
    assert_close(models[2], expected(models[1], range(4)))


def test_a_node_comes_in_the_place_of_one_that_is_gone() -> None:
    """It is that client from then on, and has a part in all sessions whose keys it has."""
    federation = Federation(count=6, adversary="semi_honest")
    say(federation, 5, 4)
    secure = federation.secure()
    for gone, out, clients in [
        ({5}, set(), 5),
        ({4}, {node_of(5)}, 4),  # the one before it has made this round's keys
        ({4}, set(), 5),
        (set(), {node_of(4)}, 5),  # back, too late
    ]:
        federation.grid.disconnected = gone
        result = fedavg().start(secure, initial_arrays(), num_rounds=1, timeout=0.05)
        assert set(secure.reports[-1].dropouts) == out
        assert_close(result.arrays, expected(initial_arrays(), range(clients)))


def test_a_client_without_a_pinned_key_takes_no_part() -> None:
    federation = Federation()
    secure = federation.secure()
    federation.known[9] = Identity.generate()
    say(federation, 4, 9)
    result = fedavg().start(secure, initial_arrays(), num_rounds=1, timeout=0.05)
    assert "no pinned verify key" in secure.reports[0].dropouts[node_of(4)]
    assert_close(result.arrays, expected(initial_arrays(), range(4)))


def test_every_wait_has_a_deadline() -> None:
    from fedsecure.errors import LocalProtocolError, ThresholdError

    federation = Federation()
    with pytest.raises(LocalProtocolError, match="timeout"):
        fedavg().start(federation.secure(), initial_arrays(), num_rounds=1, timeout=None)
    federation.grid.disconnected = {0, 1, 2, 3, 4}
    with pytest.raises(ThresholdError, match="waited for more nodes"):
        fedavg().start(federation.secure(), initial_arrays(), num_rounds=1, timeout=0.1)
    for bad in (None, 0, -1.0, float("inf"), float("nan"), True):
        with pytest.raises(LocalProtocolError, match="seconds"):
            SecureGrid(federation.grid, timeout=bad)

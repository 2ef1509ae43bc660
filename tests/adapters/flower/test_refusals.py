"""What is refused before anything leaves, and what a server that lies does not get."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("flwr")

from flwr.app import ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import strategy as flower
from flwr.serverapp.strategy import FedAvg

from fedsecure import FixedPoint, PairwiseMasking
from fedsecure.adapters.flower import SecureGrid, check_strategy, secure_mod
from fedsecure.adapters.flower.letters import NO_TERMS, Answer, Order, Part, put, take
from fedsecure.errors import EncodingError, LocalProtocolError
from flower_nodes import WARM, Federation, as_array, fedavg, initial_arrays, node_of, train

OPTIONS = {"fraction_evaluate": 0.0, "min_train_nodes": 3, "min_available_nodes": 3}
REFUSED = {
    "Krum": lambda: flower.Krum(**OPTIONS),
    "MultiKrum": lambda: flower.MultiKrum(**OPTIONS),
    "Bulyan": lambda: flower.Bulyan(**OPTIONS),
    "FedMedian": lambda: flower.FedMedian(**OPTIONS),
    "FedTrimmedAvg": lambda: flower.FedTrimmedAvg(**OPTIONS),
    "QFedAvg": lambda: flower.QFedAvg(client_learning_rate=0.1, **OPTIONS),
    "FedXgbBagging": lambda: flower.FedXgbBagging(**OPTIONS),
    "server fixed": lambda: flower.DifferentialPrivacyServerSideFixedClipping(
        FedAvg(**OPTIONS), 1.0, 1.0, 5
    ),
    "server adaptive": lambda: flower.DifferentialPrivacyServerSideAdaptiveClipping(
        FedAvg(**OPTIONS), 0.1, 5
    ),
    "inside": lambda: flower.DifferentialPrivacyClientSideFixedClipping(
        flower.FedMedian(**OPTIONS), 1.0, 1.0, 5
    ),
}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_strategies_that_need_single_updates_are_refused(name: str) -> None:
    start = ArrayRecord({"0": initial_arrays()["w"]})
    federation = Federation()
    with pytest.raises(LocalProtocolError, match="only their mean"):
        REFUSED[name]().start(federation.secure(), start, num_rounds=1, timeout=1)
    assert federation.grid.waves == []
    with pytest.raises(LocalProtocolError, match="only their mean"):
        check_strategy(REFUSED[name]())


def test_derived_strategies_are_what_they_derive_from() -> None:
    class Mine(flower.FedMedian):
        pass

    with pytest.raises(LocalProtocolError, match="Mine compares"):
        Federation().run(Mine(**OPTIONS))


def test_training_without_a_secure_grid_is_refused_by_the_client() -> None:
    """The server of a plain run, or one that strips the letter, gets errors and no update."""
    federation = Federation()
    result = fedavg().start(federation.grid, initial_arrays(), num_rounds=1, timeout=1)
    assert result.arrays == ArrayRecord()
    assert federation.grid.seen == []
    for kind in ("train", "train.default"):
        message = Message(RecordDict({"arrays": initial_arrays()}), node_of(0), kind)
        reply = federation.grid.app(message, federation.grid.context(0))
        assert reply.has_error()
        assert "no letter of fedsecure" in reply.error.reason


@pytest.mark.parametrize("weaker", ["semi_honest", "semi_malicious"])
def test_a_client_refuses_sessions_that_are_weaker_than_its_policy(weaker: str) -> None:
    federation = Federation()
    grid = SecureGrid(federation.grid, protocol=PairwiseMasking(adversary=weaker), timeout=0.05)
    federation.grid.secure = grid
    result = fedavg().start(grid, initial_arrays(), num_rounds=1, timeout=0.05)
    assert result.arrays == ArrayRecord()
    (report,) = grid.reports
    assert report.waves == ("hello", "keys")
    assert set(report.dropouts.values()) != set()
    assert all("policy" in reason for reason in report.dropouts.values())


def test_a_client_that_is_not_configured_says_so_and_no_more() -> None:
    federation = Federation()
    app = ClientApp(mods=[secure_mod()])  # reads files that this node does not name
    app.train()(lambda message, context: message)
    message = Message(RecordDict(), node_of(0), "train")
    put(message.content, Order((), b"", NO_TERMS, ()))
    reply = app(message, federation.grid.context(0))
    assert reply.has_error()
    assert "its log says why" in reply.error.reason


def lie(federation: Federation, what: str) -> None:
    """Lets the server give client 0 another model, configuration or weight than all others."""
    push = federation.grid.push_messages

    def pushed(messages):
        messages = list(messages)
        for message in messages:
            if message.metadata.dst_node_id != node_of(0) or "arrays" not in message.content:
                continue
            order, _ = take(message.content, Order)
            if what == "model":
                arrays = {n: as_array(a.numpy() + 1) for n, a in initial_arrays().items()}
                message.content["arrays"] = ArrayRecord(arrays)
            elif what == "configuration":
                message.content["config"] = ConfigRecord({"lr": 0.0})
            else:
                terms = type(order.terms)(order.terms.arrays, "private", order.terms.metrics)
                order = Order(order.parts, order.training, terms, order.agreed)
            put(message.content, order)
        return push(messages)

    federation.grid.push_messages = pushed


@pytest.mark.parametrize("what", ["model", "configuration", "terms"])
def test_clients_agree_on_what_they_trained_against_a_malicious_server(what: str) -> None:
    """Our server leaves the victim of such a lie out; one that lies on gets no shares."""
    federation = Federation()
    lie(federation, what)
    federation.run()
    (report,) = federation.grid.secure.reports
    assert set(report.dropouts) == {node_of(0)}
    federation = Federation()
    lie(federation, what)
    secure = federation.secure()
    secure._rounds._signs = lambda running, answer, model: (
        secure._rounds._signed.__setitem__(answer.client_id, answer.signature) or True
    )
    result = fedavg().start(secure, initial_arrays(), num_rounds=1, timeout=0.05)
    assert result.arrays == ArrayRecord()
    (report,) = secure.reports
    assert report.waves[-1] == "unmask"
    assert "0 of 5 clients have answered" in report.failure
    assert all("has not signed" in reason for reason in report.dropouts.values())


def test_agreement_cannot_be_left_out() -> None:
    federation = Federation()
    push = federation.grid.push_messages

    def pushed(messages):
        messages = list(messages)
        for message in messages:
            order, _ = take(message.content, Order)
            put(message.content, Order(order.parts, order.training, order.terms, ()))
        return push(messages)

    federation.grid.push_messages = pushed
    federation.run()
    assert "0 of 5 clients have answered" in federation.grid.secure.reports[0].failure


def test_agreement_is_not_skipped_by_asking_for_everything_at_once() -> None:
    """A client is given all messages of its session in one order, with the model in it."""
    federation = Federation()
    push, answers = federation.grid.push_messages, []
    state, mail, model = None, [], None

    def pushed(messages):
        nonlocal state, mail, model
        messages = list(messages)
        for message in messages:
            wave = federation.grid.where()[1]
            if message.metadata.dst_node_id != node_of(0) or wave not in WARM["malicious"]:
                continue
            order, _ = take(message.content, Order)
            put(message.content, order)
            mail.extend(order.parts[0].mail)
            if wave == "train":
                state, model = federation.grid.states[0], message
            elif wave == "unmask":
                first, _ = take(model.content, Order)
                part = Part(first.parts[0].session_id, b"", tuple(mail))
                put(model.content, Order((part,), first.training, first.terms, ()))
                federation.grid.states[0] = state  # as if it had not been asked before
                reply = federation.grid.app(model, federation.grid.context(0))
                answers.append(take(reply.content, Answer))
        return push(messages)

    federation.grid.push_messages = pushed
    federation.run()
    ((answer, vectors),) = answers
    assert len(mail) == 3
    assert answer.parts == ()
    assert "has not signed" in answer.failure
    assert len(vectors) == 2  # its masked input and whom it confirms, but no shares


def test_a_client_answers_each_stage_once() -> None:
    """A message that comes again finds the session further on, or forgotten."""
    federation = Federation()
    push = federation.grid.push_messages

    def pushed(messages):
        messages = list(messages)
        sent = push(messages)
        if federation.grid.where()[1] in ("train", "survivors", "unmask"):
            before = [federation.grid.replies[each] for each in sent]
            push(messages)
            for message, reply, each in zip(messages, before, sent, strict=True):
                again = federation.grid.replies.pop(message.metadata.message_id)
                assert not again.content.array_records
                message.metadata.__dict__["_message_id"] = each
                assert reply.metadata.reply_to_message_id == each
        return sent

    federation.grid.push_messages = pushed
    federation.run()
    # What came again made every client forget the session, so there is no sum, and nothing else.
    assert federation.grid.secure.reports[0].failure != ""


@pytest.mark.parametrize("wave", WARM["malicious"])
@pytest.mark.parametrize("adversary", ["semi_honest", "malicious"])
def test_a_session_that_is_named_twice_in_an_order_is_answered_once(
    adversary: str, wave: str
) -> None:
    """Otherwise a server asks for two sets of survivors with one message."""
    trained: list[int] = []

    def counting(message, context):
        trained.append(context.node_config["partition-id"])
        return train(message, context)

    federation = Federation(adversary=adversary, train=counting)
    push, replies = federation.grid.push_messages, []

    def pushed(messages):
        messages = list(messages)
        twice = federation.grid.where()[1] == wave
        for message in messages:
            if twice:
                order, _ = take(message.content, Order)
                order = Order(2 * order.parts[:1], order.training, order.terms, order.agreed)
                put(message.content, order)
        sent = push(messages)
        came = [federation.grid.replies[each].content for each in sent if twice]
        replies.extend(take(RecordDict(dict(content)), Answer) for content in came)
        return sent

    federation.grid.push_messages = pushed
    federation.run()
    assert sorted(trained) == list(range(5))
    assert len(replies) == (0 if wave not in WARM[adversary] else 5)
    for answer, vectors in replies:
        assert len(answer.parts) == 1
        assert len(vectors) == (wave == "train")
        assert "this client has no part in the session" in answer.failure


def test_arrays_that_have_no_mean_are_refused_with_the_remedy() -> None:
    start = initial_arrays()
    start["steps"] = as_array(np.int64(3))
    start["mask"] = as_array(np.array([True, False]))
    federation = Federation()
    with pytest.raises(EncodingError, match=r"'steps' is int64; 'mask' is bool.*exclude="):
        fedavg().start(federation.secure(), start, num_rounds=1, timeout=1)
    assert federation.grid.waves == []


def test_different_models_for_different_nodes_are_refused() -> None:
    class Personal(FedAvg):
        def configure_train(self, server_round, arrays, config, grid):
            for message in super().configure_train(server_round, arrays, config, grid):
                own = ArrayRecord({"w": as_array(np.ones(1) * message.metadata.dst_node_id)})
                content = RecordDict({"arrays": own, "config": config})
                yield Message(content, message.metadata.dst_node_id, "train")

    with pytest.raises(LocalProtocolError, match="different models"):
        Federation().run(Personal(**OPTIONS))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"protocol": "masking"}, "give a PairwiseMasking"),
        ({"encoding": 8.0}, "give a FixedPoint"),
        ({"encoding": FixedPoint()}, "max_weight"),
        ({"weighted_by": ""}, "metric's name"),
        ({"metrics": "loss"}, "list of names"),
        ({"metrics": {"loss": 0}}, "largest magnitude"),
        ({"metrics": {"loss": float("nan")}}, "largest magnitude"),
        ({"metrics": {1: 2.0}}, "largest magnitude"),
        ({"exclude": "bn.*"}, "list of names"),
        ({"privacy": object(), "metrics": ["loss"]}, "without noise"),
        ({"privacy": object()}, "give a mechanism"),
    ],
)
def test_wrong_options_are_refused(options: dict, match: str) -> None:
    with pytest.raises(LocalProtocolError, match=match):
        SecureGrid(Federation().grid, **options)


def test_a_secure_grid_is_not_wrapped_again() -> None:
    federation = Federation()
    with pytest.raises(LocalProtocolError, match="already"):
        SecureGrid(federation.secure())


def test_the_weight_is_the_strategy_s() -> None:
    with pytest.raises(LocalProtocolError, match="weighted_by='steps'"):
        Federation().run(fedavg(weighted_by_key="steps"))


def test_training_is_not_pushed_by_hand_nor_mixed() -> None:
    federation = Federation()
    secure = federation.secure()
    train, other = (
        Message(RecordDict({"arrays": initial_arrays()}), node_of(0), kind)
        for kind in ("train", "evaluate")
    )
    with pytest.raises(LocalProtocolError, match="send_and_receive"):
        secure.push_messages([train])
    with pytest.raises(LocalProtocolError, match="apart"):
        secure.send_and_receive([train, other], timeout=1)
    (reply,) = secure.pull_messages(secure.push_messages([other]))
    assert reply.content["metrics"]["accuracy"] == 0.25


@pytest.mark.parametrize("protocol", [None, "masking", PairwiseMasking])
def test_a_mod_needs_a_policy(protocol: object) -> None:
    with pytest.raises(LocalProtocolError, match="give a PairwiseMasking"):
        secure_mod(protocol)


def test_without_flower_the_import_names_the_extra() -> None:
    code = "import sys; sys.modules['flwr'] = None; import fedsecure.adapters.flower"
    command = [sys.executable, "-P", "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode != 0
    assert "ImportError: fedsecure.adapters.flower needs Flower" in run.stderr
    assert "pip install 'fedsecure[flower]'" in run.stderr


def test_the_package_does_not_import_flower() -> None:
    code = "import sys, fedsecure, fedsecure.adapters; print('flwr' in sys.modules)"
    run = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert run.stdout.strip() == "False"

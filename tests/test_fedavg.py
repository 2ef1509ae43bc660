"""FedAvg against numbers worked out by hand, through the secure sum and through a plain one."""

from __future__ import annotations

import dataclasses
import doctest
import pickle
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest

import fedsecure as fs
from fedsecure import fedavg
from fedsecure.demo.compare import insecure_plain_average
from fedsecure.errors import EncodingError, LocalProtocolError, ThresholdError
from fedsecure.testing import run_session

Params = dict[str, Any]


def step_to_mean(params: Params, data: Sequence[float]) -> tuple[Params, int]:
    """Half of the way to the mean of the client's numbers."""
    return {"m": params["m"] + 0.5 * (np.mean(data) - params["m"])}, len(data)


def start(value: float = 0.0, dtype: Any = np.float64) -> Params:
    return {"m": np.full(1, value, dtype)}


CLIENTS = [[1.0], [2.0, 4.0], [6.0, 8.0, 10.0, 8.0]]  # means 1, 3, 8 with weights 1, 2, 4


def test_one_round_by_hand() -> None:
    algorithm = fs.federated_averaging(step_to_mean)
    state, told = algorithm.apply(algorithm.init(start()), CLIENTS)
    # updates 0.5, 1.5, 4.0: (1 * 0.5 + 2 * 1.5 + 4 * 4.0) / 7 = 19.5 / 7
    assert state.params["m"][0] == pytest.approx(19.5 / 7, abs=2**-20)
    assert (state.round, told.round) == (1, 1)
    assert told.total_weight == 7.0
    assert told.contributors == (0, 1, 2)
    assert told.update_norm == pytest.approx(19.5 / 7, abs=2**-20)
    assert told.seconds_training >= 0
    assert told.seconds_aggregation > 0


def test_server_learning_rate_scales_the_mean_update() -> None:
    algorithm = fs.federated_averaging(step_to_mean, server_lr=0.25)
    state, _ = algorithm.apply(algorithm.init(start(1.0)), CLIENTS)
    # updates 0, 1, 3.5: mean 16 / 7
    assert state.params["m"][0] == pytest.approx(1 + 0.25 * 16 / 7, abs=2**-20)


def test_rounds_approach_the_weighted_mean_of_all_numbers() -> None:
    algorithm = fs.federated_averaging(step_to_mean)
    state = algorithm.init(start())
    for _ in range(40):
        state, _ = algorithm.apply(state, CLIENTS)
    assert state.params["m"][0] == pytest.approx(39 / 7, abs=1e-5)
    assert state.round == 40


@pytest.mark.parametrize("bits", [8, 16, 24])
def test_secure_and_plain_agree_to_one_step(bits: int) -> None:
    encoding = fs.FixedPoint(bits=bits)
    secure = fs.federated_averaging(
        step_to_mean, aggregate=partial(fs.secure_aggregate, encoding=encoding)
    )
    plain = fs.federated_averaging(step_to_mean, aggregate=insecure_plain_average)
    state = secure.init(start(0.3))
    for _ in range(5):
        after, _ = secure.apply(state, CLIENTS)
        expected, _ = plain.apply(state, CLIENTS)
        assert abs(after.params["m"] - expected.params["m"]).max() <= encoding.step
        state = after


def test_aggregator_sees_updates_and_examples() -> None:
    seen: dict[str, Any] = {}

    def spy(updates: Sequence[Any], *, weights: Sequence[float]) -> fs.Aggregate:
        seen.update(updates=updates, weights=list(weights))
        return insecure_plain_average(updates, weights=weights)

    algorithm = fs.federated_averaging(step_to_mean, aggregate=spy)
    algorithm.apply(algorithm.init(start(2.0)), CLIENTS)
    assert seen["weights"] == [1, 2, 4]
    assert [float(update["m"][0]) for update in seen["updates"]] == [-0.5, 0.5, 3.0]


def test_nothing_the_caller_holds_is_changed() -> None:
    def in_place(params: Params, data: Sequence[float]) -> tuple[Params, int]:
        params["m"] += 0.5 * (np.mean(data) - params["m"])
        return params, len(data)

    mine = start(1.0)
    algorithm = fs.federated_averaging(in_place)
    state = algorithm.init(mine)
    after, _ = algorithm.apply(state, CLIENTS)
    assert mine["m"][0] == 1.0
    assert state.params["m"][0] == 1.0
    # every client began at 1.0, not where the one before it had trained to
    assert after.params["m"][0] == pytest.approx(1 + 16 / 7, abs=2**-20)
    mine["m"][0] = 99.0
    assert state.params["m"][0] == 1.0


def test_dtype_and_nesting_are_kept() -> None:
    def train(params: Any, data: float) -> tuple[Any, int]:
        return [params[0] + np.float32(data), (params[1][0] + data,)], 1

    algorithm = fs.federated_averaging(train)
    state = algorithm.init([np.zeros((2, 1), np.float32), (np.zeros(1, np.float64),)])
    after, _ = algorithm.apply(state, [0.5, 1.0, 1.5])
    assert isinstance(after.params[1], tuple)
    assert after.params[0].dtype == np.float32
    assert after.params[0].shape == (2, 1)
    assert after.params[1][0].dtype == np.float64
    assert np.allclose(after.params[0], 1.0, atol=1e-5)


def test_client_that_vanishes_is_not_in_the_mean() -> None:
    aggregate = partial(run_session, drop={1: "SHARE_KEYS"})
    algorithm = fs.federated_averaging(step_to_mean, aggregate=aggregate)
    clients = [[2.0], [14.0], [4.0], [6.0, 6.0]]
    state, told = algorithm.apply(algorithm.init(start()), clients)
    # updates 1, 2, 3 with weights 1, 1, 2
    assert state.params["m"][0] == pytest.approx(9 / 4, abs=2**-20)
    assert told.contributors == (0, 2, 3)
    assert told.total_weight == 4.0


def test_state_survives_storage_and_cannot_be_reassigned() -> None:
    algorithm = fs.federated_averaging(step_to_mean)
    state, _ = algorithm.apply(algorithm.init(start()), CLIENTS)
    restored = pickle.loads(pickle.dumps(state))
    assert restored.round == 1
    assert np.array_equal(restored.params["m"], state.params["m"])
    with pytest.raises(dataclasses.FrozenInstanceError):
        state.round = 7  # type: ignore[misc]


@pytest.mark.parametrize("rate", [0, -1.0, float("nan"), float("inf"), "1", True, None])
def test_bad_server_learning_rate(rate: Any) -> None:
    with pytest.raises(LocalProtocolError, match="server_lr"):
        fs.federated_averaging(step_to_mean, server_lr=rate)


@pytest.mark.parametrize("count", [0, -3, float("nan"), float("inf"), None, "4", True, 10**400])
def test_bad_number_of_examples_names_the_client(count: Any) -> None:
    def train(params: Params, data: Sequence[float]) -> tuple[Params, Any]:
        return params, count if len(data) == 2 else 1

    algorithm = fs.federated_averaging(train)
    with pytest.raises(EncodingError, match="client 1: num_examples"):
        algorithm.apply(algorithm.init(start()), CLIENTS)


@pytest.mark.parametrize(
    "answer",
    [
        {"m": np.zeros(2)},
        {"m": np.zeros(1, np.float32)},
        {"n": np.zeros(1)},
        {"m": np.zeros(1, np.int64)},
        {},
    ],
)
def test_trained_params_that_do_not_fit_name_the_client(answer: Any) -> None:
    algorithm = fs.federated_averaging(lambda params, data: (answer, 1))
    with pytest.raises(EncodingError, match="client 0: trained params"):
        algorithm.apply(algorithm.init(start()), CLIENTS)


def test_not_a_pair() -> None:
    algorithm = fs.federated_averaging(lambda params, data: params)  # type: ignore[arg-type,return-value]
    with pytest.raises(LocalProtocolError, match="expected the pair"):
        algorithm.apply(algorithm.init(start()), CLIENTS)


def test_no_clients_and_too_few() -> None:
    algorithm = fs.federated_averaging(step_to_mean)
    state = algorithm.init(start())
    with pytest.raises(LocalProtocolError, match="no clients"):
        algorithm.apply(state, [])
    with pytest.raises(ThresholdError, match="subtract"):
        algorithm.apply(state, CLIENTS[:2])


def test_diverged_client_is_named_by_the_secure_sum() -> None:
    def train(params: Params, data: Sequence[float]) -> tuple[Params, int]:
        return {"m": params["m"] * (np.nan if len(data) == 2 else 1)}, 1

    algorithm = fs.federated_averaging(train)
    with pytest.raises(EncodingError, match=r"updates\[1\].*NaN"):
        algorithm.apply(algorithm.init(start()), CLIENTS)


def test_aggregator_that_answers_with_another_tree() -> None:
    def wrong(updates: Sequence[Any], *, weights: Sequence[float]) -> fs.Aggregate:
        result = insecure_plain_average(updates, weights=weights)
        return dataclasses.replace(result, mean={"x": result.mean["m"]})

    algorithm = fs.federated_averaging(step_to_mean, aggregate=wrong)
    with pytest.raises(LocalProtocolError, match="aggregator"):
        algorithm.apply(algorithm.init(start()), CLIENTS)


def test_example_in_the_docstring() -> None:
    outcome = doctest.testmod(fedavg)
    assert outcome.attempted > 0
    assert outcome.failed == 0

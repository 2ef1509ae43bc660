"""Rounds in one process: the mean, who is in it, and how many waves it took."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

pytest.importorskip("flwr")

from flwr.app import ArrayRecord, Message, MetricRecord, RecordDict
from flwr.serverapp.strategy import FedAdagrad, FedAdam, FedAvgM, FedProx, FedYogi

from fedsecure import FixedPoint
from flower_nodes import (
    COLD,
    ENCODING,
    WARM,
    Federation,
    as_array,
    assert_close,
    expected,
    fedavg,
    initial_arrays,
    models_of,
    node_of,
)

LEVELS = sorted(COLD)


@pytest.mark.parametrize("adversary", LEVELS)
def test_a_steady_round_takes_two_waves_or_three(adversary: str) -> None:
    federation = Federation(adversary=adversary)
    federation.run(rounds=4)
    reports = federation.grid.secure.reports
    assert [list(each.waves) for each in reports] == [COLD[adversary], *3 * [WARM[adversary]]]
    assert {each.adversary for each in reports} == {adversary}
    assert all(len(each.contributors) == 5 and not each.dropouts for each in reports)
    # What the grid beneath saw is what was reported: no message outside these waves.
    assert federation.grid.waves == [(r.number, wave) for r in reports for wave in r.waves]


@pytest.mark.parametrize("adversary", LEVELS)
def test_model_is_the_plain_one_after_every_round(adversary: str) -> None:
    """Each round's secure mean is compared with plain FedAvg's from the same model."""
    models, _ = models_of(Federation(adversary=adversary), rounds=5)
    for before, after in itertools.pairwise(models):
        plain = Federation(plain=True)
        one = fedavg().start(plain.grid, before, num_rounds=1, timeout=plain.timeout).arrays
        assert_close(after, to_numpy(one))
        assert [a.dtype for a in after.values()] == [a.dtype for a in before.values()]


def to_numpy(arrays) -> dict[str, np.ndarray]:
    return {name: array.numpy() for name, array in arrays.items()}


@pytest.mark.parametrize("kind", [FedAdam, FedYogi, FedAdagrad, FedAvgM, FedProx])
def test_strategies_that_build_on_the_mean_run_unchanged(kind: type) -> None:
    results = [
        Federation(plain=plain).run(fedavg(kind), rounds=4).arrays for plain in (True, False)
    ]
    # Adaptive steps divide by the root of a small second moment: errors of a step grow there.
    assert_close(results[1], to_numpy(results[0]), steps=500)
    assert not np.allclose(results[1]["w"].numpy(), initial_arrays()["w"].numpy(), atol=0.01)


def test_a_model_whose_dtype_changes_costs_keys_once() -> None:
    """Flower's adaptive strategies give back float64 for what was float32."""
    federation = Federation()
    result = federation.run(fedavg(FedAdam), rounds=4)
    assert {array.dtype for array in result.arrays.values()} == {"float64"}
    cold, warm = COLD["malicious"], WARM["malicious"]
    waves = [list(report.waves) for report in federation.grid.secure.reports]
    assert waves == [cold, cold[1:], warm, warm]


def test_metrics_are_averaged_inside_the_sum_with_their_bounds() -> None:
    federation = Federation()
    result = federation.run(rounds=2, metrics={"train_loss": 100.0})
    wanted = sum((10 + i) * 20.0 / (i + 1) for i in range(5)) / sum(10 + i for i in range(5))
    for told in result.train_metrics_clientapp.values():
        assert set(told) == {"train_loss"}
        assert abs(told["train_loss"] - wanted) <= ENCODING.step * 100 / ENCODING.clip


def test_the_server_sees_letters_and_raw_bytes_alone() -> None:
    federation = Federation(adversary="semi_honest")
    federation.run(rounds=2, metrics=["train_loss"], encoding=FixedPoint(clip=32.0, max_weight=64))
    assert {seen.wave for seen in federation.grid.seen} == set(COLD["semi_honest"])
    for seen in federation.grid.seen:
        masked = seen.wave == "train"
        assert set(seen.content) == {"fedsecure", *(["fedsecure.vectors"] if masked else [])}
        if masked:
            (array,) = seen.content["fedsecure.vectors"].values()
            assert array.stype == "fedsecure.bytes"
            assert len(array.data) == array.shape[0] < 15 * 8 + 100  # 15 elements
            with pytest.raises(TypeError):
                array.numpy()
    masked = [
        s.content["fedsecure.vectors"]["0"].data for s in federation.grid.seen if s.wave == "train"
    ]
    assert len(set(masked)) == 10  # the same update never looks the same


def test_keys_are_fresh_in_every_round() -> None:
    federation = Federation()
    federation.run(rounds=3)
    advertised = [
        part
        for seen in federation.grid.seen
        for part in letter(seen.content).parts
        for mail in part.mail
        if mail[5] == 1
    ]
    sessions = {part.session_id for part in advertised}
    assert len(sessions) == 4  # one for each round, and one for a fourth that never came
    assert len({mail for part in advertised for mail in part.mail}) == len(advertised) == 20


def letter(content):
    from fedsecure.adapters.flower.letters import Answer, take

    return take(RecordDict(dict(content)), Answer)[0]


def test_clients_keep_the_next_session_alone() -> None:
    federation = Federation()
    federation.run(rounds=2)
    for state in map(federation.grid.state, range(5)):
        assert list(state) == ["fedsecure"]
        assert len(state["fedsecure"]) == 1


def test_unweighted_mean() -> None:
    federation = Federation()
    result = federation.run(weighted_by=None)
    assert_close(result.arrays, expected(initial_arrays(), range(5), weighted=False))


def test_another_weight_is_found_in_the_strategy() -> None:
    def train(message, context):
        reply = federation_train(message, context)
        reply.content["metrics"] = MetricRecord({"steps": 10 + context.node_config["partition-id"]})
        return reply

    federation = Federation(train=train)
    result = federation.run(fedavg(weighted_by_key="steps"), weighted_by="steps")
    assert_close(result.arrays, expected(initial_arrays(), range(5)))


def federation_train(message: Message, context) -> Message:
    from flower_nodes import train

    return train(message, context)


def test_excluded_arrays_never_leave_and_stay_as_they_were() -> None:
    def train(message, context):
        counter = message.content["arrays"].pop("bn.num_batches_tracked").numpy()
        reply = federation_train(message, context)
        reply.content["arrays"]["bn.num_batches_tracked"] = as_array(counter + 1)
        return reply

    start = initial_arrays()
    start["bn.num_batches_tracked"] = as_array(np.int64(7))
    federation = Federation(train=train)
    secure = federation.secure(exclude=["*.num_batches_tracked"])
    result = fedavg().start(secure, start, num_rounds=2, timeout=federation.timeout).arrays
    assert result["bn.num_batches_tracked"].numpy() == 7
    assert_close(
        {n: result[n] for n in ("w", "b")},
        to_numpy(Federation().run(rounds=2).arrays),
        steps=2,
    )


def test_half_precision_models_are_averaged() -> None:
    start = ArrayRecord({"h": as_array(np.linspace(-2, 2, 9).astype(np.float16))})
    federation = Federation()
    result = fedavg().start(federation.secure(), start, num_rounds=1, timeout=federation.timeout)
    assert result.arrays["h"].dtype == "float16"
    wanted = expected(start, range(5))["h"]
    np.testing.assert_allclose(result.arrays["h"].numpy(), wanted, rtol=1e-3, atol=1e-3)


def test_evaluation_passes_through_as_it_is() -> None:
    federation = Federation()
    strategy = fedavg()
    strategy.fraction_evaluate = 1.0
    result = federation.run(strategy)
    assert result.evaluate_metrics_clientapp == {1: MetricRecord({"accuracy": 0.25})}
    assert federation.grid.secure.reports[0].waves == tuple(COLD["malicious"])


def test_sampled_rounds_exchange_keys_anew() -> None:
    federation = Federation(count=8, adversary="semi_honest")
    federation.run(fedavg(fraction_train=0.5), rounds=3)
    for report in federation.grid.secure.reports:
        assert list(report.waves)[-4:] == COLD["semi_honest"][1:]
        assert len(report.contributors) == 4


def test_nodes_that_come_later_are_greeted_and_exchange_keys() -> None:
    federation = Federation()
    federation.grid.disconnected = {4}
    secure = federation.secure()
    strategy = fedavg()
    first = strategy.start(secure, initial_arrays(), num_rounds=2, timeout=federation.timeout)
    federation.grid.disconnected = set()
    strategy.start(secure, first.arrays, num_rounds=2, timeout=federation.timeout)
    waves = [list(report.waves) for report in secure.reports]
    assert waves == [COLD["malicious"], WARM["malicious"], COLD["malicious"], WARM["malicious"]]
    assert node_of(4) in secure.reports[3].contributors

"""Federated averaging with noise: clipped, noised, accounted, and stopped in time."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import fedsecure as fs
from fedsecure.errors import (
    BudgetError,
    EncodingError,
    LocalProtocolError,
)
from fedsecure.fedavg import ServerState
from fedsecure.privacy import (
    AdaptiveClip,
    DistributedSkellam,
    FixedSizeSampling,
    GaussianEvent,
    PoissonSampling,
    PrivacyAccountant,
    Relation,
)
from fedsecure.testing import PlaintextSum
from private_rounds import (
    CLIENTS,
    KINDS,
    PLAIN,
    SIZE,
    SKELLAM,
    averaging,
    budget,
    spent,
    start,
    step,
)


@pytest.mark.parametrize("protocol", [None, fs.PairwiseMasking("semi_honest"), PLAIN])
@pytest.mark.parametrize("kind", KINDS)
def test_updates_are_clipped_noised_and_accounted(kind: Any, protocol: Any) -> None:
    privacy = kind(1.0, 0.01)
    accountant = budget(1e9, accountant="rdp")
    algorithm = averaging(privacy=privacy, protocol=protocol, accountant=accountant)
    state, told = algorithm.apply(algorithm.init(start()), CLIENTS)
    expected = np.zeros(SIZE)
    expected[:6] = 1 / 6  # clipped from 2 to 1, the same weight for all
    np.testing.assert_allclose(state.params["m"], expected, atol=0.05)
    assert np.abs(state.params["m"] - expected).max() > 1e-4
    assert told.total_weight == 6
    (event,) = accountant.ledger
    used = protocol or fs.PairwiseMasking()
    shares = used.noise_shares(6, privacy)
    assert event == privacy.event(clients=6, size=SIZE, noise_shares=shares)
    assert told.release.event() == event
    assert told.privacy == state.privacy == accountant.report()
    assert told.privacy.releases == 1
    assert state.mechanism == privacy


def test_rounds_add_up_until_the_budget_is_spent() -> None:
    """What does not fit is refused before anybody trains; the state and the report stay."""
    accountant = budget(8.0)
    trained: list[float] = []

    def train(params: Any, data: float) -> tuple[Any, int]:
        trained.append(data)
        return step(params, data)

    algorithm = averaging(
        train, privacy=replace(SKELLAM, noise_multiplier=4.0), accountant=accountant
    )
    state, rounds = algorithm.init(start()), 0
    try:
        while True:
            state, told = algorithm.apply(state, CLIENTS)
            rounds += 1
            assert told.privacy.releases == rounds
    except BudgetError as error:
        text = str(error)
    assert rounds == state.round == spent(accountant) > 5
    assert len(trained) == 6 * rounds
    assert state.privacy == told.privacy == accountant.report()
    assert 7 < state.privacy.epsilon <= 8
    assert text.startswith(f"round {rounds + 1} does not fit the privacy budget of epsilon 8")
    assert "Nothing was trained or sent" in text
    assert "Protect records instead" in text  # six clients are few
    before = state.params["m"].copy()
    with pytest.raises(BudgetError):
        algorithm.apply(state, CLIENTS)
    np.testing.assert_array_equal(state.params["m"], before)
    assert spent(accountant) == rounds


def test_many_clients_are_not_told_that_they_are_few() -> None:
    many = [float(name % SIZE) for name in range(60)]
    algorithm = averaging(accountant=budget(0.5), protocol=PlaintextSum(min_inputs=50))
    with pytest.raises(BudgetError) as refused:
        algorithm.apply(algorithm.init(start()), many)
    assert "records" not in str(refused.value)


def test_few_silos_that_spend_much_are_given_advice() -> None:
    algorithm = averaging(privacy=replace(SKELLAM, noise_multiplier=0.3), accountant=budget(1e3))
    _, told = algorithm.apply(algorithm.init(start()), CLIENTS)
    assert told.hint.startswith("epsilon ")
    assert "DP-SGD inside each silo" in told.hint
    careful = averaging(privacy=replace(SKELLAM, noise_multiplier=5.0), accountant=budget())
    assert careful.apply(careful.init(start()), CLIENTS)[1].hint == ""


# --- sampling --------------------------------------------------------------------------------


def test_nothing_is_assumed_about_sampling_unless_it_is_said() -> None:
    accountant = budget()
    algorithm = averaging(accountant=accountant)
    _, told = algorithm.apply(algorithm.init(start()), CLIENTS)
    assert told.privacy.sampling == "no sampling"
    assert told.privacy.epsilon == told.privacy.epsilon_without_amplification


def test_poisson_sampling_is_part_of_the_event_and_of_the_report() -> None:
    accountant = budget()
    algorithm = averaging(accountant=accountant, sampling=PoissonSampling(0.01))
    _, told = algorithm.apply(algorithm.init(start()), CLIENTS)
    assert "Poisson sampling" in told.privacy.sampling
    assert told.privacy.epsilon < 1.2 < 4 < told.privacy.epsilon_without_amplification


def test_cohorts_are_of_the_size_that_is_said() -> None:
    accountant = budget(relation=Relation.REPLACE_ONE)
    algorithm = averaging(accountant=accountant, sampling=FixedSizeSampling(600, 6))
    state, _ = algorithm.apply(algorithm.init(start()), CLIENTS)
    with pytest.raises(LocalProtocolError, match="a round of 5 clients"):
        algorithm.apply(state, CLIENTS[:5])
    assert spent(accountant) == 1
    # Without an accountant, the relation is the one that goes with the sampling.
    alone = averaging(sampling=FixedSizeSampling(600, 6))
    alone.apply(alone.init(start()), CLIENTS)


@pytest.mark.parametrize(
    ("sampling", "relation"),
    [
        (PoissonSampling(0.1), Relation.REPLACE_ONE),
        (FixedSizeSampling(60, 6), Relation.REPLACE_SPECIAL),
        (FixedSizeSampling(60, 6), Relation.ADD_OR_REMOVE_ONE),
    ],
)
def test_sampling_that_does_not_go_with_the_relation(sampling: Any, relation: Relation) -> None:
    with pytest.raises(LocalProtocolError, match="do not go together"):
        averaging(accountant=budget(relation=relation), sampling=sampling)


# --- weights, clips, wrong arguments ------------------------------------------------------------


def test_numbers_of_examples_need_a_declared_limit() -> None:
    with pytest.raises(EncodingError, match="max_weight"):
        averaging(weighted=True)
    algorithm = averaging(privacy=DistributedSkellam(1.0, 0.01, max_weight=4), weighted=True)
    _, told = algorithm.apply(algorithm.init(start()), CLIENTS)
    assert told.total_weight == pytest.approx(18, rel=0.1)
    low = averaging(privacy=DistributedSkellam(1.0, 0.01, max_weight=2), weighted=True)
    with pytest.raises(EncodingError, match="max_weight=2"):
        low.apply(low.init(start()), CLIENTS)


def test_weighted_false_without_privacy_is_the_plain_mean() -> None:
    def train(params: Any, data: float) -> tuple[Any, float]:
        return {"m": params["m"] + data}, data + 1

    algorithm = fs.federated_averaging(train, weighted=False)
    state, told = algorithm.apply(algorithm.init({"m": np.zeros(2)}), CLIENTS)
    np.testing.assert_allclose(state.params["m"], 2.5, atol=1e-5)
    assert told.total_weight == 6
    assert told.privacy is None
    assert not told.release.private


def test_a_clip_that_adapts_is_carried_from_round_to_round() -> None:
    """All updates are of length 2: the clip rises towards it, and more of them get through."""
    many = [float(name % SIZE) for name in range(80)]
    accountant = budget(1e6)
    privacy = DistributedSkellam(
        0.5, 0.5, adaptive=AdaptiveClip(0.5, target_quantile=0.5, learning_rate=0.5)
    )
    algorithm = averaging(
        privacy=privacy, protocol=PlaintextSum(min_inputs=80), accountant=accountant
    )
    state, clips = algorithm.init(start()), []
    for _ in range(12):
        state, told = algorithm.apply(state, many)
        clips.append(told.release.mechanism.clip_norm)
    assert clips[0] == 0.5
    assert all(after > before for before, after in itertools.pairwise(clips[:5]))
    assert 1.4 < state.mechanism.clip_norm < 2.8
    assert spent(accountant) == 12
    ratios = [event.mu / event.delta2**2 for event in accountant.ledger]
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-12)  # in units of the clip it is one


def test_a_state_of_another_run_is_refused() -> None:
    algorithm = averaging()
    state, _ = algorithm.apply(algorithm.init(start()), CLIENTS)
    with pytest.raises(LocalProtocolError, match=r"another mechanism: noise multiplier 1, below 2"):
        averaging(privacy=replace(SKELLAM, noise_multiplier=2.0)).apply(state, CLIENTS)
    assert averaging().apply(ServerState(start()), CLIENTS)[0].round == 1


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"privacy": 1.0}, "give a mechanism for sums of vectors"),
        ({"privacy": GaussianEvent(1.0)}, "give a mechanism for sums of vectors"),
        ({"privacy": fs.RecordSkellam(1.0, 1.0, max_records=5)}, "records are clipped one by one"),
        ({"accountant": 3.0}, "give a PrivacyAccountant"),
        ({"accountant": budget(unit="record")}, "this accountant is for records"),
        ({"sampling": 0.1}, "sampling is 0.1"),
        ({"privacy": None, "protocol": None, "accountant": budget()}, "go with privacy"),
        ({"privacy": None, "protocol": PLAIN}, "go with privacy"),
        ({"privacy": None, "protocol": None, "sampling": PoissonSampling(0.1)}, "go with privacy"),
    ],
)
def test_wrong_arguments(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(LocalProtocolError, match=reason):
        averaging(**options)


def test_an_accountant_without_a_budget_counts_and_refuses_nothing() -> None:
    accountant = PrivacyAccountant(Relation.REPLACE_SPECIAL)
    algorithm = averaging(accountant=accountant)
    state = algorithm.init(start())
    for _ in range(3):
        state, told = algorithm.apply(state, CLIENTS)
    assert (told.privacy, told.hint) == (None, "")
    assert accountant.report(1e-5).releases == 3


def test_a_saved_accountant_goes_on() -> None:
    accountant = budget(8.0)
    privacy = replace(SKELLAM, noise_multiplier=4.0)
    algorithm = averaging(privacy=privacy, accountant=accountant)
    state, _ = algorithm.apply(algorithm.init(start()), CLIENTS)
    restored = PrivacyAccountant.from_bytes(accountant.to_bytes())
    _, told = averaging(privacy=privacy, accountant=restored).apply(state, CLIENTS)
    assert told.privacy.releases == 2

"""Noise under Flower: added by clients who insist on it, and accounted until a budget is spent."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("flwr")
pytest.importorskip("dp_accounting")

from fedsecure import DistributedSkellam, PrivacyAccountant
from fedsecure.errors import EncodingError, LocalProtocolError, RemoteProtocolError
from fedsecure.privacy import AdaptiveClip, FixedSizeSampling, RecordSkellam, Relation
from flower_nodes import Federation, expected, fedavg, initial_arrays

LITTLE = DistributedSkellam(clip_norm=8.0, noise_multiplier=0.0005, max_weight=64.0)
MUCH = DistributedSkellam(clip_norm=8.0, noise_multiplier=4.0)


def accountant(epsilon: float) -> PrivacyAccountant:
    return PrivacyAccountant(Relation.REPLACE_SPECIAL, epsilon=epsilon, delta=1e-5)


@pytest.mark.parametrize("adversary", ["malicious", "semi_honest"])
def test_clients_noise_the_mean_and_the_report_says_so(adversary: str) -> None:
    federation = Federation(adversary=adversary, privacy=LITTLE)
    result = federation.run(privacy=LITTLE)
    wanted = expected(initial_arrays(), range(5))
    for name, array in result.arrays.items():
        off = array.numpy() - wanted[name]
        assert 0 < np.abs(off).max() < 0.05
    (report,) = federation.grid.secure.reports
    assert report.privacy.private
    assert "differential privacy for each client" in str(report.privacy)


def test_rounds_stop_when_the_budget_is_spent_and_the_model_stays() -> None:
    federation = Federation(privacy=MUCH)
    secure = federation.secure(privacy=MUCH, weighted_by=None)
    fedavg().start(secure, initial_arrays(), num_rounds=1, timeout=federation.timeout)
    one = accountant(100.0)
    one.compose(secure.reports[0].privacy.event(relation=Relation.REPLACE_SPECIAL), 2)
    budget = accountant(one.get_epsilon(1e-5) * 1.0001)

    federation = Federation(privacy=MUCH)
    models = []
    secure = federation.secure(privacy=MUCH, weighted_by=None, accountant=budget)
    fedavg().start(
        secure,
        initial_arrays(),
        num_rounds=4,
        timeout=federation.timeout,
        evaluate_fn=lambda number, arrays: models.append(arrays["w"].numpy().copy()),
    )
    failures = [report.failure for report in secure.reports]
    assert failures[:2] == ["", ""]
    assert all("privacy budget" in failure for failure in failures[2:])
    assert [seen.wave for seen in federation.grid.seen if seen.round > 2].count("train") == 0
    assert not np.array_equal(models[1], models[2])
    assert np.array_equal(models[2], models[3])
    assert np.array_equal(models[2], models[4])
    assert budget.get_epsilon(1e-5) == pytest.approx(one.get_epsilon(1e-5))


@pytest.mark.parametrize(
    "offered", [None, replace(LITTLE, noise_multiplier=0.0002), replace(LITTLE, clip_norm=9.0)]
)
def test_clients_refuse_less_noise_than_they_insist_on(offered: DistributedSkellam | None) -> None:
    federation = Federation(privacy=LITTLE)
    result = federation.run(privacy=offered)
    (report,) = federation.grid.secure.reports
    assert not report.contributors
    assert all("session" in reason for reason in report.dropouts.values())
    assert not any(seen.wave == "train" for seen in federation.grid.seen)
    assert not result.arrays or np.array_equal(
        result.arrays["w"].numpy(), initial_arrays()["w"].numpy()
    )


@pytest.mark.parametrize(
    ("wave", "answers", "spent"),
    [
        ("keys", 2, 0),
        ("shares", 2, 0),
        ("train", 0, 0),
        ("train", 2, 0),
        ("survivors", 2, 0),
        ("unmask", 2, 1),
        ("unmask", 0, 1),
    ],
)
def test_a_failed_round_costs_nothing_unless_its_sum_may_be_known(
    wave: str, answers: int, spent: int
) -> None:
    """Clients that have answered too late have answered: the sum is where their letters are."""
    federation = Federation(privacy=MUCH)
    federation.grid.fault = lambda _, now, i: "unanswered" if now == wave and i >= answers else None
    budget = accountant(1000.0)
    federation.run(privacy=MUCH, weighted_by=None, accountant=budget)
    (report,) = federation.grid.secure.reports
    assert report.failure
    assert report.waves[-1] == wave
    assert sum(budget.ledger.values()) == spent


@pytest.mark.parametrize("error", [RemoteProtocolError("no honest sum"), OSError("lost")])
def test_a_round_that_fails_with_its_sum_in_hand_is_accounted(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sum cannot be read, or the grid breaks down after clients were asked to reveal it."""

    def fails(*args: object) -> None:
        raise error

    federation = Federation(privacy=MUCH)
    budget = accountant(1000.0)
    if isinstance(error, OSError):
        federation.grid.fault = lambda _, now, i: fails() if (now, i) == ("unmask", 4) else None
        with pytest.raises(OSError, match="lost"):
            federation.run(privacy=MUCH, weighted_by=None, accountant=budget)
    else:
        monkeypatch.setattr("fedsecure.protocols.results.decode", fails)
        federation.run(privacy=MUCH, weighted_by=None, accountant=budget)
        assert federation.grid.secure.reports[0].failure == "no honest sum"
    assert sum(budget.ledger.values()) == 1


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"accountant": accountant(1.0)}, "without noise"),
        ({"privacy": MUCH, "accountant": "budget"}, "give a PrivacyAccountant"),
        (
            {
                "privacy": MUCH,
                "accountant": PrivacyAccountant(Relation.REPLACE_SPECIAL, unit="record"),
            },
            "hides clients",
        ),
        (
            {
                "privacy": MUCH,
                "accountant": accountant(1.0),
                "sampling": FixedSizeSampling(100, 5),
            },
            "do not go together",
        ),
        ({"privacy": RecordSkellam(1.0, 1.0, max_records=10)}, "DP-SGD"),
        ({"sampling": FixedSizeSampling(100, 5)}, "go with privacy"),
        ({"privacy": replace(MUCH, adaptive=AdaptiveClip(8.0))}, "a fixed clip_norm"),
    ],
)
def test_what_does_not_go_together_is_refused(options: dict, match: str) -> None:
    with pytest.raises(LocalProtocolError, match=match):
        Federation().secure(weighted_by=None, **options)


def test_cohorts_are_of_the_size_that_is_said() -> None:
    """Five nodes of a thousand are accounted as that, and no other number is."""
    budget = PrivacyAccountant(Relation.REPLACE_ONE, epsilon=100.0, delta=1e-5)
    options = {"privacy": MUCH, "weighted_by": None, "accountant": budget}
    Federation(privacy=MUCH).run(sampling=FixedSizeSampling(1000, 5), **options)
    assert sum(budget.ledger.values()) == 1
    federation = Federation(privacy=MUCH)
    with pytest.raises(LocalProtocolError, match="a round of 5 clients"):
        federation.run(sampling=FixedSizeSampling(1000, 4), **options)
    assert federation.grid.waves == []
    assert sum(budget.ledger.values()) == 1


def test_weights_under_noise_need_a_declared_limit() -> None:
    with pytest.raises(EncodingError, match="max_weight"):
        Federation().secure(privacy=MUCH)
    with pytest.raises(LocalProtocolError, match="a metric's name"):
        Federation().secure(privacy=LITTLE, weighted_by="")

"""What a round that fails has cost: nothing, unless somebody may have its sum."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

import fedsecure as fs
from fedsecure.errors import (
    BudgetError,
    EncodingError,
    LocalProtocolError,
    RemoteProtocolError,
    ThresholdError,
)
from fedsecure.privacy import (
    CentralGaussian,
    DistributedSkellam,
)
from fedsecure.testing import Drop, run_session
from paillier_keys import private_key
from private_rounds import (
    CLIENTS,
    PLAIN,
    SIZE,
    SKELLAM,
    averaging,
    budget,
    spent,
    start,
)


def failing(stage: str, count: int, when: str = "before") -> Any:
    drop = {name: Drop(stage, when) for name in range(count)}
    return partial(run_session, drop=drop)


MASKING = fs.PairwiseMasking("semi_honest")


@pytest.mark.parametrize(
    ("stage", "count", "when", "accounted"),
    [
        ("ADVERTISE_KEYS", 3, "before", False),
        ("SHARE_KEYS", 3, "before", False),
        ("MASKED_INPUT", 3, "before", False),
        ("MASKED_INPUT", 3, "during", False),
        ("UNMASKING", 6, "before", False),  # nobody has given a share of a mask
        ("UNMASKING", 3, "before", True),  # with the corrupt ones' the server may have enough
    ],
)
def test_a_failed_round_is_accounted_if_its_sum_may_be_known(
    stage: str, count: int, when: str, accounted: bool
) -> None:
    accountant = budget()
    algorithm = averaging(
        aggregate=failing(stage, count, when), protocol=MASKING, accountant=accountant
    )
    state = algorithm.init(start())
    with pytest.raises(ThresholdError):
        algorithm.apply(state, CLIENTS)
    assert spent(accountant) == accounted
    assert (state.round, state.privacy) == (0, None)
    after, told = averaging(protocol=MASKING, accountant=accountant).apply(state, CLIENTS)
    assert after.round == 1
    assert told.privacy.releases == 1 + accounted


@pytest.mark.parametrize(
    ("error", "accounted"),
    [
        (EncodingError("x"), False),
        (LocalProtocolError("x"), False),
        (EncodingError("x", may_be_known=True), True),
        (ThresholdError("x"), False),
        (ThresholdError("x", may_be_known=True), True),
        (RemoteProtocolError("the sum is none of honest clients"), True),
        (OSError("lost"), True),
        (KeyboardInterrupt(), True),
    ],
)
def test_what_an_aggregator_raises(error: BaseException, accounted: bool) -> None:
    def fails(*args: Any, **options: Any) -> Any:
        raise error

    accountant = budget()
    algorithm = averaging(aggregate=fails, accountant=accountant)
    with pytest.raises(type(error)):
        algorithm.apply(algorithm.init(start()), CLIENTS)
    assert spent(accountant) == accounted


@pytest.mark.parametrize("protocol", [PLAIN, MASKING, pytest.param("encrypted", id="encrypted")])
@pytest.mark.parametrize("kind", [CentralGaussian, DistributedSkellam])
def test_a_mean_that_its_dtype_cannot_hold_was_released(kind: Any, protocol: Any) -> None:
    """The server has the sum when it finds that half precision is too narrow for the noise."""
    if protocol == "encrypted":
        protocol = fs.PaillierSum(private_key())
    accountant = budget(1e9, accountant="rdp")
    algorithm = averaging(privacy=kind(1e5, 30.0), protocol=protocol, accountant=accountant)
    state = algorithm.init({"m": np.zeros(SIZE, np.float16)})
    with pytest.raises(EncodingError, match="'m' is float16") as refused:
        algorithm.apply(state, CLIENTS)
    assert refused.value.may_be_known
    assert spent(accountant) == 1


def test_a_client_that_fails_to_train_costs_nothing() -> None:
    accountant = budget()
    algorithm = averaging(lambda params, data: None, accountant=accountant)
    with pytest.raises(LocalProtocolError, match="client 0"):
        algorithm.apply(algorithm.init(start()), CLIENTS)
    assert spent(accountant) == 0


def test_an_aggregator_that_does_otherwise_is_found_out() -> None:
    """What it released is accounted, not what it should have."""

    def other(updates: Any, *, weights: Any, privacy: Any, protocol: Any) -> fs.Aggregate:
        less = replace(privacy, noise_multiplier=0.5)
        return fs.secure_aggregate(updates, weights=weights, privacy=less, protocol=protocol)

    accountant = budget()
    algorithm = averaging(aggregate=other, accountant=accountant)
    with pytest.raises(LocalProtocolError, match="released something else"):
        algorithm.apply(algorithm.init(start()), CLIENTS)
    (event,) = accountant.ledger
    assert event == replace(SKELLAM, noise_multiplier=0.5).event(
        clients=6, size=SIZE, noise_shares=4
    )

    def exact(updates: Any, *, weights: Any, privacy: Any, protocol: Any) -> fs.Aggregate:
        return fs.secure_aggregate(updates, weights=weights, protocol=protocol)

    with pytest.raises(LocalProtocolError, match="epsilon is infinite"):
        averaging(aggregate=exact).apply(algorithm.init(start()), CLIENTS)
    accountant = budget()
    with pytest.raises(LocalProtocolError, match="epsilon is infinite"):
        averaging(aggregate=exact, accountant=accountant).apply(algorithm.init(start()), CLIENTS)
    assert spent(accountant) == 1


def test_an_aggregator_that_does_not_say_what_it_released_is_accounted() -> None:
    accountant = budget()
    algorithm = averaging(aggregate=lambda updates, **_: updates[0], accountant=accountant)
    with pytest.raises(LocalProtocolError, match="the aggregator returned dict, which does not"):
        algorithm.apply(algorithm.init(start()), CLIENTS)
    assert spent(accountant) == 1


def test_what_was_released_beyond_the_budget_is_accounted_all_the_same() -> None:
    """It has happened: an accountant that refused it would let the next round begin."""

    def other(updates: Any, *, weights: Any, privacy: Any, protocol: Any) -> fs.Aggregate:
        less = replace(privacy, noise_multiplier=0.5)
        return fs.secure_aggregate(updates, weights=weights, privacy=less, protocol=protocol)

    accountant = budget(8.0)
    algorithm = averaging(aggregate=other, accountant=accountant)
    with pytest.raises(LocalProtocolError, match="released something else"):
        algorithm.apply(algorithm.init(start()), CLIENTS)
    assert spent(accountant) == 1
    assert accountant.report().epsilon > 8
    with pytest.raises(BudgetError):
        algorithm.apply(algorithm.init(start()), CLIENTS)
    with pytest.raises(BudgetError):
        accountant.compose(next(iter(accountant.ledger)))

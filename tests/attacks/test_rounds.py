"""Many sums over changing clients, and what the log of them says before the next is released."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import fedsecure as fs
from fedsecure.aggregate import run_session
from fedsecure.encoding import FixedPoint
from fedsecure.errors import ThresholdError
from fedsecure.participation import batches
from parties import make_updates

ENCODING = FixedPoint(4.0, 20, rounding="nearest")
UPDATES = make_updates(9)


def released(names: Any) -> np.ndarray:
    """The sum over these clients, as a real session releases it."""
    chosen = [UPDATES[name] for name in names]
    result = fs.secure_aggregate(
        chosen, encoding=ENCODING, protocol=fs.PairwiseMasking("semi_honest")
    )
    return len(chosen) * result.mean["a"]


def test_two_rounds_that_differ_in_one_client_give_its_update() -> None:
    """[A28] The attack, on real sums; and the log, which would not have let the second one out."""
    log = fs.ParticipationLog()
    first, second = range(6), range(5)
    log.check(first)
    log.add(first)
    difference = released(first) - released(second)
    np.testing.assert_allclose(difference, UPDATES[5]["a"], atol=1e-4)
    assert log.would_isolate(second) == (5,)
    with pytest.raises(ThresholdError, match="single out client 5"):
        log.check(second)
    log.add(second)
    assert log.isolated() == (5,)
    assert log.smallest_difference() == 1


def test_a_longer_combination_of_wide_differences() -> None:
    """[A28] No two sums differ in fewer than two clients, and three of them single one out.

    2 x = (x + a) + (x + b) - (a + b), each bracket with the same four others.
    """
    others = (4, 5, 6, 7)
    rounds = [(0, 1, *others), (0, 2, *others), (1, 2, *others), others]
    log = fs.ParticipationLog()
    for contributors in rounds[:3]:
        log.check(contributors)
        log.add(contributors)
    assert log.isolated() == ()
    assert log.smallest_difference() == 2
    assert log.would_isolate(rounds[3]) == (0, 1, 2)
    with pytest.raises(ThresholdError, match="single out client 0, 1, 2"):
        log.check(rounds[3])
    one, other, rest, base = map(released, rounds)
    found = (one + other - rest - base) / 2
    np.testing.assert_allclose(found, UPDATES[0]["a"], atol=1e-4)


def test_a_server_that_chooses_who_drops_out() -> None:
    """[A28] [A8] One client less in each round, as a server can have it, is found in round two."""
    log = fs.ParticipationLog()
    refused = 0
    for left in range(9, 3, -1):
        try:
            log.check(range(left))
        except ThresholdError:
            refused += 1
            continue
        log.add(range(left))
    assert log.rounds == tuple(tuple(range(left)) for left in (9, 7, 5))
    assert refused == 3
    assert log.isolated() == ()


def test_fixed_batches_never_single_anybody_out() -> None:
    """[A28] All unions of whole batches, in any number: nothing narrower than a batch is known."""
    groups = batches(range(12), 3)
    log = fs.ParticipationLog()
    for size in range(1, len(groups) + 1):
        for chosen in itertools.combinations(groups, size):
            contributors = [name for group in chosen for name in group]
            log.check(contributors)
            log.add(contributors)
    assert len(log.rounds) == 15
    assert log.isolated() == ()
    assert log.smallest_difference() == 3


def test_a_log_of_real_sessions() -> None:
    """[A28] What a session's result gives is what the log takes; a dropout changes the set."""
    protocol = fs.PairwiseMasking("malicious")
    log = fs.ParticipationLog()
    full = run_session(UPDATES[:6], protocol=protocol)
    log.add(full.contributors)
    lacking = run_session(UPDATES[:6], protocol=protocol, drop={2: "SHARE_KEYS"})
    assert lacking.dropouts == (2,)
    assert log.would_isolate(lacking.contributors) == (2,)
    log.add(lacking.contributors)
    assert log.isolated() == (2,)

"""Which clients many sums single out, against elimination in exact fractions."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fedsecure as fs
from fedsecure import participation
from fedsecure.errors import LocalProtocolError, ThresholdError
from fedsecure.participation import ParticipationLog, batches

PRIME = 2**61 - 1
SOME_SETS = st.lists(st.sets(st.integers(0, 9), min_size=1), min_size=1, max_size=12)
RESIDUES = st.integers(0, PRIME - 1) | st.sampled_from([0, 1, 2**31, PRIME - 2, PRIME - 1])


def rank(matrix: Sequence[Sequence[int]]) -> int:
    """The rank over the rationals, by plain elimination."""
    rows = [[Fraction(value) for value in row] for row in matrix]
    found = 0
    for column in range(len(rows[0]) if rows else 0):
        at = next((i for i in range(found, len(rows)) if rows[i][column]), None)
        if at is None:
            continue
        rows[found], rows[at] = rows[at], rows[found]
        for below in rows[found + 1 :]:
            factor = below[column] / rows[found][column]
            below[:] = [x - factor * y for x, y in zip(below, rows[found], strict=True)]
        found += 1
    return found


def isolated_over_fractions(sets: Sequence[set[int]]) -> tuple[int, ...]:
    clients = sorted(set().union(*sets))
    matrix = [[int(client in members) for client in clients] for members in sets]
    return tuple(
        client
        for client in clients
        if rank([*matrix, [int(other == client) for other in clients]]) == rank(matrix)
    )


@given(SOME_SETS)
def test_isolated_clients_are_those_of_exact_fractions(sets: list[set[int]]) -> None:
    log = ParticipationLog()
    for done, members in enumerate(sets, start=1):
        before = log.isolated()
        would = log.would_isolate(members)
        log.add(members)
        assert log.isolated() == isolated_over_fractions(sets[:done])
        assert would == tuple(sorted(set(log.isolated()).difference(before)))


@given(SOME_SETS)
def test_smallest_difference_is_that_of_all_pairs(sets: list[set[int]]) -> None:
    widths = [len(one ^ other) for one in sets for other in sets if one != other]
    assert ParticipationLog(sets).smallest_difference() == min(widths, default=None)


@given(SOME_SETS)
def test_a_log_is_its_rounds(sets: list[set[int]]) -> None:
    log = ParticipationLog(sets)
    assert log.rounds == tuple(tuple(sorted(members)) for members in sets)
    for again in (
        ParticipationLog(log.rounds),
        copy.copy(log),
        pickle.loads(pickle.dumps(log)),
    ):
        assert again == log
        assert again.isolated() == log.isolated()
        assert again.smallest_difference() == log.smallest_difference()


def test_a_copy_grows_alone() -> None:
    log = ParticipationLog([range(5)])
    other = copy.copy(log)
    other.add(range(4))
    assert log.isolated() == ()
    assert other.isolated() == (4,)
    assert other != log


def test_the_sum_with_a_client_and_the_sum_without_it() -> None:
    log = ParticipationLog([[0, 1, 2, 3]])
    assert log.isolated() == ()
    assert log.would_isolate([0, 1, 2]) == (3,)
    assert log.rounds == ((0, 1, 2, 3),)
    log.add([0, 1, 2])
    assert log.isolated() == (3,)
    assert log.smallest_difference() == 1


def test_three_pairs_single_out_all_three_without_a_difference_of_one() -> None:
    # (01 + 02 - 12) / 2 is client 0 alone; no two sums differ in fewer than two clients, and
    # modulo 2 the three sums would depend on each other.
    log = ParticipationLog([[0, 1], [0, 2]])
    assert log.would_isolate([1, 2]) == (0, 1, 2)
    log.add([1, 2])
    assert log.isolated() == (0, 1, 2)
    assert log.smallest_difference() == 2


def test_a_sum_released_again_changes_nothing() -> None:
    log = ParticipationLog([[0, 1, 2], [0, 1, 2]])
    assert len(log.rounds) == 2
    assert log.isolated() == ()
    assert log.smallest_difference() is None
    log.check([2, 1, 0])


def test_clients_may_appear_later() -> None:
    log = ParticipationLog([[5, 6, 7]])
    assert log.would_isolate([5, 6, 7, 2**31]) == (2**31,)
    log.add([5, 6, 7, 8, 9])
    assert log.isolated() == ()
    assert log.would_isolate([8]) == (8, 9)


def test_check_names_clients_sum_and_remedy_and_records_nothing() -> None:
    log = ParticipationLog([range(10), range(20)])
    with pytest.raises(ThresholdError, match=r"sum 3 .* client 9: .*batches") as refused:
        log.check(range(9))
    assert "more" not in str(refused.value)
    assert len(log.rounds) == 2
    log.check(range(5))


def test_check_lists_five_clients_and_counts_the_rest() -> None:
    log = ParticipationLog([set(range(8)).difference([client]) for client in range(7)])
    with pytest.raises(ThresholdError, match=r"client 0, 1, 2, 3, 4 and 3 more:"):
        log.check(range(7))


def test_check_is_silent_about_clients_that_are_out_already() -> None:
    log = ParticipationLog([[0, 1, 2, 3], [0, 1, 2]])
    log.check([0, 1, 2, 3])


def test_contributors_of_a_session_go_into_the_log() -> None:
    updates = [{"w": np.full(2, value, np.float32)} for value in (0.1, 0.2, 0.3, 0.4)]
    log = ParticipationLog()
    log.add(fs.secure_aggregate(updates).contributors)
    log.add(fs.secure_aggregate(updates[:3]).contributors)
    assert log.isolated() == (3,)


def test_hundreds_of_random_rounds_single_out_everybody() -> None:
    generator = np.random.default_rng(7)
    log = ParticipationLog()
    for _ in range(210):
        log.add(np.flatnonzero(generator.random(200) < 0.5))
    assert log.isolated() == tuple(range(200))
    assert repr(log) == "<ParticipationLog of 210 sums over 200 clients, 200 of them isolated>"


def test_whole_batches_single_out_nobody_in_any_number_of_rounds() -> None:
    generator = np.random.default_rng(8)
    fixed = batches(range(203), 5)
    log = ParticipationLog()
    for _ in range(200):
        picked = np.flatnonzero(generator.random(len(fixed)) < 0.5)
        members = [client for at in picked for client in fixed[at]]
        log.check(members)
        log.add(members)
    smallest = log.smallest_difference()
    assert smallest is not None
    assert smallest >= 5
    # One client that is missing from its batch is found out at once.
    assert log.would_isolate(range(202)) == (202,)


@given(st.sets(st.integers(0, 1000), min_size=3), st.integers(3, 20))
def test_batches_part_the_clients_and_none_is_small(ids: set[int], size: int) -> None:
    if len(ids) < size:
        with pytest.raises(ThresholdError, match=f"{len(ids)} clients make no batch of {size}"):
            batches(ids, size)
        return
    parts = batches(ids, size)
    assert [client for part in parts for client in part] == sorted(ids)
    assert len(parts) == len(ids) // size
    lengths = {len(part) for part in parts}
    assert min(lengths) >= size
    assert max(lengths) - min(lengths) <= 1


@pytest.mark.parametrize("size", [2, 1, 0, -1])
def test_batches_below_three_are_refused(size: int) -> None:
    with pytest.raises(ThresholdError, match="at least 3"):
        batches(range(10), size)


@pytest.mark.parametrize("size", [3.0, True, "3", None])
def test_a_size_that_is_no_integer_is_refused(size: Any) -> None:
    with pytest.raises(LocalProtocolError, match="size is"):
        batches(range(10), size)


@pytest.mark.parametrize(
    ("contributors", "reason"),
    [
        ([], "empty"),
        ([1, 1], "twice"),
        ([0, -1], "-1"),
        ([1.0], "integers"),
        ([True], "integers"),
        (["1"], "integers"),
        ("12", "list"),
        (b"12", "list"),
        (7, "list"),
        (None, "list"),
    ],
)
def test_what_is_no_set_of_clients_is_refused_and_changes_nothing(
    contributors: Any, reason: str
) -> None:
    log = ParticipationLog([[0, 1, 2]])
    for ask in (log.add, log.would_isolate, log.check, lambda ids: batches(ids, 3)):
        with pytest.raises(LocalProtocolError, match=reason):
            ask(contributors)
    assert log == ParticipationLog([[0, 1, 2]])


@pytest.mark.parametrize("rounds", [3, None, "12", [3], ["12"]])
def test_rounds_that_are_none_are_refused(rounds: Any) -> None:
    with pytest.raises(LocalProtocolError):
        ParticipationLog(rounds)


def test_a_log_is_no_key_and_equals_only_logs() -> None:
    log = ParticipationLog()
    assert log != ()
    with pytest.raises(TypeError, match="unhashable"):
        hash(log)


@given(RESIDUES, RESIDUES)
def test_field_arithmetic_is_that_of_integers(left: int, right: int) -> None:
    x, y = np.array([left], np.uint64), np.array([right], np.uint64)
    assert int(participation._product(x, y)[0]) == left * right % PRIME
    assert int(participation._product(x, np.uint64(right))[0]) == left * right % PRIME
    assert int(participation._difference(x, y)[0]) == (left - right) % PRIME


@given(st.lists(RESIDUES, max_size=40))
def test_field_sums_are_those_of_integers(values: list[int]) -> None:
    column = np.array(values, np.uint64).reshape(-1, 1)
    assert int(participation._sum(column)[0]) == sum(values) % PRIME

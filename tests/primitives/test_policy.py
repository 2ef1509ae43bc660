"""What a session should use, and what it may: safe for every roster, by exact integers."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from fedsecure.errors import LocalProtocolError, ThresholdError
from fedsecure.primitives.parameters import (
    Shape,
    check_regular,
    choose_parameters,
    policy_parameters,
    regular_threshold,
)
from fedsecure.primitives.risk import risks
from reference import hypergeometric as exact

percent = st.integers(0, 45).map(lambda hundredths: hundredths / 100)
adversaries = st.sampled_from(["semi_honest", "semi_malicious"])


def test_two_parties_are_too_few() -> None:
    for n in (1, 2):
        with pytest.raises(ThresholdError, match="too few"):
            policy_parameters(n, 0.0, 0.0)


# Pinned: found with exact integers, by the oracle below, up to 1000 clients.
@pytest.mark.parametrize(
    ("n", "corrupt", "adversary", "expected"),
    [
        (65, 0.1, "semi_honest", (14, 7, 59)),
        (100, 0.1, "semi_honest", (22, 11, 90)),
        (1000, 0.1, "semi_honest", (48, 28, 900)),
        (10_000, 0.1, "semi_honest", (58, 33, 9000)),
        (1_000_000, 0.1, "semi_honest", (68, 38, 900_000)),
        (100, 0.05, "semi_honest", (16, 6, 90)),
        (1000, 0.05, "semi_honest", (36, 19, 900)),
        (10_000, 0.05, "semi_honest", (42, 22, 9000)),
        (100, 0.1, "semi_malicious", (32, 22, 90)),
        (1000, 0.1, "semi_malicious", (100, 70, 900)),
        (10_000, 0.1, "semi_malicious", (128, 90, 9000)),
        (1_000_000, 0.1, "semi_malicious", (154, 107, 900_000)),
        (100, 0.05, "semi_malicious", (26, 16, 90)),
        (1000, 0.05, "semi_malicious", (78, 52, 900)),
        (10_000, 0.05, "semi_malicious", (96, 64, 9000)),
        (1000, 0.1, "malicious", (999, 551, 551)),
        (10_000, 0.05, "malicious", (9999, 5251, 5251)),
    ],
)
def test_known_answers(n: int, corrupt: float, adversary: Any, expected: Any) -> None:
    assert policy_parameters(n, corrupt, 0.1, adversary=adversary) == expected


def test_complete_graph_up_to_64_clients() -> None:
    # Floor of half a client: the bare calculation is content with two neighbors.
    assert choose_parameters(10, 0.05, 0.05) == (2, 2)
    assert policy_parameters(10, 0.05, 0.05) == (9, 6, 6)
    assert policy_parameters(64, 0.1, 0.1) == (63, (64 + 6) // 2 + 1, (64 + 6) // 2 + 1)
    assert policy_parameters(65, 0.1, 0.1).neighbors < 64


def test_one_colluder_at_least_and_three_shares() -> None:
    assert choose_parameters(65, 0.0, 0.2) == (14, 2)
    assert policy_parameters(65, 0.0, 0.2) == policy_parameters(65, 1 / 65, 0.2)
    assert policy_parameters(65, 0.0, 0.2).threshold == 3
    assert policy_parameters(20, 0.0, 0.3) == (19, 11, 11)


def test_more_neighbors_than_one_graph_needs_if_many_may_not_answer() -> None:
    """A third of the invited clients being corrupt is half of those that answer."""
    bare = choose_parameters(1000, 0.33, 0.33)
    assert bare == (286, 150)
    assert policy_parameters(1000, 0.33, 0.33) == (500, 291, 670)
    assert risks(Shape(*bare, 670), 1000, 0.33, 0.33).exposed == pytest.approx(1)


def test_falls_back_on_the_complete_graph() -> None:
    assert policy_parameters(66, 0.33, 0.3, adversary="semi_malicious") == (65, 44, 44)
    assert policy_parameters(100, 0.3, 0.3, adversary="semi_malicious") == (99, 66, 66)


def test_refuses_what_nothing_withstands() -> None:
    with pytest.raises(ThresholdError, match="450 dropouts"):
        policy_parameters(1000, 0.45, 0.45, adversary="malicious")
    with pytest.raises(ThresholdError, match="450 dropouts"):
        policy_parameters(1000, 0.45, 0.45)
    with pytest.raises(ThresholdError, match="fewer than 900"):
        policy_parameters(1000, 0.1, 0.1, min_honest=900)
    assert policy_parameters(1000, 0.1, 0.1, min_honest=800) == (48, 28, 900)
    with pytest.raises(LocalProtocolError, match="min_honest"):
        policy_parameters(1000, 0.1, 0.1, min_honest=1)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.integers(3, 100_000), percent, percent, adversaries | st.just("malicious"))
def test_policy_keeps_its_word(n: int, corrupt: float, dropout: float, adversary: Any) -> None:
    try:
        chosen = policy_parameters(n, corrupt, dropout, adversary=adversary)
    except ThresholdError:
        return
    risk = risks(chosen, n, max(corrupt, 1 / n), dropout, adversary=adversary)
    assert risk.exposed <= 2**-41
    assert risk.divided <= 2**-41
    assert risk.lost <= 2**-20


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.integers(65, 110),
    st.integers(0, 40),
    st.integers(0, 40),
    st.integers(1, 45),
    st.integers(1, 25),
    adversaries,
)
@example(100, 10, 10, 40, 20, "semi_honest")
@example(100, 10, 10, 40, 20, "semi_malicious")
@example(66, 0, 30, 10, 5, "semi_malicious")
def test_policy_is_the_first_degree_safe_for_each_roster(
    n: int, corrupt: int, dropouts: int, sigma: int, eta: int, adversary: Any
) -> None:
    """Every roster, degree and threshold tried, in exact integers."""
    lying = adversary == "semi_malicious"
    least = max(corrupt, 1)
    assume(least / (n - dropouts) + (2 if lying else 1) * dropouts / n <= 0.899)
    expected: Any = None
    for k in range(2, min(n - 1, n - dropouts), 2):
        safe = exact.thresholds(n, least, dropouts, k, sigma, eta, lying=lying)
        if safe:
            expected = (k, safe[0], n - dropouts)
            break
    chosen: Any = None
    try:
        chosen = policy_parameters(
            n, corrupt / n, dropouts / n, sigma=sigma, eta=eta, adversary=adversary
        )
    except ThresholdError:
        assert expected is None
    if expected is None:
        assert chosen is None or chosen.neighbors == n - 1
    else:
        assert chosen == expected


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.integers(4, 60),
    st.integers(1, 29),
    st.integers(0, 30),
    st.integers(0, 30),
    st.integers(1, 30),
    st.integers(1, 20),
    adversaries,
)
@example(12, 5, 2, 0, 20, 20, "semi_malicious")
@example(40, 10, 4, 4, 5, 3, "semi_honest")
def test_thresholds_of_a_degree_are_those_safe_for_each_roster(
    n: int, half: int, corrupt: int, dropouts: int, sigma: int, eta: int, adversary: Any
) -> None:
    k = 2 * half
    least = max(corrupt, 1)
    assume(k <= n - 2 and least + dropouts <= min(0.899 * n, n - 2))
    lying = adversary == "semi_malicious"
    safe = exact.thresholds(n, least, dropouts, k, sigma, eta, lying=lying)
    fractions = (corrupt / n, dropouts / n)
    bits = {"sigma": sigma, "eta": eta, "adversary": adversary}
    if safe:
        assert regular_threshold(n, k, *fractions, **bits) == safe[0]
    else:
        with pytest.raises(ThresholdError, match="will not do"):
            regular_threshold(n, k, *fractions, **bits)
    for t in range(1, k + 1):
        if t in safe:
            assert check_regular(n, k, t, *fractions, **bits) == (k, t, n - dropouts)
        else:
            with pytest.raises(ThresholdError, match=r"use|invite"):
                check_regular(n, k, t, *fractions, **bits)


def test_worst_roster_is_at_an_end() -> None:
    """Exposure by the smallest roster, splitting and loss by the largest, for every y and k."""
    for n in (5, 9, 14, 21):
        for corrupt in range(1, n):
            for dropouts in range(n - corrupt):
                for k in range(2, n - dropouts, 2):
                    ends(n, corrupt, dropouts, k)


def ends(n: int, corrupt: int, dropouts: int, k: int) -> None:
    rosters = range(n - dropouts, n + 1)
    exposed = [[m * p for p in [Fraction(1), *exact.above(m, corrupt, k)]] for m in rosters]
    for y in range(k + 1):
        row = [min(bounds[y], Fraction(1)) for bounds in exposed]
        assert row == sorted(row, reverse=True)
    lost = [[m * p for p in exact.stay(m, dropouts - n + m, k)] for m in rosters]
    for t in range(k + 1):
        row = [bounds[t] for bounds in lost]
        assert row == sorted(row)
    divided = [exact.divided(m, corrupt + dropouts - n + m, k) for m in rosters]
    assert divided == sorted(divided)


@pytest.mark.parametrize("adversary", ["semi_honest", "semi_malicious"])
@pytest.mark.parametrize(
    ("n", "corrupt", "dropout"),
    [(65, 0.1, 0.1), (100, 0.05, 0.1), (1000, 0.2, 0.3), (10_000, 0.1, 0.2), (10**6, 0.3, 0.1)],
)
def test_policy_is_what_the_others_confirm(
    n: int, corrupt: float, dropout: float, adversary: Any
) -> None:
    chosen = policy_parameters(n, corrupt, dropout, adversary=adversary)
    k, t, _ = chosen
    assert regular_threshold(n, k, corrupt, dropout, adversary=adversary) == t
    assert check_regular(n, k, t, corrupt, dropout, adversary=adversary) == chosen
    with pytest.raises(ThresholdError, match=f"too low.*sigma 40.*use {t} to"):
        check_regular(n, k, t - 1, corrupt, dropout, adversary=adversary)
    with pytest.raises(ThresholdError, match=f"use {k} neighbors with threshold {t}$"):
        regular_threshold(n, k - 2, corrupt, dropout, adversary=adversary)


def test_refusals_say_where_and_what_to_do() -> None:
    def refusal(n: int, k: int, *fractions: float, **options: Any) -> str:
        with pytest.raises(ThresholdError, match=f"^{k} neighbors of {n} clients") as refused:
            regular_threshold(n, k, *fractions, **options)
        return str(refused.value)

    use = "use 48 neighbors with threshold 28"
    assert refusal(1000, 46, 0.1, 0.1).endswith(use)
    assert "no threshold fits" in refusal(1000, 46, 0.1, 0.1)
    assert "groups without a mask in common" in refusal(1000, 4, 0.1, 0.1)
    assert "900 clients, too few for so many" in refusal(1000, 900, 0.1, 0.1)
    assert refusal(1000, 900, 0.1, 0.1).endswith(use)
    assert refusal(60, 4, 0.1, 0.1).endswith(
        "use the complete graph, 59 neighbors with threshold 34"
    )
    assert "too many; invite more clients" in refusal(1000, 40, 0.5, 0.45)
    assert "too many; invite more clients" in refusal(4, 2, 0.5, 0.25)


def test_threshold_too_high_for_dropouts() -> None:
    with pytest.raises(ThresholdError, match=r"too high.*100 dropouts.*eta 20.*use 28 to 28"):
        check_regular(1000, 48, 29, 0.1, 0.1)
    assert check_regular(1000, 60, 36, 0.1, 0.1) == (60, 36, 900)


@pytest.mark.parametrize(
    ("arguments", "options", "name"),
    [
        ((100, 21, 11, 0.1, 0.1), {}, "even number from 2 to 98"),
        ((100, 0, 11, 0.1, 0.1), {}, "even"),
        ((100, 100, 11, 0.1, 0.1), {}, "complete graph"),
        ((101, 100, 51, 0.1, 0.1), {}, "complete graph"),
        ((100, 22.0, 11, 0.1, 0.1), {}, "neighbors"),
        ((3, 2, 2, 0.1, 0.1), {}, "neighbors"),
        ((100, 22, 0, 0.1, 0.1), {}, "threshold"),
        ((100, 22, 23, 0.1, 0.1), {}, "threshold"),
        ((100, 22, True, 0.1, 0.1), {}, "threshold"),
        ((0, 22, 11, 0.1, 0.1), {}, "num_clients"),
        ((100, 22, 11, 1.0, 0.1), {}, "corrupt"),
        ((100, 22, 11, 0.1, -0.1), {}, "dropout"),
        ((100, 22, 11, 0.1, 0.1), {"sigma": 0}, "sigma"),
        ((100, 22, 11, 0.1, 0.1), {"eta": 257}, "eta"),
        ((100, 22, 11, 0.1, 0.1), {"adversary": "malicious"}, "complete graph"),
    ],
)
def test_arguments_that_make_no_sense(arguments: Any, options: Any, name: str) -> None:
    with pytest.raises(LocalProtocolError, match=name):
        check_regular(*arguments, **options)
    if name != "threshold":
        n, k, _, *fractions = arguments
        with pytest.raises(LocalProtocolError, match=name):
            regular_threshold(n, k, *fractions, **options)


def test_million_clients_and_almost_as_many_neighbors() -> None:
    t = regular_threshold(10**6, 899_998, 0.1, 0.1, adversary="semi_malicious")
    assert t == (899_998 + 100_000) // 2 + 1
    assert check_regular(10**6, 899_998, t, 0.1, 0.1, adversary="semi_malicious").threshold == t

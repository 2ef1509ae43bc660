"""Degree and threshold: the published tables, exact integers, the analytic bounds, the refusals."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from fedsecure.errors import LocalProtocolError, ThresholdError
from fedsecure.primitives.parameters import (
    Parameters,
    choose_parameters,
    complete_threshold,
    policy_parameters,
)
from reference import hypergeometric as exact

# What the tests of the reference implementation expect (graph_parameter_finder_test.cc in
# google-parfait/federated-compute), for n = 10, 100, ..., 1,000,000.
PUBLISHED = """
semi_honest     .45  .45  -      92,46   822,417  3494,1771   5508,2788   6240,3156
semi_honest     .33  .33  8,4    68,34   286,150  422,221     480,251     518,270
semi_honest     .05  .33  4,2    28,6    72,24    86,29       96,32       102,34
semi_honest     .33  .05  4,4    34,29   78,60    92,70       102,77      110,83
semi_honest     .05  .05  2,2    12,6    30,17    34,20       36,21       38,22
semi_honest     .33  0    4,4    26,25   38,36    42,40       46,44       50,47
semi_honest     0    .33  4,2    26,2    38,2     42,2        46,2        50,2
semi_honest     0    0    2,2    2,2     2,2      2,2         2,2         2,2
semi_malicious  .3   .3   -      92,62   872,584  4822,3230   9388,6286   11136,7454
semi_malicious  .05  .33  8,5    72,39   398,223  746,420     882,496     970,545
semi_malicious  .33  .05  4,4    42,37   132,109  178,146     196,160     212,173
semi_malicious  .05  .05  2,2    16,11   52,37    62,44       68,48       74,52
semi_malicious  .33  0    4,4    26,26   38,37    42,41       46,45       50,49
semi_malicious  0    .33  8,5    68,35   228,115  326,164     372,187     410,206
semi_malicious  0    0    2,2    2,2     2,2      2,2         2,2         2,2
"""
PUBLISHED_CLIENTS = (10, 100, 1000, 10_000, 100_000, 1_000_000)

# Computed once with an implementation of the same algorithm on scipy's distributions.
EXTRA = """
semi_honest     .05  .1   16,6   24,11    32,17    36,19    42,22      46,23      50,25
semi_honest     .1   .1   22,11  34,19    42,24    48,27    54,31      58,33      64,36
semi_honest     .1   .2   28,11  44,20    58,28    66,31    78,37      86,41      92,43
semi_honest     .1   .3   34,11  54,21    76,31    88,36    108,44     122,49     130,52
semi_honest     .2   .3   48,21  80,38    120,57   140,67   182,87     202,96     218,103
semi_malicious  .05  .1   26,16  42,27    66,44    78,52    96,64      106,70     114,75
semi_malicious  .1   .1   32,22  56,39    82,57    96,67    122,85     134,93     146,101
semi_malicious  .1   .2   52,32  88,55    152,97   194,124  280,179    312,199    338,215
semi_malicious  .1   .3   72,42  134,78   276,164  414,247  778,465    926,553    1016,606
semi_malicious  .2   .3   82,52  162,102  376,239  642,409  1790,1140  2360,1502  2624,1669
"""
EXTRA_CLIENTS = (100, 200, 500, 1000, 10_000, 100_000, 1_000_000)

Row = tuple[Any, int, float, float, tuple[int, int]]


def rows(table: str, clients: tuple[int, ...]) -> list[Row]:
    found: list[Row] = []
    for line in table.strip().splitlines():
        adversary, corrupt, dropout, *pairs = line.split()
        assert len(pairs) == len(clients)
        for n, pair in zip(clients, pairs, strict=True):
            if pair != "-":
                k, t = map(int, pair.split(","))
                found.append((adversary, n, float(corrupt), float(dropout), (k, t)))
    return found


ROWS = rows(PUBLISHED, PUBLISHED_CLIENTS) + rows(EXTRA, EXTRA_CLIENTS)


def test_no_row_of_the_tables_is_missing() -> None:
    assert len(ROWS) == 88 + 70


@pytest.mark.parametrize(("adversary", "n", "corrupt", "dropout", "expected"), ROWS)
def test_tables(
    adversary: Any, n: int, corrupt: float, dropout: float, expected: tuple[int, int]
) -> None:
    neighbors, threshold = choose_parameters(n, corrupt, dropout, adversary=adversary)
    assert (neighbors, threshold) == expected


@pytest.mark.parametrize(
    ("adversary", "n", "corrupt", "dropout"),
    [row[:4] for row in ROWS if row[1] >= 100 and row[2] + row[3] > 0],
)
def test_analytic_sandwich_of_the_tables(
    adversary: Any, n: int, corrupt: float, dropout: float
) -> None:
    chosen = choose_parameters(n, corrupt, dropout, adversary=adversary)
    least, most = sandwich(chosen, n, corrupt, dropout, lying=adversary == "semi_malicious")
    assert least < chosen.neighbors < most


def sandwich(
    chosen: Parameters, n: int, corrupt: float, dropout: float, *, lying: bool
) -> tuple[float, float]:
    """The degree by the theorem of Bell et al., as the tests of the reference have it."""
    beta, alpha = chosen.threshold / chosen.neighbors, n / (n - 1)
    least = math.log(n) + 40 * math.log(2) / 5
    c = min(2 * (beta - alpha * corrupt) ** 2, -math.log(corrupt + dropout))
    room = 2 * (alpha * (1 - dropout) - beta) ** 2
    most = max(least / c + 1, (math.log(n) + 20 * math.log(2)) / room if room else math.inf)
    return least, most * (1.2 if lying else 1)


percent = st.integers(0, 45).map(lambda hundredths: hundredths / 100)
adversaries = st.sampled_from(["semi_honest", "semi_malicious"])


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.integers(20, 1_000_000), percent, percent, adversaries)
def test_analytic_sandwich(n: int, corrupt: float, dropout: float, adversary: Any) -> None:
    assume(corrupt + dropout > 0)
    try:
        chosen = choose_parameters(n, corrupt, dropout, adversary=adversary)
    except ThresholdError:
        assume(False)
    least, most = sandwich(chosen, n, corrupt, dropout, lying=adversary == "semi_malicious")
    assert chosen.neighbors < most
    # The lower bound is that of another, coarser analysis: it does not reach into the corner.
    assert least < chosen.neighbors or n < 200 or corrupt + dropout < 0.1


@settings(max_examples=250, deadline=None, derandomize=True)
@given(
    st.integers(1, 90),
    st.integers(0, 81),
    st.integers(0, 81),
    st.integers(1, 60),
    st.integers(1, 40),
    adversaries,
)
@example(4, 0, 0, 40, 20, "semi_malicious")
@example(81, 20, 30, 17, 9, "semi_malicious")
def test_equals_exact_integers(
    n: int, corrupt: int, dropouts: int, sigma: int, eta: int, adversary: Any
) -> None:
    lying = adversary == "semi_malicious"
    assume((corrupt + (2 if lying else 1) * dropouts) / n <= 0.899)
    expected = exact.choose(n, corrupt, dropouts, sigma, eta, lying=lying)
    fractions = (corrupt / n, dropouts / n)
    if expected is None:
        with pytest.raises(ThresholdError, match="no k-regular graph"):
            choose_parameters(n, *fractions, sigma=sigma, eta=eta, adversary=adversary)
    else:
        chosen = choose_parameters(n, *fractions, sigma=sigma, eta=eta, adversary=adversary)
        assert chosen == expected


def test_fractions_mean_the_count_they_stand_for() -> None:
    """0.29 * 100 is 28.999999999999996 in doubles; it has to be 29 corrupt clients."""
    assert 0.29 * 100 < 29
    assert choose_parameters(100, 0.29, 0.1) == choose_parameters(100, 29 / 100, 10 / 100)
    assert choose_parameters(100, 0.29, 0.1) == exact.choose(100, 29, 10, 40, 20, lying=False)


@pytest.mark.parametrize(
    ("n", "corrupt", "dropout", "adversary"),
    [
        (1000, 0.5, 0.5, "semi_honest"),
        (1000, 0.5, 0.5, "semi_malicious"),
        (1000, 0.33, 0.33, "semi_malicious"),
        (1000, 0.9, 0.1, "semi_honest"),
        (10, 0.45, 0.45, "semi_honest"),
        (1, 0, 0, "semi_honest"),
        (3, 0, 0, "semi_malicious"),
    ],
)
def test_infeasible(n: int, corrupt: float, dropout: float, adversary: Any) -> None:
    with pytest.raises(ThresholdError, match="plan for fewer") as refused:
        choose_parameters(n, corrupt, dropout, adversary=adversary)
    assert str(corrupt) in str(refused.value)


@pytest.mark.parametrize(
    ("arguments", "options", "name"),
    [
        ((0, 0.1, 0.1), {}, "num_clients"),
        ((-5, 0.1, 0.1), {}, "num_clients"),
        ((1_000_001, 0.1, 0.1), {}, "num_clients"),
        ((100.0, 0.1, 0.1), {}, "num_clients"),
        ((True, 0.1, 0.1), {}, "num_clients"),
        ((1000, 1, 0.1), {}, "corrupt"),
        ((1000, -0.1, 0.1), {}, "corrupt"),
        ((1000, 0.1, 1.0), {}, "dropout"),
        ((1000, 0.1, -1.0), {}, "dropout"),
        ((1000, 0.1, math.nan), {}, "dropout"),
        ((1000, "0.1", 0.1), {}, "corrupt"),
        ((1000, False, 0.1), {}, "corrupt"),
        ((1000, 0.1, 0.1), {"sigma": 0}, "sigma"),
        ((1000, 0.1, 0.1), {"sigma": 257}, "sigma"),
        ((1000, 0.1, 0.1), {"eta": 20.0}, "eta"),
        ((1000, 0.1, 0.1), {"adversary": "curious"}, "adversary"),
        ((1000, 0.1, 0.1), {"adversary": "malicious"}, "complete graph"),
    ],
)
def test_arguments_that_make_no_sense(arguments: Any, options: Any, name: str) -> None:
    with pytest.raises(LocalProtocolError, match=name):
        choose_parameters(*arguments, **options)
    if name != "complete graph":
        with pytest.raises(LocalProtocolError, match=name):
            policy_parameters(*arguments, **options)


# n, t = floor(2n/3) + 1, dropouts n - t, and the most colluders for which that t is right.
@pytest.mark.parametrize(
    ("n", "threshold", "dropouts", "corrupt"),
    [
        (3, 3, 0, 1),
        (4, 3, 1, 1),
        (5, 4, 1, 2),
        (7, 5, 2, 2),
        (10, 7, 3, 3),
        (20, 14, 6, 7),
        (50, 34, 16, 17),
        (100, 67, 33, 33),
    ],
)
def test_threshold_of_the_complete_graph(
    n: int, threshold: int, dropouts: int, corrupt: int
) -> None:
    assert complete_threshold(n, corrupt, dropouts) == threshold == 2 * n // 3 + 1
    with pytest.raises(ThresholdError, match="dropouts"):
        complete_threshold(n, corrupt, dropouts + 1)


def test_threshold_of_the_complete_graph_keeps_two_groups_apart() -> None:
    for n in range(3, 40):
        for corrupt in range(n):
            for dropouts in range(n):
                try:
                    t = complete_threshold(n, corrupt, dropouts, min_honest=3)
                except ThresholdError:
                    t = (n + corrupt) // 2 + 1
                    assert t > n - dropouts or t - corrupt < 3
                else:
                    assert 2 * t > n + corrupt >= 2 * (t - 1)
                    assert corrupt + 3 <= t <= n - dropouts


@pytest.mark.parametrize("bad", [(0, 0, 0), (5, 6, 0), (5, 0, 6), (5, -1, 0), (5, 0, 0, 1)])
def test_threshold_of_the_complete_graph_refuses(bad: Any) -> None:
    with pytest.raises(LocalProtocolError):
        complete_threshold(*bad)

"""Failure bounds: what they count, that chosen parameters keep them, and how they read."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from itertools import permutations, product
from typing import Any

import pytest

from fedsecure.errors import LocalProtocolError
from fedsecure.primitives.parameters import Parameters, choose_parameters
from fedsecure.primitives.risk import explain, risks
from reference import hypergeometric as exact


def rings(n: int) -> Iterable[tuple[int, ...]]:
    return ((0, *rest) for rest in permutations(range(1, n)))


def near(ring: tuple[int, ...], place: int, k: int) -> set[int]:
    return {ring[(place + s) % len(ring)] for s in range(-k // 2, k // 2 + 1) if s}


@pytest.mark.parametrize("threshold", [1, 2, 3])
def test_exposed_and_lost_are_expected_numbers_over_all_rings(threshold: int) -> None:
    """By enumeration: the bounds are exact for the union over all clients, not approximate."""
    n, k = 7, 4
    corrupt, gone = {1, 2, 3}, {4, 5}
    exposed = lost = total = 0
    for ring in rings(n):
        total += 1
        for place in range(n):
            others = near(ring, place, k)
            exposed += len(others & corrupt) >= threshold
            lost += len(others - gone) < threshold
    risk = risks(Parameters(k, threshold), n, 3 / n, 2 / n)
    assert risk.exposed == pytest.approx(min(1.0, exposed / total), rel=1e-12)
    assert risk.lost == pytest.approx(min(1.0, lost / total), rel=1e-12)


def test_divided_is_above_the_chance_that_a_ring_falls_apart() -> None:
    n, k = 8, 4
    removed = frozenset({1, 2, 3, 4, 5})
    apart = total = 0
    for ring in rings(n):
        total += 1
        apart += not connected([c for c in ring if c not in removed], ring, k)
    risk = risks(Parameters(k, 3), n, 2 / n, 3 / n)
    assert 0 < apart / total <= risk.divided < 1


def connected(kept: list[int], ring: tuple[int, ...], k: int) -> bool:
    reached, ahead = set(kept[:1]), kept[:1]
    while ahead:
        fresh = near(ring, ring.index(ahead.pop()), k) & set(kept) - reached
        reached |= fresh
        ahead += fresh
    return len(reached) == len(kept)


def test_semi_malicious_counts_both_kinds_of_share() -> None:
    """Exposed is whoever could be asked for t shares of each kind, whatever each is told."""
    n, k, corrupt = 9, 6, 4
    for threshold in range(1, k + 1):
        risk = risks(Parameters(k, threshold), n, corrupt / n, 0.0, adversary="semi_malicious")
        chance = Fraction(0)
        for colluders in range(min(k, corrupt) + 1):
            honest = k - colluders
            # For some split of the honest neighbors both kinds reach the threshold.
            if any(
                seeds + colluders >= threshold and honest - seeds + colluders >= threshold
                for seeds in range(honest + 1)
            ):
                chance += exact.tail(n, corrupt, k, colluders - 1)
                chance -= exact.tail(n, corrupt, k, colluders)
        assert risk.exposed == pytest.approx(min(1.0, float(n * chance)), rel=1e-12, abs=0)


@pytest.mark.parametrize("adversary", ["semi_honest", "semi_malicious"])
@pytest.mark.parametrize("n", [100, 1000, 1_000_000])
def test_chosen_parameters_keep_the_bounds_and_lower_ones_do_not(n: int, adversary: Any) -> None:
    chosen = choose_parameters(n, 0.1, 0.2, adversary=adversary)
    risk = risks(chosen, n, 0.1, 0.2, adversary=adversary)
    assert risk.exposed < 2**-41
    assert risk.divided < 2**-41
    assert risk.lost < 2**-20
    lower = Parameters(chosen.neighbors, chosen.threshold - 1)
    assert risks(lower, n, 0.1, 0.2, adversary=adversary).exposed > 2**-41


def test_complete_graph_leaves_nothing_to_chance() -> None:
    for n, corrupt, gone in product(range(2, 11), range(10), range(10)):
        if corrupt >= n or gone >= n:
            continue
        for t in range(1, n + 1):
            fractions = (corrupt / n, gone / n)
            honest = risks(Parameters(n - 1, t), n, *fractions)
            lying = risks(Parameters(n - 1, t), n, *fractions, adversary="malicious")
            assert honest == (float(corrupt >= t), 0.0, float(n - gone < t))
            assert lying == (float(2 * t <= n + corrupt), 0.0, float(n - gone < t))


@pytest.mark.parametrize(
    ("parameters", "adversary", "name"),
    [
        ((7, 3), "semi_honest", "even"),
        ((0, 1), "semi_honest", "neighbors"),
        ((100, 3), "semi_honest", "neighbors"),
        ((8, 0), "semi_honest", "threshold"),
        ((8, 10), "semi_honest", "threshold"),
        ((8, 4), "malicious", "complete graph"),
        ((8, 4), "friendly", "adversary"),
    ],
)
def test_refused(parameters: Any, adversary: Any, name: str) -> None:
    with pytest.raises(LocalProtocolError, match=name):
        risks(Parameters(*parameters), 100, 0.1, 0.1, adversary=adversary)
    with pytest.raises(LocalProtocolError, match=name):
        explain(Parameters(*parameters), 100, 0.1, 0.1, adversary=adversary)


def test_explanation_in_words() -> None:
    text = explain(choose_parameters(1000, 0.1, 0.1), 1000, 0.1, 0.1)
    others = "48 of the 999 others, drawn at random"
    assert text.splitlines() == [
        "1000 clients, semi-honest server",
        "  100 clients at most collude with it, 100 at most drop out",
        "neighbors 48",
        f"  each client masks against, and sends shares of its secrets to, {others}",
        "threshold 27",
        "  27 shares give a secret back, fewer say nothing about it",
        "privacy fails: 2^-42.7 at most (asked for: 2^-40)",
        "  2^-42.7 at most: somebody has 27 colluding neighbors or more",
        "  2^-99.8 at most: the honest survivors fall into groups that share no masks",
        "no result: 2^-24.7 at most (asked for: 2^-20)",
        "  when somebody keeps fewer than 27 neighbors; nothing is revealed then",
    ]


def test_explanation_of_other_graphs() -> None:
    complete = explain(Parameters(9, 7), 10, 0.3, 0.3, adversary="malicious")
    assert "all others" in complete
    assert "privacy fails: never" in complete
    weak = explain(Parameters(9, 4), 10, 0.3, 0.3, adversary="malicious")
    assert "privacy fails: possible" in weak
    lied_to = explain(Parameters(96, 67), 1000, 0.1, 0.1, adversary="semi_malicious")
    assert "38 colluding neighbors or more, enough if the rest is lied to" in lied_to
    with pytest.raises(LocalProtocolError, match="sigma"):
        explain(Parameters(48, 27), 1000, 0.1, 0.1, sigma=0)


def test_semi_malicious_parameters_do_not_leave_room_for_a_share_of_one_s_own() -> None:
    """100 clients, 5 of them corrupt: safe by the neighbors' shares, lost with one share more."""
    neighbors, threshold = choose_parameters(100, 0.05, 0.2, adversary="semi_malicious")
    honest = neighbors - 5
    assert 2 * threshold > honest + 2 * 5
    assert 2 * threshold <= honest + 2 * 5 + 1

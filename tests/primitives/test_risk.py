"""Failure bounds: what they count, that chosen parameters keep them, and how they read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fractions import Fraction
from itertools import permutations, product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedsecure.errors import LocalProtocolError, ThresholdError
from fedsecure.primitives.parameters import (
    Parameters,
    Shape,
    choose_parameters,
    policy_parameters,
)
from fedsecure.primitives.risk import explain, risks
from reference import hypergeometric as exact


def rings(n: int) -> Iterable[tuple[int, ...]]:
    return ((0, *rest) for rest in permutations(range(1, n)))


def near(ring: tuple[int, ...], place: int, k: int) -> set[int]:
    return {ring[(place + s) % len(ring)] for s in range(-k // 2, k // 2 + 1) if s}


@pytest.mark.parametrize("threshold", [1, 2, 3, 4])
@pytest.mark.parametrize(("corrupt", "dropouts"), [(3, 2), (2, 2), (3, 0), (4, 1)])
def test_exposed_and_lost_are_expected_numbers_over_all_rings(
    corrupt: int, dropouts: int, threshold: int
) -> None:
    """By enumeration: exact for the union over all clients, in the worst of the rosters."""
    n, k = 7, 4
    exposed, lost = [], []
    for m in range(n - dropouts, n + 1):
        bad, gone = set(range(corrupt)), set(range(n - dropouts, m))
        counts = [0, 0, 0]
        for ring in rings(m):
            counts[2] += 1
            for place in range(m):
                others = near(ring, place, k)
                counts[0] += len(others & bad) >= threshold
                counts[1] += len(others - gone) < threshold
        exposed.append(min(1.0, counts[0] / counts[2]))
        lost.append(min(1.0, counts[1] / counts[2]))
    risk = risks(Parameters(k, threshold), n, corrupt / n, dropouts / n)
    assert risk.exposed == pytest.approx(max(exposed), rel=1e-12)
    assert risk.lost == pytest.approx(max(lost), rel=1e-12, abs=1e-300)


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
    chosen = policy_parameters(n, 0.1, 0.2, adversary=adversary)
    risk = risks(chosen, n, 0.1, 0.2, adversary=adversary)
    assert risk == risks(Parameters(*chosen[:2]), n, 0.1, 0.2, adversary=adversary)
    assert risk.exposed < 2**-41
    assert risk.divided < 2**-41
    assert risk.lost < 2**-20
    lower = chosen._replace(threshold=chosen.threshold - 1)
    assert risks(lower, n, 0.1, 0.2, adversary=adversary).exposed > 2**-41


@pytest.mark.parametrize("survivors", [25, 28, 30, 35, 40])
def test_survivors_say_which_rosters_there_are(survivors: int) -> None:
    """Fewer survivors than planned: more may be gone, and of the rest more are corrupt."""
    n, k, t, corrupt, dropouts = 40, 20, 8, 6, 10
    risk = risks(Shape(k, t - 3, survivors), n, corrupt / n, dropouts / n)
    exposed, divided = Fraction(0), Fraction(0)
    for m in range(survivors, n + 1):
        exposed = max(exposed, m * exact.above(m, corrupt, k)[t - 4])
        divided = max(divided, exact.divided(m, corrupt + m - survivors, k))
    assert exposed > 0
    assert risk.exposed == pytest.approx(min(1.0, float(exposed)), rel=1e-11)
    assert risk.divided == pytest.approx(float(divided), rel=1e-11)
    risk = risks(Shape(k, t, survivors), n, corrupt / n, dropouts / n)
    lost = n * exact.stay(n, dropouts, k)[t]
    enough = n - dropouts >= survivors
    assert risk.lost == pytest.approx(float(lost) if enough else 1.0, rel=1e-11, abs=0)


def test_all_clients_of_the_smallest_roster_are_corrupt() -> None:
    assert risks(Shape(4, 3, 6), 20, 0.5, 0.2).exposed == 1.0
    assert risks(Shape(4, 3, 20), 20, 0.0, 0.0) == (0.0, 0.0, 0.0)


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
        ((8, 9), "semi_honest", "threshold"),
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


@pytest.mark.parametrize("shape", [(20, 11, 20), (20, 11, 101), (20, 11, 90.0), (99, 60, 59)])
def test_survivors_that_cannot_be(shape: Any) -> None:
    with pytest.raises(LocalProtocolError, match="survivors"):
        risks(Shape(*shape), 100, 0.1, 0.1)


def test_complete_graph_with_more_survivors_than_the_threshold() -> None:
    assert risks(Shape(9, 6, 8), 10, 0.2, 0.2) == (0.0, 0.0, 0.0)
    assert risks(Shape(9, 6, 9), 10, 0.2, 0.2) == (0.0, 0.0, 1.0)


def test_explanation_in_words() -> None:
    text = explain(policy_parameters(1000, 0.1, 0.1), 1000, 0.1, 0.1)
    others = "48 others, drawn at random from those that answer"
    left = "somebody keeps fewer than 28 neighbors, or fewer than 900 clients are left"
    assert text.splitlines() == [
        "1000 clients, semi-honest server",
        "  100 clients at most collude with it, 100 at most drop out",
        "neighbors 48",
        f"  each client masks against, and sends shares of its secrets to, {others}",
        "threshold 28",
        "  28 shares give a secret back, fewer say nothing about it",
        "survivors 900",
        "  the least number of clients at every stage, and in the sum; with fewer there is none",
        "  so the updates of 800 honest clients or more are in it",
        "privacy fails: 2^-42.8 at most (asked for: 2^-40)",
        "  2^-42.8 at most: somebody has 28 colluding neighbors or more",
        "  2^-99.8 at most: the honest survivors fall into groups that share no masks",
        "no result: 2^-21.5 at most (asked for: 2^-20)",
        f"  when {left}; nothing is revealed then",
        "all this for the worst of 900 to 1000 that may answer,",
        "  if who colludes and who drops out does not depend on how the graph was drawn",
    ]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.integers(3, 20_000),
    st.integers(0, 40),
    st.integers(0, 40),
    st.integers(1, 100),
    st.integers(1, 60),
    st.sampled_from(["semi_honest", "semi_malicious", "malicious"]),
)
def test_explanation_shows_what_was_asked_for(
    n: int, corrupt: int, dropout: int, sigma: int, eta: int, adversary: Any
) -> None:
    wanted: Any = {"sigma": sigma, "eta": eta, "adversary": adversary}
    try:
        chosen = policy_parameters(n, corrupt / 100, dropout / 100, **wanted)
    except ThresholdError:
        return
    text = explain(chosen, n, max(corrupt / 100, 1 / n), dropout / 100, **wanted)
    line = r"^(?:privacy fails|no result): (.*) \(asked for: 2\^-(\d+)\)$"
    shown = re.findall(line, text, re.MULTILINE)
    assert len(shown) == 2
    for found, asked in shown:
        assert found == "never" or float(found.removesuffix(" at most")[3:]) >= int(asked)
    assert f"\nsurvivors {chosen.survivors}\n" in text


def test_explanation_of_other_graphs() -> None:
    complete = explain(Parameters(9, 7), 10, 0.3, 0.3, adversary="malicious")
    assert "all others\n" in complete
    assert "survivors 7\n" in complete
    assert "so the updates of 4 honest clients or more" in complete
    assert "not covered" not in complete
    assert "  when fewer than 7 clients are left; nothing" in complete
    assert "drawn" not in complete
    assert "privacy fails: never" in complete
    weak = explain(Parameters(9, 4), 10, 0.3, 0.3, adversary="malicious")
    assert "privacy fails: possible" in weak
    lied_to = explain(Parameters(96, 67), 1000, 0.1, 0.1, adversary="semi_malicious")
    assert "38 colluding neighbors or more, enough if the rest is lied to" in lied_to
    assert "not covered: a server that tells each client of other dropouts" in lied_to
    alone = explain(Parameters(9, 7), 10, 0.1, 0.3, adversary="semi_malicious")
    assert "even a single update: plan for a malicious one" in alone
    with pytest.raises(LocalProtocolError, match="sigma"):
        explain(Parameters(48, 27), 1000, 0.1, 0.1, sigma=0)


def test_semi_malicious_parameters_do_not_leave_room_for_a_share_of_one_s_own() -> None:
    """100 clients, 5 of them corrupt: safe by the neighbors' shares, lost with one share more."""
    neighbors, threshold = choose_parameters(100, 0.05, 0.2, adversary="semi_malicious")
    honest = neighbors - 5
    assert 2 * threshold > honest + 2 * 5
    assert 2 * threshold <= honest + 2 * 5 + 1

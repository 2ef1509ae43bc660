"""Graph, threshold and survivors: what each policy asks for, and what it lets others ask for."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest

from fedsecure.errors import FedSecureError, LocalProtocolError, ThresholdError
from fedsecure.primitives import parameters
from fedsecure.protocols.masking import PairwiseMasking, policy
from fedsecure.protocols.masking.policy import Shape
from parties import LEVELS, Parties

if TYPE_CHECKING:
    from collections.abc import Iterator

WEAKER = LEVELS[:2]
REGULAR = {"adversary": "semi_honest", "neighbors": 24, "corrupt": 0.1, "dropout": 0.1}


def shape(count: int, **wishes: Any) -> Shape:
    return PairwiseMasking(**wishes).shape_for(count)


def check(count: int, offered: Shape, **wishes: Any) -> None:
    policy.check_shape(PairwiseMasking(**wishes)._wishes, count, offered)


def part(fraction: float | None, count: int) -> int:
    """The fraction of so many clients, rounded down, without the errors of floating point."""
    return math.floor(Fraction(str(fraction or 0)) * count)


def expected(
    count: int,
    *,
    adversary: Any,
    threshold: int | None,
    neighbors: int | None,
    corrupt: float | None,
    dropout: float | None,
) -> Shape:
    """The rules, once more: `ThresholdError` where there is no such session."""
    lost = (0.1 if corrupt is None else corrupt, 0.1 if dropout is None else dropout)
    if neighbors is not None and neighbors < count - 1:
        if threshold is None:
            threshold = parameters.regular_threshold(count, neighbors, *lost, adversary=adversary)
        return parameters.check_regular(count, neighbors, threshold, *lost, adversary=adversary)
    if count > 64 and adversary != "malicious" and threshold is None and neighbors is None:
        found = parameters.policy_parameters(count, *lost, adversary=adversary)
        if found.neighbors < count - 1:
            return found
    colluders = 0 if adversary == "semi_honest" else 1
    if corrupt is not None:
        colluders = max(1, part(corrupt, count))
    # Two groups of t have t + t - n clients in common: more than all colluders.
    least = next(t for t in itertools.count(3) if 2 * t > count + colluders)
    usual = 2 * count // 3 + 1 if corrupt is None else 3
    chosen = max(usual, least) if threshold is None else threshold
    if not least <= chosen <= count - part(dropout, count) or chosen - colluders < 2:
        raise ThresholdError("no")
    return Shape(count - 1, chosen, chosen)


def combinations(adversary: str) -> Iterator[dict[str, Any]]:
    """Every combination of wishes; those of which the policy itself is refused left out."""
    neighbors = (None,) if adversary == "malicious" else (None, 8, 30, 98, 100)
    for threshold, degree, corrupt, dropout in itertools.product(
        (None, 3, 8, 30, 34, 51, 68, 100), neighbors, (None, 0, 0.05, 0.3), (None, 0.0, 0.05, 0.3)
    ):
        yield {
            "adversary": adversary,
            "threshold": threshold,
            "neighbors": degree,
            "corrupt": corrupt,
            "dropout": dropout,
        }


@pytest.mark.parametrize("adversary", LEVELS)
@pytest.mark.parametrize("count", [3, 4, 9, 10, 31, 63, 64, 65, 100, 101])
def test_every_combination(count: int, adversary: str) -> None:
    """The shape by the rules, or a refusal; and what a policy asks for, it also accepts."""
    made = 0
    for wishes in combinations(adversary):
        try:
            due = expected(count, **wishes)
        except FedSecureError as error:
            # A threshold beyond the degree is out of range rather than unsafe.
            with pytest.raises(type(error)):
                shape(count, **wishes)
            continue
        assert shape(count, **wishes) == due, wishes
        check(count, due, **wishes)
        made += 1
    assert made > 4


def least(count: int, corrupt: float, dropout: float) -> Shape | None:
    """What `complete_threshold` says, at least 3; None if it refuses."""
    numbers = max(1, part(corrupt, count)), part(dropout, count)
    try:
        threshold = max(3, parameters.complete_threshold(count, *numbers))
    except ThresholdError:
        return None
    return Shape(count - 1, threshold, threshold) if threshold <= count - numbers[1] else None


@pytest.mark.parametrize("adversary", LEVELS)
def test_stated_colluders_make_the_threshold_that_of_the_complete_graph(adversary: str) -> None:
    for count in range(3, 65):
        for corrupt, dropout in itertools.product((0.0, 0.1, 0.29, 0.5, 0.9), repeat=2):
            wishes = {"adversary": adversary, "corrupt": corrupt, "dropout": dropout}
            due = least(count, corrupt, dropout)
            if due is not None:
                assert shape(count, **wishes) == due
                continue
            with pytest.raises(ThresholdError):
                shape(count, **wishes)


def test_a_fraction_means_what_it_says() -> None:
    """0.29 * 100 and 0.58 * 100 are a little less than 29 and 58 in floating point."""
    assert shape(100, threshold=71, dropout=0.29).threshold == 71
    with pytest.raises(ThresholdError, match=r"72 can never be reached.* 29 drop out"):
        shape(100, threshold=72, dropout=0.29)
    assert shape(100, corrupt=0.58).threshold == (100 + 58) // 2 + 1
    assert shape(200, corrupt=0.29).threshold == (200 + 58) // 2 + 1


@pytest.mark.parametrize("adversary", LEVELS)
def test_two_thirds_of_the_clients_unless_somebody_says_who_lies(adversary: str) -> None:
    for count in (3, 4, 5, 6, 10, 50, 64):
        threshold = 2 * count // 3 + 1
        assert shape(count, adversary=adversary) == (count - 1, threshold, threshold)


@pytest.mark.parametrize(
    ("adversary", "least_of"),
    [
        ("semi_honest", {3: 3, 4: 3, 5: 3, 6: 4, 10: 6, 11: 6}),
        ("semi_malicious", {3: 3, 4: 3, 5: 4, 6: 4, 10: 6, 11: 7}),
        ("malicious", {3: 3, 4: 3, 5: 4, 6: 4, 10: 6, 11: 7}),
    ],
)
def test_the_least_thresholds_by_hand(adversary: str, least_of: dict[int, int]) -> None:
    for count, threshold in least_of.items():
        given = {"adversary": adversary, "threshold": threshold}
        assert shape(count, **given).threshold == threshold
        if threshold > 3:
            reason = rf"threshold {threshold - 1} is too low.*at least {threshold}$"
            with pytest.raises(ThresholdError, match=reason):
                shape(count, adversary=adversary, threshold=threshold - 1)


def test_a_malicious_server_has_the_complete_graph_to_deal_with() -> None:
    for count in (65, 100, 1000):
        assert shape(count).neighbors == count - 1
        for adversary in WEAKER:
            found = shape(count, adversary=adversary)
            assert found.neighbors < count - 1
            assert found.survivors == count - part(0.1, count)
            assert shape(count, adversary=adversary, threshold=count - 5) == (
                (count - 1, count - 5, count - 5)
            )


def test_where_no_regular_graph_will_do_the_graph_is_complete() -> None:
    wishes = {"adversary": "semi_malicious", "corrupt": 0.3, "dropout": 0.3}
    assert shape(70, **wishes) == least(70, 0.3, 0.3)
    assert shape(70, **wishes, neighbors=69 + 1) == least(70, 0.3, 0.3)
    with pytest.raises(ThresholdError, match=r"68 neighbors of 70 clients.*semi_malicious"):
        shape(70, **wishes, neighbors=68)


@pytest.mark.parametrize("count", [0, 1, 2])
@pytest.mark.parametrize("adversary", LEVELS)
def test_fewer_than_three_can_hide_nothing(adversary: str, count: int) -> None:
    with pytest.raises(ThresholdError, match=f"{count} clients are too few.*at least 3"):
        shape(count, adversary=adversary)


@pytest.mark.parametrize(
    ("wishes", "error", "reason"),
    [
        ({"adversary": "honest"}, LocalProtocolError, r"adversary is 'honest'; use \"malicious\""),
        ({"adversary": None}, LocalProtocolError, "adversary is None"),
        ({"adversary": "semi-honest"}, LocalProtocolError, "semi_honest"),
        ({"threshold": "3"}, LocalProtocolError, "threshold is '3'; use an integer or None"),
        ({"neighbors": 8.0}, LocalProtocolError, "neighbors is 8.0; use an integer or None"),
        ({"neighbors": True}, LocalProtocolError, "neighbors is True"),
        ({"corrupt": 1}, LocalProtocolError, "corrupt is 1; use a fraction"),
        ({"corrupt": -0.1}, LocalProtocolError, "corrupt is -0.1; use a fraction"),
        ({"corrupt": float("nan")}, LocalProtocolError, "corrupt is nan"),
        ({"corrupt": False}, LocalProtocolError, "corrupt is False"),
        ({"dropout": 1.0}, LocalProtocolError, "dropout is 1.0; use a fraction"),
        ({"dropout": "0.1"}, LocalProtocolError, "dropout is '0.1'"),
        ({"threshold": 2}, ThresholdError, "threshold 2 is below 3: in a sum of two"),
        ({"neighbors": 8}, LocalProtocolError, "no k-regular graph withstands a malicious"),
        ({"adversary": "semi_honest", "neighbors": 7}, LocalProtocolError, "is 7; use an even"),
        ({"adversary": "semi_honest", "neighbors": 0}, LocalProtocolError, "is 0; use an even"),
        ({"adversary": "semi_honest", "neighbors": -2}, LocalProtocolError, "is -2; use an even"),
    ],
)
def test_wishes_that_make_no_sense(
    wishes: dict[str, Any], error: type[FedSecureError], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        PairwiseMasking(**wishes)


@pytest.mark.parametrize(
    ("count", "wishes", "reason"),
    [
        (10, {"threshold": 11}, "11 can never be reached by 10 clients of which 0 drop out"),
        (10, {"threshold": 9, "dropout": 0.2}, "9 can never be reached.*2 drop out; use at most 8"),
        (10, {"threshold": 7, "corrupt": 0.5}, "7 is too low for 10 clients.*use at least 8"),
        (10, {"corrupt": 0.5, "dropout": 0.3}, "8 can never be reached.*of which 3 drop out"),
        (100, {"adversary": "semi_honest", "neighbors": 8}, "8 neighbors of 100.*use 22 neighbors"),
        (100, {**REGULAR, "threshold": 10}, "threshold 10 is too low for 24 .*use 11 to 14"),
        (100, {**REGULAR, "threshold": 15}, "threshold 15 is too high for 24 .*use 11 to 14"),
    ],
)
def test_wishes_that_cannot_be_met(count: int, wishes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ThresholdError, match=reason):
        shape(count, **wishes)


# --- what a party accepts ---------------------------------------------------------------------


@pytest.mark.parametrize("adversary", LEVELS)
@pytest.mark.parametrize(("field", "name"), [(0, "neighbors"), (1, "threshold"), (2, "survivors")])
def test_less_than_the_policy_asks_for_is_refused(adversary: str, field: int, name: str) -> None:
    """Each of the three numbers alone, at every level and on both kinds of graph."""
    for count in (10, 100):
        mine = shape(count, adversary=adversary)
        lower = mine[field] - (2 if field == 0 else 1)
        offered = Shape(*(lower if at == field else value for at, value in enumerate(mine)))
        reason = f"the session's {name} {lower} is below the {mine[field]}.*with {count} clients"
        with pytest.raises(ThresholdError, match=reason):
            check(count, offered, adversary=adversary)
        check(count, mine, adversary=adversary)


@pytest.mark.parametrize("adversary", LEVELS)
def test_more_than_the_policy_asks_for_is_welcome_in_the_complete_graph(adversary: str) -> None:
    mine = shape(10, adversary=adversary)
    for more in range(10 - mine.threshold + 1):
        check(10, Shape(9, mine.threshold + more, mine.threshold + more), adversary=adversary)
        check(10, Shape(9, mine.threshold, mine.threshold + more), adversary=adversary)


@pytest.mark.parametrize("adversary", WEAKER)
def test_another_regular_graph_is_judged_for_itself(adversary: Any) -> None:
    """Every degree and threshold: accepted if and only if it is safe, and not below the policy."""
    mine = shape(100, adversary=adversary)
    accepted = 0
    for neighbors in range(mine.neighbors, 60, 4):
        for threshold in range(1, neighbors + 1):
            offered = Shape(neighbors, threshold, mine.survivors)
            try:
                safe = parameters.check_regular(
                    100, neighbors, threshold, 0.1, 0.1, adversary=adversary
                )
            except FedSecureError:
                safe = None
            if safe is not None and threshold >= mine.threshold:
                check(100, offered, adversary=adversary)
                accepted += 1
                continue
            with pytest.raises(ThresholdError):
                check(100, offered, adversary=adversary)
    assert accepted > 20


@pytest.mark.parametrize("adversary", WEAKER)
@pytest.mark.parametrize("count", [65, 100, 101])
def test_the_complete_graph_in_place_of_a_regular_one(adversary: str, count: int) -> None:
    """Nothing is left to chance there: its own rule decides, for the colluders that are named."""
    wishes = {"adversary": adversary, "corrupt": 0.1}
    assert shape(count, **wishes).neighbors < count - 1
    threshold = parameters.complete_threshold(count, part(0.1, count), 0)
    check(count, Shape(count - 1, threshold, threshold), **wishes)
    check(count, Shape(count - 1, count, count), **wishes)
    for below in (
        Shape(count - 1, threshold - 1, threshold),
        Shape(count - 1, threshold, threshold - 1),
    ):
        with pytest.raises(ThresholdError, match=f"below the {threshold} that"):
            check(count, below, **wishes)


def test_a_regular_graph_in_place_of_the_complete_one() -> None:
    """Whoever asks for the complete graph, by size, by threshold or by name, gets no other."""
    regular = Shape(20, 14, 90)
    for wishes in (
        {},
        {"adversary": "semi_honest", "threshold": 51},
        {"adversary": "semi_malicious", "neighbors": 100},
    ):
        with pytest.raises(ThresholdError, match="neighbors 20 is below the 99"):
            check(100, regular, **wishes)


@pytest.mark.parametrize("party", ["client", "server"])
def test_parties_refuse_the_session_of_another_policy(party: str) -> None:
    """Through the front door: a session for k neighbors, and a policy that asks for more."""
    session = Parties(12, adversary="semi_honest", neighbors=8).session
    assert (session.neighbors, session.threshold, session.survivors) == (8, 3, 11)
    least = {"adversary": "semi_honest", "chunk": session.chunk}

    def make(**wishes: Any) -> object:
        made = PairwiseMasking(**least, **wishes)
        return made.server(session) if party == "server" else made.client(session, 0)

    assert make(neighbors=8)
    with pytest.raises(ThresholdError, match="neighbors 8 is below the 11"):
        make()
    with pytest.raises(ThresholdError, match="threshold 3 is below the 6"):
        make(neighbors=8, threshold=6)
    with pytest.raises(ThresholdError, match="survivors 11 is below the 12"):
        make(neighbors=8, dropout=0)

"""The accountant: published epsilons, budgets, refusals, reports, saved states."""

from __future__ import annotations

import dataclasses
import sys

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import given, settings

from fedsecure.errors import BudgetError, LocalProtocolError, RemoteProtocolError
from fedsecure.privacy import (
    DDGaussEvent,
    DiscreteLaplaceEvent,
    Event,
    ExponentialEvent,
    FixedSizeSampling,
    GaussianEvent,
    LaplaceEvent,
    NoSampling,
    PoissonSampling,
    PrivacyAccountant,
    Relation,
    SkellamEvent,
)
from privacy.tables import SAMPLED_GAUSSIAN, agree

ADD = Relation.ADD_OR_REMOVE_ONE
ZERO = Relation.REPLACE_SPECIAL
REPLACE = Relation.REPLACE_ONE
DELTA = 1e-5


def spent(event: Event, count: int = 1, delta: float = DELTA, how: str = "rdp") -> float:
    accountant = PrivacyAccountant(event.relation, accountant=how)  # type: ignore[arg-type]
    accountant.compose(event, count)
    return accountant.get_epsilon(delta)


@pytest.mark.parametrize("row", SAMPLED_GAUSSIAN)
def test_sampled_gaussian(row: tuple) -> None:
    q, z, rounds, delta, _, rdp, pld = row
    sampling = PoissonSampling(q) if q < 1 else NoSampling()
    for relation in (ADD, ZERO):
        event = GaussianEvent(z, sampling=sampling, relation=relation)
        assert agree(spent(event, rounds, delta), rdp)
    assert agree(spent(event, rounds, delta, "pld"), pld)
    assert spent(event, rounds, delta) >= spent(event, rounds, delta, "pld")


@pytest.mark.parametrize("row", SAMPLED_GAUSSIAN)
def test_integer_orders_cost_little_against_the_librarys_own(row: tuple) -> None:
    import dp_accounting as library

    q, z, rounds, delta, default, rdp, _ = row
    accountant = library.rdp.RdpAccountant()
    event = library.PoissonSampledDpEvent(q, library.GaussianDpEvent(z))
    theirs = accountant.compose(event, rounds).get_epsilon(delta)
    assert agree(theirs, default)
    assert theirs <= float(rdp) + 1e-6 <= 1.01 * theirs + 1e-6


def test_fractional_orders_of_the_library_are_loose_where_integers_are_not() -> None:
    # Little noise, many rounds: the truth is below 784.
    event = GaussianEvent(0.5, sampling=PoissonSampling(0.1), relation=ADD)
    assert spent(event, 10_000) > 2000
    assert spent(event, 10_000, how="pld") < 784


def test_cohorts_of_fixed_size_are_not_poisson() -> None:
    fixed = GaussianEvent(2.0, sampling=FixedSizeSampling(1000, 100), relation=REPLACE)
    poisson = GaussianEvent(2.0, sampling=PoissonSampling(0.1), relation=ADD)
    assert spent(fixed, 100) == pytest.approx(5.3790, abs=1e-4)
    assert spent(poisson, 100) == pytest.approx(2.5867, abs=1e-4)

    import dp_accounting as library

    accountant = library.rdp.RdpAccountant()  # 2.58 at its default orders
    event = library.PoissonSampledDpEvent(0.1, library.GaussianDpEvent(2.0))
    assert accountant.compose(event, 100).get_epsilon(DELTA) == pytest.approx(2.5806, abs=1e-4)


@pytest.mark.parametrize("relation", [ADD, ZERO])
def test_fixed_cohorts_are_refused_but_for_replacing(relation: Relation) -> None:
    with pytest.raises(LocalProtocolError, match="do not go together"):
        GaussianEvent(2.0, sampling=FixedSizeSampling(1000, 100), relation=relation)


def test_poisson_is_refused_for_replacing() -> None:
    with pytest.raises(LocalProtocolError, match="do not go together"):
        SkellamEvent(10, 10, 100, sampling=PoissonSampling(0.1), relation=REPLACE)


def test_relations_do_not_mix() -> None:
    accountant = PrivacyAccountant(ADD)
    with pytest.raises(LocalProtocolError, match="ADD_OR_REMOVE_ONE"):
        accountant.compose(GaussianEvent(1.0))
    assert accountant.ledger == {}


def test_a_multiplier_counts_the_sensitivity_of_its_relation() -> None:
    values = [spent(GaussianEvent(2.0, relation=relation), 10, how="pld") for relation in Relation]
    assert values[0] == values[1] == values[2]


def test_laplace_and_geometric_compositions() -> None:
    assert agree(spent(LaplaceEvent(1.0), 10, how="pld"), "9.98996")
    assert agree(spent(DiscreteLaplaceEvent(0.5), 10, how="pld"), "4.998854")
    for event in (LaplaceEvent(1.0), DiscreteLaplaceEvent(0.5), ExponentialEvent(1.0)):
        tight, loose = spent(event, 10, how="pld"), spent(event, 10)
        assert tight <= loose <= 1.001 * tight


def test_sampled_choice_is_amplified() -> None:
    choice = ExponentialEvent(0.5, sampling=PoissonSampling(0.1))
    assert spent(choice, 1, 1e-9, "pld") == pytest.approx(0.0628, abs=1e-3)
    large = ExponentialEvent(900.0, sampling=PoissonSampling(0.1))
    assert spent(large, 1) < 900


def test_mixed_releases_add_up() -> None:
    together = PrivacyAccountant(ZERO)
    together.compose(GaussianEvent(4.0), 5)
    together.compose(LaplaceEvent(5.0), 5)
    total = spent(GaussianEvent(4.0), 5, how="pld") + spent(LaplaceEvent(5.0), 5, how="pld")
    assert spent(GaussianEvent(4.0), 5, how="pld") < together.get_epsilon(DELTA) < total


def test_nothing_released_is_free() -> None:
    accountant = PrivacyAccountant(ZERO)
    assert accountant.get_epsilon(DELTA) == accountant.get_delta(0.0) == 0
    assert "epsilon 0" in str(accountant.report(DELTA))


@pytest.mark.parametrize("how", ["pld", "rdp"])
def test_delta_is_the_inverse_of_epsilon(how: str) -> None:
    accountant = PrivacyAccountant(ZERO, accountant=how)  # type: ignore[arg-type]
    accountant.compose(GaussianEvent(3.0), 10)
    epsilon = accountant.get_epsilon(DELTA)
    assert accountant.get_delta(epsilon) == pytest.approx(DELTA, rel=1e-3)


def test_budget_refuses_the_round_that_overspends_and_changes_nothing() -> None:
    accountant = PrivacyAccountant(ZERO, epsilon=4.0, delta=DELTA)
    event = GaussianEvent(4.0)
    rounds = 0
    while not accountant.would_exceed(event):
        accountant.compose(event)
        rounds += 1
    before = accountant.to_bytes()
    assert 1 < rounds < 100
    assert accountant.get_epsilon(DELTA) <= 4.0 < spent(event, rounds + 1, how="pld")
    is_spent = f"epsilon {accountant.get_epsilon(DELTA):.6g} is spent"
    would = f"would make it {spent(event, rounds + 1, how='pld'):.6g}"
    with pytest.raises(BudgetError, match=f"{is_spent}, and this {would}"):
        accountant.compose(event)
    assert accountant.to_bytes() == before
    assert accountant.budget == (4.0, DELTA)


def test_without_a_budget_nothing_is_refused() -> None:
    accountant = PrivacyAccountant(ZERO)
    assert not accountant.would_exceed(GaussianEvent(0.1), 1000)
    with pytest.raises(LocalProtocolError, match="delta"):
        accountant.report()


def test_report_says_everything() -> None:
    accountant = PrivacyAccountant(ZERO, epsilon=8.0, delta=DELTA, unit="record")
    accountant.compose(GaussianEvent(1.0, sampling=PoissonSampling(0.01)), 100)
    report = accountant.report()
    assert report.epsilon == accountant.get_epsilon(DELTA)
    assert report.epsilon_without_amplification == spent(GaussianEvent(1.0), 100, how="pld")
    assert report.epsilon < 2 < 50 < report.epsilon_without_amplification
    words = str(report)
    for part in ("each record", "zero-out", "Poisson", "trusted", "PLD", f"{report.epsilon:.4g}"):
        assert part in words
    assert f"epsilon {report.epsilon_without_amplification:.4g}" in words
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.epsilon = 0.0  # type: ignore[misc]


@pytest.mark.parametrize(
    "event",
    [
        SkellamEvent(100, 10, 1000),
        DDGaussEvent(100, 10, 10, 10, 16),
        GaussianEvent(2.0, sampling=FixedSizeSampling(100, 10), relation=REPLACE),
    ],
)
def test_report_says_where_loss_distributions_are_lacking(event: Event) -> None:
    accountant = PrivacyAccountant(event.relation)
    accountant.compose(event)
    report = accountant.report(DELTA)
    assert "RDP" in report.accountant
    assert f"PLD was asked for, but has nothing for {event.noise}" in report.accountant
    assert report.epsilon == spent(event)
    asked = PrivacyAccountant(event.relation, accountant="rdp")
    asked.compose(event)
    assert "PLD" not in asked.report(DELTA).accountant


EVENTS = [
    GaussianEvent(1.0, sampling=PoissonSampling(0.01)),
    SkellamEvent(100, 10, 1000.5, sampling=PoissonSampling(0.1)),
    DDGaussEvent(100, 10, 10, 10, 16),
    LaplaceEvent(3.0),
    DiscreteLaplaceEvent(0.5, 2),
    ExponentialEvent(0.1),
]


def test_saved_state_goes_on() -> None:
    accountant = PrivacyAccountant(ZERO, epsilon=50.0, delta=DELTA, unit="silo")
    for count, event in enumerate(EVENTS, start=1):
        accountant.compose(event, count)
    restored = PrivacyAccountant.from_bytes(accountant.to_bytes())
    assert restored.ledger == accountant.ledger
    assert restored.report() == accountant.report()
    assert restored.budget == accountant.budget
    fixed = PrivacyAccountant(REPLACE, accountant="rdp")
    fixed.compose(GaussianEvent(2.0, sampling=FixedSizeSampling(100, 10), relation=REPLACE))
    assert PrivacyAccountant.from_bytes(fixed.to_bytes()).ledger == fixed.ledger


def test_any_other_bytes_are_refused() -> None:
    accountant = PrivacyAccountant(ZERO, epsilon=50.0, delta=DELTA)
    accountant.compose(EVENTS[0], 3)
    good = accountant.to_bytes()
    changed = [good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :] for at in range(len(good))]
    for data in (b"", good + b"\0", good[:-1], *changed):
        try:
            restored = PrivacyAccountant.from_bytes(data)
        except RemoteProtocolError:
            continue
        assert restored.to_bytes() == data  # another state, in its one form


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        PrivacyAccountant.from_bytes(data)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (0, "another format"),
        (1, "NOBODY"),
        (2, [0.0, 1e-5]),
        (2, [1.0, 2.0]),
        (3, "guess"),
        (4, "planet"),
        (5, [["GaussianEvent", [1.0], "NoSampling", [], 0]]),
        (5, [["GaussianEvent", [1.0], "NoSampling", [], 10**10]]),
        (5, [["GaussianEvent", [-1.0], "NoSampling", [], 1]]),
        (5, [["GaussianEvent", [1.0, 2.0], "NoSampling", [], 1]]),
        (5, [["Event", [], "NoSampling", [], 1]]),
        (5, [["GaussianEvent", [1.0], "PoissonSampling", [2.0], 1]]),
        (5, [["GaussianEvent", [1.0], "FixedSizeSampling", [10, 1], 1]]),
        (5, [["GaussianEvent", [1.0], "NoSampling", [], 1]] * 2),
        (5, [["GaussianEvent", [float("nan")], "NoSampling", [], 1]]),
    ],
)
def test_impossible_states_are_refused(place: int, value: object) -> None:
    state = msgspec.msgpack.decode(PrivacyAccountant(ZERO).to_bytes())
    state[place] = value
    with pytest.raises(RemoteProtocolError, match="saved privacy accountant"):
        PrivacyAccountant.from_bytes(msgspec.msgpack.encode(state))


@settings(deadline=None, max_examples=30)
@given(
    z=st.floats(0.5, 20),
    q=st.floats(0.001, 0.9),
    rounds=st.integers(1, 1000),
    more=st.floats(1.05, 3),
    kind=st.sampled_from(["gaussian", "skellam", "ddgauss", "laplace"]),
)
def test_epsilon_grows_with_rounds_and_sampling_and_falls_with_noise(
    z: float, q: float, rounds: int, more: float, kind: str
) -> None:
    def epsilon(z: float, q: float, rounds: int) -> float:
        sampling = PoissonSampling(q)
        events = {
            "gaussian": GaussianEvent(z, sampling=sampling),
            "skellam": SkellamEvent(1000.0, 100.0, (100.0 * z) ** 2, sampling=sampling),
            "ddgauss": DDGaussEvent(1000.0, 100.0, 10.0 * z, 100, 64, sampling=sampling),
            "laplace": LaplaceEvent(z, sampling=sampling),
        }
        return spent(events[kind], rounds)

    base, slack = epsilon(z, q, rounds), 1 + 1e-9
    assert base <= epsilon(z, min(1.0, q * more), rounds) * slack
    assert base <= epsilon(z, q, int(rounds * more) + 1) * slack
    assert base * slack >= epsilon(z * more, q, rounds)


def test_without_the_library_the_error_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [each for each in sys.modules if each.partition(".")[0] == "dp_accounting"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "dp_accounting", None)
    with pytest.raises(LocalProtocolError, match=r"pip install 'fedsecure\[privacy\]'"):
        PrivacyAccountant(ZERO)
    from fedsecure.privacy import calibrate_noise

    with pytest.raises(LocalProtocolError, match=r"pip install 'fedsecure\[privacy\]'"):
        calibrate_noise(1.23456, 1e-5, 7)


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"relation": "replace_one"}, "relation"),
        ({"epsilon": 1.0}, "both"),
        ({"delta": 1e-5}, "both"),
        ({"epsilon": 0.0, "delta": 1e-5}, "epsilon"),
        ({"epsilon": 1.0, "delta": 1.0}, "delta"),
        ({"accountant": "prv"}, "accountant"),
        ({"unit": "planet"}, "unit"),
    ],
)
def test_refused_accountants(arguments: dict, what: str) -> None:
    with pytest.raises(LocalProtocolError, match=what):
        PrivacyAccountant(**{"relation": ZERO, **arguments})


def test_refused_compositions() -> None:
    accountant = PrivacyAccountant(ZERO)
    for event, count in [
        ("x", 1),
        (Event(), 1),
        (GaussianEvent(1.0), 0),
        (GaussianEvent(1.0), 1.0),
    ]:
        with pytest.raises(LocalProtocolError):
            accountant.compose(event, count)  # type: ignore[arg-type]
    with pytest.raises(LocalProtocolError, match="delta"):
        accountant.get_epsilon(0.0)
    with pytest.raises(LocalProtocolError, match="epsilon"):
        accountant.get_delta(-1.0)


@pytest.mark.parametrize(
    "make",
    [
        lambda: GaussianEvent(0.0),
        lambda: GaussianEvent(True),
        lambda: GaussianEvent("1"),  # type: ignore[arg-type]
        lambda: SkellamEvent(1, 10, 100),
        lambda: SkellamEvent(10, 10, 0),
        lambda: DDGaussEvent(10, 10, 1.0, 0, 1),
        lambda: DDGaussEvent(10, 10, 1.0, 1, 0),
        lambda: LaplaceEvent(float("inf")),
        lambda: DiscreteLaplaceEvent(0.5, 0),
        lambda: DiscreteLaplaceEvent(0.5, 1.5),  # type: ignore[arg-type]
        lambda: ExponentialEvent(-1.0),
        lambda: PoissonSampling(0.0),
        lambda: PoissonSampling(1.1),
        lambda: FixedSizeSampling(10, 11),
        lambda: FixedSizeSampling(10, 0),
        lambda: GaussianEvent(1.0, sampling=0.1),  # type: ignore[arg-type]
        lambda: GaussianEvent(1.0, relation="replace_one"),  # type: ignore[arg-type]
    ],
)
def test_refused_events(make: object) -> None:
    with pytest.raises(LocalProtocolError):
        make()  # type: ignore[operator]

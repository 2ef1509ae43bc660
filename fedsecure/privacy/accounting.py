"""Adds up what noisy releases cost, and refuses the one that would overspend.

Composition, loss distributions (PLD) and the conversion from Renyi differential privacy (RDP) are
those of Google's dp-accounting (the extra ``privacy``); what it lacks is in `_curves`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal, get_args

import numpy as np

from fedsecure.errors import BudgetError, LocalProtocolError
from fedsecure.privacy import _checks, _curves, _library, _saved
from fedsecure.privacy.events import Event, GaussianEvent, NoSampling, Relation
from fedsecure.privacy.report import PrivacyReport, Unit

__all__ = ["Accounting", "PrivacyAccountant", "spent_delta", "spent_epsilon"]

Accounting = Literal["pld", "rdp"]
"""Loss distributions, which are tight, or Renyi DP at integer orders, which every event has."""

MAX_COUNT = 10**9
Ledger = tuple[tuple[Event, int], ...]


class PrivacyAccountant:
    """What a run of noisy releases has spent, and whether another one fits its budget.

    Args:
        relation: The neighboring relation. Events for another one are refused.
        epsilon: The budget, together with ``delta``; without both, nothing is ever refused for its
            cost.
        delta: Chance that the guarantee of the budget fails, 0 < delta < 1; below one over the
            number of units for it to mean something.
        accountant: ``"pld"`` is tight and the default. Events without a loss distribution (Skellam
            and distributed discrete Gaussian noise, cohorts of fixed size) are accounted by
            ``"rdp"`` all the same, and all others with them; the report says so.
        unit: Whose data is hidden, which only the caller knows: what the sensitivity is the
            sensitivity to.

    Raises:
        LocalProtocolError: An argument is of the wrong type or out of range, or dp-accounting is
            not installed.
    """

    def __init__(
        self,
        relation: Relation,
        *,
        epsilon: float | None = None,
        delta: float | None = None,
        accountant: Accounting = "pld",
        unit: Unit = "client",
    ) -> None:
        if not isinstance(relation, Relation):
            raise LocalProtocolError(
                f"relation is {relation!r:.60}; use a member of fedsecure.privacy.Relation"
            )
        _check_choice("accountant", accountant, get_args(Accounting))
        _check_choice("unit", unit, get_args(Unit))
        if (epsilon is None) != (delta is None):
            raise LocalProtocolError(
                "a budget is both epsilon and delta: give both, or neither for no budget"
            )
        if epsilon is not None and delta is not None:
            _checks.known_target(epsilon, delta)
        _library.check_installed()
        self._relation = relation
        self._epsilon = epsilon
        self._delta = delta
        self._accountant: Accounting = accountant
        self._unit: Unit = unit
        self._ledger: dict[Event, int] = {}

    @property
    def relation(self) -> Relation:
        """The neighboring relation."""
        return self._relation

    @property
    def unit(self) -> Unit:
        """Whose data is hidden."""
        return self._unit

    @property
    def budget(self) -> tuple[float, float] | None:
        """The epsilon and delta that must not be exceeded, or None."""
        if self._epsilon is None or self._delta is None:
            return None
        return self._epsilon, self._delta

    @property
    def ledger(self) -> Mapping[Event, int]:
        """What was released so far, and how often. A copy."""
        return dict(self._ledger)

    def compose(self, event: Event, count: int = 1) -> None:
        """Records releases, before they happen. With a budget, refuses those that do not fit.

        Args:
            event: What is released.
            count: How often, 1..1e9 in all.

        Raises:
            BudgetError: The budget does not allow it; the message says what is spent and what this
                would take. Nothing has changed then.
            LocalProtocolError: The event is none, or is for another relation.
        """
        after = self._after(event, count)
        if self.budget is not None:
            epsilon, delta = self.budget
            would = spent_epsilon(after, delta, self._accountant)
            if would > epsilon:
                before = self.get_epsilon(delta)
                raise BudgetError(
                    f"the privacy budget of epsilon {epsilon:.6g} at delta {delta:.3g} does not "
                    f"allow {count} more of {event.noise} noise: epsilon {before:.6g} is spent, "
                    f"and this would make it {would:.6g}. Nothing was released; stop here, or "
                    "begin with more noise, fewer rounds or a larger budget"
                )
        self._ledger = dict(after)

    def record(self, event: Event, count: int = 1) -> None:
        """Records releases that have happened, whether the budget allows them or not.

        Args:
            event: What was released.
            count: How often, 1..1e9 in all.

        Raises:
            LocalProtocolError: As `compose`.
        """
        self._ledger = dict(self._after(event, count))

    def would_exceed(self, event: Event, count: int = 1) -> bool:
        """Returns whether `compose` would raise `BudgetError`. Nothing is recorded.

        Raises:
            LocalProtocolError: As `compose`.
        """
        after = self._after(event, count)
        if self.budget is None:
            return False
        epsilon, delta = self.budget
        return spent_epsilon(after, delta, self._accountant) > epsilon

    def get_epsilon(self, delta: float) -> float:
        """Returns the epsilon that everything recorded has spent, at some delta between 0 and 1."""
        _checks.between("delta", delta, 0, 1)
        return spent_epsilon(tuple(self._ledger.items()), delta, self._accountant)

    def get_delta(self, epsilon: float) -> float:
        """Returns the delta at which everything recorded has spent this epsilon, 0 or more."""
        _checks.not_negative("epsilon", epsilon)
        return spent_delta(tuple(self._ledger.items()), epsilon, self._accountant)

    def report(self, delta: float | None = None) -> PrivacyReport:
        """Returns what was spent, and everything that has to be assumed for it to be true.

        Args:
            delta: By default that of the budget.

        Raises:
            LocalProtocolError: There is neither a delta nor a budget.
        """
        at = self._delta if delta is None else delta
        if at is None:
            raise LocalProtocolError("there is no budget to take delta from: give report() a delta")
        bare: dict[Event, int] = {}
        for event, count in self._ledger.items():
            plain = event.without_amplification()
            bare[plain] = bare.get(plain, 0) + count
        return PrivacyReport(
            unit=self._unit,
            relation=self._relation,
            trust="; ".join(dict.fromkeys(event.trust for event in self._ledger)),
            sampling="; ".join(dict.fromkeys(str(event.sampling) for event in self._ledger)),
            accountant=self._method(),
            delta=at,
            epsilon=self.get_epsilon(at),
            epsilon_without_amplification=spent_epsilon(tuple(bare.items()), at, self._accountant),
            releases=sum(self._ledger.values()),
        )

    def to_bytes(self) -> bytes:
        """Returns everything that `from_bytes` needs to go on from here."""
        return _saved.encode(
            self._relation, self.budget, self._accountant, self._unit, self._ledger
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> PrivacyAccountant:
        """Returns the accountant that `to_bytes` saved.

        Keep the newest state only: one that is older forgets what was spent since.

        Raises:
            RemoteProtocolError: The bytes are not exactly what `to_bytes` returns.
            LocalProtocolError: dp-accounting is not installed.
        """
        saved = _saved.decode(data)
        epsilon, delta = saved.budget or (None, None)
        restored = cls(
            saved.relation,
            epsilon=epsilon,
            delta=delta,
            accountant=saved.accountant,
            unit=saved.unit,
        )
        restored._ledger = dict(saved.ledger)
        return restored

    def __repr__(self) -> str:
        return (
            f"<PrivacyAccountant of {sum(self._ledger.values())} releases, "
            f"{self._relation.name}, budget {self.budget}>"
        )

    def _after(self, event: Event, count: int) -> Ledger:
        if not isinstance(event, Event) or type(event) is Event:
            raise LocalProtocolError(
                f"{event!r:.60} is no event; use one of those in fedsecure.privacy"
            )
        _checks.whole("count", count, 1, MAX_COUNT)
        if event.relation is not self._relation:
            raise LocalProtocolError(
                f"this accountant is for the relation '{self._relation}', the event for "
                f"'{event.relation}': they do not add up. Make the event for "
                f"{self._relation.name}, with the sensitivity it has there"
            )
        total = self._ledger.get(event, 0) + count
        _checks.whole("count in all", total, 1, MAX_COUNT)
        return tuple({**self._ledger, event: total}.items())

    def _method(self) -> str:
        if self._accountant == "pld" and all(map(_library.has_loss_distribution, self._ledger)):
            return "loss distributions (PLD), dp-accounting"
        words = "Renyi DP at integer orders (RDP)"
        if self._accountant == "rdp":
            return words
        lacking = dict.fromkeys(
            f"{event.noise} noise with {event.sampling}"
            for event in self._ledger
            if not _library.has_loss_distribution(event)
        )
        return f"{words}; PLD was asked for, but has nothing for {', '.join(lacking)}"


def spent_epsilon(ledger: Ledger, delta: float, accountant: Accounting) -> float:
    """Returns the epsilon of a ledger at one delta; infinity where there is no bound."""
    if not ledger:
        return 0.0
    if _by_loss(ledger, accountant):
        alone = _one_gaussian(ledger)
        if alone is not None:
            return _library.gaussian_epsilon(alone, delta)
        return float(_losses(ledger).get_epsilon_for_delta(delta))
    return _library.rdp_epsilon(_curves.ORDERS, _curve(ledger), delta)


def spent_delta(ledger: Ledger, epsilon: float, accountant: Accounting) -> float:
    """Returns the delta of a ledger at one epsilon."""
    if not ledger:
        return 0.0
    if _by_loss(ledger, accountant):
        return float(_losses(ledger).get_delta_for_epsilon(epsilon))
    return _library.rdp_delta(_curves.ORDERS, _curve(ledger), epsilon)


def _by_loss(ledger: Ledger, accountant: Accounting) -> bool:
    return accountant == "pld" and all(_library.has_loss_distribution(e) for e, _ in ledger)


def _one_gaussian(ledger: Ledger) -> float | None:
    """Returns z of the one Gaussian release that all of them are together, if they are.

    Its loss distribution is known in closed form (Balle and Wang 2018, theorem 8), to all digits
    and a hundred times sooner than on a grid.
    """
    precision = 0.0
    for event, count in ledger:
        if not isinstance(event, GaussianEvent) or not isinstance(event.sampling, NoSampling):
            return None
        precision += count / event.noise_multiplier**2
    return 1 / math.sqrt(precision)


def _losses(ledger: Ledger) -> Any:
    return _library.loss_distribution(dict(ledger), _curves.amplified_pure)


@lru_cache(maxsize=64)
def _curve(ledger: Ledger) -> tuple[float, ...]:
    total = sum(count * np.array(_curves.curve(event)) for event, count in ledger)
    return tuple(np.asarray(total, np.float64).tolist())


def _check_choice(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise LocalProtocolError(f"{name} is {value!r:.60}; use one of {', '.join(known)}")

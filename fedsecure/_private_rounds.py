"""Rounds with differential privacy: asked for before they begin, accounted when they are over."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from fedsecure.errors import BudgetError, EncodingError, LocalProtocolError, ThresholdError
from fedsecure.privacy.accounting import PrivacyAccountant
from fedsecure.privacy.events import FixedSizeSampling, Relation, check_sampling
from fedsecure.privacy.release import Release
from fedsecure.privacy.report import few_silos, silo_hint
from fedsecure.protocols.noise import check_mechanism, difference

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fedsecure.privacy.events import Event, Sampling
    from fedsecure.privacy.mechanisms import VectorMechanism
    from fedsecure.privacy.plans import Plan
    from fedsecure.privacy.report import PrivacyReport
    from fedsecure.protocols.base import Aggregate, Protocol
    from fedsecure.pytree import TreeSpec

__all__ = ["Budget", "PrivateRounds", "hint"]


@dataclass(frozen=True)
class Budget:
    """What the rounds of a private run release, and may spend.

    Attributes:
        mechanism: Whose noise the means have.
        accountant: Adds up what they cost; None leaves that to the caller.
        sampling: How the clients of each round are chosen.
        weighted: Whether clients weigh differently.

    Raises:
        LocalProtocolError: A part of the wrong type; parts that do not go together.
        EncodingError: Weights, and a mechanism that declares no largest one.
    """

    mechanism: VectorMechanism
    accountant: PrivacyAccountant | None
    sampling: Sampling
    weighted: bool

    def __post_init__(self) -> None:
        check_mechanism(self.mechanism)
        if self.mechanism.unit == "record":
            raise LocalProtocolError(
                "records are clipped one by one, before a client adds them up, and local training "
                "gives whole updates: give secure_aggregate the gradients of the records and take "
                "the step yourself, or hide whole clients, or train with DP-SGD inside each"
            )
        if self.accountant is not None:
            _check_accountant(self.accountant)
        check_sampling(self.sampling, self.relation)
        if self.weighted and self.mechanism.max_weight is None:
            raise EncodingError(
                "numbers of examples are weights, and under privacy the largest one that any client"
                " may have must be declared: give the mechanism max_weight=..., or weigh all "
                "clients the same"
            )

    @property
    def relation(self) -> Relation:
        """The neighboring relation: the accountant's, or the one that goes with the sampling."""
        if self.accountant is not None:
            return self.accountant.relation
        fixed = isinstance(self.sampling, FixedSizeSampling)
        return Relation.REPLACE_ONE if fixed else Relation.REPLACE_SPECIAL

    def check_cohort(self, num_clients: int) -> None:
        """Raises `LocalProtocolError` unless the sampling draws so many clients."""
        sampling = self.sampling
        if isinstance(sampling, FixedSizeSampling) and num_clients != sampling.cohort:
            raise LocalProtocolError(
                f"a round of {num_clients} clients, where sampling says {sampling}: account for "
                "what is done"
            )

    def allowed(self, plan: Plan, number: int, num_clients: int) -> Event:
        """Returns the event that a round will be, if the budget has room for it.

        Raises:
            BudgetError: It has not; nothing has happened.
        """
        event = plan.event(self.sampling, self.relation)
        if self.accountant is not None and self.accountant.would_exceed(event):
            raise BudgetError(_spent(self.accountant, number, num_clients))
        return event

    def account(self, event: Event) -> None:
        """Takes note that a round was released."""
        if self.accountant is not None:
            self.accountant.record(event)


@dataclass(frozen=True)
class PrivateRounds(Budget):
    """What all rounds of a private run have in common; see `federated_averaging`."""

    protocol: Protocol

    def current(self, mechanism: VectorMechanism | None) -> VectorMechanism:
        """Returns the mechanism of the next round: that of the state, if it has one.

        Raises:
            LocalProtocolError: The state is of a run with another mechanism.
        """
        if mechanism is None:
            return self.mechanism
        unequal = difference(mechanism, self.mechanism)
        if unequal:
            raise LocalProtocolError(f"the state is of a run with another mechanism: {unequal}")
        return mechanism

    def admit(
        self,
        aggregate: Callable[..., Aggregate],
        mechanism: VectorMechanism,
        num_clients: int,
        spec: TreeSpec,
        number: int,
    ) -> Callable[..., Aggregate]:
        """Returns `aggregate` with noise and accounting, if the budget allows the round.

        Raises:
            BudgetError: It does not; nothing has happened.
            LocalProtocolError: The cohort is not of the size that the sampling says.
        """
        self.check_cohort(num_clients)
        plan = mechanism.plan(
            clients=num_clients,
            size=spec.size,
            noise_shares=self.protocol.noise_shares(num_clients, mechanism),
            weighted=self.weighted,
        )
        event = self.allowed(plan, number, num_clients)
        noisy = partial(aggregate, privacy=mechanism, protocol=self.protocol)
        return partial(self._run, event, noisy)

    def _run(
        self,
        event: Event,
        aggregate: Callable[..., Aggregate],
        updates: Sequence[Any],
        *,
        weights: Sequence[float] | None,
    ) -> Aggregate:
        """Returns what `aggregate` returns, having accounted for what it released.

        It has released nothing if it refuses its arguments, or has too few clients before the last
        stage; `FedSecureError.may_be_known` tells. Whatever else it raises, somebody may have seen
        the sum, and it is accounted.

        Raises:
            LocalProtocolError: It released something else than was admitted, which is accounted,
                also beyond the budget; or an exact sum, or something that does not say, for which
                there is no event: what was admitted is accounted then, and the sum itself is not
                bounded.
        """
        try:
            result = aggregate(updates, weights=weights)
        except (EncodingError, LocalProtocolError, ThresholdError) as error:
            if error.may_be_known:
                self.account(event)
            raise
        except BaseException:
            self.account(event)
            raise
        release = getattr(result, "privacy", None)
        if not isinstance(release, Release) or not release.private:
            self.account(event)  # it is more than that, and there is no event for it
        if not isinstance(release, Release):
            raise LocalProtocolError(
                f"the aggregator returned {type(result).__name__}, which does not say what it "
                "released; return an Aggregate"
            )
        released = release.event(self.sampling, self.relation)
        self.account(released)
        if released != event:
            raise LocalProtocolError(
                "the aggregator released something else than was planned: it does not use the "
                "mechanism, the protocol or the clients that it was given"
            )
        return result

    def report(self) -> PrivacyReport | None:
        """Returns what is spent, if there is an accountant with a budget."""
        if self.accountant is None or self.accountant.budget is None:
            return None
        return self.accountant.report()


def hint(report: PrivacyReport | None, num_clients: int) -> str:
    """Returns advice where so few clients spend so much that nobody is hidden; else nothing."""
    return "" if report is None else silo_hint(num_clients, report.epsilon)


def _check_accountant(accountant: PrivacyAccountant) -> None:
    if not isinstance(accountant, PrivacyAccountant):
        raise LocalProtocolError(
            f"accountant is {accountant!r:.60}; give a PrivacyAccountant, or None"
        )
    if accountant.unit == "record":
        raise LocalProtocolError(
            "this accountant is for records, and noise on whole updates hides clients: make it "
            'with unit="client", or "silo"'
        )


def _spent(accountant: PrivacyAccountant, number: int, num_clients: int) -> str:
    epsilon, delta = accountant.budget or (0.0, 0.0)
    text = (
        f"round {number} does not fit the privacy budget of epsilon {epsilon:.6g} at delta "
        f"{delta:.3g}: epsilon {accountant.get_epsilon(delta):.6g} is spent. Nothing was trained "
        "or sent, and the model is as it was: stop here, or begin again with more noise, fewer "
        "rounds or a larger budget"
    )
    advice = few_silos(num_clients)
    return f"{text}. {advice}" if advice else text

"""What a run under Flower may spend, and has spent, of its privacy budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fedsecure.errors import BudgetError, LocalProtocolError
from fedsecure.privacy.accounting import PrivacyAccountant
from fedsecure.privacy.events import check_sampling
from fedsecure.protocols.noise import check_mechanism

if TYPE_CHECKING:
    from fedsecure.privacy.events import Event, Sampling
    from fedsecure.privacy.mechanisms import VectorMechanism
    from fedsecure.protocols.session import Session

__all__ = ["Budget"]


@dataclass(frozen=True)
class Budget:
    """The accountant of a run, if it has one.

    Attributes:
        mechanism: Whose noise the sums have.
        accountant: Adds up what they cost; None leaves that to the caller.
        sampling: How the nodes of each round are chosen.

    Raises:
        LocalProtocolError: An accountant without a mechanism, or parts that do not go together.
    """

    mechanism: VectorMechanism | None
    accountant: PrivacyAccountant | None
    sampling: Sampling

    def __post_init__(self) -> None:
        check_mechanism(self.mechanism)
        if self.mechanism is not None and self.mechanism.unit == "record":
            raise LocalProtocolError(
                "noise that hides records needs their gradients one by one, which training under "
                "Flower does not give; hide clients, or train with DP-SGD inside each client"
            )
        if self.accountant is None:
            return
        if not isinstance(self.accountant, PrivacyAccountant):
            raise LocalProtocolError(
                f"accountant is {self.accountant!r:.60}; give a PrivacyAccountant, or None"
            )
        if self.mechanism is None:
            raise LocalProtocolError(
                "an accountant without noise: exact means cost all of any budget; give privacy="
            )
        if self.accountant.unit == "record":
            raise LocalProtocolError(
                "this accountant is for records, and noise under Flower hides clients: make it "
                'with unit="client", or "silo"'
            )
        check_sampling(self.sampling, self.accountant.relation)

    def admit(self, session: Session) -> None:
        """Raises `BudgetError` unless the budget allows the sum of this session."""
        event = self._event(session)
        if self.accountant is None or event is None or not self.accountant.would_exceed(event):
            return
        epsilon, delta = self.accountant.budget or (0.0, 0.0)
        raise BudgetError(
            f"the round does not fit the privacy budget of epsilon {epsilon:.6g} at delta "
            f"{delta:.3g}, of which {self.accountant.get_epsilon(delta):.6g} is spent; nobody has "
            "trained for it. Stop here, or begin again with more noise or a larger budget"
        )

    def account(self, session: Session) -> None:
        """Takes note that the sum of this session was released."""
        event = self._event(session)
        if self.accountant is not None and event is not None:
            self.accountant.compose(event)

    def _event(self, session: Session) -> Event | None:
        if self.accountant is None or session.plan is None:
            return None
        return session.plan.event(self.sampling, self.accountant.relation)

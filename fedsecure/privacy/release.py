"""What one result does, and does not do, for the privacy of those in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fedsecure.errors import LocalProtocolError
from fedsecure.privacy.events import NoSampling, Relation
from fedsecure.privacy.report import no_privacy

if TYPE_CHECKING:
    from fedsecure.privacy.events import Event, Sampling
    from fedsecure.privacy.mechanisms import VectorMechanism
    from fedsecure.privacy.plans import Plan

__all__ = ["Release"]


@dataclass(frozen=True)
class Release:
    """One aggregate, as a release of private data. ``str()`` says it in words.

    Attributes:
        clients: How many were in the sum; 0 if that is not known.
        mechanism: Whose noise it has; None for an exact sum, which has no differential privacy.
        plan: The mechanism, set up for the session.
        noise_shares: How many shares of the noise were certain.
        within: The noisy fraction of updates within the clip, which `VectorMechanism.updated` takes
            for the next round; None if the clip is not adaptive.
        trust: Who has to be trusted for it, in words; empty for what the event says.
    """

    clients: int = 0
    mechanism: VectorMechanism | None = None
    plan: Plan | None = None
    noise_shares: int = 0
    within: float | None = None
    trust: str = ""

    @property
    def private(self) -> bool:
        """Whether the sum had noise."""
        return self.mechanism is not None

    def event(
        self,
        sampling: Sampling = NoSampling(),  # noqa: B008  # frozen
        relation: Relation = Relation.REPLACE_SPECIAL,
    ) -> Event:
        """Returns what to tell a `PrivacyAccountant`.

        Args:
            sampling: How those in the sum were chosen, which only the caller knows.
            relation: The neighboring relation of the accountant.

        Raises:
            LocalProtocolError: The sum was exact: nothing bounds what it tells. Or sampling and
                relation do not go together.
        """
        if self.plan is None:
            raise LocalProtocolError(
                "an exact sum is no event of differential privacy: its epsilon is infinite. Give "
                "privacy= to the session"
            )
        return self.plan.event(sampling, relation)

    def __str__(self) -> str:
        if self.mechanism is None:
            return no_privacy(self.clients)
        event = self.event()
        noise = (
            f"{event.noise} noise of {self.mechanism.noise_multiplier:.6g} times the clip norm "
            f"{self.mechanism.clip_norm:.6g}"
        )
        if self.mechanism.placement == "clients":
            noise += f" from {self.noise_shares} certain shares"
        return (
            f"differential privacy for each {self.mechanism.unit}: the sum over {self.clients} "
            f"clients was revealed with {noise}; trusted: {self.trust or event.trust}. What this "
            "and other releases cost together is what a PrivacyAccountant says of their event()"
        )

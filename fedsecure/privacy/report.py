"""What was spent, with everything that has to be believed for it to be true."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fedsecure.privacy.events import Relation

__all__ = ["PrivacyReport", "Unit", "few_silos", "no_privacy", "silo_hint"]

Unit = Literal["record", "client", "silo"]
"""Whose presence or data is hidden: one record of a client, one client (a person), one silo."""

# Up to so many clients there are few others to hide in; above so much epsilon, nothing is hidden.
_FEW = 50
_USELESS = 10.0


@dataclass(frozen=True)
class PrivacyReport:
    """A guarantee in differential privacy, and its assumptions. ``str()`` says it in words.

    Attributes:
        unit: Whose data the guarantee hides.
        relation: Which two inputs it makes indistinguishable.
        trust: Who has to be trusted for it.
        sampling: How those in the sums were chosen.
        accountant: How it was computed.
        delta: The chance that the guarantee does not hold.
        epsilon: What was spent, against those who do not know who was in the sums.
        epsilon_without_amplification: What was spent against those who do: the server, or for
            records the silo that has drawn them.
        releases: How many noisy releases there were.
    """

    unit: Unit
    relation: Relation
    trust: str
    sampling: str
    accountant: str
    delta: float
    epsilon: float
    epsilon_without_amplification: float
    releases: int

    def __str__(self) -> str:
        if self.releases == 0:
            return "nothing released yet: epsilon 0"
        guarantee = f"({self.epsilon:.4g}, {self.delta:.3g})-differential privacy"
        known = f"{self.epsilon_without_amplification:.4g}"
        who = "the record's own silo" if self.unit == "record" else "the server"
        lines = [
            f"{guarantee} for each {self.unit} after {self.releases} releases",
            f"neighbors:  {self.unit}s; {self.relation}",
            f"sampling:   {self.sampling}",
            f"trusted:    {self.trust}",
            f"accountant: {self.accountant}",
            f"against whoever knows who took part, as {who} does: epsilon {known}",
        ]
        return "\n".join(lines)


def no_privacy(clients: int) -> str:
    """Returns what is to be said of an exact sum over so many clients, released without noise.

    Args:
        clients: How many they are; 0 if that is not known.
    """
    over = f"over {clients} clients " if clients else ""
    return (
        f"no differential privacy: the exact sum {over}was revealed, without noise (epsilon is "
        "infinite); what it says about one of them, alone or together with other sums, is not "
        "bounded"
    )


def few_silos(clients: int) -> str:
    """Returns advice for so many clients where they are few to hide one in; else nothing."""
    if clients > _FEW:
        return ""
    return (
        f"{clients} clients are too few to hide one in the others and keep the sum accurate. "
        "Protect records instead: train with DP-SGD inside each silo (for example with Opacus) and "
        "add the silos up with secure aggregation on top, or let the silos share the noise that "
        "hides a record of any (RecordSkellam)"
    )


def silo_hint(clients: int, epsilon: float) -> str:
    """Returns advice for few clients whose epsilon is useless, or nothing where there is none.

    With n silos whose noise together has the size of one clip, an accurate sum and a useful epsilon
    exclude each other: 20 silos, z = 1 and 50 rounds give epsilon 60.

    Args:
        clients: How many take part in a round.
        epsilon: What all rounds spend.
    """
    if clients > _FEW or epsilon <= _USELESS:
        return ""
    return f"epsilon {epsilon:.3g} hides no client: {few_silos(clients)}"

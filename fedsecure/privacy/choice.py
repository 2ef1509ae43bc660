"""One choice among candidates by their utilities, such that no one's data shows in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from numbers import Rational

from fedsecure.errors import LocalProtocolError
from fedsecure.primitives.coins import Coins
from fedsecure.privacy import _checks
from fedsecure.privacy.events import ExponentialEvent, NoSampling, Relation, Sampling

__all__ = ["ExponentialMechanism"]

_MOST_CANDIDATES = 10**7


@dataclass(frozen=True)
class ExponentialMechanism:
    """Chooses a candidate i of utility u_i with a chance that grows with ``exp(epsilon u_i / 2D)``.

    Sources: McSherry and Talwar, "Mechanism Design via Differential Privacy", FOCS 2007; McKenna
    and Sheldon, "Permute-and-Flip", NeurIPS 2020, whose choice is never worse and often much
    better, at the same cost. Both are drawn exactly, by integer comparisons only.

    Attributes:
        epsilon: What one choice costs, above 0.
        sensitivity: D, by how much one neighbor changes a utility at most, above 0, for the
            utilities exactly as they are given.
        permute_and_flip: Whether to choose by permute-and-flip: in a random order, take the first
            candidate whose coin of chance ``exp(epsilon (u_i - max u) / 2D)`` falls right.

    Raises:
        LocalProtocolError: A number is out of range.
    """

    epsilon: float
    sensitivity: float = 1.0
    permute_and_flip: bool = False

    def __post_init__(self) -> None:
        _checks.positive("epsilon", self.epsilon)
        _checks.positive("sensitivity", self.sensitivity)

    def choose(self, utilities: Sequence[float | Fraction], *, seed: bytes | None = None) -> int:
        """Returns the index of the chosen candidate.

        Args:
            utilities: One for each candidate, 1..10,000,000 of them: integers, fractions or finite
                floats, which count as the fractions that they are.
            seed: 40 secret bytes that serve no other purpose; by default the operating system's.

        Raises:
            LocalProtocolError: There are no utilities, too many, or one is not finite; or the seed
                has another length.
        """
        if not 1 <= len(utilities) <= _MOST_CANDIDATES:
            raise LocalProtocolError(
                f"{len(utilities)} utilities; there can be 1 to {_MOST_CANDIDATES} candidates"
            )
        exact = [_exact(index, value) for index, value in enumerate(utilities)]
        best = max(exact)
        factor = Fraction(self.epsilon) / (2 * Fraction(self.sensitivity))
        coins = Coins(seed)
        try:
            choose = _first_in_random_order if self.permute_and_flip else _any_that_is_taken
            return choose([factor * (best - value) for value in exact], coins)
        finally:
            coins.wipe()

    def event(
        self, sampling: Sampling | None = None, relation: Relation = Relation.REPLACE_SPECIAL
    ) -> ExponentialEvent:
        """Returns one choice, for an accountant.

        Args:
            sampling: How those were chosen whose data make the utilities; None stands for all.
            relation: The neighboring relation for which the sensitivity holds.
        """
        return ExponentialEvent(self.epsilon, sampling=sampling or NoSampling(), relation=relation)


def _any_that_is_taken(exponents: list[Fraction], coins: Coins) -> int:
    """Returns index i with probability proportional to exp(-exponents[i]), by rejection."""
    while True:
        index = coins.below(len(exponents))
        if coins.chance_exp(exponents[index]):
            return index


def _first_in_random_order(exponents: list[Fraction], coins: Coins) -> int:
    """Returns the first index in a random order whose coin falls right; that of a best one does."""
    left = list(range(len(exponents)))
    while True:
        at = coins.below(len(left))
        left[at], left[-1] = left[-1], left[at]
        index = left.pop()
        if coins.chance_exp(exponents[index]):
            return index


def _exact(index: int, value: float | Fraction) -> Fraction:
    try:
        if isinstance(value, Rational | float) and not isinstance(value, bool):
            return Fraction(value)
    except (ValueError, OverflowError):
        pass
    raise LocalProtocolError(
        f"utility {index} is no finite number; use an integer, a fraction or a finite float"
    )

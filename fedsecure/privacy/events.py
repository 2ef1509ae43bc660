"""What one noisy release was, as a frozen value that an accountant can add up.

An event says which noise was added to a sum of known sensitivity, how the clients (or records) of
that sum were chosen, and for which neighboring relation both hold. Nothing else may be accounted:
the same noise costs more under another relation or another way of choosing.

Sensitivities are those *under the event's relation*. Where every contribution is clipped to norm c,
taking one away or setting it to zero changes the sum by c, replacing one by another by 2c. So under
`Relation.REPLACE_ONE` a noise multiplier is the standard deviation over 2c.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

from fedsecure.errors import LocalProtocolError
from fedsecure.privacy import _checks

__all__ = [
    "DDGaussEvent",
    "DiscreteLaplaceEvent",
    "Event",
    "ExponentialEvent",
    "FixedSizeSampling",
    "GaussianEvent",
    "LaplaceEvent",
    "NoSampling",
    "PoissonSampling",
    "PolyaEvent",
    "Relation",
    "Sampling",
    "SkellamEvent",
]

MAX_SHARES = 1_000_000
_MAX_POPULATION = 10**12
_MAX_SENSITIVITY = 2**62


class Relation(enum.Enum):
    """Which two inputs count as neighbors, so that no output may tell them apart."""

    ADD_OR_REMOVE_ONE = "add_or_remove_one"
    """One is in the first input and absent from the second."""

    REPLACE_ONE = "replace_one"
    """One has different data in the two inputs; how many there are is public."""

    REPLACE_SPECIAL = "replace_special"
    """One contributes zeros in the second input; how many there are is public (zero-out)."""

    def __str__(self) -> str:
        return _RELATION_WORDS[self]


_RELATION_WORDS = {
    Relation.ADD_OR_REMOVE_ONE: "one added or removed",
    Relation.REPLACE_ONE: "one replaced by another",
    Relation.REPLACE_SPECIAL: "one replaced by zeros (zero-out)",
}


@dataclass(frozen=True)
class NoSampling:
    """Everybody is asked in every round, or whoever looks knows who was: no amplification."""

    def __str__(self) -> str:
        return "no sampling"


@dataclass(frozen=True)
class PoissonSampling:
    """Each takes part independently of all others, with the same probability.

    Attributes:
        q: That probability, 0 < q <= 1.
    """

    q: float

    def __post_init__(self) -> None:
        _checks.fraction("q", self.q)

    def __str__(self) -> str:
        return f"Poisson sampling (each on its own with probability {self.q:.6g})"


@dataclass(frozen=True)
class FixedSizeSampling:
    """So many of all, drawn uniformly without replacement. It is not Poisson sampling, and weaker.

    Attributes:
        population: N, how many there are, at least 1.
        cohort: m, how many are drawn, 1..N.
    """

    population: int
    cohort: int

    def __post_init__(self) -> None:
        _checks.whole("population", self.population, 1, _MAX_POPULATION)
        _checks.whole("cohort", self.cohort, 1, self.population)

    @property
    def q(self) -> float:
        """The chance of one to be drawn, m / N."""
        return self.cohort / self.population

    def __str__(self) -> str:
        return f"cohorts of exactly {self.cohort} of {self.population}, without replacement"


Sampling = NoSampling | PoissonSampling | FixedSizeSampling


@dataclass(frozen=True)
class Event:
    """What all noisy releases have in common. Use one of its subclasses.

    Attributes:
        sampling: How those in the sum were chosen.
        relation: The neighboring relation for which sensitivity and sampling hold.

    Raises:
        LocalProtocolError: A number is out of range, or the sampling does not go with the relation:
            Poisson sampling is analyzed for adding, removing and zeroing, cohorts of a fixed size
            for replacing.
    """

    sampling: Sampling = field(default=NoSampling(), kw_only=True)
    relation: Relation = field(default=Relation.REPLACE_SPECIAL, kw_only=True)

    noise: ClassVar[str] = ""
    """The name of the noise, in words."""
    trust: ClassVar[str] = ""
    """Who has to be trusted for the guarantee, in words."""

    def __post_init__(self) -> None:
        check_sampling(self.sampling, self.relation)

    def without_amplification(self) -> Self:
        """Returns the same release as seen by somebody who knows who was in the sum."""
        return replace(self, sampling=NoSampling())


def check_sampling(sampling: Sampling, relation: Relation) -> None:
    """Raises `LocalProtocolError` unless a known analysis covers the two together."""
    if not isinstance(relation, Relation):
        raise LocalProtocolError(
            f"relation is {relation!r:.60}; use a member of fedsecure.privacy.Relation"
        )
    if isinstance(sampling, NoSampling):
        return
    if isinstance(sampling, PoissonSampling):
        if relation is Relation.REPLACE_ONE:
            raise LocalProtocolError(
                f"{sampling} and the relation '{relation}' do not go together: the number of those "
                "drawn is not public then. Use ADD_OR_REMOVE_ONE or REPLACE_SPECIAL"
            )
    elif isinstance(sampling, FixedSizeSampling):
        if relation is not Relation.REPLACE_ONE:
            raise LocalProtocolError(
                f"{sampling} and the relation '{relation}' do not go together: in such a cohort, "
                "whoever is left out is replaced by another. Use REPLACE_ONE, whose "
                "sensitivity is twice the clip, or really sample each on its own (PoissonSampling)"
            )
    else:
        raise LocalProtocolError(
            f"sampling is {sampling!r:.60}; use NoSampling, PoissonSampling or FixedSizeSampling"
        )


_CENTRAL = "whoever adds the noise sees the exact sum and is trusted with it"
_DISTRIBUTED = (
    "no single party: the sum is only seen with the noise shares of those honest clients in it "
    "that the threshold guarantees, and the server is one that the session's protocol withstands"
)


@dataclass(frozen=True)
class GaussianEvent(Event):
    """Gaussian noise, added by one trusted party to a sum of bounded L2 sensitivity.

    Attributes:
        noise_multiplier: z, standard deviation over L2 sensitivity, above 0.
    """

    noise_multiplier: float

    noise: ClassVar[str] = "Gaussian"
    trust: ClassVar[str] = _CENTRAL

    def __post_init__(self) -> None:
        super().__post_init__()
        _checks.positive("noise_multiplier", self.noise_multiplier)


@dataclass(frozen=True)
class SkellamEvent(Event):
    """Skellam noise on an integer sum: differences of Poisson numbers, shares of which add up.

    Attributes:
        delta1: Delta1, L1 sensitivity of the integer sum, at least that in L2.
        delta2: Delta2, its L2 sensitivity, above 0.
        mu: Variance of the noise of all guaranteed shares together, in integer units, above 0.
    """

    delta1: float
    delta2: float
    mu: float

    noise: ClassVar[str] = "Skellam"
    trust: ClassVar[str] = _DISTRIBUTED

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_norms(self.delta1, self.delta2)
        _checks.positive("mu", self.mu)


@dataclass(frozen=True)
class DDGaussEvent(Event):
    """The sum of several discrete Gaussians on an integer sum, which is almost one itself.

    With one share it is the discrete Gaussian of a trusted party.

    Attributes:
        delta1: Delta1, L1 sensitivity of the integer sum, at least that in L2.
        delta2: Delta2, its L2 sensitivity, above 0.
        sigma_local: Standard deviation parameter of one share, in integer units, above 0.
        num_shares: How many shares are guaranteed, 1..1,000,000.
        dimension: How many integers have noise, at least 1.
    """

    delta1: float
    delta2: float
    sigma_local: float
    num_shares: int
    dimension: int

    noise: ClassVar[str] = "distributed discrete Gaussian"
    trust: ClassVar[str] = _DISTRIBUTED

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_norms(self.delta1, self.delta2)
        _checks.positive("sigma_local", self.sigma_local)
        _checks.whole("num_shares", self.num_shares, 1, MAX_SHARES)
        _checks.whole("dimension", self.dimension, 1, _MAX_SENSITIVITY)


@dataclass(frozen=True)
class LaplaceEvent(Event):
    """Laplace noise, added by one trusted party to a sum of bounded L1 sensitivity.

    Attributes:
        noise_multiplier: b / Delta1, the scale of the noise over the L1 sensitivity, above 0. One
            release is epsilon-DP with epsilon its inverse.
    """

    noise_multiplier: float

    noise: ClassVar[str] = "Laplace"
    trust: ClassVar[str] = _CENTRAL

    def __post_init__(self) -> None:
        super().__post_init__()
        _checks.positive("noise_multiplier", self.noise_multiplier)


@dataclass(frozen=True)
class DiscreteLaplaceEvent(Event):
    """Two-sided geometric noise on integers: ``P[k] = (1 - p) / (1 + p) * p**abs(k)``.

    Attributes:
        noise_parameter: a, with p = exp(-a), above 0. One release is (a * sensitivity)-DP.
        sensitivity: L1 sensitivity of the integers, at least 1.
    """

    noise_parameter: float
    sensitivity: int = 1

    noise: ClassVar[str] = "discrete Laplace (geometric)"
    trust: ClassVar[str] = _CENTRAL

    def __post_init__(self) -> None:
        super().__post_init__()
        _checks.positive("noise_parameter", self.noise_parameter)
        _checks.whole("sensitivity", self.sensitivity, 1, _MAX_SENSITIVITY)

    @property
    def probability_of_zero(self) -> float:
        """P[0] = (1 - p) / (1 + p)."""
        return math.tanh(self.noise_parameter / 2)

    @property
    def variance(self) -> float:
        """2 p / (1 - p)**2."""
        return 2 * math.exp(-self.noise_parameter) / math.expm1(-self.noise_parameter) ** 2


@dataclass(frozen=True)
class PolyaEvent(DiscreteLaplaceEvent):
    """Two-sided geometric noise that the contributors add in shares, under their masks."""

    noise: ClassVar[str] = "discrete Laplace (geometric) in Polya shares"
    trust: ClassVar[str] = _DISTRIBUTED


@dataclass(frozen=True)
class ExponentialEvent(Event):
    """One choice among candidates, ``P ~ exp(epsilon u / (2 Delta_u))``, or permute-and-flip.

    It is accounted as any release that is epsilon-DP, which holds for both.

    Attributes:
        epsilon: What one choice costs, above 0.
    """

    epsilon: float

    noise: ClassVar[str] = "exponential mechanism"
    trust: ClassVar[str] = _CENTRAL

    def __post_init__(self) -> None:
        super().__post_init__()
        _checks.positive("epsilon", self.epsilon)


def _check_norms(delta1: float, delta2: float) -> None:
    _checks.positive("delta1", delta1)
    _checks.positive("delta2", delta2)
    if delta1 < delta2:
        raise LocalProtocolError(
            f"delta1 {delta1} is below delta2 {delta2}: no vector has an L1 norm below its L2 norm"
        )

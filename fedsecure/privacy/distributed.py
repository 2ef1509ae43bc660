"""Noise that clients add under their masks, in shares: nobody is trusted with the exact sum."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar, Literal

from fedsecure.errors import EncodingError
from fedsecure.primitives import samplers
from fedsecure.privacy import _checks, norms
from fedsecure.privacy.events import Event, Relation, Sampling
from fedsecure.privacy.mechanisms import MOST_CLIENTS, VectorMechanism
from fedsecure.privacy.plans import Joint, Plan
from fedsecure.privacy.scaling import DistributedEncoding, least_bits
from fedsecure.privacy.shares import rounded_up

if TYPE_CHECKING:
    from fedsecure.primitives.samplers import NoiseLaw

__all__ = ["DistributedDiscreteGaussian", "DistributedSkellam"]

_MIN_BITS = 8
_INFLATION = 0.01


@dataclass(frozen=True)
class _Distributed(VectorMechanism):
    """What noises that the clients add have in common.

    Attributes:
        bits: Width of the ring, 8..62. None takes the least with which rounding makes neither the
            sensitivity nor the standard deviation of the sum's errors more than 1 % larger: 13 to
            19 bits for most sessions. More bits cost traffic and save that one percent of epsilon.
        corrupt: How many clients may know each other's noise; None takes what the session assumes.
        k: How many standard deviations of a coordinate of the sum fit the ring. What does not fit
            wraps around, which costs accuracy, never privacy. 2**-100 to 2**100.
    """

    bits: int | None = None
    corrupt: int | None = None
    k: float = 4.0

    placement: ClassVar[Literal["clients", "server"]] = "clients"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.bits is not None:
            _checks.whole("bits", self.bits, _MIN_BITS, 62)
        if self.corrupt is not None:
            _checks.whole("corrupt", self.corrupt, 0, MOST_CLIENTS)
        _checks.moderate("k", self.k)
        _checks.as_floats(self, "k")

    def _build(self, clients: int, size: int, shares: int, joint: Joint) -> Plan:
        values, vectors = size + joint.extra, self._vectors(clients)
        bits = self._least_bits(vectors, values, shares) if self.bits is None else self.bits
        encoding = self._encoding(vectors, values, shares, joint.norm, bits)
        delta2 = encoding.delta2(self.noise_multiplier)
        variance = self._share_variance(encoding)
        if delta2 >= norms.MAX_NORM:
            raise EncodingError(
                f"in a ring of {bits} bits, vectors are as long as 2**{math.log2(delta2):.1f} and "
                "their norms could not be checked; use fewer bits, or leave them out"
            )
        if variance > self._widest():
            raise EncodingError(
                f"in a ring of {bits} bits the noise of one of {clients} clients is wider than can "
                "be drawn exactly; use fewer bits, or leave them out"
            )
        return Plan(
            self,
            clients,
            size,
            shares,
            joint,
            bits,
            encoding.scale(self.noise_multiplier),
            delta2,
            rotated=True,
            share=self._law(rounded_up(variance)),
        )

    def _vectors(self, clients: int) -> int:
        """Returns how many vectors of norm C are in a sum at most."""
        return clients

    def _least_bits(self, clients: int, values: int, shares: int) -> int:
        """Returns the width with which rounding costs at most 1 % of privacy and of accuracy."""
        z = self.noise_multiplier
        bits = least_bits(
            clients,
            values,
            z,
            noise_shares=shares,
            inflation=_INFLATION,
            beta=self.beta,
            k=self.k,
        )
        bits = max(_MIN_BITS, bits)
        # Rounding one coordinate has a variance of 1/4 at most, and so many clients round it.
        while clients / 4 > 2 * _INFLATION * (z * self._scale(clients, values, shares, bits)) ** 2:
            bits += 1
        return bits

    def _scale(self, clients: int, values: int, shares: int, bits: int) -> float:
        """Returns how many steps a vector is long at most."""
        return self._encoding(clients, values, shares, 1.0, bits).scale(self.noise_multiplier)

    def _encoding(
        self, clients: int, values: int, shares: int, norm: float, bits: int
    ) -> DistributedEncoding:
        return DistributedEncoding(
            clients, values, bits, norm, noise_shares=shares, beta=self.beta, k=self.k
        )

    def _encoding_of(self, plan: Plan) -> DistributedEncoding:
        return self._encoding(
            self._vectors(plan.clients),
            plan.values,
            plan.noise_shares,
            plan.joint.norm,
            plan.bits,
        )

    @abstractmethod
    def _share_variance(self, encoding: DistributedEncoding) -> Fraction:
        """Returns the least variance of one share with which the event is true, exactly."""

    @abstractmethod
    def _law(self, variance: Fraction) -> NoiseLaw:
        """Returns the law of one share of that variance."""

    @abstractmethod
    def _widest(self) -> int:
        """Returns the largest variance of a share that can be drawn exactly."""


@dataclass(frozen=True)
class DistributedSkellam(_Distributed):
    """Skellam noise in shares of the clients, under their masks: the default.

    Shares add up to exactly the noise of one party, whoever drops out. Source: Agarwal, Kairouz and
    Liu, "The Skellam Mechanism for Differentially Private Federated Learning", NeurIPS 2021.
    """

    def event_of(self, plan: Plan, sampling: Sampling, relation: Relation) -> Event:
        """Returns the event of one of this mechanism's plans."""
        return self._encoding_of(plan).skellam(self.noise_multiplier, sampling, relation)

    def _share_variance(self, encoding: DistributedEncoding) -> Fraction:
        return Fraction(encoding.skellam(self.noise_multiplier).mu) / encoding.shares

    def _law(self, variance: Fraction) -> NoiseLaw:
        return samplers.Skellam(variance)

    def _widest(self) -> int:
        return 2**41 - 1


@dataclass(frozen=True)
class DistributedDiscreteGaussian(_Distributed):
    """Discrete Gaussian noise in shares of the clients, under their masks, for comparison.

    A sum of discrete Gaussians is almost one. Source: Kairouz, Liu and Steinke, "The Distributed
    Discrete Gaussian Mechanism for Federated Learning with Secure Aggregation", ICML 2021.
    """

    def event_of(self, plan: Plan, sampling: Sampling, relation: Relation) -> Event:
        """Returns the event of one of this mechanism's plans."""
        return self._encoding_of(plan).ddgauss(self.noise_multiplier, sampling, relation)

    def _share_variance(self, encoding: DistributedEncoding) -> Fraction:
        return Fraction(encoding.ddgauss(self.noise_multiplier).sigma_local) ** 2

    def _law(self, variance: Fraction) -> NoiseLaw:
        return samplers.DiscreteGaussian(variance)

    def _widest(self) -> int:
        return 2**60

"""Noise for sums of vectors that a trusted server adds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, Literal

from fedsecure.encoding import ring_width
from fedsecure.errors import EncodingError
from fedsecure.primitives import samplers
from fedsecure.privacy import norms
from fedsecure.privacy.events import Event, GaussianEvent, Relation, Sampling
from fedsecure.privacy.mechanisms import VectorMechanism
from fedsecure.privacy.plans import Joint, Plan
from fedsecure.privacy.scaling import rounded_l2_bound
from fedsecure.privacy.shares import rounded_up

__all__ = ["CentralGaussian"]

_MIN_BITS = 8
_INFLATION = 0.001
# The noise is this wide or wider, as a power of two of the steps of its grid.
_STEPS = 20
# Variance by which a discrete Gaussian becomes postprocessing of a continuous one.
_SMOOTHING = 9
_MAX_VARIANCE = 2**60


@dataclass(frozen=True)
class CentralGaussian(VectorMechanism):
    """Gaussian noise that the server adds to the exact sum, for a server that is trusted with it.

    The noise is discrete Gaussian on a grid, so that no float gives anything away, and costs what
    the continuous one costs. For let Y be continuous with variance v - t, and round it to integer k
    with a probability proportional to ``exp(-(k - Y)**2 / (2 t))``. By Poisson's summation formula
    the result has the discrete Gaussian law of variance v, but for a factor within ``1 +- 4
    exp(-2 pi**2 t)`` per coordinate (Peikert, CRYPTO 2010, theorem 3.1). With t = 9 that is 1e-76:
    for any vector that fits a memory, and any number of rounds, less than the rounding of epsilon.
    So noise of variance ``(z Delta2)**2 + 9`` in steps of the grid is postprocessing of what
    `GaussianEvent` of multiplier z is about.
    """

    placement: ClassVar[Literal["clients", "server"]] = "server"

    def event_of(self, plan: Plan, sampling: Sampling, relation: Relation) -> Event:  # noqa: ARG002
        """Returns the event of one of this mechanism's plans."""
        replaced = relation is Relation.REPLACE_ONE
        z = self.noise_multiplier / (2 if replaced else 1)
        return GaussianEvent(z, sampling=sampling, relation=relation)

    def _build(self, clients: int, size: int, shares: int, joint: Joint) -> Plan:
        values = size + joint.extra
        radius = 1.0
        while rounded_l2_bound(radius, self.beta, values) > (1 + _INFLATION) * radius:
            radius *= 2
        delta2 = rounded_l2_bound(radius, self.beta, values)
        bits = max(_MIN_BITS, ring_width(clients, -math.floor(delta2), math.floor(delta2)))
        spread = Fraction(self.noise_multiplier) * Fraction(delta2)
        shift = max(0, _STEPS - math.floor(math.log2(spread)))
        variance = (spread * 2**shift) ** 2 + _SMOOTHING
        if variance > _MAX_VARIANCE or bits + shift > 62 or delta2 >= norms.MAX_NORM:
            raise EncodingError(
                f"noise of {self.noise_multiplier:.3g} times the clip on {values} values of "
                f"{clients} clients does not fit 64-bit integers; use a multiplier nearer to 1"
            )
        law = samplers.DiscreteGaussian(rounded_up(variance))
        scale = radius / joint.norm
        return Plan(
            self,
            clients,
            size,
            shares,
            joint,
            bits,
            scale,
            delta2,
            rotated=False,
            central=law,
            shift=shift,
        )

"""Noise for sums of vectors, added by the clients under their masks.

A mechanism is a value that all parties of a session agree on. It clips every client's update to an
L2 norm c, and noises the sum with z times c, z the noise multiplier. What that comes to among so
many clients is its `plan`; what it costs, its `event`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np

from fedsecure._prg import Prg
from fedsecure.errors import EncodingError, LocalProtocolError
from fedsecure.privacy import _checks, norms
from fedsecure.privacy.clipping import AdaptiveClip, indicator_sigma, update_noise_multiplier
from fedsecure.privacy.contributions import NoisyContribution
from fedsecure.privacy.events import Event, Relation, Sampling
from fedsecure.privacy.plans import Joint, Plan
from fedsecure.privacy.scaling import (
    DEFAULT_BETA,
    rounded_l2_bound,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fedsecure.privacy.report import Unit

__all__ = ["MOST_CLIENTS", "VectorMechanism"]

MOST_CLIENTS = 1_000_000


@dataclass(frozen=True)
class VectorMechanism(ABC):
    """What all noises on sums of vectors have in common. Use one of its subclasses.

    In a weighted session the mean is ``sum w x / sum w`` with both sums noisy, the weights' as well
    as the updates': a client's weight tells something about it, too. Each client counts w /
    max_weight, so whoever has less than the largest weight is hidden better, at no gain in accuracy
    for the others. Where the noisy sum of weights is within twice its noise of zero, there is no
    mean, and reading the sum raises `ThresholdError`.

    Attributes:
        clip_norm: c, the L2 norm that each update is clipped to, 2**-100 to 2**100.
        noise_multiplier: z, the standard deviation of the sum's noise over the L2 norm of one
            client's whole vector, 2**-100 to 2**100. Without weights and adaptive clipping that
            norm is c.
        max_weight: The largest weight a client may have, 2**-100 to 2**100; required in weighted
            sessions.
        adaptive: The clip as it follows the norms; its clip is `clip_norm`. Noise on its indicators
            is part of z: updates get `update_noise_multiplier` (z, m / 20) for m clients.
        beta: Chance that a rounding is too long and drawn again, at most; 0 up to below 1, 0 for
            one that is never refused. See `rounded_l2_bound`.

    Raises:
        LocalProtocolError: A number is out of range.
    """

    clip_norm: float
    noise_multiplier: float
    _: KW_ONLY
    max_weight: float | None = None
    adaptive: AdaptiveClip | None = None
    beta: float = DEFAULT_BETA

    placement: ClassVar[Literal["clients", "server"]]
    """Who adds the noise."""
    unit: ClassVar[Unit] = "client"
    """Whose data one clipped vector is."""
    contribution_type: ClassVar[type[NoisyContribution]] = NoisyContribution
    """What makes a client's integers by a plan; see `Plan.contribution`."""

    def __post_init__(self) -> None:
        _checks.moderate("clip_norm", self.clip_norm)
        _checks.moderate("noise_multiplier", self.noise_multiplier)
        if self.max_weight is not None:
            _checks.moderate("max_weight", self.max_weight)
        if self.adaptive is not None and self.adaptive.clip != self.clip_norm:
            raise LocalProtocolError(
                f"clip_norm is {self.clip_norm:.6g} and the adaptive clip is at "
                f"{self.adaptive.clip:.6g}; give both the same, or use updated()"
            )
        rounded_l2_bound(1.0, self.beta, 1)
        _checks.as_floats(self, "clip_norm", "noise_multiplier", "max_weight", "beta")

    def clip(self, vector: NDArray[np.float32] | NDArray[np.float64]) -> float:
        """Scales a 1-D vector down, in place, to the clip. Returns its L2 norm before.

        Raises:
            EncodingError: A value is NaN or infinite.
        """
        return norms.clip_l2(vector, self.clip_norm)

    def plan(
        self, *, clients: int, size: int, noise_shares: int | None = None, weighted: bool = False
    ) -> Plan:
        """Returns what this comes to in a session, the same for everybody who asks.

        Args:
            clients: n, how many may contribute, 1..1,000,000.
            size: d, values per update, 1..2**30.
            noise_shares: m, how many honest clients' noise is certain, 1..n (`certain_shares`); all
                of them by default. Where the server adds the noise, it does not matter.
            weighted: Whether clients have weights.

        Raises:
            EncodingError: Weights without `max_weight`, or a ring that is too narrow or too wide.
            LocalProtocolError: An argument is out of range, or so few clients that the indicators
                of an adaptive clip alone cost more than z allows.
        """
        return _plan(self, clients, size, noise_shares, weighted=weighted)

    def event(
        self,
        *,
        clients: int,
        size: int,
        noise_shares: int | None = None,
        weighted: bool = False,
        sampling: Sampling | None = None,
        relation: Relation = Relation.REPLACE_SPECIAL,
    ) -> Event:
        """Returns what one round costs: the event of the `plan` with these arguments."""
        plan = self.plan(clients=clients, size=size, noise_shares=noise_shares, weighted=weighted)
        return plan.event(sampling, relation)

    def add_noise(
        self,
        vector: NDArray[Any],
        plan: Plan,
        seed: bytes | bytearray | memoryview,
        *,
        first: int = 0,
        prg: Prg = Prg.AES256,
    ) -> None:
        """Adds noise to integers in place: one client's share, or all of the server's.

        Args:
            vector: Unsigned ring elements for the clients' noise, with wrap-around; elements first,
                first + 1, ... of the vector. The server's noise goes onto uint64 elements, in steps
                of ``2**-plan.shift``.
            plan: Of this mechanism.
            seed: prg.seed_bytes secret bytes, for this vector only.
            first: Position of ``vector[0]`` in the whole vector.
            prg: What the seed is expanded by.

        Raises:
            LocalProtocolError: The plan is another mechanism's, or an argument does not fit.
        """
        law = plan.share if plan.share is not None else plan.central
        if law is None or plan.mechanism != self:
            raise LocalProtocolError(
                "this plan is of another mechanism; use the one that plan() gives"
            )
        law.add_to(vector, seed, first, prg)

    def costs(
        self, *, clients: int, size: int, noise_shares: int | None = None, weighted: bool = False
    ) -> Callable[[float, Sampling, Relation], Event]:
        """Returns what `calibrate_noise` takes as a mechanism, to find this one's multiplier."""

        def make(z: float, sampling: Sampling, relation: Relation) -> Event:
            return replace(self, noise_multiplier=z).event(
                clients=clients,
                size=size,
                noise_shares=noise_shares,
                weighted=weighted,
                sampling=sampling,
                relation=relation,
            )

        return make

    def updated(self, within: float) -> Self:
        """Returns the mechanism of the next round: its clip follows the norms of this one.

        Args:
            within: `NoisyDecoded.within` of this round.

        Raises:
            LocalProtocolError: The clip is not adaptive, or would leave its range.
        """
        if self.adaptive is None:
            raise LocalProtocolError("this clip is fixed; give the mechanism an AdaptiveClip")
        following = self.adaptive.update(within)
        return replace(self, clip_norm=following.clip, adaptive=following)

    def weight_part(self, weight: float | None, *, weighted: bool) -> float:
        """Returns a client's weight as a part of the largest, 0..1; 1 in sessions without.

        Raises:
            EncodingError: A weight in a session without, none in one with them, or one outside
                0..max_weight.
        """
        if not weighted:
            if weight is not None:
                raise EncodingError("a weight was given, but this session has none; leave it out")
            return 1.0
        if weight is None:
            raise EncodingError("this session is weighted; give this client's weight")
        limit = self.max_weight or 0.0
        number = isinstance(weight, int | float | np.floating) and not isinstance(weight, bool)
        if not number or not 0 < weight <= limit:
            raise EncodingError(
                f"the weight is no number above 0 and at most max_weight={limit:g}; raise "
                "max_weight, which takes more noise, or scale all weights"
            )
        return float(weight) / limit

    @abstractmethod
    def event_of(self, plan: Plan, sampling: Sampling, relation: Relation) -> Event:
        """Returns the event of one of this mechanism's plans."""

    @abstractmethod
    def _build(self, clients: int, size: int, shares: int, joint: Joint) -> Plan:
        """Returns the plan, arguments having been checked."""

    def _joint(self, clients: int, size: int, *, weighted: bool) -> Joint:
        """Returns how large what travels beside an update is."""
        clip, z = float(self.clip_norm), float(self.noise_multiplier)
        weight = 0.0
        if weighted:
            if self.max_weight is None:
                raise EncodingError(
                    "weights need a limit under differential privacy, because one client's part "
                    "must be bounded; declare max_weight"
                )
            # d**-1/4 is best for the mean while the divisor is accurate, and 20 z / n keeps it so:
            # its noise is then a twentieth of what n full weights sum to.
            weight = clip * min(1.0, max(size**-0.25, 20 * z / clients))
        if self.adaptive is None:
            return Joint(clip, weight)
        sigma = indicator_sigma(clients)
        both = math.hypot(clip, weight)
        return Joint(clip, weight, update_noise_multiplier(z, sigma) * both / sigma)


@lru_cache(maxsize=256)
def _plan(
    mechanism: VectorMechanism,
    clients: int,
    size: int,
    noise_shares: int | None,
    *,
    weighted: bool,
) -> Plan:
    _checks.whole("clients", clients, 1, MOST_CLIENTS)
    _checks.whole("size", size, 1, 2**30)
    shares = clients if noise_shares is None else noise_shares
    _checks.whole("noise_shares", shares, 1, clients)
    joint = mechanism._joint(clients, size, weighted=weighted)  # noqa: SLF001
    return mechanism._build(clients, size, shares, joint)  # noqa: SLF001

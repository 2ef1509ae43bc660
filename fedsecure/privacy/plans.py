"""What a mechanism comes to in one session: integers, noise and rings, the same for every party.

A plan follows from public facts only: the mechanism, how many clients there are, how many values,
how many noise shares are certain. A client makes its contribution by it, the server reads the sum.

The vector of a client is ``(u x, u a, +-e/2)``: its update x clipped to norm c, times its weight as
a fraction u of the largest one allowed; that weight again, times a public a, if there are weights;
and whether x was within the clip, times a public e, if the clip is adaptive. Its norm is at most
``C = sqrt(c**2 + a**2 + e**2 / 4)``. All of it is rotated and noised as one vector of that norm, so
that there is one sensitivity and one event. The noise has the standard deviation z C in every
coordinate; for the indicator bits that is z C / e. With e chosen such that this is sigma_b, the
update's own multiplier is exactly the z_Delta of Andrew et al. (NeurIPS 2021): ``z**-2 == z_Delta
** -2 + (2 sigma_b)**-2``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from fedsecure._decoding import check_sum
from fedsecure._prg import Prg
from fedsecure.encoding import Decoded, RingLayout
from fedsecure.errors import LocalProtocolError, ThresholdError
from fedsecure.primitives import entropy, rounding
from fedsecure.privacy.events import NoSampling, Relation
from fedsecure.privacy.rotation import rotate_back

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import DTypeLike, NDArray

    from fedsecure.primitives.samplers import NoiseLaw
    from fedsecure.privacy.contributions import NoisyContribution
    from fedsecure.privacy.events import Event, Sampling
    from fedsecure.privacy.mechanisms import VectorMechanism

__all__ = ["Joint", "NoisyDecoded", "NoisyLayout", "Plan"]

_PIECE = 1 << 16


@dataclass(frozen=True)
class Joint:
    """How one client's vector is put together; all in the unit of the values.

    Attributes:
        clip: c, L2 norm of the update at most.
        weight: a, what the full weight counts; 0 without weights.
        indicator: e, what the indicator counts; 0 if the clip is not adaptive.
    """

    clip: float
    weight: float = 0.0
    indicator: float = 0.0

    @property
    def extra(self) -> int:
        """How many coordinates there are beside the update."""
        return (self.weight > 0) + (self.indicator > 0)

    @property
    def norm(self) -> float:
        """C, L2 norm of the whole at most."""
        return math.hypot(self.clip, self.weight, self.indicator / 2)


@dataclass(frozen=True)
class NoisyLayout(RingLayout):
    """The ring vectors of a session with noise.

    Attributes:
        elements: How many ring elements there are: the update, what comes beside it, and padding.
    """

    elements: int

    @property
    def length(self) -> int:
        """Number of ring elements."""
        return self.elements


@dataclass(frozen=True, eq=False)
class NoisyDecoded(Decoded):
    """What a noisy sum says. Values are not clipped again: the noise is part of them.

    Attributes:
        within: The noisy fraction of updates within the clip, which may lie outside 0..1: what
            `VectorMechanism.updated` takes. None if the clip is not adaptive.
    """

    within: float | None = None


@dataclass(frozen=True)
class Plan:
    """One session's noisy encoding. Made by `VectorMechanism.plan`.

    Attributes:
        mechanism: What it is the plan of.
        clients: n, how many may contribute.
        size: d, values per update.
        noise_shares: m, how many honest clients' noise is certain.
        joint: How a client's vector is put together.
        bits: b, width of the ring.
        scale: s, integer steps per unit.
        delta2: Delta2, L2 norm of one client's integers at most.
        rotated: Whether vectors are padded to a power of two and rotated.
        share: Law of one client's noise, in steps; None where the server adds it.
        central: Law of the server's noise, in steps of 2**-shift; None where the clients add it.
        shift: See `central`.
    """

    mechanism: VectorMechanism
    clients: int
    size: int
    noise_shares: int
    joint: Joint
    bits: int
    scale: float
    delta2: float
    rotated: bool
    share: NoiseLaw | None = None
    central: NoiseLaw | None = None
    shift: int = 0

    @property
    def weighted(self) -> bool:
        """Whether clients have weights."""
        return self.joint.weight > 0

    @property
    def values(self) -> int:
        """How many coordinates carry something: the update and what comes beside it."""
        return self.size + self.joint.extra

    @property
    def dimension(self) -> int:
        """D, how many integers a vector has."""
        return 1 << (self.values - 1).bit_length() if self.rotated else self.values

    @property
    def layout(self) -> NoisyLayout:
        """The ring vectors."""
        return NoisyLayout(
            self.size,
            self.bits,
            weighted=self.weighted,
            counts_clipped=False,
            elements=self.dimension,
        )

    @property
    def most_squared(self) -> int:
        """The largest integer that a squared norm of one client's integers may be."""
        return math.floor(Fraction(self.delta2) ** 2)

    @property
    def sigma(self) -> float:
        """Standard deviation of the certain noise on each value of the sum, in its unit."""
        # Where the server adds the noise it is as wide as the integers' sensitivity asks for.
        norm = self.delta2 / self.scale if self.share is None else self.joint.norm
        return self.mechanism.noise_multiplier * norm

    @property
    def words(self) -> str:
        """Whose noise there is, and how much of it is accounted, in words."""
        z, clients, shares = self.mechanism.noise_multiplier, self.clients, self.noise_shares
        if self.share is None:
            return f"the server adds noise of {z:.6g} times the sensitivity to the exact sum"
        text = (
            f"each of {clients} clients adds 1/{shares} of the variance of a noise of {z:.6g} "
            f"times the sensitivity; {shares} honest ones are certain to be in the sum"
        )
        if shares < clients:
            text += f", and if all are, it has {clients / shares:.3g} times the variance accounted"
        return text

    def contribution(
        self,
        leaves: Sequence[NDArray[Any]],
        names: Sequence[str],
        *,
        weight: float | None,
        seed: bytes | bytearray | memoryview,
        public_seed: bytes,
        prg: Prg = Prg.AES128,
        threads: int = 0,
    ) -> NoisyContribution:
        """Returns one client's update, clipped, rounded and with its share of the noise.

        Args:
            leaves: 1-D C-contiguous float16, float32 or float64 arrays, in flat order. They are
                read at once and not kept.
            names: A name for each leaf, used in errors.
            weight: This client's weight in a weighted session, else None.
            seed: prg.seed_bytes secret random bytes that serve no other purpose. Rounding and noise
                follow from it: the same seed, update and weight give the same integers.
            public_seed: 32 bytes of this session, the same for all its parties.
            prg: What seeds are expanded by.
            threads: How many threads rounding may use; 0 for all cores.

        Raises:
            EncodingError: NaN or infinite values, a bad weight, or leaves of another size.
            LocalProtocolError: A seed of another length.
        """
        return self.mechanism.contribution_type(
            self,
            leaves,
            names,
            weight=weight,
            seed=seed,
            public_seed=public_seed,
            prg=prg,
            threads=threads,
        )

    def decode(
        self,
        total: NDArray[Any],
        *,
        num_contributors: int,
        public_seed: bytes,
        dtype: DTypeLike,
        threads: int = 0,
    ) -> NoisyDecoded:
        """Returns the noisy mean that a sum of contributions holds.

        Where the server adds the noise, it is drawn here from the operating system, anew each time:
        a sum that is decoded twice is released twice, which no event of this plan covers.

        Args:
            total: Sum of the contributors' vectors, layout.dtype, shape (layout.length,); bits
                above layout.modulus_bits are ignored. Not changed.
            num_contributors: How many clients' vectors are in the sum, 1..clients.
            public_seed: That of the contributions.
            dtype: float32 or float64, for the values.
            threads: How many threads the core may use; 0 for all cores.

        Raises:
            LocalProtocolError: An argument does not fit.
            ThresholdError: The noisy sum of weights is no divisor; see `VectorMechanism`.
        """
        check_sum(total, self.layout, dtype)
        if not 1 <= num_contributors <= self.clients:
            raise LocalProtocolError(
                f"{num_contributors} contributors in a sum that was planned for 1 to {self.clients}"
            )
        vector = np.empty(self.dimension, np.float64)
        if self.central is not None:
            self._unscale_centrally(self.central, total, vector, threads)
        else:
            factor = 1.0 / self.scale / (math.sqrt(self.dimension) if self.rotated else 1.0)
            rounding.from_ring(total, self.bits, factor, vector, threads)
        if self.rotated:
            rotate_back(vector, public_seed)
        return self._read(vector, num_contributors, dtype)

    def event(
        self, sampling: Sampling | None = None, relation: Relation = Relation.REPLACE_SPECIAL
    ) -> Event:
        """Returns one release by this plan, for an accountant.

        Args:
            sampling: How clients are chosen; None stands for all of them.
            relation: The neighboring relation.

        Raises:
            LocalProtocolError: The relation and the sampling do not go together.
        """
        return self.mechanism.event_of(self, sampling or NoSampling(), relation)

    def _unscale_centrally(
        self, law: NoiseLaw, total: NDArray[Any], vector: NDArray[np.float64], threads: int
    ) -> None:
        """Writes the sum with the server's noise, in the unit of the values."""
        unit = 1.0 / self.scale / 2.0**self.shift
        seed = entropy.draw(Prg.AES256.seed_bytes)
        exact = np.empty(min(_PIECE, total.size), np.float64)
        try:
            for at in range(0, total.size, _PIECE):
                part = total[at : at + _PIECE]
                # Below 2**53, as the ring is no wider: these floats are integers.
                rounding.from_ring(part, self.bits, 1.0, exact[: part.size], threads)
                steps = exact[: part.size].astype(np.int64) << self.shift
                law.add_to(steps.view(np.uint64), seed.view, at, Prg.AES256)
                vector[at : at + part.size] = steps * unit
        finally:
            seed.wipe()
            entropy.wipe(exact.data.cast("B"))

    def _read(
        self, vector: NDArray[np.float64], num_contributors: int, dtype: DTypeLike
    ) -> NoisyDecoded:
        joint, mechanism = self.joint, self.mechanism
        divisor, total_weight = float(num_contributors), float(num_contributors)
        if self.weighted:
            divisor = float(vector[self.size]) / joint.weight
            if not divisor > 2 * self.sigma / joint.weight:
                raise ThresholdError(
                    f"the noisy sum of weights is {divisor:.3g} times max_weight, no more than "
                    "twice its own noise: nothing can be divided by it. The round has been spent; "
                    "for the next one have more clients, or a max_weight nearer to what they have",
                    may_be_known=True,
                )
            total_weight = divisor * float(mechanism.max_weight or 1.0)
        within = None
        if joint.indicator:
            bits = float(vector[self.values - 1]) / joint.indicator
            within = bits / num_contributors + 0.5
        mean = vector[: self.size] / divisor
        return NoisyDecoded(mean.astype(dtype, copy=False), total_weight, None, within)

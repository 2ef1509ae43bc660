"""Laplace noise: on statistics of bounded L1 norm, by a trusted party or in shares.

Both mechanisms add discrete Laplace (two-sided geometric) noise to integers whose L1 norm, per
contribution, is bounded and checked as an integer; so the guarantee is pure differential privacy,
and no float decides it (Mironov, CCS 2012, attacks the textbook Laplace mechanism on floats).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from fedsecure._prg import Prg
from fedsecure.errors import EncodingError, LocalProtocolError
from fedsecure.primitives import entropy
from fedsecure.primitives.samplers import DiscreteLaplace, NoiseLaw, PolyaDifference
from fedsecure.privacy import _checks, norms
from fedsecure.privacy.events import (
    DiscreteLaplaceEvent,
    NoSampling,
    PolyaEvent,
    Relation,
    Sampling,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Geometric", "Laplace"]

_PRG = Prg.AES256
_MOST_STEPS = 2**31
_MOST_RESOLUTION = 2**16
_MOST_TOTAL = 2**61
_PIECE = 1 << 16


@dataclass(frozen=True)
class Laplace:
    """Laplace noise on a sum of real vectors, discrete on a grid.

    A contribution becomes whole steps of clip_norm / resolution (`encode`); the sum of such steps
    is exact and gets the noise (`add_noise`); `decode` turns steps into numbers again.

    Source: Dwork, McSherry, Nissim and Smith, "Calibrating Noise to Sensitivity", TCC 2006.

    Attributes:
        clip_norm: c, the L1 norm that each contribution is clipped to, 2**-100 to 2**100.
        noise_multiplier: The scale of the noise over c, above 0; epsilon is its inverse.
        resolution: How many steps c has, 1..2**16.

    Raises:
        LocalProtocolError: A number is out of range.
    """

    clip_norm: float
    noise_multiplier: float
    resolution: int = 1024

    def __post_init__(self) -> None:
        _checks.moderate("clip_norm", self.clip_norm)
        _checks.positive("noise_multiplier", self.noise_multiplier)
        _checks.whole("resolution", self.resolution, 1, _MOST_RESOLUTION)
        _ = self._law

    @property
    def epsilon(self) -> float:
        """What one release costs, without sampling, where one contribution is zeroed."""
        return 1 / self.noise_multiplier

    @property
    def step(self) -> float:
        """Distance of neighboring numbers on the grid."""
        return self.clip_norm / self.resolution

    def clip(self, vector: NDArray[np.float32] | NDArray[np.float64]) -> float:
        """Scales a 1-D vector down, in place, to the clip. Returns its L1 norm before.

        Raises:
            EncodingError: A value is NaN or infinite.
        """
        return norms.clip_l1(vector, self.clip_norm)

    def encode(self, values: NDArray[Any], *, seed: bytes | None = None) -> NDArray[np.int64]:
        """Returns one contribution, clipped, in whole steps whose L1 norm is at most `resolution`.

        It is rounded at random, again until the norm is within its bound, which a rounding is with
        a chance of at least one half.

        Args:
            values: 1-D, float or integer; not changed.
            seed: 40 secret bytes that serve no other purpose; by default the operating system's.

        Raises:
            EncodingError: A value is NaN or infinite.
            LocalProtocolError: The seed has another length.
        """
        work = np.array(values, np.float64)
        if work.ndim != 1:
            raise EncodingError(f"a contribution is 1-D, not of shape {work.shape}; use ravel()")
        if not work.size:
            return np.zeros(0, np.int64)
        secret = entropy.copied_or_drawn(seed, _PRG.seed_bytes)
        try:
            self.clip(work)
            steps = np.zeros(work.size, np.uint64)
            norms.round_within(
                work,
                1 / self.step,
                2 * self.clip_norm,
                secret,
                out=steps,
                within=lambda integers: norms.l1_within(integers, self.resolution),
                prg=_PRG,
            )
        finally:
            secret.wipe()
            entropy.wipe(work.data.cast("B"))
        return steps.view(np.int64)

    def add_noise(self, steps: NDArray[np.int64], *, seed: bytes | None = None) -> None:
        """Adds noise to a sum of encoded contributions, in place.

        Args:
            steps: 1-D int64, magnitudes below 2**61.
            seed: 40 secret bytes that serve no other purpose; by default the operating system's.

        Raises:
            LocalProtocolError: The sum is no such array, or the seed has another length.
        """
        _add_noise(steps, self._law, seed)

    def decode(self, steps: NDArray[np.int64]) -> NDArray[np.float64]:
        """Returns steps as numbers."""
        return np.multiply(steps, self.step, dtype=np.float64)

    def event(
        self, sampling: Sampling | None = None, relation: Relation = Relation.REPLACE_SPECIAL
    ) -> DiscreteLaplaceEvent:
        """Returns one release, for an accountant.

        Args:
            sampling: How contributors are chosen; None stands for all of them.
            relation: Under REPLACE_ONE one changes the sum by twice its contribution.
        """
        return DiscreteLaplaceEvent(
            _rate(self.noise_multiplier, self.resolution),
            self.resolution * _doubled(relation),
            sampling=sampling or NoSampling(),
            relation=relation,
        )

    @property
    def _law(self) -> NoiseLaw:
        return DiscreteLaplace(_no_more(_rate(self.noise_multiplier, self.resolution)))


@dataclass(frozen=True)
class Geometric:
    """Two-sided geometric noise on a sum of integer vectors, such as counts.

    A trusted party adds it to the sum (`add_noise`), or each of the contributors its share
    (`add_share`): differences of Polya (negative binomial) numbers, which add up to it exactly.

    Sources: Ghosh, Roughgarden and Sundararajan, "Universally Utility-Maximizing Privacy
    Mechanisms", STOC 2009; Goryczka and Xiong, IEEE TDSC 2017, for the shares.

    Attributes:
        clip_norm: c, the L1 norm that each contribution is clipped to, 1..2**31.
        noise_multiplier: The scale of the noise over c, above 0; epsilon is its inverse, and
            ``P[k] = (1 - p) / (1 + p) * p**abs(k)`` with ``p = exp(-epsilon / c)``.

    Raises:
        LocalProtocolError: A number is out of range.
    """

    clip_norm: int
    noise_multiplier: float

    def __post_init__(self) -> None:
        _checks.whole("clip_norm", self.clip_norm, 1, _MOST_STEPS)
        _checks.positive("noise_multiplier", self.noise_multiplier)
        _ = self._law

    @property
    def epsilon(self) -> float:
        """What one release costs, without sampling, where one contribution is zeroed."""
        return 1 / self.noise_multiplier

    def clip(self, vector: NDArray[np.int64]) -> int:
        """Scales a 1-D int64 vector down, in place and exactly, to an L1 norm of at most c.

        Values are rounded toward zero. Returns the norm before.

        Raises:
            LocalProtocolError: The vector is no such array.
        """
        _check_integers(vector)
        norm = sum(int(piece.sum(dtype=object)) for piece in norms.magnitudes(vector))
        if norm > self.clip_norm:
            scaled = [abs(value) * self.clip_norm // norm for value in vector.tolist()]
            vector[:] = np.sign(vector) * np.array(scaled, np.int64)
        return norm

    def add_noise(self, vector: NDArray[np.int64], *, seed: bytes | None = None) -> None:
        """Adds all of the noise to a sum of clipped contributions, in place.

        Args:
            vector: 1-D int64, magnitudes below 2**61.
            seed: 40 secret bytes that serve no other purpose; by default the operating system's.

        Raises:
            LocalProtocolError: The sum is no such array, or the seed has another length.
        """
        _add_noise(vector, self._law, seed)

    def add_share(
        self,
        vector: NDArray[Any],
        noise_shares: int,
        seed: bytes | memoryview,
        *,
        first: int = 0,
        prg: Prg = Prg.AES256,
    ) -> None:
        """Adds one contributor's share of the noise to ring elements, in place.

        Args:
            vector: 1-D uint16, uint32 or uint64: a clipped contribution, which wraps in its lane.
            noise_shares: m, how many honest contributors are certain to be in the sum, 1..2**20.
            seed: prg.seed_bytes secret bytes that serve no other purpose.
            first: Position of ``vector[0]`` in the whole vector.
            prg: What the seed is expanded by.

        Raises:
            LocalProtocolError: An argument is out of range, or the noise too wide for shares
                (a noise_multiplier times c above 2**24).
        """
        _checks.whole("noise_shares", noise_shares, 1, 2**20)
        rate = _no_more(_rate(self.noise_multiplier, self.clip_norm))
        PolyaDifference(Fraction(1, noise_shares), rate).add_to(vector, seed, first, prg)

    def event(
        self,
        sampling: Sampling | None = None,
        relation: Relation = Relation.REPLACE_SPECIAL,
        *,
        shares: bool = False,
    ) -> DiscreteLaplaceEvent:
        """Returns one release, for an accountant.

        Args:
            sampling: How contributors are chosen; None stands for all of them.
            relation: Under REPLACE_ONE one changes the sum by twice its contribution.
            shares: Whether the noise came in shares of the contributors.
        """
        kind = PolyaEvent if shares else DiscreteLaplaceEvent
        return kind(
            _rate(self.noise_multiplier, self.clip_norm),
            self.clip_norm * _doubled(relation),
            sampling=sampling or NoSampling(),
            relation=relation,
        )

    @property
    def _law(self) -> NoiseLaw:
        return DiscreteLaplace(_no_more(_rate(self.noise_multiplier, self.clip_norm)))


def _rate(noise_multiplier: float, sensitivity: int) -> float:
    return 1 / (noise_multiplier * sensitivity)


def _no_more(rate: float) -> Fraction:
    """Returns a fraction of small integers that is at most the rate: no noise is lacking."""
    bits = max(0, min(60, 60 - math.ceil(rate).bit_length()))
    return Fraction(math.floor(Fraction(rate) * 2**bits), 2**bits)


def _doubled(relation: Relation) -> int:
    return 2 if relation is Relation.REPLACE_ONE else 1


def _add_noise(vector: NDArray[np.int64], law: NoiseLaw, seed: bytes | None) -> None:
    _check_integers(vector)
    if any(int(piece.max()) >= _MOST_TOTAL for piece in norms.magnitudes(vector)):
        raise LocalProtocolError("a sum is 2**61 or more; noise on it would not fit 64 bits")
    secret = entropy.copied_or_drawn(seed, _PRG.seed_bytes)
    try:
        for at in range(0, vector.size, _PIECE):
            piece = vector[at : at + _PIECE]
            noise = law.draw(piece.size, secret.view, at, _PRG)
            piece += noise
            entropy.wipe(noise.data.cast("B"))
    finally:
        secret.wipe()


def _check_integers(vector: NDArray[np.int64]) -> None:
    if vector.ndim != 1 or vector.dtype != np.int64:
        raise LocalProtocolError(
            f"noise goes onto 1-D int64 arrays, not {vector.dtype} of shape {vector.shape}; encode "
            "the values first"
        )

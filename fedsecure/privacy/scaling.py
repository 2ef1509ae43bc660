"""How large clipped vectors become as integers, and with them the sensitivity of their sum.

Source: Kairouz, Liu and Steinke, "The Distributed Discrete Gaussian Mechanism for Federated
Learning with Secure Aggregation", ICML 2021, section 4 and appendix; Agarwal, Kairouz and Liu, "The
Skellam Mechanism", NeurIPS 2021. A vector is clipped to norm c, padded to a power of two
D, rotated, multiplied by a scale s, rounded at random until its norm is within a bound, and summed
modulo 2**b.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from fedsecure.errors import EncodingError, LocalProtocolError
from fedsecure.privacy import _checks
from fedsecure.privacy.events import (
    DDGaussEvent,
    NoSampling,
    Relation,
    Sampling,
    SkellamEvent,
)

__all__ = [
    "DEFAULT_BETA",
    "DistributedEncoding",
    "heuristic_scale",
    "least_bits",
    "padded",
    "rounded_l1_bound",
    "rounded_l2_bound",
]

DEFAULT_BETA = math.exp(-0.5)
"""How often a rounding is refused and drawn again, at most."""

_MAX_BITS = 62
_MAX_DIMENSION = 2**40
_MAX_CLIENTS = 1_000_000


def padded(dimension: int) -> int:
    """Returns D, the least power of two that is at least d (1..2**40)."""
    _checks.whole("dimension", dimension, 1, _MAX_DIMENSION)
    return 1 << (dimension - 1).bit_length()


def rounded_l2_bound(norm: float, beta: float, dimension: int) -> float:
    """Returns Delta2, the L2 norm that a randomly rounded vector is kept within.

    ``min(x + sqrt(D), sqrt(x**2 + D/4 + sqrt(2 ln(1/beta)) (x + sqrt(D)/2)))`` for norm x.

    Args:
        norm: L2 norm before rounding, s times c, 0 or more.
        beta: A rounding exceeds the second bound with this chance at most, 0 <= beta < 1, and is
            then drawn again. 0 stands for a rounding that is never refused: the first bound.
        dimension: D, how many integers there are, 1..2**40.

    Raises:
        LocalProtocolError: An argument is out of range.
    """
    _checks.not_negative("norm", norm)
    _check_beta(beta)
    _checks.whole("dimension", dimension, 1, _MAX_DIMENSION)
    root = math.sqrt(dimension)
    always = norm + root
    if beta == 0:
        return always
    slack = math.sqrt(2 * math.log(1 / beta)) * (norm + root / 2)
    return min(always, math.sqrt(norm**2 + dimension / 4 + slack))


def rounded_l1_bound(delta2: float, dimension: int) -> float:
    """Returns Delta1 of integer vectors of L2 norm Delta2: ``Delta2 * min(sqrt(D), Delta2)``.

    Raises:
        LocalProtocolError: An argument is out of range.
    """
    _checks.positive("delta2", delta2)
    _checks.whole("dimension", dimension, 1, _MAX_DIMENSION)
    return delta2 * min(math.sqrt(dimension), delta2)


def heuristic_scale(
    bits: int,
    clients: int,
    clip: float,
    dimension: int,
    sigma_local: float,
    *,
    k: float = 4.0,
) -> float:
    """Returns the scale s at which a noisy sum of rotated vectors hardly ever leaves the ring.

    ``sqrt(2**(2b) - n K**2) / (2 K sqrt(c**2 n**2 / D + n sigma_local**2))``. A sum that does leave
    it wraps around, which costs accuracy, never privacy.

    Args:
        bits: b, width of the ring, 1..62.
        clients: n, how many vectors are summed, 1..1,000,000.
        clip: c, L2 norm of each at most, above 0, in the unit of the values.
        dimension: D, how many integers there are, 1..2**40.
        sigma_local: Standard deviation of the noise each adds, in that unit, 0 or more.
        k: K, how many standard deviations of a coordinate of the sum fit.

    Raises:
        EncodingError: The ring is too narrow for the rounding errors of so many.
        LocalProtocolError: An argument is out of range.
    """
    _checks.whole("bits", bits, 1, _MAX_BITS)
    _checks.whole("clients", clients, 1, _MAX_CLIENTS)
    _checks.positive("clip", clip)
    _checks.whole("dimension", dimension, 1, _MAX_DIMENSION)
    _checks.not_negative("sigma_local", sigma_local)
    _checks.positive("k", k)
    room = 4.0**bits - clients * k**2
    if room <= 0:
        raise EncodingError(
            f"a ring of {bits} bits has no room for the rounding errors of {clients} vectors; use "
            f"at least {math.floor(math.log2(clients * k**2) / 2) + 1} bits"
        )
    spread = math.sqrt(clip**2 * clients**2 / dimension + clients * sigma_local**2)
    return math.sqrt(room) / (2 * k * spread)


@dataclass(frozen=True)
class DistributedEncoding:
    """How many clients' clipped vectors become integers with noise shares, in a ring of b bits.

    Attributes:
        clients: n, how many are in a sum at most.
        dimension: d, values per vector.
        bits: b, width of the ring.
        clip: c, L2 norm of each vector at most.
        noise_shares: How many clients' noise is certain: t - c of a session with threshold t and
            c corrupt clients; None stands for all n, if none drops out or is corrupt.
        beta: See `rounded_l2_bound`.
        k: See `heuristic_scale`.

    Raises:
        LocalProtocolError: A number is out of range.
        EncodingError: The ring is too narrow.
    """

    clients: int
    dimension: int
    bits: int = 24
    clip: float = 1.0
    noise_shares: int | None = None
    beta: float = DEFAULT_BETA
    k: float = 4.0

    def __post_init__(self) -> None:
        _check_beta(self.beta)
        _checks.whole("clients", self.clients, 1, _MAX_CLIENTS)
        _checks.positive("clip", self.clip)
        if self.noise_shares is not None:
            _checks.whole("noise_shares", self.noise_shares, 1, self.clients)
        self.scale(0.0)

    @property
    def shares(self) -> int:
        """How many noise shares are certain."""
        return self.clients if self.noise_shares is None else self.noise_shares

    def sigma_local(self, noise_multiplier: float) -> float:
        """Returns the standard deviation of one share, in the unit of the values: z c / sqrt(m)."""
        return noise_multiplier * self.clip / math.sqrt(self.shares)

    def scale(self, noise_multiplier: float) -> float:
        """Returns s for some noise multiplier, 0 or more."""
        _checks.not_negative("noise_multiplier", noise_multiplier)
        return heuristic_scale(
            self.bits,
            self.clients,
            self.clip,
            padded(self.dimension),
            self.sigma_local(noise_multiplier),
            k=self.k,
        )

    def delta2(self, noise_multiplier: float) -> float:
        """Returns the L2 norm that one client's integers are kept within."""
        norm = self.scale(noise_multiplier) * self.clip
        return rounded_l2_bound(norm, self.beta, padded(self.dimension))

    def skellam(
        self,
        noise_multiplier: float,
        sampling: Sampling | None = None,
        relation: Relation = Relation.REPLACE_SPECIAL,
    ) -> SkellamEvent:
        """Returns one release with Skellam noise of z times the clip from the certain shares.

        Args:
            noise_multiplier: z, above 0: standard deviation over clip, whatever the relation.
            sampling: How clients are chosen; None stands for all of them.
            relation: Under REPLACE_ONE the sensitivity is twice what one client contributes.

        Raises:
            LocalProtocolError: An argument is out of range, or the relation and the sampling do
                not go together.
        """
        delta1, delta2, sigma = self._integers(noise_multiplier, relation)
        return SkellamEvent(
            delta1,
            delta2,
            self.shares * sigma**2,
            sampling=sampling or NoSampling(),
            relation=relation,
        )

    def ddgauss(
        self,
        noise_multiplier: float,
        sampling: Sampling | None = None,
        relation: Relation = Relation.REPLACE_SPECIAL,
    ) -> DDGaussEvent:
        """Returns one release with shares of discrete Gaussian noise. Arguments as `skellam`."""
        delta1, delta2, sigma = self._integers(noise_multiplier, relation)
        return DDGaussEvent(
            delta1,
            delta2,
            sigma,
            self.shares,
            padded(self.dimension),
            sampling=sampling or NoSampling(),
            relation=relation,
        )

    def _integers(self, noise_multiplier: float, relation: Relation) -> tuple[float, float, float]:
        """Returns Delta1, Delta2 and the standard deviation of one share, in integer units."""
        _checks.positive("noise_multiplier", noise_multiplier)
        one = self.delta2(noise_multiplier)
        delta2 = 2 * one if relation is Relation.REPLACE_ONE else one
        delta1 = rounded_l1_bound(delta2, padded(self.dimension))
        sigma = self.scale(noise_multiplier) * self.sigma_local(noise_multiplier)
        return max(delta1, delta2), delta2, sigma


def least_bits(
    clients: int,
    dimension: int,
    noise_multiplier: float = 1.0,
    *,
    noise_shares: int | None = None,
    inflation: float = 0.01,
    beta: float = DEFAULT_BETA,
    k: float = 4.0,
) -> int:
    """Returns the narrowest ring in which rounding makes the sensitivity little larger.

    Args:
        clients: n, how many are in a sum at most, each with a share of the noise.
        dimension: d, values per vector.
        noise_multiplier: z, standard deviation of the certain noise of the sum over the clip.
        noise_shares: See `DistributedEncoding`.
        inflation: By how much Delta2 may exceed s times c, relative to it, above 0.
        beta: See `rounded_l2_bound`.
        k: See `heuristic_scale`.

    Returns:
        b, 1..62.

    Raises:
        EncodingError: 62 bits are not enough.
        LocalProtocolError: An argument is out of range.
    """
    _checks.positive("inflation", inflation)
    for bits in range(1, _MAX_BITS + 1):
        try:
            encoding = DistributedEncoding(
                clients, dimension, bits, noise_shares=noise_shares, beta=beta, k=k
            )
        except EncodingError:
            continue
        norm = encoding.scale(noise_multiplier)
        if encoding.delta2(noise_multiplier) <= (1 + inflation) * norm:
            return bits
    raise EncodingError(
        f"no ring of up to {_MAX_BITS} bits keeps {clients} vectors of {dimension} values within "
        f"{inflation:.3g} of their sensitivity; allow more"
    )


def _check_beta(beta: float) -> None:
    if isinstance(beta, bool) or not isinstance(beta, int | float) or not 0 <= beta < 1:
        raise LocalProtocolError(f"beta is {beta!r:.60}; use a number, at least 0 and below 1")

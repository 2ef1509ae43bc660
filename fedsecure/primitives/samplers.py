"""Exact integer noise, and the rotation that comes before it.

A law is a value: its parameters are exact fractions, checked when it is made. Numbers come from the
keyed generator by rejection whose decisions are all exact (csrc/sampler.hpp says why): no rounding
of a floating-point number decides a value, so Mironov's attack (CCS 2012) finds nothing. Number i
of a seed is the same whatever piece of a vector it is drawn for.

A seed is secret and for one vector of one law: whoever knows it can take the noise off again. Wipe
it after use, and the numbers that `draw` returns.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from fractions import Fraction
from numbers import Rational
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fedsecure import _core
from fedsecure._prg import Prg
from fedsecure.errors import LocalProtocolError
from fedsecure.primitives.masks import threads

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from typing_extensions import Buffer

    RingArray = NDArray[Any]

__all__ = [
    "DiscreteGaussian",
    "DiscreteLaplace",
    "NoiseLaw",
    "PolyaDifference",
    "Skellam",
    "flip_signs",
    "hadamard",
]

_MAX_TERM = 2**62
_MAX_NUMBERS = 2**44


class NoiseLaw(ABC):
    """A symmetric law on the integers, of mean 0. Use one of the classes below."""

    __slots__ = ()
    _sample: ClassVar[Callable[..., None]]

    @abstractmethod
    def _parameters(self) -> tuple[Fraction, ...]:
        """Returns what the core takes, in its order."""

    def draw(
        self, count: int, seed: Buffer, first: int = 0, prg: Prg = Prg.AES256
    ) -> NDArray[np.int64]:
        """Returns numbers first, ..., first + count - 1 of the seed, int64. They are secret.

        Args:
            count: How many, >= 0.
            seed: prg.seed_bytes, secret, for this law and use only.
            first: Number of the first one, >= 0.
            prg: What the seed is expanded by.

        Raises:
            LocalProtocolError: first + count passes 2**44.
        """
        out = np.empty(count, np.int64)
        self._fill(out, seed, first, prg)
        return out

    def add_to(
        self, vector: RingArray, seed: Buffer, first: int = 0, prg: Prg = Prg.AES256
    ) -> None:
        """Adds number first + i of the seed to vector[i], in place and wrapping in its lane.

        Args:
            vector: Ring elements: 1-D uint16, uint32 or uint64.
            seed: prg.seed_bytes, secret, for this law and use only.
            first: Position of ``vector[0]`` in the whole vector, >= 0.
            prg: What the seed is expanded by.

        Raises:
            LocalProtocolError: The vector is no ring array, or its end passes 2**44.
        """
        if vector.dtype.kind != "u":
            raise LocalProtocolError(
                f"noise is added to ring elements, not to {vector.dtype}; encode the values first"
            )
        self._fill(vector, seed, first, prg)

    def _fill(self, out: RingArray, seed: Buffer, first: int, prg: Prg) -> None:
        if first < 0 or first + out.size > _MAX_NUMBERS:
            raise LocalProtocolError(
                f"numbers {first} to {first + out.size} of one seed; 2**44 is the last"
            )
        pairs = [(p.numerator, p.denominator) for p in self._parameters()]
        type(self)._sample(*pairs, seed, first, out, prg=prg, threads=threads())  # noqa: SLF001


@dataclass(frozen=True, slots=True)
class DiscreteGaussian(NoiseLaw):
    """P[k] proportional to exp(-k^2 / (2 sigma_squared)).

    The law of Canonne, Kamath and Steinke 2020. Sums of several are not discrete Gaussian.

    Attributes:
        sigma_squared: 2^-40 to 2^62; above 1 the variance but for less than a millionth, below 1
            larger than it.

    Raises:
        LocalProtocolError: It is out of range, or no fraction of integers below 2^62.
    """

    sigma_squared: Fraction
    _sample = staticmethod(_core.sample_discrete_gaussian)

    def __post_init__(self) -> None:
        _set(self, "sigma_squared", -40, 62)

    def _parameters(self) -> tuple[Fraction, ...]:
        return (self.sigma_squared,)


@dataclass(frozen=True, slots=True)
class Skellam(NoiseLaw):
    """The difference of two Poisson numbers of mean variance / 2 each.

    Sums of independent ones are Skellam again, and their variances add up (Agarwal, Kairouz, Liu
    2021): n clients with variance / n each make one with this variance.

    Attributes:
        variance: 2^-39 to 2^41.

    Raises:
        LocalProtocolError: It is out of range, or no fraction of integers below 2^61.
    """

    variance: Fraction
    _sample = staticmethod(_core.sample_skellam)

    def __post_init__(self) -> None:
        _set(self, "variance", -39, 41, _MAX_TERM // 2)

    def _parameters(self) -> tuple[Fraction, ...]:
        return (self.variance,)


@dataclass(frozen=True, slots=True)
class DiscreteLaplace(NoiseLaw):
    """P[k] = (1 - p) / (1 + p) p^|k|, p = exp(-rate): the two-sided geometric law.

    Added to an integer of sensitivity Delta it gives rate * Delta differential privacy (Ghosh,
    Roughgarden, Sundararajan 2009).

    Attributes:
        rate: epsilon / Delta; 2^-40 to 2^40.

    Raises:
        LocalProtocolError: It is out of range, or no fraction of integers below 2^62.
    """

    rate: Fraction
    _sample = staticmethod(_core.sample_discrete_laplace)

    def __post_init__(self) -> None:
        _set(self, "rate", -40, 40)

    def _parameters(self) -> tuple[Fraction, ...]:
        return (self.rate,)


@dataclass(frozen=True, slots=True)
class PolyaDifference(NoiseLaw):
    """The difference of two negative binomial numbers: a share of discrete Laplace noise.

    n independent ones of shape 1/n sum to exactly one of DiscreteLaplace(rate); fewer give less
    noise, so shape is 1 over the number of shares that will surely be there.

    Attributes:
        shape: 2^-40 to 1.
        rate: epsilon / Delta; 2^-24 to 2^40.

    Raises:
        LocalProtocolError: One is out of range, or no fraction of integers below 2^62.
    """

    shape: Fraction
    rate: Fraction
    _sample = staticmethod(_core.sample_polya_difference)

    def __post_init__(self) -> None:
        _set(self, "shape", -40, 0)
        _set(self, "rate", -24, 40)

    def _parameters(self) -> tuple[Fraction, ...]:
        return (self.shape, self.rate)


def hadamard(x: NDArray[np.float32] | NDArray[np.float64]) -> None:
    """Transforms x in place by the Walsh-Hadamard matrix of +1 and -1 (Sylvester's order).

    Twice gives len(x) times the vector, up to rounding; divide by sqrt(len(x)) for a rotation.
    Additions in a fixed order: the same bits on every machine.

    Args:
        x: 1-D float32 or float64, contiguous; the length a power of two up to 2^30.

    Raises:
        LocalProtocolError: The length is another.
    """
    if x.size == 0 or x.size & (x.size - 1) or x.size > 2**30:
        raise LocalProtocolError(
            f"a vector of {x.size} values has no Hadamard transform; pad it with zeros to a power "
            "of two, at most 2**30"
        )
    _core.hadamard(x, threads=threads())


def flip_signs(
    x: NDArray[np.float32] | NDArray[np.float64],
    seed: Buffer,
    first: int = 0,
    prg: Prg = Prg.AES256,
) -> None:
    """Negates x[i], in place, where bit first + i of the seed's keystream is one.

    Twice gives x again.

    Args:
        x: 1-D float32 or float64, contiguous.
        seed: prg.seed_bytes; may be public, and has no other use.
        first: Position of ``x[0]`` in the whole vector.
        prg: What the seed is expanded by.
    """
    _core.flip_signs(x, seed, first, prg=prg, threads=threads())


def _set(law: NoiseLaw, name: str, low: int, high: int, limit: int = _MAX_TERM) -> None:
    """Replaces the attribute by its exact fraction, or refuses it."""
    value = getattr(law, name)
    if isinstance(value, bool) or not isinstance(value, (Rational, float)):
        raise LocalProtocolError(
            f"{name} is a {type(value).__name__}; use a Fraction, an integer or a float"
        )
    try:
        exact = Fraction(value)
    except (OverflowError, ValueError):
        raise LocalProtocolError(f"{name}={value!r}; use a finite number") from None
    if not Fraction(2) ** low <= exact <= 2**high:
        raise LocalProtocolError(f"{name}={float(exact):g}; use one from 2**{low} to 2**{high}")
    if max(exact.numerator, exact.denominator) >= limit:
        raise LocalProtocolError(
            f"{name}={value!r} is no fraction of integers below {limit}; round it to one, such as "
            f"Fraction({name}).limit_denominator(2**20), and account for what that changes"
        )
    object.__setattr__(law, name, exact)

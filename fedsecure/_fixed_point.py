"""The arithmetic of the encoding: steps, weights, and the width a ring needs. Integers only."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from fractions import Fraction
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from fedsecure.errors import EncodingError

if TYPE_CHECKING:
    from typing import TypeGuard

Rounding = Literal["stochastic", "nearest"]
Overflow = Literal["raise", "clip"]

MIN_MODULUS_BITS = 8
MAX_MODULUS_BITS = 64
MAX_FRACTION_BITS = 60

# The core rounds in 64-bit integers; two bits of room keep every intermediate inside them.
_MAX_ENCODED = 2**62


def ring_width(num_clients: int, low: int, high: int) -> int:
    """Returns the least b for which sums of `num_clients` integers in [low, high] fit modulo 2**b.

    That is ceil(log2(n * (high - low) + 1)), the number of different sums (Bonawitz et al. 2017,
    section 4, where R = n * (R_U - 1) + 1 for inputs in [0, R_U - 1]).

    Args:
        num_clients: n >= 1.
        low: Least input.
        high: Largest input, >= low.
    """
    return (num_clients * (high - low)).bit_length()


@dataclass(frozen=True)
class RingLayout:
    """What a session's vectors over Z_(2**modulus_bits) hold, in order.

    `size` values, then the weight if `weighted`, then the count of clipped values if
    `counts_clipped`.

    Attributes:
        size: Number of values of the update, >= 1.
        modulus_bits: The ring is Z_(2**modulus_bits), 8 to 64.
        weighted: One element carries the weight.
        counts_clipped: One element carries the number of clipped values.

    Raises:
        EncodingError: `size` or `modulus_bits` out of range.
    """

    size: int
    modulus_bits: int
    weighted: bool
    counts_clipped: bool

    def __post_init__(self) -> None:
        check_int("size", self.size, 1, None)
        check_int("modulus_bits", self.modulus_bits, MIN_MODULUS_BITS, MAX_MODULUS_BITS)

    @property
    def length(self) -> int:
        """Number of ring elements."""
        return self.size + self.weighted + self.counts_clipped

    @property
    def dtype(self) -> np.dtype[Any]:
        """The lane: the narrowest of uint16, uint32 and uint64 that holds an element."""
        if self.modulus_bits <= 16:
            return np.dtype(np.uint16)
        return np.dtype(np.uint32 if self.modulus_bits <= 32 else np.uint64)


@dataclass(frozen=True)
class FixedPoint:
    """How values become integers; the same for all clients of a session.

    Attributes:
        clip: Largest magnitude of a value, > 0 and at least one step.
        bits: Fraction bits, 0 to 60: the step is 2**-bits.
        max_weight: Largest weight a client may have, above half a step. Required in weighted
            sessions: weights are secret, and the ring must hold the largest of them.
        rounding: "stochastic" rounds up with a probability equal to the fraction (unbiased, to
            within 2**-32 of a step); "nearest" rounds halves to even.
        overflow: "raise" refuses values outside [-clip, clip]; "clip" clips them, and the sum of
            the clients' counts of clipped values becomes part of the result.
        modulus_bits: Ring width, 8 to 64; None takes the least that is enough.

    Raises:
        EncodingError: A value is out of range; the message says which one is in range.
    """

    clip: float = 8.0
    bits: int = 20
    _: KW_ONLY
    max_weight: float | None = None
    rounding: Rounding = "stochastic"
    overflow: Overflow = "raise"
    modulus_bits: int | None = None

    def __post_init__(self) -> None:
        check_int("bits", self.bits, 0, MAX_FRACTION_BITS)
        object.__setattr__(self, "clip", _positive("clip", self.clip))
        if self.clip < self.step:
            raise EncodingError(
                f"clip={self.clip:g} is smaller than the step 2**-{self.bits}; raise bits or clip"
            )
        if self.max_weight is not None:
            object.__setattr__(self, "max_weight", _positive("max_weight", self.max_weight))
            self._check_units("max_weight", self.max_weight)
        if self.rounding not in get_args(Rounding):
            raise EncodingError(f"rounding={self.rounding!r}; use one of {get_args(Rounding)}")
        if self.overflow not in get_args(Overflow):
            raise EncodingError(f"overflow={self.overflow!r}; use one of {get_args(Overflow)}")
        if self.modulus_bits is not None:
            check_int("modulus_bits", self.modulus_bits, MIN_MODULUS_BITS, MAX_MODULUS_BITS)

    @property
    def step(self) -> float:
        """Distance between neighboring encoded values, 2**-bits."""
        return float(2.0**-self.bits)

    @property
    def max_weight_units(self) -> int:
        """The largest weight in the sum, round(max_weight * 2**bits).

        Raises:
            EncodingError: `max_weight` was not declared.
        """
        return self._to_units(self._declared_max_weight())

    def required_bits(self, num_clients: int, *, size: int = 1, weighted: bool = False) -> int:
        """Returns the least ring width that is exact for any honest inputs.

        max(8, ceil(log2(2 * n * max(A, W_max, size) + 1))), with A = ceil(clip * W) the largest
        encoded value; W = 2**bits without weights, W = W_max = round(max_weight * 2**bits) with
        them (the weight is an element too), and `size` only when clipped values are counted. It is
        the condition of Bonawitz et al. 2017, section 4, for inputs of both signs.

        Args:
            num_clients: n >= 1, everyone who may contribute.
            size: Number of values, >= 1.
            weighted: Whether clients have weights.

        Raises:
            EncodingError: Weighted without `max_weight`, or more than 64 bits would be needed.
        """
        check_int("num_clients", num_clients, 1, None)
        check_int("size", size, 1, None)
        largest_value = self.largest_value(weighted=weighted)
        largest = max(
            largest_value,
            self.max_weight_units if weighted else 0,
            size if self.overflow == "clip" else 0,
        )
        needed = ring_width(num_clients, -largest, largest)
        if needed > MAX_MODULUS_BITS or largest_value >= _MAX_ENCODED:
            raise EncodingError(
                f"{num_clients} clients need a ring of {needed} bits, and the widest has "
                f"{MAX_MODULUS_BITS}; lower bits (now {self.bits}), clip (now {self.clip:g})"
                + (f" or max_weight (now {self.max_weight:g})" if weighted else "")
            )
        return max(MIN_MODULUS_BITS, needed)

    def largest_value(self, *, weighted: bool) -> int:
        """Returns A: no encoded value of an honest client has a larger magnitude.

        Args:
            weighted: Whether clients have weights.

        Raises:
            EncodingError: Weighted without `max_weight`.
        """
        factor = self.max_weight_units if weighted else 2**self.bits
        exact = Fraction(self.clip) * factor
        if exact >= _MAX_ENCODED:
            return math.ceil(exact)
        # The core multiplies in double precision, which above 2**53 may round up past the ceiling.
        return max(math.ceil(exact), math.ceil(self.clip * float(factor)))

    def layout(self, num_clients: int, size: int, *, weighted: bool) -> RingLayout:
        """Returns the ring vectors of a session.

        Args:
            num_clients: Everyone who may contribute, >= 1.
            size: Number of values of the update, >= 1.
            weighted: Whether clients have weights.

        Raises:
            EncodingError: As `required_bits`, or `modulus_bits` was given and is too small.
        """
        needed = self.required_bits(num_clients, size=size, weighted=weighted)
        given = needed if self.modulus_bits is None else self.modulus_bits
        if given < needed:
            raise EncodingError(too_narrow(given, needed, num_clients))
        return RingLayout(size, given, weighted, self.overflow == "clip")

    def weight_units(self, weight: float) -> int:
        """Returns a weight as the integer round(weight * 2**bits) that enters the sum.

        Args:
            weight: At most `max_weight`, above half a step.

        Raises:
            EncodingError: The weight is not that, or `max_weight` was not declared.
        """
        limit = self._declared_max_weight()
        if _is_real(weight) and weight > limit:
            raise EncodingError(
                f"the weight is above max_weight={limit:g}; raise max_weight or scale all weights"
            )
        return self._check_units("the weight", _positive("the weight", weight))

    def _to_units(self, weight: float) -> int:
        return round(Fraction(weight) * (1 << self.bits))

    def _check_units(self, name: str, weight: float) -> int:
        units = self._to_units(weight)
        if units == 0:
            raise EncodingError(
                f"{name} rounds to 0 in steps of 2**-{self.bits}; raise bits or scale all weights"
            )
        return units

    def _declared_max_weight(self) -> float:
        if self.max_weight is None:
            raise EncodingError(
                "weights are secret, so the ring must have room for the largest one that any "
                "client may have; declare it with FixedPoint(max_weight=...)"
            )
        return self.max_weight


def check_int(name: str, value: int, low: int, high: int | None) -> None:
    """Raises `EncodingError` unless `value` is an integer in [low, high]."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or value < low or (high is not None and value > high):
        allowed = f"at least {low}" if high is None else f"in {low}..{high}"
        raise EncodingError(f"{name}={value!r}; use an integer {allowed}")


def too_narrow(given: int, needed: int, num_clients: int) -> str:
    """Returns the message for a ring that cannot hold the sum of all clients."""
    return (
        f"ring too narrow: modulus_bits={given}, but sums of {num_clients} clients need {needed}; "
        "leave modulus_bits out, or lower bits, clip or max_weight"
    )


def _is_real(value: object) -> TypeGuard[float]:
    return isinstance(value, Real) and not isinstance(value, bool)


def _positive(name: str, value: object) -> float:
    if not _is_real(value):
        raise EncodingError(f"{name} is a {type(value).__name__}; use a number, such as 1.0")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not (math.isfinite(number) and number > 0):
        raise EncodingError(f"{name} must be finite and larger than 0, not {number:g}")
    return number

"""`Form`: what encrypted vectors must share to be added, and how arrays become slots."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from fedsecure._fixed_point import check_int
from fedsecure.encoding import Contribution, FixedPoint, RingLayout
from fedsecure.errors import EncodingError, RemoteProtocolError
from fedsecure.paillier.packing import FORGED, Packing
from fedsecure.primitives import entropy
from fedsecure.primitives.masks import Prg, threads

if TYPE_CHECKING:
    import numpy.typing as npt

    from fedsecure.paillier._seam import Rows
    from fedsecure.paillier.public_key import PublicKey

    FloatArray = npt.NDArray[np.floating[Any]]

__all__ = ["DTYPES", "Form"]

DTYPES = ("float16", "float32", "float64")
_MOST = 1 << 50


@dataclass(frozen=True)
class Form:
    """All that is public about an encrypted vector but its ciphertexts and `terms`.

    Attributes:
        public: The key it is encrypted under.
        encoding: How its values became integers: one scale for all of them.
        budget: Additions that its slots have room for, weights counted.
        shape: That of the array.
        dtype: That of the array: "float16", "float32" or "float64".
        packed: Whether a ciphertext holds as many values as fit, or one.

    Raises:
        EncodingError: The encoding has no room for that budget, or counts what it clips.
    """

    public: PublicKey
    encoding: FixedPoint
    budget: int
    shape: tuple[int, ...]
    dtype: str
    packed: bool

    def __post_init__(self) -> None:
        # numpy counts elements in 64 bits, also those of an array that is empty in one dimension.
        if math.prod(max(length, 1) for length in self.shape) > _MOST:
            raise EncodingError("no array has as many elements as this shape")
        if not isinstance(self.encoding, FixedPoint):
            raise EncodingError(f"encoding is {self.encoding!r:.60}; use a FixedPoint")
        if self.encoding.overflow == "clip":
            raise EncodingError(
                "overflow='clip' counts what it clips, and a vector by itself has no place for the "
                "count; clip the array (numpy.clip) and use overflow='raise'"
            )
        check_int("budget", self.budget, 1, None)
        _ = self.packing

    @classmethod
    def of(
        cls,
        array: FloatArray,
        *,
        public: PublicKey,
        encoding: FixedPoint,
        budget: int,
        packed: bool,
    ) -> Form:
        """Returns the form that `array` will have.

        Raises:
            EncodingError: No numpy array of floats, or as the class says.
        """
        real = isinstance(array, np.ndarray | np.generic)
        if not real or isinstance(array, np.ma.MaskedArray) or array.dtype.name not in DTYPES:
            found = f"an array of {array.dtype}" if real else f"a {type(array).__name__}"
            raise EncodingError(
                f"{found} cannot be encrypted; pass a numpy array of float16, float32 or float64 "
                "(array.astype(...) makes one)"
            )
        return cls(public, encoding, budget, array.shape, array.dtype.name, bool(packed))

    @cached_property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @cached_property
    def packing(self) -> Packing:
        """How the values lie in plaintexts: slots as wide as the ring for `budget` additions."""
        bits = self._layout.modulus_bits
        return Packing(self.public, bits, 0 if self.packed else 1)

    @property
    def num_ciphertexts(self) -> int:
        """Ciphertexts of a vector."""
        return self.packing.num_ciphertexts(self.size)

    def encode(self, array: FloatArray) -> Rows:
        """Returns the plaintexts that hold the values of `array`; as secret as they are.

        Raises:
            EncodingError: NaN or infinite values, or values outside [-clip, clip].
        """
        if not self.size:
            return np.empty((0, self.public.key_bytes), np.uint8)
        native = np.asarray(array, array.dtype.newbyteorder("="))
        seed = None
        if self.encoding.rounding == "stochastic":
            seed = entropy.draw(Prg.AES256.seed_bytes)
        contribution = Contribution(
            [np.ascontiguousarray(native).reshape(-1)],
            ["array"],
            encoding=self.encoding,
            layout=self._layout,
            weight=None,
            seed=None if seed is None else seed.view,
            prg=Prg.AES256,
            threads=threads(),
        )
        words = contribution.encode(0, self.size)
        contribution.wipe()
        if seed is not None:
            seed.wipe()
        plaintexts = self.packing.pack(words)
        entropy.wipe(words.data.cast("B"))
        return plaintexts

    def decode(
        self, plaintexts: Rows, terms: int, dtype: npt.DTypeLike | None = None
    ) -> FloatArray:
        """Returns the array whose values the plaintexts hold.

        Args:
            plaintexts: Of a whole vector.
            terms: Weight of the additions in it: no value is larger than so many times `clip`.
            dtype: float16, float32 or float64, if not that of the arrays that went in.

        Raises:
            RemoteProtocolError: A value that so many honest additions cannot give.
            EncodingError: `dtype` is another, or too narrow for a value.
        """
        target = np.dtype(self.dtype if dtype is None else dtype)
        if target.name not in DTYPES:
            raise EncodingError(f"dtype={dtype!r}; decrypt to float16, float32 or float64")
        slots = self.num_ciphertexts * self.packing.slots
        words = self.packing.unpack(plaintexts, slots)
        integers = words.view(f"i{words.dtype.itemsize}")
        limit = terms * self.encoding.largest_value(weighted=False)
        integers, unused = integers[: self.size], integers[self.size :]
        inside = -limit <= int(integers.min(initial=0)) and int(integers.max(initial=0)) <= limit
        if not inside or unused.any():
            raise RemoteProtocolError(FORGED)
        values = integers.astype(np.float64)
        values *= self.encoding.step
        with np.errstate(over="ignore"):
            out = values.astype(target, copy=False)
        if not np.isfinite(out).all():
            raise EncodingError(f"a sum is too large for {target}; pass dtype='float64'")
        return out.reshape(self.shape)

    def check_same(self, other: Form) -> None:
        """Raises `EncodingError` that says what differs, if anything does."""
        for name in (field.name for field in fields(self)):
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine != theirs:
                raise EncodingError(
                    f"these vectors do not add: one has {_NAMES[name]} {mine}, the other {theirs}; "
                    "encrypt both alike"
                )

    def check_terms(self, terms: int) -> None:
        """Raises `EncodingError` if that many additions are more than the budget."""
        if terms > self.budget:
            raise EncodingError(
                f"the result would be a sum of {terms} terms (weights counted), and the slots "
                f"have room for budget={self.budget}; encrypt with budget={terms} or more"
            )

    @cached_property
    def _layout(self) -> RingLayout:
        return self.encoding.layout(self.budget, max(self.size, 1), weighted=False)


_NAMES = {
    "public": "key",
    "encoding": "encoding",
    "budget": "budget",
    "shape": "shape",
    "dtype": "dtype",
    "packed": "packed =",
}

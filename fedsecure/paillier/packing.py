"""Many small signed integers in one plaintext: slots side by side.

The plaintext of slots x_0, x_1, ... is the sum of x_j * 2^(slot_bits * j) modulo n, so that adding
plaintexts adds slot by slot as long as no sum leaves its slot. A slot has as many bits as the ring
that the encoding asks for (`FixedPoint.required_bits`), and so room for every sum in the budget.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fedsecure._fixed_point import MAX_MODULUS_BITS, MIN_MODULUS_BITS, RingLayout, check_int
from fedsecure.errors import LocalProtocolError, RemoteProtocolError
from fedsecure.paillier._seam import Rows, as_rows, core

if TYPE_CHECKING:
    import numpy.typing as npt

    from fedsecure.paillier.public_key import PublicKey

    RingArray = npt.NDArray[np.unsignedinteger[Any]]

__all__ = ["FORGED", "Packing"]

# Top bits of n that slots leave alone: one since sums are of both signs, one since n is no power of
# two.
_SPARE_BITS = 2


@dataclass(frozen=True)
class Packing:
    """How ring elements lie in plaintexts.

    Attributes:
        public: The key.
        slot_bits: Bits of a slot, 8 to 64: the ring is Z_(2**slot_bits).
        slots: Slots of a plaintext; as many as fit if left out.

    Raises:
        EncodingError: `slot_bits` or `slots` out of range.
    """

    public: PublicKey = field(repr=False)
    slot_bits: int
    slots: int = 0

    def __post_init__(self) -> None:
        check_int("slot_bits", self.slot_bits, MIN_MODULUS_BITS, MAX_MODULUS_BITS)
        most = (self.public.bits - _SPARE_BITS) // self.slot_bits
        check_int("slots", self.slots, 0, most)
        object.__setattr__(self, "slots", self.slots or most)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The lane of a ring element: uint16, uint32 or uint64."""
        lane: np.dtype[Any] = RingLayout(1, self.slot_bits, False, False).dtype  # noqa: FBT003
        return lane

    def num_ciphertexts(self, size: int) -> int:
        """Returns how many ciphertexts `size` elements take."""
        return -(-size // self.slots)

    def pack(self, words: RingArray) -> Rows:
        """Returns the plaintexts that hold the centred values of ring elements.

        Args:
            words: Ring elements in the lane of the ring, shape (size,); bits above `slot_bits` are
                ignored.

        Raises:
            LocalProtocolError: Another lane or shape.
        """
        self._check_words(words.dtype, words.ndim)
        if not words.size:
            return np.empty((0, self.public.key_bytes), np.uint8)
        return core.pack_slots(
            np.ascontiguousarray(words), self.slot_bits, self.slots, self.public.n_bytes
        )

    def unpack(self, plaintexts: Rows, size: int, dtype: npt.DTypeLike | None = None) -> RingArray:
        """Returns the first `size` slots, centred, as two's complement of the lane.

        Args:
            plaintexts: Shape (num_ciphertexts(size), key_bytes).
            size: Number of elements.
            dtype: The lane, if it is to be another than the ring's.

        Raises:
            LocalProtocolError: Another lane or shape.
            RemoteProtocolError: A plaintext is larger than its slots together.
        """
        out: RingArray = np.empty(size, self.dtype if dtype is None else dtype)
        self._check_words(out.dtype, 1)
        rows = as_rows("plaintexts", plaintexts, self.public.key_bytes)
        if len(rows) != self.num_ciphertexts(size):
            raise LocalProtocolError(f"{len(rows)} plaintexts do not hold {size} elements")
        if size:
            try:
                core.unpack_slots(rows, self.slot_bits, self.slots, self.public.n_bytes, out)
            except ValueError:
                # Nothing of the plaintext is said: whoever made it could learn from the answer.
                raise RemoteProtocolError(FORGED) from None
        return out

    def _check_words(self, dtype: np.dtype[Any], ndim: int) -> None:
        lanes = (np.uint16, np.uint32, np.uint64)
        if dtype not in lanes or dtype.itemsize * 8 < self.slot_bits or ndim != 1:
            raise LocalProtocolError(
                f"ring elements of {self.slot_bits} bits are a vector of {self.dtype}, not {dtype}"
            )


FORGED = (
    "a decrypted value is not one that honest parties can have encrypted and added: one of them "
    "sent a forged ciphertext, or the encoding is another"
)

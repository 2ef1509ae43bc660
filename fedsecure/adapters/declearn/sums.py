"""Masked values of declearn's aggregates: how they travel, and how they add up."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from declearn.secagg import api

from fedsecure.encoding import RingLayout
from fedsecure.primitives import masks

__all__ = ["RING", "FedsecureAggregate", "Packed"]

RING = 1 << 64
"""Single integers are masked modulo this."""


@dataclasses.dataclass
class Packed:
    """Ring elements of one field: as they travel, or summed.

    Attributes:
        bits: The ring is Z_(2**bits).
        length: How many there are.
        data: `bits` of each, or an array of them.
    """

    bits: int
    length: int
    data: Any

    def __post_init__(self) -> None:
        """Refuses what is no such vector, before memory is taken for it."""
        sizes = [type(self.bits) is int and 8 <= self.bits <= 64, type(self.length) is int]
        if not all(sizes) or (
            isinstance(self.data, bytes) and len(self.data) != -(-self.length * self.bits // 8)
        ):
            raise TypeError("not a packed vector")

    def total(self) -> Any:
        """Returns a new array with the elements."""
        if isinstance(self.data, np.ndarray):
            return self.data.copy()
        layout = RingLayout(1, self.bits, weighted=False, counts_clipped=False)
        total = np.zeros(self.length, layout.dtype)
        masks.unpack_add(memoryview(self.data), self.bits, total)
        return total

    def plus(self, other: Packed) -> Packed:
        """Returns the sum of both."""
        if (self.bits, self.length) != (other.bits, other.length):
            raise ValueError("these vectors are of two lengths or rings; set secagg up anew")
        total = self.total()
        if isinstance(other.data, bytes):
            masks.unpack_add(memoryview(other.data), self.bits, total)
        else:
            total += other.data
        return Packed(self.bits, self.length, total)


class FedsecureAggregate(api.SecureAggregate):
    """Masked fields of a declearn `Aggregate`, which add up.

    Args:
        encrypted: For each field an integer modulo 2**64, or `Packed`.
        enc_specs: As in declearn.
        cleartext: As in declearn.
        agg_cls: As in declearn.
        n_aggrg: How many clients' are in it.
        number: How often the clients had encrypted before: the same for all, or masks stay on.
    """

    def __init__(  # noqa: PLR0917  # declearn's own order
        self,
        encrypted: list[Any],
        enc_specs: list[Any],
        cleartext: dict[str, Any] | None,
        agg_cls: type[Any],
        n_aggrg: int = 1,
        number: int = 0,
    ) -> None:
        super().__init__(encrypted, enc_specs, cleartext, agg_cls, n_aggrg)
        self.number = number

    def aggregate(self, other: FedsecureAggregate) -> FedsecureAggregate:
        """Returns the sum of both.

        Raises:
            ValueError: They were made with masks of different calls.
        """
        if isinstance(other, FedsecureAggregate) and self.number != other.number:
            raise ValueError(
                f"clients have encrypted {self.number} and {other.number} times: their masks do "
                "not cancel; set secagg up anew"
            )
        summed: FedsecureAggregate = super().aggregate(other)
        summed.number = self.number
        return summed

    def aggregate_encrypted(self, val_a: list[Any], val_b: list[Any]) -> list[Any]:
        """Returns the sums of fields."""
        return [
            a.plus(b) if isinstance(a, Packed) else (a + b) % RING
            for a, b in zip(val_a, val_b, strict=True)
        ]

    def to_dict(self) -> dict[str, Any]:
        """Returns what travels."""
        fields: dict[str, Any] = super().to_dict()
        fields["encrypted"] = [
            [v.bits, v.length, v.data if isinstance(v.data, bytes) else masks.pack(v.data, v.bits)]
            if isinstance(v, Packed)
            else v
            for v in self.encrypted
        ]
        fields["number"] = self.number
        return fields

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> FedsecureAggregate:
        """Returns what travelled.

        Raises:
            TypeError: Something else did.
        """
        values = [Packed(*v) if isinstance(v, list | tuple) else v for v in data["encrypted"]]
        if not all(isinstance(v, Packed) or type(v) is int for v in values):
            raise TypeError("not the fields of a masked aggregate")
        made: FedsecureAggregate = super().from_dict({**data, "encrypted": values})
        return made

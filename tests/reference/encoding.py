"""Floats to integers and back, one value at a time."""

from __future__ import annotations

import math
from fractions import Fraction

from reference import prg


def encode(
    values: list[float],
    *,
    bits: int,
    clip: float,
    modulus_bits: int,
    weight: float | None = None,
    seed: bytes | None = None,
    suite: int,
    count_clipped: bool = False,
) -> list[int]:
    """A client's vector: values, then its weight if it has one, then its count of clipped values.

    `seed` None rounds halves to even; otherwise word i of its stream decides where value i goes.
    """
    units = 2**bits if weight is None else round(weight * 2**bits)
    draws = [0] * len(values) if seed is None else prg.words(seed, len(values), 4, suite)
    encoded = []
    for value, draw in zip(values, draws, strict=True):
        scaled = max(-clip, min(clip, value)) * float(units)
        if seed is None:
            encoded.append(round(scaled))
        else:
            floor = math.floor(scaled)
            encoded.append(floor + (draw < math.floor((scaled - floor) * 2**32)))
    if weight is not None:
        encoded.append(units)
    if count_clipped:
        encoded.append(sum(abs(value) > clip for value in values))
    return [number % 2**modulus_bits for number in encoded]


def ring_bits(
    clients: int, size: int, *, bits: int, clip: float, max_weight: float | None, counted: bool
) -> int:
    """The least width for which no sum of honest vectors wraps; max_weight None without weights."""
    most_units = 2**bits if max_weight is None else round(Fraction(max_weight) * 2**bits)
    # Values are multiplied in double precision, which may end above the exact product.
    largest = max(math.ceil(Fraction(clip) * most_units), math.ceil(clip * float(most_units)))
    if max_weight is not None:
        largest = max(largest, most_units)
    if counted:
        largest = max(largest, size)
    return max(8, (2 * clients * largest).bit_length())


def centred(element: int, modulus_bits: int) -> int:
    """The integer of least magnitude that is `element` modulo 2^modulus_bits."""
    half = 2 ** (modulus_bits - 1)
    return (element + half) % 2**modulus_bits - half

"""Contributions and their sums, made in one line for the tests of the encoding."""

from __future__ import annotations

from typing import Any

import numpy as np

from fedsecure.encoding import Contribution, Decoded, FixedPoint, RingLayout, decode_sum
from reference import encoding as reference

SEED = bytes(range(24))


def seed_of(client: int) -> bytes:
    return bytes([client]) + SEED[1:]


def make(
    leaves: list[np.ndarray],
    encoding: FixedPoint,
    *,
    clients: int = 3,
    weight: float | None = None,
    seed: bytes | None = SEED,
) -> tuple[Contribution, RingLayout]:
    """A contribution named after its positions, and the layout of its session."""
    size = sum(leaf.size for leaf in leaves)
    layout = encoding.layout(clients, size, weighted=weight is not None)
    names = [f"leaf{i}" for i in range(len(leaves))]
    made = Contribution(leaves, names, encoding=encoding, layout=layout, weight=weight, seed=seed)
    return made, layout


def whole(contribution: Contribution, layout: RingLayout) -> np.ndarray:
    return contribution.encode(0, layout.length)


def centred(vector: np.ndarray, layout: RingLayout) -> list[int]:
    return [reference.centred(int(element), layout.modulus_bits) for element in vector]


def sum_of(
    updates: list[np.ndarray], encoding: FixedPoint, weights: list[float] | None = None
) -> tuple[np.ndarray, RingLayout]:
    """The ring sum of all clients, in the lane, and the layout."""
    layout = encoding.layout(len(updates), updates[0].size, weighted=weights is not None)
    total = np.zeros(layout.length, layout.dtype)
    for i, update in enumerate(updates):
        weight = None if weights is None else weights[i]
        made = make([update], encoding, clients=len(updates), weight=weight, seed=seed_of(i))
        total += whole(*made)
    return total, layout


def decoded(
    total: np.ndarray, layout: RingLayout, encoding: FixedPoint, n: int, dtype: Any = np.float64
) -> Decoded:
    return decode_sum(total, encoding=encoding, layout=layout, num_contributors=n, dtype=dtype)

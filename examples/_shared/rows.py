"""Rows of data: at each organisation, split into training and test rows, standardised together."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

import fedsecure as fs

__all__ = ["Organisation", "Rows", "one_hot", "pooled", "split", "standardise"]

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Rows:
    """Features, shape (rows, features), and what is to be predicted, shape (rows,)."""

    features: Floats
    target: npt.NDArray[np.generic]

    def __len__(self) -> int:
        return len(self.target)


@dataclass(frozen=True)
class Organisation:
    """Who holds which rows: some to learn from, some of its own to be tested on."""

    name: str
    train: Rows
    test: Rows


def one_hot(*columns: npt.NDArray[np.generic]) -> Floats:
    """Returns 0/1 columns, one for each value of each column that is not empty."""
    levels = [(column, level) for column in columns for level in sorted(set(column) - {"", None})]
    return np.column_stack([column == level for column, level in levels]).astype(np.float64)


def split(
    owners: Sequence[str], features: Floats, target: npt.NDArray[np.generic], test_share: float
) -> list[Organisation]:
    """Returns the organisations, the largest first, each with its training and its test rows.

    The test rows take the same share of every class at every organisation. Rows are mixed, by the
    SHA-256 of their number, so the split is the same everywhere without a random generator.
    """
    mixed = _mixed(len(target))
    groups: dict[tuple[str, object], list[int]] = defaultdict(list)
    for row in mixed:
        groups[owners[row], target[row]].append(row)
    tested = {row for rows in groups.values() for row in rows[: round(test_share * len(rows))]}
    train: dict[str, list[int]] = defaultdict(list)
    test: dict[str, list[int]] = defaultdict(list)
    for row in mixed:
        (test if row in tested else train)[owners[row]].append(row)
    return [
        Organisation(
            owner,
            Rows(features[train[owner]], target[train[owner]]),
            Rows(features[test[owner]], target[test[owner]]),
        )
        for owner in sorted(train, key=lambda owner: (-len(train[owner]), owner))
    ]


def _mixed(count: int) -> list[int]:
    return sorted(range(count), key=lambda row: hashlib.sha256(str(row).encode()).digest())


def standardise(organisations: Sequence[Organisation], numbers: int) -> list[Organisation]:
    """Returns the organisations with their first `numbers` features standardised.

    Mean and deviation are those of all training rows together, and come out of one secure sum: no
    organisation shows its own. NaN is a missing number; it counts in neither and becomes the mean,
    so give it a column of its own if it tells something. Numbers may be 1000 at most: choose units.
    """
    moments, weights = [], []
    for organisation in organisations:
        known = organisation.train.features[:, :numbers]
        there = ~np.isnan(known)
        filled = np.where(there, known, 0.0)
        moments.append(
            {
                "there": there.mean(axis=0),
                "sum": filled.mean(axis=0),
                "squares": (filled**2).mean(axis=0),
            }
        )
        weights.append(len(known))
    encoding = fs.FixedPoint(clip=2.0**20)
    mean = fs.secure_aggregate(moments, weights=weights, encoding=encoding).mean
    share = np.maximum(mean["there"], 1e-9)
    centre = mean["sum"] / share
    spread = np.sqrt(np.maximum(mean["squares"] / share - centre**2, 1e-6))

    def scaled(rows: Rows) -> Rows:
        features = rows.features.copy()
        features[:, :numbers] = np.nan_to_num((features[:, :numbers] - centre) / spread)
        return Rows(features, rows.target)

    return [Organisation(o.name, scaled(o.train), scaled(o.test)) for o in organisations]


def pooled(rows: Sequence[Rows]) -> Rows:
    """Returns all the rows in one place, mixed, which is what the organisations may not do."""
    features = np.concatenate([part.features for part in rows])
    order = _mixed(len(features))
    return Rows(features[order], np.concatenate([part.target for part in rows])[order])

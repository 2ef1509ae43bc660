"""Checks of numbers that users give, each with an error that names the number and the remedy."""

from __future__ import annotations

import math
from typing import Any

from fedsecure.errors import LocalProtocolError

__all__ = [
    "as_floats",
    "between",
    "fraction",
    "known_target",
    "moderate",
    "not_negative",
    "positive",
    "whole",
]

_LEAST, _MOST = 2.0**-100, 2.0**100


def as_floats(value: Any, *names: str) -> None:
    """Replaces attributes of a frozen value, None apart: 1 and 1.0 are one value, also in bytes."""
    for name in names:
        if getattr(value, name) is not None:
            object.__setattr__(value, name, float(getattr(value, name)))


def positive(name: str, value: float) -> None:
    """Raises `LocalProtocolError` unless the value is a finite number above 0."""
    if not _is_number(value) or value <= 0:
        raise LocalProtocolError(f"{name} is {value!r:.60}; use a finite number above 0")


def moderate(name: str, value: float) -> None:
    """Raises `LocalProtocolError` unless 2**-100 <= value <= 2**100.

    Nothing that is measured is beyond, and products of some such numbers and their squares are
    floats, whoever has chosen them.
    """
    positive(name, value)
    if not _LEAST <= value <= _MOST:
        raise LocalProtocolError(f"{name} is {value!r:.60}; use a number from 2**-100 to 2**100")


def not_negative(name: str, value: float) -> None:
    """Raises `LocalProtocolError` unless the value is a finite number, 0 or more."""
    if not _is_number(value) or value < 0:
        raise LocalProtocolError(f"{name} is {value!r:.60}; use a finite number, 0 or more")


def fraction(name: str, value: float) -> None:
    """Raises `LocalProtocolError` unless 0 < value <= 1."""
    if not _is_number(value) or not 0 < value <= 1:
        raise LocalProtocolError(f"{name} is {value!r:.60}; use a number above 0, at most 1")


def between(name: str, value: float, low: float, high: float) -> None:
    """Raises `LocalProtocolError` unless low < value < high."""
    if not _is_number(value) or not low < value < high:
        raise LocalProtocolError(f"{name} is {value!r:.60}; use a number between {low} and {high}")


def known_target(epsilon: float, delta: float) -> None:
    """Raises `LocalProtocolError` unless they are an epsilon and a delta to aim at."""
    positive("epsilon", epsilon)
    between("delta", delta, 0, 1)


def whole(name: str, value: int, least: int, most: int) -> None:
    """Raises `LocalProtocolError` unless the value is an integer in range."""
    if type(value) is not int or not least <= value <= most:
        raise LocalProtocolError(f"{name} is {value!r:.60}; use an integer from {least} to {most}")


def _is_number(value: object) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond every float
        return False

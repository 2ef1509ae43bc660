"""Ways to spoil a message that a few bytes can name, so that a fuzzer starts from valid ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

EDIT = 4
"""Bytes of one edit: what, where (u16, little-endian, modulo the length), and a value."""


def edited(message: bytes, program: bytes) -> bytes:
    """The message after the edits that the program spells, one after the other."""
    data = bytearray(message)
    for start in range(0, len(program) - EDIT + 1, EDIT):
        what, low, high, value = program[start : start + EDIT]
        place = (low | high << 8) % (len(data) + 1)
        _EDITS[what % len(_EDITS)](data, place, value)
    return bytes(data)


def _set(data: bytearray, place: int, value: int) -> None:
    data[place : place + 1] = bytes([value])


def _flip(data: bytearray, place: int, value: int) -> None:
    data[place : place + 1] = bytes(byte ^ (value or 1) for byte in data[place : place + 1])


def _insert(data: bytearray, place: int, value: int) -> None:
    data.insert(place, value)


def _remove(data: bytearray, place: int, value: int) -> None:
    del data[place : place + value]


def _cut(data: bytearray, place: int, value: int) -> None:
    del value, data[place:]


def _repeat(data: bytearray, place: int, value: int) -> None:
    data[place:place] = data[place : place + value]


def _zero(data: bytearray, place: int, value: int) -> None:
    data[place : place + value] = bytes(len(data[place : place + value]))


def _swap(data: bytearray, place: int, value: int) -> None:
    middle, end = place + value // 2, place + value // 2 * 2
    data[place:end] = data[middle:end] + data[place:middle]


_EDITS: tuple[Callable[[bytearray, int, int], None], ...] = (
    _set,
    _flip,
    _insert,
    _remove,
    _cut,
    _repeat,
    _zero,
    _swap,
)

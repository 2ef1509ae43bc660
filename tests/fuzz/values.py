"""Ways to spoil what a message says rather than how it is spelled: edits of the values in a body.

Most byte edits of a control body end at its reader. These leave it canonical, so that they reach
the rules behind the reader.
"""

from __future__ import annotations

import copy
from typing import Any

import msgspec

from fuzz.edits import EDIT, edited
from fuzz.scenes import IDS


def revalued(body: bytes, program: bytes) -> bytes:
    """The body after the edits of its values that the program spells; a vector's bytes are edited.

    One edit is what, which value (u16, little-endian, modulo their number), and an operand.
    """
    try:
        tree = msgspec.msgpack.decode(body)
    except msgspec.DecodeError:
        return edited(body, program)
    if not isinstance(tree, list):
        return edited(body, program)
    for start in range(0, len(program) - EDIT + 1, EDIT):
        what, low, high, operand = program[start : start + EDIT]
        places = _places(tree)
        if not places:
            break
        parent, at = places[(low | high << 8) % len(places)]
        _apply(what % 8, parent, at, operand)
    return msgspec.msgpack.encode(tree)


def _places(tree: list[Any]) -> list[tuple[list[Any], int]]:
    """All values, each as the list that it stands in and where."""
    found = []
    for at, value in enumerate(tree):
        found.append((tree, at))
        if isinstance(value, list):
            found += _places(value)
    return found


def _apply(what: int, parent: list[Any], at: int, operand: int) -> None:
    value, name = parent[at], IDS[operand % len(IDS)]
    if what == 0:
        parent[at] = name if operand < 128 else operand
    elif what == 1:
        del parent[at : at + 1 + operand % 4]
    elif what == 2:
        parent.insert(at, copy.deepcopy(value))
    elif what == 3:
        parent[at] = copy.deepcopy(parent[operand % len(parent)])
    elif what == 4 and isinstance(value, bytes) and value:
        place = operand % len(value)
        parent[at] = value[:place] + bytes([value[place] ^ 1 + operand % 255]) + value[place + 1 :]
    elif what == 5 and isinstance(value, list):
        # Into a list of ids, in its place.
        value[:] = sorted({*value, name}) if all(isinstance(one, int) for one in value) else []
    elif what == 6 and isinstance(value, list):
        value.reverse()
    elif what == 7 and isinstance(value, bytes):
        parent[at] = value[:operand]

"""The list of attacks that this library withstands, or says that it does not: each has its test.

A test names its attack in brackets in its docstring:

=====  ==========================================================================
A1     both kinds of share of one client, by asking twice
A2     different survivors told to different clients, with accomplices among them
A3     a straggler's vector, subtracted from what came before or comes after
A4     messages of another round or session
A5     public keys swapped on the way
A6     a client's own ciphertexts handed back to it
A7     repeated keys, keys of low order, a client that meets itself
A8     groups shrunk until they hide nobody
A9     weaker parameters than the client's policy
A10    a graph of the server's choice
A11    different models for different clients
A12    two inputs under one mask, by a second update, a clone, a fork, a restored client
A13    masks that are not uniform
A14    honest inputs too large for the ring
A15    forged inputs outside the range
A16    wrong shares, dealt or given
A17    values, weights and counts that show in sizes or plain fields
A18    magnitudes that show in plain exponents
A19    ranges that are told to pick a scale
A20    ciphertexts without randomness of their own
A21    decryption of what a single client sent
A22    key holders who collude, with too few shares
A23    packed values that carry over into their neighbors
A24    weak Paillier keys
A25    plaintexts that wrap and give the key away
A27    sums that pass for private
A28    sums over changing clients that single one out
A31    too little noise after clients dropped out
A32    rounding that makes vectors longer than the noise is for
A33    outputs that show the last bits of the inputs through the noise
A34    amplification by sampling, claimed against the server that samples
A35    bytes that hurt their reader
A37    a set of dead clients that grows from request to request
A38    dead clients that are oneself, unknown or gone before
A39    different configurations or rosters for different clients
=====  ==========================================================================
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
HERE = Path(__file__).name
# What shows that a test can fail: the same attack, with the defence taken away, succeeds.
CONTROLLED = [
    "A1",
    "A2",
    "A3",
    "A5",
    "A6",
    "A9",
    "A11",
    "A12",
    "A13",
    "A16",
    "A17",
    "A18",
    "A21",
    "A22",
    "A23",
    "A31",
    "A32",
    "A33",
    "A37",
    "A38",
]


def listed() -> list[str]:
    """The attacks in the table above."""
    return re.findall(r"^(A\d+) ", __doc__ or "", re.MULTILINE)


@cache
def tests_by_attack() -> dict[str, list[str]]:
    """The names of the tests that name an attack."""
    found: dict[str, list[str]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        if path.name == HERE:
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                for names in re.findall(r"\[(A\d+(?:, A\d+)*)\]", ast.get_docstring(node) or ""):
                    for name in names.split(", "):
                        found.setdefault(name, []).append(f"{path.stem}.{node.name}")
    return found


def test_the_list_is_read() -> None:
    assert len(listed()) == 35
    assert listed() == sorted(set(listed()), key=lambda name: int(name[1:]))


def named_here() -> dict[str, list[str]]:
    """The tests of this directory, whatever tests elsewhere name the same attacks."""
    modules = {path.stem for path in Path(__file__).parent.glob("test_*.py")}
    found = {
        attack: [name for name in names if name.split(".")[0] in modules]
        for attack, names in tests_by_attack().items()
    }
    return {attack: names for attack, names in found.items() if names}


@pytest.mark.parametrize("attack", listed())
def test_every_attack_has_its_test(attack: str) -> None:
    assert attack in named_here()


def test_no_attack_is_tested_here_and_not_listed() -> None:
    assert set(named_here()) == set(listed())


@pytest.mark.parametrize("attack", CONTROLLED)
def test_attacks_succeed_without_the_defence(attack: str) -> None:
    """A negative control stands beside the tests of each of these."""
    assert any("negative_control" in name for name in tests_by_attack()[attack])

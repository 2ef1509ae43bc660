"""The fuzz target on its corpus and near it, and proof that it finds what it is there to find."""

from __future__ import annotations

import random
import re
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fedsecure import wire
from fedsecure.errors import LocalProtocolError, RemoteProtocolError
from fedsecure.protocols.masking.client import MaskingClient
from fedsecure.protocols.masking.server import MaskingServer
from fuzz.edits import EDIT, edited
from fuzz.party_targets import BODY, EDITED, EDITED_BODY, REVALUED
from fuzz.scenes import IDS, KEYLESS, POLICIES, SILENT, Scene, update
from fuzz.target import MOST_BYTES, all_targets, corpus, one_input

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).parent / "fuzz" / "corpus"
FILES = sorted(path.name for path in FOLDER.iterdir())
NAMES = list(all_targets())

BOMBS = [
    b"\x91" * 10_000,  # nesting
    b"\xdd\xff\xff\xff\xff",  # counts without contents
    b"\x91\xdd\x00\x10\x00\x00",
    b"\x92\x90\xdd\x00\x10\x00\x00" + b"\x92" * 100,
    b"\xc6\xff\xff\xff\xff",
    b"\x91\xc6\x7f\xff\xff\xff",
    b"\xdf\xff\xff\xff\xff",
    b"\xc9\xff\xff\xff\xff\x01",
    b"\xdb\xff\xff\xff\xff",
    b"\x40" + b"\xff" * 12,  # a vector of 64-bit elements, as many as can be said
    bytes(MOST_BYTES),
]


@pytest.fixture
def breaking(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """For tests that break the parties on purpose: they are made before, and anew afterwards."""
    all_targets()
    yield monkeypatch
    all_targets.cache_clear()


def measured(data: bytes) -> int:
    """Runs one input; returns the most memory it took at once, in bytes."""
    tracemalloc.start()
    try:
        one_input(data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def selected(name: str, how: int, rest: bytes) -> bytes:
    return bytes([list(all_targets()).index(name), how]) + rest


def test_the_corpus_is_what_its_script_writes() -> None:
    """Else a message has changed: run tests/fuzz/write_corpus.py."""
    assert {name: (FOLDER / name).read_bytes() for name in FILES} == corpus()


@pytest.mark.parametrize("name", FILES)
def test_corpus_and_its_neighborhood(name: str) -> None:
    """Every file, and files that differ in few bytes, the same ones in every run."""
    data = (FOLDER / name).read_bytes()
    one_input(data)
    rng = random.Random(name)
    for _ in range(10):
        spoilt = bytearray(data)
        for _ in range(rng.randint(1, 3)):
            spoilt[rng.randrange(1, len(spoilt))] = rng.randrange(256)
        one_input(bytes(spoilt))
        one_input(edited(data, rng.randbytes(EDIT * rng.randint(1, 3))))


@pytest.mark.parametrize("name", NAMES)
def test_edits_of_what_is_due(name: str) -> None:
    rng = random.Random(name)
    for how in (BODY, EDITED, EDITED_BODY, EDITED_BODY | REVALUED << 2):
        for _ in range(20):
            one_input(selected(name, how, rng.randbytes(EDIT * rng.randint(1, 3))))


@pytest.mark.parametrize("name", [name for name in NAMES if re.search("-(client|server)-", name)])
def test_replays(name: str) -> None:
    """Messages from elsewhere in the session, and the valid body under other kinds."""
    for choice in range(64):
        one_input(selected(name, EDITED | choice << 2, b""))
        if choice < 12:
            one_input(selected(name, EDITED_BODY | choice << 2, b""))


@pytest.mark.parametrize("name", NAMES)
def test_memory_is_bounded_by_the_input(name: str) -> None:
    """Whatever counts and lengths it claims."""
    for bomb in BOMBS:
        for how in (0, BODY):
            assert measured(selected(name, how, bomb)) < (1 << 20) + 16 * len(bomb)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_scene_is_an_honest_session(policy: str) -> None:
    """Two vanish, the others are summed, and a party can be had again bit for bit."""
    one, other = Scene(policy), Scene(policy)
    assert (one.said, one.mail) == (other.said, other.mail)
    survivors = [name for name in IDS if name not in (KEYLESS, SILENT)]
    last = one.stages[-2]
    server = one.server(last, pieces=1)
    server.advance()
    result = server.result()
    assert result.contributors == tuple(survivors)
    mean = np.mean([update(name) for name in survivors], axis=0)
    np.testing.assert_allclose(result.mean, mean, atol=2**-11)
    np.testing.assert_array_equal(server._vectors.total, one.total)


def refused_by(role: str) -> list[tuple[str, bytes]]:
    """The names of all parties of that role, and for each an input that it refuses."""
    return [(name, selected(name, 0, b"refused")) for name in NAMES if f"-{role}-" in name]


@pytest.mark.parametrize("name", [name for name in NAMES if "-insider-" in name])
def test_an_insider_can_tell_the_truth(name: str) -> None:
    """What its targets make of no edits is what was said, signatures and ciphertexts included."""
    target = all_targets()[name]
    assert wire.encode_control(target.body(0, b"")) == target.honest


PARTIES = {"client": MaskingClient, "server": MaskingServer}


@pytest.mark.parametrize("role", PARTIES)
@pytest.mark.parametrize("error", [KeyError, LocalProtocolError, MemoryError])
def test_a_foreign_exception_is_found(
    role: str, error: type[Exception], breaking: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error("broken")

    breaking.setattr(PARTIES[role], "receive", fail)
    for name, data in refused_by(role):
        # Going on with an answer undrawn is a mistake of the caller, and may be called one.
        if error is LocalProtocolError and name.endswith("drawing"):
            continue
        with pytest.raises((error, AssertionError)):
            one_input(data)


@pytest.mark.parametrize("role", PARTIES)
def test_a_change_by_a_refused_message_is_found(role: str, breaking: pytest.MonkeyPatch) -> None:
    def change_and_refuse(self: MaskingClient | MaskingServer, *_: object) -> None:
        self._limits = {}
        raise RemoteProtocolError("refused")

    breaking.setattr(PARTIES[role], "receive", change_and_refuse)
    for _, data in refused_by(role):
        with pytest.raises(AssertionError, match="changed the party"):
            one_input(data)


def test_a_second_spelling_is_found(breaking: pytest.MonkeyPatch) -> None:
    """A reader that lets trailing bytes pass."""
    lenient = wire.decode_control

    def decode(kind: type[wire.Control], body: memoryview) -> wire.Control:
        return lenient(kind, body[:-1])

    valid = corpus()["body-ROSTER.raw"]
    breaking.setattr(wire, "decode_control", decode)
    with pytest.raises(AssertionError, match="two spellings"):
        one_input(valid + b"\0")

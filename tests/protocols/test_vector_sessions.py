"""The recorded sessions: the library says the same bytes, and refuses what must be refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedsecure.errors import CheaterDetected, RemoteProtocolError
from fedsecure.primitives import keys
from fedsecure.protocols.homomorphic import messages as homomorphic
from fedsecure.protocols.masking import MaskingServer
from fedsecure.protocols.masking.messages import Kind, size_limits
from fedsecure.protocols.masking.states import Stage
from fedsecure.protocols.session import Session
from reference.wire import unmsgpack
from vectors.recording import NAMES, Recording, load, unhex

DOCUMENT = Path(__file__).parents[2] / "docs" / "wire-format.md"
REFUSED = ["refused_malicious", "refused_regular"]


@pytest.fixture(params=NAMES)
def recording(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Recording:
    return Recording(load(request.param), monkeypatch)


def test_session_message(recording: Recording) -> None:
    session, data = recording.session, recording.data["session"]
    assert session.to_bytes().hex() == data["message"]
    for name in (
        "protocol",
        "suite",
        "round",
        "threshold",
        "neighbors",
        "survivors",
        "weighted",
        "chunk",
    ):
        assert getattr(session, name) == data[name]
    assert [key.hex() for key in session.verify_keys] == data["verify_keys"]
    assert session.layout.modulus_bits == data["ring_bits"]


@pytest.mark.parametrize("vector", load("context"), ids=lambda vector: vector["session"])
def test_config(vector: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    session = Recording(load(f"session_{vector['session']}"), monkeypatch).session
    assert session.digest.hex() == vector["config_digest"]
    assert keys.digest(b"config", bytes.fromhex(vector["config"])) == session.digest


def test_clients_say_what_was_recorded(recording: Recording) -> None:
    said = {stage: recording.said(stage) for stage in recording.stages}
    for each in recording.data["clients"]:
        client = recording.client(each["id"])
        for stage in recording.stages:
            first = stage == Stage.ADVERTISE_KEYS
            if first:
                answers = list(client.start())
            elif recording.heard(each["id"], stage):
                answers = recording.tell(client, stage)
            else:
                break
            # Whoever is said to have vanished gave an answer that nobody saw.
            assert answers == said[stage].get(each["id"], answers)
        if each["id"] in recording.data["result"]["survivors"]:
            assert client.stage == Stage.FINISHED
            assert client.transcript.hex() == recording.data["result"]["transcript"]


def test_server_says_what_was_recorded(recording: Recording) -> None:
    server = MaskingServer(recording.session)
    for stage in recording.stages:
        sent = {name: recording.heard(name, stage) for name in recording.session.client_ids}
        if stage != Stage.ADVERTISE_KEYS:
            assert server.advance() == {name: heard for name, heard in sent.items() if heard}
        recording.fill(server, stage)
    assert server.advance() == {}
    check_result(recording, server)


def check_result(recording: Recording, server: MaskingServer) -> None:
    expected, result = recording.data["result"], server.result()
    assert server._vectors.total.tolist() == expected["sum"]
    assert list(result.contributors) == expected["survivors"]
    assert result.transcript.hex() == expected["transcript"]
    assert result.total_weight == expected["total_weight"]
    assert result.clipped == expected["clipped"]
    mean = result.mean
    leaves = [mean[path] for path in sorted(mean)] if isinstance(mean, dict) else [mean]
    flat = np.concatenate([np.ravel(leaf) for leaf in leaves])
    np.testing.assert_allclose(flat, expected["mean"], rtol=2**-22)


# --- what docs/wire-format.md says ----------------------------------------------------------------


def test_kinds_are_those_of_the_document() -> None:
    rows = re.findall(r"^\| (\d+) \| ([A-Z_]+)", DOCUMENT.read_text("ascii"), re.MULTILINE)
    assert rows[0] == ("0", "SESSION")
    assert rows[1:] == [(str(kind.value), kind.name) for kind in (*Kind, *homomorphic.Kind)]


def test_limits_are_those_of_the_document(recording: Recording) -> None:
    session = recording.session
    count = len(session.client_ids)
    each = {2: 140, 3: 180, 4: 185, 6: 5, 7: 48, 8: 5, 10: 72}
    limits = {kind: 256 + count * entry for kind, entry in each.items()} | {1: 256, 9: 256}
    elements = min(session.chunk, session.layout.length)
    limits[5] = 13 + -(-elements * session.layout.modulus_bits // 8)
    assert size_limits(session, Kind) == limits


def test_sizes_are_those_of_the_document(recording: Recording) -> None:
    messages = [
        message
        for stage in recording.data["stages"]
        for message in [
            *unhex(each["message"] for each in stage["from_server"]),
            *unhex(message for each in stage["from_clients"] for message in each["messages"]),
        ]
    ]
    session = recording.session
    signed = bool(session.verify_keys)
    complete = session.neighbors == len(session.client_ids) - 1
    kinds = {message[5] for message in messages}
    assert kinds == ({1, 2, 3, 4, 5, 7, 8, 9, 10} if signed else {1, 2, 3, 4, 5, 6, 7})
    for message in messages:
        assert len(message) == 44 + documented_size(message, signed=signed, complete=complete)


def documented_size(message: bytes, *, signed: bool, complete: bool) -> int:
    """The size of a body by the table of section 4."""
    kind, body = message[5], message[44:]
    if kind == 5:
        return 13 + -(-int.from_bytes(body[1:9], "little") * body[0] // 8)
    fields = unmsgpack(body)
    mark = 66 if signed else 2

    def ids(names: list[int]) -> int:
        return sum(1 if n < 2**7 else 2 if n < 2**8 else 3 if n < 2**16 else 5 for n in names)

    def listed(entries: list[Any], each: int) -> int:
        """An array of arrays by id, with its head."""
        return 1 + each * len(entries) + ids([entry[0] for entry in entries])

    def plain(names: list[int]) -> int:
        return 1 + ids(names)

    return {
        1: lambda: 69 + mark,
        2: lambda: 1 + listed(fields[0], 69 + mark),
        3: lambda: 35 + (34 if complete else 2) + listed(fields[2], 175) + mark,
        4: lambda: 1 + plain(fields[0]) + listed(fields[1], 175),
        6: lambda: 1 + plain(fields[0]),
        7: lambda: 1 + listed(fields[0], 43) + listed(fields[1], 43),
        8: lambda: 1 + plain(fields[0]),
        9: lambda: 67,
        10: lambda: 1 + listed(fields[0], 67),
    }[kind]()


# --- what must be refused -----------------------------------------------------------------------


def bytes_of(parts: list[Any], right: bytes) -> bytes:
    """A message from literal bytes and copies of the right one."""
    return b"".join(
        bytes.fromhex(part) if isinstance(part, str) else right[part[0] : part[0] + part[1]]
        for part in parts
    )


@contextmanager
def refused(reason: str) -> Iterator[None]:
    """What is done inside is refused by the other side; the reason says what was wrong."""
    try:
        yield
    except RemoteProtocolError:
        return
    pytest.fail(f"not refused: {reason}")


def groups(where: str) -> list[Any]:
    return [
        pytest.param(name, group, id=f"{name}-{group['stage']}-{group.get('after_answer', '')}")
        for name in REFUSED
        for group in load(name)[where]
    ]


@pytest.mark.parametrize(("name", "group"), groups("at_server"))
def test_refused_by_the_server(
    name: str, group: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = Recording(load(load(name)["session"]), monkeypatch)
    stage, sender = group["stage"], group["from"]
    server = recording.server_in(stage)
    recording.fill(server, stage, without=None if group["after_answer"] else sender)
    before = server.to_bytes()
    right = recording.right(group)
    for each in group["messages"]:
        with pytest.raises(RemoteProtocolError) as refusal:
            server.receive(sender, bytes_of(each["parts"], right))
        if each["cheater"]:
            assert isinstance(refusal.value, CheaterDetected), each["reason"]
            assert refusal.value.culprit == sender
        assert server.to_bytes() == before, each["reason"]
    if not group["after_answer"]:
        for message in recording.said(stage)[sender]:
            server.receive(sender, message)
    for later in recording.stages[recording.stages.index(stage) + 1 :]:
        server.advance()
        recording.fill(server, later)
    server.advance()
    check_result(recording, server)


@pytest.mark.parametrize(("name", "group"), groups("at_client"))
def test_refused_by_a_client(
    name: str, group: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = Recording(load(load(name)["session"]), monkeypatch)
    stage = group["stage"]
    right = recording.right(group)
    client = recording.client_in(group["to"], stage)
    for each in group["messages"]:
        with refused(each["reason"]):
            list(client.receive(bytes_of(each["parts"], right)))
        # Others may end the session as well: they cannot be an accident either.
        assert client.stage in ((stage, Stage.ABORTED) if not each["ends"] else (Stage.ABORTED,))
        if client.stage == Stage.ABORTED:
            client = recording.client_in(group["to"], stage)
    if stage != Stage.FINISHED:
        answers = recording.tell(client, stage)
        assert answers == recording.said(stage)[group["to"]]


@pytest.mark.parametrize("name", NAMES[:2])
def test_refused_sessions(name: str) -> None:
    right = bytes.fromhex(load(name)["session"]["message"])
    found = [each for each in load("refused_sessions") if each["session"] == name]
    assert found
    for each in found:
        with refused(each["reason"]):
            Session.from_bytes(bytes_of(each["parts"], right))

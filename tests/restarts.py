"""Sessions whose parties go through bytes and back between any two messages."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from fedsecure.primitives import entropy
from fedsecure.protocols.masking import MaskingClient, MaskingServer
from fedsecure.protocols.masking.states import Stage
from fuzz.snapshots import snapshot
from parties import Parties, make_updates

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    import pytest

CASES: dict[str, dict[str, Any]] = {
    "semi_honest": {"count": 4, "adversary": "semi_honest"},
    "semi_malicious": {"count": 4, "adversary": "semi_malicious"},
    "malicious": {"count": 4, "adversary": "malicious"},
    "regular": {"count": 10, "adversary": "semi_malicious", "neighbors": 4},
}
SIZE = 40
CHUNK = 16
"""Three messages make an upload."""


def case(name: str, **more: Any) -> Parties:
    """Parties of one kind of session; with three messages in an upload."""
    return Parties(**{**CASES[name], "size": SIZE, "chunk": CHUNK, **more})


def restored(parties: Parties, name: int, *, give: bool = True) -> MaskingClient:
    """Puts a client through bytes, in place; gives it its update again where it is needed."""
    data = parties.clients[name].to_bytes()
    client = MaskingClient.from_bytes(data, parties.protocol.identity_of(name))
    assert client.to_bytes() == data
    before = (Stage.ADVERTISE_KEYS, Stage.SHARE_KEYS, Stage.MASKED_INPUT)
    if give and (client.stage in before or client._uploading):
        client.set_update(make_updates(len(parties.inputs), SIZE)[list(parties.inputs).index(name)])
    parties.clients[name] = client
    return client


def restored_server(parties: Parties, *, named: bool = True) -> MaskingServer:
    """Puts the server through bytes, in place."""
    data = parties.server.to_bytes()
    server = MaskingServer.from_bytes(data, parties.session if named else None)
    assert server.to_bytes() == data
    assert snapshot(server) == snapshot(parties.server)
    parties.server = server
    return server


def counted_entropy(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Starts the system's entropy anew, as counted bytes; gives the list of all that is drawn."""
    drawn: list[bytes] = []
    counter = itertools.count(1)

    def system(size: int) -> bytes:
        data = next(counter).to_bytes(4, "little") * ((size + 3) // 4)
        drawn.append(data[:size])
        return drawn[-1]

    monkeypatch.setattr(entropy, "_system", system)
    return drawn


class Walk:
    """One session, step by step: each step makes one message, hands one over, or ends a stage.

    Args:
        parties: At the start of their session.
        vanishing: Makes one message of its masked input, and is never heard of again.
    """

    def __init__(self, parties: Parties, vanishing: int) -> None:
        self.parties = parties
        self.messages: list[bytes] = []
        self._vanishing = vanishing
        self._drawing: tuple[int, Iterator[bytes]] | None = None

    def steps(self) -> Iterator[None]:
        """Does one step after the other."""
        server = self.parties.server
        while not server.finished:
            gone = server.stage not in (Stage.ADVERTISE_KEYS, Stage.SHARE_KEYS, Stage.MASKED_INPUT)
            for name in self.parties.mail:
                if not (gone and name == self._vanishing):
                    yield from self._answer(name)
            server = self.parties.server
            self.parties.mail = server.advance()
            self.messages += [inbox[0] for _, inbox in sorted(self.parties.mail.items())]
            yield

    def restore(self, names: Collection[int]) -> None:
        """Puts the server and some clients through bytes."""
        if not self.parties.server.finished:
            restored_server(self.parties)
        for name in names:
            client = restored(self.parties, name)
            if self._drawing is not None and self._drawing[0] == name:
                self._drawing = name, iter(client.resume())
            elif name != self._vanishing:
                assert list(client.resume()) == []

    def _answer(self, name: int) -> Iterator[None]:
        inbox, client = self.parties.mail[name], self.parties.clients[name]
        answer = client.start() if inbox is None else client.receive(inbox[0])
        lasting = not isinstance(answer, list)
        messages = iter(answer)
        self._drawing = (name, messages) if lasting else None
        while (message := next(self._drawing[1] if self._drawing else messages, None)) is not None:
            self.messages.append(message)
            yield
            self.parties.server.receive(name, message)
            yield
            if lasting and name == self._vanishing:
                break
        self._drawing = None


def walked(
    monkeypatch: pytest.MonkeyPatch, name: str, stop: Callable[[int], bool], **more: Any
) -> tuple[Walk, int]:
    """Runs a session of one kind, everybody being restored after the steps that `stop` picks."""
    counted_entropy(monkeypatch)
    walk = Walk(case(name, **more), vanishing=2)
    count = 0
    for count, _ in enumerate(walk.steps(), start=1):
        if stop(count):
            walk.restore(walk.parties.clients)
    return walk, count

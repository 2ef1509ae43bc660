"""Clients with their post, for tests in which a session is driven event by event."""

from __future__ import annotations

import hashlib
from collections import deque
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest

from fedsecure import wire
from fedsecure.encoding import FixedPoint
from fedsecure.errors import LocalProtocolError, RemoteProtocolError
from fedsecure.primitives.identity import Identity
from fedsecure.protocols.masking import MaskingClient, MaskingServer, PairwiseMasking
from fedsecure.protocols.masking.messages import Kind, UnmaskShares, read
from fedsecure.protocols.masking.states import Stage
from fedsecure.pytree import TreeSpec
from fuzz.snapshots import snapshot
from parties import body_of, encoded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SIZE = 10
ENCODING = FixedPoint(clip=4.0, bits=12)
BEFORE_UPLOAD = (Stage.ADVERTISE_KEYS, Stage.SHARE_KEYS, Stage.MASKED_INPUT)
AFTER_UPLOAD = (Stage.CONSISTENCY_CHECK, Stage.UNMASKING)

Place = tuple[Kind, int]
"""What a message answers: its kind, and of a masked input which piece it is."""

Fate = tuple[Place, bool]
"""The message after which a client vanishes, and whether that one still arrives."""

Archive = list[tuple[int, bytes]]
"""All messages that were ever sent, with their senders."""


class Config(NamedTuple):
    """What a session is made from; sessions of equal configurations differ in their ids only."""

    adversary: str
    ids: tuple[int, ...]
    threshold: int | None
    neighbors: int | None
    chunk: int

    @property
    def wishes(self) -> dict[str, Any]:
        """What the parties ask of `PairwiseMasking`."""
        wishes: dict[str, Any] = {
            "adversary": self.adversary,
            "threshold": self.threshold,
            "chunk": self.chunk,
        }
        if self.adversary == "malicious":
            wishes["identities"] = {name: identity(name) for name in self.ids}
        if self.neighbors is not None:
            wishes |= {"neighbors": self.neighbors, "corrupt": 0.0, "dropout": 0.3}
        return wishes


@cache
def identity(name: int) -> Identity:
    """The identity of a client, in all sessions."""
    return Identity.from_bytes(hashlib.sha256(str(name).encode()).digest())


class World:
    """Policy, session and updates of one configuration."""

    def __init__(self, config: Config, session_id: bytes = bytes(16), number: int = 0) -> None:
        self.protocol = PairwiseMasking(**config.wishes)
        rng = np.random.default_rng(len(config.ids))
        self.updates = {name: rng.uniform(-3, 3, SIZE) for name in config.ids}
        self.session = self.protocol.session(
            client_ids=config.ids,
            spec=TreeSpec.of(self.updates[config.ids[0]]),
            encoding=ENCODING,
            round=number,
            session_id=session_id,
        )

    def client(self, name: int) -> MaskingClient:
        """A client that has no update yet."""
        return self.protocol.client(self.session, name)

    def restored_client(self, name: int, data: bytes) -> MaskingClient:
        """A client that was saved; its update was not."""
        return MaskingClient.from_bytes(data, self.protocol.identity_of(name))

    def restored_server(self, data: bytes) -> MaskingServer:
        """A server that was saved."""
        return MaskingServer.from_bytes(data, self.session)


class Peer:
    """A client with its post: what is under way to it and from it, and what it has ever said."""

    def __init__(self, world: World, name: int, fate: Fate | None, archive: Archive) -> None:
        self.world = world
        self.name = name
        self.fate = fate
        self.archive = archive
        self.client = world.client(name)
        self.encoded: np.ndarray | None = None
        self.inbox: deque[bytes] = deque()
        self.outbox: deque[bytes] = deque()
        self.drawing: Iterator[bytes] = iter(())
        self.taken: dict[Kind, bytes] = {}
        self.given = False
        self.vanished = False
        self.misled = False
        self.said: dict[tuple[int, int], bytes] = {}
        self._owners: dict[str, set[int]] = {"alive": set(), "dead": set()}

    @property
    def uploading(self) -> bool:
        """Whether the masked input is not drawn to its end."""
        drawn = sum(kind is Kind.MASKED_INPUT for kind, _ in self.said)
        return self.client.stage in AFTER_UPLOAD and drawn < self.world.session.num_chunks

    @property
    def able(self) -> bool:
        """Whether the client answers what it is asked."""
        return not self.vanished and self.client.stage is not Stage.ABORTED

    def give_update(self) -> None:
        """Gives the update, or gives it again to a client that was restored without it."""
        if self.given or not (self.client.stage in BEFORE_UPLOAD or self.uploading):
            return
        update = self.world.updates[self.name]
        if self.encoded is not None:
            with pytest.raises(LocalProtocolError):
                self.client.set_update(-update)
        self.client.set_update(update)
        now = encoded(self.client)
        np.testing.assert_array_equal(now, now if self.encoded is None else self.encoded)
        self.encoded, self.given = now, True
        if self.uploading:
            self.drawing = iter(self.client.resume())

    def work(self) -> None:
        """Does one thing that is due: starts, or takes a message."""
        if self.vanished:
            return
        if self.client.stage is Stage.ADVERTISE_KEYS:
            self._answer(self.client.start())
        elif self.inbox and self.take(self.inbox[0], honest=True):
            self.inbox.popleft()

    def draw(self) -> None:
        """Makes one more message of the masked input, if it can."""
        message = None if self.vanished else next(self.drawing, None)
        if message is not None:
            self._say(message)

    def take(self, message: bytes, *, honest: bool) -> bool:
        """Hands over a message; returns whether the client is done with it."""
        before, uploading = snapshot(self.client), self.uploading
        try:
            answer = self.client.receive(message)
        except RemoteProtocolError:
            assert self.misled or not honest
            if self.client.stage is Stage.ABORTED:
                self.misled = True
            else:
                assert snapshot(self.client) == before
            return True
        except LocalProtocolError:
            assert uploading or not self.given
            assert snapshot(self.client) == before
            return False
        kind = Kind(message[5])
        assert kind not in self.taken
        assert not uploading
        self.taken[kind] = message
        self.misled |= not honest
        self._answer(answer)
        return True

    def restart(self, *, forgetful: bool) -> None:
        """The client goes through bytes; what it was doing goes on, or waits for its update."""
        data = self.client.to_bytes()
        self.client = self.world.restored_client(self.name, data)
        assert self.client.to_bytes() == data
        self.given, self.drawing = False, iter(())
        if self.uploading:
            with pytest.raises(LocalProtocolError):
                self.client.resume()
        else:
            assert list(self.client.resume()) == []
        if self.encoded is not None and not forgetful:
            self.give_update()

    def _answer(self, messages: Iterable[bytes]) -> None:
        if isinstance(messages, list):
            for message in messages:
                self._say(message)
        else:
            self.drawing = iter(messages)

    def _say(self, message: bytes) -> None:
        """Notes a message: never two in one place, never both kinds of share of one owner."""
        place = place_of(message)
        assert place not in self.said
        self.said[place] = message
        if place[0] is Kind.UNMASK_SHARES:
            shares = read(UnmaskShares, body_of(message))
            self._owners["alive"] |= {held.owner for held in shares.alive}
            self._owners["dead"] |= {held.owner for held in shares.dead}
            assert not self._owners["alive"] & self._owners["dead"]
        self.archive.append((self.name, message))
        if self.fate is None or self.fate[0] != place:
            self.outbox.append(message)
            return
        self.vanished = True
        if self.fate[1]:
            self.outbox.append(message)


def place_of(message: bytes) -> tuple[Kind, int]:
    """What a message answers: its kind, and of a masked input which piece it is."""
    kind = Kind(message[5])
    if kind is not Kind.MASKED_INPUT:
        return kind, 0
    return kind, wire.decode_vector(body_of(message)).index


@cache
def foreign_messages(config: Config) -> list[bytes]:
    """All messages of a session of another id, and of one of another round, with equal parties."""
    found: list[bytes] = []
    for world in (World(config, session_id=b"another session!"), World(config, number=1)):
        clients = {name: world.client(name) for name in config.ids}
        server = world.protocol.server(world.session)
        for name, client in clients.items():
            client.set_update(world.updates[name])
        answers = {name: list(client.start()) for name, client in clients.items()}
        while not server.finished:
            for name, answer in answers.items():
                found += answer
                for message in answer:
                    server.receive(name, message)
            mail = server.advance()
            found += [message for inbox in mail.values() for message in inbox]
            answers = {name: list(clients[name].receive(inbox[0])) for name, inbox in mail.items()}
    return found

"""Sessions that have happened, word for word: the ground on which the fuzz target stands.

A scene is one session, run to its end with known entropy, and every message of it. Entropy depends
only on who draws it and when, so a party that is made anew and given the same messages is the same
party, to the bit, in every process: the corpus stays valid, and a finding comes back.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
from functools import cached_property
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np

from fedsecure import wire
from fedsecure.encoding import FixedPoint
from fedsecure.primitives import entropy
from fedsecure.primitives.identity import Identity
from fedsecure.protocols.masking import PairwiseMasking, schedule
from fedsecure.protocols.masking.messages import Member, Roster, read
from fedsecure.protocols.masking.states import Stage
from fedsecure.pytree import TreeSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fedsecure.primitives.entropy import Secret
    from fedsecure.protocols.masking.client import MaskingClient
    from fedsecure.protocols.masking.server import MaskingServer

IDS = (3, 5, 8, 40, 127, 128, 200, 300, 70_000)
"""Ids that msgpack writes in one, two, three and five bytes."""

VICTIM = IDS[0]
"""The client that is attacked, and whose messages the attacker of a server writes."""

KEYLESS, SILENT = IDS[-1], IDS[-2]
"""One vanishes before it shares its keys, the other before it sends its masked input."""

CHUNK, SIZE = 8, 12
POLICIES: dict[str, dict[str, Any]] = {
    "semi_honest": {},
    "semi_malicious": {},
    "malicious": {
        "identities": {
            name: Identity.from_bytes(hashlib.sha256(f"identity {name}".encode()).digest())
            for name in IDS
        }
    },
    "regular": {"adversary": "semi_honest", "neighbors": 6, "corrupt": 0.0, "dropout": 0.3},
}
"""Every adversary level, and the k-regular graph. Seven of the nine are just enough in each."""


@contextlib.contextmanager
def known_entropy(label: str) -> Iterator[None]:
    """Makes all entropy drawn inside follow from the label."""
    count = itertools.count()

    def system(size: int) -> bytes:
        return hashlib.shake_256(f"{label} {next(count)}".encode()).digest(size)

    with mock.patch.object(entropy, "_system", system):
        yield


def update(name: int) -> np.ndarray:
    """What a client contributes."""
    return np.linspace(-1, 1, SIZE) * (1 + name % 3)


class Scene:
    """One session with two drop-outs, under one of the policies."""

    def __init__(self, policy: str) -> None:
        self.policy = policy
        wishes = {"adversary": policy, **POLICIES[policy]}
        self.protocol = PairwiseMasking(chunk=CHUNK, **wishes)
        self.session = self.protocol.session(
            client_ids=IDS,
            spec=TreeSpec.of(update(VICTIM)),
            encoding=FixedPoint(clip=4.0, bits=12),
            session_id=hashlib.sha256(policy.encode()).digest()[:16],
        )
        self.mail: dict[int, list[bytes]] = {name: [] for name in IDS}
        self.said: dict[int, list[list[bytes]]] = {name: [] for name in IDS}
        self._play()
        self.stages = tuple(Stage(stage) for stage in self._stages)
        self.uploading = Stage.MASKED_INPUT
        self.uploaded = self.stages[self.stages.index(self.uploading) + 1]

    def client(self, stage: Stage, *, drawn: bool = True) -> MaskingClient:
        """The victim when it is about to answer `stage`.

        Args:
            stage: Any stage of the session, the last one included.
            drawn: Whether its last answer has been drawn to the end.
        """
        with known_entropy(f"client {VICTIM}"):
            client = self._new_client(VICTIM)
        if stage == self.stages[0]:
            return client
        answer = iter(client.start())
        for data in self.mail[VICTIM]:
            if client.stage == stage:
                break
            list(answer)
            answer = self._hand(client, data)
        if drawn:
            list(answer)
        else:
            next(answer)
        assert client.stage == stage
        return client

    def server(self, stage: Stage, pieces: int = 0) -> MaskingServer:
        """The server when it collects `stage` and waits for the victim only.

        Args:
            stage: Any stage of the session, the last one included.
            pieces: Messages of the victim's answer that have come.
        """
        server = self.protocol.server(self.session)
        for number, reached in enumerate(self.stages):
            last = reached == stage
            for name in IDS:
                if number < len(self.said[name]):
                    whole = self.said[name][number]
                    for message in whole[:pieces] if last and name == VICTIM else whole:
                        server.receive(name, message)
            if last or server.finished:
                break
            server.advance()
        assert server.stage == stage
        return server

    def sign(self, name: int, statement: bytes) -> bytes:
        """A client's signature, empty where nobody signs."""
        identity = self.protocol.identity_of(name)
        return b"" if identity is None else identity.sign(statement)

    def share_secret(self, name: int) -> Secret:
        """A client's private key for encrypting shares."""
        with known_entropy(f"client {name}"):
            return self._new_client(name)._share_secret

    def body(self, name: int, stage: int) -> memoryview:
        """The body of a client's first message in a stage."""
        return memoryview(self.said[name][stage][0])[wire.HEADER_SIZE :]

    def told(self, name: int, stage: int) -> memoryview:
        """The body of what the server answered to a client's messages of a stage."""
        return memoryview(self.mail[name][stage])[wire.HEADER_SIZE :]

    @cached_property
    def roster(self) -> tuple[Member, ...]:
        """Who advertised keys."""
        return read(Roster, self.told(VICTIM, 0)).members

    @cached_property
    def ctx(self) -> bytes:
        """The context of the session."""
        return schedule.draw_graph(self.session, self.roster)[1]

    def _new_client(self, name: int) -> MaskingClient:
        return self.protocol.client(self.session, name, update(name))

    @staticmethod
    def _hand(client: MaskingClient, data: bytes) -> Iterator[bytes]:
        with known_entropy(f"client {client.client_id} in {client.stage}"):
            return iter(client.receive(data))

    def _play(self) -> None:
        server = self.protocol.server(self.session)
        self._stages = []
        clients = {}
        for name in IDS:
            with known_entropy(f"client {name}"):
                clients[name] = self._new_client(name)
        answers = {name: iter(client.start()) for name, client in clients.items()}
        while not server.finished:
            self._stages.append(server.stage)
            for name, answer in answers.items():
                self.said[name].append(list(answer))
                for message in self.said[name][-1]:
                    server.receive(name, message)
            answers = {}
            for name, (data,) in server.advance().items():
                self.mail[name].append(data)
                if not self._vanishes(name, server.stage):
                    answers[name] = self._hand(clients[name], data)
        self._stages.append(server.stage)
        self.total = server._vectors.total.copy()

    @staticmethod
    def _vanishes(name: int, stage: str) -> bool:
        vanishing = {KEYLESS: Stage.SHARE_KEYS, SILENT: Stage.MASKED_INPUT}
        return vanishing.get(name) == stage

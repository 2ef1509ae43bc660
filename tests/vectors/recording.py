"""The written vectors, and parties of the library that play a recorded session again."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from fedsecure.primitives import entropy
from fedsecure.primitives.identity import Identity
from fedsecure.protocols.masking import MaskingClient, MaskingServer
from fedsecure.protocols.masking.states import Stage
from fedsecure.protocols.session import Session
from vectors.generate import FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pytest

NAMES = ["session_malicious", "session_regular", "session_aes256", "session_chacha20"]


@cache
def load(name: str) -> Any:
    """The content of a file."""
    return json.loads((FOLDER / f"{name}.json").read_text("ascii"))


def unhex(values: Iterable[str]) -> list[bytes]:
    """Several byte strings."""
    return [bytes.fromhex(value) for value in values]


@dataclass
class Recording:
    """A recorded session, and parties of the library that play it again."""

    data: dict[str, Any]
    monkeypatch: pytest.MonkeyPatch
    waiting: dict[int, list[bytes]] = field(default_factory=dict)

    @property
    def session(self) -> Session:
        return Session.from_bytes(bytes.fromhex(self.data["session"]["message"]))

    @property
    def stages(self) -> list[str]:
        return [stage["stage"] for stage in self.data["stages"]]

    def client(self, client_id: int) -> MaskingClient:
        """A client that draws the recorded secrets."""
        (found,) = [each for each in self.data["clients"] if each["id"] == client_id]
        session = self.session
        names = ("share_secret", "mask_secret", "rounding_seed", "self_secret", "polynomial_seed")
        self.waiting[client_id] = unhex([found[name] for name in names])
        update = {
            leaf.path: np.array(found["update"][leaf.path], leaf.dtype).reshape(leaf.shape)
            for leaf in session.spec.leaves
        }
        tree = update[""] if list(update) == [""] else update
        signer = bytes.fromhex(found["identity"])
        self.draws_of(client_id)
        return MaskingClient(
            session,
            client_id,
            tree,
            found["weight"],
            identity=Identity.from_bytes(signer) if signer else None,
        )

    def draws_of(self, client_id: int) -> None:
        """Whatever is drawn from now on is the client's next secret."""

        def system(size: int) -> bytes:
            data = self.waiting[client_id].pop(0)
            assert len(data) == size
            return data

        self.monkeypatch.setattr(entropy, "_system", system)

    def heard(self, client_id: int, stage: str) -> list[bytes]:
        """What a client is sent in a stage."""
        return unhex(
            each["message"] for each in self.of(stage)["from_server"] if client_id in each["to"]
        )

    def said(self, stage: str) -> dict[int, list[bytes]]:
        """What the clients answer in a stage."""
        return {each["from"]: unhex(each["messages"]) for each in self.of(stage)["from_clients"]}

    def of(self, stage: str) -> dict[str, Any]:
        return self.data["stages"][self.stages.index(stage)]

    def client_in(self, client_id: int, stage: str) -> MaskingClient:
        """A client that answers a stage next."""
        client = self.client(client_id)
        if stage != Stage.ADVERTISE_KEYS:
            list(client.start())
        for before in self.stages[1:]:
            if before == stage:
                break
            self.tell(client, before)
        assert client.stage == stage
        return client

    def tell(self, client: MaskingClient, stage: str) -> list[bytes]:
        """What a client answers to what it is sent in a stage."""
        self.draws_of(client.client_id)
        heard = self.heard(client.client_id, stage)
        return [answer for message in heard for answer in client.receive(message)]

    def server_in(self, stage: str) -> MaskingServer:
        """A server that collects a stage."""
        server = MaskingServer(self.session)
        for before in self.stages:
            if before == stage:
                break
            self.fill(server, before)
            server.advance()
        assert server.stage == stage
        return server

    def fill(self, server: MaskingServer, stage: str, without: int | None = None) -> None:
        """Gives the server everybody's answers of a stage."""
        for client_id, messages in self.said(stage).items():
            if client_id != without:
                for message in messages:
                    server.receive(client_id, message)

    def right(self, group: dict[str, Any]) -> bytes:
        """The message that those of a group are spoilt copies of."""
        stage = group["stage"]
        if "to" in group:
            return self.heard(group["to"], self.stages[-1] if stage == "FINISHED" else stage)[0]
        return self.said(stage)[group["from"]][-1 if group["after_answer"] else 0]

"""Sessions for tests: parties that can be walked stage by stage, and what they should sum to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fedsecure import wire
from fedsecure.encoding import FixedPoint
from fedsecure.errors import RemoteProtocolError
from fedsecure.protocols.masking import PairwiseMasking
from fedsecure.protocols.masking.messages import Kind
from fedsecure.protocols.masking.states import Flow, Stage
from fedsecure.pytree import TreeSpec

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from fedsecure.privacy import VectorMechanism
    from fedsecure.protocols.masking.client import MaskingClient
    from fedsecure.protocols.masking.server import MaskingServer

STAGES = (Stage.ADVERTISE_KEYS, Stage.SHARE_KEYS, Stage.MASKED_INPUT, Stage.UNMASKING)
FIVE_STAGES = (*STAGES[:3], Stage.CONSISTENCY_CHECK, Stage.UNMASKING)
LEVELS = ("semi_honest", "semi_malicious", "malicious")
ENCODING = FixedPoint(clip=4.0, bits=12)
SENT_BY_CLIENT = {
    Stage.ADVERTISE_KEYS: Kind.ADVERTISE_KEYS,
    Stage.SHARE_KEYS: Kind.SHARE_KEYS,
    Stage.MASKED_INPUT: Kind.MASKED_INPUT,
    Stage.CONSISTENCY_CHECK: Kind.CONFIRMATION,
    Stage.UNMASKING: Kind.UNMASK_SHARES,
}
SENT_BY_SERVER = {
    Flow.FOUR_STAGES: {
        Stage.SHARE_KEYS: Kind.ROSTER,
        Stage.MASKED_INPUT: Kind.SHARE_DELIVERY,
        Stage.UNMASKING: Kind.UNMASK_REQUEST,
    },
    Flow.FIVE_STAGES: {
        Stage.SHARE_KEYS: Kind.ROSTER,
        Stage.MASKED_INPUT: Kind.SHARE_DELIVERY,
        Stage.CONSISTENCY_CHECK: Kind.SURVIVORS,
        Stage.UNMASKING: Kind.CONFIRMATIONS,
    },
}


def stages_of(adversary: str) -> tuple[Stage, ...]:
    """The stages of a session against this adversary."""
    return FIVE_STAGES if adversary == "malicious" else STAGES


def make_updates(count: int, size: int = 50, seed: int = 1) -> list[dict[str, np.ndarray]]:
    """Updates of two leaves and `size` values in all, inside [-3, 3]."""
    rng = np.random.default_rng(seed)
    half = size // 2
    return [
        {
            "a": rng.uniform(-3, 3, half),
            "b": rng.uniform(-3, 3, size - half).astype(np.float32),
        }
        for _ in range(count)
    ]


class Parties:
    """A server and its clients, with the messages that are under way to the clients."""

    def __init__(
        self,
        count: int = 4,
        *,
        ids: Sequence[int] | None = None,
        size: int = 50,
        chunk: int = 16,
        threshold: int | None = None,
        adversary: str = "semi_honest",
        neighbors: int | None = None,
        policy: Mapping[str, Any] | None = None,
        encoding: FixedPoint = ENCODING,
        privacy: VectorMechanism | None = None,
        updates: Sequence[Any] | None = None,
        weights: Sequence[float] | None = None,
        **session: Any,
    ) -> None:
        names = range(count) if ids is None else ids
        trees = make_updates(count, size) if updates is None else updates
        self.protocol = PairwiseMasking(
            adversary=adversary,
            threshold=threshold,
            neighbors=neighbors,
            chunk=chunk,
            **(policy or {}),
        ).for_one_process(names)
        self.session = self.protocol.session(
            client_ids=names,
            spec=TreeSpec.of(trees[0]),
            encoding=encoding if privacy is None else FixedPoint(),
            weighted=weights is not None,
            privacy=privacy,
            **session,
        )
        factors = [None] * count if weights is None else weights
        self.clients: dict[int, MaskingClient] = {
            name: self.protocol.client(self.session, name, tree, factor, privacy=privacy)
            for name, tree, factor in zip(names, trees, factors, strict=True)
        }
        self.inputs = {name: encoded(client) for name, client in self.clients.items()}
        self.server: MaskingServer = self.protocol.server(self.session)
        self.mail: Mapping[int, Sequence[bytes] | None] = dict.fromkeys(self.clients)

    def answer(self, name: int) -> list[bytes]:
        """What a client says to its mail."""
        inbox = self.mail[name]
        client = self.clients[name]
        if inbox is None:
            return list(client.start())
        return [message for data in inbox for message in client.receive(data)]

    def send(self, names: Collection[int]) -> None:
        """Lets these clients answer the server."""
        for name in names:
            for message in self.answer(name):
                self.server.receive(name, message)

    def finish_stage(self, absent: Collection[int] = ()) -> None:
        """Everybody but `absent` answers, and the server closes the stage."""
        self.finish_stage_of([name for name in self.mail if name not in absent])

    def finish_stage_of(self, names: Collection[int]) -> None:
        """These clients answer, and the server closes the stage."""
        self.send(names)
        self.mail = self.server.advance()

    def until(self, stage: str) -> Parties:
        """Goes on until the server collects `stage`, with the mail for it under way."""
        while self.server.stage != stage:
            self.finish_stage()
        return self

    def finish(self) -> None:
        """Goes on to the end, and checks the sum."""
        while not self.server.finished:
            self.finish_stage()
        self.check()

    @property
    def total(self) -> np.ndarray:
        """The server's accumulator."""
        return self.server._vectors.total

    def check(self) -> None:
        """The unmasked sum is the sum of the contributors' inputs, bit for bit."""
        assert self.server.stage == Stage.FINISHED
        contributors = self.server.result().contributors
        expected = modular_sum(
            [self.inputs[name] for name in contributors], self.session.layout.modulus_bits
        )
        np.testing.assert_array_equal(self.total, expected)


def encoded(client: MaskingClient) -> np.ndarray:
    """A client's input as ring elements: what its masks will be added to."""
    assert client._input._contribution is not None
    return client._input._contribution.encode(0, client._session.layout.length)


def modular_sum(vectors: Sequence[np.ndarray], bits: int) -> np.ndarray:
    """The plain sum modulo 2^bits, through Python integers."""
    sums = np.sum([vector.astype(object) for vector in vectors], axis=0) % 2**bits
    return sums.astype(vectors[0].dtype)


def reseal(message: bytes, **changes: Any) -> bytes:
    """The same message with other header fields or another body, as any attacker can write it."""
    envelope = wire.open_envelope(message, dict.fromkeys(range(256), len(message)))
    fields = {
        "kind": envelope.kind,
        "suite": envelope.suite,
        "session_id": envelope.session_id,
        "round_number": envelope.round,
        "sender": envelope.sender,
    }
    body = changes.pop("body", bytes(envelope.body))
    return wire.seal(body, **{**fields, **changes})


def body_of(message: bytes) -> memoryview:
    """The body."""
    return memoryview(message)[wire.HEADER_SIZE :]


def refuses_for_good(parties: Parties, name: int, message: bytes, reason: str) -> None:
    """The client ends the session, and answers not even the honest message afterwards."""
    client = parties.clients[name]
    with pytest.raises(RemoteProtocolError, match=reason):
        client.receive(message)
    assert client.stage is Stage.ABORTED
    with pytest.raises(RemoteProtocolError, match="ABORTED"):
        client.receive(parties.mail[name][0])

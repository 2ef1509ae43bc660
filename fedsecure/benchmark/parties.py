"""One session of fedsecure: each client's time, and the server's as often as wanted."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fedsecure.benchmark import baselines
from fedsecure.encoding import FixedPoint
from fedsecure.protocols.masking import PairwiseMasking
from fedsecure.pytree import TreeSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from fedsecure.protocols.base import Aggregate
    from fedsecure.protocols.masking.client import MaskingClient
    from fedsecure.protocols.masking.server import MaskingServer

__all__ = ["MAX_EXAMPLES", "Case", "Session"]

_INPUT = "MASKED_INPUT"
# Of a hundred clients with a million weights each, the updates alone would be 400 MB.
_DISTINCT_UPDATES = 4
MAX_EXAMPLES = 1000
"""The largest weight, in numbers of examples."""


@dataclass(frozen=True)
class Case:
    """What is aggregated.

    Attributes:
        clients: n.
        weights: d, float32.
        neighbors: k of each client; None for the complete graph.
        gone: How many clients share their secrets and send no masked input.
    """

    clients: int
    weights: int
    neighbors: int | None
    gone: int

    def updates(self) -> list[NDArray[np.float32]]:
        """Returns an update for each client; some clients have the same."""
        distinct = [
            baselines.update(self.weights, number)
            for number in range(min(_DISTINCT_UPDATES, self.clients))
        ]
        return [distinct[client % len(distinct)] for client in range(self.clients)]

    def examples(self) -> list[int]:
        """Returns each client's weight in the mean: up to `MAX_EXAMPLES`."""
        return [MAX_EXAMPLES * (1 + client % 4) // 4 for client in range(self.clients)]

    @property
    def survivors(self) -> int:
        """How many clients are in the sum."""
        return self.clients - self.gone


class Session:
    """One session against a semi-honest server, played client by client.

    Weighted, and with weights as fractions of the largest, so that the ring is as wide as that of a
    system which scales updates by such fractions.

    Attributes:
        seconds: Of each client up to its masked input, by stage; seconds of processor.
        upload: Bytes of the masked input of one client.
    """

    def __init__(self, case: Case) -> None:
        self._case = case
        # The complete graph has the usual threshold of two thirds.
        threshold = 2 * case.clients // 3 + 1 if case.neighbors is None else None
        self._protocol = PairwiseMasking(
            adversary="semi_honest", neighbors=case.neighbors, threshold=threshold
        )
        self._updates = case.updates()
        self.session = self._protocol.session(
            client_ids=range(case.clients),
            spec=TreeSpec.of(self._updates[0]),
            encoding=FixedPoint(max_weight=1.0),
            weighted=True,
        )
        self.seconds: list[dict[str, float]] = [{} for _ in range(case.clients)]
        self.upload = 0
        self._stages: list[list[tuple[int, bytes]]] = []

    def play(self) -> None:
        """Plays the session.

        Messages are let go as the server takes them, so that a client's message comes into memory
        that was used before, as it does from its second round on.
        """
        self._play(None)

    def _play(self, kept: list[list[tuple[int, bytes]]] | None) -> None:
        """Plays the session; appends to `kept` all messages to the server, stage by stage."""
        case, server = self._case, self._protocol.server(self.session)
        clients: list[MaskingClient] = []
        mail: dict[int, Sequence[bytes]] = dict.fromkeys(range(case.clients), ())
        while not server.finished:
            stage = str(server.stage)
            if kept is not None:
                kept.append([])
            for at, inbox in mail.items():
                if stage == _INPUT and at >= case.survivors:
                    continue
                start = time.process_time()
                if not inbox:
                    clients.append(self._client(at))
                    answers = list(clients[at].start())
                else:
                    answers = [each for text in inbox for each in clients[at].receive(text)]
                took = time.process_time() - start
                if kept is None:
                    self.seconds[at][stage] = took
                if stage == _INPUT:
                    self.upload = sum(map(len, answers))
                for answer in answers:
                    server.receive(at, answer)
                    if kept is not None:
                        kept[-1].append((at, answer))
                del answers[:]
            mail = dict(server.advance())

    def client_seconds(self) -> list[float]:
        """Returns what each surviving client took from its making to its masked input."""
        return [
            sum(took for stage, took in self.seconds[at].items() if stage != "UNMASKING")
            for at in range(self._case.survivors)
        ]

    def serve(self) -> Aggregate:
        """Lets a new server take all messages of one played session; the same sum each time."""
        if not self._stages:
            self._play(self._stages)
        server: MaskingServer = self._protocol.server(self.session)
        for messages in self._stages:
            for sender, message in messages:
                server.receive(sender, message)
            server.advance()
        return server.result()

    def _client(self, at: int) -> MaskingClient:
        weight = self._case.examples()[at] / MAX_EXAMPLES
        return self._protocol.client(self.session, at, self._updates[at], weight)

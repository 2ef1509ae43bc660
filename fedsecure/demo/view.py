"""What the server receives: the bytes of masked inputs, and how random they look."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fedsecure import wire
from fedsecure.aggregate import run_session
from fedsecure.encoding import FixedPoint
from fedsecure.protocols.base import Aggregate, Protocol
from fedsecure.protocols.masking import PairwiseMasking
from fedsecure.testing import PlaintextSum

__all__ = ["ServerView", "byte_entropy", "server_view"]

VECTOR_STAGE = "MASKED_INPUT"


@dataclass(frozen=True)
class ServerView:
    """One round as its server saw it, and the same round without masks.

    Attributes:
        masked: packed ring elements that arrived, one `bytes` per client.
        unmasked: what would have arrived if the clients did not mask.
        learnt: what the server learnt: the aggregate of the masked round.
    """

    masked: tuple[bytes, ...]
    unmasked: tuple[bytes, ...]
    learnt: Aggregate


def server_view(
    updates: Sequence[Any], weights: Sequence[float], encoding: FixedPoint
) -> ServerView:
    """Returns one round twice: through `PairwiseMasking` and the insecure `PlaintextSum`."""
    masked, learnt = _received(PairwiseMasking(), updates, weights, encoding)
    unmasked, _ = _received(PlaintextSum(), updates, weights, encoding)
    return ServerView(masked, unmasked, learnt)


def byte_entropy(pieces: Sequence[bytes]) -> float:
    """Returns the Shannon entropy of the bytes, in bits per byte: 0 for all the same, 8 at most.

    A few thousand random bytes come a little short of 8, since not every value turns up equally
    often.
    """
    counts = Counter(b"".join(pieces))
    total = counts.total()
    return -sum(count / total * math.log2(count / total) for count in counts.values())


def _received(
    protocol: Protocol, updates: Sequence[Any], weights: Sequence[float], encoding: FixedPoint
) -> tuple[tuple[bytes, ...], Aggregate]:
    arrived: dict[int, bytes] = {}

    def observe(direction: str, client_id: int, stage: str, data: bytes) -> None:
        if direction == "to_server" and stage == VECTOR_STAGE:
            body = memoryview(data)[wire.HEADER_SIZE :]
            arrived[client_id] = arrived.get(client_id, b"") + bytes(
                wire.decode_vector(body).packed
            )

    result = run_session(
        updates, weights=weights, protocol=protocol, encoding=encoding, observe=observe
    )
    return tuple(arrived[client_id] for client_id in sorted(arrived)), result

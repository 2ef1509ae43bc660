"""Sums in parts, for tests: workers here that can fail, and one session at two servers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fedsecure.errors import FedSecureError, ShardError
from fedsecure.protocols.sharding import Worker
from parties import Parties

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from fedsecure.protocols.base import Aggregate
    from fedsecure.protocols.masking import MaskingServer


class LocalWorkers:
    """Workers that are here.

    Attributes:
        at: The workers.
        dead: Those of them that do not answer any more.
        broken: Calls of these methods fail at these workers, by method.
        calls: Worker and method of every call of a part.
    """

    def __init__(self, count: int) -> None:
        self.at = [Worker() for _ in range(count)]
        self.dead: set[int] = set()
        self.broken: dict[str, int] = {}
        self.calls: list[tuple[int, str]] = []

    def send(self, worker: int, method: str, *arguments: Any) -> Any:
        what = arguments[1] if method == "call" else method
        self.calls.append((worker, what))
        if worker in self.dead:
            return ShardError(f"worker {worker} is gone")
        if self.broken.get(what) == worker:
            return FedSecureError(f"worker {worker} cannot {what}")
        try:
            return getattr(self.at[worker], method)(*arguments)
        except FedSecureError as error:
            return error

    def wait(self, calls: Sequence[Any]) -> list[Any]:
        for answer in calls:
            if isinstance(answer, FedSecureError):
                raise answer
        return list(calls)

    def __len__(self) -> int:
        return len(self.at)

    def parts(self) -> list[Any]:
        """The one part at each worker."""
        return [part for worker in self.at for part in worker._parts.values()]


class Twins(Parties):
    """A session at two servers, of which one sums in this process and the other one in parts."""

    def __init__(self, vectors: Callable[..., Any], **facts: Any) -> None:
        super().__init__(**facts)
        self.twin: MaskingServer = self.protocol.server(self.session, vectors=vectors)

    def send(self, names: Collection[int]) -> None:
        for name in names:
            for message in self.answer(name):
                self.server.receive(name, message)
                self.twin.receive(name, message)

    def finish_stage_of(self, names: Collection[int]) -> None:
        super().finish_stage_of(names)
        assert self.twin.advance() == self.mail

    def compare(self) -> None:
        """Both servers have the same sum and the same result, bit for bit."""
        self.check()
        np.testing.assert_array_equal(self.twin._vectors.total, self.total)
        same_result(self.twin.result(), self.server.result())


def same_result(one: Aggregate, other: Aggregate) -> None:
    """All of two results is the same, bit for bit."""
    for name, leaf in one.mean.items():
        assert leaf.dtype == other.mean[name].dtype
        assert leaf.tobytes() == other.mean[name].tobytes()
    for field in ("total_weight", "contributors", "dropouts", "clipped", "transcript"):
        assert getattr(one, field) == getattr(other, field)

"""What carries calls to the parts of a sum, and the object at its other end."""

from __future__ import annotations

import itertools
import weakref
from typing import TYPE_CHECKING, Any, Protocol

from fedsecure.errors import ShardError
from fedsecure.primitives import entropy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["Parts", "Worker", "Workers", "spans"]


class Worker:
    """What runs in a worker's process: the parts that were opened there, by key."""

    def __init__(self) -> None:
        self._parts: dict[bytes, Any] = {}

    def ready(self) -> bool:
        """Returns True: the process is up, and has imported this."""
        return True

    def open(self, key: bytes, make: Callable[..., object], *arguments: object) -> None:
        """Makes a part."""
        self._parts[key] = make(*arguments)

    def call(self, key: bytes, method: str, *arguments: object) -> Any:
        """Returns what a method of a part returns."""
        return getattr(self._parts[key], method)(*arguments)

    def drop(self, key: bytes) -> None:
        """Forgets a part, if it is there."""
        self._parts.pop(key, None)


class Workers(Protocol):
    """`Worker` objects in other places. The calls to one of them are done in the order sent."""

    def __len__(self) -> int:
        """How many there are."""

    def send(self, worker: int, method: str, *arguments: Any) -> Any:
        """Begins a call of a method of `Worker`, and returns what `wait` takes."""

    def wait(self, calls: Sequence[Any]) -> list[Any]:
        """Returns the results of calls, within a deadline.

        Raises:
            ShardError: A worker has died or does not answer.
            FedSecureError: What a part refused with.
        """


class Parts:
    """The parts of one object, the first of them at worker 0, and so on.

    Args:
        workers: Where they are.
        make: Makes a part.
        arguments: For each part, what it is made of.
    """

    def __init__(
        self,
        workers: Workers,
        make: Callable[..., object],
        arguments: Iterable[Sequence[object]],
    ) -> None:
        self._workers = workers
        self._key = entropy.token(16)
        self._lost: str | None = None
        self._under_way: list[Any] = []
        each = list(arguments)
        self._count = len(each)
        # However this object ends, its parts do too.
        self._finish = weakref.finalize(self, _drop, workers, self._key, self._count)
        self._finish.atexit = False  # workers that outlive this process are their owner's matter
        try:
            self.settle(
                [
                    workers.send(index, "open", self._key, make, *given)
                    for index, given in enumerate(each)
                ]
            )
        except BaseException:
            self.drop()  # what others have opened may be a key
            raise

    def send(self, index: int, method: str, *arguments: object) -> Any:
        """Begins a call of one part's method.

        Raises:
            ShardError: A call before it has failed.
        """
        if self._lost is not None:
            raise ShardError(self._lost)
        return self._workers.send(index, "call", self._key, method, *arguments)

    def send_all(self, method: str, *arguments: object) -> list[Any]:
        """Begins a call of every part's method, with the same arguments."""
        return [self.send(index, method, *arguments) for index in range(self._count)]

    def settle(self, calls: Sequence[Any]) -> list[Any]:
        """Returns the results of calls.

        Raises:
            ShardError: A worker has died or is too late: nothing will be answered from now on.
            FedSecureError: What a part refused with.
        """
        try:
            return self._workers.wait(calls)
        except ShardError as error:
            self._lost = str(error)
            raise

    def follow(self, calls: Sequence[Any]) -> None:
        """Waits for the calls given before, and remembers these ones."""
        before, self._under_way = self._under_way, list(calls)
        try:
            self.settle(before)
        except BaseException as error:
            self._lost = self._lost or str(error) or f"a call ended with {type(error).__name__}"
            raise

    def lose(self, reason: str) -> ShardError:
        """Returns the error with which all this ends."""
        self._lost = reason
        return ShardError(reason)

    def drop(self) -> None:
        """Lets the workers forget the parts."""
        self._finish()

    def __len__(self) -> int:
        return self._count


def spans(count: int, most: int) -> list[tuple[int, int]]:
    """Returns up to `most` ranges that cover [0, count), as even as can be, none of them empty."""
    cuts = sorted({count * step // most for step in range(most + 1)})
    return list(itertools.pairwise(cuts))


def _drop(workers: Workers, key: bytes, count: int) -> None:
    for index in range(count):
        try:
            workers.send(index, "drop", key)
        except ShardError:
            continue

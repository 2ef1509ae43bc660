"""The sum of masked vectors in parts, each a range of coordinates."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fedsecure import wire
from fedsecure.errors import FedSecureError, LocalProtocolError, ShardError
from fedsecure.primitives import masks
from fedsecure.primitives.masks import MaskSet, Prg
from fedsecure.protocols.sharding.workers import Parts, spans
from fedsecure.protocols.vectors import next_piece, saved_pieces

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from fedsecure.protocols.session import Session
    from fedsecure.protocols.sharding.workers import Workers

__all__ = ["Shard", "ShardedSum", "Slice", "cut", "digest"]

# Elements that end on a byte whatever their width, so that packed pieces are cut as they are.
_STEP = 8


@dataclass(frozen=True)
class Slice:
    """Which part of what a `Shard` is.

    Attributes:
        session_id: Of the session.
        lane: Name of the elements' dtype.
        bits: Their width in the ring.
        prg: The session's generator.
        start: First coordinate.
        stop: One past the last.
    """

    session_id: bytes
    lane: str
    bits: int
    prg: Prg
    start: int
    stop: int


class Shard:
    """Elements [start, stop) of a session's sum, at one worker.

    A client's pieces are held packed until all shards have theirs, and added then.

    Args:
        part: Which part of what.
    """

    def __init__(self, part: Slice) -> None:
        self._part = part
        self._total = np.zeros(part.stop - part.start, part.lane)
        self._held: dict[int, list[tuple[int, int, NDArray[np.uint8]]]] = {}
        self._clients: set[int] = set()
        self._open = True
        self._masked = True

    def hold(self, client_id: int, start: int, stop: int, packed: NDArray[np.uint8]) -> None:
        """Keeps packed elements [start, stop) of a client's vector.

        Raises:
            LocalProtocolError: They are not what comes next for this part.
        """
        held = self._held.get(client_id, [])
        due = held[-1][1] if held else self._part.start
        size = wire.packed_bytes(stop - start, self._part.bits)
        fits = start == due < stop <= self._part.stop and packed.size == size
        if not self._open or not fits or client_id in self._clients:
            raise LocalProtocolError(
                f"elements [{start}, {stop}) of client {client_id} came where {due} was due"
            )
        self._held[client_id] = [*held, (start, stop, packed)]

    def held(self) -> dict[int, list[NDArray[np.uint8]]]:
        """Returns the packed pieces that are held, by client."""
        return {name: [packed for *_, packed in held] for name, held in self._held.items()}

    def forget(self, client_id: int) -> None:
        """Forgets what is held of a client."""
        self._held.pop(client_id, None)

    def add(self, client_id: int) -> None:
        """Adds what is held of a client.

        Raises:
            LocalProtocolError: It is not complete.
        """
        held = self._held.get(client_id, [])
        if not held or held[-1][1] != self._part.stop:
            raise LocalProtocolError(f"the vector of client {client_id} is not complete here")
        del self._held[client_id]
        self._clients.add(client_id)
        for start, stop, packed in held:
            target = self._total[start - self._part.start : stop - self._part.start]
            masks.unpack_add(packed.data, self._part.bits, target)

    def close(self) -> bytes:
        """Forgets what is held, takes no more, and returns `digest` of whom this part has added."""
        self._held.clear()
        self._open = False
        return digest(self._part.session_id, self._clients)

    def unmask(self, agreed: bytes, seeds: bytes, signs: NDArray[np.int8]) -> None:
        """Takes masks off this part, once.

        Args:
            agreed: What every shard has answered `close` with.
            seeds: One after the other.
            signs: +1 or -1 for each.

        Raises:
            LocalProtocolError: This part is open, or the sum of others, or unmasked.
        """
        named = digest(self._part.session_id, self._clients)
        if self._open or not self._masked or agreed != named:
            raise LocalProtocolError("this part is not the sum that is to be unmasked")
        self._masked = False
        size = self._part.prg.seed_bytes
        each = [seeds[at : at + size] for at in range(0, len(seeds), size)]
        taken_off = MaskSet(each, signs.tolist(), self._part.prg)
        try:
            taken_off.apply(self._total, self._part.start)
        finally:
            taken_off.wipe()
        masks.reduce(self._total, self._part.bits)

    def read(self) -> NDArray[Any]:
        """Returns the elements."""
        return self._total

    def restore(self, elements: NDArray[Any], clients: Collection[int]) -> None:
        """Takes the place of a part that was saved."""
        self._total[:] = elements
        self._clients = set(clients)


class ShardedSum:
    """A `fedsecure.protocols.vectors.RunningSum` whose elements are at workers.

    This process holds no vector until the sum is read. A piece is checked here, cut, and sent on;
    when a vector is complete at all shards, they add it. What a client leaves unfinished is
    forgotten everywhere.

    Args:
        session: The session.
        workers: Where the shards are; as many as there are workers, if the vector is long enough.

    Raises:
        ShardError: Here and in every method: a worker has died, is too late, or has not what the
            others have. The sum is lost.
    """

    def __init__(self, session: Session, workers: Workers) -> None:
        layout = session.layout
        self._session = session
        self._cuts = cut(session, len(workers))
        slices = [
            Slice(
                session.session_id, layout.dtype.name, layout.modulus_bits, session.prg, start, stop
            )
            for start, stop in self._cuts
        ]
        self._parts = Parts(workers, Shard, [(part,) for part in slices])
        self._arrived: dict[int, int] = {}
        self._holding: dict[int, list[Any]] = {}
        self._revealed: NDArray[Any] | None = None

    def add(self, client_id: int, body: memoryview) -> bool:
        """Takes the next piece of a client's vector; see `RunningSum.add`."""
        index = self._arrived.get(client_id, 0)
        packed = next_piece(self._session, body, index)
        self._hold(client_id, index, packed)
        if index + 1 < self._session.num_chunks:
            return False
        self._arrived.pop(client_id)
        try:
            # Nobody adds before everybody has it all.
            self._parts.settle(self._holding.pop(client_id))
        except ShardError:
            raise
        except FedSecureError:
            self._parts.settle(self._parts.send_all("forget", client_id))
            raise
        self._parts.follow(self._parts.send_all("add", client_id))
        return True

    def close(self, clients: Collection[int]) -> None:
        """Has all shards forget unfinished uploads, and name whom they have added.

        Raises:
            ShardError: One has added others than these clients.
        """
        self._arrived.clear()
        self._holding.clear()
        self._close(clients)

    def unmask(self, taken_off: MaskSet, clients: Collection[int]) -> None:
        """Takes masks off at every shard, once all of them have named these same clients.

        Raises:
            ShardError: One has added others. No shard is unmasked.
        """
        agreed = self._close(clients)
        seeds, signs = taken_off.seeds.tobytes(), taken_off.signs
        try:
            self._parts.settle(self._parts.send_all("unmask", agreed, seeds, signs))
            self._revealed = self._read()
        finally:
            self._parts.drop()  # where it failed, too: others have unmasked theirs

    @property
    def total(self) -> NDArray[Any]:
        """Ring elements, shape (layout.length,), brought here from all shards."""
        return self._read() if self._revealed is None else self._revealed

    @property
    def arriving(self) -> Mapping[int, Sequence[memoryview]]:
        """The packed pieces of the unfinished uploads, by client, brought here."""
        for calls in self._holding.values():
            self._parts.settle(calls)  # whatever was not held is an error here, not a gap below
        held = self._parts.settle(self._parts.send_all("held"))
        return {name: list(self._joined(held, name, self._arrived[name])) for name in self._arrived}

    def restore(
        self,
        data: memoryview,
        arriving: Iterable[tuple[int, int]],
        clients: Collection[int],
    ) -> None:
        """Takes the place of a sum that was saved; see `RunningSum.restore`."""
        layout = self._session.layout
        size = layout.length * layout.dtype.itemsize
        pieces = saved_pieces(self._session, data[size:], arriving)
        elements = np.frombuffer(data[:size], layout.dtype)
        self._parts.settle(
            [
                self._parts.send(index, "restore", elements[start:stop], tuple(clients))
                for index, (start, stop) in enumerate(self._cuts)
            ]
        )
        for client_id, each in pieces.items():
            for index, packed in enumerate(each):
                self._hold(client_id, index, packed)

    def _hold(self, client_id: int, index: int, packed: memoryview) -> None:
        calls = [
            self._parts.send(shard, "hold", client_id, start, stop, np.frombuffer(part, np.uint8))
            for shard, start, stop, part in self._cut_piece(index, packed)
        ]
        self._arrived[client_id] = index + 1
        self._holding.setdefault(client_id, []).extend(calls)

    def _cut_piece(
        self, index: int, packed: memoryview
    ) -> Iterator[tuple[int, int, int, memoryview]]:
        """Yields shard, first element, one past the last, and the packed bytes of each part."""
        first, last = self._session.piece(index)
        bits = self._session.layout.modulus_bits
        for shard, (start, stop) in enumerate(self._cuts):
            low, high = max(first, start), min(last, stop)
            if low < high:
                at, end = (low - first) * bits // 8, wire.packed_bytes(high - first, bits)
                yield shard, low, high, packed[at:end]

    def _joined(
        self, held: Sequence[Mapping[int, Sequence[NDArray[np.uint8]]]], name: int, count: int
    ) -> Iterator[memoryview]:
        """Yields the pieces of a client's upload, put together from what shards hold of it."""
        left = [iter(shard.get(name, ())) for shard in held]
        for index in range(count):
            first, last = self._session.piece(index)
            parts = [
                next(left[shard]).tobytes()
                for shard, (start, stop) in enumerate(self._cuts)
                if max(first, start) < min(last, stop)
            ]
            yield memoryview(b"".join(parts))

    def _close(self, clients: Collection[int]) -> bytes:
        """Returns the digest that all shards have named, having seen that it is of these."""
        self._parts.follow(())
        answers = self._parts.settle(self._parts.send_all("close"))
        agreed = digest(self._session.session_id, clients)
        others = [index for index, answer in enumerate(answers) if answer != agreed]
        if others:
            raise self._parts.lose(
                f"shards {others} have added other clients than the server: nothing was unmasked; "
                "run the round again"
            )
        return agreed

    def _read(self) -> NDArray[Any]:
        self._parts.follow(())
        return np.concatenate(self._parts.settle(self._parts.send_all("read")))


def cut(session: Session, count: int) -> list[tuple[int, int]]:
    """Returns up to `count` ranges of coordinates, about even, that cover a session's vectors.

    Inside a piece they are cut where an element begins a byte.
    """
    length = session.layout.length
    cuts = {0, length}
    for _, at in spans(length, count)[:-1]:
        first = at // session.chunk * session.chunk
        cuts.add(first + (at - first) // _STEP * _STEP)
    ordered = sorted(cuts)
    return list(itertools.pairwise(ordered))


def digest(session_id: bytes, clients: Iterable[int]) -> bytes:
    """Returns 32 bytes for who is in a session's sum."""
    state = hashlib.sha256(b"fedsecure/sharding/clients" + session_id)
    for client_id in sorted(clients):
        state.update(client_id.to_bytes(4, "little"))
    return state.digest()

"""Vectors on their way: a client's upload, made piece by piece, and the server's running sum.

Neither side holds more than it must. A client encodes, masks and packs one chunk at a time, and
makes each chunk exactly once: a chunk made again after the caller had changed the update would
cancel its own mask and show the difference. The server keeps the chunks of an unfinished upload
packed, and adds them to the one accumulator when the upload is whole, so that a client that
vanishes half-way leaves no trace in the sum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from fedsecure import wire
from fedsecure.encoding import Contribution, Decoded, decode_sum
from fedsecure.errors import EncodingError, RemoteProtocolError
from fedsecure.primitives import masks
from fedsecure.privacy.contributions import NoisyContribution
from fedsecure.pytree import PyTree, TreeSpec, flatten, flatten_rows

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

    from fedsecure._tensors import FloatArray
    from fedsecure.primitives.entropy import Secret
    from fedsecure.primitives.masks import MaskSet
    from fedsecure.privacy.mechanisms import VectorMechanism
    from fedsecure.protocols.session import Session

__all__ = [
    "Input",
    "RunningSum",
    "Upload",
    "VectorSum",
    "contribute",
    "decode",
    "mean_of",
    "next_piece",
    "piece_limit",
    "saved_pieces",
    "spec_of",
]

Input = Contribution | NoisyContribution
"""A client's update, validated, and under privacy with its noise."""


def contribute(session: Session, update: PyTree, weight: float | None, seed: Secret) -> Input:
    """Returns a client's update, validated against the session and ready to be encoded.

    Args:
        session: The session.
        update: The update; where records are hidden, with an axis for them in front of each leaf.
        weight: Its weight, if and only if the session is weighted.
        seed: session.prg.seed_bytes that decide the stochastic rounding, and under privacy this
            client's share of the noise, and serve nothing else. Copied.

    Raises:
        EncodingError: The update's tree is not the session's, or a value or weight cannot be
            encoded.
    """
    threads = masks.threads()  # a setting that cannot be used is refused before anything leaves
    leaves, spec = _flattened(session, update)
    difference = spec.difference(session.spec)
    if difference is not None:
        raise EncodingError(f"this update does not fit the session: {difference}")
    names = [leaf.path for leaf in spec.leaves]
    if session.plan is not None:
        return session.plan.contribution(
            leaves,
            names,
            weight=weight,
            seed=seed.view,
            public_seed=session.public_seed,
            prg=session.prg,
            threads=threads,
        )
    return Contribution(
        leaves,
        names,
        encoding=session.encoding,
        layout=session.layout,
        weight=weight,
        seed=seed.view,
        prg=session.prg,
        threads=threads,
    )


def spec_of(privacy: VectorMechanism | None, update: PyTree) -> TreeSpec:
    """Returns the spec of an update; where records are hidden, that of one of its records.

    Raises:
        EncodingError: It is no update.
    """
    return TreeSpec.of_row(update) if _holds_records(privacy) else TreeSpec.of(update)


def decode(session: Session, total: NDArray[Any], num_contributors: int) -> Decoded:
    """Returns what a sum in the ring says, if it is one that honest clients can have.

    Under `CentralGaussian` the noise is drawn here.

    Args:
        session: The session.
        total: Ring elements, shape (layout.length,). Not changed.
        num_contributors: How many clients are in it.

    Raises:
        RemoteProtocolError: It is not.
    """
    if session.plan is not None:
        return session.plan.decode(
            total,
            num_contributors=num_contributors,
            public_seed=session.public_seed,
            dtype=session.spec.dtype,
            threads=masks.threads(),
        )
    return decode_sum(
        total,
        encoding=session.encoding,
        layout=session.layout,
        num_contributors=num_contributors,
        dtype=session.spec.dtype,
        threads=masks.threads(),
    )


def mean_of(session: Session, decoded: Decoded) -> PyTree:
    """Returns what a sum says as a tree of the session.

    Raises:
        EncodingError: A leaf's dtype cannot hold it, as float16 may not hold noise. Whoever
            calls this knows the sum, and the error says so.
    """
    try:
        return session.spec.unflatten(decoded.values)
    except EncodingError as error:
        error.may_be_known = True
        raise


class Upload(Iterator[bytes]):
    """The messages of one vector, made one at a time as they are drawn, each once.

    Args:
        session: The session.
        contribution: The validated update.
        kind: Message kind.
        sender: The client's id.
        masks: Called before each message; returns what to add to the vector, or refuses.
        ended: Called after the last message was made.
        failed: Called instead when making one failed; no further message comes then.
        first: How many messages were made before, by an upload that this one goes on with.
    """

    def __init__(
        self,
        session: Session,
        contribution: Input,
        *,
        kind: int,
        sender: int,
        masks: Callable[[], masks.MaskSet],
        ended: Callable[[], None],
        failed: Callable[[], None],
        first: int = 0,
    ) -> None:
        self._session = session
        self._contribution = contribution
        self._kind = kind
        self._sender = sender
        self._masks = masks
        self._ended = ended
        self._failed = failed
        self._next = first

    @property
    def made(self) -> int:
        """How many messages of the vector have been made."""
        return self._next

    def __next__(self) -> bytes:
        index = self._next
        if index >= self._session.num_chunks:
            raise StopIteration
        # Counted before it is made: whatever happens below, this chunk is never made again.
        self._next = index + 1
        try:
            message = self._make(index)
        except BaseException:
            self._next = self._session.num_chunks
            self._failed()
            raise
        if self._next == self._session.num_chunks:
            self._ended()
        return message

    def __repr__(self) -> str:
        return f"Upload({self._next} of {self._session.num_chunks} messages made)"

    def _make(self, index: int) -> bytes:
        start, stop = self._session.piece(index)
        bits = self._session.layout.modulus_bits
        head = wire.vector_header(bits, stop - start, index)
        size = len(head) + wire.packed_bytes(stop - start, bits)
        before = self._session.header(self._kind, self._sender, size) + head
        return self._contribution.message(before, start, stop, self._masks())


class RunningSum(Protocol):
    """What a server keeps vectors in: `VectorSum`, or one whose parts are in several places.

    A vector is in the sum whole or not at all. After an error that is no `RemoteProtocolError` the
    sum is lost, and the session with it.
    """

    @property
    def total(self) -> NDArray[Any]:
        """Ring elements, shape (layout.length,), in the session's lane."""

    @property
    def arriving(self) -> Mapping[int, Sequence[memoryview]]:
        """The packed pieces of the unfinished uploads, by client."""

    def add(self, client_id: int, body: memoryview) -> bool:
        """Takes the next piece of a client's vector; returns whether the vector is complete now.

        The caller sees to it that a complete vector is not followed by another one.

        Raises:
            RemoteProtocolError: Not the piece that comes next, or not of the session's form.
        """

    def close(self, clients: Collection[int]) -> None:
        """Forgets the unfinished uploads: these clients are in the sum, and nobody else."""

    def unmask(self, taken_off: MaskSet, clients: Collection[int]) -> None:
        """Takes masks off, once, and reduces the sum to the ring.

        Args:
            taken_off: What turns the sum of masked vectors into the sum of vectors.
            clients: Those that `close` was given.
        """

    def restore(
        self,
        data: memoryview,
        arriving: Iterable[tuple[int, int]],
        clients: Collection[int],
    ) -> None:
        """Takes the place of a sum that was saved as its elements and then the unfinished uploads.

        Args:
            data: The bytes of `total`, then of the pieces of each unfinished upload.
            arriving: Client and number of pieces of each.
            clients: Whose vectors are in the sum.

        Raises:
            RemoteProtocolError: The bytes are too few or too many for that.
        """


class VectorSum:
    """The sum of the clients' vectors in the ring, with the unfinished uploads beside it.

    A `RunningSum` in this process. Who is in it, the server knows.

    Attributes:
        total: Ring elements, shape (layout.length,); wraps in its lane.
    """

    def __init__(self, session: Session) -> None:
        masks.threads()
        self._session = session
        self._arriving: dict[int, list[memoryview]] = {}
        self.total: NDArray[Any] = np.zeros(session.layout.length, session.layout.dtype)

    def add(self, client_id: int, body: memoryview) -> bool:
        """Takes the next piece of a client's vector; see `RunningSum.add`."""
        arrived = self._arriving.get(client_id, [])
        arrived.append(next_piece(self._session, body, len(arrived)))
        if len(arrived) < self._session.num_chunks:
            self._arriving[client_id] = arrived
            return False
        # Every piece was checked when it came, so nothing below can fail half-way.
        for index, packed in enumerate(arrived):
            start, stop = self._session.piece(index)
            bits = self._session.layout.modulus_bits
            masks.unpack_add(packed, bits, self.total[start:stop])
        self._arriving.pop(client_id, None)
        return True

    def close(self, clients: Collection[int]) -> None:
        """Forgets the unfinished uploads."""
        del clients
        self._arriving.clear()

    def unmask(self, taken_off: MaskSet, clients: Collection[int]) -> None:
        """Takes masks off, once, and reduces the sum to the ring."""
        del clients
        taken_off.apply(self.total)
        masks.reduce(self.total, self._session.layout.modulus_bits)

    @property
    def arriving(self) -> Mapping[int, Sequence[memoryview]]:
        """The packed pieces of the unfinished uploads, by client."""
        return self._arriving

    def restore(
        self,
        data: memoryview,
        arriving: Iterable[tuple[int, int]],
        clients: Collection[int],
    ) -> None:
        """Takes the place of a sum that was saved; see `RunningSum.restore`."""
        del clients
        size = self.total.nbytes
        self._arriving = saved_pieces(self._session, data[size:], arriving)
        self.total[:] = np.frombuffer(data[:size], self.total.dtype)


def next_piece(session: Session, body: memoryview, due: int) -> memoryview:
    """Returns the packed elements of a vector's piece.

    Args:
        session: The session.
        body: The body of a message with a piece of a vector.
        due: Index of the piece that comes next.

    Raises:
        RemoteProtocolError: Another piece, or not of the session's form.
    """
    piece, bits = wire.decode_vector(body), session.layout.modulus_bits
    if piece.index != due:
        raise RemoteProtocolError(f"chunk {piece.index} came where chunk {due} was due")
    start, stop = session.piece(due)
    if (piece.bits, piece.count) != (bits, stop - start):
        raise RemoteProtocolError(
            f"chunk of {piece.count} elements of {piece.bits} bits; this one has "
            f"{stop - start} of {bits}"
        )
    return piece.packed


def saved_pieces(
    session: Session, data: memoryview, arriving: Iterable[tuple[int, int]]
) -> dict[int, list[memoryview]]:
    """Returns the packed pieces of unfinished uploads, by client, out of the bytes of them all.

    Args:
        session: The session.
        data: The pieces, one after the other.
        arriving: Client and number of pieces of each upload.

    Raises:
        RemoteProtocolError: The bytes are too few or too many for that.
    """
    found: dict[int, list[memoryview]] = {}
    at = 0
    for client_id, count in arriving:
        if not 1 <= count < session.num_chunks or client_id in found:
            raise RemoteProtocolError(f"{count} pieces of an upload of client {client_id}")
        pieces = found[client_id] = []
        for index in range(count):
            start, stop = session.piece(index)
            length = wire.packed_bytes(stop - start, session.layout.modulus_bits)
            if at + length > len(data):
                raise RemoteProtocolError(f"{len(data)} bytes are too few for these uploads")
            pieces.append(data[at : at + length])
            at += length
    if len(data) != at:
        raise RemoteProtocolError(f"{len(data)} bytes for uploads of {at}")
    return found


def _flattened(session: Session, update: PyTree) -> tuple[list[FloatArray], TreeSpec]:
    if not _holds_records(session.privacy):
        return flatten(update)
    leaves, spec, _ = flatten_rows(update)
    return leaves, spec


def _holds_records(privacy: VectorMechanism | None) -> bool:
    return privacy is not None and privacy.unit == "record"


def piece_limit(session: Session) -> int:
    """Returns the size of the largest vector body in a session, in bytes."""
    count = min(session.chunk, session.layout.length)
    return wire.VECTOR_HEADER_SIZE + wire.packed_bytes(count, session.layout.modulus_bits)

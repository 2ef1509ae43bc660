"""Who was in which released sum, and whom all of them together single out.

One secure sum hides its clients in each other. Many sums over changing clients need not: if updates
change little between rounds, the sum with a client minus the sum without it is that client's
update, and longer combinations of sums do the same (Lam et al., "Gradient Disaggregation", ICML
2021; So et al., "Securing Secure Aggregation: Mitigating Multi-Round Privacy Leakage in Federated
Learning", AAAI 2023). `ParticipationLog` finds such combinations before the sum that completes one
is released; `batches` makes sets of clients from which no combination can be built.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fedsecure.errors import LocalProtocolError, ThresholdError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ParticipationLog", "batches"]

# The row space is that of rationals; it is computed modulo this prime. The two can differ only if
# the prime divides a minor of the 0/1 matrix that is not 0. A minor of size k is at most
# (k + 1)**((k + 1) / 2) / 2**k (Hadamard), which is below the prime up to k = 36: with no more than
# 36 different sums, or 36 batches that are never split, every answer is exact. Above, an answer can
# be wrong, either way, only by accident (about one chance in 2**61 for each sum and client) or for
# sets that someone built around this prime. Who builds sets to deceive a log is not stopped by it:
# the log is for those who want to release nothing that singles somebody out.
_PRIME = (1 << 61) - 1
_P = np.uint64(_PRIME)
_HALF = np.uint64(31)
_LOW_HALF = np.uint64((1 << 31) - 1)
_REST = np.uint64(30)
_LOW_REST = np.uint64((1 << 30) - 1)
_WHOLE = np.uint64(61)

_SHOWN_CLIENTS = 5
# As everywhere in this package: in a sum over two, each knows the other's part.
_LEAST_BATCH = 3


class ParticipationLog:
    """The clients of every released sum, and what the sums say about one client together.

    A client is isolated if some linear combination of the released sums is its update alone (times
    its weight, where sums are weighted), taking each client's contribution as the same in all of
    them. That is the worst case: how far a real combination is from it depends on how much updates
    change from round to round. The log counts a server that works alone; a client that colludes
    with it can subtract its own updates as well.

    What is said is exact with up to 36 different sums, and beyond that but for one chance in 2**61
    per sum and client; see So et al. (AAAI 2023) for the attack and the cure. Asking and adding
    cost time and memory in proportion to clients times different sums.

    Args:
        rounds: The contributors of sums released before, such as `rounds` of another log.

    Raises:
        LocalProtocolError: `rounds` is not a list of lists of client ids.
    """

    def __init__(self, rounds: Iterable[Iterable[int]] = ()) -> None:
        self._rounds: list[tuple[int, ...]] = []
        self._bits: dict[int, int] = {}
        self._sets: set[int] = set()
        self._smallest: int | None = None
        self._space = _RowSpace((), (), np.zeros((0, 0), np.uint64))
        given: Any = rounds
        if isinstance(given, str | bytes) or not isinstance(given, Iterable):
            raise LocalProtocolError(f"rounds is {given!r:.60}; give one list of ids per sum")
        for contributors in given:
            self.add(contributors)

    @property
    def rounds(self) -> tuple[tuple[int, ...], ...]:
        """The contributors of every sum, in the order they were added; ids increasing.

        It is the whole state: keep it, and ``ParticipationLog(rounds)`` is this log again.
        """
        return tuple(self._rounds)

    def add(self, contributors: Iterable[int]) -> None:
        """Records that the sum over these clients has been released.

        Args:
            contributors: `Aggregate.contributors`: client ids, at least one, none twice.

        Raises:
            LocalProtocolError: They are not client ids. Nothing has changed then.
        """
        ids = _checked_ids("contributors", contributors)
        for client_id in ids:
            self._bits.setdefault(client_id, 1 << len(self._bits))
        members = sum(self._bits[client_id] for client_id in ids)
        if members not in self._sets:
            # The same sum again tells nothing new: neither a row nor a difference.
            self._space = self._space.plus(ids)
            widths = ((members ^ other).bit_count() for other in self._sets)
            known = () if self._smallest is None else (self._smallest,)
            self._smallest = min((*widths, *known), default=None)
            self._sets.add(members)
        self._rounds.append(ids)

    def isolated(self) -> tuple[int, ...]:
        """Returns the clients that the released sums single out already, increasing."""
        return tuple(sorted(self._space.units()))

    def would_isolate(self, contributors: Iterable[int]) -> tuple[int, ...]:
        """Returns the clients that this sum, if it were released too, would newly single out.

        Args:
            contributors: As in `add`. Nothing is recorded.

        Raises:
            LocalProtocolError: They are not client ids.
        """
        after = self._space.plus(_checked_ids("contributors", contributors))
        return tuple(sorted(after.units() - self._space.units()))

    def check(self, contributors: Iterable[int]) -> None:
        """Refuses a sum that would newly single out a client. Ask before unmasking; see `add`.

        Args:
            contributors: As in `add`. Nothing is recorded.

        Raises:
            ThresholdError: It would; the message names the clients, the sum and the remedy.
            LocalProtocolError: They are not client ids.
        """
        exposed = self.would_isolate(contributors)
        if exposed:
            shown = ", ".join(str(client_id) for client_id in exposed[:_SHOWN_CLIENTS])
            more = len(exposed) - _SHOWN_CLIENTS
            raise ThresholdError(
                f"sum {len(self._rounds) + 1} of this log would single out client {shown}"
                f"{f' and {more} more' if more > 0 else ''}: together with sums released before it "
                "gives the update of that client alone, as far as updates stay the same. Do not "
                "unmask it; keep fixed batches (fedsecure.participation.batches) of which a round "
                "takes all clients or none"
            )

    def smallest_difference(self) -> int | None:
        """Returns the least number of clients in which two released sums differ.

        That many clients' updates are left when one sum is subtracted from the other: those in the
        first only with a plus, those in the second only with a minus. 1 means that two sums alone
        single a client out. Longer combinations may be narrower: ask `isolated` about those.

        Returns:
            The least size of a symmetric difference over all pairs of different sets; None if there
            are no two different sets.
        """
        return self._smallest

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ParticipationLog):
            return NotImplemented
        return self._rounds == other._rounds

    # It changes with every sum, so it is no key.
    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return (
            f"<ParticipationLog of {len(self._rounds)} sums over {len(self._bits)} clients, "
            f"{len(self._space.units())} of them isolated>"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return ParticipationLog, (self.rounds,)


def batches(client_ids: Iterable[int], size: int) -> tuple[tuple[int, ...], ...]:
    """Returns the clients in fixed batches, for rounds that take whole batches only.

    This is the batch partitioning of So et al. (AAAI 2023). Each round picks some of the batches,
    and releases its sum only if every client of those batches is in it. Each released sum then has
    the same coefficient for all clients of one batch, and so has each linear combination of
    released sums: what is left of it, if anything, is whole batches, never fewer than `size`
    clients, however many rounds are combined. The price: one client that drops out takes its batch
    out of the round. Batches must stay as they are for as long as updates resemble each other.

    Args:
        client_ids: All clients that may ever take part, none twice.
        size: Least number of clients in a batch, at least 3. Clients that collude with the server
            make a batch narrower for it by their number: choose `size` larger by as many as a batch
            may have.

    Returns:
        As many batches as there can be, each of `size` clients or, where the number of clients is
        no multiple of it, a few more. Ids increase within a batch and from batch to batch.

    Raises:
        ThresholdError: `size` is below 3, or there are fewer clients than that.
        LocalProtocolError: The ids are not client ids, or `size` is no integer.
    """
    ids = _checked_ids("client_ids", client_ids)
    if isinstance(size, bool) or not isinstance(size, int):
        raise LocalProtocolError(f"size is {size!r:.60}; give an integer, at least {_LEAST_BATCH}")
    if size < _LEAST_BATCH:
        raise ThresholdError(f"batches of {size} hide too little; use at least {_LEAST_BATCH}")
    count = len(ids) // size
    if count == 0:
        raise ThresholdError(f"{len(ids)} clients make no batch of {size}; take a smaller size")
    ends = [len(ids) * at // count for at in range(count + 1)]
    return tuple(ids[start:end] for start, end in itertools.pairwise(ends))


@dataclass(frozen=True, eq=False)
class _RowSpace:
    """The row space of a 0/1 matrix, as its reduced row echelon form modulo the prime.

    Row i has a 1 in the column of client ``pivots[i]``, 0 in those of all other pivots, and
    ``rows[i]`` in those of the clients in `free`. Only that last part is stored.
    """

    pivots: tuple[int, ...]
    free: tuple[int, ...]
    rows: NDArray[np.uint64]

    def units(self) -> frozenset[int]:
        """Returns the clients whose unit vector is in the row space.

        A vector of the space is the sum of the rows, each times the vector's entry in that row's
        pivot column. So the unit vector of a pivot is in it only as that pivot's own row, and the
        unit vector of any other client never is.
        """
        zero = np.flatnonzero(~self.rows.any(axis=1))
        return frozenset(self.pivots[at] for at in zero)

    def plus(self, ids: tuple[int, ...]) -> _RowSpace:
        """Returns the space with one more row: 1 for these clients, 0 for all others."""
        members = set(ids)
        new = tuple(sorted(members.difference(self.pivots, self.free)))
        free = self.free + new
        rows = np.pad(self.rows, ((0, 0), (0, len(new))))
        ones = np.array([client_id in members for client_id in free], np.uint64)
        used = np.array([client_id in members for client_id in self.pivots], bool)
        # Entries in pivot columns are 0 or 1, so reducing the new row takes sums and no products.
        rest = _difference(ones, _sum(rows[used]))
        nonzero = np.flatnonzero(rest)
        if not nonzero.size:
            return self
        at = int(nonzero[0])
        inverse = np.uint64(pow(int(rest[at]), -1, _PRIME))
        row = _product(rest, inverse)
        factors = _difference(np.zeros(len(rows), np.uint64), rows[:, at])
        rows = _fold(rows + _product(row, factors[:, np.newaxis]))
        rows = np.delete(np.vstack((rows, row)), at, axis=1)
        return _RowSpace((*self.pivots, free[at]), free[:at] + free[at + 1 :], rows)


def _fold(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Returns values below 2**64 modulo the prime."""
    values = (values & _P) + (values >> _WHOLE)
    # A value below the prime wraps around when the prime is subtracted, and is then the larger one.
    folded: NDArray[np.uint64] = np.minimum(values, values - _P)
    return folded


def _difference(left: NDArray[np.uint64], right: NDArray[np.uint64]) -> NDArray[np.uint64]:
    return _fold(left + (_P - right))


def _sum(rows: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Returns the sum of the rows modulo the prime: by halves, of which 2**33 fit in a word."""
    high = _fold((rows >> _HALF).sum(axis=0, dtype=np.uint64))
    low = _fold((rows & _LOW_HALF).sum(axis=0, dtype=np.uint64))
    return _fold(_product(high, np.uint64(1 << 31)) + low)


def _product(left: NDArray[np.uint64], right: NDArray[np.uint64] | np.uint64) -> NDArray[np.uint64]:
    """Returns products of residues modulo the prime, broadcast as numpy does.

    Halves of 30 and 31 bits keep every partial product in a word: 2**62 is 2 and 2**61 is 1 modulo
    the prime, and the four terms of the last sum are below 2**61, 2**32, 2**61 and 2**62.
    """
    left_high, left_low = left >> _HALF, left & _LOW_HALF
    right_high, right_low = right >> _HALF, right & _LOW_HALF
    middle = left_high * right_low + left_low * right_high
    total = (left_high * right_high) << np.uint64(1)
    total = total + (middle >> _REST) + ((middle & _LOW_REST) << _HALF)
    return _fold(total + left_low * right_low)


def _checked_ids(name: str, client_ids: Iterable[int]) -> tuple[int, ...]:
    """Returns the ids as plain ints in increasing order."""
    if isinstance(client_ids, str | bytes) or not isinstance(client_ids, Iterable):
        raise LocalProtocolError(f"{name} is {client_ids!r:.60}; give a list of client ids")
    ids: list[int] = []
    for client_id in client_ids:
        try:
            # Any integer type is welcome, numpy's too, but True is no client.
            ids.append(operator.index(client_id))
        except TypeError:
            raise LocalProtocolError(f"{name} has {client_id!r:.60}; ids are integers") from None
        if isinstance(client_id, bool) or ids[-1] < 0:
            raise LocalProtocolError(f"{name} has {client_id!r:.60}; ids are integers from 0")
    if not ids:
        raise LocalProtocolError(f"{name} is empty; give at least one client id")
    if len(set(ids)) != len(ids):
        raise LocalProtocolError(f"{name} has a client id twice")
    return tuple(sorted(ids))

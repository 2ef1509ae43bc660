"""Noise that hides single records: distributed DP-SGD.

A client (here often called a silo) holds many people's records. It chooses some of them by chance,
computes one gradient for each, and the sum over all clients gets noise enough to hide one record.
Where silos are few that is the only level at which noise hides anything and leaves something.

For the mechanism a record is what a client is elsewhere: its gradient is clipped, rotated, rounded,
and its integers are refused unless their exact norm is within Delta2. The client only adds up the
integers of its records, modulo the ring, and then its one share of the noise. So one record changes
the sum by a vector of norm Delta2 at most, exactly, as in Agarwal, Kairouz and Liu (NeurIPS 2021)
one client does; rounding the silo's sum of floats instead would leave a record's reach to the float
rounding of all the others.
"""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fedsecure.errors import EncodingError, LocalProtocolError
from fedsecure.primitives import rounding, samplers
from fedsecure.privacy import _checks, norms
from fedsecure.privacy.contributions import NoisyContribution, Source, rounded, wipe
from fedsecure.privacy.distributed import DistributedSkellam
from fedsecure.privacy.rotation import rotate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fedsecure.primitives import entropy
    from fedsecure.privacy.plans import Plan
    from fedsecure.privacy.report import Unit

__all__ = ["RecordContribution", "RecordSkellam"]

_MOST_RECORDS = 1_000_000
# So many numbers of small records are worked on at a time: they fit the caches.
_BATCH = 1 << 16


class RecordContribution(NoisyContribution):
    """The integers of one client's records, added up, with its share of the noise.

    Each leaf holds the records one after the other. Arguments and errors are those of
    `Plan.contribution`.
    """

    __slots__ = ()

    def _integers(
        self,
        leaves: Sequence[NDArray[Any]],
        names: Sequence[str],
        size: int,
        part: float,
        source: Source,
    ) -> NDArray[Any]:
        """Returns the sum over the records of their integers, without noise."""
        del part  # records are not weighted
        plan = self._plan
        rows = _rows(plan, leaves, size)
        vector = np.zeros(plan.dimension, plan.layout.dtype)
        try:
            if rows:
                _Adder(plan, vector, source).add_all(leaves, names, rows)
        except BaseException:
            wipe(vector)
            raise
        return vector


@dataclass(frozen=True)
class RecordSkellam(DistributedSkellam):
    """Skellam noise in shares of the clients that hides single records: distributed DP-SGD.

    An update holds one gradient per record: arrays with an axis for the records in front, the same
    number of records in all of them, which may be 0 and stays secret. That is how
    Opacus keeps them (``grad_sample``). The session's spec is that of *one* gradient; the mean in
    the result is the sum of all clipped gradients over the number of *clients*. Multiply it by
    ``len(result.contributors)`` and divide by the batch size that is expected of all clients
    together, a public constant.

    Every client draws its records itself, each with probability q on its own, and tells nobody:
    account with ``PoissonSampling(q)`` and an accountant with ``unit="record"``. Epsilon is then
    that of DP-SGD by one party on all clients' records together.

    Attributes:
        clip_norm: The L2 norm that the gradient of each record is clipped to, above 0.
        max_records: Most records that a client may have in one round, 1..1,000,000. It makes room
            in the ring. An update with more is refused, so leave far more than q times the records
            of the largest client: the mean and ten standard deviations.
    """

    _: KW_ONLY
    max_records: int

    unit: ClassVar[Unit] = "record"
    contribution_type: ClassVar[type[NoisyContribution]] = RecordContribution

    def __post_init__(self) -> None:
        super().__post_init__()
        _checks.whole("max_records", self.max_records, 1, _MOST_RECORDS)
        if self.max_weight is not None or self.adaptive is not None:
            raise LocalProtocolError(
                "records are neither weighted nor clipped adaptively; leave max_weight and adaptive"
                " out"
            )

    def _vectors(self, clients: int) -> int:
        # A ring with room for every record, each taken for a client with a share of its own.
        each = clients * self.max_records
        _checks.whole("clients times max_records", each, 1, _MOST_RECORDS)
        return each


class _Adder:
    """Clips, rotates and rounds records, many at a time, and adds their integers to a vector.

    Every record is for itself, as a client is elsewhere, and has words of the keystream of its own:
    what becomes of it does not depend on the others. Only the calls are shared. In memory are one
    batch of records as floats and as integers.
    """

    def __init__(self, plan: Plan, vector: NDArray[Any], source: Source) -> None:
        self._plan, self._vector, self._source = plan, vector, source
        self._most = max(1, _BATCH // plan.dimension)
        # Batches of small records are over before another thread has begun.
        self._threads = source.threads if self._most == 1 else 1
        # Rotating ones and transforming them back leaves the signs of the rotation: H H = D.
        self._signs = np.ones(plan.dimension, np.float64)
        rotate(self._signs, source.public_seed)
        samplers.hadamard(self._signs)
        self._signs /= plan.dimension

    def add_all(self, leaves: Sequence[NDArray[Any]], names: Sequence[str], rows: int) -> None:
        """Adds all records. Each leaf holds them one after the other."""
        sizes = [leaf.size // rows for leaf in leaves]
        with self._source.derived(b"record-rounding") as secret:
            for start in range(0, rows, self._most):
                stop = min(rows, start + self._most)
                parts = [
                    leaf[start * size : stop * size]
                    for leaf, size in zip(leaves, sizes, strict=True)
                ]
                self._add(parts, names, start, stop - start, secret)

    def _add(
        self,
        leaves: Sequence[NDArray[Any]],
        names: Sequence[str],
        start: int,
        count: int,
        secret: entropy.Secret,
    ) -> None:
        plan = self._plan
        flat = np.empty(count * plan.size, np.float64)
        work = np.zeros((count, plan.dimension), np.float64)
        try:
            norms.gather(leaves, names, flat, self._threads)
            at = 0
            for leaf in leaves:
                size = leaf.size // count
                part = flat[at * count : (at + size) * count]
                work[:, at : at + size] = part.reshape(count, size)
                at += size
            _clip_rows(work[:, : plan.size], plan.joint.clip)
            work *= self._signs
            for row in work:
                samplers.hadamard(row)
            self._round(work, start, secret)
        finally:
            wipe(flat)
            wipe(work)

    def _round(self, work: NDArray[np.float64], start: int, secret: entropy.Secret) -> None:
        """Rounds rows, all at once and then those that came out too long again, each alone."""
        plan = self._plan
        longer = math.sqrt(plan.dimension)
        out = np.empty(work.shape, plan.layout.dtype)
        try:
            rounding.round_to_ring(
                work.reshape(-1),
                plan.scale / longer,
                2 * plan.joint.norm * longer,
                secret.view,
                first=start * plan.dimension,
                out=out.reshape(-1),
                prg=self._source.prg,
                threads=self._threads,
            )
            fits = _rows_within(out, plan.most_squared)
            self._vector += out[fits].sum(axis=0, dtype=out.dtype)
        finally:
            wipe(out)
        for row in np.flatnonzero(~fits).tolist():
            with self._source.derived(b"record-rounding-again", start + row) as own:
                self._vector += rounded(plan, work[row], own, self._source.prg, self._threads)


def _clip_rows(matrix: NDArray[np.float64], clip: float) -> None:
    """Scales rows down, in place, to an L2 norm of about `clip` where they are longer."""
    # Over a power of two near the largest magnitude, so that squares fit into floats.
    _, exponents = np.frexp(np.abs(matrix).max(axis=1))
    scaled = np.ldexp(matrix, -exponents[:, np.newaxis])
    roots = np.sqrt(np.einsum("ij,ij->i", scaled, scaled))
    with np.errstate(over="ignore"):  # a norm beyond the floats is infinite, and too long
        long = np.ldexp(roots, exponents) > clip
    matrix[long] = scaled[long] * (clip / roots[long])[:, np.newaxis]
    wipe(scaled)


def _rows_within(integers: NDArray[Any], most_squared: int) -> NDArray[np.bool_]:
    """Returns for each row of ring elements what `norms.l2_within` says of it."""
    signed = integers.view(f"i{integers.dtype.itemsize}")
    magnitudes = np.abs(signed.astype(np.int64)).view(np.uint64)
    squares = magnitudes * magnitudes
    high = (squares >> np.uint64(32)).sum(axis=1).tolist()
    low = (squares & np.uint64(0xFFFFFFFF)).sum(axis=1).tolist()
    totals = [(upper << 32) + lower for upper, lower in zip(high, low, strict=True)]
    within = np.array([total <= most_squared for total in totals], np.bool_)
    small: NDArray[np.bool_] = magnitudes.max(axis=1) < norms.MAX_NORM
    return small & within


def _rows(plan: Plan, leaves: Sequence[NDArray[Any]], size: int) -> int:
    """Returns how many records there are in leaves of so many values."""
    rows, rest = divmod(size, plan.size)
    if rest or (rows and any(leaf.size % rows for leaf in leaves)):
        raise EncodingError(
            f"these leaves are not whole records of {plan.size} values; pass what flatten_rows "
            "gives"
        )
    most = plan.mechanism.max_records if isinstance(plan.mechanism, RecordSkellam) else 0
    if rows > most:
        raise EncodingError(
            f"this client has {rows} records in this round, more than max_records={most}; raise "
            "max_records to far above the expected number"
        )
    return rows

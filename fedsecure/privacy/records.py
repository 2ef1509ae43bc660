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

from dataclasses import KW_ONLY, dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fedsecure._prg import Prg
from fedsecure.errors import EncodingError, LocalProtocolError
from fedsecure.primitives import entropy, keys
from fedsecure.privacy import _checks, norms
from fedsecure.privacy.contributions import NoisyContribution, rounded
from fedsecure.privacy.mechanisms import DistributedSkellam
from fedsecure.privacy.plans import Joint, Plan
from fedsecure.privacy.rotation import rotate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fedsecure.privacy.report import Unit

__all__ = ["RecordContribution", "RecordPlan", "RecordSkellam"]

_MOST_RECORDS = 1_000_000


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

    def __post_init__(self) -> None:
        super().__post_init__()
        _checks.whole("max_records", self.max_records, 1, _MOST_RECORDS)
        if self.max_weight is not None or self.adaptive is not None:
            raise LocalProtocolError(
                "records are neither weighted nor clipped adaptively; leave max_weight and adaptive"
                " out"
            )

    def _build(self, clients: int, size: int, shares: int, joint: Joint) -> Plan:
        # A ring with room for every record, each taken for a client with a share of its own.
        each = clients * self.max_records
        _checks.whole("clients times max_records", each, 1, _MOST_RECORDS)
        plan = super()._build(each, size, shares, joint)
        return RecordPlan(**{field.name: getattr(plan, field.name) for field in fields(plan)})


@dataclass(frozen=True)
class RecordPlan(Plan):
    """The plan of a session whose clients send sums over records; `clients` counts records."""

    def contribution(
        self,
        leaves: Sequence[NDArray[Any]],
        names: Sequence[str],
        *,
        weight: float | None,
        seed: bytes | bytearray | memoryview,
        public_seed: bytes,
        prg: Prg = Prg.AES128,
        threads: int = 0,
    ) -> NoisyContribution:
        """Returns one client's sum over its records. Each leaf holds them one after the other."""
        return RecordContribution(
            self,
            leaves,
            names,
            weight=weight,
            seed=seed,
            public_seed=public_seed,
            prg=prg,
            threads=threads,
        )


class RecordContribution(NoisyContribution):
    """The integers of one client's records, added up, with its share of the noise.

    Arguments and errors are those of `RecordPlan.contribution`.
    """

    __slots__ = ()

    def __init__(
        self,
        plan: Plan,
        leaves: Sequence[NDArray[Any]],
        names: Sequence[str],
        *,
        weight: float | None,
        seed: bytes | bytearray | memoryview,
        public_seed: bytes,
        prg: Prg,
        threads: int,
    ) -> None:
        plan.mechanism.weight_part(weight, weighted=False)
        rows = _rows(plan, leaves)
        self._plan = plan
        self._vector = np.zeros(plan.dimension, plan.layout.dtype)
        work = np.empty(plan.dimension, np.float64)

        def derived(*purpose: int, label: bytes) -> entropy.Secret:
            info = keys.info(b"privacy/" + label, *purpose)
            return entropy.Secret(keys.derive(bytes(seed), public_seed, info, prg.seed_bytes))

        try:
            for row in range(rows):
                parts = [leaf.reshape(rows, -1)[row] for leaf in leaves]
                norms.gather(parts, names, work, threads)
                work[plan.size :] = 0.0
                norms.clip_l2(work[: plan.size], plan.joint.clip)
                rotate(work, public_seed)
                secret = derived(row, label=b"record-rounding")
                self._vector += rounded(plan, work, secret, prg, threads)
                secret.wipe()
            if plan.share is not None:
                secret = derived(label=b"noise")
                plan.share.add_to(self._vector, secret.view, prg=prg)
                secret.wipe()
        except BaseException:
            self.wipe()
            raise
        finally:
            entropy.wipe(work.data.cast("B"))


def _rows(plan: Plan, leaves: Sequence[NDArray[Any]]) -> int:
    """Returns how many records there are."""
    rows, rest = divmod(sum(leaf.size for leaf in leaves), plan.size)
    if rest or any(leaf.ndim != 1 or (rows and leaf.size % rows) for leaf in leaves):
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

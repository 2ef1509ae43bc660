"""One client's update on its way to noisy integers.

Clipped, put together with what travels beside it, rotated, scaled, rounded at random until the norm
of the integers is within its bound, and noised. Up to the rounding it is float arithmetic, which
may be off and must not decide anything: whatever it gives, only integers whose exact norm is within
the bound get their noise and leave (Mironov, CCS 2012, is about mechanisms that do otherwise).
"""

from __future__ import annotations

import hashlib
import math
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fedsecure.encoding import check_leaves
from fedsecure.errors import EncodingError, LocalProtocolError
from fedsecure.primitives import entropy, keys
from fedsecure.primitives.masks import pack
from fedsecure.privacy import norms
from fedsecure.privacy.rotation import rotate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from fedsecure._prg import Prg
    from fedsecure.primitives.masks import MaskSet
    from fedsecure.privacy.plans import Plan

__all__ = ["NoisyContribution", "Source", "rounded", "wipe"]


@dataclass(frozen=True, repr=False, eq=False)
class Source:
    """What a client's integers come from beside its update.

    Attributes:
        seed: prg.seed_bytes secret bytes.
        public_seed: 32 bytes of this session.
        prg: What seeds are expanded by.
        threads: How many threads the core may use; 0 for all cores.
    """

    seed: memoryview
    public_seed: bytes
    prg: Prg
    threads: int

    @contextmanager
    def derived(self, purpose: bytes, *ids: int) -> Iterator[entropy.Secret]:
        """Gives a seed for one purpose, and wipes it afterwards."""
        info = keys.info(b"privacy/" + purpose, *ids)
        secret = entropy.Secret(keys.derive(self.seed, self.public_seed, info, self.prg.seed_bytes))
        try:
            yield secret
        finally:
            secret.wipe()


class NoisyContribution:
    """One client's vector of noisy ring elements; made at once, given out piece by piece.

    It has the methods of `fedsecure.encoding.Contribution`. In memory are the ring elements, and
    while they are made one float64 vector of the same length. Arguments and errors are those of
    `Plan.contribution`.
    """

    __slots__ = ("_plan", "_vector")

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
        size = check_leaves(leaves, names)
        if len(seed) != prg.seed_bytes:
            raise LocalProtocolError(f"a contribution takes a seed of {prg.seed_bytes} bytes")
        part = plan.mechanism.weight_part(weight, weighted=plan.weighted)
        source = Source(memoryview(seed), public_seed, prg, threads)
        self._plan = plan
        self._vector: NDArray[Any] | None = None
        vector = self._integers(leaves, names, size, part, source)
        try:
            if plan.share is not None:
                with source.derived(b"noise") as own:
                    plan.share.add_to(vector, own.view, prg=prg)
        except BaseException:
            wipe(vector)
            raise
        self._vector = vector

    def _integers(
        self,
        leaves: Sequence[NDArray[Any]],
        names: Sequence[str],
        size: int,
        part: float,
        source: Source,
    ) -> NDArray[Any]:
        """Returns the client's integers without noise, from `size` values and a part in weight."""
        plan = self._plan
        if size != plan.size:
            raise EncodingError(f"this update has {size} values; the session expects {plan.size}")
        work = np.zeros(plan.dimension, np.float64)
        try:
            norms.gather(leaves, names, work, source.threads)
            _assemble(plan, work, part)
            if plan.rotated:
                rotate(work, source.public_seed)
            with source.derived(b"rounding") as own:
                return rounded(plan, work, own, source.prg, source.threads)
        finally:
            wipe(work)

    def encode(self, start: int, stop: int) -> NDArray[Any]:
        """Returns elements [start, stop) in a new array, modulo the lane.

        Raises:
            LocalProtocolError: Not a range of the vector, or it was wiped.
        """
        return self._part(start, stop).copy()

    def message(self, head: bytes, start: int, stop: int, masks: MaskSet) -> bytes:
        """Returns `head` and then elements [start, stop), masked and packed.

        Raises:
            LocalProtocolError: Not a range of the vector, or it was wiped.
        """
        piece = self._part(start, stop).copy()
        masks.apply(piece, start)
        return head + pack(piece, self._plan.layout.modulus_bits)

    def fingerprint(self) -> bytes:
        """Returns 32 bytes that differ for different integers: SHA-256 of them."""
        return hashlib.sha256(self._part(0, self._plan.dimension).data).digest()

    def wipe(self) -> None:
        """Zeroises the ring elements and lets go of them."""
        if self._vector is not None:
            wipe(self._vector)
        self._vector = None

    def __repr__(self) -> str:
        return f"<NoisyContribution to {self._plan.layout}, contents withheld>"

    def _part(self, start: int, stop: int) -> NDArray[Any]:
        if self._vector is None:
            raise LocalProtocolError("this contribution was wiped; a client encodes its input once")
        if not 0 <= start <= stop <= self._vector.size:
            raise LocalProtocolError(
                f"elements [{start}, {stop}) were asked for; the vector has {self._vector.size}"
            )
        return self._vector[start:stop]


def rounded(
    plan: Plan, work: NDArray[np.float64], seed: entropy.Secret, prg: Prg, threads: int
) -> NDArray[Any]:
    """Returns the vector in whole steps whose exact norm is at most Delta2."""
    longer = math.sqrt(plan.dimension) if plan.rotated else 1.0
    factor, limit = plan.scale / longer, 2 * plan.joint.norm * longer
    out = np.empty(plan.dimension, plan.layout.dtype)
    norms.round_within(
        work,
        factor,
        limit,
        seed,
        out=out,
        within=lambda integers: norms.l2_within(integers, plan.most_squared),
        prg=prg,
        threads=threads,
    )
    return out


def _assemble(plan: Plan, work: NDArray[np.float64], part: float) -> None:
    """Clips the update where it stands, weighs it, and puts beside it what else travels."""
    joint, update = plan.joint, work[: plan.size]
    norm = norms.clip_l2(update, joint.clip)
    if plan.weighted:
        update *= part
        work[plan.size] = part * joint.weight
    if joint.indicator:
        work[plan.values - 1] = math.copysign(joint.indicator / 2, joint.clip - norm)


def wipe(array: NDArray[Any]) -> None:
    """Overwrites a contiguous array with zeros."""
    entropy.wipe(array.data.cast("B"))

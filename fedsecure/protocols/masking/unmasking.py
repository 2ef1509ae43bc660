"""The server's last step: from shares to secrets, from secrets to the masks that must come off.

Only what the survivors answered is used, and every reconstructed secret is checked against what its
owner had published before any mask is touched.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from fedsecure.errors import CheaterDetected, CryptoError
from fedsecure.primitives import shamir
from fedsecure.primitives.keys import PrivateKey
from fedsecure.primitives.masks import MaskSet
from fedsecure.protocols.masking import schedule

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from fedsecure.primitives.entropy import Secret
    from fedsecure.primitives.graph import Graph
    from fedsecure.primitives.masks import Prg
    from fedsecure.protocols.masking.messages import Member, UnmaskShares

__all__ = ["Unmasking"]


@dataclass(frozen=True)
class Unmasking:
    """What a server knows when it closes the last stage.

    Attributes:
        ctx: The session's context.
        prg: What seeds are for.
        graph: Who shares with whom.
        threshold: Shares that give a secret back.
        members: The roster by id.
        commitments: B_v of everybody who shared keys.
        alive: Clients whose vectors are in the sum, increasing.
        dead: Clients that shared keys and whose vectors are not, increasing.
        answers: The survivors' shares.
    """

    ctx: bytes
    prg: Prg
    graph: Graph
    threshold: int
    members: Mapping[int, Member]
    commitments: Mapping[int, bytes]
    alive: Sequence[int]
    dead: Sequence[int]
    answers: Mapping[int, UnmaskShares]

    def masks(self) -> MaskSet:
        """Returns what turns the sum of masked vectors into the sum of vectors.

        Raises:
            CheaterDetected: The shares of some client's secret, which are those it tagged itself,
                do not give the secret it committed to.
        """
        seed_shares = {
            holder: {held.owner: held.share for held in answer.alive}
            for holder, answer in self.answers.items()
        }
        key_shares = {
            holder: {held.owner: held.share for held in answer.dead}
            for holder, answer in self.answers.items()
        }
        seeds: list[bytes] = []
        signs: list[int] = []
        for owner, secret in self._reconstruct(self.alive, seed_shares):
            seeds.append(self._self_seed(owner, secret))
            signs.append(-1)
        for owner, secret in self._reconstruct(self.dead, key_shares):
            for peer, seed in self._pair_seeds(owner, secret):
                seeds.append(seed)
                signs.append(-schedule.pair_sign(peer, owner))
        return MaskSet(seeds, signs, self.prg)

    def _reconstruct(
        self, owners: Sequence[int], shares: Mapping[int, Mapping[int, bytes]]
    ) -> Iterator[tuple[int, Secret]]:
        """Yields the secret of each owner; those with the same holders are combined in one go."""
        groups: dict[tuple[tuple[int, int], ...], list[int]] = {}
        for owner in owners:
            groups.setdefault(self._chosen(owner), []).append(owner)
        for chosen, group in groups.items():
            xs = [position for _, position in chosen]
            parts = [shares[holder][owner] for owner in group for holder, _ in chosen]
            rows = np.frombuffer(b"".join(parts), np.uint8)
            rows = rows.reshape(len(group), len(xs), shamir.SHARE_BYTES)
            yield from zip(group, _combine(group, xs, rows), strict=True)

    def _chosen(self, owner: int) -> tuple[tuple[int, int], ...]:
        """Returns the holders whose shares of the owner are used, with their abscissas."""
        present = (holder for holder in self.graph.holders(owner) if holder in self.answers)
        return tuple(
            (holder, self.graph.position(owner, holder))
            for holder in islice(present, self.threshold)
        )

    def _self_seed(self, owner: int, secret: Secret) -> bytes:
        if schedule.commitment(secret.view, self.ctx, owner) != self.commitments[owner]:
            raise _wrong_shares(owner)
        return schedule.self_seed(secret.view, self.ctx, self.prg, owner)

    def _pair_seeds(self, owner: int, secret: Secret) -> Iterator[tuple[int, bytes]]:
        key = PrivateKey(secret)
        if key.public != self.members[owner].mask_key:
            raise _wrong_shares(owner)
        alive = set(self.alive)
        for peer in self.graph.neighbors(owner):
            if peer in alive:
                agreed = key.agree(self.members[peer].mask_key)
                yield peer, schedule.pair_seed(agreed, self.ctx, self.prg, owner, peer)


def _combine(owners: Sequence[int], xs: Sequence[int], rows: NDArray[np.uint8]) -> list[Secret]:
    try:
        return shamir.combine(xs, rows)
    except CryptoError:
        if len(owners) == 1:
            raise _wrong_shares(owners[0]) from None
    # One of them is wrong: combine them one by one, so that the error can say whose.
    return [
        secret
        for at, owner in enumerate(owners)
        for secret in _combine([owner], xs, rows[at : at + 1])
    ]


def _wrong_shares(owner: int) -> CheaterDetected:
    return CheaterDetected(
        f"the shares of client {owner} do not give the secret it committed to, though they are the "
        "ones it handed out: run the round again without it",
        owner,
    )

"""The server's last step: from shares to secrets, from secrets to the masks that must come off.

Only what the survivors answered is used, and every reconstructed secret is checked against what its
owner had published before any mask is touched.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import compress, count, islice
from typing import TYPE_CHECKING

import numpy as np

from fedsecure.errors import CheaterDetected
from fedsecure.primitives import shamir
from fedsecure.primitives.keys import PrivateKey
from fedsecure.primitives.masks import MaskSet
from fedsecure.protocols.masking import schedule

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from fedsecure.primitives.entropy import Secret
    from fedsecure.primitives.graph import Graph
    from fedsecure.primitives.masks import Prg
    from fedsecure.protocols.masking.messages import HeldShare, Member, UnmaskShares

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
        seeds: list[bytes] = []
        signs: list[int] = []
        answers = [self.answers[holder] for holder in sorted(self.answers)]
        for owner, secret in self._reconstruct(self.alive, [body.alive for body in answers]):
            seeds.append(self._self_seed(owner, secret))
            signs.append(-1)
        alive = frozenset(self.alive)
        for owner, secret in self._reconstruct(self.dead, [body.dead for body in answers]):
            for peer, seed in self._pair_seeds(owner, secret, alive):
                seeds.append(seed)
                signs.append(-schedule.pair_sign(peer, owner))
        return MaskSet(seeds, signs, self.prg)

    def _reconstruct(
        self, owners: Sequence[int], given: Iterable[Iterable[HeldShare]]
    ) -> Iterator[tuple[int, Secret]]:
        """Yields the secret of each owner from what its holders gave, by increasing holder."""
        shares: dict[int, list[bytes]] = {owner: [] for owner in owners}
        for body in given:
            for held in body:
                shares[held.owner].append(held.share)
        xs = np.array([self._chosen(owner) for owner in owners], np.uint32)
        rows = np.frombuffer(
            b"".join(share for owner in owners for share in shares[owner][: self.threshold]),
            np.uint8,
        )
        found = shamir.combine_each(
            xs.reshape(-1, self.threshold), rows.reshape(-1, self.threshold, shamir.SHARE_BYTES)
        )
        for owner, secret in zip(owners, found, strict=True):
            if secret is None:
                raise _wrong_shares(owner)
            yield owner, secret

    def _chosen(self, owner: int) -> list[int]:
        """Returns the abscissas of the owner's holders whose shares are used: the first t."""
        present = [holder in self.answers for holder in self.graph.holders(owner)]
        return list(islice(compress(count(1), present), self.threshold))

    def _self_seed(self, owner: int, secret: Secret) -> bytes:
        if schedule.commitment(secret.view, self.ctx, owner) != self.commitments[owner]:
            raise _wrong_shares(owner)
        return schedule.self_seed(secret.view, self.ctx, self.prg, owner)

    def _pair_seeds(
        self, owner: int, secret: Secret, alive: Collection[int]
    ) -> Iterator[tuple[int, bytes]]:
        key = PrivateKey(secret)
        if key.public != self.members[owner].mask_key:
            raise _wrong_shares(owner)
        for peer in self.graph.neighbors(owner):
            if peer in alive:
                agreed = key.agree(self.members[peer].mask_key)
                yield peer, schedule.pair_seed(agreed, self.ctx, self.prg, owner, peer)


def _wrong_shares(owner: int) -> CheaterDetected:
    return CheaterDetected(
        f"the shares of client {owner} do not give the secret it committed to, though they are the "
        "ones it handed out: run the round again without it",
        owner,
    )

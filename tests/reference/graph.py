"""Who shares with whom: everybody with everybody, or the nearest on a shuffled ring."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Complete:
    """Bonawitz et al., CCS 2017. A client is one of its own holders."""

    ids: list[int]

    def neighbors(self, u: int) -> list[int]:
        """Everybody else."""
        return [v for v in self.ids if v != u]

    def holders(self, u: int) -> list[int]:
        """Everybody."""
        assert u in self.ids
        return self.ids

    def x(self, owner: int, holder: int) -> int:
        """The abscissa of a holder's shares."""
        return 1 + self.holders(owner).index(holder)

    def digest(self) -> bytes:
        """H("graph", "complete", ids)."""
        return _sha256(b"graph" + b"complete" + _ids(self.ids))


@dataclass(frozen=True)
class Harary:
    """Bell et al., CCS 2020. A client keeps no share of its own secrets."""

    ids: list[int]
    k: int
    seed: bytes

    def ring(self) -> list[int]:
        """The ids, shuffled from the last place to the second."""
        ring, drawn = sorted(self.ids), 0
        for last in range(len(ring) - 1, 0, -1):
            pick = last + 1
            while pick > last:
                pick = self._word(drawn) % 2 ** last.bit_length()
                drawn += 1
            ring[last], ring[pick] = ring[pick], ring[last]
        return ring

    def _word(self, i: int) -> int:
        block = _sha256(b"ring" + self.seed + (i // 8).to_bytes(8, "little"))
        return int.from_bytes(block[i % 8 * 4 : i % 8 * 4 + 4], "little")

    def neighbors(self, u: int) -> list[int]:
        """The k/2 next on the ring, and the k/2 before."""
        ring = self.ring()
        at = ring.index(u)
        return sorted(
            ring[(at + sign * step) % len(ring)]
            for sign in (-1, 1)
            for step in range(1, self.k // 2 + 1)
        )

    def holders(self, u: int) -> list[int]:
        """The neighbors."""
        return self.neighbors(u)

    def x(self, owner: int, holder: int) -> int:
        """The abscissa of a holder's shares."""
        return 1 + self.holders(owner).index(holder)

    def digest(self) -> bytes:
        """H("graph", "harary", k, seed, ids)."""
        return _sha256(
            b"graph" + b"harary" + self.k.to_bytes(4, "little") + self.seed + _ids(self.ids)
        )


Graph = Complete | Harary


def _ids(ids: list[int]) -> bytes:
    return b"".join(u.to_bytes(4, "little") for u in sorted(ids))


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(b"fedsecure/v1/" + data).digest()

"""Which thresholds a k-regular graph allows, for one roster and for all that a session allows.

A session fixes k and t when it is made, for the n clients that are invited; the graph is drawn over
those that answered its first stage. Every roster of m clients, n - D <= m <= n, may come of that,
with all A corrupt clients in it and D - (n - m) dropouts still ahead. What can go wrong is worst at
one of the two ends, with X ~ Hypergeometric(population, marked, drawn):

- Exposure, ``m P[X(m, A, k) >= y]``, at m = n - D. From m to m + 1 each term ``m P[X = x]`` is
  multiplied by (m + 1 - A)(m + 1 - k) / (m (m + 1 - A - k + x)), which is at most 1 if and only if
  (A - 1)(k - 1) <= m (x - 1). If that holds for y at n - D, it holds for all larger x and m, and
  the sum falls with m. If it does not, y <= ceil(k A / m) there, which some client reaches on every
  ring, so that the bound is 1 or more and y is no choice at all.
- Splitting, ``m (m - k - 1) / 2 * C(A + D - (n - m), k) / C(m, k)``, at m = n: every factor rises
  with m, as removed clients over all clients does when both are one more.
- Loss, ``m P[X(m, D - (n - m), k) > k - t]``, at m = n: a sample never has fewer marked clients if
  one more marked client is there to be drawn.

These probabilities hold over the drawing of the graph, for corrupt clients and dropouts that do not
depend on it.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from fedsecure.primitives._hypergeometric import TailWalk, pair_ratio

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fedsecure.primitives._assumptions import Counts

__all__ = ["LEAST_THRESHOLD", "MOST_LOST", "Window", "smallest", "window", "windows"]

LEAST_THRESHOLD = 3
"""What a session uses at least. Two shares would make every pair of neighbors a quorum."""

MOST_LOST = 0.9
"""Beyond this sum of fractions no threshold fits between what may leak and what will arrive."""


class Window(NamedTuple):
    """The thresholds a degree allows.

    Attributes:
        neighbors: k.
        connected: Whether the honest survivors hang together, whatever the threshold.
        least: The least t at which no client's corrupt neighbors can unmask it.
        most: The largest t that every client's surviving neighbors reach; below `least` if none
            will do.
    """

    neighbors: int
    connected: bool
    least: int
    most: int


def windows(counts: Counts, roster: int, sigma: int, eta: int, *, lying: bool) -> Iterator[Window]:
    """Yields what k = 2, 4, 6, ... allow, up to the largest k that is no complete graph.

    Args:
        counts: Corrupt clients and dropouts; each at most nine tenths of those they are among.
        roster: The least number of clients the graph is drawn over, at most n.
        sigma: Bits of privacy.
        eta: Bits of correctness.
        lying: Whether the server may tell clients different things about one another.
    """
    n = counts.clients
    removed = counts.corrupt + counts.dropouts
    # Half of what may fail is for unmasking a client, half for splitting the graph.
    limit = math.ldexp(1.0, -(sigma + 1))
    corrupt = TailWalk(roster, counts.corrupt, limit / roster)
    dropped = TailWalk(n, n - counts.survivors, math.ldexp(1.0, -eta) / n)
    chance = 1.0
    for k in range(2, min(n - 1, roster), 2):
        chance *= pair_ratio(n, removed, k)
        for walk in (corrupt, dropped):
            walk.draw()
            walk.draw()
        # The published rule is ceil((x + k - 1.25) / 2): the least t - 1 with 2t - k > x.
        leak = (corrupt.x + k) // 2 if lying else corrupt.x
        yield Window(k, n * (n - k - 1) / 2 * chance < limit, leak + 1, k - dropped.x)


@lru_cache(maxsize=256)  # in one process every client of a session asks the same
def smallest(counts: Counts, sigma: int, eta: int, *, lying: bool) -> tuple[int, int] | None:
    """Returns the first (k, t) that is safe for every roster, t at least 3; None if there is none.

    Args:
        counts: As `fedsecure.primitives._assumptions.plan` counts them.
        sigma: Bits of privacy.
        eta: Bits of correctness.
        lying: Whether the server may tell clients different things about one another.
    """
    if hopeless(counts, lying=lying):
        return None
    for found in windows(counts, counts.survivors, sigma, eta, lying=lying):
        threshold = max(found.least, LEAST_THRESHOLD)
        if found.connected and threshold <= found.most:
            return found.neighbors, threshold
    return None


@lru_cache(maxsize=256)
def window(counts: Counts, neighbors: int, sigma: int, eta: int, *, lying: bool) -> Window | None:
    """Returns what one k allows for every roster; None if no walk gets there.

    Args:
        counts: As `fedsecure.primitives._assumptions.plan` counts them.
        neighbors: k, even.
        sigma: Bits of privacy.
        eta: Bits of correctness.
        lying: Whether the server may tell clients different things about one another.
    """
    if counts.corrupt + counts.dropouts > MOST_LOST * counts.clients:
        return None
    found = windows(counts, counts.survivors, sigma, eta, lying=lying)
    return next((one for one in found if one.neighbors == neighbors), None)


def hopeless(counts: Counts, *, lying: bool) -> bool:
    """Returns whether the expected numbers alone, with a margin, leave no room for a threshold."""
    if counts.corrupt + counts.dropouts > MOST_LOST * counts.clients:
        return True
    lost = counts.dropouts * (2 if lying else 1) / counts.clients
    return counts.corrupt / counts.survivors + lost > MOST_LOST

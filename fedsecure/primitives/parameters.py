"""How many neighbors and which threshold a masking session needs, and what they are good for.

With k-regular graphs a client deals with k others instead of all (SecAgg+: Bell, Bonawitz, Gascon,
Lepoint, Raykova, "Secure Single-Server Aggregation with (Poly)Logarithmic Overhead", CCS 2020). The
graph is random, so its guarantees hold but for a probability, which `choose_parameters` makes small
enough. It finds the same numbers as the reference implementation by that paper's authors,
``fcp/secagg/server/graph_parameter_finder.cc`` in google-parfait/federated-compute.
"""

from __future__ import annotations

import contextlib
import math
from functools import lru_cache
from typing import Literal, NamedTuple

from fedsecure.errors import ThresholdError
from fedsecure.primitives import _assumptions
from fedsecure.primitives._assumptions import MAX_CLIENTS, Adversary, Counts
from fedsecure.primitives._hypergeometric import TailWalk, pair_ratio

__all__ = [
    "COMPLETE_UP_TO",
    "Adversary",
    "Parameters",
    "choose_parameters",
    "complete_threshold",
    "policy_parameters",
]

COMPLETE_UP_TO = 64
"""Up to so many clients the graph is complete: it is cheap there, and leaves nothing to chance."""

# Beyond this sum of fractions no threshold fits between what may leak and what will arrive.
_MOST = 0.9


class Parameters(NamedTuple):
    """The shape of a masking session.

    Attributes:
        neighbors: k, how many others each client masks against and sends shares to.
        threshold: t, how many shares give a client's secret back.
    """

    neighbors: int
    threshold: int


def choose_parameters(
    num_clients: int,
    corrupt: float,
    dropout: float,
    *,
    sigma: int = 40,
    eta: int = 20,
    adversary: Literal["semi_honest", "semi_malicious"] = "semi_honest",
) -> Parameters:
    """Returns the smallest degree k of a random k-regular graph that is safe, and its threshold t.

    Of ``num_clients`` clients, a fraction ``corrupt`` colludes with the server and a fraction
    ``dropout`` drops out, whoever they are, as long as the graph is drawn independently of them.
    Except with probability ``2**-sigma``, no client has enough corrupt neighbors to unmask it, and
    the honest survivors hang together; except with probability ``2**-eta``, every client keeps t
    neighbors.

    For ``"semi_malicious"``, t is so high that the shares of the k neighbors never give both
    secrets of one client, even if they are told different things about it. They are all that is
    counted: a client that gave its share of its own secret as well would tip the balance, so the
    parties of such a session must keep it.

    `PairwiseMasking` uses the complete graph in this version, so the result is for planning.

    This is the bare calculation, safe if the fractions are true: of ten clients, 5 % are none.
    `policy_parameters` is what a session should use.

    Args:
        num_clients: n, 1..1,000,000.
        corrupt: Largest fraction of clients that collude with the server, 0 <= corrupt < 1.
        dropout: Largest fraction of clients that drop out, 0 <= dropout < 1.
        sigma: Bits of privacy, 1..256.
        eta: Bits of correctness, 1..256.
        adversary: Whether the server follows the protocol, or may lie about who dropped out.

    Raises:
        ThresholdError: No k-regular graph of so many clients will do.
        LocalProtocolError: An argument is of the wrong type or out of range.
    """
    _assumptions.check_numbers(num_clients, corrupt, dropout)
    _assumptions.check_bits(sigma, eta)
    _assumptions.check_adversary(adversary, regular=True)
    lying = adversary == "semi_malicious"
    if corrupt + (2 * dropout if lying else dropout) > _MOST:
        raise ThresholdError(
            f"corrupt {corrupt} and {'twice ' if lying else ''}dropout {dropout} are more than "
            f"{_MOST} together: for a {adversary} server no threshold fits between the shares that "
            "may leak and those that will arrive; plan for fewer corrupt clients or dropouts"
        )
    found = _smallest(_assumptions.count(num_clients, corrupt, dropout), sigma, eta, lying=lying)
    if found is None:
        raise ThresholdError(
            f"no k-regular graph of {num_clients} clients withstands corrupt {corrupt} and dropout "
            f"{dropout} with sigma {sigma} and eta {eta} for a {adversary} server; use the "
            "complete graph, invite more clients, or plan for fewer corrupt clients or dropouts"
        )
    return found


def policy_parameters(
    num_clients: int,
    corrupt: float,
    dropout: float,
    *,
    sigma: int = 40,
    eta: int = 20,
    adversary: Adversary = "semi_honest",
    min_honest: int = 2,
) -> Parameters:
    """Returns what a session should use: `choose_parameters` with the caution it leaves out.

    - At least one client colludes, however small the fraction.
    - Up to 64 clients, against a malicious server, and where no k-regular graph will do, the graph
      is complete (k = n - 1) and the threshold is that of `complete_threshold`. There a client's
      share of its own secret is counted, and needed.
    - At least ``min_honest`` honest clients are in a sum. In the complete graph t sees to it; in
      a k-regular one it follows from the fractions, and the session has to count survivors.

    Args:
        num_clients: n, 1..1,000,000; fewer than 3 are refused.
        corrupt: Largest fraction of clients that collude with the server, 0 <= corrupt < 1.
        dropout: Largest fraction of clients that drop out, 0 <= dropout < 1.
        sigma: Bits of privacy, 1..256. Plays no part in the complete graph.
        eta: Bits of correctness, 1..256. Plays no part in the complete graph.
        adversary: What the server may do.
        min_honest: Least number of honest clients in a sum that is released, at least 2.

    Raises:
        ThresholdError: Too few clients for so many corrupt ones and dropouts.
        LocalProtocolError: An argument is of the wrong type or out of range.
    """
    _assumptions.check_numbers(num_clients, corrupt, dropout)
    _assumptions.check_bits(sigma, eta)
    _assumptions.check_adversary(adversary, regular=False)
    _assumptions.check_whole("min_honest", min_honest, 2, MAX_CLIENTS)
    corrupt = max(corrupt, 1 / num_clients)
    counts = _assumptions.count(num_clients, corrupt, dropout)
    if (
        num_clients > COMPLETE_UP_TO
        and adversary != "malicious"
        and counts.survivors - counts.corrupt >= min_honest
    ):
        with contextlib.suppress(ThresholdError):
            return choose_parameters(
                num_clients, corrupt, dropout, sigma=sigma, eta=eta, adversary=adversary
            )
    threshold = complete_threshold(num_clients, counts.corrupt, counts.dropouts, min_honest)
    return Parameters(num_clients - 1, threshold)


def complete_threshold(num_clients: int, corrupt: int, dropouts: int, min_honest: int = 2) -> int:
    """Returns the threshold of the complete graph: ``floor((n + c) / 2) + 1``.

    It is the least t with 2t > n + c: two groups of t clients, told different things, have an
    honest client in common, which answers once. A sum that is released then holds the updates of
    t - c honest clients or more.
    Source: Bonawitz et al. (CCS 2017), section 6, with c corrupt clients instead of n/3.

    Args:
        num_clients: n, at least 1.
        corrupt: c, how many clients may collude with the server, 0..n.
        dropouts: How many clients may drop out, 0..n.
        min_honest: Least number of honest clients in a sum that is released, at least 2.

    Raises:
        ThresholdError: t would be more than the clients that stay, or t - c below ``min_honest``.
        LocalProtocolError: An argument is of the wrong type or out of range.
    """
    _assumptions.check_whole("num_clients", num_clients, 1, MAX_CLIENTS)
    _assumptions.check_whole("corrupt", corrupt, 0, num_clients)
    _assumptions.check_whole("dropouts", dropouts, 0, num_clients)
    _assumptions.check_whole("min_honest", min_honest, 2, MAX_CLIENTS)
    threshold = (num_clients + corrupt) // 2 + 1
    if threshold - corrupt < min_honest:
        raise ThresholdError(
            f"{num_clients} clients of which {corrupt} collude with the server are too few: a sum "
            f"of {threshold} could hold the updates of only {max(threshold - corrupt, 0)} honest "
            f"ones, fewer than {min_honest}; invite more clients"
        )
    if threshold > num_clients - dropouts:
        raise ThresholdError(
            f"the threshold of the complete graph for {num_clients} clients, {corrupt} of them "
            f"corrupt, is {threshold}: more than are left after {dropouts} dropouts; invite more "
            "clients, or plan for fewer corrupt clients or dropouts"
        )
    return threshold


@lru_cache(maxsize=256)  # in one process every client of a session asks the same
def _smallest(counts: Counts, sigma: int, eta: int, *, lying: bool) -> Parameters | None:
    """Returns the first (k, t) that meets all conditions, or None."""
    n = counts.clients
    removed = counts.corrupt + counts.dropouts
    # Half of what may fail is for unmasking a client, half for splitting the graph.
    limit = math.ldexp(1.0, -(sigma + 1))
    corrupt = TailWalk(n, counts.corrupt, limit / n)
    dropped = TailWalk(n, n - counts.survivors, math.ldexp(1.0, -eta) / n)
    chance = 1.0
    for k in range(2, n - 1, 2):
        chance *= pair_ratio(n, removed, k)
        for walk in (corrupt, dropped):
            walk.draw()
            walk.draw()
        if n * (n - k - 1) / 2 * chance >= limit:
            continue
        # The published rule is ceil((x + k - 1.25) / 2): the least t - 1 with 2t - k > x.
        may_leak = (corrupt.x + k) // 2 if lying else corrupt.x
        will_arrive = k - dropped.x
        if may_leak < will_arrive:
            return Parameters(k, max(may_leak + 1, 2))
    return None

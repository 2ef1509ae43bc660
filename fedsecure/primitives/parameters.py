"""How many neighbors and which threshold a masking session needs, and what they are good for.

With k-regular graphs a client deals with k others instead of all (SecAgg+: Bell, Bonawitz, Gascon,
Lepoint, Raykova, "Secure Single-Server Aggregation with (Poly)Logarithmic Overhead", CCS 2020). The
graph is random, so its guarantees hold but for a probability, which `choose_parameters` makes small
enough. It finds the same numbers as the reference implementation by that paper's authors,
``fcp/secagg/server/graph_parameter_finder.cc`` in google-parfait/federated-compute.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, NamedTuple

from fedsecure.errors import ThresholdError
from fedsecure.primitives import _assumptions, _regular
from fedsecure.primitives._assumptions import MAX_CLIENTS, Adversary, Counts

__all__ = [
    "COMPLETE_UP_TO",
    "Adversary",
    "Parameters",
    "Shape",
    "check_regular",
    "choose_parameters",
    "complete_threshold",
    "policy_parameters",
    "regular_threshold",
]

COMPLETE_UP_TO = 64
"""Up to so many clients the graph is complete: it is cheap there, and leaves nothing to chance."""

_MIN_HONEST = 2


class Parameters(NamedTuple):
    """Degree and threshold of one graph.

    Attributes:
        neighbors: k, how many others each client masks against and sends shares to.
        threshold: t, how many shares give a client's secret back.
    """

    neighbors: int
    threshold: int


class Shape(NamedTuple):
    """The shape of a masking session.

    Attributes:
        neighbors: k, how many others each client masks against and sends shares to; n - 1 stands
            for the complete graph.
        threshold: t, how many shares give a client's secret back.
        survivors: The least number of clients at every stage, and in the sum. In the complete graph
            that is t; in a k-regular one, all but the dropouts.
    """

    neighbors: int
    threshold: int
    survivors: int


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

    This is the bare calculation, for a graph over exactly these n clients and safe if the fractions
    are true: of ten clients, 5 % are none. `policy_parameters` is what a session should use.

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
    if corrupt + (2 * dropout if lying else dropout) > _regular.MOST_LOST:
        raise ThresholdError(
            f"corrupt {corrupt} and {'twice ' if lying else ''}dropout {dropout} are more than "
            f"{_regular.MOST_LOST} together: for a {adversary} server no threshold fits between "
            "the shares that may leak and those that will arrive; plan for fewer corrupt clients "
            "or dropouts"
        )
    counts = _assumptions.count(num_clients, corrupt, dropout)
    found = _published(counts, sigma, eta, lying=lying)
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
    min_honest: int = _MIN_HONEST,
) -> Shape:
    """Returns what a session should use: `choose_parameters` with the caution it leaves out.

    - k and t are fixed for the n clients that are invited, but the graph is drawn over those that
      answer. The bounds hold for every such roster of n - D clients or more, D being the dropouts,
      with all corrupt clients in it. No session goes on with fewer.
    - At least one client colludes, however small the fraction, and t is at least 3.
    - Up to 64 clients, against a malicious server, and where no k-regular graph will do, the graph
      is complete (k = n - 1) and the threshold is that of `complete_threshold`. There a client's
      share of its own secret is counted, and needed.
    - At least ``min_honest`` honest clients are in a sum, if all clients are told of the same
      dropouts. In the complete graph t sees to it; in a k-regular one n - D does.

    Against a semi-malicious server what is bounded is that it gets both secrets of one client. If
    it tells each client of other dropouts, it may still learn the sums of small groups, even a
    single update; only what withstands a malicious server rules that out.

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
    case = _Case(_assumptions.plan(num_clients, corrupt, dropout), sigma, eta, adversary)
    return _policy(case, min_honest)


def regular_threshold(
    num_clients: int,
    neighbors: int,
    corrupt: float,
    dropout: float,
    *,
    sigma: int = 40,
    eta: int = 20,
    adversary: Literal["semi_honest", "semi_malicious"] = "semi_honest",
) -> int:
    """Returns the least threshold that is safe with k neighbors, at least 3.

    Safe is meant as in `policy_parameters`: for every roster of n - D clients or more.

    Args:
        num_clients: n, 4..1,000,000.
        neighbors: k, even, 2..n - 2.
        corrupt: Largest fraction of clients that collude with the server, 0 <= corrupt < 1.
        dropout: Largest fraction of clients that drop out, 0 <= dropout < 1.
        sigma: Bits of privacy, 1..256.
        eta: Bits of correctness, 1..256.
        adversary: Whether the server follows the protocol, or may lie about who dropped out.

    Raises:
        ThresholdError: k is too small, or more than a roster has; or no threshold fits between the
            shares that may leak and those that will arrive.
        LocalProtocolError: An argument is of the wrong type or out of range.
    """
    case = _case(
        num_clients, neighbors, corrupt, dropout, sigma=sigma, eta=eta, adversary=adversary
    )
    return _allowed(case, neighbors).least


def check_regular(
    num_clients: int,
    neighbors: int,
    threshold: int,
    corrupt: float,
    dropout: float,
    *,
    sigma: int = 40,
    eta: int = 20,
    adversary: Literal["semi_honest", "semi_malicious"] = "semi_honest",
) -> Shape:
    """Returns the shape of a k-regular session if k and t are safe in it.

    Safe is meant as in `policy_parameters`: for every roster of n - D clients or more.

    Args:
        num_clients: n, 4..1,000,000.
        neighbors: k, even, 2..n - 2.
        threshold: t, 1..k.
        corrupt: Largest fraction of clients that collude with the server, 0 <= corrupt < 1.
        dropout: Largest fraction of clients that drop out, 0 <= dropout < 1.
        sigma: Bits of privacy, 1..256.
        eta: Bits of correctness, 1..256.
        adversary: Whether the server follows the protocol, or may lie about who dropped out.

    Raises:
        ThresholdError: As `regular_threshold`; or t is too low for privacy, or so high that
            dropouts may leave somebody fewer neighbors.
        LocalProtocolError: An argument is of the wrong type or out of range.
    """
    case = _case(
        num_clients, neighbors, corrupt, dropout, sigma=sigma, eta=eta, adversary=adversary
    )
    _assumptions.check_whole("threshold", threshold, 1, neighbors)
    allowed = _allowed(case, neighbors)
    if threshold < allowed.least:
        raise ThresholdError(
            f"threshold {threshold} is too low for {neighbors} neighbors of {num_clients} clients "
            f"and a {adversary} server: {case.counts.corrupt} corrupt ones could unmask somebody "
            f"more often than sigma {sigma} allows; use {allowed.least} to {allowed.most}"
        )
    if threshold > allowed.most:
        raise ThresholdError(
            f"threshold {threshold} is too high for {neighbors} neighbors of {num_clients} clients:"
            f" {case.counts.dropouts} dropouts could leave somebody fewer neighbors more often than"
            f" eta {eta} allows; use {allowed.least} to {allowed.most}"
        )
    return Shape(neighbors, threshold, case.counts.survivors)


def complete_threshold(num_clients: int, corrupt: int, dropouts: int, min_honest: int = 2) -> int:
    """Returns the threshold of the complete graph: ``floor((n + c) / 2) + 1``.

    It is the least t with 2t > n + c: two groups of t clients, told different things, have an
    honest client in common, which answers once. If all are told the same, as the consistency check
    against a malicious server makes sure, a sum that is released holds the updates of t - c honest
    clients or more.
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


class _Case(NamedTuple):
    """What a session has to withstand, and how surely."""

    counts: Counts
    sigma: int
    eta: int
    adversary: str

    @property
    def lying(self) -> bool:
        return self.adversary == "semi_malicious"


def _case(
    num_clients: int,
    neighbors: int,
    corrupt: float,
    dropout: float,
    *,
    sigma: int,
    eta: int,
    adversary: str,
) -> _Case:
    """Returns what a given k-regular graph has to withstand, its arguments checked."""
    _assumptions.check_numbers(num_clients, corrupt, dropout)
    _assumptions.check_bits(sigma, eta)
    _assumptions.check_adversary(adversary, regular=True)
    _assumptions.check_degree(neighbors, num_clients)
    return _Case(_assumptions.plan(num_clients, corrupt, dropout), sigma, eta, adversary)


def _policy(case: _Case, min_honest: int) -> Shape:
    counts = case.counts
    if (
        counts.clients > COMPLETE_UP_TO
        and case.adversary != "malicious"
        and counts.survivors - counts.corrupt >= min_honest
    ):
        found = _regular.smallest(counts, case.sigma, case.eta, lying=case.lying)
        if found is not None:
            return Shape(*found, counts.survivors)
    threshold = complete_threshold(counts.clients, counts.corrupt, counts.dropouts, min_honest)
    return Shape(counts.clients - 1, threshold, threshold)


def _allowed(case: _Case, neighbors: int) -> _regular.Window:
    """Returns the safe thresholds of one k, from 3, or raises `ThresholdError` if there is none."""
    n, corrupt, dropouts, survivors = case.counts
    found = _regular.window(case.counts, neighbors, case.sigma, case.eta, lying=case.lying)
    least = max(found.least, _regular.LEAST_THRESHOLD) if found else 0
    if neighbors >= survivors:
        reason = f"{dropouts} dropouts may leave {survivors} clients, too few for so many neighbors"
    elif found is None or survivors - corrupt < _MIN_HONEST:
        reason = f"{corrupt} corrupt clients and {dropouts} dropouts are too many"
    elif not found.connected:
        reason = (
            f"without {corrupt} corrupt clients and {dropouts} dropouts the others could fall into "
            f"groups without a mask in common more often than sigma {case.sigma} allows"
        )
    elif least > found.most:
        reason = (
            f"no threshold fits: the shares of corrupt neighbors may suffice below {least}, those "
            f"that arrive may not above {found.most} (sigma {case.sigma}, eta {case.eta})"
        )
    else:
        return found._replace(least=least)
    raise ThresholdError(
        f"{neighbors} neighbors of {n} clients will not do for a {case.adversary} server: "
        f"{reason}; {_remedy(case)}"
    )


def _remedy(case: _Case) -> str:
    try:
        shape = _policy(case, _MIN_HONEST)
    except ThresholdError:
        return "invite more clients, or plan for fewer corrupt clients or dropouts"
    graph = "the complete graph, " if shape.neighbors == case.counts.clients - 1 else ""
    return f"use {graph}{shape.neighbors} neighbors with threshold {shape.threshold}"


@lru_cache(maxsize=256)
def _published(counts: Counts, sigma: int, eta: int, *, lying: bool) -> Parameters | None:
    """Returns the first (k, t) that meets the published conditions, or None."""
    for found in _regular.windows(counts, counts.clients, sigma, eta, lying=lying):
        # The reference compares before it raises t to 2.
        if found.connected and found.least <= found.most:
            return Parameters(found.neighbors, max(found.least, 2))
    return None

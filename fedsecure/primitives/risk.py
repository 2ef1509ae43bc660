"""How likely parameters of a masking session fail, and what they mean in words.

The bounds are those that `policy_parameters` keeps small, for parameters from anywhere: chosen
there, or by somebody else. A session draws its graph over the clients that answer its first stage;
what is bounded is the worst of all rosters it allows, see `fedsecure.primitives._regular`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from fedsecure.errors import LocalProtocolError
from fedsecure.primitives import _assumptions
from fedsecure.primitives._assumptions import Adversary, Counts
from fedsecure.primitives._hypergeometric import pair_ratio, tail
from fedsecure.primitives.parameters import Parameters, Shape

__all__ = ["Risks", "explain", "risks"]


class Risks(NamedTuple):
    """Bounds on the probability that a choice of parameters fails; see `risks`.

    Attributes:
        exposed: Some client has enough colluding neighbors to be unmasked.
        divided: The honest survivors fall apart into groups without a mask in common, so that the
            server learns the sum of each group.
        lost: Some client keeps fewer neighbors than the threshold, or too few clients are left,
            and there is no result.
    """

    exposed: float
    divided: float
    lost: float


def risks(
    parameters: Parameters | Shape,
    num_clients: int,
    corrupt: float,
    dropout: float,
    *,
    adversary: Adversary = "semi_honest",
) -> Risks:
    """Returns how probable it is at most that parameters, wherever they come from, fail.

    In a k-regular graph the bounds are the expected number of clients that are unlucky, for the
    worst roster of `survivors` or more that invited clients can form. In the complete graph there
    is no chance: each bound is 0 or 1.

    Args:
        parameters: (k, t) or (k, t, survivors); k is n - 1 for the complete graph, or else even.
            By default, survivors is t in the complete graph, and all but the dropouts in another.
        num_clients: n, how many are invited, 1..1,000,000.
        corrupt: Largest fraction of clients that collude with the server, 0 <= corrupt < 1.
        dropout: Largest fraction of clients that drop out, 0 <= dropout < 1.
        adversary: What the server may do. Only the complete graph withstands a malicious one.

    Raises:
        LocalProtocolError: An argument is of the wrong type or out of range.
    """
    return _judged(parameters, num_clients, corrupt, dropout, adversary).risks


def explain(
    parameters: Parameters | Shape,
    num_clients: int,
    corrupt: float,
    dropout: float,
    *,
    sigma: int = 40,
    eta: int = 20,
    adversary: Adversary = "semi_honest",
) -> str:
    """Returns in plain words what k, t and survivors mean and how rarely they fail, several lines.

    Args:
        parameters: The choice to explain, see `risks`.
        num_clients: n, how many are invited, 1..1,000,000.
        corrupt: Largest fraction of clients that collude with the server, 0 <= corrupt < 1.
        dropout: Largest fraction of clients that drop out, 0 <= dropout < 1.
        sigma: Bits of privacy that were asked for, 1..256.
        eta: Bits of correctness that were asked for, 1..256.
        adversary: What the server may do.

    Raises:
        LocalProtocolError: An argument is of the wrong type or out of range.
    """
    _assumptions.check_bits(sigma, eta)
    case = _judged(parameters, num_clients, corrupt, dropout, adversary)
    counts, exposing, risk, t = case.counts, case.exposing, case.risks, parameters.threshold
    honest = max(case.survivors - counts.corrupt, 0)
    others = "all others"
    too_few = f"fewer than {case.survivors} clients are left"
    if not case.complete:
        others = f"{parameters.neighbors} others, drawn at random from those that answer"
        too_few = f"somebody keeps fewer than {t} neighbors, or {too_few}"
    lied_to = "" if adversary == "semi_honest" else ", enough if the rest is lied to"
    lines = [
        f"{num_clients} clients, {adversary.replace('_', '-')} server",
        f"  {counts.corrupt} clients at most collude with it, {counts.dropouts} at most drop out",
        f"neighbors {parameters.neighbors}",
        f"  each client masks against, and sends shares of its secrets to, {others}",
        f"threshold {t}",
        f"  {t} shares give a secret back, fewer say nothing about it",
        f"survivors {case.survivors}",
        "  the least number of clients at every stage, and in the sum; with fewer there is none",
        f"  so the updates of {honest} honest clients or more are in it",
        f"privacy fails: {_power(risk.exposed + risk.divided)} (asked for: 2^-{sigma})",
        f"  {_power(risk.exposed)}: somebody has {exposing} colluding neighbors or more{lied_to}",
        f"  {_power(risk.divided)}: the honest survivors fall into groups that share no masks",
        f"no result: {_power(risk.lost)} (asked for: 2^-{eta})",
        f"  when {too_few}; nothing is revealed then",
    ]
    return "\n".join([*lines, *_caveats(case, adversary)])


def _caveats(case: _Judged, adversary: str) -> list[str]:
    """Returns under which conditions the bounds hold, in lines."""
    lines = []
    if not case.complete:
        lines += [
            f"all this for the worst of {case.survivors} to {case.counts.clients} that may answer,",
            "  if who colludes and who drops out does not depend on how the graph was drawn",
        ]
    if adversary == "semi_malicious":
        lines += [
            "not covered: a server that tells each client of other dropouts; from the answers it",
            "  may learn the sum of a small group, even a single update: plan for a malicious one",
        ]
    return lines


class _Judged(NamedTuple):
    """A choice, with what was found about it."""

    counts: Counts
    complete: bool
    survivors: int
    exposing: int
    risks: Risks


def _judged(
    parameters: Parameters | Shape, num_clients: int, corrupt: float, dropout: float, adversary: str
) -> _Judged:
    _assumptions.check_numbers(num_clients, corrupt, dropout)
    k, t = parameters.neighbors, parameters.threshold
    complete = k == num_clients - 1
    _assumptions.check_adversary(adversary, regular=not complete)
    _assumptions.check_whole("neighbors", k, 1, num_clients - 1)
    _assumptions.check_whole("threshold", t, 1, num_clients if complete else k)
    if k % 2 and not complete:
        raise LocalProtocolError(f"neighbors is {k}; use an even number, or {num_clients - 1}")
    counts = _assumptions.count(num_clients, corrupt, dropout)
    # A graph needs more clients than each has neighbors.
    least = t if complete else k + 1
    survivors = least if complete else max(num_clients - counts.dropouts, least)
    if isinstance(parameters, Shape):
        survivors = parameters.survivors
        _assumptions.check_whole("survivors", survivors, least, num_clients)
    exposing = _exposing(k, t, num_clients, adversary)
    if complete:
        # Judged by the full roster: of a smaller one, 2t are more of the shares there are.
        found = Risks(
            exposed=float(counts.corrupt >= exposing),
            divided=0.0,
            lost=float(num_clients - counts.dropouts < survivors),
        )
    else:
        found = _regular_risks(k, t, counts, survivors, exposing)
    return _Judged(counts, complete, survivors, exposing, found)


def _exposing(neighbors: int, threshold: int, num_clients: int, adversary: str) -> int:
    """Returns how many colluders among its neighbors suffice to unmask a client."""
    if adversary == "semi_honest":
        return threshold
    # Colluders give both kinds of share, the others one each: k + c shares, of which 2t unmask. In
    # the complete graph the client's own share is one more.
    holders = num_clients if neighbors == num_clients - 1 else neighbors
    return max(min(threshold, 2 * threshold - holders), 0)


def _regular_risks(
    neighbors: int, threshold: int, counts: Counts, survivors: int, exposing: int
) -> Risks:
    """Judges each risk by the roster that is worst for it."""
    n = counts.clients
    corrupt = min(counts.corrupt, survivors)
    exposed = survivors * tail(survivors, corrupt, neighbors, exposing - 1)
    removed = min(counts.corrupt + n - survivors, n)
    lost = n * tail(n, counts.dropouts, neighbors, neighbors - threshold)
    return Risks(
        exposed=min(1.0, exposed),
        divided=min(1.0, _gap_bound(n, removed, neighbors)),
        lost=1.0 if n - counts.dropouts < survivors else min(1.0, lost),
    )


def _power(probability: float) -> str:
    """Returns the probability in words, as a power of two that is not below it."""
    if probability <= 0:
        return "never"
    tenths = math.floor(-10 * math.log2(min(probability, 1.0)))
    return f"2^-{tenths / 10:.1f} at most" if tenths else "possible"


def _gap_bound(clients: int, removed: int, neighbors: int) -> float:
    """Bounds the probability that the ring falls apart when random clients are removed.

    It does if k/2 clients in a row are removed at each of two places. The bound is the sum over all
    pairs of places; each has the same probability, ``C(removed, k) / C(clients, k)``.
    """
    chance = math.prod(pair_ratio(clients, removed, k) for k in range(2, neighbors + 1, 2))
    return clients * (clients - neighbors - 1) / 2 * chance

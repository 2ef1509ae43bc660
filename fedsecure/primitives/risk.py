"""How likely parameters of a masking session fail, and what they mean in words.

The bounds are those that `fedsecure.primitives.parameters` keeps small, for parameters from
anywhere: chosen there, or by somebody else.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from fedsecure.errors import LocalProtocolError
from fedsecure.primitives import _assumptions
from fedsecure.primitives._assumptions import Adversary
from fedsecure.primitives._hypergeometric import pair_ratio, tail

if TYPE_CHECKING:
    from fedsecure.primitives.parameters import Parameters

__all__ = ["Risks", "explain", "risks"]


class Risks(NamedTuple):
    """Bounds on the probability that a choice of parameters fails; see `risks`.

    Attributes:
        exposed: Some client has enough colluding neighbors to be unmasked.
        divided: The honest survivors fall apart into groups without a mask in common, so that the
            server learns the sum of each group.
        lost: Some client keeps fewer neighbors than the threshold, and there is no result.
    """

    exposed: float
    divided: float
    lost: float


def risks(
    parameters: Parameters,
    num_clients: int,
    corrupt: float,
    dropout: float,
    *,
    adversary: Adversary = "semi_honest",
) -> Risks:
    """Returns how probable it is at most that parameters, wherever they come from, fail.

    In a k-regular graph the bounds are the expected number of clients that are unlucky. In the
    complete graph there is no chance: each bound is 0 or 1.

    Args:
        parameters: (k, t); k is n - 1 for the complete graph, or else even.
        num_clients: n, 1..1,000,000.
        corrupt: Largest fraction of clients that collude with the server, 0 <= corrupt < 1.
        dropout: Largest fraction of clients that drop out, 0 <= dropout < 1.
        adversary: What the server may do. Only the complete graph withstands a malicious one.

    Raises:
        LocalProtocolError: An argument is of the wrong type or out of range.
    """
    _assumptions.check_numbers(num_clients, corrupt, dropout)
    k, t = parameters
    complete = k == num_clients - 1
    _assumptions.check_adversary(adversary, regular=not complete)
    _assumptions.check_whole("neighbors", k, 1, num_clients - 1)
    _assumptions.check_whole("threshold", t, 1, k + 1)
    if k % 2 and not complete:
        raise LocalProtocolError(f"neighbors is {k}; use an even number, or {num_clients - 1}")
    counts = _assumptions.count(num_clients, corrupt, dropout)
    exposing = _exposing(parameters, num_clients, adversary)
    if complete:
        return Risks(
            exposed=float(counts.corrupt >= exposing),
            divided=0.0,
            lost=float(num_clients - counts.dropouts < t),
        )
    lost = tail(num_clients, num_clients - counts.survivors, k, k - t)
    return Risks(
        exposed=min(1.0, num_clients * tail(num_clients, counts.corrupt, k, exposing - 1)),
        divided=min(1.0, _gap_bound(num_clients, counts.corrupt + counts.dropouts, k)),
        lost=min(1.0, num_clients * lost),
    )


def explain(
    parameters: Parameters,
    num_clients: int,
    corrupt: float,
    dropout: float,
    *,
    sigma: int = 40,
    eta: int = 20,
    adversary: Adversary = "semi_honest",
) -> str:
    """Returns in plain words what k and t mean and how rarely they fail, several lines.

    Args:
        parameters: The choice to explain, see `risks`.
        num_clients: n, 1..1,000,000.
        corrupt: Largest fraction of clients that collude with the server, 0 <= corrupt < 1.
        dropout: Largest fraction of clients that drop out, 0 <= dropout < 1.
        sigma: Bits of privacy that were asked for, 1..256.
        eta: Bits of correctness that were asked for, 1..256.
        adversary: What the server may do.

    Raises:
        LocalProtocolError: An argument is of the wrong type or out of range.
    """
    _assumptions.check_bits(sigma, eta)
    risk = risks(parameters, num_clients, corrupt, dropout, adversary=adversary)
    counts = _assumptions.count(num_clients, corrupt, dropout)
    k, t = parameters
    complete = k == num_clients - 1
    exposing = _exposing(parameters, num_clients, adversary)
    others = "all others" if complete else f"{k} of the {num_clients - 1} others, drawn at random"
    lied_to = "" if adversary == "semi_honest" else ", enough if the rest is lied to"
    lines = (
        f"{num_clients} clients, {adversary.replace('_', '-')} server",
        f"  {counts.corrupt} clients at most collude with it, {counts.dropouts} at most drop out",
        f"neighbors {k}",
        f"  each client masks against, and sends shares of its secrets to, {others}",
        f"threshold {t}",
        f"  {t} shares give a secret back, fewer say nothing about it",
        f"privacy fails: {_power(risk.exposed + risk.divided)} (asked for: 2^-{sigma})",
        f"  {_power(risk.exposed)}: somebody has {exposing} colluding neighbors or more{lied_to}",
        f"  {_power(risk.divided)}: the honest survivors fall into groups that share no masks",
        f"no result: {_power(risk.lost)} (asked for: 2^-{eta})",
        f"  when somebody keeps fewer than {t} neighbors; nothing is revealed then",
    )
    return "\n".join(lines)


def _exposing(parameters: Parameters, num_clients: int, adversary: str) -> int:
    """Returns how many colluders among its neighbors suffice to unmask a client."""
    k, t = parameters
    if adversary == "semi_honest":
        return t
    # Colluders give both kinds of share, the others one each: k + c shares, of which 2t unmask. In
    # the complete graph the client's own share is one more.
    holders = num_clients if k == num_clients - 1 else k
    return max(min(t, 2 * t - holders), 0)


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

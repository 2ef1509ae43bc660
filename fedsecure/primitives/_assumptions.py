"""What the choice of parameters assumes: how many clients collude and drop out, and the server."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

from fedsecure.errors import LocalProtocolError

__all__ = [
    "MAX_CLIENTS",
    "Adversary",
    "Counts",
    "check_adversary",
    "check_bits",
    "check_degree",
    "check_numbers",
    "check_whole",
    "count",
    "plan",
]

Adversary = Literal["semi_honest", "semi_malicious", "malicious"]
"""What the server may do: follow the protocol; lie about who dropped out; anything."""

MAX_CLIENTS = 1_000_000
_MAX_BITS = 256
# Keeps a product such as 0.29 * 100 from falling below the integer it stands for.
_EPSILON = 1e-14


class Counts(NamedTuple):
    """How many clients there are, collude, drop out, and stay.

    Dropouts and survivors are rounded each for itself, as in the reference.
    """

    clients: int
    corrupt: int
    dropouts: int
    survivors: int


def count(num_clients: int, corrupt: float, dropout: float) -> Counts:
    """Turns fractions into clients as the reference does, to the order of its operations."""
    return Counts(
        clients=num_clients,
        corrupt=math.floor((corrupt + _EPSILON) * num_clients),
        dropouts=math.floor((dropout + _EPSILON) * num_clients),
        survivors=math.ceil((1 - dropout - _EPSILON) * num_clients),
    )


def plan(num_clients: int, corrupt: float, dropout: float) -> Counts:
    """Counts for a session: at least one client colludes, and all but the dropouts stay."""
    counts = count(num_clients, corrupt, dropout)
    return counts._replace(corrupt=max(counts.corrupt, 1), survivors=num_clients - counts.dropouts)


def check_bits(sigma: int, eta: int) -> None:
    """Raises `LocalProtocolError` unless both are sensible exponents of a probability."""
    check_whole("sigma", sigma, 1, _MAX_BITS)
    check_whole("eta", eta, 1, _MAX_BITS)


def check_degree(neighbors: int, num_clients: int) -> None:
    """Raises `LocalProtocolError` unless a k-regular graph, not complete, has that degree."""
    if type(neighbors) is not int or neighbors % 2 or not 2 <= neighbors <= num_clients - 2:
        raise LocalProtocolError(
            f"neighbors is {neighbors!r} of {num_clients} clients; use an even number from 2 to "
            f"{num_clients - 2}, or the complete graph"
        )


def check_numbers(num_clients: int, corrupt: float, dropout: float) -> None:
    """Raises `LocalProtocolError` unless there are clients, and fractions of them below one."""
    check_whole("num_clients", num_clients, 1, MAX_CLIENTS)
    for name, value in (("corrupt", corrupt), ("dropout", dropout)):
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 1:
            raise LocalProtocolError(
                f"{name} is {value!r}; use a fraction of the clients, at least 0 and below 1"
            )


def check_whole(name: str, value: int, least: int, most: int) -> None:
    """Raises `LocalProtocolError` unless `value` is an integer in range."""
    if type(value) is not int or not least <= value <= most:
        raise LocalProtocolError(f"{name} is {value!r}; use an integer from {least} to {most}")


def check_adversary(adversary: str, *, regular: bool) -> None:
    """Raises `LocalProtocolError` unless a graph, k-regular or complete, may withstand it."""
    known = ("semi_honest", "semi_malicious", "malicious")
    if adversary not in known:
        raise LocalProtocolError(
            f"adversary is {adversary!r}; use one of {', '.join(map(repr, known))}"
        )
    if regular and adversary == "malicious":
        raise LocalProtocolError(
            "no k-regular graph withstands a malicious server; use the complete graph"
        )

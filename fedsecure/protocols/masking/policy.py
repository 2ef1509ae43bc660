"""Which graph, threshold and number of survivors a session has, and which ones a party refuses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from fedsecure.errors import LocalProtocolError, ThresholdError
from fedsecure.primitives import parameters
from fedsecure.primitives.parameters import COMPLETE_UP_TO, Shape

if TYPE_CHECKING:
    from fedsecure.protocols.masking.levels import Adversary

__all__ = ["Shape", "Wishes", "check_shape", "check_wishes", "colluders", "shape"]

_FRACTION = 0.1


@dataclass(frozen=True)
class Wishes:
    """What a party asks for; None leaves it to the rules. See `PairwiseMasking`."""

    adversary: Adversary
    threshold: int | None
    neighbors: int | None
    corrupt: float | None
    dropout: float | None


def check_wishes(wishes: Wishes) -> None:
    """Checks what can be checked before the number of clients is known.

    Raises:
        ThresholdError: A threshold below 3.
        LocalProtocolError: A value of the wrong type or out of range, or for another adversary.
    """
    for name in ("threshold", "neighbors"):
        value = getattr(wishes, name)
        if value is not None and type(value) is not int:
            raise LocalProtocolError(f"{name} is {value!r}; use an integer or None")
    for name in ("corrupt", "dropout"):
        value = getattr(wishes, name)
        fraction = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not (fraction and 0 <= value < 1):
            raise LocalProtocolError(
                f"{name} is {value!r}; use a fraction of the clients, at least 0 and below 1, or "
                "None"
            )
    if wishes.threshold is not None and wishes.threshold < 3:
        raise ThresholdError(
            f"threshold {wishes.threshold} is below 3: in a sum of two, each party learns the "
            "other's update by subtracting its own"
        )
    if wishes.neighbors is None:
        return
    if wishes.adversary == "malicious":
        raise LocalProtocolError(
            "no k-regular graph withstands a malicious server; leave neighbors out, or name a "
            "weaker adversary"
        )
    if wishes.neighbors % 2 or wishes.neighbors < 2:
        raise LocalProtocolError(f"neighbors is {wishes.neighbors}; use an even number from 2")


def shape(wishes: Wishes, num_clients: int) -> Shape:
    """Returns k, t and the least number of survivors for so many invited clients.

    Raises:
        ThresholdError: Fewer than 3 clients, or wishes that cannot be met with so many.
    """
    if num_clients < 3:
        raise ThresholdError(
            f"{num_clients} clients are too few: with two parties each can subtract its own update "
            "from the sum and has the other's, and no protocol can hide it; invite at least 3"
        )
    if wishes.neighbors is not None and wishes.neighbors < num_clients - 1:
        return _regular(wishes, num_clients, wishes.neighbors)
    alone = wishes.threshold is not None or wishes.adversary == "malicious"
    if num_clients <= COMPLETE_UP_TO or alone or wishes.neighbors is not None:
        return _complete(wishes, num_clients)
    found = parameters.policy_parameters(
        num_clients, _corrupt(wishes), _dropout(wishes), adversary=wishes.adversary
    )
    return found if found.neighbors < num_clients - 1 else _complete(wishes, num_clients)


def check_shape(wishes: Wishes, num_clients: int, offered: Shape) -> None:
    """Checks what a session offers against what a party asks for.

    Raises:
        ThresholdError: Something is lower than these wishes lead to.
    """
    mine = shape(wishes, num_clients)
    if offered.neighbors == num_clients - 1 > mine.neighbors:
        # Nothing is left to chance there, so it is judged by its own rule.
        least = _least_threshold(wishes, num_clients)
        mine = Shape(num_clients - 1, least, least)
    for name, least, value in zip(mine._fields, mine, offered, strict=True):
        if value < least:
            raise ThresholdError(
                f"the session's {name} {value} is below the {least} that this policy asks for "
                f"with {num_clients} clients"
            )
    regular = offered.neighbors < num_clients - 1
    if regular and offered != mine:
        _checked(wishes, num_clients, offered.neighbors, offered.threshold)


def colluders(wishes: Wishes, num_clients: int, offered: Shape) -> int:
    """Returns how many clients may collude with the server: what is asked for, else withstood.

    Where nothing is asked for, the complete graph withstands c colluders with 2t > n + c and
    c <= t - 2, and k-regular ones are made for a tenth. It is at least 1.
    """
    if wishes.corrupt is None and offered.neighbors == num_clients - 1:
        threshold = offered.threshold
        return max(1, min(2 * threshold - num_clients - 1, threshold - 2))
    return max(1, int(num_clients * _corrupt(wishes) + 1e-9))


def _complete(wishes: Wishes, num_clients: int) -> Shape:
    least = _least_threshold(wishes, num_clients)
    if wishes.threshold is not None:
        threshold = wishes.threshold
    elif wishes.corrupt is not None:
        threshold = max(3, least)
    else:
        threshold = max(2 * num_clients // 3 + 1, least)
    if threshold < least:
        raise ThresholdError(
            f"threshold {threshold} is too low for {num_clients} clients: two groups of so many "
            f"could be asked for both kinds of share of one client; use at least {least}"
        )
    staying = num_clients - int(num_clients * (wishes.dropout or 0.0) + 1e-9)
    if threshold > staying:
        raise ThresholdError(
            f"threshold {threshold} can never be reached by {num_clients} clients of which "
            f"{num_clients - staying} drop out; use at most {staying}, or plan for fewer dropouts "
            "or corrupt clients"
        )
    return Shape(num_clients - 1, threshold, threshold)


def _least_threshold(wishes: Wishes, num_clients: int) -> int:
    """Returns the least t of the complete graph: ``2t > n + c``, c colluders, no c if none lies."""
    corrupt = 0 if wishes.adversary == "semi_honest" else 1
    if wishes.corrupt is not None:
        corrupt = max(1, int(num_clients * wishes.corrupt + 1e-9))
    return max(3, (num_clients + corrupt) // 2 + 1, corrupt + 2)


def _regular(wishes: Wishes, num_clients: int, neighbors: int) -> Shape:
    threshold = wishes.threshold
    if threshold is None:
        threshold = parameters.regular_threshold(
            num_clients,
            neighbors,
            _corrupt(wishes),
            _dropout(wishes),
            adversary=_lesser(wishes),
        )
    return _checked(wishes, num_clients, neighbors, threshold)


def _checked(wishes: Wishes, num_clients: int, neighbors: int, threshold: int) -> Shape:
    return parameters.check_regular(
        num_clients,
        neighbors,
        threshold,
        _corrupt(wishes),
        _dropout(wishes),
        adversary=_lesser(wishes),
    )


def _corrupt(wishes: Wishes) -> float:
    return _FRACTION if wishes.corrupt is None else wishes.corrupt


def _dropout(wishes: Wishes) -> float:
    return _FRACTION if wishes.dropout is None else wishes.dropout


def _lesser(wishes: Wishes) -> Literal["semi_honest", "semi_malicious"]:
    """Returns the adversary, which is not the malicious one where a graph is k-regular."""
    return "semi_honest" if wishes.adversary == "semi_honest" else "semi_malicious"

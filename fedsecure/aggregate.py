"""Every party of a session in this one process: `secure_aggregate`, and the loop beneath it."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from fedsecure._progress import Progress, reporting
from fedsecure.encoding import FixedPoint
from fedsecure.errors import EncodingError, LocalProtocolError, ThresholdError
from fedsecure.protocols.masking import PairwiseMasking
from fedsecure.protocols.noise import check_mechanism
from fedsecure.protocols.vectors import spec_of
from fedsecure.pytree import PyTree

if TYPE_CHECKING:
    from fedsecure.privacy.mechanisms import VectorMechanism
    from fedsecure.protocols.base import Aggregate, Client, Protocol, Server
    from fedsecure.protocols.session import Session

__all__ = ["Drop", "Observer", "play", "run_session", "secure_aggregate"]

Observer = Callable[[str, int, str, bytes], None]
"""Called with "to_server" or "to_client", a client id, the stage and the message."""

_DEFAULT_PROTOCOL = PairwiseMasking()
_DEFAULT_ENCODING = FixedPoint()


@dataclass(frozen=True)
class Drop:
    """Where a client vanishes.

    Attributes:
        stage: The stage of the server, such as "SHARE_KEYS".
        when: "before" sending anything in that stage, "during": all but the last message of that
            stage arrive, or "after" sending all of it.
    """

    stage: str
    when: Literal["before", "during", "after"] = "after"

    def __post_init__(self) -> None:
        if self.when not in ("before", "during", "after"):
            raise LocalProtocolError(
                f'a client drops "before", "during" or "after" a stage, not {self.when!r}'
            )


def secure_aggregate(
    updates: Iterable[PyTree],
    *,
    weights: Iterable[float] | None = None,
    protocol: Protocol = _DEFAULT_PROTOCOL,
    encoding: FixedPoint = _DEFAULT_ENCODING,
    privacy: VectorMechanism | None = None,
    progress: bool | Progress = False,
) -> Aggregate:
    """Returns the (weighted) mean of the updates, playing every party in this one process.

    For simulation, tests and benchmarks: all clients and the server run here, through the real
    bytes of the protocol, so whoever runs this process sees every update. In a deployment each
    party runs in its own process with `PairwiseMasking.session`, `PairwiseMasking.client` and
    `PairwiseMasking.server`. Identities that the protocol needs and does not have are made here.

    Args:
        updates: One pytree of float arrays per client, all with the same paths, shapes and dtypes;
            see `fedsecure.pytree`. Not changed. At least 3. Under a mechanism for records, each
            leaf has an axis for the client's records in front.
        weights: One positive number per client, such as its number of examples; None weighs all
            the same. Weights are inside the sum and as secret as the updates. If
            ``encoding.max_weight`` is None, the least power of two that no weight exceeds is used,
            which only a process that sees all weights can do.
        protocol: How the sum is protected.
        encoding: How floats become ring elements; the error of the mean is below one step of it
            over the mean weight. Under privacy the mechanism decides that: leave it out.
        privacy: A mechanism of `fedsecure.privacy`, such as `DistributedSkellam`: updates are
            clipped, and the mean has noise; ``Aggregate.privacy.event()`` is what to account. None
            gives the exact mean, which is not differentially private.
        progress: True shows a bar (extra ``rich``); a callable gets (stage, done, total).

    Raises:
        ThresholdError: Fewer than 3 updates, or a threshold that does not suit their number; under
            privacy, no certain share of the noise, or a noisy sum of weights that is no divisor.
        EncodingError: Updates that do not fit together, values or weights that cannot be encoded,
            a ring that is too narrow, or weights under a mechanism that declares no largest one:
            nothing has left a client then. Or a float16 leaf that cannot hold its noisy mean.
        LocalProtocolError: Another argument is wrong.
    """
    return run_session(
        updates,
        weights=weights,
        protocol=protocol,
        encoding=encoding,
        privacy=privacy,
        progress=progress,
    )


def run_session(
    updates: Iterable[PyTree],
    *,
    weights: Iterable[float] | None = None,
    protocol: Protocol = _DEFAULT_PROTOCOL,
    encoding: FixedPoint = _DEFAULT_ENCODING,
    privacy: VectorMechanism | None = None,
    drop: Mapping[int, str | Drop] | None = None,
    observe: Observer | None = None,
    progress: bool | Progress = False,
) -> Aggregate:
    """Returns what `secure_aggregate` returns, with clients that vanish and an onlooker.

    Args:
        updates: As in `secure_aggregate`. Client i has ``updates[i]``.
        weights: As in `secure_aggregate`.
        protocol: As in `secure_aggregate`.
        encoding: As in `secure_aggregate`.
        privacy: As in `secure_aggregate`.
        drop: For clients that vanish, where; a bare stage means after sending it.
        observe: Sees every message that is delivered.
        progress: As in `secure_aggregate`.

    Raises:
        ThresholdError: As in `secure_aggregate`, or too many clients vanished.
        EncodingError: As in `secure_aggregate`.
        LocalProtocolError: A wrong argument, or `drop` names a client or stage there is not.
    """
    _check_policy(protocol, encoding)
    check_mechanism(privacy)
    trees = _checked_updates(updates, privacy)
    factors = _checked_weights(weights, len(trees))
    if factors is not None and privacy is None and encoding.max_weight is None:
        encoding = replace(encoding, max_weight=_power_of_two_from(max(factors)))
    spec = spec_of(privacy, trees[0])
    protocol = protocol.for_one_process(range(len(trees)))
    session = protocol.session(
        client_ids=range(len(trees)),
        spec=spec,
        encoding=encoding,
        weighted=factors is not None,
        privacy=privacy,
    )
    with reporting(progress=progress) as report:
        clients = _make_clients(protocol, session, trees, factors)
        clients |= protocol.helpers(session)
        return play(protocol.server(session), clients, drop=drop, observe=observe, progress=report)


def play(
    server: Server,
    clients: Mapping[int, Client],
    *,
    drop: Mapping[int, str | Drop] | None = None,
    observe: Observer | None = None,
    progress: Progress | None = None,
) -> Aggregate:
    """Returns the result of a session whose parties have been made: the whole of the transport.

    Messages go over one at a time, so a vector is never whole anywhere but in the server's sum.

    Args:
        server: A fresh server.
        clients: Fresh clients of the same session, by id.
        drop: As in `run_session`.
        observe: As in `run_session`.
        progress: Called after each client's turn in each stage.

    Raises:
        ThresholdError: Too many clients vanished.
        LocalProtocolError: `drop` names a client or stage there is not.
    """
    plan = _checked_drops(drop, clients)
    see = observe or _blind
    mail: Mapping[int, Sequence[bytes] | None] = dict.fromkeys(clients)
    seen: set[str] = set()
    while not server.finished:
        stage = server.stage
        seen.add(stage)
        for done, (client_id, inbox) in enumerate(mail.items(), start=1):
            answers = _answers(clients[client_id], inbox, stage, see)
            for message in _arriving(answers, plan.get(client_id), stage):
                see("to_server", client_id, stage, message)
                server.receive(client_id, message)
            if progress is not None:
                progress(stage, done, len(mail))
        gone = {client_id for client_id, fate in plan.items() if fate.stage in seen}
        mail = {to: sent for to, sent in server.advance().items() if to not in gone}
    for client_id, fate in plan.items():
        if fate.stage not in seen:
            raise LocalProtocolError(
                f"client {client_id} was to drop at {fate.stage!r}; the stages were {sorted(seen)}"
            )
    return server.result()


def _answers(
    client: Client, inbox: Sequence[bytes] | None, stage: str, see: Observer
) -> Iterator[bytes]:
    if inbox is None:
        yield from client.start()
        return
    for message in inbox:
        see("to_client", client.client_id, stage, message)
        yield from client.receive(message)


def _arriving(messages: Iterator[bytes], fate: Drop | None, stage: str) -> Iterator[bytes]:
    if fate is None or fate.stage != stage or fate.when == "after":
        yield from messages
    elif fate.when == "during":
        kept: bytes | None = None
        for message in messages:
            if kept is not None:
                yield kept
            kept = message


def _blind(direction: str, client_id: int, stage: str, message: bytes) -> None:
    del direction, client_id, stage, message


def _checked_drops(
    drop: Mapping[int, str | Drop] | None, clients: Mapping[int, Client]
) -> dict[int, Drop]:
    plan: dict[int, Drop] = {}
    for client_id, fate in (drop or {}).items():
        if client_id not in clients:
            raise LocalProtocolError(f"client {client_id!r} cannot drop: there is no such client")
        plan[client_id] = Drop(fate) if isinstance(fate, str) else fate
    return plan


def _check_policy(protocol: object, encoding: object) -> None:
    needed = ("session", "client", "server", "noise_shares", "helpers", "for_one_process")
    missing = [name for name in needed if not hasattr(protocol, name)]
    if missing or isinstance(protocol, type):
        raise LocalProtocolError(
            f"protocol is {protocol!r:.60}; give a protocol object, such as PairwiseMasking()"
        )
    if not isinstance(encoding, FixedPoint):
        raise LocalProtocolError(f"encoding is {encoding!r:.60}; give a FixedPoint()")


def _checked_updates(updates: Iterable[PyTree], privacy: VectorMechanism | None) -> list[PyTree]:
    if isinstance(updates, Mapping | str | bytes) or not isinstance(updates, Iterable):
        raise EncodingError(
            f"updates is of type {type(updates).__name__}; give a list with one update per client"
        )
    trees = list(updates)
    if not trees:
        raise ThresholdError("updates is empty; give one update per client, at least 3")
    first = spec_of(privacy, trees[0])
    for at, tree in enumerate(trees):
        try:
            difference = spec_of(privacy, tree).difference(first)
        except EncodingError as error:
            raise EncodingError(f"updates[{at}]: {error}") from None
        if difference is not None:
            raise EncodingError(
                f"updates[{at}] does not fit updates[0]: {difference}; all clients send one tree"
            )
    return trees


def _checked_weights(weights: Iterable[float] | None, count: int) -> list[float] | None:
    if weights is None:
        return None
    if isinstance(weights, Mapping | str | bytes) or not isinstance(weights, Iterable):
        raise EncodingError(
            f"weights is of type {type(weights).__name__}; give a list with one number per client"
        )
    given: list[Any] = list(weights)
    if len(given) != count:
        raise EncodingError(f"{len(given)} weights for {count} updates; give one for each")
    for at, weight in enumerate(given):
        number = isinstance(weight, numbers.Real) and not isinstance(weight, bool)
        if not number or not math.isfinite(weight) or weight <= 0:
            raise EncodingError(f"weights[{at}] is {weight!r}; give a finite number above 0")
    return [float(weight) for weight in given]


def _power_of_two_from(value: float) -> float:
    mantissa, exponent = math.frexp(value)
    return math.ldexp(1.0, exponent - 1 if mantissa == 0.5 else exponent)


def _make_clients(
    protocol: Protocol, session: Session, trees: Sequence[PyTree], weights: Sequence[float] | None
) -> dict[int, Client]:
    """Returns all clients; each has checked its update when this returns."""
    clients: dict[int, Client] = {}
    for at, tree in enumerate(trees):
        weight = None if weights is None else weights[at]
        try:
            clients[at] = protocol.client(session, at, tree, weight, privacy=session.privacy)
        except EncodingError as error:
            raise EncodingError(f"updates[{at}]: {error}") from None
    return clients

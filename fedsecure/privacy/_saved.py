"""The bytes of an accountant: strict, and only one form of each state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Literal, NamedTuple, cast

import msgspec

from fedsecure.errors import FedSecureError, RemoteProtocolError
from fedsecure.privacy import _checks
from fedsecure.privacy.events import (
    DDGaussEvent,
    DiscreteLaplaceEvent,
    Event,
    ExponentialEvent,
    FixedSizeSampling,
    GaussianEvent,
    LaplaceEvent,
    NoSampling,
    PoissonSampling,
    PolyaEvent,
    Relation,
    Sampling,
    SkellamEvent,
)
from fedsecure.privacy.report import Unit

__all__ = ["Saved", "decode", "encode"]

_EVENTS: dict[str, type[Event]] = {
    kind.__name__: kind
    for kind in (
        GaussianEvent,
        SkellamEvent,
        DDGaussEvent,
        LaplaceEvent,
        DiscreteLaplaceEvent,
        PolyaEvent,
        ExponentialEvent,
    )
}
_SAMPLINGS: dict[str, type[Any]] = {
    kind.__name__: kind for kind in (NoSampling, PoissonSampling, FixedSizeSampling)
}
_FORMAT = "fedsecure privacy accountant 1"
_MAX_BYTES = 1 << 24


class Saved(NamedTuple):
    """What an accountant is made of."""

    relation: Relation
    budget: tuple[float, float] | None
    accountant: Literal["pld", "rdp"]
    unit: Unit
    ledger: Mapping[Event, int]


class _Line(msgspec.Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    event: str
    numbers: tuple[int | float, ...]
    sampling: str
    rates: tuple[int | float, ...]
    count: int


class _State(msgspec.Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    format: Literal["fedsecure privacy accountant 1"]
    relation: str
    budget: tuple[float, float] | None
    accountant: Literal["pld", "rdp"]
    unit: Unit
    lines: tuple[_Line, ...]


def encode(
    relation: Relation,
    budget: tuple[float, float] | None,
    accountant: Literal["pld", "rdp"],
    unit: Unit,
    ledger: Mapping[Event, int],
) -> bytes:
    """Returns the bytes of a state."""
    lines = tuple(
        _Line(
            type(event).__name__,
            tuple(_numbers(event)),
            type(event.sampling).__name__,
            tuple(_numbers(event.sampling)),
            count,
        )
        for event, count in ledger.items()
    )
    if budget is not None:
        budget = (float(budget[0]), float(budget[1]))
    state = _State(cast("Any", _FORMAT), relation.name, budget, accountant, unit, lines)
    return msgspec.msgpack.encode(state)


def decode(data: bytes) -> Saved:
    """Returns the state of some bytes.

    Raises:
        RemoteProtocolError: They are not what `encode` returns for any state.
    """
    if not isinstance(data, bytes) or len(data) > _MAX_BYTES:
        raise RemoteProtocolError("a saved accountant is bytes, at most 16 MiB of them")
    try:
        state = msgspec.msgpack.decode(data, type=_State)
        relation = Relation[state.relation]
        if state.budget is not None:
            _checks.known_target(*state.budget)
        ledger: dict[Event, int] = {}
        for line in state.lines:
            _checks.whole("count", line.count, 1, 10**9)
            ledger[_event(line, relation)] = line.count
    except (ValueError, KeyError, TypeError, FedSecureError, RecursionError) as error:
        # msgspec's errors are ValueErrors, as is that of text which is no UTF-8.
        raise RemoteProtocolError(
            "these bytes are no saved privacy accountant; give exactly what to_bytes returned"
        ) from error
    saved = Saved(relation, state.budget, state.accountant, state.unit, ledger)
    if encode(*saved) != data:
        raise RemoteProtocolError(
            "these bytes are not the one form of a saved privacy accountant; give exactly what "
            "to_bytes returned"
        )
    return saved


def _event(line: _Line, relation: Relation) -> Event:
    sampling: Sampling = _SAMPLINGS[line.sampling](*line.rates)
    return _EVENTS[line.event](*line.numbers, sampling=sampling, relation=relation)


def _numbers(value: Event | Sampling) -> list[int | float]:
    """Returns the fields that are given by position, in order."""
    return [getattr(value, each.name) for each in fields(value) if not each.kw_only]

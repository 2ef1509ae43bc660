"""A mechanism as plain values, for a session's configuration: one form for each mechanism."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from fedsecure.errors import FedSecureError, RemoteProtocolError
from fedsecure.privacy.central import CentralGaussian
from fedsecure.privacy.clipping import AdaptiveClip
from fedsecure.privacy.distributed import DistributedDiscreteGaussian, DistributedSkellam
from fedsecure.privacy.mechanisms import VectorMechanism
from fedsecure.privacy.records import RecordSkellam

__all__ = ["from_config", "to_config"]

_KNOWN: dict[str, type[VectorMechanism]] = {
    kind.__name__: kind
    for kind in (DistributedSkellam, DistributedDiscreteGaussian, CentralGaussian, RecordSkellam)
}
Config = tuple[str | int | float | tuple[float, float, float] | None, ...]


def to_config(mechanism: VectorMechanism) -> Config:
    """Returns the mechanism's name and numbers, in order: str, float, int, None and one tuple."""
    values = [getattr(mechanism, each.name) for each in fields(mechanism)]
    return (
        type(mechanism).__name__,
        *(
            (value.clip, value.target_quantile, value.learning_rate)
            if isinstance(value, AdaptiveClip)
            else value
            for value in values
        ),
    )


def from_config(config: Sequence[Any]) -> VectorMechanism:
    """Returns the mechanism of `to_config`.

    Args:
        config: What it returned; lists may stand for the tuples.

    Raises:
        RemoteProtocolError: It is anything else.
    """
    try:
        name, *values = config
        kind = _KNOWN[name]
        names = [each.name for each in fields(kind)]
        given = dict(zip(names, values, strict=True))
        if given["adaptive"] is not None:
            given["adaptive"] = AdaptiveClip(*given["adaptive"])
        mechanism = kind(**given)
    except (TypeError, ValueError, KeyError, FedSecureError) as error:
        raise RemoteProtocolError(
            "no privacy mechanism that is known here has this configuration"
        ) from error
    if _plain(to_config(mechanism)) != _plain(config):
        raise RemoteProtocolError("this is not the one form of a privacy mechanism's configuration")
    return mechanism


def _plain(value: Any) -> Any:
    """Returns a form in which 1, 1.0 and True differ and lists and tuples do not."""
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return type(value), value

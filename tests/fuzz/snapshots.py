"""All that a party knows, as one value: a refused message must not change it."""

from __future__ import annotations

import hashlib
from enum import Enum
from typing import Any

import msgspec
import numpy as np

from fedsecure.paillier import PrivateKey, PublicKey, RunningProduct
from fedsecure.paillier.threshold import KeyShare, ThresholdPublic
from fedsecure.primitives.entropy import Secret
from fedsecure.primitives.graph import CompleteGraph, HararyGraph
from fedsecure.protocols.session import Session

_Hash = type(hashlib.sha256())
_PLAIN = (bool, int, float, str, bytes, type(None))


def snapshot(thing: Any) -> Any:
    """Everything reachable from `thing` that Python can see, secrets included."""
    if isinstance(thing, _PLAIN):
        return thing
    if isinstance(thing, Enum):
        return thing.name
    # These only ever add values that follow from what they are.
    if isinstance(thing, Session | CompleteGraph | HararyGraph):
        return type(thing).__name__, thing.digest
    if isinstance(thing, PublicKey | ThresholdPublic):
        return type(thing).__name__, thing.fingerprint
    if isinstance(thing, PrivateKey | KeyShare):
        return type(thing).__name__, thing.public.fingerprint
    if isinstance(thing, RunningProduct):
        return "RunningProduct", thing.rows().tobytes()
    if isinstance(thing, _Hash):
        return "sha256", thing.digest()
    if isinstance(thing, Secret):
        return "Secret", thing.wiped, bytes(thing._data)
    if isinstance(thing, bytearray | memoryview):
        return bytes(thing)
    if isinstance(thing, np.ndarray):
        return thing.dtype.str, thing.shape, thing.tobytes()
    if isinstance(thing, dict):
        pairs = ((snapshot(key), snapshot(value)) for key, value in thing.items())
        return tuple(sorted(pairs, key=lambda pair: repr(pair[0])))
    if isinstance(thing, set | frozenset):
        return tuple(sorted((snapshot(item) for item in thing), key=repr))
    if isinstance(thing, list | tuple):
        return tuple(map(snapshot, thing))
    return type(thing).__name__, tuple(
        (name, snapshot(getattr(thing, name, None))) for name in _fields(thing)
    )


def _fields(thing: Any) -> list[str]:
    if isinstance(thing, msgspec.Struct):
        return list(thing.__struct_fields__)
    slots = [name for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ())]
    return [*slots, *getattr(thing, "__dict__", ())]

"""What server and sites of a job agree on: numbers for names, a policy, and messages as arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np

from fedsecure import _tensors
from fedsecure.errors import EncodingError, LocalProtocolError, RemoteProtocolError
from fedsecure.primitives.identity import Identity
from fedsecure.protocols.masking import PairwiseMasking

__all__ = [
    "ANSWER",
    "DOWN",
    "GONE",
    "INVITATION",
    "KEY",
    "STAGE",
    "UP",
    "Sites",
    "arrays",
    "floats_of",
    "ids_of",
    "kind_of",
    "packed",
    "policy",
    "unpacked",
]

Sites: TypeAlias = Mapping[str, str | bytes] | Iterable[str]

KEY = "fedsecure"
DOWN = "fedsecure/down/"
UP = "fedsecure/up/"  # another name on the way back: NVFlare remembers shapes by name
INVITATION, STAGE, ANSWER, GONE = "invitation", "stage", "answer", "gone"


def ids_of(sites: Sites) -> dict[str, int]:
    """Returns the client id of each site: all parties number the same names alike."""
    return {name: i for i, name in enumerate(sorted(sites), start=1)}


def policy(
    sites: Sites,
    adversary: Any,
    threshold: int | None,
    own: tuple[str, Identity | None] | None = None,
) -> PairwiseMasking:
    """Returns the protocol of a party; `own` is a site's name and identity.

    Raises:
        LocalProtocolError: Sites, keys or identity do not go together.
    """
    pinned = adversary == "malicious"
    if isinstance(sites, Mapping) != pinned or isinstance(sites, str):
        raise LocalProtocolError(
            "sites is {name: verify key} against a malicious server, and a list of names otherwise"
        )
    identities: dict[int, Identity | bytes] = {}
    if isinstance(sites, Mapping):
        ids = ids_of(sites)
        identities = {ids[name]: _key_bytes(name, key) for name, key in sites.items()}
        if own is not None:
            name, identity = own
            if identity is None or identity.verify_key != identities[ids[name]]:
                raise LocalProtocolError(
                    f"give identity=, the one of which sites[{name!r}] is the verify key"
                )
            identities[ids[name]] = identity
    return PairwiseMasking(
        adversary=adversary, identities=identities if pinned else None, threshold=threshold
    )


def _key_bytes(name: str, key: str | bytes) -> bytes:
    try:
        return key if isinstance(key, bytes) else bytes.fromhex(key)
    except ValueError:
        raise LocalProtocolError(f"the verify key of {name!r} is not hexadecimal") from None


def packed(messages: Iterable[bytes], prefix: str, kind: str) -> dict[str, Any]:
    """Returns messages as arrays of bytes by name, in the kind of tensor that travels here."""
    views: list[Any] = [np.frombuffer(message, np.uint8) for message in messages]
    return {f"{prefix}{i}": _tensors.to_kind(a, kind) for i, a in enumerate(views)}


def unpacked(params: Any, prefix: str) -> list[bytes]:
    """Returns the messages in a task or an answer, in order.

    Raises:
        RemoteProtocolError: Something else is there.
    """
    params = params if isinstance(params, Mapping) else {}
    count = sum(1 for name in params if str(name).startswith(prefix))
    found: list[bytes] = []
    for i in range(count):
        try:
            array = _read(f"{prefix}{i}", params.get(f"{prefix}{i}"))
        except EncodingError as error:
            raise RemoteProtocolError(f"message {i} of {count} cannot be read: {error}") from None
        if array.dtype != np.uint8 or array.ndim != 1:
            raise RemoteProtocolError(f"message {i} of {count} is no array of bytes")
        found.append(array.tobytes())
    return found


def kind_of(params: Mapping[str, Any]) -> str:
    """Returns what NVFlare hands over here: "torch" if it converts, "numpy" otherwise."""
    tensors = [_tensors.recognise(value) for value in params.values()]
    return "torch" if any(t is not None and t.kind == "torch" for t in tensors) else "numpy"


def arrays(params: Mapping[str, Any]) -> dict[str, Any]:
    """Returns tensors as numpy arrays, by name.

    Raises:
        EncodingError: Something else is there.
    """
    return {name: _read(name, value) for name, value in params.items()}


def floats_of(model: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what takes part: counts and flags stay as they were, for their mean means nothing."""
    return {name: v for name, v in model.items() if v.dtype.kind not in "iub"}


def _read(name: str, value: Any) -> Any:
    """Returns one tensor as a numpy array, or raises `EncodingError`."""
    try:
        tensor = _tensors.recognise(value)
    except EncodingError as error:
        raise EncodingError(f"{name!r} {error}") from None
    if tensor is None:
        raise EncodingError(f"{name!r} is of type {type(value).__name__}, not an array")
    try:
        return tensor.read()
    except _tensors.UNREADABLE as error:
        raise EncodingError(
            f"{name!r} is a {tensor.dtype} tensor that numpy cannot read ({type(error).__name__}); "
            "convert it to float32"
        ) from error

"""Who is who, from files: a node's own identity, and the verify keys of all organizations.

Both come to a node on a way that the server does not control; Flower's node configuration names
where they are: ``client-id=3 identity="/etc/fl/3.key" verify-keys="/etc/fl/verify_keys.json"``.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedsecure.errors import FedSecureError, LocalProtocolError
from fedsecure.primitives.identity import Identity
from fedsecure.protocols.masking import PairwiseMasking

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["masking_from_node_config", "node_number", "read_verify_keys", "write_identities"]

_VERIFY_KEYS = "verify_keys.json"


def masking_from_node_config(context: Any) -> PairwiseMasking:
    """Returns the policy against a malicious server of the node that a context belongs to.

    Args:
        context: Flower's, whose ``node_config`` has ``client-id`` (or ``partition-id``),
            ``identity``, the path of an identity, and ``verify-keys``, the path of a file for
            `read_verify_keys`. The identity is 32 secret bytes; with ``identity-password``, the
            path of a password in one line, what ``fedsecure keys identity`` makes.

    Raises:
        LocalProtocolError: One of them is missing or not what it should be.
    """
    config = context.node_config
    missing = [name for name in ("identity", "verify-keys") if name not in config]
    if missing:
        raise LocalProtocolError(
            f"this node's configuration names no {' and no '.join(missing)}: a malicious server is "
            "withstood by clients that know each other. Start the node with --node-config "
            '\'client-id=... identity="..." verify-keys="..."\', or name a weaker adversary, '
            'secure_mod(PairwiseMasking(adversary="semi_honest")), here and at the server'
        )
    identities: dict[int, Identity | bytes] = dict(read_verify_keys(str(config["verify-keys"])))
    number = node_number(context)
    try:
        identities[number] = _own(config)
    except (OSError, FedSecureError) as error:
        raise LocalProtocolError(f"this node's identity cannot be read: {error}") from None
    return PairwiseMasking(identities=identities)


def _own(config: Mapping[str, Any]) -> Identity:
    data = Path(str(config["identity"])).read_bytes()
    if "identity-password" not in config:
        return Identity.from_bytes(data)
    password = Path(str(config["identity-password"])).read_bytes()
    return Identity.from_sealed_bytes(data, password.removesuffix(b"\n").removesuffix(b"\r"))


def node_number(context: Any) -> int:
    """Returns a node's client id: ``client-id`` in its configuration, or else ``partition-id``.

    Raises:
        LocalProtocolError: Neither is there, or it is no integer.
    """
    config = context.node_config
    number = config.get("client-id", config.get("partition-id"))
    if type(number) is not int:
        raise LocalProtocolError(
            f"this node's configuration has the client-id {number!r}; give each node an integer of "
            "its own, as in --node-config 'client-id=3', or secure_mod(client_id=...) a function"
        )
    return number


def read_verify_keys(path: str | os.PathLike[str]) -> dict[int, bytes]:
    """Returns verify keys by client id, from a JSON object of hexadecimal texts by id.

    Raises:
        LocalProtocolError: There is no such file, or something else is in it.
    """
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
        return {int(client_id): bytes.fromhex(key) for client_id, key in found.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise LocalProtocolError(f"the verify keys in {path} cannot be read: {error}") from None


def write_identities(
    folder: str | os.PathLike[str], client_ids: Iterable[int]
) -> Mapping[int, bytes]:
    """Returns the verify keys of new identities, which it writes into a folder.

    For one machine that plays several organizations; otherwise each makes its own. There will be
    ``<id>.key`` for each, readable by its owner only, and ``verify_keys.json``.

    Args:
        folder: Where; it must exist.
        client_ids: For whom. Files that are there already are not overwritten.

    Raises:
        LocalProtocolError: An identity is there already, or cannot be written.
    """
    keys: dict[int, bytes] = {}
    try:
        for client_id in client_ids:
            identity = Identity.generate()
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            with os.fdopen(os.open(Path(folder) / f"{client_id}.key", flags, 0o600), "wb") as file:
                file.write(identity.to_bytes())
            keys[client_id] = identity.verify_key
        texts = {str(client_id): key.hex() for client_id, key in keys.items()}
        (Path(folder) / _VERIFY_KEYS).write_text(json.dumps(texts, indent=2), encoding="utf-8")
    except OSError as error:
        raise LocalProtocolError(f"identities cannot be written: {error}") from None
    return keys

"""What a session's server may do, and what that means for its stages, signatures and thresholds."""

from __future__ import annotations

import operator
from bisect import bisect_left
from typing import TYPE_CHECKING, Literal, cast

from fedsecure.errors import CheaterDetected, CryptoError, LocalProtocolError
from fedsecure.primitives import identity
from fedsecure.primitives.identity import Identity
from fedsecure.protocols.masking.states import Flow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fedsecure.protocols.session import Session

__all__ = [
    "Adversary",
    "adversary_of",
    "check_identity",
    "check_signature",
    "checked_identities",
    "flow_of",
    "protocol_name",
    "sign",
]

Adversary = Literal["semi_honest", "semi_malicious", "malicious"]
"""What the server may do: follow the protocol; lie about who dropped out; anything."""

_PREFIX = "pairwise-masking/"
_BY_NAME = {
    _PREFIX + level.replace("_", "-"): level
    for level in ("semi_honest", "semi_malicious", "malicious")
}


def protocol_name(adversary: Adversary) -> str:
    """Returns how a session calls the protocol against this adversary."""
    return _PREFIX + adversary.replace("_", "-")


def adversary_of(session: Session) -> Adversary:
    """Returns the adversary that a session withstands.

    Raises:
        LocalProtocolError: The session is of another protocol, or its verify keys do not fit it.
    """
    level = _BY_NAME.get(session.protocol)
    if level is None:
        raise LocalProtocolError(f"the session is of {session.protocol!r}, not of pairwise masking")
    if bool(session.verify_keys) != (level == "malicious"):
        raise LocalProtocolError(
            f"a session of {session.protocol!r} with {len(session.verify_keys)} verify keys: there "
            "is one for each client against a malicious server, and none otherwise"
        )
    return cast("Adversary", level)


def flow_of(session: Session) -> Flow:
    """Returns the stages of a session: survivors are compared if and only if parties sign.

    Raises:
        LocalProtocolError: The session has no suite, and so nothing to mask with.
    """
    if session.suite == 0:
        raise LocalProtocolError("pairwise masking is of suite 1, 2 or 3, and this session of none")
    return Flow.FIVE_STAGES if session.verify_keys else Flow.FOUR_STAGES


def checked_identities(identities: Mapping[int, Identity | bytes]) -> dict[int, Identity | bytes]:
    """Returns the identities by plain ids in increasing order.

    Raises:
        LocalProtocolError: An id is no integer, a verify key is none, or two clients share one.
    """
    found: dict[int, Identity | bytes] = {}
    owners: dict[bytes, int] = {}
    for given, known in identities.items():
        try:
            client_id = operator.index(given)
            key = known.verify_key if isinstance(known, Identity) else known
            identity.check_verify_key(key)
        except (TypeError, CryptoError) as error:
            raise LocalProtocolError(f"identity of client {given!r}: {error}") from None
        other = owners.setdefault(key, client_id)
        if other != client_id:
            raise LocalProtocolError(
                f"clients {other} and {client_id} have one verify key; each needs its own"
            )
        found[client_id] = known
    return dict(sorted(found.items()))


def check_identity(session: Session, client_id: int, own: Identity | None) -> None:
    """Raises `LocalProtocolError` unless this is the identity that the session pins, or needs."""
    pinned = None
    if session.verify_keys:
        pinned = session.verify_keys[bisect_left(session.client_ids, client_id)]
    if (None if own is None else own.verify_key) != pinned:
        raise LocalProtocolError(
            f"client {client_id} signs in this session, and needs the Identity whose verify key is "
            "pinned for it: put it in the place of its verify key, identities={own_id: identity, "
            "...}"
            if pinned
            else f"client {client_id} signs nothing in this session; give it no identity"
        )


def sign(signer: Identity | None, statement: bytes) -> bytes:
    """Returns the signature of a party, empty for one that does not sign."""
    return b"" if signer is None else signer.sign(statement)


def check_signature(
    session: Session, client_id: int, signature: bytes, statement: bytes, culprit: int
) -> None:
    """Raises `CheaterDetected`, naming `culprit`, unless the client signed the statement.

    In a session without signatures, the only right one is empty.
    """
    if not session.verify_keys:
        good = not signature
    else:
        key = session.verify_keys[bisect_left(session.client_ids, client_id)]
        good = identity.verify(key, signature, statement)
    if not good:
        raise CheaterDetected(f"wrong signature of client {client_id}", culprit)

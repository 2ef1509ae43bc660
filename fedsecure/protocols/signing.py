"""Who signs in a session: pinned identities, and signatures checked against them."""

from __future__ import annotations

import operator
from bisect import bisect_left
from typing import TYPE_CHECKING

from fedsecure.errors import CheaterDetected, CryptoError, LocalProtocolError
from fedsecure.primitives import identity
from fedsecure.primitives.identity import Identity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fedsecure.protocols.session import Session

__all__ = ["check_identity", "check_signature", "checked_identities", "sign"]


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

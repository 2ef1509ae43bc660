"""How a server tells a liar from an accident: what it compares, and what it then calls a cheat."""

from __future__ import annotations

import hashlib
import hmac
from bisect import bisect_left
from typing import TYPE_CHECKING

from fedsecure.errors import CheaterDetected, RemoteProtocolError
from fedsecure.protocols.masking import schedule
from fedsecure.protocols.masking.messages import Kind, ShareKeys, UnmaskShares

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["check_tags", "mark", "second_answer"]


def mark(kind: Kind, data: bytes) -> bytes:
    """Returns what to remember of an answer, so that another one is recognised.

    A masked input leaves none: its pieces would have to be hashed, which costs more than summing.
    """
    return b"" if kind is Kind.MASKED_INPUT else hashlib.sha256(data).digest()


def second_answer(client_id: int, data: bytes, marked: bytes) -> RemoteProtocolError:
    """Returns the error for a message of a client that has answered: repeated, or contradicted."""
    reason = "this client has answered already"
    if not marked or hmac.compare_digest(hashlib.sha256(data).digest(), marked):
        return RemoteProtocolError(reason)
    return CheaterDetected(f"{reason}, and with something else", client_id)


def check_tags(
    ctx: bytes, holder: int, body: UnmaskShares, shared: Mapping[int, ShareKeys]
) -> None:
    """Raises `CheaterDetected` unless all shares are those that their owners gave this holder."""
    for held, kind in ((body.alive, "seed"), (body.dead, "key")):
        for entry in held:
            expected = _tag(shared[entry.owner], holder, own=entry.owner == holder, kind=kind)
            make = schedule.seed_tag if kind == "seed" else schedule.key_tag
            if make(ctx, entry.owner, holder, entry.share) != expected:
                raise CheaterDetected(
                    f"its share of a secret of client {entry.owner} is not the one it was given",
                    holder,
                )


def _tag(body: ShareKeys, holder: int, *, own: bool, kind: str) -> bytes:
    if own:
        return body.own_tag
    entry = body.sealed[bisect_left(body.sealed, holder, key=lambda entry: entry.peer)]
    return entry.seed_tag if kind == "seed" else entry.key_tag

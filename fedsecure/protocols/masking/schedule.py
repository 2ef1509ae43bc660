"""The key schedule: every value of a masking session that is derived, with its label.

All of it hangs on the context: suite, session, round, configuration, model, roster and graph. It is
the salt of every key derivation and stands in the associated data of every ciphertext, so material
of one session is noise in any other, and clients that were told different things do not agree on
keys. Each derivation has its own label and names the clients it is for, in order; the encryption of
shares is directional, so a client's own ciphertext cannot be handed back to it as its neighbor's.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from fedsecure.primitives import keys
from fedsecure.primitives.masks import SEED_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fedsecure.primitives.graph import Graph
    from fedsecure.protocols.base import Session
    from fedsecure.protocols.masking.messages import Member

__all__ = [
    "KEY_BYTES",
    "commitment",
    "context",
    "pair_seed",
    "pair_sign",
    "self_seed",
    "share_key",
    "share_label",
]

KEY_BYTES = 32


def context(session: Session, members: Iterable[Member], graph: Graph) -> bytes:
    """Returns the 32 bytes that stand for everything the parties must have in common."""
    roster = keys.digest(
        b"roster",
        *(
            struct.pack("<I", member.client_id) + member.share_key + member.mask_key
            for member in members
        ),
    )
    return keys.digest(
        b"ctx",
        struct.pack("<H16sQ", session.suite, session.session_id, session.round),
        session.digest,
        session.model_digest,
        roster,
        graph.digest,
    )


def share_key(agreed: bytes, ctx: bytes, sender: int, receiver: int) -> bytes:
    """Returns the AEAD key, used once, for the shares that `sender` encrypts to `receiver`."""
    return keys.derive(agreed, ctx, keys.info(b"share", sender, receiver), KEY_BYTES)


def share_label(ctx: bytes, sender: int, receiver: int) -> bytes:
    """Returns the associated data of the shares that `sender` encrypts to `receiver`."""
    return ctx + keys.info(b"share", sender, receiver)


def pair_seed(agreed: bytes, ctx: bytes, one: int, other: int) -> bytes:
    """Returns the seed of the mask that two clients share."""
    return keys.derive(
        agreed, ctx, keys.info(b"pair", min(one, other), max(one, other)), SEED_BYTES
    )


def pair_sign(client_id: int, neighbor: int) -> int:
    """Returns +1 if `client_id` adds the mask it shares with `neighbor`, -1 if it subtracts it."""
    return 1 if neighbor < client_id else -1


def self_seed(secret: bytes | memoryview, ctx: bytes, client_id: int) -> bytes:
    """Returns the seed of a client's self mask, from its 32-byte secret b_u."""
    return keys.derive(secret, ctx, keys.info(b"self", client_id), SEED_BYTES)


def commitment(secret: bytes | memoryview, ctx: bytes, client_id: int) -> bytes:
    """Returns B_u, by which the server recognises a correctly reconstructed b_u."""
    return keys.digest(b"commit", ctx, struct.pack("<I", client_id), secret)

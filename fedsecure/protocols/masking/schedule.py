"""The key schedule: every value of a masking session that is derived, with its label.

All of it hangs on the context: suite, session, round, configuration, model, roster and graph. It is
the salt of every key derivation and stands in the associated data of every ciphertext, so material
of one session is noise in any other, and clients that were told different things do not agree on
keys. Each derivation has its own label and names the clients it is for, in order; the encryption of
shares is directional, so a client's own ciphertext cannot be handed back to it as its neighbor's.
"""

from __future__ import annotations

import itertools
import struct
from typing import TYPE_CHECKING

from fedsecure.primitives import keys
from fedsecure.primitives.graph import CompleteGraph, Graph, HararyGraph

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fedsecure.primitives.masks import Prg
    from fedsecure.protocols.masking.messages import Member
    from fedsecure.protocols.session import Session

__all__ = [
    "KEY_BYTES",
    "commitment",
    "draw_graph",
    "key_statement",
    "key_tag",
    "pair_seed",
    "pair_sign",
    "seed_tag",
    "self_seed",
    "share_key",
    "share_label",
    "shares_statement",
    "survivors_statement",
    "transcript",
]

KEY_BYTES = 32
_IDS = struct.Struct("<II")
# What is derived for each pair of clients is asked for often: its label is made once.
_SHARE = keys.info(b"share")
_PAIR = keys.info(b"pair")


def draw_graph(session: Session, members: Sequence[Member]) -> tuple[Graph, bytes]:
    """Returns who shares with whom, and the context: what everybody must have in common.

    The graph is nobody's choice, since it follows from what all have advertised.

    Returns:
        The graph, and 32 bytes that stand for session, configuration, model, roster and graph.

    Raises:
        LocalProtocolError: Too few members for the session's number of neighbors.
    """
    ids = tuple([member.client_id for member in members])
    head, roster = _head(session), _roster(members)
    graph: Graph
    if session.neighbors == len(session.client_ids) - 1:
        graph = CompleteGraph(ids)
    else:
        graph = HararyGraph(ids, session.neighbors, keys.digest(b"graph-seed", head, roster))
    ctx = keys.digest(b"ctx", head, session.digest, session.model_digest, roster, graph.digest)
    return graph, ctx


def transcript(ctx: bytes, sharers: Sequence[int], survivors: Sequence[int]) -> bytes:
    """Returns the 32 bytes for a context and who, by increasing id, shared and survived in it."""
    return keys.digest(b"transcript", ctx, _ids(sharers), _ids(survivors))


def key_statement(session: Session, client_id: int, share_key: bytes, mask_key: bytes) -> bytes:
    """Returns what a client signs when it advertises its keys."""
    about = _head(session) + session.digest + session.model_digest
    return keys.info(b"sign-keys") + about + struct.pack("<I", client_id) + share_key + mask_key


def shares_statement(ctx: bytes, client_id: int, unsigned: bytes) -> bytes:
    """Returns what a client signs when it shares its secrets: `unsigned` is the body without it."""
    about = ctx + struct.pack("<I", client_id)
    return keys.info(b"sign-shares") + about + keys.digest(b"shares", unsigned)


def survivors_statement(agreed: bytes) -> bytes:
    """Returns what a client signs when it confirms who survived: the transcript."""
    return keys.info(b"sign-survivors") + agreed


def share_key(agreed: bytes, ctx: bytes, sender: int, receiver: int) -> bytes:
    """Returns the AEAD key, used once, for the shares that `sender` encrypts to `receiver`."""
    return keys.derive(agreed, ctx, _SHARE + _IDS.pack(sender, receiver), KEY_BYTES)


def share_label(ctx: bytes, sender: int, receiver: int, key_tag: bytes, seed_tag: bytes) -> bytes:
    """Returns the associated data of the shares that `sender` encrypts to `receiver`.

    With the tags in it, a receiver whose ciphertext opens knows that the tags are the sender's.
    """
    return ctx + _SHARE + _IDS.pack(sender, receiver) + key_tag + seed_tag


def key_tag(ctx: bytes, owner: int, holder: int, share: bytes | memoryview) -> bytes:
    """Returns the tag of the holder's share of the owner's mask key."""
    return keys.digest(b"tag-key", ctx + _IDS.pack(owner, holder), share)


def seed_tag(ctx: bytes, owner: int, holder: int, share: bytes | memoryview) -> bytes:
    """Returns the tag of the holder's share of the owner's self-mask seed."""
    return keys.digest(b"tag-seed", ctx + _IDS.pack(owner, holder), share)


def pair_seed(agreed: bytes, ctx: bytes, prg: Prg, one: int, other: int) -> bytes:
    """Returns the seed of the mask that two clients share."""
    ids = (one, other) if one < other else (other, one)
    return keys.derive(agreed, ctx, _PAIR + _IDS.pack(*ids), prg.seed_bytes)


def pair_sign(client_id: int, neighbor: int) -> int:
    """Returns +1 if `client_id` adds the mask it shares with `neighbor`, -1 if it subtracts it."""
    return 1 if neighbor < client_id else -1


def self_seed(secret: bytes | memoryview, ctx: bytes, prg: Prg, client_id: int) -> bytes:
    """Returns the seed of a client's self mask, from its 32-byte secret b_u."""
    return keys.derive(secret, ctx, keys.info(b"self", client_id), prg.seed_bytes)


def commitment(secret: bytes | memoryview, ctx: bytes, client_id: int) -> bytes:
    """Returns B_u, by which the server recognises a correctly reconstructed b_u."""
    return keys.digest(b"commit", ctx, struct.pack("<I", client_id), secret)


def _head(session: Session) -> bytes:
    return struct.pack("<H16sQ", session.suite, session.session_id, session.round)


def _roster(members: Sequence[Member]) -> bytes:
    # Column by column: every client does this for the whole roster.
    ids = struct.pack(f"<{len(members)}I", *[member.client_id for member in members])
    columns = (
        [ids[at : at + 4] for at in range(0, len(ids), 4)],
        [member.share_key for member in members],
        [member.mask_key for member in members],
    )
    rows = itertools.chain.from_iterable(zip(*columns, strict=True))
    return keys.digest(b"roster", b"".join(rows))


def _ids(ids: Sequence[int]) -> bytes:
    return struct.pack(f"<{len(ids) + 1}I", len(ids), *ids)

"""What the parties of an encrypted sum sign and compare: all of it bound to the one session."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from fedsecure.primitives import keys

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fedsecure.protocols.session import Session

__all__ = ["context", "contribution_statement", "product_digest", "transcript"]

_ENTRY = struct.Struct("<I32s")


def context(session: Session) -> bytes:
    """Returns 32 bytes that stand for the session: id, round, model, key and configuration."""
    return keys.digest(b"encrypted-sum/ctx", session.to_bytes())


def contribution_statement(ctx: bytes, client_id: int, digest: bytes) -> bytes:
    """Returns what a client signs: its ciphertexts, in this session and from nobody else."""
    return keys.info(b"encrypted-sum/contribution", client_id) + ctx + digest


def product_digest(ctx: bytes, rows: memoryview) -> bytes:
    """Returns 32 bytes that stand for the product of all contributions."""
    return keys.digest(b"encrypted-sum/product", ctx, rows)


def transcript(ctx: bytes, digests: Mapping[int, bytes]) -> bytes:
    """Returns 32 bytes that stand for the session, who contributed, and which ciphertexts."""
    entries = b"".join(_ENTRY.pack(name, digests[name]) for name in sorted(digests))
    return keys.digest(b"encrypted-sum/transcript", ctx, entries)

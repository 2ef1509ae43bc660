"""A server that follows the protocol: what it sends, and how it comes to the sum."""

from __future__ import annotations

from reference import prg, schedule, wire
from reference.client import Sealed, add
from reference.graph import Graph
from reference.session import Roster, Session


def roster_message(session: Session, roster: Roster) -> bytes:
    """What every client that advertised keys is sent."""
    members: list[wire.Value] = [[u, *keys] for u, keys in sorted(roster.items())]
    return session.message(wire.ROSTER, wire.SERVER, [members])


def delivery_message(session: Session, gone: list[int], delivered: dict[int, Sealed]) -> bytes:
    """What a client that shared its keys is sent: who did not, and ciphertexts by sender."""
    sealed: list[wire.Value] = [[u, *entry] for u, entry in sorted(delivered.items())]
    return session.message(wire.SHARE_DELIVERY, wire.SERVER, [sorted(gone), sealed])


def survivors_message(session: Session, dead: list[int]) -> bytes:
    """What every survivor is sent, for comparing it or for unmasking at once."""
    kind = wire.SURVIVORS if session.malicious else wire.UNMASK_REQUEST
    return session.message(kind, wire.SERVER, [sorted(dead)])


def confirmations_message(session: Session, signatures: dict[int, bytes]) -> bytes:
    """What every client that confirmed the survivors is sent."""
    entries: list[wire.Value] = [[u, signature] for u, signature in sorted(signatures.items())]
    return session.message(wire.CONFIRMATIONS, wire.SERVER, [entries])


def unmasked_sum(
    masked: dict[int, list[int]],
    mask_secrets: dict[int, bytes],
    self_secrets: dict[int, bytes],
    roster: Roster,
    graph: Graph,
    ctx: bytes,
    bits: int,
    suite: int,
) -> list[int]:
    """The sum of the survivors' inputs, from b_v of the survivors and s_v of the dead."""
    count = len(next(iter(masked.values())))
    total = [0] * count
    for u, vector in masked.items():
        total = add(total, vector, 1)
        own = schedule.self_seed(self_secrets[u], ctx, u, suite)
        total = add(total, prg.mask(own, count, bits, suite), -1)
        for v, secret in mask_secrets.items():
            if v in graph.neighbors(u):
                seed = schedule.pair_seed(secret, roster[u][1], ctx, u, v, suite)
                total = add(total, prg.mask(seed, count, bits, suite), -1 if v < u else 1)
    return [element % 2**bits for element in total]

"""Vectors for the single steps: context, keys, masks, shares, graph, encoding, signatures."""

from __future__ import annotations

from typing import Any

from reference import encoding, prg, schedule, shamir, wire
from reference.graph import Complete, Harary
from reference.schedule import u32
from reference.session import roster_digest
from vectors.cast import Play, fixed

Vector = dict[str, Any]


def context(plays: list[Play]) -> list[Vector]:
    """Each part of the context, for one session of either graph."""
    return [_context(play) for play in plays]


def _context(play: Play) -> Vector:
    session, graph = play.session, play.session.graph(play.roster)
    return {
        "session": play.name,
        "head": session.head,
        "config": wire.msgpack(session.config()),
        "config_digest": session.config_digest(),
        "model_digest": session.model_digest,
        "roster": [[u, c, s] for u, (c, s, _) in sorted(play.roster.items())],
        "roster_digest": roster_digest(play.roster),
        "graph_seed": graph.seed if isinstance(graph, Harary) else None,
        "graph_digest": graph.digest(),
        "ctx": play.ctx,
        "sharers": sorted(play.sealed),
        "survivors": play.alive,
        "transcript": play.transcript,
    }


def keys(play: Play) -> Vector:
    """All that the first two clients derive from their secrets, each alone and in common."""
    suite = play.session.suite
    u, v = list(play.sealed)[:2]
    one, other = play.client(u), play.client(v)
    ctx, (c_u, s_u, _), (c_v, s_v, _) = play.ctx, play.roster[u], play.roster[v]
    key_share, seed_share = one.shares()[v]
    ciphertext, key_tag, seed_tag = play.sealed[u][v]
    return {
        "session": play.name,
        "ctx": ctx,
        "u": u,
        "v": v,
        "share_secrets": [one.share_secret, other.share_secret],
        "share_publics": [c_u, c_v],
        "mask_secrets": [one.mask_secret, other.mask_secret],
        "mask_publics": [s_u, s_v],
        "share_agreed": schedule.agree(one.share_secret, c_v),
        "mask_agreed": schedule.agree(one.mask_secret, s_v),
        "share_key_u_to_v": schedule.share_key(one.share_secret, c_v, ctx, u, v),
        "share_key_v_to_u": schedule.share_key(one.share_secret, c_v, ctx, v, u),
        "pair_seed": schedule.pair_seed(one.mask_secret, s_v, ctx, u, v, suite),
        "self_secret_u": one.self_secret,
        "self_seed_u": schedule.self_seed(one.self_secret, ctx, u, suite),
        "commitment_u": schedule.commitment(one.self_secret, ctx, u),
        "key_share_u_to_v": key_share,
        "seed_share_u_to_v": seed_share,
        "key_tag": key_tag,
        "seed_tag": seed_tag,
        "plaintext": u32(u, v) + key_share + seed_share,
        "associated_data": schedule.associated(ctx, u, v, key_tag + seed_tag),
        "ciphertext": ciphertext,
    }


def masks() -> list[Vector]:
    """The first 64 elements of one seed's mask for widths of every lane, plain and packed."""
    vectors = []
    kinds = [(1, bits) for bits in (16, 20, 32, 47, 64)]
    kinds += [(suite, bits) for suite in (2, 3) for bits in (16, 32, 64)]
    for suite, bits in kinds:
        seed = fixed("mask seed", prg.SEED_BYTES[suite])
        elements = prg.mask(seed, 64, bits, suite)
        vectors.append(
            {
                "suite": suite,
                "seed": seed,
                "bits": bits,
                "word_bytes": prg.lane(bits),
                "elements": elements,
                "packed": wire.pack(elements, bits),
                "packed_first_7": wire.pack(elements[:7], bits),
            }
        )
    return vectors


def shares() -> list[Vector]:
    """Coefficients and shares of two secrets, at the abscissas of both graphs."""
    secrets = [fixed("first secret", 32), b"\xff" * 32]
    vectors = []
    complete, regular = [1, 2, 3, 4, 5], [2, 3, 7, 1000, 2**20]
    for suite, threshold, xs in (
        (1, 3, complete),
        (1, 4, regular),
        (2, 3, regular),
        (3, 3, regular),
    ):
        seed = fixed(f"polynomials {threshold}", prg.SEED_BYTES[suite])
        count = len(secrets) * shamir.LIMBS * (threshold - 1)
        vectors.append(
            {
                "suite": suite,
                "threshold": threshold,
                "secrets": secrets,
                "limbs": [shamir.to_limbs(secret) for secret in secrets],
                "polynomial_seed": seed,
                "coefficients": shamir.field_elements(seed, count, suite),
                "xs": xs,
                "shares": shamir.split(secrets, threshold, xs, seed, suite),
            }
        )
    return vectors


def graphs() -> list[Vector]:
    """Rings, neighbors and abscissas; and a complete graph."""
    vectors: list[Vector] = []
    for ids, k in (
        ([1, 5, 9], 2),
        (list(range(10)), 4),
        ([3, 7, 8, 100, 2**16, 2**31, 2**32 - 2], 6),
        (list(range(7, 7 * 66, 7)), 6),
    ):
        graph = Harary(ids, k, fixed(f"ring of {len(ids)}", 32))
        vectors.append(
            {
                "graph": "harary",
                "ids": ids,
                "k": k,
                "seed": graph.seed,
                "ring": graph.ring(),
                "holders": [[u, graph.holders(u)] for u in ids[:5]],
                "digest": graph.digest(),
            }
        )
    complete = Complete([3, 7, 8, 100, 2**32 - 2])
    holders = [[u, complete.holders(u)] for u in complete.ids]
    vectors.append(
        {
            "graph": "complete",
            "ids": complete.ids,
            "holders": holders,
            "digest": complete.digest(),
        }
    )
    return vectors


def encodings() -> list[Vector]:
    """Values as ring elements, in every way the configuration offers, and the width of the ring."""
    values = [0.0, 1.0, -1.0, 0.300048828125, -0.7, 2.0**-13, 3 * 2.0**-13, 3.999, -4.0, 4.5, -9.0]
    vectors = []
    for weight, rounding, counted in (
        (None, "nearest", False),
        (None, "stochastic", True),
        (2.3, "nearest", True),
        (0.1, "stochastic", False),
    ):
        used = values if counted else values[:-2]
        fields: dict[str, Any] = {"bits": 12, "clip": 4.0}
        most = None if weight is None else 5.0
        width = encoding.ring_bits(9, len(used), max_weight=most, counted=counted, **fields)
        seed = fixed("rounding", 24) if rounding == "stochastic" else None
        vectors.append(
            {
                **fields,
                "clients": 9,
                "max_weight": most,
                "weight": weight,
                "rounding": rounding,
                "overflow": "clip" if counted else "raise",
                "rounding_seed": seed,
                "values": used,
                "ring_bits": width,
                "elements": encoding.encode(
                    used,
                    modulus_bits=width,
                    weight=weight,
                    seed=seed,
                    suite=1,
                    count_clipped=counted,
                    **fields,
                ),
            }
        )
    return vectors


def signatures(play: Play) -> list[Vector]:
    """One client's three statements, and its signature on each."""
    u = sorted(play.sealed)[1]
    client, session = play.client(u), play.session
    c, s, _ = play.roster[u]
    unsigned = wire.unmsgpack(wire.body(play.said["SHARE_KEYS"][u][0]))
    unsigned[-1] = b""
    statements = {
        "keys": schedule.keys_statement(
            session.head, session.config_digest(), session.model_digest, u, c + s
        ),
        "shares": schedule.shares_statement(play.ctx, u, wire.msgpack(unsigned)),
        "survivors": schedule.survivors_statement(play.transcript),
    }
    return [
        {
            "statement": name,
            "client": u,
            "identity": client.identity,
            "verify_key": schedule.verify_key(client.identity),
            "message": statement,
            "signature": schedule.sign(client.identity, statement),
        }
        for name, statement in statements.items()
    ]

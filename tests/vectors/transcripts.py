"""Whole sessions as vectors: secrets, every message in its order, and the sum."""

from __future__ import annotations

from typing import Any

from reference import encoding, schedule
from vectors.cast import (
    ADVERTISE_KEYS,
    CONSISTENCY_CHECK,
    MASKED_INPUT,
    SHARE_KEYS,
    UNMASKING,
    Play,
    Player,
)


def transcript(play: Play) -> dict[str, Any]:
    """Everything that is said in a session, and everything that it follows from."""
    stages = [ADVERTISE_KEYS, SHARE_KEYS, MASKED_INPUT, CONSISTENCY_CHECK, UNMASKING]
    return {
        "session": _session(play),
        "clients": [_client(u, player) for u, player in play.players.items()],
        "stages": [_stage(play, stage) for stage in stages if stage in play.said],
        "result": _result(play),
    }


def _session(play: Play) -> dict[str, Any]:
    session = play.session
    return {
        "message": session.to_bytes(),
        "protocol": session.protocol,
        "suite": session.suite,
        "session_id": session.session_id,
        "round": session.round,
        "client_ids": session.client_ids,
        "verify_keys": session.verify_keys,
        "threshold": session.threshold,
        "neighbors": session.neighbors,
        "survivors": session.survivors,
        "leaves": session.leaves,
        "clip": session.clip,
        "bits": session.bits,
        "max_weight": session.max_weight,
        "rounding": session.rounding,
        "overflow": session.overflow,
        "modulus_bits": session.given_modulus_bits,
        "ring_bits": session.modulus_bits,
        "weighted": session.weighted,
        "chunk": session.chunk,
        "model_digest": session.model_digest,
    }


def _client(u: int, player: Player) -> dict[str, Any]:
    client = player.client
    return {
        "id": u,
        "identity": client.identity,
        "share_secret": client.share_secret,
        "mask_secret": client.mask_secret,
        "self_secret": client.self_secret,
        "polynomial_seed": client.polynomial_seed,
        "rounding_seed": player.rounding_seed,
        "update": player.update,
        "weight": player.weight,
        "vector": client.vector,
        "neighbors": client.graph().neighbors(u) if client.roster else None,
    }


def _stage(play: Play, stage: str) -> dict[str, Any]:
    groups: dict[bytes, list[int]] = {}
    for u, message in play.heard.get(stage, {}).items():
        groups.setdefault(message, []).append(u)
    return {
        "stage": stage,
        "from_server": [{"to": to, "message": message} for message, to in groups.items()],
        "from_clients": [
            {"from": u, "messages": messages} for u, messages in sorted(play.said[stage].items())
        ],
    }


def _result(play: Play) -> dict[str, Any]:
    session = play.session
    numbers = [encoding.centred(element, session.modulus_bits) for element in play.total]
    counted = session.overflow == "clip"
    size = len(numbers) - session.weighted - counted
    units = numbers[size] if session.weighted else len(play.alive) << session.bits
    return {
        "ctx": play.ctx,
        "gone": play.gone,
        "dead": play.dead,
        "survivors": play.alive,
        "transcript": play.transcript,
        "sum": play.total,
        "integers": numbers,
        "total_weight": units / 2**session.bits,
        "clipped": numbers[-1] if counted else None,
        "mean": [number / units for number in numbers[:size]],
        "self_seeds": [
            [u, schedule.self_seed(play.client(u).self_secret, play.ctx, u, session.suite)]
            for u in play.alive
        ],
    }

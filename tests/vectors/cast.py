"""The sessions that the vectors are about: who takes part, with which secrets, in what they say."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, field
from typing import Any

from reference import encoding, prg, schedule, server, wire
from reference.client import Client, Sealed
from reference.session import Roster, Session

ADVERTISE_KEYS = "ADVERTISE_KEYS"
SHARE_KEYS = "SHARE_KEYS"
MASKED_INPUT = "MASKED_INPUT"
CONSISTENCY_CHECK = "CONSISTENCY_CHECK"
UNMASKING = "UNMASKING"
FINISHED = "FINISHED"


def fixed(label: str, size: int) -> bytes:
    """Bytes that look random and are the same for ever."""
    return hashlib.shake_256(b"fedsecure test vectors: " + label.encode()).digest(size)


@dataclass
class Player:
    """A client, and what its caller gave it."""

    client: Client
    update: dict[str, list[float]]
    weight: float | None
    rounding_seed: bytes


@dataclass
class Play:
    """One session, walked to its end.

    `said[stage][u]` is what u answers in a stage, `heard[stage][u]` the message it answers there.
    """

    name: str
    session: Session
    players: dict[int, Player]
    roster: Roster = field(default_factory=dict)
    sealed: dict[int, dict[int, Sealed]] = field(default_factory=dict)
    gone: list[int] = field(default_factory=list)
    dead: list[int] = field(default_factory=list)
    said: dict[str, dict[int, list[bytes]]] = field(default_factory=dict)
    heard: dict[str, dict[int, bytes]] = field(default_factory=dict)
    total: list[int] = field(default_factory=list)

    @property
    def ctx(self) -> bytes:
        """The session's context."""
        return self.session.context(self.roster)

    @property
    def alive(self) -> list[int]:
        """Whose vectors are in the sum."""
        return sorted(self.said[MASKED_INPUT])

    @property
    def transcript(self) -> bytes:
        """What all honest parties have in common."""
        return schedule.transcript(self.ctx, sorted(self.sealed), self.alive)

    def client(self, u: int) -> Client:
        """One of the clients."""
        return self.players[u].client

    def delivered(self, u: int) -> dict[int, Sealed]:
        """The ciphertexts for u, by sender."""
        return {v: entries[u] for v, entries in sorted(self.sealed.items()) if u in entries}


def malicious() -> Play:
    """Five clients, signatures, weights, a count of clipped values; one vanishes after sharing."""
    ids = [3, 17, 128, 70_000, 2**32 - 2]
    leaves = [("a", [2, 2], "float64"), ("b", [3], "float32")]
    identities = {u: fixed(f"identity {u}", 32) for u in ids}
    session = _session(
        "malicious",
        protocol="pairwise-masking/malicious",
        round=7,
        client_ids=ids,
        threshold=4,
        neighbors=4,
        survivors=4,
        leaves=leaves,
        bits=12,
        clip=4.0,
        max_weight=8.0,
        rounding="stochastic",
        overflow="clip",
        given_modulus_bits=None,
        weighted=True,
        chunk=4,
        suite=1,
        verify_keys=[schedule.verify_key(identities[u]) for u in ids],
    )
    play = _cast("malicious", session, identities)
    _walk(play, {MASKED_INPUT: [128]})
    return play


def regular() -> Play:
    """Twelve clients with six neighbors each, of which one vanishes in each stage."""
    ids = [0, 1, 2, 40, 127, 128, 255, 256, 65_535, 65_536, 3_000_000_000, 2**32 - 2]
    session = _session(
        "regular",
        protocol="pairwise-masking/semi-honest",
        round=2**40 + 5,
        client_ids=ids,
        threshold=4,
        neighbors=6,
        survivors=8,
        leaves=[("", [5], "float32")],
        bits=16,
        clip=2.0,
        max_weight=None,
        rounding="nearest",
        overflow="raise",
        given_modulus_bits=47,
        weighted=False,
        chunk=1 << 20,
        suite=1,
    )
    play = _cast("regular", session, {})
    ring = play.session.graph(_advertise(play, [40])).ring()
    # Far apart on the ring, so that no client loses more than two of its holders.
    _walk(
        play,
        {ADVERTISE_KEYS: [40], SHARE_KEYS: ring[:1], MASKED_INPUT: ring[4:5], UNMASKING: ring[8:9]},
    )
    return play


def small(suite: int) -> Play:
    """Four clients of another suite; one vanishes after it has shared."""
    ids = [1, 2, 200, 70_000]
    name = f"suite {suite}"
    session = _session(
        name,
        protocol="pairwise-masking/semi-honest",
        round=0,
        client_ids=ids,
        threshold=3,
        neighbors=3,
        survivors=3,
        leaves=[("", [5], "float64")],
        bits=16,
        clip=2.0,
        max_weight=None,
        rounding="stochastic",
        overflow="raise",
        given_modulus_bits=None,
        weighted=False,
        chunk=3,
        suite=suite,
    )
    play = _cast(name, session, {})
    _walk(play, {MASKED_INPUT: [200]})
    return play


def _session(name: str, **fields: Any) -> Session:
    size = 7 if fields["weighted"] else 5
    needed = encoding.ring_bits(
        len(fields["client_ids"]),
        size,
        bits=fields["bits"],
        clip=fields["clip"],
        max_weight=fields["max_weight"] if fields["weighted"] else None,
        counted=fields["overflow"] == "clip",
    )
    return Session(
        session_id=fixed(f"{name} session", 16),
        modulus_bits=fields["given_modulus_bits"] or needed,
        model_digest=fixed(f"{name} model", 32),
        **fields,
    )


def _cast(name: str, session: Session, identities: dict[int, bytes]) -> Play:
    players = {}
    for at, u in enumerate(session.client_ids):
        update = {
            path: _values(f"{name} update {u} {path}", shape, dtype, session)
            for path, shape, dtype in session.leaves
        }
        weight = [1.0, 0.5, 8.0, 2.25, 0.1][at] if session.weighted else None
        seed = fixed(f"{name} rounding seed {u}", prg.SEED_BYTES[session.suite])
        vector = encoding.encode(
            [value for path, _, _ in session.leaves for value in update[path]],
            bits=session.bits,
            clip=session.clip,
            modulus_bits=session.modulus_bits,
            weight=weight,
            seed=seed if session.rounding == "stochastic" else None,
            suite=session.suite,
            count_clipped=session.overflow == "clip",
        )
        secrets = [
            fixed(f"{name} {what} {u}", size)
            for what, size in (("c", 32), ("s", 32), ("b", 32), ("polynomials", len(seed)))
        ]
        client = Client(session, u, *secrets, vector, identities.get(u, b""))
        players[u] = Player(client, update, weight, seed)
    return Play(name, session, players)


def _values(label: str, shape: list[int], dtype: str, session: Session) -> list[float]:
    count = shape[0] * (shape[1] if len(shape) > 1 else 1)
    # A little beyond the clip where such values are clipped and counted.
    span = session.clip * (1.1 if session.overflow == "clip" else 0.9)
    words = struct.unpack(f"<{count}I", fixed(label, 4 * count))
    values = [span * (word / 2**31 - 1) for word in words]
    form = {"float64": "<d", "float32": "<f"}[dtype]
    return [struct.unpack(form, struct.pack(form, value))[0] for value in values]


def _advertise(play: Play, absent: list[int]) -> Roster:
    return {u: player.client.keys() for u, player in play.players.items() if u not in absent}


def _walk(play: Play, absent: dict[str, list[int]]) -> None:
    session = play.session
    play.roster = _advertise(play, absent.get(ADVERTISE_KEYS, []))
    play.said[ADVERTISE_KEYS] = {u: [play.client(u).advertise_keys()] for u in play.roster}
    roster = server.roster_message(session, play.roster)
    play.heard[SHARE_KEYS] = dict.fromkeys(play.roster, roster)
    _share(play, absent.get(SHARE_KEYS, []))
    play.dead = absent.get(MASKED_INPUT, [])
    alive = [u for u in play.sealed if u not in play.dead]
    answers = {u: play.client(u).masked_input() for u in play.sealed}
    play.said[MASKED_INPUT] = {u: answers[u] for u in alive}
    request = server.survivors_message(session, play.dead)
    if session.malicious:
        play.heard[CONSISTENCY_CHECK] = dict.fromkeys(alive, request)
        confirmed = {u: play.client(u).confirmation(play.dead) for u in alive}
        play.said[CONSISTENCY_CHECK] = {u: [message] for u, message in confirmed.items()}
        signatures = {u: wire.unmsgpack(wire.body(m))[0] for u, m in confirmed.items()}
        request = server.confirmations_message(session, signatures)
    play.heard[UNMASKING] = dict.fromkeys(alive, request)
    play.said[UNMASKING] = {
        u: [play.client(u).unmask_shares(play.dead)]
        for u in alive
        if u not in absent.get(UNMASKING, [])
    }
    _unmask(play)


def _share(play: Play, absent: list[int]) -> None:
    play.gone = absent
    play.said[SHARE_KEYS] = {
        u: [play.client(u).share_keys(play.roster)] for u in play.roster if u not in absent
    }
    for u, (message,) in play.said[SHARE_KEYS].items():
        entries = wire.unmsgpack(wire.body(message))[2]
        play.sealed[u] = {v: (ciphertext, *tags) for v, ciphertext, *tags in entries}
    play.heard[MASKED_INPUT] = {}
    for u in play.sealed:
        delivered = play.delivered(u)
        message = server.delivery_message(play.session, play.gone, delivered)
        play.heard[MASKED_INPUT][u] = message
        play.client(u).receive_shares(play.gone, delivered)


def _unmask(play: Play) -> None:
    graph = play.session.graph(play.roster)
    for owner in play.sealed:
        answering = [v for v in graph.holders(owner) if v in play.said[UNMASKING]]
        assert len(answering) >= play.session.threshold
    play.total = server.unmasked_sum(
        {u: play.client(u).masked for u in play.alive},
        {u: play.client(u).mask_secret for u in play.dead},
        {u: play.client(u).self_secret for u in play.alive},
        play.roster,
        graph,
        play.ctx,
        play.session.modulus_bits,
        play.session.suite,
    )
    inputs = [play.client(u).vector for u in play.alive]
    modulus = 2**play.session.modulus_bits
    assert play.total == [sum(column) % modulus for column in zip(*inputs, strict=True)]

"""What everybody agrees on before the first message."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from reference import wire
from reference.graph import Complete, Graph, Harary
from reference.schedule import h, u32

Roster = dict[int, tuple[bytes, bytes, bytes]]
"""(C_u, S_u, signature) by client."""


@dataclass(frozen=True)
class Session:
    """One run; the fields are those of the session message."""

    protocol: str
    suite: int
    session_id: bytes
    round: int
    client_ids: list[int]
    threshold: int
    neighbors: int
    survivors: int
    leaves: list[tuple[str, list[int], str]]
    clip: float
    bits: int
    max_weight: float | None
    rounding: str
    overflow: str
    given_modulus_bits: int | None
    modulus_bits: int
    weighted: bool
    model_digest: bytes
    chunk: int
    verify_keys: list[bytes] = field(default_factory=list)
    parameters: bytes = b""
    privacy: list[wire.Value] = field(default_factory=list)
    noise_shares: int = 0

    @property
    def malicious(self) -> bool:
        """Whether clients sign, and compare who survived."""
        return self.protocol == "pairwise-masking/malicious"

    @property
    def head(self) -> bytes:
        """Suite, session and round."""
        return struct.pack("<H16sQ", self.suite, self.session_id, self.round)

    def config(self) -> list[wire.Value]:
        """The configuration, in its order."""
        return [
            self.protocol,
            self.suite,
            list(self.client_ids),
            list(self.verify_keys),
            self.threshold,
            self.neighbors,
            self.survivors,
            [[path, list(shape), dtype] for path, shape, dtype in self.leaves],
            self.clip,
            self.bits,
            self.max_weight,
            self.rounding,
            self.overflow,
            self.given_modulus_bits,
            self.modulus_bits,
            self.weighted,
            self.chunk,
            self.parameters,
            wire.msgpack(self.privacy) if self.privacy else b"",
            self.noise_shares,
        ]

    def config_digest(self) -> bytes:
        """H of the canonical configuration."""
        return h(b"config", wire.msgpack(self.config()))

    def graph(self, roster: Roster) -> Graph:
        """Who shares with whom, once it is known who takes part."""
        if self.neighbors == len(self.client_ids) - 1:
            return Complete(sorted(roster))
        seed = h(b"graph-seed", self.head, roster_digest(roster))
        return Harary(sorted(roster), self.neighbors, seed)

    def context(self, roster: Roster) -> bytes:
        """H over all that the parties must have in common."""
        return h(
            b"ctx",
            self.head,
            self.config_digest(),
            self.model_digest,
            roster_digest(roster),
            self.graph(roster).digest(),
        )

    def to_bytes(self) -> bytes:
        """The session as a message."""
        return self.message(wire.SESSION, wire.SERVER, [self.config(), self.model_digest])

    def message(self, kind: int, sender: int, body: wire.Value | bytearray) -> bytes:
        """One message; a bytearray is a body that is not msgpack."""
        raw = bytes(body) if isinstance(body, bytearray) else wire.msgpack(body)
        return wire.envelope(kind, self.suite, self.session_id, self.round, sender, raw)


def roster_digest(roster: Roster) -> bytes:
    """H over ids and keys, without the signatures."""
    return h(b"roster", *(u32(u) + c + s for u, (c, s, _) in sorted(roster.items())))

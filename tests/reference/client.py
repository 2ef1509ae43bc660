"""A client of pairwise masking that is given its secrets and says what it would send.

Bonawitz et al., "Practical Secure Aggregation for Privacy-Preserving Machine Learning" (CCS 2017),
figure 4; Bell et al., "Secure Single-Server Aggregation with (Poly)Logarithmic Overhead" (CCS
2020). Derivations and messages are fedsecure's own.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from reference import prg, schedule, shamir, wire
from reference.graph import Complete, Graph
from reference.schedule import u32
from reference.session import Roster, Session

Sealed = tuple[bytes, bytes, bytes]
"""Ciphertext, key tag and seed tag."""


@dataclass
class Client:
    """One client with its secrets: c_u, s_u, b_u, the seed of its polynomials, its input.

    `identity` is empty where nobody signs.
    """

    session: Session
    me: int
    share_secret: bytes
    mask_secret: bytes
    self_secret: bytes
    polynomial_seed: bytes
    vector: list[int]
    identity: bytes = b""
    ctx: bytes = b""
    roster: Roster = field(default_factory=dict)
    own_share: bytes = b""
    held: dict[int, tuple[bytes, bytes]] = field(default_factory=dict)
    masked: list[int] = field(default_factory=list)
    sharers: list[int] = field(default_factory=list)

    def keys(self) -> tuple[bytes, bytes, bytes]:
        """C_u, S_u and the signature on both."""
        mine = schedule.public(self.share_secret), schedule.public(self.mask_secret)
        session = self.session
        statement = schedule.keys_statement(
            session.head, session.config_digest(), session.model_digest, self.me, b"".join(mine)
        )
        return (*mine, schedule.sign(self.identity, statement))

    def advertise_keys(self) -> bytes:
        """The first message."""
        return self.session.message(wire.ADVERTISE_KEYS, self.me, list(self.keys()))

    def graph(self) -> Graph:
        """Who shares with whom."""
        return self.session.graph(self.roster)

    def share_keys(self, roster: Roster) -> bytes:
        """B_u, and shares of s_u and b_u for every neighbor, tagged and encrypted."""
        self.roster, self.ctx = roster, self.session.context(roster)
        own_tag, sealed = b"", []
        for v, (key_share, seed_share) in self.shares().items():
            if v == self.me:
                self.own_share = seed_share
                own_tag = schedule.seed_tag(self.ctx, self.me, self.me, seed_share)
            else:
                sealed.append([v, *self.sealed(v, key_share, seed_share)])
        body: list[wire.Value] = [
            schedule.commitment(self.self_secret, self.ctx, self.me),
            own_tag,
            sealed,
        ]
        return self.session.message(wire.SHARE_KEYS, self.me, self.signed_shares(body))

    def signed_shares(self, body: list[wire.Value]) -> list[wire.Value]:
        """The body of SHARE_KEYS with its signature as its last element."""
        unsigned = wire.msgpack([*body, b""])
        statement = schedule.shares_statement(self.ctx, self.me, unsigned)
        return [*body, schedule.sign(self.identity, statement)]

    def shares(self) -> dict[int, tuple[bytes, bytes]]:
        """Of s_u and of b_u, by holder."""
        graph = self.graph()
        holders = graph.holders(self.me)
        of_key, of_seed = shamir.split(
            [self.mask_secret, self.self_secret],
            self.session.threshold,
            [graph.x(self.me, v) for v in holders],
            self.polynomial_seed,
            self.session.suite,
        )
        return {v: (of_key[i], of_seed[i]) for i, v in enumerate(holders)}

    def sealed(self, v: int, key_share: bytes, seed_share: bytes) -> Sealed:
        """A pair of shares encrypted to v, with both tags."""
        ctx, me = self.ctx, self.me
        tags = (
            schedule.key_tag(ctx, me, v, key_share),
            schedule.seed_tag(ctx, me, v, seed_share),
        )
        plaintext = u32(me, v) + key_share + seed_share
        return self.encrypted(v, plaintext, *tags), *tags

    def encrypted(self, v: int, plaintext: bytes, key_tag: bytes, seed_tag: bytes) -> bytes:
        """Any plaintext encrypted to v."""
        key = schedule.share_key(self.share_secret, self.roster[v][0], self.ctx, self.me, v)
        data = schedule.associated(self.ctx, self.me, v, key_tag + seed_tag)
        return schedule.seal(key, plaintext, data)

    def receive_shares(self, gone: list[int], delivered: dict[int, Sealed]) -> None:
        """Opens and keeps what the neighbors that shared have sent."""
        self.sharers = [v for v in sorted(self.roster) if v not in gone]
        neighbors = self.graph().neighbors(self.me)
        assert sorted(delivered) == [v for v in neighbors if v in self.sharers]
        for v, (ciphertext, key_tag, seed_tag) in delivered.items():
            key = schedule.share_key(self.share_secret, self.roster[v][0], self.ctx, v, self.me)
            data = schedule.associated(self.ctx, v, self.me, key_tag + seed_tag)
            plaintext = schedule.unseal(key, ciphertext, data)
            key_share, seed_share = plaintext[8:48], plaintext[48:]
            assert plaintext[:8] == u32(v, self.me)
            assert key_tag == schedule.key_tag(self.ctx, v, self.me, key_share)
            assert seed_tag == schedule.seed_tag(self.ctx, v, self.me, seed_share)
            self.held[v] = key_share, seed_share

    def masked_input(self) -> list[bytes]:
        """y_u = x_u + own mask + masks shared with smaller ids - masks shared with larger ones."""
        bits, count, suite = self.session.modulus_bits, len(self.vector), self.session.suite
        own = schedule.self_seed(self.self_secret, self.ctx, self.me, suite)
        masked = add(self.vector, prg.mask(own, count, bits, suite), 1)
        for v in self.held:
            public = self.roster[v][1]
            seed = schedule.pair_seed(self.mask_secret, public, self.ctx, self.me, v, suite)
            masked = add(masked, prg.mask(seed, count, bits, suite), 1 if v < self.me else -1)
        self.masked = [element % 2**bits for element in masked]
        chunk = self.session.chunk
        pieces = [self.masked[start : start + chunk] for start in range(0, count, chunk)]
        return [
            self.session.message(wire.MASKED_INPUT, self.me, bytearray(wire.vector(piece, bits, i)))
            for i, piece in enumerate(pieces)
        ]

    def transcript(self, dead: list[int]) -> bytes:
        """The digest all honest parties share, given who vanished after sharing."""
        alive = [v for v in self.sharers if v not in dead]
        return schedule.transcript(self.ctx, self.sharers, alive)

    def confirmation(self, dead: list[int]) -> bytes:
        """The signature on the survivors."""
        statement = schedule.survivors_statement(self.transcript(dead))
        signature = schedule.sign(self.identity, statement)
        return self.session.message(wire.CONFIRMATION, self.me, [signature])

    def unmask_shares(self, dead: list[int]) -> bytes:
        """Shares of b_v for the living, of s_v for the dead, as far as this client holds them."""
        of_seed = {v: seed_share for v, (_, seed_share) in self.held.items()}
        if isinstance(self.graph(), Complete):
            of_seed[self.me] = self.own_share
        alive: wire.Value = [[v, of_seed[v]] for v in sorted(of_seed) if v not in dead]
        buried: wire.Value = [[v, self.held[v][0]] for v in sorted(self.held) if v in dead]
        return self.session.message(wire.UNMASK_SHARES, self.me, [alive, buried])


def add(a: list[int], b: list[int], sign: int) -> list[int]:
    """a + sign * b, not reduced."""
    return [x + sign * y for x, y in zip(a, b, strict=True)]

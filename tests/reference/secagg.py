"""Double-masked secure aggregation, complete graph, server that follows the protocol.

Bonawitz et al., "Practical Secure Aggregation for Privacy-Preserving Machine Learning" (CCS 2017),
figure 4 without its consistency check; key derivation, context and messages are fedsecure's own.
A client is given its secrets and says what it would send; the server is a handful of functions.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from reference import prg, shamir, wire

Keys = dict[int, tuple[bytes, bytes]]
"""The roster: (C_u, S_u) by client."""


@dataclass(frozen=True)
class Session:
    """What everybody agrees on."""

    protocol: str
    suite: int
    session_id: bytes
    round: int
    client_ids: list[int]
    threshold: int
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

    def config_digest(self) -> bytes:
        """H("fedsecure/v1/config" || canonical configuration)."""
        fields: list[wire.Value] = [
            self.protocol,
            self.suite,
            list(self.client_ids),
            self.threshold,
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
        ]
        return sha256(b"fedsecure/v1/config" + wire.msgpack(fields))

    def context(self, roster: Keys) -> bytes:
        """H over all that the parties must have in common."""
        members = b"".join(u32(u) + c + s for u, (c, s) in sorted(roster.items()))
        graph = b"complete" + b"".join(u32(u) for u in sorted(roster))
        return sha256(
            b"fedsecure/v1/ctx"
            + struct.pack("<H16sQ", self.suite, self.session_id, self.round)
            + self.config_digest()
            + self.model_digest
            + sha256(b"fedsecure/v1/roster" + members)
            + sha256(b"fedsecure/v1/graph" + graph)
        )

    def message(self, kind: int, sender: int, body: wire.Value | bytearray) -> bytes:
        """One message; a bytearray is a body that is not msgpack."""
        raw = bytes(body) if isinstance(body, bytearray) else wire.msgpack(body)
        return wire.envelope(kind, self.suite, self.session_id, self.round, sender, raw)


@dataclass
class Client:
    """One client with its secrets: c_u, s_u, b_u, the seed of its polynomials, its input."""

    session: Session
    me: int
    share_secret: bytes
    mask_secret: bytes
    self_secret: bytes
    polynomial_seed: bytes
    vector: list[int]
    ctx: bytes = b""
    roster: Keys = field(default_factory=dict)
    own_share: bytes = b""
    held: dict[int, tuple[bytes, bytes]] = field(default_factory=dict)
    masked: list[int] = field(default_factory=list)

    def advertise_keys(self) -> bytes:
        """C_u and S_u."""
        keys: wire.Value = [public(self.share_secret), public(self.mask_secret)]
        return self.session.message(wire.ADVERTISE_KEYS, self.me, keys)

    def share_keys(self, roster: Keys) -> bytes:
        """B_u, and shares of s_u and b_u for everybody else, encrypted."""
        self.roster, self.ctx = roster, self.session.context(roster)
        everybody = sorted(roster)
        xs = [1 + everybody.index(v) for v in everybody]
        of_mask, of_self = shamir.split(
            [self.mask_secret, self.self_secret], self.session.threshold, xs, self.polynomial_seed
        )
        sealed: list[wire.Value] = []
        for v, s_share, b_share in zip(everybody, of_mask, of_self, strict=True):
            if v == self.me:
                self.own_share = b_share
                continue
            purpose = b"fedsecure/v1/share" + u32(self.me) + u32(v)
            key = kdf(agree(self.share_secret, roster[v][0]), self.ctx, purpose, 32)
            plaintext = u32(self.me) + u32(v) + s_share + b_share
            sealed.append([v, AESGCM(key).encrypt(bytes(12), plaintext, self.ctx + purpose)])
        return self.session.message(wire.SHARE_KEYS, self.me, [self.commitment(), sealed])

    def commitment(self) -> bytes:
        """B_u."""
        return sha256(b"fedsecure/v1/commit" + self.ctx + u32(self.me) + self.self_secret)

    def masked_input(self, delivered: dict[int, bytes]) -> list[bytes]:
        """y_u = x_u + own mask + masks shared with smaller ids - masks shared with larger ones."""
        for v, ciphertext in delivered.items():
            purpose = b"fedsecure/v1/share" + u32(v) + u32(self.me)
            key = kdf(agree(self.share_secret, self.roster[v][0]), self.ctx, purpose, 32)
            plaintext = AESGCM(key).decrypt(bytes(12), ciphertext, self.ctx + purpose)
            assert plaintext[:8] == u32(v) + u32(self.me)
            self.held[v] = plaintext[8:48], plaintext[48:]
        bits, count = self.session.modulus_bits, len(self.vector)
        masked = add(
            self.vector, prg.mask(self_seed(self.self_secret, self.ctx, self.me), count, bits), 1
        )
        for v in delivered:
            mask = prg.mask(
                pair_seed(self.mask_secret, self.roster[v][1], self.ctx, self.me, v), count, bits
            )
            masked = add(masked, mask, 1 if v < self.me else -1)
        self.masked = [element % 2**bits for element in masked]
        chunk = self.session.chunk
        pieces = [self.masked[start : start + chunk] for start in range(0, count, chunk)]
        return [
            self.session.message(wire.MASKED_INPUT, self.me, bytearray(wire.vector(piece, bits, i)))
            for i, piece in enumerate(pieces)
        ]

    def unmask_shares(self, dead: list[int]) -> bytes:
        """Shares of b_v for the living, of s_v for the dead."""
        sharers = sorted([*self.held, self.me])
        of_self = {v: b_share for v, (_, b_share) in self.held.items()} | {self.me: self.own_share}
        alive: list[wire.Value] = [[v, of_self[v]] for v in sharers if v not in dead]
        buried: list[wire.Value] = [[v, self.held[v][0]] for v in sharers if v in dead]
        return self.session.message(wire.UNMASK_SHARES, self.me, [alive, buried])


def roster_message(session: Session, roster: Keys) -> bytes:
    """What every client that advertised keys is sent."""
    body: wire.Value = [[[u, c, s] for u, (c, s) in sorted(roster.items())]]
    return session.message(wire.ROSTER, wire.SERVER, body)


def delivery_message(session: Session, delivered: dict[int, bytes]) -> bytes:
    """What a client that shared its keys is sent: ciphertexts by sender."""
    body: wire.Value = [[[u, ciphertext] for u, ciphertext in sorted(delivered.items())]]
    return session.message(wire.SHARE_DELIVERY, wire.SERVER, body)


def request_message(session: Session, dead: list[int]) -> bytes:
    """What every survivor is sent."""
    body: wire.Value = [sorted(dead)]
    return session.message(wire.UNMASK_REQUEST, wire.SERVER, body)


def unmasked_sum(
    masked: dict[int, list[int]],
    mask_secrets: dict[int, bytes],
    self_secrets: dict[int, bytes],
    roster: Keys,
    ctx: bytes,
    bits: int,
) -> list[int]:
    """The sum of the survivors' inputs, from b_v of the survivors and s_v of the dead."""
    count = len(next(iter(masked.values())))
    total = [0] * count
    for u, vector in masked.items():
        total = add(total, vector, 1)
        total = add(total, prg.mask(self_seed(self_secrets[u], ctx, u), count, bits), -1)
        for v, secret in mask_secrets.items():
            mask = prg.mask(pair_seed(secret, roster[u][1], ctx, u, v), count, bits)
            total = add(total, mask, -1 if v < u else 1)
    return [element % 2**bits for element in total]


def pair_seed(secret: bytes, other_public: bytes, ctx: bytes, u: int, v: int) -> bytes:
    """The seed of the mask between u and v, from either's secret."""
    purpose = b"fedsecure/v1/pair" + u32(min(u, v)) + u32(max(u, v))
    return kdf(agree(secret, other_public), ctx, purpose, prg.SEED_BYTES)


def self_seed(secret: bytes, ctx: bytes, u: int) -> bytes:
    """The seed of the self mask of u."""
    return kdf(secret, ctx, b"fedsecure/v1/self" + u32(u), prg.SEED_BYTES)


def add(a: list[int], b: list[int], sign: int) -> list[int]:
    """a + sign * b, not reduced."""
    return [x + sign * y for x, y in zip(a, b, strict=True)]


def public(secret: bytes) -> bytes:
    """The X25519 public key."""
    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()


def agree(secret: bytes, other_public: bytes) -> bytes:
    """X25519."""
    peer = X25519PublicKey.from_public_bytes(other_public)
    return X25519PrivateKey.from_private_bytes(secret).exchange(peer)


def kdf(ikm: bytes, salt: bytes, info: bytes, size: int) -> bytes:
    """HKDF-SHA256."""
    return HKDF(hashes.SHA256(), size, salt, info).derive(ikm)


def sha256(data: bytes) -> bytes:
    """H."""
    return hashlib.sha256(data).digest()


def u32(value: int) -> bytes:
    """Little-endian."""
    return value.to_bytes(4, "little")

"""Everything that is derived, each with its label: keys, seeds, commitments, tags, statements."""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from reference import prg

LABEL = b"fedsecure/v1/"


def h(label: bytes, *parts: bytes) -> bytes:
    """SHA-256 of a label and the parts in a row."""
    return hashlib.sha256(LABEL + label + b"".join(parts)).digest()


def u32(*values: int) -> bytes:
    """Little-endian."""
    return b"".join(value.to_bytes(4, "little") for value in values)


def public(secret: bytes) -> bytes:
    """The X25519 public key."""
    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()


def agree(secret: bytes, other_public: bytes) -> bytes:
    """X25519."""
    peer = X25519PublicKey.from_public_bytes(other_public)
    return X25519PrivateKey.from_private_bytes(secret).exchange(peer)


def kdf(ikm: bytes, ctx: bytes, info: bytes, size: int) -> bytes:
    """HKDF-SHA256."""
    return HKDF(hashes.SHA256(), size, ctx, info).derive(ikm)


def share_key(secret: bytes, other_public: bytes, ctx: bytes, sender: int, receiver: int) -> bytes:
    """The key under which `sender` encrypts shares to `receiver`, from either's secret."""
    agreed = agree(secret, other_public)
    return kdf(agreed, ctx, LABEL + b"share" + u32(sender, receiver), 32)


def pair_seed(secret: bytes, other_public: bytes, ctx: bytes, u: int, v: int, suite: int) -> bytes:
    """The seed of the mask between u and v, from either's secret."""
    info = LABEL + b"pair" + u32(min(u, v), max(u, v))
    return kdf(agree(secret, other_public), ctx, info, prg.SEED_BYTES[suite])


def self_seed(self_secret: bytes, ctx: bytes, u: int, suite: int) -> bytes:
    """The seed of the self mask of u."""
    return kdf(self_secret, ctx, LABEL + b"self" + u32(u), prg.SEED_BYTES[suite])


def commitment(self_secret: bytes, ctx: bytes, u: int) -> bytes:
    """B_u."""
    return h(b"commit", ctx, u32(u), self_secret)


def key_tag(ctx: bytes, owner: int, holder: int, share: bytes) -> bytes:
    """The tag of a share of the owner's mask key."""
    return h(b"tag-key", ctx, u32(owner, holder), share)


def seed_tag(ctx: bytes, owner: int, holder: int, share: bytes) -> bytes:
    """The tag of a share of the owner's self seed."""
    return h(b"tag-seed", ctx, u32(owner, holder), share)


def associated(ctx: bytes, sender: int, receiver: int, tags: bytes) -> bytes:
    """What a ciphertext is bound to besides its key; `tags` is key tag and seed tag in a row."""
    return ctx + LABEL + b"share" + u32(sender, receiver) + tags


def seal(key: bytes, plaintext: bytes, data: bytes) -> bytes:
    """AES-256-GCM; a key is used once, with the nonce zero."""
    return AESGCM(key).encrypt(bytes(12), plaintext, data)


def unseal(key: bytes, ciphertext: bytes, data: bytes) -> bytes:
    """The inverse of `seal`."""
    return AESGCM(key).decrypt(bytes(12), ciphertext, data)


def verify_key(identity: bytes) -> bytes:
    """The Ed25519 public key."""
    return Ed25519PrivateKey.from_private_bytes(identity).public_key().public_bytes_raw()


def sign(identity: bytes, statement: bytes) -> bytes:
    """Ed25519; empty for one who has no identity."""
    return Ed25519PrivateKey.from_private_bytes(identity).sign(statement) if identity else b""


def keys_statement(
    head: bytes, config_digest: bytes, model_digest: bytes, u: int, keys: bytes
) -> bytes:
    """What a client signs when it advertises C_u and S_u, here in a row."""
    return LABEL + b"sign-keys" + head + config_digest + model_digest + u32(u) + keys


def shares_statement(ctx: bytes, u: int, unsigned: bytes) -> bytes:
    """What a client signs when it shares: the body it will send, with an empty signature."""
    return LABEL + b"sign-shares" + ctx + u32(u) + h(b"shares", unsigned)


def survivors_statement(transcript: bytes) -> bytes:
    """What a client signs when it has seen who survived."""
    return LABEL + b"sign-survivors" + transcript


def transcript(ctx: bytes, sharers: list[int], survivors: list[int]) -> bytes:
    """What all honest parties have in common in the end."""
    sharers, survivors = sorted(sharers), sorted(survivors)
    return h(
        b"transcript",
        ctx,
        u32(len(sharers), *sharers),
        u32(len(survivors), *survivors),
    )

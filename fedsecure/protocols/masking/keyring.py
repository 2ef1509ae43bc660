"""All that a client keeps secret between the roster and the end of its session, in one place."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fedsecure.errors import CheaterDetected, CryptoError, RemoteProtocolError
from fedsecure.primitives import entropy, keys
from fedsecure.primitives.entropy import Secret
from fedsecure.primitives.masks import MaskSet, Prg
from fedsecure.primitives.shamir import SHARE_BYTES, is_share, split
from fedsecure.protocols.masking import schedule
from fedsecure.protocols.masking.messages import HeldShare, Member, SealedShares, UnmaskShares

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from fedsecure.primitives.graph import Graph
    from fedsecure.primitives.keys import PrivateKey

__all__ = ["KeyRing", "KeyRingSecrets"]

_IDS = struct.Struct("<II")
_PAIR_BYTES = 2 * SHARE_BYTES


@dataclass(frozen=True, repr=False)
class KeyRingSecrets:
    """All secrets of a ring as bytes; what is not there yet, or wiped, is empty."""

    outward: bytes | bytearray = b""
    inward: bytes | bytearray = b""
    pair_seeds: bytes | bytearray = b""
    self_seed: bytes = b""
    own_share: bytes = b""
    held: bytes = b""


class KeyRing:
    """One client's derived keys and the shares it holds.

    Everything the roster allows is derived at once (`agree`): a bad key is found before a share
    leaves the client, and the private keys need not be kept.

    Args:
        client_id: Whose ring this is.
        ctx: The session's context, 32 bytes.
        prg: What seeds are for.
        graph: Who shares with whom.
        secrets: What `agree` derived, or `save` gave.
    """

    def __init__(
        self, client_id: int, ctx: bytes, prg: Prg, graph: Graph, secrets: KeyRingSecrets
    ) -> None:
        self._client_id = client_id
        self._ctx = ctx
        self._prg = prg
        self._graph = graph
        self._row = {peer: row for row, peer in enumerate(graph.neighbors(client_id))}
        self._outward = Secret(secrets.outward)
        self._inward = Secret(secrets.inward)
        self._pair_seeds = Secret(secrets.pair_seeds)
        self._self_seed = Secret(secrets.self_seed)
        self._own_share = Secret(secrets.own_share)
        self._held = Secret(secrets.held)

    @classmethod
    def agree(
        cls,
        *,
        client_id: int,
        ctx: bytes,
        prg: Prg,
        graph: Graph,
        members: Mapping[int, Member],
        share_key: PrivateKey,
        mask_key: PrivateKey,
    ) -> KeyRing:
        """Returns the ring of a client that has seen the roster.

        Args:
            client_id: Whose ring this is.
            ctx: The session's context, 32 bytes.
            prg: What seeds are for.
            graph: Who shares with whom.
            members: The roster by id.
            share_key: c_u, the private key for encrypting shares.
            mask_key: s_u, the private key for pairwise masks.

        Raises:
            RemoteProtocolError: A neighbor's public key is malformed or of low order.
        """
        outward, inward, pair_seeds = bytearray(), bytearray(), bytearray()
        for peer in graph.neighbors(client_id):
            try:
                agreed = share_key.agree(members[peer].share_key)
                outward += schedule.share_key(agreed, ctx, client_id, peer)
                inward += schedule.share_key(agreed, ctx, peer, client_id)
                agreed = mask_key.agree(members[peer].mask_key)
                pair_seeds += schedule.pair_seed(agreed, ctx, prg, client_id, peer)
            except CryptoError as error:
                raise RemoteProtocolError(f"keys of client {peer}: {error}") from None
        secrets = KeyRingSecrets(outward=outward, inward=inward, pair_seeds=pair_seeds)
        return cls(client_id, ctx, prg, graph, secrets)

    def save(self) -> tuple[bytes, ...]:
        """Returns what is secret here and not wiped yet, in the order of `KeyRingSecrets`."""
        return tuple(b"" if secret.wiped else bytes(secret.view) for secret in self._secrets())

    def distribute(
        self, mask_secret: Secret, self_secret: Secret, threshold: int
    ) -> tuple[bytes, bytes, tuple[SealedShares, ...]]:
        """Returns B_u, the tag of the share kept, and both secrets shared among the neighbors.

        Afterwards neither secret is needed any more. Can be done once: the keys that encrypt are
        wiped, since each may encrypt one message only.

        Args:
            mask_secret: s_u, 32 bytes.
            self_secret: b_u, 32 bytes.
            threshold: Shares that give a secret back.
        """
        me, ctx = self._client_id, self._ctx
        self._self_seed = Secret(schedule.self_seed(self_secret.view, ctx, self._prg, me))
        holders = self._graph.holders(me)
        positions = range(1, len(holders) + 1)
        shares = split([mask_secret, self_secret], threshold, positions, self._prg)
        mask_shares, self_shares = (memoryview(row).cast("B") for row in shares)
        outward = self._outward.view
        own_tag = b""
        sealed: list[SealedShares] = []
        for at, peer in enumerate(holders):
            where = slice(at * SHARE_BYTES, (at + 1) * SHARE_BYTES)
            if peer == me:
                self._own_share = Secret(bytearray(self_shares[where]))
                own_tag = schedule.seed_tag(ctx, me, me, self._own_share.view)
            else:
                key = _row(outward, self._row[peer], schedule.KEY_BYTES)
                sealed.append(self._seal(peer, key, mask_shares[where], self_shares[where]))
        self._outward.wipe()
        entropy.wipe(shares.data)
        return schedule.commitment(self_secret.view, ctx, me), own_tag, tuple(sealed)

    def accept(self, sealed: Sequence[SealedShares]) -> None:
        """Decrypts and keeps the shares of the neighbors; the keys for them are then wiped.

        Raises:
            CheaterDetected: A neighbor encrypted something else than two well-formed shares to this
                client, or shares that are not those of its tags.
            RemoteProtocolError: A sender is no neighbor, or a ciphertext is not what that
                neighbor encrypted to this client in this session.
        """
        held = bytearray(len(self._row) * _PAIR_BYTES)
        inward = self._inward.view
        for entry in sealed:
            row = self._row.get(entry.peer)
            if row is None:
                raise RemoteProtocolError(f"shares from client {entry.peer}, which is no neighbor")
            held[row * _PAIR_BYTES : (row + 1) * _PAIR_BYTES] = self._open(
                entry, _row(inward, row, schedule.KEY_BYTES)
            )
        self._held = Secret(held)
        self._inward.wipe()

    def masks(self, alive: Collection[int]) -> MaskSet:
        """Returns the self mask and the masks shared with the neighbors that are alive."""
        peers = [peer for peer in self._row if peer in alive]
        pair_seeds, size = self._pair_seeds.view, self._prg.seed_bytes
        seeds = [_row(pair_seeds, self._row[peer], size) for peer in peers]
        signs = [schedule.pair_sign(self._client_id, peer) for peer in peers]
        return MaskSet([self._self_seed.view, *seeds], [1, *signs], self._prg)

    def forget_masks(self) -> None:
        """Overwrites what the masks come from."""
        self._self_seed.wipe()
        self._pair_seeds.wipe()

    def unmask_shares(self, alive: Collection[int], dead: Collection[int]) -> UnmaskShares:
        """Returns one share per client: of the seed of the living, of the mask key of the dead.

        Args:
            alive: Clients whose masked input arrived, this one among them.
            dead: Clients that shared their secrets and vanished; no client is in both.
        """
        holders = self._graph.holders(self._client_id)
        return UnmaskShares(
            alive=tuple(
                self._held_share(owner, self_seed=True) for owner in holders if owner in alive
            ),
            dead=tuple(
                self._held_share(owner, self_seed=False) for owner in holders if owner in dead
            ),
        )

    def wipe(self) -> None:
        """Overwrites everything."""
        for secret in self._secrets():
            secret.wipe()

    def __repr__(self) -> str:
        return f"KeyRing(client {self._client_id}, contents hidden)"

    def _held_share(self, owner: int, *, self_seed: bool) -> HeldShare:
        if owner == self._client_id:  # which is alive
            return HeldShare(owner, bytes(self._own_share.view))
        pair = _row(self._held.view, self._row[owner], _PAIR_BYTES)
        return HeldShare(owner, bytes(pair[SHARE_BYTES:] if self_seed else pair[:SHARE_BYTES]))

    def _secrets(self) -> tuple[Secret, ...]:
        return (
            self._outward,
            self._inward,
            self._pair_seeds,
            self._self_seed,
            self._own_share,
            self._held,
        )

    def _seal(
        self, peer: int, key: memoryview, mask_share: memoryview, self_share: memoryview
    ) -> SealedShares:
        me, ctx = self._client_id, self._ctx
        key_tag = schedule.key_tag(ctx, me, peer, mask_share)
        seed_tag = schedule.seed_tag(ctx, me, peer, self_share)
        associated = schedule.share_label(ctx, me, peer, key_tag, seed_tag)
        plaintext = b"".join((_IDS.pack(me, peer), mask_share, self_share))
        ciphertext = keys.encrypt(key, plaintext, associated)
        return SealedShares(peer, ciphertext, key_tag, seed_tag)

    def _open(self, entry: SealedShares, key: memoryview) -> bytes:
        me, ctx, peer = self._client_id, self._ctx, entry.peer
        associated = schedule.share_label(ctx, peer, me, entry.key_tag, entry.seed_tag)
        try:
            plaintext = keys.decrypt(key, entry.ciphertext, associated)
        except CryptoError as error:
            raise RemoteProtocolError(
                f"shares from client {peer}: {error}; it, or the server, altered them"
            ) from None
        # It opened, so the peer itself encrypted it, and whatever is wrong below is its doing.
        mask_share, self_share = plaintext[_IDS.size : -SHARE_BYTES], plaintext[-SHARE_BYTES:]
        names = _IDS.unpack_from(plaintext)
        if names != (peer, me) or not is_share(mask_share) or not is_share(self_share):
            raise CheaterDetected(f"shares from client {peer} are not well-formed", peer)
        tags = (
            schedule.key_tag(ctx, peer, me, mask_share),
            schedule.seed_tag(ctx, peer, me, self_share),
        )
        if tags != (entry.key_tag, entry.seed_tag):
            raise CheaterDetected(f"shares from client {peer} do not have the tags it gave", peer)
        return plaintext[_IDS.size :]


def _row(rows: memoryview, row: int, size: int) -> memoryview:
    return rows[row * size : (row + 1) * size]

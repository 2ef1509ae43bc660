"""All that a client keeps secret between the roster and the end of its session, in one place."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from fedsecure.errors import CryptoError, RemoteProtocolError
from fedsecure.primitives import entropy, keys
from fedsecure.primitives.entropy import Secret
from fedsecure.primitives.keys import PrivateKey
from fedsecure.primitives.masks import SEED_BYTES, MaskSet
from fedsecure.primitives.shamir import SHARE_BYTES, is_share, split
from fedsecure.protocols.masking import schedule
from fedsecure.protocols.masking.messages import HeldShare, Member, SealedShares, UnmaskShares

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from fedsecure.primitives.graph import Graph

__all__ = ["KeyRing"]

_IDS = struct.Struct("<II")
_PAIR_BYTES = 2 * SHARE_BYTES


class KeyRing:
    """One client's derived keys and the shares it holds.

    Everything the roster allows is derived at once: a bad key is found before a share leaves the
    client, and the private keys need not be kept.

    Args:
        client_id: Whose ring this is.
        ctx: The session's context, 32 bytes.
        graph: Who shares with whom.
        members: The roster by id.
        share_secret: c_u, the private key for encrypting shares.
        mask_secret: s_u, the private key for pairwise masks.

    Raises:
        RemoteProtocolError: A neighbor's public key is malformed or of low order.
    """

    def __init__(
        self,
        *,
        client_id: int,
        ctx: bytes,
        graph: Graph,
        members: Mapping[int, Member],
        share_secret: Secret,
        mask_secret: Secret,
    ) -> None:
        self._client_id = client_id
        self._ctx = ctx
        self._graph = graph
        self._row = {peer: row for row, peer in enumerate(graph.neighbors(client_id))}
        outward, inward, pair_seeds = bytearray(), bytearray(), bytearray()
        share, mask = PrivateKey(share_secret), PrivateKey(mask_secret)
        for peer in self._row:
            try:
                agreed = share.agree(members[peer].share_key)
                outward += schedule.share_key(agreed, ctx, client_id, peer)
                inward += schedule.share_key(agreed, ctx, peer, client_id)
                agreed = mask.agree(members[peer].mask_key)
                pair_seeds += schedule.pair_seed(agreed, ctx, client_id, peer)
            except CryptoError as error:
                raise RemoteProtocolError(f"keys of client {peer}: {error}") from None
        self._outward, self._inward = Secret(outward), Secret(inward)
        self._pair_seeds = Secret(pair_seeds)
        self._self_seed = Secret(b"")
        self._own_share = Secret(b"")
        self._held = Secret(b"")

    def distribute(
        self, mask_secret: Secret, self_secret: Secret, threshold: int
    ) -> tuple[bytes, tuple[SealedShares, ...]]:
        """Returns B_u and the shares of both secrets, encrypted to the neighbors.

        Afterwards neither secret is needed any more. Can be done once: the keys that encrypt are
        wiped, since each may encrypt one message only.

        Args:
            mask_secret: s_u, 32 bytes.
            self_secret: b_u, 32 bytes.
            threshold: Shares that give a secret back.
        """
        me, ctx = self._client_id, self._ctx
        self._self_seed = Secret(schedule.self_seed(self_secret.view, ctx, me))
        holders = self._graph.holders(me)
        positions = [self._graph.position(me, holder) for holder in holders]
        mask_shares, self_shares = split([mask_secret, self_secret], threshold, positions)
        sealed: list[SealedShares] = []
        for at, peer in enumerate(holders):
            if peer == me:
                self._own_share = Secret(self_shares[at].tobytes())
                continue
            key = _slice(self._outward, self._row[peer], schedule.KEY_BYTES)
            pair = mask_shares[at].tobytes() + self_shares[at].tobytes()
            associated = schedule.share_label(ctx, me, peer)
            ciphertext = keys.encrypt(key, _IDS.pack(me, peer) + pair, associated)
            sealed.append(SealedShares(peer, ciphertext))
        self._outward.wipe()
        entropy.wipe(mask_shares.data)
        entropy.wipe(self_shares.data)
        return schedule.commitment(self_secret.view, ctx, me), tuple(sealed)

    def accept(self, sealed: Sequence[SealedShares]) -> None:
        """Decrypts and keeps the shares of the neighbors; the keys for them are then wiped.

        Raises:
            RemoteProtocolError: A sender is no neighbor, or a ciphertext is not what that
                neighbor encrypted to this client in this session.
        """
        held = bytearray(len(self._row) * _PAIR_BYTES)
        for entry in sealed:
            row = self._row.get(entry.peer)
            if row is None:
                raise RemoteProtocolError(f"shares from client {entry.peer}, which is no neighbor")
            held[row * _PAIR_BYTES : (row + 1) * _PAIR_BYTES] = self._open(entry, row)
        self._held = Secret(held)
        self._inward.wipe()

    def masks(self, alive: Collection[int]) -> MaskSet:
        """Returns the self mask and the masks shared with the neighbors that are alive."""
        peers = [peer for peer in self._row if peer in alive]
        seeds = [_slice(self._pair_seeds, self._row[peer], SEED_BYTES) for peer in peers]
        signs = [schedule.pair_sign(self._client_id, peer) for peer in peers]
        masks = MaskSet([self._self_seed.view, *seeds], [1, *signs])
        self._self_seed.wipe()
        self._pair_seeds.wipe()
        return masks

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
        for secret in (
            self._outward,
            self._inward,
            self._pair_seeds,
            self._self_seed,
            self._own_share,
            self._held,
        ):
            secret.wipe()

    def __repr__(self) -> str:
        return f"KeyRing(client {self._client_id}, contents hidden)"

    def _held_share(self, owner: int, *, self_seed: bool) -> HeldShare:
        if owner == self._client_id:  # which is alive
            return HeldShare(owner, bytes(self._own_share.view))
        pair = _slice(self._held, self._row[owner], _PAIR_BYTES)
        return HeldShare(owner, bytes(pair[SHARE_BYTES:] if self_seed else pair[:SHARE_BYTES]))

    def _open(self, entry: SealedShares, row: int) -> bytes:
        key = _slice(self._inward, row, schedule.KEY_BYTES)
        associated = schedule.share_label(self._ctx, entry.peer, self._client_id)
        try:
            plaintext = keys.decrypt(key, entry.ciphertext, associated)
        except CryptoError as error:
            raise RemoteProtocolError(f"shares from client {entry.peer}: {error}") from None
        pair = plaintext[_IDS.size :]
        names = _IDS.unpack_from(plaintext)
        well_formed = is_share(pair[:SHARE_BYTES]) and is_share(pair[SHARE_BYTES:])
        if names != (entry.peer, self._client_id) or not well_formed:
            raise RemoteProtocolError(f"shares from client {entry.peer} are not well-formed")
        return pair


def _slice(secret: Secret, row: int, size: int) -> memoryview:
    return secret.view[row * size : (row + 1) * size]

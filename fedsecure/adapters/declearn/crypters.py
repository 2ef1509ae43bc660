"""From a client's values to masked ones, and from their sums to values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from declearn.model.api import Vector
from declearn.secagg import api

from fedsecure.adapters.declearn.sums import RING, FedsecureAggregate, Packed
from fedsecure.encoding import Contribution, FixedPoint, decode_sum
from fedsecure.errors import EncodingError, LocalProtocolError, ThresholdError
from fedsecure.primitives import entropy, keys, masks
from fedsecure.primitives.entropy import Secret
from fedsecure.primitives.masks import MaskSet, Prg

__all__ = ["FedsecureDecrypter", "FedsecureEncrypter"]

_PRG = Prg.AES128


class FedsecureEncrypter(api.Encrypter):
    """Encodes and masks one client's values. Each call uses masks of its own.

    Args:
        secrets: 32 secret bytes shared with each peer, by the peer's public identity key.
        own: This client's public identity key.
        bitsize: Ring width in bits; see `FedsecureConfigServer`.
        clipval: Largest magnitude of a float.

    Raises:
        ThresholdError: Fewer than two peers.
        EncodingError: The ring is too narrow for so many clients.
    """

    def __init__(
        self, secrets: Mapping[bytes, bytes], own: bytes, *, bitsize: int, clipval: float
    ) -> None:
        super().__init__(bitsize=bitsize, clipval=clipval)
        self._peers = len(secrets) + 1
        self._encoding = _encoding(self._peers, bitsize, clipval)
        self._secrets = [Secret(secret) for secret in secrets.values()]
        self._signs = [1 if own < peer else -1 for peer in secrets]
        everybody = b"".join(sorted((own, *secrets)))
        parameters = f"{bitsize} {float(clipval).hex()}".encode()
        self._context = keys.digest(b"declearn", everybody, parameters)
        self._number = 0

    def encrypt_uint(self, value: int) -> int:
        """Returns a masked integer, 0 or above.

        Raises:
            EncodingError: The sum over all clients could exceed 64 bits.
        """
        return int(self._masked(self._integers(np.array([value], object), signed=False))[0])

    def encrypt_float(self, value: float) -> int:
        """Returns a masked fixed-point number.

        Raises:
            EncodingError: It is not finite, or beyond `clipval`.
        """
        one = self._contribution(np.array([value], np.float64))
        vector = self._masked(one.encode(0, 1))
        masks.reduce(vector, self._bits(1))
        return int(vector[0])

    def encrypt_numpy_array(self, value: Any) -> tuple[list[Any], tuple[list[int], str]]:
        """Returns a masked array, and its shape and dtype.

        Raises:
            EncodingError: Values that are not finite or too large, or a dtype that has no sum.
        """
        spec = (list(value.shape), value.dtype.name)
        if value.dtype.kind in "iu":
            vector = self._integers(value.ravel(), signed=value.dtype.kind == "i")
            return [Packed(64, vector.size, masks.pack(self._masked(vector), 64))], spec
        if value.dtype.kind != "f":
            raise EncodingError(f"an array of {value.dtype} cannot be summed; give floats or ints")
        return [self._packed(np.ascontiguousarray(value).reshape(-1))], spec

    def encrypt_vector(self, value: Any) -> tuple[list[Any], Any]:
        """Returns a masked `Vector`, and its specification.

        Raises:
            EncodingError: As in `encrypt_numpy_array`.
        """
        values, spec = value.flatten()
        return [self._packed(np.array(values, np.float64))], spec

    def wrap_into_secure_aggregate(
        self,
        encrypted: list[Any],
        enc_specs: list[Any],
        cleartext: dict[str, Any] | None,
        agg_cls: type[Any],
    ) -> FedsecureAggregate:
        """Returns all of an aggregate's fields."""
        return FedsecureAggregate(
            encrypted, enc_specs, cleartext, agg_cls, n_aggrg=1, number=self._number
        )

    def _packed(self, flat: Any) -> Packed:
        contribution = self._contribution(flat)
        fresh = self._next_masks()
        try:
            message = contribution.message(b"", 0, flat.size, fresh)
        finally:
            fresh.wipe()
        return Packed(self._bits(flat.size), flat.size, message)

    def _contribution(self, flat: Any) -> Contribution:
        layout = self._encoding.layout(self._peers, flat.size, weighted=False)
        seed = entropy.draw(_PRG.seed_bytes)
        try:
            return Contribution(
                [flat],
                ["value"],
                encoding=self._encoding,
                layout=layout,
                weight=None,
                seed=seed.view,
                threads=masks.threads(),
            )
        finally:
            seed.wipe()

    def _bits(self, size: int) -> int:
        return self._encoding.layout(self._peers, size, weighted=False).modulus_bits

    def _integers(self, flat: Any, *, signed: bool) -> Any:
        largest = ((1 << 63) - 1 if signed else RING - 1) // self._peers
        least = -largest if signed else 0
        if flat.size and not (least <= int(flat.min()) and int(flat.max()) <= largest):
            raise EncodingError(
                f"an integer is outside [{least}, {largest}]: the sum over {self._peers} clients "
                "could exceed 64 bits"
            )
        return flat.astype(np.int64).view(np.uint64) if signed else flat.astype(np.uint64)

    def _masked(self, vector: Any) -> Any:
        fresh = self._next_masks()
        try:
            fresh.apply(vector)
        finally:
            fresh.wipe()
        return vector

    def _next_masks(self) -> MaskSet:
        """Returns masks that no other call has or will have."""
        low, high = self._number & 0xFFFFFFFF, self._number >> 32
        self._number += 1
        purpose = keys.info(b"declearn-pair", low, high)
        seeds = [
            keys.derive(secret.view, self._context, purpose, _PRG.seed_bytes)
            for secret in self._secrets
        ]
        return MaskSet(seeds, self._signs, _PRG)


class FedsecureDecrypter(api.Decrypter):
    """Decodes sums over all clients, in which masks have cancelled.

    Args:
        n_peers: Number of clients.
        bitsize: As the clients have it.
        clipval: As the clients have it.

    Raises:
        ThresholdError: Fewer than three clients.
    """

    secure_aggregate_cls = FedsecureAggregate

    def __init__(self, n_peers: int, *, bitsize: int, clipval: float) -> None:
        super().__init__(n_peers, bitsize=bitsize, clipval=clipval)
        self._encoding = _encoding(n_peers, bitsize, clipval)

    def sum_encrypted(self, values: list[int]) -> int:
        """Returns the sum of masked integers."""
        return sum(values) % RING

    def decrypt_uint(self, value: int) -> int:
        """Returns the sum of integers."""
        return value % RING

    def decrypt_float(self, value: int) -> float:
        """Returns the sum of fixed-point numbers.

        Raises:
            RemoteProtocolError: Not the sum of honest clients.
        """
        layout = self._encoding.layout(self.n_peers, 1, weighted=False)
        element = value % (1 << layout.modulus_bits)
        return float(
            self._decoded(Packed(layout.modulus_bits, 1, np.array([element], layout.dtype)))[0]
        )

    def decrypt_numpy_array(self, values: list[Any], specs: tuple[list[int], str]) -> Any:
        """Returns the sum of arrays.

        Raises:
            RemoteProtocolError: Not the sum of honest clients.
        """
        shape, dtype = specs
        if np.dtype(dtype).kind == "u":
            return values[0].total().astype(dtype).reshape(shape)
        if np.dtype(dtype).kind == "i":
            return values[0].total().view(np.int64).astype(dtype).reshape(shape)
        return self._decoded(values[0]).astype(dtype).reshape(shape)

    def decrypt_vector(self, values: list[Any], specs: Any) -> Any:
        """Returns the sum of `Vector` objects.

        Raises:
            RemoteProtocolError: Not the sum of honest clients.
        """
        return Vector.build_from_specs(self._decoded(values[0]).tolist(), specs)

    def _decoded(self, summed: Packed) -> Any:
        layout = self._encoding.layout(self.n_peers, summed.length, weighted=False)
        if summed.bits != layout.modulus_bits:
            raise LocalProtocolError(
                f"a sum of {summed.bits} bits, not {layout.modulus_bits}; set secagg up anew"
            )
        total = summed.total()
        masks.reduce(total, layout.modulus_bits)
        decoded = decode_sum(
            total,
            encoding=self._encoding,
            layout=layout,
            num_contributors=self.n_peers,
            dtype=np.float64,
            threads=masks.threads(),
        )
        return decoded.values * self.n_peers


def _encoding(num_clients: int, bitsize: int, clipval: float) -> FixedPoint:
    """Returns the finest encoding of which the sum of so many fits the ring."""
    if num_clients < 3:
        raise ThresholdError(
            f"{num_clients} clients are too few: of two, each can subtract its own from the sum; "
            "invite at least 3"
        )
    for bits in range(60, -1, -1):
        try:
            encoding = FixedPoint(clip=clipval, bits=bits)
            if encoding.required_bits(num_clients) <= bitsize:
                return encoding
        except EncodingError:
            continue
    raise EncodingError(
        f"no number up to {clipval:g} of {num_clients} clients fits {bitsize} bits; raise bitsize"
    )

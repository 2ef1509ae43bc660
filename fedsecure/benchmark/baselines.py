"""The same masked sum as users write it without fedsecure, and the inputs of all measurements.

Only here does the package touch a generator of numpy's, which is not made for secrets: as the
baseline that a few other systems use for masks.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES, ChaCha20
from cryptography.hazmat.primitives.ciphers.modes import CTR

from fedsecure._prg import Prg
from fedsecure.primitives.samplers import DiscreteGaussian

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cryptography.hazmat.primitives.ciphers import CipherContext
    from numpy.typing import NDArray

__all__ = ["IN_CACHE", "aes_ctr", "chacha20", "cryptography_masks", "pcg64_masks", "update"]

IN_CACHE = 1 << 16
"""Words of 4 bytes in a piece: the best size measured, keystream and sum stay in the cache."""

_NONCE_BYTES = 8
# Steps in a standard deviation of the weights, fine enough for float32.
_STEPS = 1 << 20


def update(size: int, number: int = 0) -> NDArray[np.float32]:
    """Returns weights as training leaves them: float32, N(0, 0.05), the same in every run.

    Args:
        size: How many.
        number: Another one gives others, 0 or more.
    """
    seed = number.to_bytes(Prg.AES256.seed_bytes, "little")
    drawn = DiscreteGaussian(Fraction(_STEPS**2)).draw(size, seed)
    return (drawn * (0.05 / _STEPS)).astype(np.float32)


def aes_ctr(seed: bytes) -> CipherContext:
    """Returns AES-128-CTR or AES-256-CTR of `cryptography` for a seed: key, 8 bytes of nonce."""
    key, nonce = seed[:-_NONCE_BYTES], seed[-_NONCE_BYTES:]
    return Cipher(AES(key), CTR(nonce + bytes(8))).encryptor()


def chacha20(seed: bytes) -> CipherContext:
    """Returns ChaCha20 of `cryptography` for a seed: 32 bytes of key, 8 of nonce."""
    key, nonce = seed[:-_NONCE_BYTES], seed[-_NONCE_BYTES:]
    return Cipher(ChaCha20(key, bytes(8) + nonce), None).encryptor()


def cryptography_masks(
    total: NDArray[np.uint32],
    seeds: Sequence[bytes],
    signs: Sequence[int],
    cipher: Callable[[bytes], CipherContext] = aes_ctr,
    piece: int = IN_CACHE,
) -> None:
    """Adds the masks of all seeds: a cipher of `cryptography`, without copies, and numpy's add.

    The same keystream, and so the same sum, as fedsecure's. With pieces of `IN_CACHE` words all
    seeds pass over one of them while it is in the cache, which takes work to find; with
    ``len(total)`` it is what one writes first: `update_into` for the whole vector, then the sum.

    Args:
        total: The sum, changed in place.
        seeds: One for each mask.
        signs: +1 or -1 for each.
        cipher: Makes a keystream of a seed.
        piece: How many words are made at a time.
    """
    streams = [cipher(seed) for seed in seeds]
    zeros, out = memoryview(bytes(4 * piece)), np.empty(4 * piece + 16, np.uint8)
    for start in range(0, len(total), piece):
        part = total[start : start + piece]
        mask = out[: part.nbytes].view(np.uint32)
        for stream, sign in zip(streams, signs, strict=True):
            stream.update_into(zeros[: part.nbytes], out.data)
            _combine(part, mask, sign)


def pcg64_masks(
    total: NDArray[np.uint32],
    seeds: Sequence[int],
    signs: Sequence[int],
    piece: int = IN_CACHE,
) -> None:
    """Adds masks that numpy's PCG64 draws, which is no generator for secrets: masks for free.

    Args:
        total: The sum, changed in place.
        seeds: Any numbers.
        signs: +1 or -1 for each.
        piece: How many words are drawn at a time, as above.
    """
    generators = [np.random.Generator(np.random.PCG64(seed)) for seed in seeds]
    for start in range(0, len(total), piece):
        part = total[start : start + piece]
        for generator, sign in zip(generators, signs, strict=True):
            _combine(part, generator.integers(0, 1 << 32, len(part), np.uint32), sign)


def _combine(part: NDArray[Any], mask: NDArray[Any], sign: int) -> None:
    if sign > 0:
        np.add(part, mask, out=part)
    else:
        np.subtract(part, mask, out=part)

"""The rotation that spreads a vector over all its coordinates: H diag(xi), with public signs xi.

Source: Kairouz, Liu and Steinke, ICML 2021, section 4. It keeps distances, so it costs no privacy,
and makes every coordinate about as large as any other, so that a narrow ring holds the sum.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fedsecure._prg import Prg
from fedsecure.errors import LocalProtocolError
from fedsecure.primitives import keys, samplers

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["rotate", "rotate_back"]

_PRG = Prg.AES256


def rotate(vector: NDArray[np.float64], public_seed: bytes) -> None:
    """Rotates in place, and makes the vector sqrt(D) times longer.

    Args:
        vector: 1-D, contiguous; the length D a power of two up to 2**30.
        public_seed: 32 bytes of this session, the same for all its parties.

    Raises:
        LocalProtocolError: The public seed or the vector has another length.
    """
    samplers.flip_signs(vector, _seed(public_seed), prg=_PRG)
    samplers.hadamard(vector)


def rotate_back(vector: NDArray[np.float64], public_seed: bytes) -> None:
    """Undoes the rotation in place, and makes the vector sqrt(D) times longer. See `rotate`."""
    samplers.hadamard(vector)
    samplers.flip_signs(vector, _seed(public_seed), prg=_PRG)


def _seed(public_seed: bytes) -> bytes:
    if len(public_seed) != 32:
        raise LocalProtocolError(f"the public seed has 32 bytes, not {len(public_seed)}")
    return keys.derive(public_seed, b"", keys.info(b"privacy/rotation"), _PRG.seed_bytes)

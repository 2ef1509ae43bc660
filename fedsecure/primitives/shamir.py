"""Shamir's t-of-n sharing of 32-byte secrets over GF(2^61 - 1), five limbs of 52 bits.

A share is 40 bytes: five canonical field elements, little-endian. The arithmetic is in the
compiled core, constant-time in the secrets; this module brings entropy and turns refusals into
`CryptoError`.
Source: Shamir, "How to share a secret" (CACM 1979).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np

from fedsecure import _core
from fedsecure._prg import Prg
from fedsecure.errors import CryptoError
from fedsecure.primitives import entropy
from fedsecure.primitives.entropy import Secret
from fedsecure.primitives.masks import threads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["SECRET_BYTES", "SHARE_BYTES", "combine", "combine_each", "is_share", "split"]

SECRET_BYTES = 32
SHARE_BYTES = 40
_PRIME = (1 << 61) - 1
_ELEMENTS = struct.Struct("<5Q")


def split(
    secrets: Sequence[Secret], threshold: int, xs: Sequence[int], prg: Prg = Prg.AES128
) -> NDArray[np.uint8]:
    """Returns shares of several secrets: uint8, shape (len(secrets), len(xs), 40).

    Args:
        secrets: 32 bytes each.
        threshold: How many shares give a secret back; fewer say nothing about it.
        xs: The holders' abscissas, distinct, in 1..2^32 - 1.
        prg: What the polynomials come from.

    Raises:
        CryptoError: Wrong sizes, or abscissas that are not distinct and non-zero.
    """
    rows = np.empty((len(secrets), SECRET_BYTES), np.uint8)
    for row, secret in zip(rows, secrets, strict=True):
        if len(secret) != SECRET_BYTES:
            raise CryptoError(f"secrets to share have {SECRET_BYTES} bytes, not {len(secret)}")
        row[:] = np.frombuffer(secret.view, np.uint8)
    seed = entropy.draw(prg.seed_bytes)
    try:
        return _core.shamir_split(rows, threshold, np.asarray(xs, np.uint32), seed.view, prg=prg)
    except ValueError as error:
        raise CryptoError(f"cannot share: {error}") from None
    finally:
        seed.wipe()
        _core.wipe(rows.data)


def combine(xs: Sequence[int], shares: NDArray[np.uint8]) -> list[Secret]:
    """Returns the secrets behind shares that all lie at the same abscissas.

    Args:
        xs: Exactly `threshold` distinct abscissas.
        shares: uint8, shape (number of secrets, len(xs), 40).

    Raises:
        CryptoError: A share is malformed, or some result is no 32-byte secret.
    """
    try:
        rows = _core.shamir_combine(
            np.asarray(xs, np.uint32), np.ascontiguousarray(shares), threads=threads()
        )
    except ValueError as error:
        raise CryptoError(f"shares do not combine: {error}") from None
    return _taken_over(rows)


def combine_each(xs: NDArray[np.uint32], shares: NDArray[np.uint8]) -> list[Secret | None]:
    """Returns the secrets of many owners in one go; None for each whose shares give no secret.

    Args:
        xs: Exactly `threshold` distinct abscissas for each secret, shape (number of secrets,
            threshold). Secrets that have the same ones cost least.
        shares: uint8, shape (number of secrets, threshold, 40), at those abscissas.

    Raises:
        CryptoError: Wrong shapes, or abscissas that are not distinct and non-zero.
    """
    try:
        rows, good = _core.shamir_combine_each(
            np.ascontiguousarray(xs, np.uint32), np.ascontiguousarray(shares), threads=threads()
        )
    except ValueError as error:
        raise CryptoError(f"shares do not combine: {error}") from None
    return [
        secret if is_one else None
        for secret, is_one in zip(_taken_over(rows), good.tolist(), strict=True)
    ]


def is_share(data: bytes) -> bool:
    """Returns whether `data` has the form of a share: five canonical field elements."""
    if len(data) != SHARE_BYTES:
        return False
    largest: int = max(_ELEMENTS.unpack(data))
    return largest < _PRIME


def _taken_over(rows: NDArray[np.uint8]) -> list[Secret]:
    secrets = [Secret(bytearray(row)) for row in rows]
    _core.wipe(rows.data)
    return secrets

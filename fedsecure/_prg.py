"""The generators that masks, random roundings and the polynomials of shares come from."""

from __future__ import annotations

from enum import IntEnum
from typing import Literal

__all__ = ["Prg", "PrgName"]

PrgName = Literal["aes128", "aes256", "chacha20"]
_NONCE_BYTES = 8


class Prg(IntEnum):
    """A cipher in counter mode, with the number of the suite that uses it.

    A seed is its key and an 8-byte nonce, and stands for one endless keystream: of AES-CTR (NIST SP
    800-38A), or of ChaCha20 (RFC 8439, section 2.3, with 64 bits for block numbers).
    """

    AES128 = 1
    AES256 = 2
    CHACHA20 = 3

    @property
    def seed_bytes(self) -> int:
        """Length of a seed."""
        return (16 if self is Prg.AES128 else 32) + _NONCE_BYTES

    @classmethod
    def named(cls, name: PrgName) -> Prg:
        """Returns the generator of that name; `KeyError` if there is none."""
        return cls[name.upper()]

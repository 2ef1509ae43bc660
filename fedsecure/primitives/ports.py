"""What the processor's AES instructions can do at most: the bound of every mask."""

from __future__ import annotations

from fedsecure import _core

__all__ = ["ROUNDS_PER_BLOCK", "aes_rounds"]

ROUNDS_PER_BLOCK = 10
"""Rounds of AES-128 for one block of 16 bytes (FIPS 197, section 5)."""


def aes_rounds(count: int) -> int:
    """Does at least `count` rounds of AES in registers and returns how many; to be timed.

    With the instructions of the kernel set in use, on one thread, and nothing else: no keystream
    comes out faster than 16 bytes in the time of `ROUNDS_PER_BLOCK` of them.

    Args:
        count: From 0 to 2^63 - 1.

    Returns:
        The rounds done; 0 where the kernel set in use has no AES instructions.
    """
    return _core.aes_rounds(count)

"""A key of safe primes, dealt once for all tests: making another takes seconds."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from fedsecure.paillier._dealer import deal
from fedsecure.paillier.threshold import KeyShare, ThresholdPublic

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Two safe primes of 1024 bits, made for the tests: everybody knows them now.
P = int(
    "e511cd69858d16175c5250a491b65f96c1972e60b8de358c4dc158baabd81d7e9734e4a6a89b4153dcd1812e301d1f"
    "03cacf0f3360f7a240fcd7767e8276bd1c2900251b4e00b572a8f9769060ceb4cae81d248da6344b5502c59989a8c8"
    "586b04718f8f5d1c50db0c4455691a79400740dc5e1442f56e936c96635fe0609ba7",
    16,
)
Q = int(
    "dc6df4dd513a32a9f0cad9d45dd46403c5ec885b2a580c5de2eb4f08f6c4306bfcda6b3b659a11962df3e2c7cf64c1"
    "fc608aabd906505bc355a8dbfb52a527b67d9c15688886ad7a492524dd508b850eb758eaea4d5199e4d8ea42da94f3"
    "607ceeafe738817822f4b3af58a4acab948b6a8dc2648478faf5e0fdc344ab965537",
    16,
)
N = P * Q
ROW_BYTES = 512


@cache
def dealt(parties: int = 5, quorum: int = 3) -> tuple[ThresholdPublic, list[KeyShare]]:
    """The same key, dealt to so many parties."""
    dealing = deal(P, Q, parties, quorum)
    public = ThresholdPublic(dealing.key, quorum, dealing.verify_base, dealing.verify_keys)
    return public, [KeyShare(public, i, d_i) for i, d_i in enumerate(dealing.shares, 1)]


def rows_of(numbers: list[int], size: int = ROW_BYTES) -> NDArray[np.uint8]:
    """Numbers as rows."""
    joined = b"".join(number.to_bytes(size, "little") for number in numbers)
    return np.frombuffer(joined, np.uint8).reshape(len(numbers), size).copy()


def numbers_of(rows: NDArray[np.uint8]) -> list[int]:
    """Rows as numbers."""
    return [int.from_bytes(row.tobytes(), "little") for row in rows]


def encrypted(plaintexts: list[int]) -> NDArray[np.uint8]:
    """Fresh ciphertexts of plaintexts below n."""
    return dealt()[0].key.encrypt_rows(rows_of(plaintexts, ROW_BYTES // 2))

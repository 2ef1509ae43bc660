"""Public parts, shares and partial decryptions as bytes: one encoding each."""

from __future__ import annotations

import struct
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedsecure.errors import CryptoError, LocalProtocolError, RemoteProtocolError
from fedsecure.paillier import PrivateKey
from fedsecure.paillier.threshold import (
    KeyShare,
    PartialDecryption,
    ThresholdPublic,
    verify_partial,
)
from fedsecure.primitives.sealed import seal
from threshold_keys import N, P, Q, dealt, encrypted, rows_of

if TYPE_CHECKING:
    from collections.abc import Callable

PASSWORD = "correct horse battery staple"


@cache
def partial() -> bytes:
    return dealt()[1][3].partial_rows(encrypted([6, 7])).to_bytes()


@cache
def share_file() -> bytes:
    return dealt()[1][3].to_bytes(PASSWORD)


def test_a_public_part_comes_back() -> None:
    public, _ = dealt()
    again = ThresholdPublic.from_bytes(public.to_bytes())
    assert again == public
    assert again.to_bytes() == public.to_bytes()
    assert again.fingerprint == public.fingerprint
    assert dealt(5, 2)[0].fingerprint != public.fingerprint
    assert hash(again) == hash(public)
    assert repr(public).startswith("ThresholdPublic(3 of 5, PublicKey(2048 bits")


def test_the_layout_of_a_public_part() -> None:
    public, _ = dealt()
    powers = [public.verify_base, *public.verify_keys]
    expected = struct.pack("<4sBHHH", b"FSTP", 1, 2048, 5, 3) + N.to_bytes(256, "little")
    assert public.to_bytes() == expected + rows_of(powers).tobytes()


def refused_publics() -> dict[str, bytes]:
    public, _ = dealt()
    good = public.to_bytes()
    first = 11 + 256

    def put(at: int, data: bytes) -> bytes:
        return good[:at] + data + good[at + len(data) :]

    return {
        "nothing": b"",
        "half a header": good[:7],
        "a header": good[:11],
        "one byte less": good[:-1],
        "one byte more": good + b"\0",
        "another mark": put(0, b"FSPP"),
        "another version": put(4, b"\2"),
        "another size": put(5, struct.pack("<H", 3072)),
        "a size that is none": put(5, struct.pack("<H", 0)),
        "fewer parties": put(7, b"\4"),
        "more parties": put(7, b"\6"),
        "too many parties": struct.pack("<4sBHHH", b"FSTP", 1, 2048, 65, 3)
        + good[11:first]
        + rows_of([pow(4, k, N**2) for k in range(2, 68)]).tobytes(),
        "one party alone": put(9, b"\1"),
        "nobody": put(9, b"\0"),
        "more than all": put(9, b"\6"),
        "an even modulus": put(11, bytes([good[11] ^ 1])),
        "a short modulus": put(first - 1, b"\1"),
        "a second spelling, with zeros": struct.pack("<4sBHHH", b"FSTP", 1, 3072, 5, 3)
        + N.to_bytes(384, "little")
        + rows_of([public.verify_base, *public.verify_keys], 768).tobytes(),
        "v is zero": put(first, bytes(512)),
        "v is one": put(first, b"\1" + bytes(511)),
        "v is n squared": put(first, (N**2).to_bytes(512, "little")),
        "v has a factor of n": put(first, (P * 6).to_bytes(512, "little")),
        "v_2 is v_1": put(first + 2 * 512, good[first + 512 : first + 1024]),
        "v_5 is beyond": put(first + 5 * 512, b"\xff" * 512),
        "v_5 has a factor of n": put(first + 5 * 512, (Q * 6).to_bytes(512, "little")),
    }


@pytest.mark.parametrize("kind", refused_publics())
def test_public_parts_that_are_refused(kind: str) -> None:
    with pytest.raises(CryptoError):
        ThresholdPublic.from_bytes(refused_publics()[kind])


@given(st.binary(max_size=64))
def test_any_bytes_for_a_public_part(tail: bytes) -> None:
    for head in (b"", b"FSTP\1", dealt()[0].to_bytes()[:11]):
        with pytest.raises(CryptoError):
            ThresholdPublic.from_bytes(head + tail)


def test_a_partial_decryption_comes_back() -> None:
    public, shares = dealt()
    rows = encrypted([6, 7])
    made = shares[3].partial_rows(rows, b"here")
    again = PartialDecryption.from_bytes(made.to_bytes(), public)
    assert again.to_bytes() == made.to_bytes()
    assert again.index == 4
    np.testing.assert_array_equal(again.rows, made.rows)
    verify_partial(public, rows, again, b"here")
    assert repr(made) == "PartialDecryption(party 4, 2 ciphertexts)"


@pytest.mark.parametrize("kind", [bytearray, memoryview, list, len])
def test_what_is_not_bytes(kind: Callable[[bytes], object]) -> None:
    """Bytes that can change would change under the parsed value."""
    public, _ = dealt()
    with pytest.raises(LocalProtocolError, match="read from bytes"):
        PartialDecryption.from_bytes(kind(partial()), public)  # type: ignore[arg-type]
    with pytest.raises(LocalProtocolError, match="read from bytes"):
        ThresholdPublic.from_bytes(kind(public.to_bytes()))  # type: ignore[arg-type]


def test_the_layout_of_a_partial_decryption() -> None:
    made = PartialDecryption.from_bytes(partial(), dealt()[0])
    header = struct.pack("<4sBHHQ", b"FSTD", 1, 2048, 4, 2)
    assert partial() == header + made.proof + made.rows.tobytes()
    # 4096 bits of n squared, 7 of 5!, 256 of the challenge, 128 more, and one byte to carry into.
    assert len(made.proof) == 32 + (4096 + 7 + 256 + 128 + 7) // 8 + 1


@pytest.mark.parametrize(
    ("at", "data"),
    [
        (0, b"FSTP"),
        (4, b"\0"),
        (5, struct.pack("<H", 3072)),
        (7, b"\0\0"),
        (7, b"\6\0"),
        (7, b"\4\1"),
        (9, b"\1"),
        (9, b"\3"),
        (9, struct.pack("<Q", 2**64 - 1)),
        (9, struct.pack("<Q", 2**55 + 2)),
    ],
)
def test_headers_of_partial_decryptions_that_are_refused(at: int, data: bytes) -> None:
    bad = partial()[:at] + data + partial()[at + len(data) :]
    with pytest.raises(RemoteProtocolError):
        PartialDecryption.from_bytes(bad, dealt()[0])


@given(st.integers(0, 2**16), st.binary(max_size=32))
def test_any_bytes_for_a_partial_decryption(length: int, tail: bytes) -> None:
    public, _ = dealt()
    data = partial()[: length % len(partial())] + tail
    if len(data) != len(partial()):
        with pytest.raises(RemoteProtocolError):
            PartialDecryption.from_bytes(data, public)
    with pytest.raises(RemoteProtocolError):
        PartialDecryption.from_bytes(tail, public)


def test_a_share_comes_back() -> None:
    public, shares = dealt()
    again = KeyShare.from_bytes(share_file(), PASSWORD)
    assert again.public == public
    assert again.index == 4
    assert again._secret == shares[3]._secret
    assert bytes(shares[3]._secret.view) not in share_file()
    assert shares[3].to_bytes(PASSWORD) != share_file()


@pytest.mark.parametrize("at", [0, 4, 5, 12, 100, 2000, -1])
def test_a_changed_share_file(at: int) -> None:
    data = bytearray(share_file())
    data[at] ^= 1
    with pytest.raises(CryptoError):
        KeyShare.from_bytes(bytes(data), PASSWORD)


def test_share_files_that_do_not_open() -> None:
    cut = (b"", share_file()[:10], share_file()[:-1], share_file() + b"\0")
    private = PrivateKey.from_primes(P, Q).to_bytes(PASSWORD)
    for data in (*cut, private):
        with pytest.raises(CryptoError):
            KeyShare.from_bytes(data, PASSWORD)
    with pytest.raises(CryptoError, match="wrong password"):
        KeyShare.from_bytes(share_file(), "another")
    with pytest.raises(LocalProtocolError, match="a password is text that is not empty"):
        dealt()[1][0].to_bytes("")
    with pytest.raises(LocalProtocolError):
        KeyShare.from_bytes(share_file(), b"")


def test_sealed_contents_that_are_no_share() -> None:
    public = dealt()[0].to_bytes()
    secret = bytes(dealt()[1][3]._secret.view)
    head = struct.pack("<HI", 4, len(public))
    contents = {
        "nothing": (b"", 2048),
        "no secret": (head + public, 2048),
        "a short secret": (head + public + secret[:-1], 2048),
        "half a public part": (head + public[:100], 2048),
        "another length": (struct.pack("<HI", 4, len(public) - 1) + public + secret, 2048),
        "another party": (struct.pack("<HI", 3, len(public)) + public + secret, 2048),
        "no party": (struct.pack("<HI", 0, len(public)) + public + secret, 2048),
        "another size": (head + public + secret, 3072),
    }
    for plain, bits in contents.values():
        data = seal(plain, PASSWORD, magic=b"FSTS", bits=bits)
        with pytest.raises(CryptoError):
            KeyShare.from_bytes(data, PASSWORD)

"""Encrypted vectors as bytes: any others than those of `to_bytes` are refused."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedsecure.encoding import FixedPoint
from fedsecure.errors import LocalProtocolError, RemoteProtocolError
from fedsecure.paillier import EncryptedVector
from paillier_keys import PRIMES, private_key

PRIVATE = private_key()
PUBLIC = PRIVATE.public
N = PUBLIC.n
ENCODING = FixedPoint(clip=4.0, bits=6)
# Of one ciphertext each, and of three.
DATA = PUBLIC.encrypt(np.zeros((2, 3), np.float32), encoding=ENCODING, budget=8).to_bytes()
LONG = PUBLIC.encrypt(np.zeros(3), encoding=ENCODING, packed=False).to_bytes()
ROWS_AT = len(DATA) - 512

FIELDS = [
    "key",
    "clip",
    "bits",
    "max_weight",
    "rounding",
    "modulus_bits",
    "budget",
    "shape",
    "dtype",
    "packed",
    "slot_bits",
    "terms",
    "count",
]


def with_header(data: bytes, **changes: Any) -> bytes:
    """The same vector with another header, canonical and of the right length."""
    size = struct.unpack_from("<H", data, 5)[0]
    values = dict(zip(FIELDS, msgspec.msgpack.decode(data[7 : 7 + size]), strict=True))
    assert set(changes) <= set(values)
    header = msgspec.msgpack.encode(list({**values, **changes}.values()))
    return data[:5] + struct.pack("<H", len(header)) + header + data[7 + size :]


def with_row(value: int, at: int = 1) -> bytes:
    start = len(LONG) - (3 - at) * 512
    return LONG[:start] + value.to_bytes(512, "little") + LONG[start + 512 :]


def refused(data: bytes, words: str = ".") -> None:
    with pytest.raises(RemoteProtocolError, match=words):
        EncryptedVector.from_bytes(data, PUBLIC)


def test_bytes_survive() -> None:
    for data, shape in ((DATA, (2, 3)), (LONG, (3,))):
        vector = EncryptedVector.from_bytes(data, PUBLIC)
        assert vector.shape == shape
        assert vector.terms == 1
        assert vector.to_bytes() == data
        assert with_header(data) == data
        assert not PRIVATE.decrypt(vector).any()
    assert vector.budget == 256
    assert EncryptedVector.from_bytes(DATA, PUBLIC).encoding == ENCODING


def test_terms_travel() -> None:
    vector = EncryptedVector.from_bytes(DATA, PUBLIC) * -5
    again = EncryptedVector.from_bytes(vector.to_bytes(), PUBLIC)
    assert again.terms == 5
    assert again.budget == 8


@pytest.mark.parametrize("size", [*range(40), ROWS_AT - 1, ROWS_AT, ROWS_AT + 511])
def test_cut_off(size: int) -> None:
    refused(DATA[:size])


def test_longer() -> None:
    refused(DATA + b"\0", "513 bytes came for 1 ciphertexts of 512")
    refused(DATA + DATA[-512:], "1024 bytes came")
    refused(DATA + DATA)


def test_other_marks() -> None:
    refused(b"FSEC" + DATA[4:], "not an encrypted vector")
    refused(DATA[:4] + b"\x02" + DATA[5:], "another version")


@pytest.mark.parametrize(
    "changes",
    [
        {"clip": 8.0},  # wants another ring
        {"clip": float("nan")},
        {"clip": -1.0},
        {"bits": 61},
        {"bits": -1},
        {"rounding": "up"},
        {"modulus_bits": 5},
        {"modulus_bits": 64},
        {"max_weight": 0.0},
        {"budget": 0},
        {"budget": 16},
        {"budget": 1 << 62},
        {"shape": [3, 300]},
        {"shape": [-1, 6]},
        {"shape": [1 << 40, 1 << 40, 1 << 40]},
        {"shape": [1 << 60, 0]},
        {"shape": [1] * 33},
        {"shape": "6"},
        {"dtype": "int32"},
        {"dtype": "longdouble"},
        {"packed": False},
        {"packed": 1},
        {"slot_bits": 12},
        {"slot_bits": 7},
        {"terms": 9},
        {"terms": -1},
        {"terms": 1.0},
        {"count": 2},
        {"count": 0},
        {"count": 1 << 60},
        {"key": bytes(32)},
        {"key": b""},
    ],
    ids=str,
)
def test_other_headers(changes: dict[str, Any]) -> None:
    refused(with_header(DATA, **changes))


def test_a_shape_of_the_same_size_reads_as_that_shape() -> None:
    """The header is not authenticated: whoever could change it, could encrypt something else."""
    assert EncryptedVector.from_bytes(with_header(DATA, shape=[6]), PUBLIC).shape == (6,)


def test_headers_have_one_spelling() -> None:
    size = struct.unpack_from("<H", DATA, 5)[0]
    for spelled in (
        DATA[:5] + struct.pack("<H", size + 1) + DATA[7 : 7 + size] + b"\xc0" + DATA[7 + size :],
        DATA[:7] + b"\xdc\x00\x0d" + DATA[8:],
    ):
        refused(spelled)


def test_other_keys() -> None:
    other = private_key(3072).public
    with pytest.raises(RemoteProtocolError, match="another key"):
        EncryptedVector.from_bytes(DATA, other)


@pytest.mark.parametrize("at", [0, 1, 2])
@pytest.mark.parametrize(
    "value",
    [0, N * N, N * N + 1, (1 << 4096) - 1, N, PRIMES[2048][0], PRIMES[2048][1] ** 2, N * (N - 1)],
    ids=range(8),
)
def test_ciphertexts_out_of_range_or_without_inverse(value: int, at: int) -> None:
    refused(with_row(value, at), r"number from 1|no inverse")


def test_ciphertexts_in_range_are_taken() -> None:
    for value in (1, N * N - 1, 2):
        EncryptedVector.from_bytes(with_row(value), PUBLIC)


def test_a_changed_ciphertext_is_another_plaintext_or_refused() -> None:
    """Paillier ciphertexts are malleable; what comes out is random and beyond its slots."""
    for at in (0, 200, 511):
        changed = bytearray(LONG)
        changed[-1 - at] ^= 1
        try:
            vector = EncryptedVector.from_bytes(bytes(changed), PUBLIC)
        except RemoteProtocolError:
            continue
        with pytest.raises(RemoteProtocolError, match="forged ciphertext"):
            PRIVATE.decrypt(vector)


def test_bytes_are_bytes() -> None:
    for data in (bytearray(DATA), memoryview(DATA), "FSPV", None):
        with pytest.raises(LocalProtocolError, match="read from bytes"):
            EncryptedVector.from_bytes(data, PUBLIC)  # type: ignore[arg-type]


def mutations() -> st.SearchStrategy[bytes]:
    def change(cut: int, end: int, put: bytes) -> bytes:
        return DATA[:cut] + put + DATA[end:]

    places = st.integers(0, ROWS_AT + 4)
    return st.builds(change, places, places, st.binary(max_size=20))


@given(st.one_of(st.binary(max_size=100), st.binary().map(lambda b: DATA[:7] + b), mutations()))
def test_any_bytes_are_a_vector_or_refused(data: bytes) -> None:
    try:
        vector = EncryptedVector.from_bytes(data, PUBLIC)
    except RemoteProtocolError:
        return
    assert vector.to_bytes() == data


def test_lengths_are_checked_before_memory_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    original: Callable[..., Any] = np.frombuffer
    monkeypatch.setattr(np, "frombuffer", lambda data, *a, **k: taken.append(1) or original(data))
    monkeypatch.setattr(np, "empty", lambda *a, **k: taken.append(1))
    huge = with_header(LONG, shape=[1 << 40], count=1 << 40)
    refused(huge, "ciphertexts of 512")
    assert not taken


def test_known_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Version 1 of all forms: with fixed primes and seeds, these bytes and no others."""
    from fedsecure.primitives import entropy
    from fedsecure.primitives.entropy import Secret

    monkeypatch.setattr(entropy, "draw", lambda size: Secret(bytes(range(size))))
    monkeypatch.setattr(entropy, "token", lambda size: bytes(range(size)))
    array = (np.arange(130, dtype=np.float32) - 65).reshape(2, 65) / 9
    vectors = [PUBLIC.encrypt(array), PRIVATE.encrypt(array[:1, :2], packed=False, budget=9)]
    vectors.append(vectors[0] * -3)
    known = [vector.to_bytes() for vector in vectors]
    known += [PUBLIC.to_bytes(), PRIVATE.to_bytes("password"), PUBLIC.fingerprint]
    assert [hashlib.sha256(data).hexdigest()[:16] for data in known] == [
        "93ca0e54bcea83bd",
        "51c484a9b3ac9657",
        "91821cf2c66d5888",
        "b34e607b6f061f43",
        "f49e23333ac2af86",
        "a02e3c9e79970bcd",
    ]

"""Readers of encrypted vectors and of their keys as targets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fedsecure.encoding import FixedPoint
from fedsecure.errors import CryptoError
from fedsecure.paillier import EncryptedVector, Form, PublicKey
from fuzz.reader_targets import ReaderTarget
from paillier_keys import PRIMES

if TYPE_CHECKING:
    from collections.abc import Iterator

_P, _Q = PRIMES[2048]


def encrypted_readers() -> Iterator[tuple[str, ReaderTarget]]:
    """All of them by name."""
    public = PublicKey.from_n(_P * _Q)
    yield "encrypted-vector", ReaderTarget(lambda data: _vector(data, public), _samples(public))
    yield "paillier-public-key", ReaderTarget(_public_key, [public.to_bytes()])


def _samples(public: PublicKey) -> list[bytes]:
    """Vectors whose ciphertexts are no encryptions of anything in particular."""
    found = []
    for shape, dtype, packed in (((2, 3), "float32", True), ((2,), "float16", False)):
        form = Form(public, FixedPoint(), 8, shape, dtype, packed)
        numbers = [pow(3, public.n + i, public.n_squared) for i in range(form.num_ciphertexts)]
        data = b"".join(number.to_bytes(2 * public.key_bytes, "little") for number in numbers)
        rows = np.frombuffer(data, np.uint8).reshape(form.num_ciphertexts, -1)
        found.append(EncryptedVector(form, rows, terms=5, fresh=True).to_bytes())
    return found


def _vector(data: bytes, public: PublicKey) -> None:
    vector = EncryptedVector.from_bytes(data, public)
    assert vector.to_bytes() == data, "two spellings of one vector"
    assert vector.terms <= vector.budget


def _public_key(data: bytes) -> None:
    try:
        public = PublicKey.from_bytes(data)
    except CryptoError:
        return
    assert public.to_bytes() == data, "two spellings of one key"

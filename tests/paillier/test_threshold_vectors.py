"""Encrypted arrays, decrypted together."""

from __future__ import annotations

import numpy as np
import pytest

from fedsecure import FixedPoint
from fedsecure.errors import (
    CheaterDetected,
    CryptoError,
    EncodingError,
    RemoteProtocolError,
    ThresholdError,
)
from fedsecure.paillier import EncryptedVector
from fedsecure.paillier.threshold import combine
from paillier_keys import private_key
from threshold_keys import dealt, encrypted

CONTEXT = b"round 3"
ARRAY = np.linspace(-3, 3, 150, dtype=np.float32).reshape(3, 50)


def summed() -> EncryptedVector:
    """The sum of two encrypted arrays, as it came from who added them."""
    key = dealt()[0].key
    total = key.encrypt(ARRAY) + 2 * key.encrypt(np.ones_like(ARRAY))
    return EncryptedVector.from_bytes(total.to_bytes(), key)


def test_three_of_five_read_a_sum() -> None:
    public, shares = dealt()
    total = summed()
    partials = [share.partial_decrypt(total, CONTEXT) for share in shares[2:]]
    found = combine(public, total, partials, CONTEXT)
    assert found.dtype == np.float32
    assert found.shape == ARRAY.shape
    np.testing.assert_allclose(found, ARRAY + 2, atol=2**-18)
    wider = combine(public, total, partials, CONTEXT, dtype="float64")
    assert wider.dtype == np.float64
    with pytest.raises(EncodingError, match="decrypt to float16, float32 or float64"):
        combine(public, total, partials, CONTEXT, dtype="int32")
    with pytest.raises(ThresholdError):
        combine(public, total, partials[:2], CONTEXT)
    with pytest.raises(CheaterDetected):
        combine(public, total, partials)


def test_who_added_may_also_combine() -> None:
    """What was randomized on its way out stays as it was sent."""
    public, shares = dealt()
    total = public.key.encrypt(ARRAY) + public.key.encrypt(ARRAY)
    sent = EncryptedVector.from_bytes(total.to_bytes(), public.key)
    partials = [share.partial_decrypt(sent) for share in shares[:3]]
    np.testing.assert_allclose(combine(public, total, partials), 2 * ARRAY, atol=2**-18)


def test_vectors_under_another_key() -> None:
    public, shares = dealt()
    other = private_key().public.encrypt(ARRAY)
    with pytest.raises(CryptoError, match="encrypted under"):
        shares[0].partial_decrypt(other)
    with pytest.raises(CryptoError, match="encrypted under"):
        combine(public, other, [])


def test_values_that_no_honest_party_encrypts() -> None:
    public, shares = dealt()
    form = public.key.encrypt(np.zeros(3, np.float64), encoding=FixedPoint(clip=1.0)).form
    forged = EncryptedVector(form, encrypted([1 << form.packing.slot_bits - 2]))
    partials = [share.partial_decrypt(forged) for share in shares[:3]]
    with pytest.raises(RemoteProtocolError, match="not one that honest parties"):
        combine(public, forged, partials)

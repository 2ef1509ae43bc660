"""Keys, ciphertexts and sums that cross over to phe and back."""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import pytest
from phe import paillier, util

from fedsecure.encoding import FixedPoint
from fedsecure.errors import CryptoError, EncodingError, LocalProtocolError, RemoteProtocolError
from fedsecure.paillier import EncryptedVector, PrivateKey, PublicKey, from_phe, to_phe
from fedsecure.primitives import entropy
from fedsecure.primitives.entropy import Secret
from paillier_keys import PRIMES, private_key

PRIVATE = private_key()
PUBLIC = PRIVATE.public
N = PUBLIC.n
PHE_PUBLIC = paillier.PaillierPublicKey(N)
PHE_PRIVATE = paillier.PaillierPrivateKey(PHE_PUBLIC, *PRIMES[2048])
ARRAY = np.array([[0.0, 1.0, -1.0], [0.5, -7.984375, 8.0]])


@pytest.mark.parametrize("bits", [0, 1, 3, 4, 6, 20, 22])
def test_phe_decrypts_ours(bits: int) -> None:
    array = np.round(ARRAY * 2**bits) / 2**bits
    vector = PUBLIC.encrypt(array, encoding=FixedPoint(8, bits), packed=False)
    numbers = to_phe(vector)
    assert {number.exponent for number in numbers} == {-((bits + 3) // 4)}
    assert [PHE_PRIVATE.decrypt(number) for number in numbers] == array.reshape(-1).tolist()
    total = [a + b * 3 for a, b in zip(numbers, to_phe(vector), strict=True)]
    assert [PHE_PRIVATE.decrypt(number) for number in total] == (4 * array).reshape(-1).tolist()


def test_we_decrypt_phe() -> None:
    numbers = [PHE_PUBLIC.encrypt(float(x), precision=2.0**-20) for x in ARRAY.reshape(-1)]
    vector = from_phe(numbers, PUBLIC, shape=(2, 3), dtype=np.float32)
    np.testing.assert_array_equal(PRIVATE.decrypt(vector), ARRAY.astype(np.float32), strict=True)
    ours = PUBLIC.encrypt(ARRAY.astype(np.float32), packed=False)
    mixed = EncryptedVector.from_bytes((vector * 3 - ours).to_bytes(), PUBLIC)
    np.testing.assert_array_equal(PRIVATE.decrypt(mixed), 2 * ARRAY.astype(np.float32))


def test_numbers_come_back() -> None:
    numbers = to_phe(PUBLIC.encrypt(ARRAY, packed=False))
    back = from_phe(numbers, PUBLIC, shape=ARRAY.shape)
    np.testing.assert_array_equal(PRIVATE.decrypt(back), ARRAY)


def test_different_exponents_are_brought_to_one() -> None:
    values: list[tuple[Any, float | None]] = [(5, None), (0.5, 0.1), (-2.25, 2.0**-16), (3.0, 1.0)]
    numbers = [PHE_PUBLIC.encrypt(value, precision=precision) for value, precision in values]
    assert len({number.exponent for number in numbers}) > 2
    got = PRIVATE.decrypt(from_phe(numbers, PUBLIC))
    assert got.tolist() == [5.0, 0.5, -2.25, 3.0]


def test_finer_steps_than_ours_are_refused() -> None:
    """phe's own choice of exponent keeps all 53 bits of a float."""
    with pytest.raises(EncodingError, match=r"precision=9.5367\d+e-07 in phe"):
        from_phe([PHE_PUBLIC.encrypt(0.05)], PUBLIC)
    for bits in (20, 21, 22, 23):
        with pytest.raises(EncodingError, match="precision=") as caught:
            from_phe([PHE_PUBLIC.encrypt(0.05)], PUBLIC, encoding=FixedPoint(8, bits))
        named = float(str(caught.value).split("precision=")[1].split()[0])
        again = from_phe([PHE_PUBLIC.encrypt(0.05, precision=named)], PUBLIC)
        assert abs(PRIVATE.decrypt(again)[0] - 0.05) < named


def test_steps_beyond_any_encoding_are_refused() -> None:
    with pytest.raises(EncodingError, match="do not fit"):
        from_phe([PHE_PUBLIC.encrypt(1e40, precision=1e30)], PUBLIC)


@pytest.mark.parametrize("value", [9, -9, 1e9, 10**100])
def test_values_beyond_the_encoding_are_not_decrypted(value: float) -> None:
    vector = from_phe([PHE_PUBLIC.encrypt(value, precision=0.5)], PUBLIC)
    with pytest.raises(RemoteProtocolError, match="not one that honest parties"):
        PRIVATE.decrypt(vector)


def test_sums_made_in_phe_count_their_terms() -> None:
    number = sum(PHE_PUBLIC.encrypt(8.0, precision=2.0**-20) for _ in range(3))
    with pytest.raises(RemoteProtocolError):
        PRIVATE.decrypt(from_phe([number], PUBLIC))
    assert PRIVATE.decrypt(from_phe([number], PUBLIC, terms=3)).tolist() == [24.0]
    with pytest.raises(EncodingError, match="budget=2"):
        from_phe([number], PUBLIC, terms=3, budget=2)


def test_what_is_not_of_phe_or_not_ours_is_refused() -> None:
    other = paillier.PaillierPublicKey(private_key(3072).public.n)
    with pytest.raises(EncodingError, match="another key"):
        from_phe([other.encrypt(1, r_value=3)], PUBLIC)
    with pytest.raises(LocalProtocolError, match=r"phe.EncryptedNumber is needed"):
        from_phe([5], PUBLIC)
    number = PHE_PUBLIC.encrypt(1)
    with pytest.raises(EncodingError, match="1 numbers do not fill"):
        from_phe([number], PUBLIC, shape=(2,))
    for bad in (0, N * N, -1, N, 1 << 5000):
        forged = paillier.EncryptedNumber(PHE_PUBLIC, bad)
        with pytest.raises(RemoteProtocolError):
            from_phe([number, forged], PUBLIC)
    assert from_phe([], PUBLIC).size == 0
    assert to_phe(from_phe([], PUBLIC)) == []


def test_packed_vectors_are_not_for_phe() -> None:
    with pytest.raises(EncodingError, match="packed=False"):
        to_phe(PUBLIC.encrypt(ARRAY))


def test_phe_is_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "phe", None)
    for use in (lambda: from_phe([], PUBLIC), lambda: to_phe(None)):  # type: ignore[arg-type]
        with pytest.raises(LocalProtocolError, match=r"pip install 'fedsecure\[phe\]'"):
            use()


@pytest.mark.parametrize("bits", sorted(PRIMES))
def test_keys_have_the_form_of_phe(bits: int) -> None:
    private = private_key(bits)
    jwk = json.loads(json.dumps(private.to_jwk()))
    assert jwk["kty"] == jwk["pub"]["kty"] == "DAJ"
    assert jwk["pub"]["alg"] == "PAI-GN1"
    assert jwk["key_ops"] == ["decrypt"]
    assert jwk["pub"]["key_ops"] == ["encrypt"]
    assert util.base64_to_int(jwk["pub"]["n"]) == private.public.n
    assert (util.base64_to_int(jwk["p"]), util.base64_to_int(jwk["q"])) == private.primes
    assert {**private.public.to_jwk()} == jwk["pub"]
    assert PublicKey.from_jwk(jwk["pub"]) == private.public
    assert PrivateKey.from_jwk(json.dumps(jwk)) == private
    assert PublicKey.from_jwk(json.dumps(jwk["pub"]), randomizer="full").randomizer == "full"


def test_keys_made_by_phe_are_taken() -> None:
    public, private = paillier.generate_paillier_keypair(n_length=2048)
    pub = {
        "kty": "DAJ",
        "alg": "PAI-GN1",
        "key_ops": ["encrypt"],
        "n": util.int_to_base64(public.n),
        "kid": "made by phe",
    }
    jwk = {
        "kty": "DAJ",
        "key_ops": ["decrypt"],
        "p": util.int_to_base64(private.p),
        "q": util.int_to_base64(private.q),
        "pub": pub,
    }
    ours, key = PublicKey.from_jwk(pub), PrivateKey.from_jwk(jwk)
    vector = ours.encrypt(ARRAY, packed=False)
    assert [private.decrypt(c) for c in to_phe(vector)] == ARRAY.reshape(-1).tolist()
    np.testing.assert_array_equal(key.decrypt(ours.encrypt(ARRAY)), ARRAY)
    assert key.decrypt(from_phe([public.encrypt(2)], ours)).tolist() == [2.0]


GOOD = private_key().to_jwk()


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "{",
        "[1]",
        "[" * 100000,
        None,
        {},
        {**GOOD, "kty": "RSA"},
        {**GOOD, "key_ops": ["encrypt"]},
        {**GOOD, "key_ops": "decrypt"},
        {**GOOD, "p": 5},
        {**GOOD, "p": ""},
        {**GOOD, "p": "A"},
        {**GOOD, "p": "+" + GOOD["p"][1:]},
        {**GOOD, "p": "A" * 2000},
        {**GOOD, "p": GOOD["q"]},
        {**GOOD, "pub": {}},
        {**GOOD, "pub": {**GOOD["pub"], "alg": "RSA"}},
        {**GOOD, "pub": private_key(3072).public.to_jwk()},
        {**GOOD, "p": "AQ", "q": GOOD["pub"]["n"]},
    ],
    ids=range(19),
)
def test_keys_in_another_form_are_refused(bad: Any) -> None:
    with pytest.raises(CryptoError) as caught:
        PrivateKey.from_jwk(bad)
    assert GOOD["p"] not in str(caught.value)
    with pytest.raises(CryptoError):
        PublicKey.from_jwk(bad)


def test_known_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fixed key and seeds: the ciphertexts are (1 + m n) h_s^r with r from the keystream."""
    from fedsecure import _core

    monkeypatch.setattr(entropy, "draw", lambda size: Secret(bytes(range(size))))
    stream = np.empty(384, np.uint8)
    _core.keystream(bytes(range(40)), 0, stream, prg=2)
    encoding = FixedPoint(8, 4, rounding="nearest")
    for randomizer, size in (("half", 128), ("short", 56)):
        key = PUBLIC.with_randomizer(randomizer)  # type: ignore[arg-type]
        rows = key.encrypt(np.array([1.5, -2.0]), encoding=encoding, packed=False).rows
        for i, m in enumerate((24, -32)):
            r = int.from_bytes(stream[i * size : (i + 1) * size].tobytes(), "little")
            expected = (1 + m * N) * pow(PUBLIC.h_s, r, N * N) % (N * N)
            assert int.from_bytes(rows[i].tobytes(), "little") == expected
            assert PHE_PRIVATE.raw_decrypt(expected) == m % N

"""The seam over `cryptography` gives the published answers and refuses what it must."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fedsecure.errors import CryptoError
from fedsecure.primitives import keys
from fedsecure.primitives.entropy import Secret
from fedsecure.primitives.keys import PrivateKey

VECTORS = Path(__file__).parent.parent / "vectors"
PRIME = 2**255 - 19


def wycheproof(name: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """All (group, case) pairs of a file."""
    content = json.loads((VECTORS / name).read_text())
    return [(group, case) for group in content["testGroups"] for case in group["tests"]]


def private(text: str) -> PrivateKey:
    return PrivateKey(Secret(bytes.fromhex(text)))


def test_x25519_rfc_7748_section_5_2() -> None:
    scalar = private("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4")
    point = bytes.fromhex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c")
    expected = "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"
    assert scalar.agree(point).hex() == expected


def test_x25519_rfc_7748_iterated() -> None:
    scalar = point = b"\x09" + bytes(31)
    answers = {
        1: "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079",
        1000: "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51",
    }
    for turn in range(1, 1001):
        scalar, point = PrivateKey(Secret(scalar)).agree(point), scalar
        if turn in answers:
            assert scalar.hex() == answers[turn]


def test_x25519_wycheproof() -> None:
    """Every case: the shared secret, or a refusal of what is low-order or not canonical."""
    agreed = refused = 0
    for _, case in wycheproof("x25519_test.json"):
        key, public = private(case["private"]), bytes.fromhex(case["public"])
        canonical = int.from_bytes(public, "little") < PRIME
        if canonical and "ZeroSharedSecret" not in case["flags"]:
            assert key.agree(public).hex() == case["shared"], case["tcId"]
            keys.check_public_key(public)
            agreed += 1
            continue
        reason = "low order" if canonical else "not a canonical"
        with pytest.raises(CryptoError, match=reason):
            key.agree(public)
        with pytest.raises(CryptoError, match=reason):
            keys.check_public_key(public)
        refused += 1
    assert agreed > 400
    assert refused > 20


def square_roots(number: int) -> set[int]:
    """All square roots modulo the field's prime, which is 5 modulo 8."""
    root = pow(number, (PRIME + 3) // 8, PRIME)
    both = root, root * pow(2, (PRIME - 1) // 4, PRIME) % PRIME
    return {sign * r % PRIME for r in both for sign in (1, -1) if (r * r - number) % PRIME == 0}


def test_the_points_of_low_order_are_all_there_are() -> None:
    """Doubling takes u to (u^2 - 1)^2 / (4 u (u^2 + A u + 1)), with A = 486662: halve it thrice."""
    # u^2 + A u + 1 has no roots, so that only 0 doubles to infinity, and to 0 only 1 and -1.
    assert not square_roots(486662**2 - 4)
    found = {0, 1, PRIME - 1}
    # u doubles to c = 1 or -1 where y = u + 1/u solves y^2 - 4c y - 4cA - 4 = 0.
    for c in (1, -1):
        for root in square_roots(486662 * c + 2):
            y = 2 * c + 2 * root
            halves = {(y + other) * (PRIME + 1) // 2 % PRIME for other in square_roots(y * y - 4)}
            found |= halves
    assert found == keys._LOW_ORDER
    for u in found:
        with pytest.raises(CryptoError, match="low order"):
            private("77" * 32).agree(u.to_bytes(32, "little"))


@pytest.mark.parametrize("size", [0, 31, 33])
def test_x25519_sizes(size: int) -> None:
    with pytest.raises(CryptoError, match="32 bytes"):
        PrivateKey(Secret(bytes(size)))
    with pytest.raises(CryptoError, match="32 bytes"):
        private("77" * 32).agree(bytes(size))


def test_private_keys_do_not_show_themselves() -> None:
    key = private("a5" * 32)
    assert "a5a5" not in repr(key)
    assert key.public.hex() in repr(key)
    assert len(key.public) == 32


@pytest.mark.parametrize(
    ("ikm", "salt", "info", "okm"),
    [
        (
            "0b" * 22,
            "000102030405060708090a0b0c",
            "f0f1f2f3f4f5f6f7f8f9",
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        ),
        (
            "0b" * 22,
            "",
            "",
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
        ),
    ],
    ids=["A.1", "A.3"],
)
def test_hkdf_rfc_5869(ikm: str, salt: str, info: str, okm: str) -> None:
    """Appendix A."""
    found = keys.derive(*(bytes.fromhex(text) for text in (ikm, salt, info)), 42)
    assert found.hex() == okm


def test_hkdf_wycheproof() -> None:
    checked = 0
    for _, case in wycheproof("hkdf_sha256_test.json"):
        parts = [bytes.fromhex(case[name]) for name in ("ikm", "salt", "info")]
        if case["result"] == "valid":
            assert keys.derive(*parts, case["size"]).hex() == case["okm"], case["tcId"]
            checked += 1
        else:
            with pytest.raises(ValueError, match="derive"):
                keys.derive(*parts, case["size"])
    assert checked == 83


def test_aead_wycheproof(monkeypatch: pytest.MonkeyPatch) -> None:
    """AES-256-GCM; the fixed nonce is replaced by that of each case."""
    checked = 0
    for group, case in wycheproof("aes_gcm_test.json"):
        if (group["keySize"], group["ivSize"], group["tagSize"]) != (256, 96, 128):
            continue
        key, nonce, plaintext, associated, ciphertext, tag = (
            bytes.fromhex(case[name]) for name in ("key", "iv", "msg", "aad", "ct", "tag")
        )
        monkeypatch.setattr(keys, "_NONCE", nonce)
        sealed = ciphertext + tag
        if case["result"] == "valid":
            assert keys.encrypt(key, plaintext, associated) == sealed, case["tcId"]
            assert keys.decrypt(key, sealed, associated) == plaintext, case["tcId"]
        else:
            with pytest.raises(CryptoError, match="does not authenticate"):
                keys.decrypt(key, sealed, associated)
        checked += 1
    assert checked == 66


def test_aead_refuses_any_change() -> None:
    key, plaintext, associated = bytes(range(32)), b"p" * 20, b"context"
    sealed = keys.encrypt(key, plaintext, associated)
    assert len(sealed) == len(plaintext) + keys.AEAD_OVERHEAD
    bad = [
        (bytes(32), sealed, associated),
        (key, sealed, b"contexT"),
        (key, sealed, b""),
        (key, sealed[:-1], associated),
        (key, sealed + b"\0", associated),
        (key, b"", associated),
    ]
    for at in range(len(sealed)):
        flipped = bytes([sealed[at] ^ 1])
        bad.append((key, sealed[:at] + flipped + sealed[at + 1 :], associated))
    for arguments in bad:
        with pytest.raises(CryptoError, match="does not authenticate"):
            keys.decrypt(*arguments)


def test_labels_and_ids_are_separated() -> None:
    assert keys.info(b"pair", 1, 2**32 - 1) == b"fedsecure/v1/pair\1\0\0\0\xff\xff\xff\xff"
    assert keys.info(b"self", 5) == b"fedsecure/v1/self\5\0\0\0"
    assert keys.digest(b"ctx", b"ab", b"c") == keys.digest(b"ctx", b"a", b"bc")
    assert keys.digest(b"ctx", b"abc") != keys.digest(b"roster", b"abc")

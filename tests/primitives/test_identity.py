"""Who a party is: the published answers, keys that nobody honest has, and a secret kept quiet."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from fedsecure.errors import CryptoError, LocalProtocolError
from fedsecure.primitives import identity
from fedsecure.primitives.identity import Identity, check_verify_key, verify

if TYPE_CHECKING:
    from collections.abc import Callable

VECTORS = Path(__file__).parent.parent / "vectors"
PRIME = 2**255 - 19
CURVE = -121665 * pow(121666, -1, PRIME) % PRIME
SECRET = bytes(range(32))


class Rfc8032(NamedTuple):
    """One test of RFC 8032, section 7.1."""

    secret: str
    public: str
    message: str
    signature: str


RFC_8032 = {
    "test 1": Rfc8032(
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    "test 2": Rfc8032(
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    "test 3": Rfc8032(
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
    "test SHA(abc)": Rfc8032(
        "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
        "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589"
        "09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
    ),
}


@pytest.mark.parametrize("case", RFC_8032.values(), ids=RFC_8032)
def test_rfc_8032_section_7_1(case: Rfc8032) -> None:
    secret, public, message, signature = map(bytes.fromhex, case)
    known = Identity.from_bytes(secret)
    assert known.verify_key == public
    assert known.sign(message) == signature
    check_verify_key(public)
    assert verify(public, signature, message)
    assert not verify(public, signature, message + b"\0")
    assert not verify(public, bytes([signature[0] ^ 1]) + signature[1:], message)


def test_wycheproof() -> None:
    """Every case: right signatures, and what is malleable, cut short, padded or altered."""
    counts = {"valid": 0, "invalid": 0}
    content = json.loads((VECTORS / "ed25519_test.json").read_text())
    for group in content["testGroups"]:
        public = bytes.fromhex(group["publicKey"]["pk"])
        check_verify_key(public)
        for case in group["tests"]:
            signature, message = bytes.fromhex(case["sig"]), bytes.fromhex(case["msg"])
            assert verify(public, signature, message) == (case["result"] == "valid"), case["tcId"]
            counts[case["result"]] += 1
    assert counts == {"valid": 88, "invalid": 63}


@pytest.mark.parametrize("key", [b"", bytes(31), bytes(33)])
def test_a_key_of_another_size_verifies_nothing(key: bytes) -> None:
    signature = Identity.from_bytes(SECRET).sign(b"hello")
    assert not verify(key, signature, b"hello")


# --- keys that nobody honest has --------------------------------------------------------------

Point = tuple[int, int]


def add(one: Point, other: Point) -> Point:
    """The sum on the curve -x^2 + y^2 = 1 + d x^2 y^2 (RFC 8032, section 5.1)."""
    (x1, y1), (x2, y2) = one, other
    product = CURVE * x1 * x2 * y1 * y2
    x = (x1 * y2 + x2 * y1) * pow(1 + product, -1, PRIME)
    y = (y1 * y2 + x1 * x2) * pow(1 - product, -1, PRIME)
    return x % PRIME, y % PRIME


def on_curve(y: int) -> Point | None:
    """The point with this y and an even x, if there is one."""
    square = (y * y - 1) * pow(CURVE * y * y + 1, -1, PRIME) % PRIME
    root = pow(square, (PRIME + 3) // 8, PRIME)
    if root * root % PRIME != square:
        root = root * pow(2, (PRIME - 1) // 4, PRIME) % PRIME
    if root * root % PRIME != square:
        return None
    return (root if root % 2 == 0 else PRIME - root), y


def torsion() -> list[Point]:
    """All points whose order divides 8: the multiples of L times any point of full order."""
    order = 2**252 + 27742317777372353535851937790883648493
    for y in range(2, 100):
        start = on_curve(y)
        if start is None:
            continue
        point, power = (0, 1), start
        for bit in range(order.bit_length()):
            if order >> bit & 1:
                point = add(point, power)
            power = add(power, power)
        multiples = [point]
        while multiples[-1] != (0, 1):
            multiples.append(add(multiples[-1], point))
        if len(multiples) == 8:
            return multiples
    raise AssertionError("no point of full order below 100")


def low_order_keys() -> list[bytes]:
    """Every way to write a point of low order, canonical or not, with either sign."""
    found: set[int] = set()
    for _, y in torsion():
        found |= {number for number in (y, y + PRIME) if number < 2**255}
    return [
        (number | sign << 255).to_bytes(32, "little") for number in sorted(found) for sign in (0, 1)
    ]


def test_low_order_keys_are_refused() -> None:
    keys = low_order_keys()
    assert len(keys) == 14  # five y, of which 0 and 1 fit above the prime, each with two signs
    for key in keys:
        with pytest.raises(CryptoError, match="not canonical or of low order"):
            check_verify_key(key)


def test_why_low_order_keys_are_refused() -> None:
    """One signature that no secret was needed for, right for any message."""
    neutral = b"\1" + bytes(31)
    for message in (b"one", b"another"):
        assert verify(neutral, neutral + bytes(32), message)


@pytest.mark.parametrize("sign", [0, 1])
@pytest.mark.parametrize("above", range(19))
def test_keys_that_are_not_canonical_are_refused(above: int, sign: int) -> None:
    key = (PRIME + above | sign << 255).to_bytes(32, "little")
    with pytest.raises(CryptoError, match="not canonical"):
        check_verify_key(key)


@pytest.mark.parametrize("sign", [0, 1])
def test_the_largest_and_smallest_keys(sign: int) -> None:
    """The points nearest to either end of the field are keys like any other."""
    smallest = next(y for y in range(2, 100) if on_curve(y))
    for y in (smallest, PRIME - smallest):
        assert on_curve(y)
        check_verify_key((y | sign << 255).to_bytes(32, "little"))


@pytest.mark.parametrize("key", [b"", bytes(31), b"x" * 33, bytearray(b"x" * 32), "x" * 32, None])
def test_what_is_no_32_bytes_is_no_verify_key(key: object) -> None:
    with pytest.raises(CryptoError, match="a verify key is 32 bytes"):
        check_verify_key(key)


# --- the secret half --------------------------------------------------------------------------


def test_fresh_identities_differ_and_survive_a_key_store() -> None:
    made = [Identity.generate() for _ in range(10)]
    assert len({known.verify_key for known in made}) == 10
    for known in made:
        check_verify_key(known.verify_key)
        again = Identity.from_bytes(known.to_bytes())
        assert again == known
        assert again.verify_key == known.verify_key
        assert again.to_bytes() == known.to_bytes()
        signature = again.sign(b"hello")
        assert len(signature) == identity.SIGNATURE_BYTES
        assert verify(known.verify_key, signature, b"hello")


PASSWORD = "correct horse battery staple"


def test_an_identity_in_a_file_needs_its_password() -> None:
    known = Identity.from_bytes(SECRET)
    sealed = known.to_sealed_bytes(PASSWORD)
    assert SECRET not in sealed
    assert known.to_sealed_bytes(PASSWORD) != sealed  # a fresh salt
    assert Identity.from_sealed_bytes(sealed, PASSWORD) == known
    assert Identity.from_sealed_bytes(sealed, PASSWORD.encode()).to_bytes() == SECRET
    for wrong in (PASSWORD.upper(), PASSWORD[:-1]):
        with pytest.raises(CryptoError, match="wrong password, or a changed file") as caught:
            Identity.from_sealed_bytes(sealed, wrong)
        assert wrong not in str(caught.value)


@pytest.mark.parametrize("at", [0, 4, 5, 7, 22, 23, -1])
def test_a_changed_file_is_no_identity(at: int) -> None:
    data = bytearray(Identity.from_bytes(SECRET).to_sealed_bytes(PASSWORD))
    data[at] ^= 1
    with pytest.raises(CryptoError):
        Identity.from_sealed_bytes(bytes(data), PASSWORD)


def test_what_is_no_file_of_an_identity_is_refused() -> None:
    from fedsecure.primitives.sealed import seal

    longer = seal(bytes(33), PASSWORD, magic=b"FSID", bits=256)
    with pytest.raises(CryptoError, match="32 secret bytes, not 33"):
        Identity.from_sealed_bytes(longer, PASSWORD)
    other = seal(SECRET, PASSWORD, magic=b"FSPS", bits=256)
    with pytest.raises(CryptoError, match="not a key file of this kind"):
        Identity.from_sealed_bytes(other, PASSWORD)
    with pytest.raises(CryptoError, match="too short"):
        Identity.from_sealed_bytes(b"", PASSWORD)
    for empty in ("", b"", None):
        with pytest.raises(LocalProtocolError, match="not empty"):
            Identity.from_bytes(SECRET).to_sealed_bytes(empty)


def test_from_the_systems_entropy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity.entropy, "_system", lambda size: SECRET[:size])
    assert Identity.generate().to_bytes() == SECRET


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_an_identity_has_32_bytes(size: int) -> None:
    with pytest.raises(CryptoError, match=f"32 secret bytes, not {size}"):
        Identity.from_bytes(bytes(size))


def test_equality_is_that_of_the_verify_keys() -> None:
    known, same = Identity.from_bytes(SECRET), Identity.from_bytes(SECRET)
    other = Identity.from_bytes(SECRET[::-1])
    assert known == same
    assert hash(known) == hash(same)
    assert known != other
    assert {known, same, other} == {known, other}
    assert known != known.verify_key
    assert known.verify_key != known
    assert known != SECRET


@pytest.mark.parametrize("clone", [copy.copy, copy.deepcopy, pickle.dumps])
def test_an_identity_is_not_cloned(clone: Callable[[Identity], object]) -> None:
    with pytest.raises(LocalProtocolError, match=r"neither copied nor pickled.*to_bytes"):
        clone(Identity.from_bytes(SECRET))


def test_the_secret_is_not_printed() -> None:
    known = Identity.from_bytes(SECRET)
    for text in (repr(known), str(known), f"{known}", repr({1: known}), repr(known._secret)):
        assert SECRET.hex() not in text
        assert repr(SECRET)[2:-1] not in text
    assert repr(known) == f"Identity(verify_key={known.verify_key.hex()})"
    with pytest.raises(AttributeError):
        known.note = "no room for anything else"

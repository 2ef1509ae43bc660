"""Keys as values: bytes, files, equality, and what they show of themselves."""

from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedsecure.errors import CryptoError, LocalProtocolError
from fedsecure.paillier import PrivateKey, PublicKey
from paillier_keys import PRIMES, private_key

P, Q = PRIMES[2048]
PASSWORD = "correct horse battery staple"


@pytest.mark.parametrize("bits", sorted(PRIMES))
def test_public_keys_survive_bytes(bits: int) -> None:
    public = private_key(bits).public
    data = public.to_bytes()
    assert len(data) == 7 + bits // 8
    assert PublicKey.from_bytes(data) == public
    assert PublicKey.from_bytes(data).to_bytes() == data
    assert PublicKey.from_bytes(data).fingerprint == public.fingerprint


def test_the_randomizer_is_a_choice_of_who_encrypts() -> None:
    public = private_key().public
    assert public.randomizer == "half"
    short = public.with_randomizer("short")
    assert short.randomizer == "short"
    assert short == public
    assert hash(short) == hash(public)
    assert short.to_bytes() == public.to_bytes()
    assert PublicKey.from_bytes(public.to_bytes(), randomizer="full").randomizer == "full"
    with pytest.raises(LocalProtocolError, match="'half', 'short', 'full'"):
        public.with_randomizer("none")  # type: ignore[arg-type]


def test_keys_differ() -> None:
    keys = [private_key(bits).public for bits in PRIMES]
    assert len(set(keys)) == len({key.fingerprint for key in keys}) == len(keys)
    assert keys[0] != keys[1]
    assert keys[0] != keys[0].n
    assert private_key(2048) != private_key(3072)
    assert len({private_key(bits) for bits in PRIMES}) == len(PRIMES)


def test_public_keys_are_pickled_and_copied() -> None:
    public = private_key().public.with_randomizer("short")
    for other in (pickle.loads(pickle.dumps(public)), copy.deepcopy(public)):
        assert other == public
        assert other.randomizer == "short"


@pytest.mark.parametrize(
    "change",
    [
        lambda data: b"",
        lambda data: data[:6],
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: b"XXXX" + data[4:],
        lambda data: data[:4] + b"\x02" + data[5:],
        lambda data: data[:5] + b"\x00\x0c" + data[7:],
        lambda data: data[:-1] + b"\x00",
        lambda data: data[:7] + bytes([data[7] ^ 1]) + data[8:],
    ],
)
def test_public_keys_are_read_strictly(change) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(CryptoError):
        PublicKey.from_bytes(change(private_key().public.to_bytes()))


@given(st.binary(max_size=600))
def test_any_bytes_are_a_public_key_or_refused(data: bytes) -> None:
    for candidate in (data, b"FSPP\x01\x00\x08" + data[:256].ljust(256, b"\x81")):
        try:
            PublicKey.from_bytes(candidate)
        except CryptoError:
            continue


def test_private_keys_survive_files() -> None:
    private = private_key()
    data = private.to_bytes(PASSWORD)
    again = PrivateKey.from_bytes(data, PASSWORD.encode())
    assert again == private
    assert again.primes == private.primes
    assert private.to_bytes(PASSWORD) != data
    for prime in (P, Q):
        assert prime.to_bytes(128, "little") not in data
        assert prime.to_bytes(128, "big") not in data


def test_a_wrong_password_opens_nothing() -> None:
    data = private_key().to_bytes(PASSWORD)
    with pytest.raises(CryptoError, match="wrong password, or a changed file"):
        PrivateKey.from_bytes(data, PASSWORD + " ")


@pytest.mark.parametrize("at", [5, 8, 22, 23, 200, -1])
def test_a_changed_file_opens_nothing(at: int) -> None:
    data = bytearray(private_key().to_bytes(PASSWORD))
    data[at] ^= 1
    with pytest.raises(CryptoError, match="wrong password, or a changed file"):
        PrivateKey.from_bytes(bytes(data), PASSWORD)


@pytest.mark.parametrize("data", [b"", b"FSPS", b"FSPX" + bytes(400), b"FSPS\x02" + bytes(400)])
def test_what_is_no_key_file_is_refused(data: bytes) -> None:
    with pytest.raises(CryptoError, match="not a key file"):
        PrivateKey.from_bytes(data, PASSWORD)


@pytest.mark.parametrize("password", ["", b"", None, 7])
def test_a_password_is_not_empty(password: object) -> None:
    with pytest.raises(LocalProtocolError, match="password"):
        private_key().to_bytes(password)  # type: ignore[arg-type]
    with pytest.raises(LocalProtocolError, match="password"):
        PrivateKey.from_bytes(b"FSPS\x01" + bytes(400), password)  # type: ignore[arg-type]


def test_private_keys_show_and_give_nothing() -> None:
    private = private_key()
    shown = f"{private!r} {private} {private.public!r}"
    for prime in private.primes:
        assert str(prime) not in shown
        assert f"{prime:x}"[:16] not in shown
    assert "hidden" in shown
    for copying in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(LocalProtocolError, match="to_bytes"):
            copying(private)  # type: ignore[operator]


def test_a_wiped_key_is_of_no_use() -> None:
    private = PrivateKey.from_primes(P, Q)
    private.wipe()
    with pytest.raises(CryptoError, match="wiped"):
        _ = private.primes
    with pytest.raises(CryptoError, match="wiped"):
        private.to_bytes(PASSWORD)

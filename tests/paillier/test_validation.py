"""Which moduli and primes are refused, and that refusals say why."""

from __future__ import annotations

import math

import pytest

from fedsecure.errors import CryptoError, LocalProtocolError
from fedsecure.paillier import PrivateKey, PublicKey, generate_keypair
from paillier_keys import PRIMES

P, Q = PRIMES[2048]
N = P * Q
# The largest prime below 2^2048.
PRIME_2048 = (1 << 2048) - 1942289


def power(bits: int, exponent: int) -> int:
    """A number of exactly so many bits: some base without small factors, to the exponent."""
    low, high = 1, 1 << (bits // exponent + 1)
    while low < high:  # the least base whose power has that many bits
        middle = (low + high) // 2
        low, high = (middle + 1, high) if middle**exponent < 1 << bits - 1 else (low, middle)
    base = low | 1
    while any(base % k == 0 for k in range(3, 1 << 16, 2)):
        base += 2
    assert (base**exponent).bit_length() == bits
    return base**exponent


@pytest.mark.parametrize("bits", sorted(PRIMES))
def test_products_of_two_primes_are_taken(bits: int) -> None:
    p, q = PRIMES[bits]
    public = PublicKey.from_n(p * q)
    assert public.bits == bits
    assert public.n == p * q
    assert public.key_bytes == bits // 8


@pytest.mark.parametrize(
    ("n", "words"),
    [
        (0, "0 bits"),
        (1, "1 bits"),
        (P, "1024 bits"),
        (N << 1, "2049 bits"),
        (N >> 1, "2047 bits"),
        (-N, "positive"),
        (N - 1, "even"),
        ((1 << 2048) - 1, "factor below"),
        (3 * ((1 << 2048) // 3 | 1), "factor below"),
        (PRIME_2048, "prime: its ciphertexts"),
    ],
    ids=range(10),
)
def test_unsound_moduli_are_refused(n: int, words: str) -> None:
    with pytest.raises(CryptoError, match=words):
        PublicKey.from_n(n)


@pytest.mark.parametrize("exponent", [2, 3, 4, 5, 7, 11, 64, 113])
def test_powers_are_refused(exponent: int) -> None:
    with pytest.raises(CryptoError, match="power of an integer"):
        PublicKey.from_n(power(2048, exponent))


@pytest.mark.parametrize("n", [float(1 << 1000), "3", None, True])
def test_a_modulus_is_an_int(n: object) -> None:
    with pytest.raises(LocalProtocolError, match="plain int"):
        PublicKey.from_n(n)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("p", "q", "words"),
    [
        (P, P, "equal or close"),
        (P, P + 2, "equal or close"),
        (P, P ^ 1 << 900, "equal or close"),
        (P, Q - 2, "not the two primes"),
        (P - 4, Q, "not the two primes"),
        (P, PRIMES[3072][0], "bits each"),
        (P >> 1, Q >> 1, "bits each"),
        (N >> 1, N >> 1, "bits each"),
        (-P, -Q, "bits each"),
        (1 << 1023 | 1, (1 << 1023) + (1 << 1020) + 1, "one bit short"),
    ],
    ids=range(10),
)
def test_unsound_primes_are_refused(p: int, q: int, words: str) -> None:
    with pytest.raises(CryptoError, match=words) as caught:
        PrivateKey.from_primes(p, q)
    assert str(p) not in str(caught.value)


def test_primes_are_ints() -> None:
    with pytest.raises(LocalProtocolError, match="plain ints"):
        PrivateKey.from_primes(float(3), 5)  # type: ignore[arg-type]


@pytest.mark.parametrize("bits", [1024, 2047, 0, -1, 2048.0, True, "2048", 8192])
def test_key_sizes(bits: object) -> None:
    with pytest.raises(LocalProtocolError, match="2048, 3072 or 4096"):
        generate_keypair(bits)  # type: ignore[arg-type]


def test_generated_keys_have_the_primes_that_the_proof_asks_for() -> None:
    made = [generate_keypair(2048) for _ in range(3)]
    assert len({public.n for public, _ in made}) == 3
    for public, private in made:
        p, q = private.primes
        assert p * q == public.n
        assert public.n.bit_length() == 2048
        assert p % 4 == q % 4 == 3
        assert math.gcd(p - 1, q - 1) == 2
        assert abs(p - q) > 1 << 924
        assert PrivateKey.from_primes(p, q) == private
        assert private.public == public

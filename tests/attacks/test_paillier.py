"""What encrypted vectors would leak or let happen, and that they do not."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fedsecure.encoding import FixedPoint
from fedsecure.errors import CryptoError, EncodingError, RemoteProtocolError
from fedsecure.paillier import EncryptedVector, PrivateKey, PublicKey, weighted_sum
from paillier_keys import PRIMES, private_key

PRIVATE = private_key()
PUBLIC = PRIVATE.public
N = PUBLIC.n


def rows_of(data: bytes, count: int) -> list[bytes]:
    tail = data[len(data) - 512 * count :]
    return [tail[at : at + 512] for at in range(0, len(tail), 512)]


def head_of(data: bytes, count: int) -> bytes:
    return data[: len(data) - 512 * count]


def test_magnitudes_do_not_show() -> None:
    """[A18] phe's exponents tell 1e-6 from 8.0; here all vectors of one form look alike."""
    heads = set()
    for value in (0.0, 1e-6, -1e-6, 1.0, 8.0):
        vector = PUBLIC.encrypt(np.full(3, value), packed=False)
        data = vector.to_bytes()
        assert len({len(row) for row in rows_of(data, 3)}) == 1
        heads.add(head_of(data, 3))
    assert len(heads) == 1


def test_negative_control_magnitudes_show_in_phe() -> None:
    """[A18] The same values, encrypted by phe as it does by default."""
    from phe import paillier

    key = paillier.PaillierPublicKey(N)
    numbers = [key.encrypt(value, r_value=3) for value in (1e-6, 1.0, 100.0)]
    assert len({number.exponent for number in numbers}) == 3


def test_ranges_do_not_travel() -> None:
    """[A19] The clip is one for all parties and part of the form, whatever an array's range is."""
    narrow, wide = np.array([0.001, -0.001]), np.array([7.5, -8.0])
    heads = {head_of(PUBLIC.encrypt(array).to_bytes(), 1) for array in (narrow, wide)}
    assert len(heads) == 1
    a, b = (PUBLIC.encrypt(narrow, encoding=FixedPoint(clip=clip)) for clip in (8.0, 0.001))
    with pytest.raises(EncodingError, match="encoding"):
        a + b


def test_equal_arrays_differ_when_encrypted() -> None:
    """[A20] Every ciphertext has randomness of its own, whatever made it."""
    array = np.zeros(3)
    for key in (PUBLIC, PUBLIC.with_randomizer("short"), PUBLIC.with_randomizer("full"), PRIVATE):
        seen = {
            row for _ in range(2) for row in rows_of(key.encrypt(array, packed=False).to_bytes(), 3)
        }
        assert len(seen) == 6


def test_results_do_not_show_what_they_were_made_from() -> None:
    """[A20] Whoever has the terms' ciphertexts cannot compute those of a sum that left."""
    x, y = (PUBLIC.encrypt(np.array([value])) for value in (1.0, 2.0))
    p, q = (int.from_bytes(rows_of(v.to_bytes(), 1)[0], "little") for v in (x, y))
    guesses = {
        "x": (sum([x]), p),
        "one": (x * 1, p),
        "zero": (x * 0, 1),
        "sum": (x + y, p * q),
        "difference": (x - y, p * pow(q, -1, N * N)),
        "cancelled": (x - x, 1),
        "negative": (-x, pow(p, -1, N * N)),
        "weighted": (weighted_sum([x, y], [3, -1]), p**3 * pow(q, -1, N * N)),
    }
    for name, (result, guess) in guesses.items():
        plain = int.from_bytes(result.unsafe_rows.tobytes(), "little")
        assert plain == guess % (N * N), name  # what is computed: linkable, so it does not leave
        expected = PRIVATE.decrypt(result)
        first = result.to_bytes()
        sent = int.from_bytes(rows_of(first, 1)[0], "little")
        assert sent != guess % (N * N), name
        assert math.gcd(sent - guess, N) in (N, 1), name
        assert result.to_bytes() == first
        np.testing.assert_array_equal(PRIVATE.decrypt(result), expected)


@pytest.mark.parametrize("value", [8.0, -8.0])
def test_slots_do_not_carry_over(value: float) -> None:
    """[A23] All slots at the extremes, for the whole budget; one addition more is refused."""
    array = np.full(200, value)
    array[::3] = -value
    vector = PUBLIC.encrypt(array, budget=10)
    total = sum([vector] * 10)
    assert isinstance(total, EncryptedVector)
    np.testing.assert_array_equal(PRIVATE.decrypt(total), 10 * array)
    with pytest.raises(EncodingError, match="budget=11"):
        total + vector
    with pytest.raises(EncodingError, match="budget=11"):
        vector * 11


def test_negative_control_slots_carry_over() -> None:
    """[A23] Behind the budget's back, twenty additions change a neighbor."""
    vector = PUBLIC.encrypt(np.array([8.0, 0.0]), budget=10)
    rows = vector.unsafe_rows
    power = PUBLIC.compiled.weighted_product([rows], [20])
    plain = PRIVATE.decrypt_rows(power)
    words = vector.form.packing.unpack(plain, 2).view(np.int32)
    assert words.tolist() == [-12 << 23, 1]
    with pytest.raises(RemoteProtocolError):
        PRIVATE.decrypt(EncryptedVector(vector.form, power, terms=10))


P, Q = PRIMES[2048]


@pytest.mark.parametrize(
    "n",
    [
        N - 1,
        N + 1,
        P,
        P * P,
        P * 65521,
        (P >> 8) * (Q >> 8) | 1,
        3 * (N // 3 | 1),
        (1 << 2048) - 1,
        (1 << 2048) - 1942289,
        P**3,
        -N,
        0,
    ],
    ids=range(12),
)
def test_weak_keys_are_refused(n: int) -> None:
    """[A24] Even, short, long, prime, powers, or with small factors."""
    with pytest.raises(CryptoError):
        PublicKey.from_n(n)
    if 0 < n < 1 << 2048:
        data = PUBLIC.to_bytes()[:7] + n.to_bytes(256, "little")
        with pytest.raises(CryptoError):
            PublicKey.from_bytes(data)


def test_nobody_hands_out_a_base() -> None:
    """[A24] A base of small order would encrypt nothing; it follows from n, and has none."""
    order = (P - 1) * (Q - 1)
    assert pow(PUBLIC.h_s, order, N * N) == 1
    for small in (1, 2, 4, order // 2 // ((P - 1) // 2), order // 2 // ((Q - 1) // 2)):
        assert pow(PUBLIC.h_s, small, N * N) != 1
    assert len(PUBLIC.to_bytes()) == 7 + 256


def test_close_primes_are_refused() -> None:
    """[A24] Fermat's method factors the product of primes that agree in their upper half."""
    for q in (P, P + 2, P ^ 1 << 500, P ^ 1 << 920):
        with pytest.raises(CryptoError, match="close"):
            PrivateKey.from_primes(P, q)


def test_overflow_gives_no_factor() -> None:
    """[A25] Plaintexts wrap modulo n, which is public: the difference shows nothing new."""
    for plain in (N - 1, N // 2, 1 << 2040):
        for times in (2, 3, 1 << 20):
            row = np.frombuffer(plain.to_bytes(256, "little"), np.uint8).reshape(1, -1)
            power = PUBLIC.compiled.weighted_product([PUBLIC.encrypt_rows(row)], [times])
            got = int.from_bytes(PRIVATE.decrypt_rows(power).tobytes(), "little")
            assert math.gcd(plain * times - got, N) == N


@pytest.mark.parametrize("terms", [1, 256])
def test_an_overflowing_plaintext_gives_one_answer(terms: int) -> None:
    """[A25] Nothing about a forged plaintext is said, so that decryption is no oracle for it."""
    form = PUBLIC.encrypt(np.zeros(3)).form
    answers = set()
    for plain in (N - (1 << 2040), N // 2, 1 << 2040, 1 << 32, (1 << 31) + 5):
        row = np.frombuffer(plain.to_bytes(256, "little"), np.uint8).reshape(1, -1)
        vector = EncryptedVector(form, PUBLIC.encrypt_rows(row), terms=terms)
        with pytest.raises(RemoteProtocolError) as caught:
            PRIVATE.decrypt(vector)
        answers.add(str(caught.value))
        assert caught.value.__cause__ is None
    assert len(answers) == 1

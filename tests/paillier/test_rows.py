"""Rows of ciphertexts against Python's integers, and packed plaintexts against sums of shifts."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedsecure.errors import (
    CryptoError,
    EncodingError,
    LocalProtocolError,
    RemoteProtocolError,
)
from fedsecure.paillier import Packing, PrivateKey, RunningProduct
from fedsecure.paillier.rows import invert_rows, weighted_product
from paillier_keys import PRIMES, private_key

P, Q = PRIMES[2048]
N = P * Q
PRIVATE = private_key()
PUBLIC = PRIVATE.public
NOTHING = np.empty((0, 512), np.uint8)


def to_rows(values: list[int], width: int = 256) -> np.ndarray:
    data = b"".join(value.to_bytes(width, "little") for value in values)
    return np.frombuffer(data, np.uint8).reshape(-1, width)


def to_ints(rows: np.ndarray) -> list[int]:
    return [int.from_bytes(row.tobytes(), "little") for row in rows]


PLAIN = [0, 1, N - 1, N // 2, 12345678901234567890]


def test_the_base_of_randomizers_follows_from_n() -> None:
    stream = hashlib.shake_256(b"fedsecure/v1/paillier/base" + N.to_bytes(256, "little"))
    y = int.from_bytes(stream.digest(256 + 16), "little") % N
    assert PUBLIC.h_s == pow(-y * y, N, N * N)
    # An encryption of zero, as every randomizer must be.
    assert pow(PUBLIC.h_s, (P - 1) * (Q - 1), N * N) == 1


@pytest.mark.parametrize("randomizer", ["half", "short", "full"])
@pytest.mark.parametrize("owner", [False, True])
def test_every_randomizer_decrypts_alike(randomizer, owner) -> None:  # type: ignore[no-untyped-def]
    private = PrivateKey.from_primes(P, Q, randomizer=randomizer)
    key = private if owner else PUBLIC.with_randomizer(randomizer)
    first, second = (key.encrypt_rows(to_rows(PLAIN)) for _ in range(2))
    assert not set(to_ints(first)) & set(to_ints(second))
    assert first.shape == (len(PLAIN), 512)
    assert to_ints(PRIVATE.decrypt_rows(first)) == PLAIN
    again = PUBLIC.with_randomizer(randomizer).randomize_rows(first)
    assert not set(to_ints(first)) & set(to_ints(again))
    assert to_ints(PRIVATE.decrypt_rows(again)) == PLAIN


@pytest.mark.parametrize("bits", sorted(PRIMES))
@pytest.mark.parametrize("randomizer", ["half", "short"])
def test_all_key_sizes(bits, randomizer) -> None:  # type: ignore[no-untyped-def]
    private = private_key(bits)
    public = private.public.with_randomizer(randomizer)
    plain = [0, 7, public.n - 7]
    rows = public.encrypt_rows(to_rows(plain, public.key_bytes))
    assert to_ints(private.decrypt_rows(rows)) == plain
    lam = (private.primes[0] - 1) * (private.primes[1] - 1)
    for value, ciphertext in zip(plain, to_ints(rows), strict=True):
        # Paillier's own formula: c^lambda = 1 + m * lambda * n modulo n^2.
        x = pow(ciphertext, lam, public.n_squared)
        assert (x - 1) // public.n * pow(lam, -1, public.n) % public.n == value


def test_the_exponents_of_randomizers_have_their_length() -> None:
    sizes = {}
    for bits in sorted(PRIMES):
        public = private_key(bits).public
        for randomizer in ("half", "short"):
            base = public.with_randomizer(randomizer)._base()
            assert base is public.with_randomizer(randomizer)._base()  # made once
            sizes[bits, randomizer] = base
        assert public.with_randomizer("full")._base() is None
    assert len({id(base) for base in sizes.values()}) == 6


def test_products_are_sums() -> None:
    a, b = [5, 7, N - 3, 0], [11, N - 8, 3, 1]
    x, y = (PUBLIC.encrypt_rows(to_rows(values)) for values in (a, b))
    running = RunningProduct(PUBLIC, 4)
    assert to_ints(running.rows()) == [1] * 4
    running.multiply(x)
    half = running.copy()
    running.multiply(y[1:], first=1)
    assert to_ints(running.rows()) == [
        to_ints(x)[0],
        *(c * d % N**2 for c, d in list(zip(to_ints(x), to_ints(y), strict=True))[1:]),
    ]
    assert to_ints(half.rows()) == to_ints(x)
    assert to_ints(invert_rows(PUBLIC, x)) == [pow(c, -1, N * N) for c in to_ints(x)]
    mixed = weighted_product(PUBLIC, [x, y], [3, -2])
    expected = [(3 * c - 2 * d) % N for c, d in zip(a, b, strict=True)]
    assert to_ints(PRIVATE.decrypt_rows(mixed)) == expected
    assert to_ints(weighted_product(PUBLIC, [x, y], [0, 0])) == [1] * 4
    assert to_ints(weighted_product(PUBLIC, [x, y], [0, 1])) == to_ints(y)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 7, 8, 9])
def test_inverses_of_any_number_of_rows(count: int) -> None:
    values = [pow(3, i + 1, N * N) for i in range(count)]
    inverse = invert_rows(PUBLIC, to_rows(values, 512)) if count else invert_rows(PUBLIC, NOTHING)
    assert to_ints(inverse) == [pow(value, -1, N * N) for value in values]


@pytest.mark.parametrize(
    "bad", [0, N * N, N * N + 1, (1 << 4096) - 1, N, P, Q * Q, N * (N - 1)], ids=range(8)
)
@pytest.mark.parametrize("at", [0, 2])
def test_what_is_no_ciphertext_is_refused(bad: int, at: int) -> None:
    values = [3, 5, 7]
    PUBLIC.check_rows(to_rows(values, 512))
    values[at] = bad
    rows = to_rows(values, 512)
    with pytest.raises(CryptoError, match=r"number from 1|no inverse"):
        PUBLIC.check_rows(rows)
    with pytest.raises(CryptoError):
        PRIVATE.decrypt_rows(rows)
    with pytest.raises(CryptoError):
        invert_rows(PUBLIC, rows)


def test_rows_out_of_range_are_refused_everywhere() -> None:
    rows = to_rows([3, N * N], 512)
    for use in (
        PUBLIC.randomize_rows,
        RunningProduct(PUBLIC, 2).multiply,
        lambda bad: weighted_product(PUBLIC, [bad], [2]),
        lambda bad: weighted_product(PUBLIC, [bad], [-2]),
    ):
        with pytest.raises(CryptoError):
            use(rows)


def test_rows_of_another_shape_are_refused() -> None:
    good = PUBLIC.encrypt_rows(to_rows([1, 2]))
    for bad in (good[:, :-1], good[0], good.astype(np.uint16), good.tobytes(), None):
        for use in (
            PUBLIC.check_rows,
            PUBLIC.randomize_rows,
            PUBLIC.encrypt_rows,
            PRIVATE.decrypt_rows,
            PRIVATE.encrypt_rows,
            RunningProduct(PUBLIC, 2).multiply,
        ):
            with pytest.raises(LocalProtocolError, match="uint8 of shape"):
                use(bad)
    for first in (-1, 1, 2):
        with pytest.raises(LocalProtocolError, match="do not fit"):
            RunningProduct(PUBLIC, 2).multiply(good, first=first)
    for vectors, weights in (([], []), ([good], []), ([good], [1, 2]), ([good, good[:1]], [1, 1])):
        with pytest.raises(LocalProtocolError, match="a weight for each"):
            weighted_product(PUBLIC, vectors, weights)


def test_plaintexts_are_below_n() -> None:
    for key in (PUBLIC, PRIVATE):
        with pytest.raises(LocalProtocolError, match="below n"):
            key.encrypt_rows(to_rows([1, N]))


def test_no_rows_are_no_work() -> None:
    plain = np.empty((0, 256), np.uint8)
    PUBLIC.check_rows(NOTHING)
    assert PUBLIC.encrypt_rows(plain).shape == (0, 512)
    assert PRIVATE.encrypt_rows(plain).shape == (0, 512)
    assert PRIVATE.decrypt_rows(NOTHING).shape == (0, 256)
    assert weighted_product(PUBLIC, [NOTHING], [-3]).shape == (0, 512)
    product = RunningProduct(PUBLIC, 0)
    product.multiply(NOTHING)
    assert product.copy().rows().shape == (0, 512)
    assert len(product) == 0


def test_progress_is_told() -> None:
    told: list[tuple[str, int, int]] = []
    rows = PUBLIC.encrypt_rows(to_rows(PLAIN), progress=lambda *report: told.append(report))
    PRIVATE.decrypt_rows(rows, progress=lambda *report: told.append(report))
    PUBLIC.randomize_rows(rows, progress=lambda *report: told.append(report))
    assert told == [(stage, 5, 5) for stage in ("encrypt", "decrypt", "randomize")]
    with pytest.raises(LocalProtocolError, match="progress"):
        PUBLIC.encrypt_rows(to_rows(PLAIN), progress=3)  # type: ignore[arg-type]


def test_pieces_make_the_same_rows_as_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    from fedsecure.paillier import _seam
    from fedsecure.primitives import entropy
    from fedsecure.primitives.entropy import Secret

    monkeypatch.setattr(entropy, "draw", lambda size: Secret(bytes(range(size))))
    whole = PUBLIC.encrypt_rows(to_rows(PLAIN))
    randomized = PUBLIC.randomize_rows(whole)
    assert (PRIVATE.encrypt_rows(to_rows(PLAIN)) == whole).all()
    monkeypatch.setattr(_seam, "_SLICE", 2)
    told: list[int] = []
    pieces = PUBLIC.encrypt_rows(to_rows(PLAIN), progress=lambda _, done, __: told.append(done))
    assert told == [2, 4, 5]
    assert (pieces == whole).all()
    assert (PUBLIC.randomize_rows(whole) == randomized).all()
    assert (PRIVATE.decrypt_rows(whole) == to_rows(PLAIN)).all()


@settings(max_examples=40)
@given(
    st.integers(8, 64).flatmap(
        lambda bits: st.tuples(
            st.just(bits),
            st.lists(st.integers(-(1 << bits - 1), (1 << bits - 1) - 1), min_size=1, max_size=300),
        )
    )
)
def test_slots_are_shifted_sums(case: tuple[int, list[int]]) -> None:
    bits, values = case
    packing = Packing(PUBLIC, bits)
    assert packing.slots == 2046 // bits
    lane = packing.dtype
    mask = (1 << 8 * lane.itemsize) - 1
    words = np.array([value & mask for value in values], lane)
    plaintexts = packing.pack(words)
    step = packing.slots
    expected = [
        sum(value << bits * j for j, value in enumerate(values[at : at + step])) % N
        for at in range(0, len(values), step)
    ]
    assert to_ints(plaintexts) == expected
    assert len(plaintexts) == packing.num_ciphertexts(len(values))
    signed = packing.unpack(plaintexts, len(values)).view(f"i{lane.itemsize}")
    assert signed.tolist() == values


def test_one_slot_is_the_number_itself() -> None:
    packing = Packing(PUBLIC, 29, 1)
    words = np.array([5, -5 & 0xFFFFFFFF], np.uint32)
    assert packing.num_ciphertexts(2) == 2
    assert to_ints(packing.pack(words)) == [5, N - 5]
    assert (packing.unpack(packing.pack(words), 2) == words).all()


def test_packings_are_values() -> None:
    assert Packing(PUBLIC, 29) == Packing(PUBLIC.with_randomizer("full"), 29, 70)
    assert Packing(PUBLIC, 29) != Packing(PUBLIC, 30)
    assert Packing(PUBLIC, 29) != Packing(private_key(3072).public, 29)
    assert [Packing(PUBLIC, bits).dtype for bits in (16, 17, 33)] == [
        np.uint16,
        np.uint32,
        np.uint64,
    ]
    for bits, slots in ((7, 0), (65, 0), (29, 71), (29, -1), (29.0, 0)):
        with pytest.raises(EncodingError):
            Packing(PUBLIC, bits, slots)  # type: ignore[arg-type]


def test_packing_takes_its_own_lane_only() -> None:
    packing = Packing(PUBLIC, 29)
    words = np.zeros(100, np.uint32)
    plaintexts = packing.pack(words)
    for bad in (words.astype(np.uint16), words.astype(np.int32), words.reshape(10, 10)):
        with pytest.raises(LocalProtocolError):
            packing.pack(bad)
    for size in (0, 70, 141):
        with pytest.raises(LocalProtocolError):
            packing.unpack(plaintexts, size)
    with pytest.raises(LocalProtocolError):
        packing.unpack(plaintexts, 100, np.uint16)
    assert packing.unpack(plaintexts, 100, np.uint64).dtype == np.uint64
    assert packing.unpack(packing.pack(words[:0]), 0).size == 0


@pytest.mark.parametrize(
    "over", [1 << 2030, 1 << 2029, N // 2, N // 2 + 1, N - (1 << 2030)], ids=range(5)
)
def test_a_plaintext_beyond_its_slots_is_refused(over: int) -> None:
    """70 slots of 29 bits hold sums of magnitude below 2^2029 or so; these are above."""
    with pytest.raises(RemoteProtocolError, match="forged ciphertext"):
        Packing(PUBLIC, 29).unpack(to_rows([over]), 70)

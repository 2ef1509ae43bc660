"""Encrypted vectors against sums of the integers that went in."""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fedsecure.encoding import FixedPoint
from fedsecure.errors import CryptoError, EncodingError, LocalProtocolError, RemoteProtocolError
from fedsecure.paillier import EncryptedVector, Form, PublicKey, RunningProduct, weighted_sum
from paillier_keys import private_key

PRIVATE = private_key()
PUBLIC = PRIVATE.public
EXACT = FixedPoint(clip=4.0, bits=6, rounding="nearest")


def steps(shape: tuple[int, ...]) -> Any:
    """Arrays of whole steps, which the encoding keeps exactly."""
    whole = hnp.arrays(np.int64, shape, elements=st.integers(-256, 256))
    return whole.map(lambda array: array.astype(np.float64) / 64)


def encrypt(array: np.ndarray, **options: Any) -> EncryptedVector:
    return PUBLIC.encrypt(array, **{"encoding": EXACT, **options})


def read(vector: EncryptedVector) -> np.ndarray:
    return PRIVATE.decrypt(EncryptedVector.from_bytes(vector.to_bytes(), PUBLIC))


@settings(max_examples=15)
@given(
    hnp.array_shapes(max_dims=3, max_side=3).flatmap(
        lambda shape: st.tuples(steps(shape), steps(shape))
    ),
    st.integers(-7, 7),
    st.integers(-7, 7),
    st.booleans(),
)
def test_ciphertexts_compute_what_numpy_computes(
    arrays: tuple[np.ndarray, np.ndarray], k: int, m: int, packed: bool
) -> None:
    (x, y), options = arrays, {"budget": 64, "packed": packed}
    a, b = encrypt(x, **options), PRIVATE.encrypt(y, encoding=EXACT, **options)
    for vector, expected, terms in (
        (a, x, 1),
        (b, y, 1),
        (a + b, x + y, 2),
        (a - b, x - y, 2),
        (-a, -x, 1),
        (a * k, x * k, abs(k)),
        (np.int64(k) * a, x * k, abs(k)),
        (sum([a, b, a]), 2 * x + y, 3),
        (weighted_sum([a, b], [k, m]), k * x + m * y, abs(k) + abs(m)),
        ((a + b) - (a + b), 0 * x, 4),
        ((a + b) + (b * m), x + y + m * y, 2 + abs(m)),
    ):
        assert isinstance(vector, EncryptedVector)
        assert vector.terms == terms
        for got in (PRIVATE.decrypt(vector), read(vector)):
            assert got.dtype == np.float64
            np.testing.assert_array_equal(got, expected, strict=True)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (3, 2, 2), (150,)])
def test_shapes_and_dtypes_are_kept(dtype, shape) -> None:  # type: ignore[no-untyped-def]
    array = (np.arange(np.prod(shape, dtype=int)).reshape(shape) % 7 - 3).astype(dtype)
    for packed in (True, False) if array.size < 20 else (True,):
        vector = encrypt(array, packed=packed)
        assert vector.shape == shape
        assert vector.dtype == np.dtype(dtype).name
        assert vector.size == array.size
        got = read(vector + vector - vector)
        assert isinstance(got, np.ndarray)
        np.testing.assert_array_equal(got, array, strict=True)


def test_layouts_in_memory_do_not_matter() -> None:
    array = np.arange(24.0).reshape(4, 6) / 8
    for view in (array.T, array[::2, ::-1], array.astype(">f8"), np.asfortranarray(array)):
        got = PRIVATE.decrypt(encrypt(view))
        np.testing.assert_array_equal(got, view)
        assert got.dtype == np.float64
    array.flags.writeable = False
    np.testing.assert_array_equal(PRIVATE.decrypt(encrypt(array)), array)
    assert PRIVATE.decrypt(encrypt(np.float32(1.5))) == 1.5


def test_the_default_encoding_errs_by_less_than_a_step() -> None:
    array = np.sin(np.arange(300.0)).astype(np.float32)
    got = PRIVATE.decrypt(sum([PUBLIC.encrypt(array)] * 10), dtype=np.float64)
    assert np.abs(got - 10 * array.astype(np.float64)).max() < 10 * 2.0**-20


def test_packing_is_dense() -> None:
    vector = PUBLIC.encrypt(np.zeros(700, np.float32))
    assert vector.form.packing.slot_bits == FixedPoint().required_bits(256) == 33
    assert vector.num_ciphertexts == -(-700 // 62)
    assert PUBLIC.encrypt(np.zeros(5, np.float32), packed=False).num_ciphertexts == 5
    assert len(vector.to_bytes()) < vector.num_ciphertexts * 512 + 120


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("budget", [1, 2, 3, 4, 255, 256])
def test_a_full_budget_at_the_extremes_is_exact(budget: int, packed: bool) -> None:
    array = np.array([4.0, -4.0] * 3 + [4.0] * 3 + [-4.0] * 3 + [0.0, 1 / 64])
    vector = encrypt(array, budget=budget, packed=packed)
    for sign in (1, -1):
        full = vector * (sign * budget)
        assert full.terms == full.budget == budget
        np.testing.assert_array_equal(read(full), sign * budget * array)
    for refused in (
        lambda: full + vector,
        lambda: full - vector,
        lambda: vector * (budget + 1),
        lambda: vector * -(budget + 1),
        lambda: weighted_sum([vector, vector], [budget, -1]),
        lambda: sum([vector] * (budget + 1)),
    ):
        with pytest.raises(EncodingError, match=rf"encrypt with budget={budget + 1} or more"):
            refused()
    np.testing.assert_array_equal(PRIVATE.decrypt(full), -budget * array)


def test_operands_stay_as_they_are() -> None:
    x, y = np.array([1.0, -2.0]), np.array([0.5, 3.0])
    a, b = encrypt(x), encrypt(y)
    total = a + b  # not read before it is an operand, so kept as a running product
    assert ((total + a).terms, (b + total).terms, (total + total).terms) == (3, 3, 4)
    np.testing.assert_array_equal(PRIVATE.decrypt(total + a), 2 * x + y)
    np.testing.assert_array_equal(PRIVATE.decrypt(total), x + y)
    first = total.unsafe_rows.copy()
    for other in (total + a, b + total, total - a, total + total, -total, total * 3):
        assert other is not total
    np.testing.assert_array_equal(total.unsafe_rows, first)
    np.testing.assert_array_equal(PRIVATE.decrypt(a), x)
    np.testing.assert_array_equal(PRIVATE.decrypt(b), y)
    np.testing.assert_array_equal(PRIVATE.decrypt(total), x + y)
    with pytest.raises(ValueError, match="read-only"):
        total.rows[0, 0] = 1


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("key", {"public": private_key(3072).public}),
        ("encoding", {"encoding": FixedPoint(clip=4.0, bits=7)}),
        ("budget", {"budget": 16}),
        ("shape", {"array": np.zeros((3, 1))}),
        ("shape", {"array": np.zeros(4)}),
        ("dtype", {"array": np.zeros(3, np.float32)}),
        ("packed", {"packed": False}),
    ],
)
def test_different_forms_do_not_add(name: str, options: dict[str, Any]) -> None:
    given = {"public": PUBLIC, "array": np.zeros(3), "encoding": EXACT, "budget": 8, **options}
    public, array = given.pop("public"), given.pop("array")
    mine, other = encrypt(np.zeros(3), budget=8), public.encrypt(array, **given)
    for use in (
        lambda: mine + other,
        lambda: mine - other,
        lambda: other + mine,
        lambda: weighted_sum([mine, other], [1, 1]),
        lambda: sum([mine, other]),
    ):
        with pytest.raises(EncodingError, match=rf"one has {name} .* encrypt both alike"):
            use()


def test_other_operands_are_refused() -> None:
    vector = encrypt(np.ones(3))
    for weight in (0.5, 2.0, "2", None, np.float64(2), np.ones(3), vector):
        with pytest.raises(EncodingError, match="multiplied by an integer"):
            vector * weight
    for weight in (0.5, np.float32(2), np.ones(3)):
        with pytest.raises(EncodingError, match="multiplied by an integer"):
            weight * vector
    for other in (1, 0, np.ones(3), None, 1.0):
        with pytest.raises(EncodingError, match="encrypt it first"):
            vector + other
        with pytest.raises(EncodingError, match="encrypt it first"):
            vector - other
        with pytest.raises(EncodingError, match="encrypt it first"):
            other - vector
    for other in (1, 0.0, np.ones(3), None):
        with pytest.raises(EncodingError, match="encrypt it first"):
            other + vector
    for vectors, weights in (([], []), ([vector], []), ([vector], [1, 2])):
        with pytest.raises(LocalProtocolError, match="weights"):
            weighted_sum(vectors, weights)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.array([1.0, np.nan]), "1 NaN or infinite"),
        (np.array([1.0, -np.inf]), "1 NaN or infinite"),
        (np.array([[4.1, 1.0], [-5.0, 4.0]]), "2 of 4 values outside"),
        (np.array([1, 2]), "array of int64 cannot"),
        (np.array([1 + 1j]), "complex128 cannot"),
        (np.array(["x"]), "cannot be encrypted"),
        (np.array([1.0], np.longdouble), "cannot be encrypted"),
        (np.ma.masked_array([1.0, 2.0], [True, False]), "cannot be encrypted"),
        ([1.0, 2.0], "a list cannot"),
        (1.0, "a float cannot"),
        (None, "a NoneType cannot"),
    ],
)
def test_arrays_that_cannot_be_encrypted(array: Any, words: str) -> None:
    with pytest.raises(EncodingError, match=words):
        encrypt(array)
    with pytest.raises(EncodingError, match=words):
        PRIVATE.encrypt(array, encoding=EXACT)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"budget": 0}, "budget=0"),
        ({"budget": 2.0}, "budget=2.0"),
        ({"budget": True}, "budget=True"),
        ({"budget": 1 << 60}, "lower bits"),
        ({"encoding": FixedPoint(overflow="clip")}, "numpy.clip"),
        ({"encoding": "float"}, "use a FixedPoint"),
        ({"encoding": FixedPoint(modulus_bits=24)}, "ring too narrow"),
    ],
)
def test_impossible_budgets_and_encodings(options: dict[str, Any], words: str) -> None:
    with pytest.raises(EncodingError, match=words):
        PUBLIC.encrypt(np.zeros(3), **options)


def test_only_the_owner_decrypts() -> None:
    vector = encrypt(np.ones(3))
    with pytest.raises(CryptoError, match="encrypted under PublicKey"):
        private_key(3072).decrypt(vector)


def test_the_dtype_of_sums_can_be_chosen() -> None:
    vector = PUBLIC.encrypt(
        np.array([8.0, -8.0], np.float16), encoding=FixedPoint(8, 4), budget=9000
    )
    total = vector * 9000
    with pytest.raises(EncodingError, match="too large for float16"):
        PRIVATE.decrypt(total)
    for dtype in (np.float32, np.float64, "float64"):
        got = PRIVATE.decrypt(total, dtype=dtype)
        assert got.dtype == dtype
        assert got.tolist() == [72000.0, -72000.0]
    with pytest.raises(EncodingError, match="decrypt to float16"):
        PRIVATE.decrypt(total, dtype=np.int32)


def test_more_than_the_terms_can_give_is_forged() -> None:
    """A ring has room for a power of two; what honest parties can send is less."""
    form = encrypt(np.zeros(3), budget=3).form
    limit = form.encoding.largest_value(weighted=False)
    for terms in (1, 3):
        for value, fits in ((limit * terms, True), (limit * terms + 1, False)):
            for sign in (1, -1):
                words = np.array([0, sign * value, 0], np.int16).view(np.uint16)
                rows = PUBLIC.encrypt_rows(form.packing.pack(words))
                vector = EncryptedVector(form, rows, terms=terms)
                if fits:
                    assert PRIVATE.decrypt(vector)[1] == sign * value / 64
                    continue
                with pytest.raises(RemoteProtocolError, match="forged ciphertext"):
                    PRIVATE.decrypt(vector)


def test_slots_that_no_value_has_are_empty() -> None:
    form = encrypt(np.zeros(3), budget=3).form
    for words, fits in (([0, 0, 0, 0], True), ([0, 0, 0, 1], False), ([0] * 80 + [1], False)):
        rows = PUBLIC.encrypt_rows(form.packing.pack(np.array(words, np.uint16)))
        if fits:
            assert not PRIVATE.decrypt(EncryptedVector(form, rows)).any()
            continue
        with pytest.raises(RemoteProtocolError, match="forged ciphertext"):
            PRIVATE.decrypt(EncryptedVector(form, rows))


def test_vectors_are_made_of_fitting_rows() -> None:
    vector = encrypt(np.zeros(700))
    with pytest.raises(LocalProtocolError, match="came for a vector of"):
        EncryptedVector(vector.form, vector.rows[:-1])
    with pytest.raises(LocalProtocolError, match="came for a vector of"):
        EncryptedVector(vector.form, RunningProduct(PUBLIC, 1))
    with pytest.raises(EncodingError, match="budget"):
        EncryptedVector(vector.form, vector.rows, terms=257)
    again = EncryptedVector(vector.form, vector.rows, terms=256)
    assert again.public == PUBLIC
    assert again.encoding == EXACT


def test_copies_and_pickles_are_vectors() -> None:
    array = np.arange(4.0) - 2
    vector = encrypt(array) * 2
    for other in (pickle.loads(pickle.dumps(vector)), copy.copy(vector), copy.deepcopy(vector)):
        np.testing.assert_array_equal(PRIVATE.decrypt(other), 2 * array)
        assert other.terms == 2
        assert other.form == vector.form


def test_vectors_show_their_form_only() -> None:
    vector = encrypt(np.full((2, 3), 3.25)) * 5
    assert repr(vector) == (
        "EncryptedVector(shape=(2, 3), dtype=float64, terms=5 of 256, 1 ciphertexts)"
    )


def test_forms_can_be_made_from_arrays() -> None:
    array = np.zeros((2, 3), np.float32)
    form = Form.of(array, public=PUBLIC, encoding=EXACT, budget=5, packed=True)
    assert form == PUBLIC.encrypt(array, encoding=EXACT, budget=5).form
    assert hash(form) == hash(PRIVATE.encrypt(array, encoding=EXACT, budget=5).form)
    assert isinstance(form.public, PublicKey)


def test_progress_is_told_in_ciphertexts() -> None:
    told: list[tuple[str, int, int]] = []
    vector = encrypt(np.zeros(3), packed=False, progress=lambda *report: told.append(report))
    PRIVATE.decrypt(vector, progress=lambda *report: told.append(report))
    PRIVATE.encrypt(np.zeros(9), progress=lambda *report: told.append(report))
    assert told == [("encrypt", 3, 3), ("decrypt", 3, 3), ("encrypt", 1, 1)]


def test_the_example_of_the_package_runs() -> None:
    import doctest

    import fedsecure.paillier

    results = doctest.testmod(fedsecure.paillier)
    assert results.attempted > 5
    assert not results.failed


def test_one_vector_serves_many_threads() -> None:
    x = np.arange(12.0) % 8 / 2
    a = encrypt(x, packed=False)
    total = a + a

    def use(i: int) -> float:
        result = (total + a) if i % 2 else (a + total)
        return float(np.abs(read(result) - 3 * x).max() + np.abs(read(total) - 2 * x).max())

    with ThreadPoolExecutor(4) as pool:
        assert not any(pool.map(use, range(8)))

"""Threshold decryption: any t of l parties decrypt what the key alone would."""

from __future__ import annotations

import copy
import itertools
import math
import pickle
from fractions import Fraction

import numpy as np
import pytest

from fedsecure.errors import CryptoError, LocalProtocolError, RemoteProtocolError, ThresholdError
from fedsecure.paillier import PrivateKey, _combine, _dealer, _proofs
from fedsecure.paillier._dealer import deal
from fedsecure.paillier.threshold import (
    KeyShare,
    PartialDecryption,
    ThresholdPublic,
    combine_rows,
    generate_threshold_keys,
)
from fedsecure.primitives.entropy import Secret
from reference import threshold as reference
from threshold_keys import ROW_BYTES, N, P, Q, dealt, encrypted, numbers_of, rows_of

PLAINTEXTS = [0, 1, N - 1, 2**2000 + 12345, N // 2]
CONTEXT = b"session 7, round 3"


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    return encrypted(PLAINTEXTS)


@pytest.fixture(scope="module")
def partials(rows: np.ndarray) -> list[PartialDecryption]:
    return [share.partial_rows(rows, CONTEXT) for share in dealt()[1]]


@pytest.mark.parametrize("chosen", list(itertools.combinations(range(5), 3)))
def test_any_three_of_five_decrypt(
    chosen: tuple[int, ...], rows: np.ndarray, partials: list[PartialDecryption]
) -> None:
    plaintexts = combine_rows(dealt()[0], rows, [partials[i] for i in chosen], CONTEXT)
    assert plaintexts.shape == (len(rows), ROW_BYTES // 2)
    assert plaintexts.dtype == np.uint8
    assert numbers_of(plaintexts) == PLAINTEXTS


def test_the_order_and_number_of_partials_do_not_matter(
    rows: np.ndarray, partials: list[PartialDecryption]
) -> None:
    for given in ([partials[4], partials[0], partials[2]], partials[::-1]):
        assert numbers_of(combine_rows(dealt()[0], rows, given, CONTEXT)) == PLAINTEXTS


def test_it_is_what_the_private_key_gives(
    rows: np.ndarray, partials: list[PartialDecryption]
) -> None:
    alone = PrivateKey.from_primes(P, Q).decrypt_rows(rows)
    np.testing.assert_array_equal(combine_rows(dealt()[0], rows, partials[:3], CONTEXT), alone)


def test_partials_and_combination_are_those_of_the_papers(
    rows: np.ndarray, partials: list[PartialDecryption]
) -> None:
    _, shares = dealt()
    ciphertexts = numbers_of(rows)
    for share, partial in zip(shares, partials, strict=True):
        d_i = int.from_bytes(share._secret.view, "little")
        expected = [reference.partial(c, d_i, 5, N) for c in ciphertexts[:2]]
        assert numbers_of(partial.rows)[:2] == expected
    lists = {partial.index: numbers_of(partial.rows) for partial in partials}
    for chosen in ((1, 2, 3), (2, 4, 5), (1, 3, 5)):
        for j, plaintext in enumerate(PLAINTEXTS):
            found = reference.combine({i: lists[i][j] for i in chosen}, 5, N)
            assert found == plaintext


def stated(
    rows: np.ndarray, partial: PartialDecryption, context: bytes = CONTEXT
) -> reference.Proof:
    public, _ = dealt()
    return reference.Proof(
        n=N,
        parties=5,
        index=partial.index,
        dealing=public.fingerprint,
        verify_base=public.verify_base,
        verify_key=public.verify_keys[partial.index - 1],
        context=context,
        ciphertexts=numbers_of(rows),
        partials=numbers_of(partial.rows),
    )


def test_proofs_are_those_of_the_reference(
    rows: np.ndarray, partials: list[PartialDecryption], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each takes what the other makes, and with the same coins they make the same."""
    _, shares = dealt()
    statement = stated(rows, partials[1])
    assert statement.holds(partials[1].proof)
    assert not stated(rows, partials[1], b"other").holds(partials[1].proof)
    coins = bytes(range(256)) * 5
    monkeypatch.setattr(_proofs.entropy, "draw", lambda size: Secret(coins[:size]))
    again = shares[1].partial_rows(rows, CONTEXT)
    r = int.from_bytes(coins[: statement.mask_bytes], "little")
    d_i = int.from_bytes(shares[1]._secret.view, "little")
    assert again.proof == statement.prove(d_i, r)
    np.testing.assert_array_equal(again.rows, partials[1].rows)


@pytest.mark.parametrize("count", [1, 7, 8, 9, 19, 20, 70])
def test_folds_of_any_length_are_those_of_the_reference(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_proofs, "_LONG", 20)
    monkeypatch.setattr(reference, "LONG", 20)
    public, _ = dealt()
    rows = rows_of([k**400 for k in range(2, count + 2)])
    statement = stated(rows, PartialDecryption(1, rows[::-1], b""))
    assert _proofs._folded(public.key, statement.digest(), rows, 4) == statement.x()
    partial = np.ascontiguousarray(rows[::-1])
    assert _proofs._folded(public.key, statement.digest(), partial, 2) == statement.y()


def test_proofs_are_drawn_anew(rows: np.ndarray, partials: list[PartialDecryption]) -> None:
    """The same commitment under two challenges would give the share away."""
    again = dealt()[1][0].partial_rows(rows, CONTEXT)
    assert again.proof[:32] != partials[0].proof[:32]
    assert again.proof[32:] != partials[0].proof[32:]


@pytest.mark.parametrize(
    ("parties", "chosen"), [(2, (1, 2)), (12, (2, 5, 6, 7, 9, 11, 12)), (64, (3, 63))]
)
def test_other_numbers_of_parties(parties: int, chosen: tuple[int, ...]) -> None:
    dealing = deal(P, Q, parties, len(chosen))
    public = ThresholdPublic(dealing.key, len(chosen), dealing.verify_base, dealing.verify_keys)
    rows = encrypted([77, N - 78])
    partials = [KeyShare(public, i, dealing.shares[i - 1]).partial_rows(rows) for i in chosen]
    assert numbers_of(combine_rows(public, rows, partials)) == [77, N - 78]


def test_sums_of_ciphertexts_decrypt_to_sums() -> None:
    public, shares = dealt()
    rows = rows_of([math.prod(numbers_of(encrypted([30, 12]))) % N**2])
    partials = [share.partial_rows(rows) for share in shares[1:4]]
    assert numbers_of(combine_rows(public, rows, partials)) == [42]


def test_a_vector_of_nothing() -> None:
    public, shares = dealt()
    rows = np.empty((0, ROW_BYTES), np.uint8)
    partials = [share.partial_rows(rows) for share in shares[:3]]
    assert combine_rows(public, rows, partials).shape == (0, ROW_BYTES // 2)


def test_too_few_partials(rows: np.ndarray, partials: list[PartialDecryption]) -> None:
    with pytest.raises(ThresholdError, match="2 partial decryptions; this key takes those of 3"):
        combine_rows(dealt()[0], rows, partials[:2], CONTEXT)
    with pytest.raises(LocalProtocolError, match="two partial decryptions of one party"):
        combine_rows(dealt()[0], rows, [*partials[:2], partials[1]], CONTEXT)


@pytest.mark.parametrize("index", [0, 6, -1, "1"])
def test_parties_there_are_not(
    index: int, rows: np.ndarray, partials: list[PartialDecryption]
) -> None:
    stranger = PartialDecryption(index, partials[0].rows, partials[0].proof)
    with pytest.raises(RemoteProtocolError, match="no party of this key has index"):
        combine_rows(dealt()[0], rows, [*partials[:2], stranger], CONTEXT)


@pytest.mark.parametrize("number", [0, N, 5 * P, N**2, 2 ** (8 * ROW_BYTES) - 1])
def test_what_is_no_ciphertext_meets_no_share(
    number: int,
    rows: np.ndarray,
    partials: list[PartialDecryption],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    public, shares = dealt()
    bad = rows.copy()
    bad[3] = rows_of([number])[0]
    with pytest.raises(CryptoError):
        combine_rows(public, bad, partials, CONTEXT)
    monkeypatch.setattr(KeyShare, "_power", pytest.fail)
    with pytest.raises(CryptoError):
        shares[0].partial_rows(bad)


@pytest.mark.parametrize(
    "rows",
    [np.zeros((2, ROW_BYTES // 2), np.uint8), np.zeros(ROW_BYTES, np.uint8), b"", [[1]]],
)
def test_rows_of_another_shape(rows: np.ndarray) -> None:
    with pytest.raises(LocalProtocolError, match="ciphertexts are uint8"):
        dealt()[1][0].partial_rows(rows)


def test_progress_is_told() -> None:
    public, shares = dealt()
    told: list[tuple[str, int, int]] = []
    rows = encrypted([1, 2])
    partials = [
        share.partial_rows(rows, progress=lambda *step: told.append(step)) for share in shares[:3]
    ]
    assert told == 3 * [("partial decryption", 2, 2)]
    combine_rows(public, rows, partials, progress=lambda *step: told.append(step))
    assert told[3:] == [("verify", 1, 3), ("verify", 2, 3), ("verify", 3, 3)]


def test_a_share_shows_nothing() -> None:
    _, shares = dealt()
    secret = int.from_bytes(shares[2]._secret.view, "little")
    assert str(shares[2]).startswith("KeyShare(party 3 of ThresholdPublic(3 of 5, PublicKey(")
    assert str(secret) not in repr(shares[2])
    assert f"{secret:x}"[:16] not in repr(shares[2])
    for misuse in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(LocalProtocolError, match="neither copied nor pickled"):
            misuse(shares[2])


def test_a_wiped_share_is_of_no_use(rows: np.ndarray) -> None:
    public, shares = dealt()
    share = KeyShare(public, 1, Secret(bytes(shares[0]._secret.view)))
    share.wipe()
    with pytest.raises(CryptoError, match="wiped"):
        share.partial_rows(rows)


def test_a_share_belongs_to_one_party_of_one_dealing() -> None:
    public, shares = dealt()
    other, _ = dealt(5, 2)
    secret = bytes(shares[0]._secret.view)
    one_more = (int.from_bytes(secret, "little") + 1).to_bytes(len(secret), "little")
    for dealing, index, data in ((public, 2, secret), (other, 1, secret), (public, 1, one_more)):
        with pytest.raises(CryptoError, match="not the share of party"):
            KeyShare(dealing, index, Secret(data))
    for index, data in ((0, secret), (6, secret), (1, secret[:-1]), (1, secret + b"\0")):
        with pytest.raises(CryptoError, match="not a share of this key"):
            KeyShare(public, index, Secret(data))


def test_a_real_key() -> None:
    told: list[tuple[str, int, int]] = []
    public, shares = generate_threshold_keys(3, 2, 2048, progress=lambda *step: told.append(step))
    assert told == [("safe primes", 1, 2), ("safe primes", 2, 2)]
    assert (public.key.bits, public.parties, public.threshold) == (2048, 3, 2)
    assert public.key.n != N
    plaintexts = [5, public.key.n - 6]
    rows = public.key.encrypt_rows(rows_of(plaintexts, ROW_BYTES // 2))
    for pair in itertools.combinations(shares, 2):
        partials = [share.partial_rows(rows) for share in pair]
        assert numbers_of(combine_rows(public, rows, partials)) == plaintexts


@pytest.mark.parametrize("parties", [0, 1, 65, 5.0, "5", True])
def test_numbers_of_parties_that_are_refused(parties: int) -> None:
    with pytest.raises(LocalProtocolError, match="a key is dealt to 2 to 64"):
        generate_threshold_keys(parties, 2, 2048)


@pytest.mark.parametrize("quorum", [1, 0, -3, 6])
def test_thresholds_that_are_refused(quorum: int) -> None:
    with pytest.raises(ThresholdError, match=f"threshold={quorum} of 5 parties"):
        generate_threshold_keys(5, quorum, 2048)


@pytest.mark.parametrize("bits", [1024, 2047, 2048.0, None])
def test_sizes_that_are_refused(bits: int) -> None:
    with pytest.raises(LocalProtocolError, match="a key has 2048, 3072 or 4096 bits"):
        generate_threshold_keys(5, 3, bits)


def test_a_dealing_is_that_of_the_papers(monkeypatch: pytest.MonkeyPatch) -> None:
    modulus = N * (P // 2) * (Q // 2)
    drawn = [modulus // 3, modulus - 5, 2**4000 + 1]
    coins = iter(drawn)
    monkeypatch.setattr(_dealer, "below", lambda bound: next(coins) % bound)
    dealing = deal(P, Q, 4, 3)
    polynomial = [reference.secret_exponent(P, Q), *drawn[:2]]
    numbers = [reference.evaluate(polynomial, x, modulus) for x in range(1, 5)]
    assert [int.from_bytes(d_i.view, "little") for d_i in dealing.shares] == numbers
    assert dealing.verify_base == pow(drawn[2], 2, N**2)
    expected = tuple(pow(dealing.verify_base, 24 * d_i, N**2) for d_i in numbers)
    assert dealing.verify_keys == expected


@pytest.mark.parametrize(
    "indices", [(1, 2), (2, 3, 5), (1, 2, 3, 4, 5), (64, 1, 33, 7), (60, 62, 64)]
)
def test_coefficients_interpolate_at_zero(indices: tuple[int, ...]) -> None:
    polynomial = [13, -4, 9, 2, 7][: len(indices)]
    values = {i: sum(a * i**k for k, a in enumerate(polynomial)) for i in indices}
    scale, weights = _combine.coefficients(indices)
    assert sum(weights[i] * values[i] for i in indices) == scale * polynomial[0]
    assert math.factorial(max(indices)) % scale == 0
    assert math.gcd(scale, *weights.values()) == 1
    exact = Fraction(math.prod(indices[1:]), math.prod(j - indices[0] for j in indices[1:]))
    assert Fraction(weights[indices[0]], scale) == exact


def test_powers_with_weights_of_any_size() -> None:
    weights = [2**62, 3**100 + 1, 2**200 - 1, 0, 1]
    numbers = [[7, 11], [2**4000, 3], [N**2 - 1, 5], [6, 9], [N + 1, 1]]
    product = _combine.power_product(dealt()[0].key, [rows_of(pair) for pair in numbers], weights)
    expected = [
        math.prod(pow(pair[i], weight, N**2) for pair, weight in zip(numbers, weights, strict=True))
        % N**2
        for i in range(2)
    ]
    assert numbers_of(product) == expected


def test_what_combines_to_no_plaintext_is_refused(partials: list[PartialDecryption]) -> None:
    """As when the shares do not lie on one polynomial: only a dishonest dealer brings it about."""
    used = dict.fromkeys((1, 2, 3), partials[0].rows)
    with pytest.raises(CryptoError, match="combine to no plaintext"):
        _combine.plaintexts(dealt()[0].key, 5, used)

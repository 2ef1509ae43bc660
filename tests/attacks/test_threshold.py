"""Key holders who collude with each other and with the server, but are one too few."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import pytest

from fedsecure.errors import CheaterDetected, CryptoError, ThresholdError
from fedsecure.paillier import PrivateKey, _combine, _dealer
from fedsecure.paillier.threshold import PartialDecryption, combine_rows
from reference import threshold as reference
from threshold_keys import N, P, Q, dealt, encrypted, numbers_of, rows_of

PLAINTEXT = 123456789


def pairs(
    secret: int, modulus: int, held: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> Counter:
    """The shares of two parties of four under threshold three, over all polynomials there are."""
    seen: Counter[tuple[int, ...]] = Counter()
    for coins in itertools.product(range(modulus), repeat=2):
        drawn = iter(coins)
        monkeypatch.setattr(_dealer, "below", lambda bound, drawn=drawn: next(drawn))
        shares = _dealer.share(secret, modulus, 4, 3)
        seen[tuple(shares[i - 1] for i in held)] += 1
    return seen


@pytest.mark.parametrize("held", list(itertools.combinations(range(1, 5), 2)))
def test_one_share_too_few_says_nothing(
    held: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """[A22] Two shares are uniform, and the same for every secret: each pair occurs exactly once.

    The modulus is 5 * 7, as that of real shares a product of primes above the number of parties.
    """
    for secret in (0, 1, 17, 34):
        seen = pairs(secret, 35, held, monkeypatch)
        assert seen == Counter(itertools.product(range(35), repeat=2))


def test_negative_control_small_factors_of_the_modulus_tell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """[A22] Shares modulo a number with the factor 2 give the secret's lowest bit away."""
    shown = [{pair[0] % 2 for pair in pairs(s, 22, (2, 4), monkeypatch)} for s in (0, 1)]
    assert shown == [{0}, {1}]


def test_negative_control_all_three_shares_tell() -> None:
    """[A22] With as many shares as the threshold, the private exponent itself is there."""
    _, shares = dealt()
    modulus = N * (P >> 1) * (Q >> 1)
    scale, weights = _combine.coefficients((1, 3, 4))
    numbers = {i: int.from_bytes(shares[i - 1]._secret.view, "little") for i in weights}
    found = sum(weights[i] * numbers[i] for i in weights) * pow(scale, -1, modulus) % modulus
    assert found == reference.secret_exponent(P, Q)


def test_too_few_partial_decryptions_give_no_plaintext() -> None:
    """[A22] Refused; and computed all the same, two of three combine to no plaintext at all."""
    public, shares = dealt()
    rows = encrypted([PLAINTEXT])
    partials = [share.partial_rows(rows) for share in shares[:2]]
    with pytest.raises(ThresholdError):
        combine_rows(public, rows, partials)
    used = {partial.index: partial.rows for partial in partials}
    for chosen in (used, {1: used[1]}, {2: used[2]}):
        with pytest.raises(CryptoError, match="combine to no plaintext"):
            _combine.plaintexts(public.key, 5, chosen)


@pytest.mark.parametrize("guess", [0, 1, PLAINTEXT, PLAINTEXT + 1, N - 1])
def test_too_few_partial_decryptions_fit_every_plaintext(guess: int) -> None:
    """[A22] To two partial decryptions and any guess there is a third that makes the guess right.

    Which of them is the true one, only its holder can say: others cannot prove it.
    """
    public, shares = dealt()
    rows = encrypted([PLAINTEXT])
    partials = [share.partial_rows(rows) for share in shares[:2]]
    scale, weights = _combine.coefficients((1, 2, 3))
    square, delta = N**2, math.factorial(5)
    known = math.prod(
        pow(numbers_of(partial.rows)[0], 2 * weights[partial.index], square) for partial in partials
    )
    # Only who knows the order of the group can take this root: here, the test.
    order = N * (P >> 1) * (Q >> 1)
    wanted = (1 + 4 * delta * scale * guess * N) * pow(known, -1, square) % square
    third = rows_of([pow(wanted, pow(2 * weights[3], -1, order), square)])
    used = {1: partials[0].rows, 2: partials[1].rows, 3: third}
    assert numbers_of(_combine.plaintexts(public.key, 5, used)) == [guess]
    forged = PartialDecryption(3, third, partials[0].proof)
    with pytest.raises(CheaterDetected) as caught:
        combine_rows(public, rows, [*partials, forged])
    assert caught.value.culprit == 3


def test_negative_control_a_single_key_holder_decrypts_alone() -> None:
    """[A22] Without a threshold, one key holder and a ciphertext are enough."""
    assert numbers_of(PrivateKey.from_primes(P, Q).decrypt_rows(encrypted([PLAINTEXT]))) == [
        PLAINTEXT
    ]

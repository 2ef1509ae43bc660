"""What a dishonest party may send instead of its partial decryption, and who is named for it."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fedsecure.errors import CheaterDetected
from fedsecure.paillier import _combine, _partial, _proofs
from fedsecure.paillier.threshold import (
    KeyShare,
    PartialDecryption,
    combine_rows,
    verify_partial,
)
from fedsecure.primitives.entropy import Secret
from threshold_keys import N, P, dealt, encrypted, numbers_of, rows_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

LIAR = 2
CONTEXT = b"session 7, round 3"
PLAINTEXTS = [40, 41, 42]
SQUARE = N**2


@cache
def scene() -> tuple[NDArray[np.uint8], dict[int, PartialDecryption]]:
    """Ciphertexts, and what five honest parties say about them."""
    rows = encrypted(PLAINTEXTS)
    return rows, {share.index: share.partial_rows(rows, CONTEXT) for share in dealt()[1]}


def proven(partial: list[int], index: int = LIAR) -> PartialDecryption:
    """The numbers, with a proof made by the rules from the liar's own share."""
    public, shares = dealt()
    rows = rows_of(partial)
    statement = _partial.statement(public, scene()[0], index, rows, CONTEXT)
    return PartialDecryption(index, rows, _proofs.prove(statement, shares[LIAR - 1]._secret))


def honest() -> PartialDecryption:
    return scene()[1][LIAR]


def told() -> list[int]:
    return numbers_of(honest().rows)


def with_rows(numbers: list[int]) -> PartialDecryption:
    """Other numbers under the honest proof."""
    return PartialDecryption(LIAR, rows_of(numbers), honest().proof)


def with_proof(proof: bytes) -> PartialDecryption:
    """The honest numbers under another proof."""
    return PartialDecryption(LIAR, honest().rows, proof)


def changed(position: int, value: int = 1) -> PartialDecryption:
    proof = bytearray(honest().proof)
    proof[position] ^= value
    return with_proof(bytes(proof))


def of_another_dealing() -> PartialDecryption:
    share = dealt(5, 2)[1][LIAR - 1]
    return share.partial_rows(scene()[0], CONTEXT)


def with_a_made_up_share() -> PartialDecryption:
    """All by the rules, but for the secret."""
    public, _ = dealt()
    share = object.__new__(KeyShare)
    share._public, share._index, share._secret = public, LIAR, Secret(b"\5" * 512)
    return share.partial_rows(scene()[0], CONTEXT)


def another(index: int) -> PartialDecryption:
    """What another party said, as the liar's own."""
    partial = scene()[1][index]
    return PartialDecryption(LIAR, partial.rows, partial.proof)


def response_plus(number: int) -> PartialDecryption:
    proof = honest().proof
    response = int.from_bytes(proof[32:], "little") + number
    return with_proof(proof[:32] + response.to_bytes(len(proof) - 32, "little"))


def at(lane: int, change: Callable[[int], int]) -> list[int]:
    return [change(c) if j == lane else c for j, c in enumerate(told())]


LIES: dict[str, Callable[[], PartialDecryption]] = {
    "a made-up share": with_a_made_up_share,
    "a share of another dealing": of_another_dealing,
    "what another party said": lambda: another(4),
    "one row wrong": lambda: with_rows(at(1, lambda c: c * 3 % SQUARE)),
    "one row wrong, and proven": lambda: proven(at(1, lambda c: c * 3 % SQUARE)),
    "a plaintext shifted": lambda: with_rows(at(2, lambda c: c * (N + 1) % SQUARE)),
    "a plaintext shifted, and proven": lambda: proven(at(2, lambda c: c * (N + 1) % SQUARE)),
    "two changes that cancel, and proven": lambda: proven(
        [told()[0] * 9 % SQUARE, told()[1] * pow(9, -1, SQUARE) % SQUARE, told()[2]]
    ),
    "rows swapped": lambda: with_rows([told()[j] for j in (1, 0, 2)]),
    "rows swapped, and proven": lambda: proven([told()[j] for j in (1, 0, 2)]),
    "a sign changed": lambda: with_rows(at(0, lambda c: SQUARE - c)),
    "all ones, and proven": lambda: proven([1, 1, 1]),
    "the ciphertexts, and proven": lambda: proven(numbers_of(scene()[0])),
    "zero": lambda: with_rows(at(0, lambda _: 0)),
    "n": lambda: with_rows(at(0, lambda _: N)),
    "a multiple of a prime": lambda: with_rows(at(2, lambda c: c * P % SQUARE)),
    "n squared": lambda: with_rows(at(1, lambda _: SQUARE)),
    "beyond n squared": lambda: with_rows(at(1, lambda c: c % (2**4096 - SQUARE) + SQUARE)),
    "one row less": lambda: with_rows(told()[:2]),
    "one row more": lambda: with_rows([*told(), 1]),
    "one row more, and proven": lambda: proven([*told(), 1]),
    "no rows": lambda: with_rows(told()[:0]),
    "for another context": lambda: dealt()[1][LIAR - 1].partial_rows(scene()[0], b"round 4"),
    "for no context": lambda: dealt()[1][LIAR - 1].partial_rows(scene()[0]),
    "of other ciphertexts": lambda: dealt()[1][LIAR - 1].partial_rows(
        encrypted(PLAINTEXTS), CONTEXT
    ),
    "the proof of another party": lambda: with_proof(scene()[1][1].proof),
    "another challenge": lambda: changed(0),
    "another challenge at its end": lambda: changed(31, 128),
    "another response": lambda: changed(32),
    "another response in the middle": lambda: changed(300, 16),
    "a huge response": lambda: changed(-1, 255),
    "a response and one": lambda: response_plus(1),
    "a response and n": lambda: response_plus(N),
    "no proof": lambda: with_proof(b""),
    "zeros for a proof": lambda: with_proof(bytes(len(honest().proof))),
    "a proof too short": lambda: with_proof(honest().proof[:-1]),
    "a proof too long": lambda: with_proof(honest().proof + b"\0"),
}


@pytest.mark.parametrize("lie", LIES)
def test_the_liar_is_named_and_the_others_decrypt(lie: str) -> None:
    public, _ = dealt()
    rows, partials = scene()
    sent = [LIES[lie]() if i == LIAR else partial for i, partial in partials.items()]
    with pytest.raises(CheaterDetected, match=f"party {LIAR} ") as caught:
        combine_rows(public, rows, sent, CONTEXT)
    assert caught.value.culprit == LIAR
    with pytest.raises(CheaterDetected) as caught:
        verify_partial(public, rows, sent[LIAR - 1], CONTEXT)
    assert caught.value.culprit == LIAR
    rest = [partial for partial in sent if partial.index != LIAR]
    assert numbers_of(combine_rows(public, rows, rest, CONTEXT)) == PLAINTEXTS


@pytest.mark.parametrize("places", [(0, 1), (0, 8), (3, 8)])
def test_changes_that_cancel_in_any_two_places(places: tuple[int, int]) -> None:
    """Of one column, of one lane, or of neither."""
    public, shares = dealt()
    rows, share = encrypted(list(range(9))), shares[LIAR - 1]
    numbers = numbers_of(share.partial_rows(rows, CONTEXT).rows)
    numbers[places[0]] = numbers[places[0]] * 9 % SQUARE
    numbers[places[1]] = numbers[places[1]] * pow(9, -1, SQUARE) % SQUARE
    statement = _partial.statement(public, rows, LIAR, rows_of(numbers), CONTEXT)
    lie = PartialDecryption(LIAR, rows_of(numbers), _proofs.prove(statement, share._secret))
    with pytest.raises(CheaterDetected):
        verify_partial(public, rows, lie, CONTEXT)


def test_what_is_honest_is_taken() -> None:
    rows, partials = scene()
    for partial in partials.values():
        verify_partial(dealt()[0], rows, partial, CONTEXT)
    assert proven(told()).index == LIAR
    verify_partial(dealt()[0], rows, proven(told()), CONTEXT)


def test_ciphertexts_in_another_order_or_number() -> None:
    """A proof is of exactly these rows, so all parties are accused if the combiner has others."""
    rows, partials = scene()
    for other in (rows[::-1], np.concatenate([rows, rows[:1]]), rows[:2]):
        with pytest.raises(CheaterDetected):
            verify_partial(dealt()[0], np.ascontiguousarray(other), partials[1], CONTEXT)


def test_a_proven_change_of_sign_is_without_effect() -> None:
    """Why rows are squared: the one thing that proofs leave open changes no plaintext."""
    rows, partials = scene()
    turned = proven(at(1, lambda c: SQUARE - c))
    assert not np.array_equal(turned.rows, partials[LIAR].rows)
    sent = [partials[1], turned, partials[3]]
    assert numbers_of(combine_rows(dealt()[0], rows, sent, CONTEXT)) == PLAINTEXTS


def test_negative_control_unverified_lies_change_plaintexts() -> None:
    """Without the proofs, one party would choose what the sum is."""
    _, partials = scene()
    shift = pow(2 * _combine.coefficients((1, 2, 3))[1][2], -1, N) * 4 * 120 * 1000
    forged = at(2, lambda c: c * (1 + shift * N) % SQUARE)
    used = {1: partials[1].rows, 2: rows_of(forged), 3: partials[3].rows}
    assert numbers_of(_combine.plaintexts(dealt()[0].key, 5, used)) == [40, 41, 1042]


def test_negative_control_one_coefficient_for_all_hides_changes_that_cancel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Why every row has a coefficient of its own: a plain product of rows proves nothing."""

    class Ones:
        def __init__(self, _: bytes) -> None: ...

        def digest(self, size: int) -> bytes:
            return (b"\2" + bytes(15)) * (size // 16)

    monkeypatch.setattr(_proofs.hashlib, "shake_256", Ones)
    lie = LIES["two changes that cancel, and proven"]()
    verify_partial(dealt()[0], scene()[0], lie, CONTEXT)

"""Safe primes, held to trial division where numbers are small."""

from __future__ import annotations

import math

import pytest

from fedsecure.paillier import _dealer, _draw, _safe_primes
from fedsecure.primitives.entropy import Secret

# Safe primes of 1024 bits are in threshold_keys.


def is_prime(number: int) -> bool:
    return number > 1 and all(number % k for k in range(2, math.isqrt(number) + 1))


def test_the_test_of_safe_primes() -> None:
    found = [x for x in range(11, 6000, 12) if _safe_primes._is_safe_prime(x)]
    assert found == [x for x in range(11, 6000, 12) if is_prime(x) and is_prime(x // 2)]
    assert found[:5] == [11, 23, 47, 59, 83]


@pytest.mark.parametrize("number", [2047, 3277, 8321, 1373653, 25326001, 3215031751])
def test_strong_pseudoprimes_do_not_pass(number: int) -> None:
    """They pass in base 2, and some in bases 3, 5 and 7 too, but not in most."""
    assert _safe_primes._passes(number, 2)
    assert not all(_safe_primes._passes(number, base) for base in range(2, 40))


def test_the_test_of_primes_knows_primes() -> None:
    for number in range(5, 2000, 2):
        assert all(_safe_primes._passes(number, base) for base in range(2, number - 1)) == is_prime(
            number
        )


def test_the_sieve_leaves_what_has_no_small_factor() -> None:
    start = (1 << 90) + 987654321
    start += (11 - start) % 12
    left = set(_safe_primes._sieved(start))
    assert 100 < len(left) < _safe_primes._WINDOW // 20
    primorial = math.prod(p for p in range(5, 5000) if is_prime(p))
    for step in range(3000):
        p = start + 12 * step
        if math.gcd(p * (p >> 1), primorial) > 1:
            assert step not in left
    # What it takes out has a factor below its bound.
    small = _safe_primes._small_primes().tolist()
    assert small[:4] == [5, 7, 11, 13]
    assert len(small) == 564163 - 2
    for step in [step for step in range(3000) if step not in left][:60]:
        p = start + 12 * step
        assert any(p % factor in {0, 1} for factor in small)


@pytest.mark.parametrize("bits", [40, 64, 96, 256])
def test_safe_primes_have_their_size(bits: int) -> None:
    found = {_safe_primes.safe_prime(bits) for _ in range(3)}
    assert len(found) == 3
    for p in found:
        assert p >> bits - 2 == 3
        assert p % 12 == 11
        for number in (p, p >> 1):
            assert all(pow(base, number - 1, number) == 1 for base in (2, 3, 5, 7, 11))


def test_starts_leave_room_for_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter([(1 << 62) - 1, (1 << 62) - 13 * (1 << 17), 5])
    monkeypatch.setattr(_safe_primes, "below", lambda bound: next(drawn))
    start = _safe_primes._start(64)
    assert start % 12 == 11
    assert 0 <= start - ((1 << 64) - 13 * (1 << 17)) < 12


def test_the_two_primes_of_a_key_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    found = iter([23, 23, 47])
    told: list[tuple[str, int, int]] = []
    monkeypatch.setattr(_dealer, "safe_prime", lambda bits: next(found))
    assert _dealer.safe_primes(12, lambda *step: told.append(step)) == (23, 47)
    assert told == [("safe primes", 1, 2), ("safe primes", 2, 2)]


def test_numbers_below_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {_draw.below(5) for _ in range(400)} == set(range(5))
    assert len({_draw.below(1 << 512) for _ in range(50)}) == 50
    monkeypatch.setattr(_draw.entropy, "draw", lambda size: Secret(b"\xff" * size))
    assert _draw.below(1000) == (2 ** (8 * 17) - 1) % 1000

"""Sharing by the core through its door, against the reference's Python integers."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from fedsecure.errors import CryptoError
from fedsecure.primitives import entropy, shamir
from fedsecure.primitives.entropy import Secret
from fedsecure.primitives.masks import Prg
from reference import shamir as reference

SECRETS = [bytes(32), b"\xff" * 32, bytes(range(32)), b"\x80" + bytes(31)]


@pytest.mark.parametrize("prg", Prg)
def test_shares_equal_the_reference(monkeypatch: pytest.MonkeyPatch, prg: Prg) -> None:
    seed = bytes(range(prg.seed_bytes))
    monkeypatch.setattr(entropy, "_system", lambda size: seed[:size])
    xs = [1, 2, 3, 7, 2**32 - 1]
    shares = shamir.split([Secret(secret) for secret in SECRETS], 4, xs, prg)
    assert shares.shape == (4, 5, 40)
    assert [[share.tobytes() for share in row] for row in shares] == reference.split(
        SECRETS, 4, xs, seed, prg
    )


def test_any_threshold_of_them_gives_the_secrets_back() -> None:
    xs = [1, 2, 3, 4, 5, 6]
    shares = shamir.split([Secret(secret) for secret in SECRETS], 4, xs)
    for chosen in combinations(range(6), 4):
        found = shamir.combine([xs[at] for at in chosen], shares[:, chosen])
        assert [bytes(secret.view) for secret in found] == SECRETS
        by_x = {xs[at]: shares[2, at].tobytes() for at in chosen}
        assert reference.combine(by_x) == SECRETS[2]


def test_one_share_fewer_gives_nothing_of_it() -> None:
    """Sharings of one secret: three of four shares interpolate to something else every time."""
    found = set()
    for _ in range(50):
        (row,) = shamir.split([Secret(SECRETS[2])], 4, [1, 2, 3, 4])
        limbs = [0] * 5
        for x, share in zip((1, 2, 3), row, strict=False):
            factor = {1: 3, 2: -3, 3: 1}[x]
            for i in range(5):
                value = int.from_bytes(share[8 * i : 8 * i + 8].tobytes(), "little")
                limbs[i] = (limbs[i] + factor * value) % reference.PRIME
        assert limbs != reference.to_limbs(SECRETS[2])
        found.add(tuple(limbs))
    assert len(found) == 50


def test_fresh_coefficients_each_time() -> None:
    first = shamir.split([Secret(SECRETS[0])], 3, [1, 2, 3])
    second = shamir.split([Secret(SECRETS[0])], 3, [1, 2, 3])
    assert (first != second).any(axis=2).all()


def test_refusals() -> None:
    good = shamir.split([Secret(SECRETS[2])], 3, [1, 2, 3])
    with pytest.raises(CryptoError, match="32 bytes, not 31"):
        shamir.split([Secret(bytes(31))], 3, [1, 2, 3])
    for threshold, xs in [(3, [1, 2, 2]), (3, [0, 1, 2]), (4, [1, 2, 3]), (0, [1, 2, 3])]:
        with pytest.raises(CryptoError, match="cannot share"):
            shamir.split([Secret(SECRETS[0])], threshold, xs)
    with pytest.raises(CryptoError, match="do not combine"):
        shamir.combine([1, 2, 2], good)
    with pytest.raises(CryptoError, match="do not combine"):
        shamir.combine([1, 2], good)
    bad = good.copy()
    bad[0, 1, :8] = 255
    with pytest.raises(CryptoError, match="do not combine"):
        shamir.combine([1, 2, 3], bad)
    wrong = good.copy()
    wrong[0, 1, 7] ^= 1
    with pytest.raises(CryptoError, match="do not combine"):
        shamir.combine([1, 2, 3], wrong)
    wrong = good.copy()
    wrong[0, 1, 0] ^= 1  # close enough to be a secret, but another one: owners commit for this
    assert bytes(shamir.combine([1, 2, 3], wrong)[0].view) != SECRETS[2]
    assert bytes(shamir.combine([1, 2, 3], good)[0].view) == SECRETS[2]


def test_each_secret_from_its_own_holders() -> None:
    dealt = shamir.split([Secret(secret) for secret in SECRETS], 3, [1, 2, 3, 4, 5])
    chosen = np.array([[0, 1, 2], [0, 3, 4], [0, 1, 2], [1, 2, 4]])
    shares = dealt[np.arange(4)[:, None], chosen]
    xs = (chosen + 1).astype(np.uint32)
    found = shamir.combine_each(xs, shares)
    assert [secret and bytes(secret.view) for secret in found] == SECRETS
    shares[1, 2, 7] ^= 1  # too large a limb comes of it
    shares[3, 0, :8] = 255  # no field element
    found = shamir.combine_each(xs, shares)
    known = [secret and bytes(secret.view) for secret in found]
    assert known == [SECRETS[0], None, SECRETS[2], None]
    with pytest.raises(CryptoError, match="do not combine"):
        shamir.combine_each(xs - 1, shares)
    with pytest.raises(CryptoError, match="do not combine"):
        shamir.combine_each(xs[:, :2], shares)


def test_is_share() -> None:
    top = (reference.PRIME - 1).to_bytes(8, "little")
    assert shamir.is_share(bytes(40))
    assert shamir.is_share(top * 5)
    assert not shamir.is_share(bytes(39))
    assert not shamir.is_share(bytes(41))
    for at in range(5):
        over = reference.PRIME.to_bytes(8, "little")
        assert not shamir.is_share(bytes(8 * at) + over + bytes(8 * (4 - at)))


def test_split_does_not_change_its_arguments() -> None:
    secret = Secret(SECRETS[2])
    shamir.split([secret], 2, np.array([1, 2]))
    assert bytes(secret.view) == SECRETS[2]

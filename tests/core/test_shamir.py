"""Shamir shares over GF(2**61 - 1): against Python integers, and their secrecy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import reference
from fedsecure import _core

SEED = reference.random_seed(9)
SPECIAL = [bytes(32), b"\x80" * 32, b"\xff" * 32, b"\x01" + bytes(31), bytes(31) + b"\x80"]


def rows(secrets: list[bytes]) -> np.ndarray:
    return np.frombuffer(b"".join(secrets), np.uint8).reshape(len(secrets), 32)


def points(xs: list[int]) -> np.ndarray:
    return np.array(xs, np.uint32)


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize(("n", "threshold"), [(n, t) for n in range(1, 7) for t in range(1, n + 1)])
def test_any_threshold_shares_reconstruct(n: int, threshold: int) -> None:
    secrets = rows([*SPECIAL, reference.random_seed(n) + bytes(8)])
    xs = points(list(range(1, n + 1)))
    shares = _core.shamir_split(secrets, threshold, xs, SEED)
    assert shares.shape == (len(secrets), n, 40)
    for subset in itertools.combinations(range(n), threshold):
        some = list(subset)
        part = np.ascontiguousarray(shares[:, some])
        np.testing.assert_array_equal(_core.shamir_combine(xs[some], part), secrets)


@pytest.mark.usefixtures("kernels")
@given(
    secrets=st.lists(st.binary(min_size=32, max_size=32), max_size=4),
    xs=st.lists(st.integers(1, 2**32 - 1), min_size=1, max_size=9, unique=True),
    key=st.binary(min_size=40, max_size=40),
    data=st.data(),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_equals_python_integers(
    secrets: list[bytes], xs: list[int], key: bytes, prg: int, data: st.DataObject
) -> None:
    seed = key[: reference.SEED_BYTES[prg]]
    threshold = data.draw(st.integers(1, len(xs)))
    shares = _core.shamir_split(rows(secrets), threshold, points(xs), seed, prg=prg)
    wanted = reference.shamir_split(secrets, threshold, xs, seed, prg)
    np.testing.assert_array_equal(shares, wanted)
    some = data.draw(st.permutations(range(len(xs))))[:threshold]
    result = _core.shamir_combine(points(xs)[some], np.ascontiguousarray(shares[:, some]))
    np.testing.assert_array_equal(result, rows(secrets))


def test_a_hundred_parties() -> None:
    secrets = rows([reference.random_seed(j) + bytes([j] * 8) for j in range(3)])
    xs = points(list(range(1, 101)))
    shares = _core.shamir_split(secrets, 67, xs, SEED)
    wanted = reference.shamir_split([row.tobytes() for row in secrets], 67, xs.tolist(), SEED)
    np.testing.assert_array_equal(shares, wanted)
    some = np.random.default_rng(1).permutation(100)[:67]
    result = _core.shamir_combine(xs[some], np.ascontiguousarray(shares[:, some]))
    np.testing.assert_array_equal(result, secrets)


def top_bits(secret: bytes, count: int) -> np.ndarray:
    """Top 4 of 61 bits of the first limb's shares at points 1 and 2, threshold 3, many seeds."""
    found = np.empty((count, 2), np.int64)
    for i in range(count):
        seed = i.to_bytes(24, "little")
        shares = _core.shamir_split(rows([secret]), 3, points([1, 2, 3]), seed)
        found[i] = shares.view(np.uint64)[0, :2, 0] >> np.uint64(57)
    return found


@pytest.mark.parametrize("secret", [bytes(32), b"\xff" * 32])
def test_fewer_shares_are_uniform(secret: bytes) -> None:
    # Chi-square over the 256 joint outcomes of threshold - 1 shares; 255 degrees of freedom, so a
    # standard deviation of 22.6. Five of them either way, with fixed seeds.
    count = 8192
    top = top_bits(secret, count)
    observed = np.bincount(16 * top[:, 0] + top[:, 1], minlength=256)
    chi_square = ((observed - count / 256) ** 2 / (count / 256)).sum()
    assert abs(chi_square - 255) < 5 * 22.6


@pytest.mark.parametrize("value", [reference.PRIME, reference.PRIME + 1, 2**63, 2**64 - 1])
def test_shares_that_are_not_canonical_are_refused(value: int) -> None:
    xs = points([1, 2, 3])
    good = _core.shamir_split(rows(SPECIAL), 3, xs, SEED)
    for place in [(0, 0, 0), (2, 1, 3), (4, 2, 4)]:
        bad = good.copy()
        bad.view(np.uint64)[place] = value
        with pytest.raises(ValueError, match="canonical"):
            _core.shamir_combine(xs, bad)


def test_a_result_that_is_no_secret_is_refused() -> None:
    xs = points([1, 2])
    for limb, bits in enumerate(reference.LIMBS):
        shares = np.zeros((1, 2, 5), np.uint64)
        shares[0, :, limb] = (1 << bits) - 1  # constant polynomial
        assert _core.shamir_combine(xs, shares.view(np.uint8)).any()
        shares[0, :, limb] = 1 << bits
        with pytest.raises(ValueError, match="no 32-byte secret"):
            _core.shamir_combine(xs, shares.view(np.uint8))


@given(
    secrets=st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=12),
    threshold=st.integers(1, 11),
    data=st.data(),
)
@settings(deadline=None)
def test_secrets_with_points_of_their_own(
    secrets: list[bytes], threshold: int, data: st.DataObject
) -> None:
    # Few rows of points, so that some are shared and stand apart from each other.
    point = st.integers(1, 2**32 - 1)
    row = st.lists(point, min_size=threshold, max_size=threshold, unique=True)
    known = data.draw(st.lists(row, min_size=1, max_size=3))
    xs = np.array([data.draw(st.sampled_from(known)) for _ in secrets], np.uint32)
    shares = np.concatenate(
        [
            _core.shamir_split(rows([secret]), threshold, at, SEED)
            for secret, at in zip(secrets, xs, strict=True)
        ]
    )
    found, good = _core.shamir_combine_each(xs, shares, threads=data.draw(st.integers(0, 3)))
    np.testing.assert_array_equal(found, rows(secrets))
    np.testing.assert_array_equal(good, np.ones(len(secrets), np.uint8))
    for at, share, secret in zip(xs, shares, found, strict=True):
        np.testing.assert_array_equal(_core.shamir_combine(at, share[None])[0], secret)


def test_wrong_shares_are_told_apart_on_any_number_of_threads() -> None:
    generator = np.random.default_rng(5)
    secrets = generator.integers(0, 256, (400, 32), np.uint8)
    dealt = _core.shamir_split(secrets, 3, points(list(range(1, 9))), SEED)
    chosen = np.sort([generator.permutation(8)[:3] for _ in secrets])
    shares = np.ascontiguousarray(dealt[np.arange(400)[:, None], chosen])
    xs = (chosen + 1).astype(np.uint32)
    malformed, none = [0, 17, 399], [18, 200]
    shares.view(np.uint64)[malformed, 2, 4] = reference.PRIME
    shares.view(np.uint64)[none, 1, 3] ^= np.uint64(0x0FED_CBA9_8765_4321)
    wanted = secrets.copy()
    wanted[malformed + none] = 0
    for threads in (1, 2, 5, 0):
        found, good = _core.shamir_combine_each(xs, shares, threads=threads)
        assert np.flatnonzero(good == 0).tolist() == sorted(malformed + none)
        np.testing.assert_array_equal(found, wanted)
        np.testing.assert_array_equal(
            _core.shamir_combine(
                points([1, 2, 5]), np.ascontiguousarray(dealt[:, [0, 1, 4]]), threads=threads
            ),
            secrets,
        )


def test_an_altered_share_never_gives_the_secret() -> None:
    xs = points([1, 2, 3])
    secrets = rows(SPECIAL[:1])
    shares = _core.shamir_split(secrets, 3, xs, SEED)
    refused = 0
    for bit in range(61):
        bad = shares.copy()
        bad.view(np.uint64)[0, 1, 0] ^= np.uint64(1 << bit)
        try:
            result = _core.shamir_combine(xs, bad)
        except ValueError:
            refused += 1
        else:
            assert (result != secrets).any()
    assert refused > 20  # the wrong limb, below 2**61, must be below 2**52 to pass


def test_bad_points_and_thresholds_are_refused() -> None:
    secrets = rows(SPECIAL)
    for xs in ([0, 1, 2], [1, 2, 1], []):
        with pytest.raises(ValueError, match="xs"):
            _core.shamir_split(secrets, 1, points(xs), SEED)
        with pytest.raises(ValueError, match="xs"):
            _core.shamir_combine(points(xs), np.zeros((1, len(xs), 40), np.uint8))
        both = np.array([range(7, 7 + len(xs)), xs], np.uint32)
        with pytest.raises(ValueError, match="xs"):
            _core.shamir_combine_each(both, np.zeros((2, len(xs), 40), np.uint8))
    for threshold in (0, 4, -1, 2**64):
        with pytest.raises(ValueError, match="threshold"):
            _core.shamir_split(secrets, threshold, points([1, 2, 3]), SEED)


def test_bad_shapes_are_refused() -> None:
    xs = points([1, 2, 3])
    with pytest.raises(ValueError, match="32 bytes"):
        _core.shamir_split(np.zeros((1, 31), np.uint8), 2, xs, SEED)
    with pytest.raises(ValueError, match="dimension"):
        _core.shamir_split(np.zeros(32, np.uint8), 2, xs, SEED)
    with pytest.raises(ValueError, match="40 bytes"):
        _core.shamir_combine(xs, np.zeros((1, 3, 32), np.uint8))
    with pytest.raises(ValueError, match="shape"):
        _core.shamir_combine(xs, np.zeros((1, 2, 40), np.uint8))
    with pytest.raises(TypeError, match="uint32"):
        _core.shamir_combine(xs.astype(np.int64), np.zeros((1, 3, 40), np.uint8))
    for shape in [(2, 3, 40), (1, 2, 40)]:
        with pytest.raises(ValueError, match="shape"):
            _core.shamir_combine_each(xs[None], np.zeros(shape, np.uint8))
    with pytest.raises(ValueError, match="dimension"):
        _core.shamir_combine_each(xs, np.zeros((1, 3, 40), np.uint8))
    with pytest.raises(ValueError, match="24"):
        _core.shamir_split(rows(SPECIAL), 2, xs, bytes(16))


def test_no_secrets_give_no_shares() -> None:
    xs = points([1, 2, 3])
    empty = _core.shamir_split(np.zeros((0, 32), np.uint8), 2, xs, SEED)
    assert empty.shape == (0, 3, 40)
    assert _core.shamir_combine(xs, empty).shape == (0, 32)
    found, good = _core.shamir_combine_each(xs[:0].reshape(0, 3), empty)
    assert found.shape == (0, 32)
    assert good.shape == (0,)

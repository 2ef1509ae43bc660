"""Paillier's cryptosystem in the core, against Python integers: fast and plain kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from core import paillier_reference as ref
from core.paillier_reference import SEED, Key, to_ints, to_rows
from fedsecure import _core

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SIZES = [2048, 3072, 4096]
BITS = 72  # of exponents: more windows than a batch has lanes, the last one cut


# The others take their modular arithmetic from one of these.
@pytest.fixture(params=dict.fromkeys([_core.available_kernels()[0], "portable"]))
def kernels(request: pytest.FixtureRequest) -> Iterator[str]:
    """Runs the test once with the best kernel set of this machine and once with the plainest."""
    before = _core.active_kernels()
    _core.select_kernels(request.param)
    yield request.param
    _core.select_kernels(before)


@pytest.fixture(params=SIZES)
def key(request: pytest.FixtureRequest) -> Key:
    """Runs the test once with a key of each size."""
    return ref.key(request.param)


@pytest.fixture
def small() -> Key:
    """The smallest key."""
    return ref.key(2048)


def rows(key: Key, numbers: list[int]) -> np.ndarray:
    return to_rows(numbers, 2 * key.size)


def base_of(
    key: Key, holder: _core.PaillierPublic | _core.PaillierSecret, bits: int = BITS
) -> tuple[Any, tuple[int, int]]:
    """A base of the core's and what it is of."""
    value = key.value()
    return holder.base(value.to_bytes(2 * key.size, "little"), bits), (value, bits)


@pytest.mark.usefixtures("kernels")
def test_encrypts_with_a_base(key: Key) -> None:
    public = _core.PaillierPublic(key.n_bytes)
    assert public.key_bytes == key.size
    base, reference_base = base_of(key, public)
    for count in range(18):
        ms = key.plaintexts(count)
        made = public.encrypt(to_rows(ms, key.size), base, SEED, first=count)
        np.testing.assert_array_equal(made, key.encrypt(ms, reference_base, count))


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("bits", [8, 256, 448, 1024])
def test_bases_of_all_lengths(small: Key, bits: int) -> None:
    public, secret = _core.PaillierPublic(small.n_bytes), _core.PaillierSecret(*small.primes)
    ms = small.plaintexts(3)
    for holder in (public, secret):
        base, reference_base = base_of(small, holder, bits)
        made = holder.encrypt(to_rows(ms, small.size), base, SEED)
        np.testing.assert_array_equal(made, small.encrypt(ms, reference_base))


@pytest.mark.usefixtures("kernels")
def test_encrypts_by_powers_of_n(key: Key) -> None:
    ms = key.plaintexts(9)
    wanted = key.encrypt(ms, None, 5)
    plaintexts = to_rows(ms, key.size)
    public, secret = _core.PaillierPublic(key.n_bytes), _core.PaillierSecret(*key.primes)
    np.testing.assert_array_equal(public.encrypt(plaintexts, None, SEED, first=5), wanted)
    np.testing.assert_array_equal(secret.encrypt(plaintexts, None, SEED, first=5), wanted)


@pytest.mark.usefixtures("kernels")
def test_the_owner_encrypts_to_the_same_bits(key: Key) -> None:
    secret = _core.PaillierSecret(*key.primes)
    assert secret.key_bytes == key.size
    base, reference_base = base_of(key, secret)
    for count in range(18):
        ms = key.plaintexts(count)
        made = secret.encrypt(to_rows(ms, key.size), base, SEED, first=count)
        np.testing.assert_array_equal(made, key.encrypt(ms, reference_base, count))


@pytest.mark.usefixtures("kernels")
def test_decrypts_what_the_textbook_encrypts(key: Key) -> None:
    secret = _core.PaillierSecret(*key.primes)
    for count in (0, 1, 7, 8, 9, 17):
        ms = key.plaintexts(count)
        units = key.ciphertexts(count)
        powers = [pow(unit, key.n, key.n2) for unit in units[: min(count, 2)]]
        factors = [*powers, *([powers[-1]] * (count - len(powers)) if count else [])]
        made = [(1 + m * key.n) * r % key.n2 for m, r in zip(ms, factors, strict=True)]
        np.testing.assert_array_equal(secret.decrypt(rows(key, made)), to_rows(ms, key.size))


@pytest.mark.usefixtures("kernels")
def test_decrypts_any_number_as_the_textbook_does(small: Key) -> None:
    cs = small.ciphertexts(8)
    made = _core.PaillierSecret(*small.primes).decrypt(rows(small, cs))
    assert to_ints(made) == [small.decrypt(c) for c in cs]


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("at", [0, 8])
def test_refuses_to_decrypt_what_has_no_inverse(small: Key, at: int) -> None:
    secret = _core.PaillierSecret(*small.primes)
    for bad in (0, small.p, small.q, 3 * small.n):
        cs = small.ciphertexts(9)
        cs[at] = bad
        with pytest.raises(ValueError, match="no inverse"):
            secret.decrypt(rows(small, cs))


@pytest.mark.usefixtures("kernels")
def test_randomizes(key: Key) -> None:
    public = _core.PaillierPublic(key.n_bytes)
    base, reference_base = base_of(key, public)
    for mine, theirs, count in ((base, reference_base, 9), (None, None, 2)):
        cs = key.ciphertexts(count)
        made = public.randomize(rows(key, cs), mine, SEED, first=3)
        factors = key.factors(theirs, 3, len(cs))
        assert to_ints(made) == [c * r % key.n2 for c, r in zip(cs, factors, strict=True)]


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("size", [0, 1, 2, 4, 8, 33])
def test_powers(small: Key, size: int) -> None:
    public = _core.PaillierPublic(small.n_bytes)
    top = 256**size - 1
    cs = [*small.ciphertexts(10), 0]
    for exponent in {0, min(1, top), top, top // 3}:
        made = public.power(rows(small, cs), exponent.to_bytes(size, "little"))
        assert to_ints(made) == [pow(c, exponent, small.n2) for c in cs]
    exponents = [0, top, *(small.random.randint(0, top) for _ in cs[2:])]
    each = np.zeros((len(cs), size), np.uint8) if size == 0 else to_rows(exponents, size)
    made = public.power_each(rows(small, cs), each)
    assert to_ints(made) == [pow(c, e, small.n2) for c, e in zip(cs, exponents, strict=True)]


@pytest.mark.usefixtures("kernels")
def test_multiplies(key: Key) -> None:
    public = _core.PaillierPublic(key.n_bytes)
    for count in range(18):
        a, b = key.ciphertexts(count), key.ciphertexts(count)[::-1]
        made = public.multiply(rows(key, a), rows(key, b))
        assert to_ints(made) == [x * y % key.n2 for x, y in zip(a, b, strict=True)]


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize(
    "weights",
    [[0], [1], [2**63 - 1], [0, 0], [1, 1, 1], [5, 0, 1, 77, 2**31, 12], list(range(40))],
)
def test_weighted_products(small: Key, weights: list[int]) -> None:
    public = _core.PaillierPublic(small.n_bytes)
    vectors = [
        small.ciphertexts(9)[i % 3 :] + small.ciphertexts(i % 3) for i in range(len(weights))
    ]
    wanted = [1] * 9
    for vector, weight in zip(vectors, weights, strict=True):
        wanted = [
            w * pow(c, weight, small.n2) % small.n2 for w, c in zip(wanted, vector, strict=True)
        ]
    made = public.weighted_product([rows(small, vector) for vector in vectors], weights)
    assert to_ints(made) == wanted


@pytest.mark.usefixtures("kernels")
def test_running_products(key: Key) -> None:
    public = _core.PaillierPublic(key.n_bytes)
    for count in (0, 1, 8, 19):
        product = _core.PaillierProduct(public, count)
        wanted = [1] * count
        assert to_ints(product.rows()) == wanted
        for first, last in [(0, count), (0, count), (3, 11), (5, 5), (9, 17), (0, count), (18, 19)]:
            if last > count:
                continue
            cs = key.ciphertexts(last - first)
            product.multiply(rows(key, cs), first=first)
            for i, c in enumerate(cs, first):
                wanted[i] = wanted[i] * c % key.n2
            assert to_ints(product.rows()) == wanted
        other = product.copy()
        other.multiply(rows(key, [2] * count))
        assert to_ints(product.rows()) == wanted
        assert to_ints(other.rows()) == [2 * w % key.n2 for w in wanted]


@pytest.mark.usefixtures("kernels")
def test_knows_what_is_below_the_square(key: Key) -> None:
    public = _core.PaillierPublic(key.n_bytes)
    good = [1, key.n2 - 1, key.n]
    assert public.below(rows(key, good))
    assert public.below(rows(key, []))
    for bad in (0, key.n2, key.n2 + 1, 256 ** (2 * key.size) - 1):
        assert not public.below(rows(key, [*good, bad]))


def operations(key: Key) -> dict[str, Callable[[np.ndarray], object]]:
    """All that takes ciphertexts."""
    public, secret = _core.PaillierPublic(key.n_bytes), _core.PaillierSecret(*key.primes)
    return {
        "randomize": lambda x: public.randomize(x, None, SEED),
        "power": lambda x: public.power(x, b"\3"),
        "power_each": lambda x: public.power_each(x, np.ones((len(x), 1), np.uint8)),
        "multiply": lambda x: public.multiply(x, x),
        "weighted_product": lambda x: public.weighted_product([x], [1]),
        "product": lambda x: _core.PaillierProduct(public, len(x)).multiply(x),
        "decrypt": secret.decrypt,
    }


@pytest.mark.parametrize("name", operations(ref.key(2048)))
def test_refuses_ciphertexts_that_are_none(small: Key, name: str) -> None:
    operation = operations(small)[name]
    good = rows(small, small.ciphertexts(3))
    for bad in (small.n2, 256 ** (2 * small.size) - 1):
        with pytest.raises(ValueError, match=r"ciphertext 1 is not below n\*\*2"):
            operation(rows(small, [1, bad]))
    with pytest.raises(ValueError, match="bytes in each row"):
        operation(np.ascontiguousarray(good[:, 1:]))
    with pytest.raises(ValueError, match="dimension"):
        operation(good.reshape(1, 3, -1))
    with pytest.raises(TypeError, match="contiguous"):
        operation(good[::2])
    with pytest.raises(TypeError, match="uint8"):
        operation(good.astype(np.int16))


def test_refuses_plaintexts_that_are_none(small: Key) -> None:
    for holder in (_core.PaillierPublic(small.n_bytes), _core.PaillierSecret(*small.primes)):
        for bad in (small.n, 256**small.size - 1):
            with pytest.raises(ValueError, match="plaintext 1 is not below n"):
                holder.encrypt(to_rows([0, bad], small.size), None, SEED)
        with pytest.raises(ValueError, match="bytes in each row"):
            holder.encrypt(np.zeros((2, 2 * small.size), np.uint8), None, SEED)
        with pytest.raises(ValueError, match="seed must have 40 bytes"):
            holder.encrypt(np.zeros((2, small.size), np.uint8), None, SEED[:24])
        with pytest.raises(ValueError, match="keystream"):
            holder.encrypt(np.zeros((2, small.size), np.uint8), None, SEED, first=2**56)


def test_refuses_keys_and_bases_that_are_none(small: Key) -> None:
    with pytest.raises(ValueError, match="256, 384 or 512"):
        _core.PaillierPublic(small.n_bytes[1:])
    for n in (small.n - 1, small.n % 2**2047):
        with pytest.raises(ValueError, match="odd, with its top bit set"):
            _core.PaillierPublic(n.to_bytes(small.size, "little"))
    p, q = small.primes
    low = (2**1023 + 1).to_bytes(128, "little")
    for pair, message in [
        ((p, p), "different"),
        ((p, q[1:]), "q must have 128, 192 or 256 bytes"),
        ((p, ref.key(3072).primes[1]), "equally long"),
        ((p[:-1] + b"\0", q), "p must be odd, with its top bit"),
        ((p, b"\0" + q[1:]), "q must be odd, with its top bit"),
        ((low, (2**1023 + 3).to_bytes(128, "little")), "top bit of p"),
    ]:
        with pytest.raises(ValueError, match=message):
            _core.PaillierSecret(*pair)
    value = bytes([2]) + bytes(2 * small.size - 1)
    for holder in (_core.PaillierPublic(small.n_bytes), _core.PaillierSecret(p, q)):
        for bits in (0, 12, 16 * small.size + 8):
            with pytest.raises(ValueError, match="multiple of 8"):
                holder.base(value, bits)
        with pytest.raises(ValueError, match="base must have 512 bytes"):
            holder.base(value[1:], 16)
        with pytest.raises(ValueError, match="not below"):
            holder.base(small.n2.to_bytes(512, "little"), 16)


def test_bases_belong_to_one_key(small: Key) -> None:
    other = ref.Key(2048)
    other.n = small.n - 2
    mine, theirs = _core.PaillierPublic(small.n_bytes), _core.PaillierPublic(other.n_bytes)
    base, _ = base_of(small, mine)
    with pytest.raises(ValueError, match="another n"):
        theirs.encrypt(to_rows([1], small.size), base, SEED)
    equal = _core.PaillierPublic(small.n_bytes)
    np.testing.assert_array_equal(
        equal.encrypt(to_rows([1], small.size), base, SEED),
        mine.encrypt(to_rows([1], small.size), base, SEED),
    )
    p, q = small.primes
    secrets = _core.PaillierSecret(p, q), _core.PaillierSecret(q, p)
    with pytest.raises(ValueError, match="another key"):
        secrets[1].encrypt(to_rows([1], small.size), base_of(small, secrets[0])[0], SEED)


def test_refuses_lists_that_do_not_match(small: Key) -> None:
    public = _core.PaillierPublic(small.n_bytes)
    one, two = rows(small, [1]), rows(small, [1, 2])
    with pytest.raises(ValueError, match="equally many"):
        public.multiply(one, two)
    with pytest.raises(ValueError, match="equally many"):
        public.power_each(two, np.ones((1, 4), np.uint8))
    with pytest.raises(ValueError, match="equally many, got 1 and 2"):
        public.weighted_product([one], [1, 2])
    with pytest.raises(ValueError, match="equally many rows"):
        public.weighted_product([one, two], [1, 2])
    with pytest.raises(ValueError, match="weights"):
        public.weighted_product([one], [2**63])
    with pytest.raises(ValueError, match="weights"):
        public.weighted_product([one], [-1])
    with pytest.raises(ValueError, match="not be empty"):
        public.weighted_product([], [])
    product = _core.PaillierProduct(public, 2)
    for first in (1, 3, 2**63):
        with pytest.raises(ValueError, match="do not lie within 2"):
            product.multiply(two, first=first)
    assert to_ints(product.rows()) == [1, 1]


@pytest.mark.usefixtures("kernels")
def test_threads_and_pieces_change_nothing(small: Key) -> None:
    public, secret = _core.PaillierPublic(small.n_bytes), _core.PaillierSecret(*small.primes)
    count = 150
    plaintexts = to_rows(small.plaintexts(count), small.size)
    base, (value, bits) = base_of(small, public)
    owned = secret.base(value.to_bytes(2 * small.size, "little"), bits)
    whole = public.encrypt(plaintexts, base, SEED, threads=1)
    for threads in (2, 5):
        made = public.encrypt(plaintexts, base, SEED, threads=threads)
        np.testing.assert_array_equal(made, whole)
        made = secret.encrypt(plaintexts, owned, SEED, threads=threads)
        np.testing.assert_array_equal(made, whole)
        np.testing.assert_array_equal(secret.decrypt(whole[:40], threads=threads), plaintexts[:40])
        product = _core.PaillierProduct(public, count)
        product.multiply(whole, threads=threads)
        product.multiply(whole[20:], first=20, threads=threads)
        np.testing.assert_array_equal(
            product.rows(threads=threads)[20:], public.multiply(whole, whole, threads=threads)[20:]
        )
    pieces = [
        public.encrypt(plaintexts[begin:end], base, SEED, first=begin)
        for begin, end in [(0, 1), (1, 20), (20, 20), (20, 150)]
    ]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)


@pytest.mark.usefixtures("kernels")
def test_read_only_inputs_will_do(small: Key) -> None:
    public = _core.PaillierPublic(small.n_bytes)
    cs = rows(small, [2, 3])
    assert not cs.flags.writeable
    assert to_ints(public.multiply(cs, cs)) == [4, 9]

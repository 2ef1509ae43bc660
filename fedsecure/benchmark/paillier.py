"""Paillier ciphertexts beside those of phe, under the same key; packed, beside CKKS."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from fedsecure.benchmark import baselines
from fedsecure.benchmark.rows import Row
from fedsecure.benchmark.timing import in_turn, on_threads
from fedsecure.encoding import FixedPoint
from fedsecure.paillier import PrivateKey, RunningProduct, generate_keypair
from fedsecure.primitives import entropy

if TYPE_CHECKING:
    from collections.abc import Callable

    from fedsecure.paillier import EncryptedVector, PublicKey
    from fedsecure.paillier.keys import Randomizer

__all__ = ["BUDGET", "ENCODING", "PaillierSizes", "gain_rows", "paillier_rows", "plaintexts"]

ENCODING, BUDGET = FixedPoint(clip=8.0, bits=28), 255
"""Weights of 32 bits, and room for the sum of 255 of them: slots of 40 bits."""

_CIPHERTEXT, _WEIGHT = "us/ciphertext", "us/weight"
_RANDOMIZERS: tuple[Randomizer, ...] = ("half", "short", "full")
_BY_WEIGHT: tuple[Randomizer, ...] = ("half", "short")
_NO_PHE = "phe is not installed: pip install phe gmpy2"
_NO_CKKS = "tenseal is not installed: pip install tenseal"


@dataclass(frozen=True)
class PaillierSizes:
    """How many ciphertexts are measured at a time.

    Attributes:
        bits: Of the keys, one set of rows for each.
        ours: Ciphertexts of ours; of the slow ones an eighth.
        theirs: Ciphertexts of phe's; of additions a hundred times as many.
        ckks: Vectors of 4096 weights that TenSEAL encrypts.
    """

    bits: tuple[int, ...] = (2048, 3072)
    ours: int = 512
    theirs: int = 4
    ckks: int = 4


def paillier_rows(sizes: PaillierSizes, repeats: int) -> list[Row]:
    """Returns the rows ``paillier<bits>_*``, those about weights for the first of the bits.

    Args:
        sizes: How much is measured.
        repeats: Of each measurement; the medians count.
    """
    rows: list[Row] = []
    with on_threads(1):
        for bits in sizes.bits:
            public, private = generate_keypair(bits)
            packed = bits == sizes.bits[0]
            calls = _ours(public, private, sizes, packed=packed)
            calls |= _phe(public, private, sizes)
            if packed:
                calls |= _ckks(sizes)
            found = _Found(calls, repeats)
            rows += _by_ciphertext(bits, found)
            if packed:
                rows += _by_weight(bits, found)
                rows.append(_bytes(bits, _packed(public, sizes)))
    return rows


_Calls = dict[str, tuple["Callable[[], object]", int]]


def _ours(public: PublicKey, private: PrivateKey, sizes: PaillierSizes, *, packed: bool) -> _Calls:
    """Returns what is measured, and how many ciphertexts, or weights, that handles."""
    many, few = sizes.ours, max(8, sizes.ours // 8)
    numbers = plaintexts(public, many)
    rows = public.with_randomizer("short").encrypt_rows(numbers)
    owner = PrivateKey.from_primes(*private.primes, randomizer="short")
    calls: _Calls = {
        "encrypt_owner": (partial(owner.encrypt_rows, numbers), many),
        "add": (partial(_add, public, rows), len(rows) * _ADDED),
        "decrypt": (partial(private.decrypt_rows, rows[:few]), few),
    }
    for name in _RANDOMIZERS:
        count = few if name == "full" else many
        key = public.with_randomizer(name)
        calls[f"encrypt_{name}"] = partial(key.encrypt_rows, numbers[:count]), count
    if packed:
        vector = _packed(public, sizes)
        x = baselines.update(vector.size)
        for name in _BY_WEIGHT:
            key = public.with_randomizer(name)
            encrypt = partial(key.encrypt, x, encoding=ENCODING, budget=BUDGET)
            calls[f"packed_encrypt_{name}"] = encrypt, x.size
        calls["packed_decrypt"] = partial(private.decrypt, vector), x.size
    return calls


_ADDED = 10


def _add(public: PublicKey, rows: Any) -> object:
    """Adds up vectors as they came from the wire, which is all that an aggregator does."""
    product = RunningProduct(public, len(rows))
    for _ in range(_ADDED):
        product.multiply(rows)
    return product.rows()


def plaintexts(public: PublicKey, count: int) -> Any:
    """Returns random plaintext rows below n."""
    drawn = np.frombuffer(entropy.token(count * public.key_bytes), np.uint8)
    rows = drawn.reshape(count, public.key_bytes).copy()
    rows[:, -1] = 0  # below n
    return rows


def _packed(public: PublicKey, sizes: PaillierSizes) -> EncryptedVector:
    key = public.with_randomizer("short")
    one = key.encrypt(np.zeros(1, np.float32), encoding=ENCODING, budget=BUDGET)
    size = one.form.packing.slots * sizes.ours
    return key.encrypt(baselines.update(size), encoding=ENCODING, budget=BUDGET)


def _phe(public: PublicKey, private: PrivateKey, sizes: PaillierSizes) -> _Calls:
    """Returns phe's own calls on the same key: one float a ciphertext."""
    try:
        import phe  # noqa: PLC0415  # optional
    except ImportError:
        return {}
    theirs = phe.PaillierPublicKey(public.n)
    secret = phe.PaillierPrivateKey(theirs, *private.primes)
    x = baselines.update(sizes.theirs).tolist()
    numbers = [theirs.encrypt(value, precision=1e-8) for value in x]
    others = [theirs.encrypt(value, precision=1e-8) for value in x]
    times = range(100)
    return {
        "phe_encrypt": (lambda: [theirs.encrypt(v, precision=1e-8) for v in x], len(x)),
        "phe_add": (
            lambda: [a + b for _ in times for a, b in zip(numbers, others, strict=True)],
            len(x) * len(times),
        ),
        "phe_decrypt": (lambda: [secret.decrypt(number) for number in numbers], len(x)),
    }


def _ckks(sizes: PaillierSizes) -> _Calls:
    """Returns TenSEAL's encryption, with the parameters of its tutorials and one thread."""
    try:
        import tenseal  # noqa: PLC0415  # optional
    except ImportError:
        return {}
    context = tenseal.context(
        tenseal.SCHEME_TYPE.CKKS,
        poly_modulus_degree=8192,
        coeff_mod_bit_sizes=[60, 40, 40],
        n_threads=1,
    )
    context.global_scale = 2.0**40
    x = baselines.update(4096).tolist()
    many = range(sizes.ckks)
    return {"ckks": (lambda: [tenseal.ckks_vector(context, x) for _ in many], 4096 * len(many))}


_PHE = ["encrypt_half", "encrypt_short", "encrypt_full", "encrypt_owner", "add", "decrypt"]
_WHAT = {
    "encrypt_half": "exponents of half the key's length, the default",
    "encrypt_short": "short exponents, for one more assumption",
    "encrypt_full": "r^n, as phe does it",
    "encrypt_owner": "by the key's owner, short exponents",
    "add": "vectors from the wire added up",
    "decrypt": "",
}


def _by_ciphertext(bits: int, found: _Found) -> list[Row]:
    rows = []
    for name in _PHE:
        theirs = "phe_encrypt" if name.startswith("encrypt") else f"phe_{name}"
        what = "; ".join(filter(None, (_WHAT[name], _phe_note())))
        row = found.beside(f"paillier{bits}_{name}_vs_phe", name, theirs, _CIPHERTEXT, what)
        rows.append(row)
    return rows


def _by_weight(bits: int, found: _Found) -> list[Row]:
    rows = []
    for name in ("packed_encrypt_half", "packed_encrypt_short", "packed_decrypt"):
        theirs = f"phe_{name.split('_')[1]}"
        what = f"weights of 32 bits in slots of 40; {_phe_note()}, one weight a ciphertext"
        rows.append(found.beside(f"paillier{bits}_{name}_vs_phe", name, theirs, _WEIGHT, what))
    what = "TenSEAL: CKKS, degree 8192, [60, 40, 40], one thread" if found.has("ckks") else _NO_CKKS
    name = "packed_encrypt_short"
    row = found.beside(f"paillier{bits}_{name}_vs_ckks", name, "ckks", _WEIGHT, what)
    return [*rows, row]


def _bytes(bits: int, vector: EncryptedVector) -> Row:
    """What a vector takes on the wire, beside one ciphertext for each weight."""
    ours, alone = len(vector.to_bytes()) / vector.size, bits / 4
    what = "baseline: one weight a ciphertext, without phe's text form"
    return Row(f"paillier{bits}_bytes_per_weight", ours, "bytes/weight", alone, alone / ours, what)


class _Found:
    """Times of calls that handle so many things each."""

    def __init__(self, calls: _Calls, repeats: int) -> None:
        self._times = in_turn({name: call for name, (call, _) in calls.items()}, repeats)
        self._each = {name: count for name, (_, count) in calls.items()}

    def has(self, name: str) -> bool:
        return name in self._times

    def beside(self, row: str, ours: str, theirs: str, unit: str, note: str) -> Row:
        mine, value = self._times[ours], self._value(ours)
        if theirs not in self._times:
            return Row(row, value, unit, None, None, note, mine.spread)
        other = self._value(theirs)
        wider = max(mine.spread, self._times[theirs].spread)
        return Row(row, value, unit, other, other / value, note, wider)

    def _value(self, name: str) -> float:
        return 1e6 * self._times[name].median / self._each[name]


def _phe_note() -> str:
    try:
        from phe import util  # noqa: PLC0415  # optional
    except ImportError:
        return _NO_PHE
    return "phe with gmpy2" if util.HAVE_GMP else "phe without gmpy2 (pip install gmpy2)"


def gain_rows(public: PublicKey) -> list[Row]:
    """Returns what multiplies to the ratio of one weight: kernels, algorithm, packing.

    Kernels: r^n modulo n^2 by the kernel set in use, beside GMP's modular exponentiation.
    Algorithm: a fixed base and half-length exponents, beside r^n, both ours. Packing: weights in
    a ciphertext.

    Args:
        public: A key.
    """
    few = plaintexts(public, 64)
    full, half = public.with_randomizer("full"), public.with_randomizer("half")
    calls: _Calls = {
        "full": (partial(full.encrypt_rows, few), len(few)),
        "half": (partial(half.encrypt_rows, few), len(few)),
    } | _gmp(public)
    with on_threads(1):
        found = _Found(calls, 5)
    name = f"paillier{public.bits}_gain_of_"
    slots = float(_packed(public, PaillierSizes(ours=8)).form.packing.slots)
    return [
        found.beside(name + "kernels", "full", "gmp", _CIPHERTEXT, "r^n; baseline: GMP's powmod"),
        found.beside(name + "algorithm", "half", "full", _CIPHERTEXT, "baseline: r^n, ours"),
        Row(name + "packing", slots, "weights", 1.0, slots, "weights in a ciphertext"),
    ]


def _gmp(public: PublicKey) -> _Calls:
    try:
        import gmpy2  # noqa: PLC0415  # optional
    except ImportError:
        return {}
    n, n_squared = gmpy2.mpz(public.n), gmpy2.mpz(public.n_squared)
    r = [gmpy2.mpz(int.from_bytes(entropy.token(public.key_bytes))) for _ in range(4)]
    return {"gmp": (lambda: [gmpy2.powmod(x, n, n_squared) for x in r], len(r))}

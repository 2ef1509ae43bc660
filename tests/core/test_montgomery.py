"""The kernels for big numbers, each function of each tier, against Python's integers."""

from __future__ import annotations

import ctypes
import mmap
import platform
from itertools import product
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import numpy as np
import pytest

from core import native

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

pytestmark = [
    native.needs_compiler,
    pytest.mark.skipif(platform.system() != "Linux", reason="loads a shared library made for it"),
]

SIZES = (1024, 1536, 2048, 3072, 4096)
TIERS = {"portable": 1, "ifma": 5}  # halves of pairs may be up to so many times the modulus

Pointer, Size = ctypes.c_void_p, ctypes.c_size_t
Unsigned = ctypes.c_uint


class Modulus(ctypes.Structure):
    _fields_ = (("words", Unsigned), ("inverse", ctypes.c_uint64), ("n", Pointer))


def function(*arguments: type) -> type:
    return ctypes.CFUNCTYPE(None, *arguments)


Reduced = ctypes.POINTER(Modulus)


class Table(ctypes.Structure):
    _fields_ = (
        ("radix", Unsigned),
        ("lanes", Unsigned),
        ("words", ctypes.CFUNCTYPE(Unsigned, Unsigned)),
        ("load", function(Pointer, Size, Size, Size, Unsigned, Pointer)),
        ("store", function(Pointer, Unsigned, Pointer, Size, Size, Size)),
        ("mul", function(Reduced, Pointer, Pointer, Pointer)),
        ("square", function(Reduced, Pointer, Pointer)),
        ("enter", function(Reduced, Pointer, Unsigned, Pointer, Pointer)),
        ("leave", function(Reduced, Pointer, Pointer, Pointer)),
        ("compose", function(Reduced, Pointer, Pointer)),
        ("pick_shared", function(Pointer, Unsigned, Unsigned, Pointer, Size, Pointer)),
        ("pick", function(Pointer, Unsigned, Unsigned, Pointer, Pointer)),
        ("mul_plain", function(Reduced, Pointer, Pointer, Pointer)),
        ("exact_plain", function(Reduced, Pointer, Pointer)),
    )


class Numbers:
    """One tier with one modulus: batches to words and back."""

    def __init__(self, tier: str, table: Table, n: int, words: int) -> None:
        self.table, self.n, self.words = table, n, words
        self.lanes, self.radix = table.lanes, table.radix
        self.loose = TIERS[tier]
        self.r = 1 << self.radix * words
        self._n = self.split([n], words, lanes=1)
        inverse = -pow(n, -1, 1 << self.radix) % (1 << self.radix)
        self.modulus = ctypes.byref(Modulus(words, inverse, self._n.ctypes.data))

    def split(self, values: Sequence[int], words: int, lanes: int | None = None) -> np.ndarray:
        mask = (1 << self.radix) - 1
        assert all(0 <= value < 1 << self.radix * words for value in values)
        flat = [value >> self.radix * i & mask for i in range(words) for value in values]
        assert len(flat) == words * (lanes or self.lanes)
        return np.array(flat, dtype=np.uint64)

    def join(self, words: np.ndarray) -> list[int]:
        columns = words.reshape(-1, self.lanes).tolist()
        assert all(word < 1 << self.radix for column in columns for word in column)
        return [
            sum(word << self.radix * i for i, word in enumerate(lane))
            for lane in zip(*columns, strict=True)
        ]

    def pairs(self, values: Sequence[tuple[int, int]]) -> np.ndarray:
        halves = [self.split(half, self.words) for half in zip(*values, strict=True)]
        return np.concatenate(halves)

    def join_pairs(self, words: np.ndarray, limit: int) -> list[tuple[int, int]]:
        halves = [self.join(half) for half in np.split(words, 2)]
        assert all(number < limit for half in halves for number in half)
        return list(zip(*halves, strict=True))

    def call(self, kernel: str, *arguments: object, words: int) -> np.ndarray:
        """Runs a kernel; what is around its output must stay as it was."""
        size = words * self.lanes
        out = np.full(size + 16, 0xA5A5A5A5A5A5A5A5, dtype=np.uint64)
        plain = [x.ctypes.data if isinstance(x, np.ndarray) else x for x in arguments]
        getattr(self.table, kernel)(*plain, out[8:].ctypes.data)
        assert (out[[*range(8), *range(-8, 0)]] == 0xA5A5A5A5A5A5A5A5).all()
        return out[8:-8]

    def value(self, pair: tuple[int, int]) -> int:
        return (pair[0] + pair[1] * self.n) % self.n**2

    def batches(self, cases: Sequence) -> Iterator[list]:
        """All cases, `lanes` at a time; the last ones are filled up with the first."""
        for first in range(0, len(cases), self.lanes):
            batch = list(cases[first : first + self.lanes])
            yield batch + list(cases[: self.lanes])[: self.lanes - len(batch)]

    def edges(self) -> list[int]:
        """Values of halves, the largest a kernel of this tier may be given included."""
        ones = (1 << self.n.bit_length() - 1) - 1
        values = [0, 1, self.n - 1, ones, Random(self.n).randrange(self.n)]
        extremes = [self.n, 2 * self.n, self.loose * self.n - 1, (1 << self.radix) - 1]
        return values + [value for value in extremes if value < self.loose * self.n]


def moduli(bits: int) -> list[int]:
    random = Random(bits)
    some = random.getrandbits(bits) | 1 | 1 << bits - 1
    return [2**bits - 1, 2 ** (bits - 1) + 1, some]


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Table]:
    sources = [path for path in native.kernel_sources() if path.stem.startswith("montgomery")]
    flags = [f"-DHAS_{path.stem.rpartition('_')[2].upper()}" for path in sources]
    sources.append(Path(__file__).parent / "montgomery_check.cpp")
    path = tmp_path_factory.mktemp("montgomery") / "montgomery_check.so"
    native.link(path, sources, "-shared", "-fPIC", *flags)
    find = ctypes.CDLL(str(path)).montgomery_table
    find.restype = ctypes.POINTER(Table)

    def table(tier: str) -> Table:
        found = find(tier.encode())
        if not found:
            pytest.skip(f"{tier} kernels do not run here")
        return found.contents

    return table


def shown(tier: str) -> str:
    return f"{tier}, emulated" if native.EMULATED and tier in native.WITH_AVX512 else tier


@pytest.fixture(params=TIERS, ids=shown)
def tier(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def table(tables: Callable[[str], Table], tier: str) -> Table:
    return tables(tier)


@pytest.fixture(params=SIZES)
def each(request: pytest.FixtureRequest, table: Table, tier: str) -> list[Numbers]:
    """Moduli of one size."""
    bits = request.param
    return [Numbers(tier, table, n, table.words(bits)) for n in moduli(bits)]


@pytest.fixture(params=SIZES)
def each_plain(request: pytest.FixtureRequest, table: Table, tier: str) -> list[Numbers]:
    """Moduli of one size and their squares."""
    words = table.words(request.param)
    ns = moduli(request.param)
    plain = [Numbers(tier, table, n, words) for n in ns]
    return plain + [Numbers(tier, table, n**2, 2 * words) for n in ns]


def test_words(table: Table) -> None:
    for bits in SIZES:
        words = table.words(bits)
        assert table.words(2 * bits) == 2 * words
        assert 0 <= words * table.radix - bits <= 64


def test_mul(each: list[Numbers]) -> None:
    for numbers in each:
        pairs = list(product(numbers.edges(), repeat=2))
        cases = list(zip(pairs, Random(1).sample(pairs, len(pairs)), strict=True))
        cases += [(pairs[-1], pair) for pair in pairs]
        shrink = pow(numbers.r, -1, numbers.n**2)
        for batch in numbers.batches(cases):
            x, y = (numbers.pairs(side) for side in zip(*batch, strict=True))
            out = numbers.call("mul", numbers.modulus, x, y, words=2 * numbers.words)
            found = numbers.join_pairs(out, numbers.loose * numbers.n)
            for (a, b), pair in zip(batch, found, strict=True):
                wanted = numbers.value(a) * numbers.value(b) * shrink % numbers.n**2
                assert numbers.value(pair) == wanted


def test_square(each: list[Numbers]) -> None:
    for numbers in each:
        shrink = pow(numbers.r, -1, numbers.n**2)
        for batch in numbers.batches(list(product(numbers.edges(), repeat=2))):
            x = numbers.pairs(batch)
            out = numbers.call("square", numbers.modulus, x, words=2 * numbers.words)
            found = numbers.join_pairs(out, numbers.loose * numbers.n)
            for a, pair in zip(batch, found, strict=True):
                assert numbers.value(pair) == numbers.value(a) ** 2 * shrink % numbers.n**2


def test_chains_in_place_stay_within_bounds(each: list[Numbers]) -> None:
    """What comes out goes in again, over itself, as in a power."""
    for numbers in each:
        top = numbers.loose * numbers.n - 1
        start = [(top - lane, top - 2 * lane) for lane in range(numbers.lanes)]
        x = numbers.pairs(start)
        factor = x.copy()
        values = factors = [numbers.value(pair) for pair in start]
        shrink = pow(numbers.r, -1, numbers.n**2)
        address = x.ctypes.data
        for step in range(60):
            others = values if step % 3 else factors
            if step % 3:
                numbers.table.square(numbers.modulus, address, address)
            elif step % 2:
                numbers.table.mul(numbers.modulus, address, factor.ctypes.data, address)
            else:
                numbers.table.mul(numbers.modulus, factor.ctypes.data, address, address)
            values = [
                value * other * shrink % numbers.n**2
                for value, other in zip(values, others, strict=True)
            ]
            found = numbers.join_pairs(x, numbers.loose * numbers.n)
            assert [numbers.value(pair) for pair in found] == values


def test_enter(each: list[Numbers]) -> None:
    for numbers in each:
        random = Random(numbers.n)
        edges = [0, 1, numbers.n - 1, random.randrange(numbers.n)]
        shrink = pow(numbers.r, -1, numbers.n**2)
        for parts, largest in product((1, 2, 3, 4), (True, False)):
            factors = [(numbers.n - 1,) * 2 if largest else random.choices(edges, k=2)] * parts
            x = [[numbers.r - 1 - lane] * parts for lane in range(numbers.lanes)]
            if not largest:
                x = [[random.randrange(numbers.r) for _ in lane] for lane in x]
            flat = [numbers.split(column, numbers.words) for column in zip(*x, strict=True)]
            halves = [numbers.split([v], numbers.words, lanes=1) for pair in factors for v in pair]
            arguments = (np.concatenate(flat), parts, np.concatenate(halves))
            out = numbers.call("enter", numbers.modulus, *arguments, words=2 * numbers.words)
            found = numbers.join_pairs(out, numbers.loose * numbers.n)
            for lane, pair in zip(x, found, strict=True):
                total = sum(v * numbers.value(f) for v, f in zip(lane, factors, strict=True))
                assert numbers.value(pair) == total * shrink % numbers.n**2
            again = numbers.call("square", numbers.modulus, out, words=2 * numbers.words)
            for pair, result in zip(
                found, numbers.join_pairs(again, numbers.loose * numbers.n), strict=True
            ):
                wanted = numbers.value(pair) ** 2 * shrink % numbers.n**2
                assert numbers.value(result) == wanted


def test_leave(each: list[Numbers]) -> None:
    for numbers in each:
        n = numbers.n
        shrink = pow(numbers.r, -1, n**2)
        # Also what has quotients of remainder 0, or 1 more than a multiple of N.
        edges = [*numbers.edges(), numbers.r % n, (n - numbers.r) % n]
        plain = [0, 1, n - 1, Random(n).randrange(n)]
        for batch in numbers.batches(list(product(product(edges, repeat=2), plain))):
            x = numbers.pairs([pair for pair, _ in batch])
            t = numbers.split([value for _, value in batch], numbers.words)
            for with_t in (True, False):
                plain_t = t if with_t else None
                words = 2 * numbers.words
                out = numbers.call("leave", numbers.modulus, x, plain_t, words=words)
                for (pair, value), result in zip(batch, numbers.join_pairs(out, n), strict=True):
                    factor = 1 + value * n * with_t
                    wanted = numbers.value(pair) * factor * shrink % n**2
                    assert numbers.value(result) == wanted


def test_compose(each_plain: list[Numbers]) -> None:
    for numbers in each_plain:
        n = numbers.n
        edges = [0, 1, n - 1, n - 2, Random(n).randrange(n)]
        for batch in numbers.batches(list(product(edges, repeat=2))):
            x = numbers.pairs(batch)
            out = numbers.call("compose", numbers.modulus, x, words=2 * numbers.words)
            assert numbers.join(out) == [a + b * n for a, b in batch]


def test_mul_plain(each_plain: list[Numbers]) -> None:
    for numbers in each_plain:
        n = numbers.n
        shrink = pow(numbers.r, -1, n)
        edges = [0, 1, n - 1, Random(n).randrange(n), min(2 * n, numbers.r) - 1]
        cases = [pair for pair in product(edges, repeat=2) if pair[0] * pair[1] < numbers.r * n]
        cases.append((numbers.r - 1, n))
        for batch in numbers.batches(cases):
            x, y = (numbers.split(side, numbers.words) for side in zip(*batch, strict=True))
            out = numbers.call("mul_plain", numbers.modulus, x, y, words=numbers.words)
            found = numbers.join(out)
            wanted = [a * b * shrink % n for a, b in batch]
            assert [value % n for value in found] == wanted
            exact = numbers.call("exact_plain", numbers.modulus, out, words=numbers.words)
            assert numbers.join(exact) == wanted


def test_exact_plain(each_plain: list[Numbers]) -> None:
    for numbers in each_plain:
        n = numbers.n
        edges = [0, 1, n - 1, n, n + 1, 2 * n - 2, 2 * n - 1, 3 * n // 2]
        for batch in numbers.batches([value for value in edges if value < numbers.r]):
            x = numbers.split(batch, numbers.words)
            numbers.table.exact_plain(numbers.modulus, x.ctypes.data, x.ctypes.data)
            assert numbers.join(x) == [value % n for value in batch]


class Fenced:
    """Bytes before a page that nobody may touch."""

    def __init__(self, size: int) -> None:
        self._map = mmap.mmap(-1, 17 * mmap.PAGESIZE)
        self._size = size
        start = ctypes.addressof(ctypes.c_char.from_buffer(self._map))
        end = start + 16 * mmap.PAGESIZE
        protect = ctypes.CDLL(None, use_errno=True).mprotect
        protect.argtypes = (Pointer, Size, ctypes.c_int)
        assert protect(end, mmap.PAGESIZE, 0) == 0
        self.address = end - size

    @property
    def bytes(self) -> bytes:
        return ctypes.string_at(self.address, self._size)

    def fill(self, data: bytes) -> None:
        ctypes.memmove(self.address, data, self._size)


@pytest.mark.parametrize("words_bits", [*SIZES, 6144, 8192])
def test_load_and_store(table: Table, tier: str, words_bits: int) -> None:
    random = Random(words_bits)
    words = table.words(words_bits)
    numbers = Numbers(tier, table, 2**1024 - 1, table.words(1024))
    for row_bytes in (1, 7, 51, 52, 53, 64, 104, words_bits // 16, words_bits // 8):
        for count, gap in product(range(1, table.lanes + 1), (0, 3, 64)):
            stride = row_bytes + gap
            rows = Fenced(stride * (count - 1) + row_bytes)
            data = random.randbytes(stride * (count - 1) + row_bytes)
            rows.fill(data)
            values = [
                int.from_bytes(data[i * stride : i * stride + row_bytes], "little")
                for i in range(count)
            ]
            arguments = (rows.address, row_bytes, stride, count, words)
            out = numbers.call("load", *arguments, words=words)
            assert numbers.join(out) == values + values[:1] * (table.lanes - count)
            before = random.randbytes(len(data))
            rows.fill(before)
            table.store(out.ctypes.data, words, rows.address, row_bytes, stride, count)
            wanted = bytearray(before)
            for i in range(count):
                start = i * stride
                wanted[start : start + row_bytes] = data[start : start + row_bytes]
            assert rows.bytes == bytes(wanted)


@pytest.mark.parametrize("words_bits", [1024, 1536, 2048, 8192])
def test_pick_shared(table: Table, tier: str, words_bits: int) -> None:
    generator = np.random.default_rng(words_bits)
    words = table.words(words_bits)
    numbers = Numbers(tier, table, 2**1024 - 1, table.words(1024))
    for entries in (16, 32, 64, 128, 256):
        rows = generator.integers(0, 2**63, (words, entries), dtype=np.uint64)
        for batches in (1, 2, entries // table.lanes + 1):
            index = np.arange(batches * table.lanes, dtype=np.uint64) * 7 % entries
            index[-1] = entries - 1
            arguments = (rows, entries, words, index, batches)
            out = numbers.call("pick_shared", *arguments, words=words * batches)
            wanted = rows[:, index.reshape(batches, 1, -1)]
            assert (out.reshape(batches, words, -1) == wanted[:, :, 0].swapaxes(0, 1)).all()


@pytest.mark.parametrize("words_bits", [1024, 1536, 2048, 8192])
def test_pick(table: Table, tier: str, words_bits: int) -> None:
    generator = np.random.default_rng(words_bits)
    words = table.words(words_bits)
    numbers = Numbers(tier, table, 2**1024 - 1, table.words(1024))
    for entries in (1, 4, 16, 31, 64):
        shape = (entries, words, table.lanes)
        batches = generator.integers(0, 2**63, shape, dtype=np.uint64)
        for shift in range(entries):
            index = (np.arange(table.lanes, dtype=np.uint64) + np.uint64(shift)) % entries
            index = index.astype(np.uint64)
            out = numbers.call("pick", batches, entries, words, index, words=words)
            wanted = batches[index.astype(int), :, range(table.lanes)].T
            assert (out.reshape(words, -1) == wanted).all()

"""What intrinsics of AVX-512 give, after Intel's descriptions, on Python's integers and floats.

Registers are integers here, element 0 in their lowest bits. RESULTS has a function for each name
that ``intrinsics_check.cpp`` prints, of the operands a, b, c (512 bits), k (64 bits) and the word
behind the name, if any: most often the immediate.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

Elements = list[int]
Result = Callable[[int, int, int, int, str], int]
INDEFINITE = 1 << 63
ROUNDINGS: dict[str, Callable[[float], int]] = {
    "nearest": round,
    "down": math.floor,
    "up": math.ceil,
    "zero": math.trunc,
}


def split(register: int, width: int, total: int = 512) -> Elements:
    return [register >> i & (1 << width) - 1 for i in range(0, total, width)]


def join(elements: Iterable[int], width: int) -> int:
    return sum((x & (1 << width) - 1) << width * i for i, x in enumerate(elements))


def signed(x: int, width: int) -> int:
    return x - (x >> width - 1 << width)


def each(width: int, function: Callable[..., int], *registers: int) -> int:
    """The function of elements that have the same place."""
    columns = zip(*(split(register, width) for register in registers), strict=True)
    return join((function(*elements) for elements in columns), width)


def each_signed(width: int, function: Callable[..., int], *registers: int) -> int:
    return each(width, lambda *x: function(*(signed(e, width) for e in x)), *registers)


def mask(width: int, function: Callable[..., bool], *registers: int) -> int:
    columns = zip(*(split(register, width) for register in registers), strict=True)
    bits = (function(*(signed(e, width) for e in elements)) for elements in columns)
    return join(map(int, bits), 1)


def merge(width: int, k: int, yes: int, no: int) -> int:
    pairs = zip(split(yes, width), split(no, width), strict=True)
    return join((pair[1 - (k >> i & 1)] for i, pair in enumerate(pairs)), width)


def by_parts(function: Callable[..., int], *registers: int) -> int:
    """The function of 128-bit parts."""
    return each(128, function, *registers)


def left(x: int, n: int, width: int) -> int:
    return x << n if n < width else 0


def right(x: int, n: int, width: int) -> int:
    return x >> n if n < width else 0


def arithmetic_right(x: int, n: int) -> int:
    return signed(x, 64) >> min(n, 63)


def rotate_left(x: int, n: int) -> int:
    return x << n % 32 | x >> (32 - n % 32)


def product(x: int, y: int) -> int:
    return (x & (1 << 52) - 1) * (y & (1 << 52) - 1)


def shuffle_epi8(a: int, b: int) -> int:
    data = split(a, 8, 128)
    return join((0 if i & 128 else data[i & 15] for i in split(b, 8, 128)), 8)


def unpack(width: int, first: int, a: int, b: int) -> int:
    count = 64 // width
    pairs = zip(split(a, width, 128), split(b, width, 128), strict=True)
    return join([x for pair in list(pairs)[first * count :][:count] for x in pair], width)


def multishift(control: int, x: int) -> int:
    around = x | x << 64
    return join((around >> (start & 63) for start in split(control, 8, 64)), 8)


def permute(width: int, index: int, *sources: int) -> int:
    table = [x for source in sources for x in split(source, width)]
    return join((table[i % len(table)] for i in split(index, width)), width)


def shuffle_parts(a: int, b: int, parts: int) -> int:
    choice = split(parts, 2, 8)
    return join([split((a, a, b, b)[i], 128)[at] for i, at in enumerate(choice)], 128)


def ternary(a: int, b: int, c: int, table: int) -> int:
    triples = zip(split(a, 1), split(b, 1), split(c, 1), strict=True)
    return join((table >> (x << 2 | y << 1 | z) for x, y, z in triples), 1)


def aes_round(mix: bool, state: int, key: int) -> int:
    data = state.to_bytes(16, "little")
    data = bytes(SBOX[data[(5 * i) % 16]] for i in range(16))  # SubBytes after ShiftRows
    if mix:
        data = bytes(
            mixed for column in zip(*[iter(data)] * 4, strict=True) for mixed in mix_column(column)
        )
    return int.from_bytes(data, "little") ^ key


def times(x: int, y: int) -> int:
    """The product in the field of AES."""
    total = 0
    for bit in range(8):
        total ^= x << bit if y >> bit & 1 else 0
    for bit in range(14, 7, -1):
        total ^= 0x11B << bit - 8 if total >> bit & 1 else 0
    return total


def mix_column(x: tuple[int, ...]) -> Elements:
    return [times(x[i], 2) ^ times(x[i - 3], 3) ^ x[i - 2] ^ x[i - 1] for i in range(4)]


def substituted(x: int) -> int:
    inverse = next((y for y in range(256) if times(x, y) == 1), 0)
    turned = [inverse << i | inverse >> 8 - i for i in range(5)]
    return (turned[0] ^ turned[1] ^ turned[2] ^ turned[3] ^ turned[4] ^ 0x63) & 0xFF


SBOX = [substituted(x) for x in range(256)]


def floats(register: int, kind: type = np.float64) -> np.ndarray:
    width = np.dtype(kind).itemsize
    return np.frombuffer(register.to_bytes(64, "little"), kind)[: 64 * 8 // (width * 8)]


def bits(values: np.ndarray) -> int:
    """Every NaN is all ones, as the program prints them."""
    ones = np.frombuffer(b"\xff" * values.itemsize, values.dtype)
    whole = np.where(np.isnan(values), ones, values).astype(values.dtype)
    return int.from_bytes(whole.tobytes(), "little")


def arithmetic(function: Callable[..., np.ndarray], a: int, b: int) -> int:
    with np.errstate(all="ignore"):
        return bits(function(floats(a), floats(b)))


def to_float32(a: int) -> int:
    with np.errstate(all="ignore"):
        return bits(floats(a).astype(np.float32))


def to_integers(rounding: Callable[[float], int], a: int) -> int:
    def one(x: float) -> int:
        whole = rounding(x) if math.isfinite(x) else INDEFINITE
        return whole if -(1 << 63) <= whole < 1 << 63 else INDEFINITE

    return join(map(one, floats(a).tolist()), 64)


def from_integers(values: Elements) -> int:
    return bits(np.array([float(x) for x in values]))


def canonical(register: int) -> int:
    return bits(floats(register))


def of_two(width: int, function: Callable[..., int]) -> Result:
    return lambda a, b, c, k, word: each(width, function, a, b)


def of_parts(function: Callable[..., int]) -> Result:
    return lambda a, b, c, k, word: by_parts(function, a, b)


def comparison(width: int, function: Callable[..., bool]) -> Result:
    def compare(a: int, b: int, c: int, k: int, word: str) -> int:
        return mask(width, function, a, a if word == "itself" else b)

    return compare


def counted(width: int, shift: Callable[..., int]) -> Result:
    """All elements by the lowest 64 bits of b, or by an immediate byte."""

    def shifted(a: int, b: int, c: int, k: int, word: str) -> int:
        n = int(word) & 255 if word else b & (1 << 64) - 1
        return each(width, lambda x: shift(x, n), a)

    return shifted


def repeated(width: int) -> Result:
    return lambda a, b, c, k, word: join(split(a, width)[:1] * (512 // width), width)


def as_it_is(a: int, b: int, c: int, k: int, word: str) -> int:
    return a


RESULTS: dict[str, Result] = {
    **{f"add_epi{width}": of_two(width, operator.add) for width in (16, 32, 64)},
    **{f"sub_epi{width}": of_two(width, operator.sub) for width in (16, 32, 64)},
    "and_si512": of_two(512, operator.and_),
    "or_si512": of_two(512, operator.or_),
    "xor_si512": of_two(512, operator.xor),
    "cmpgt_epi32_mask": comparison(32, operator.gt),
    "cmpgt_epi64_mask": comparison(64, operator.gt),
    "cmplt_epi64_mask": comparison(64, operator.lt),
    "cmpeq_epi64_mask": comparison(64, operator.eq),
    "test_epi64_mask": comparison(64, lambda x, y: x & y != 0),
    "mask_sub_epi32": lambda a, b, c, k, _: merge(32, k, each(32, operator.sub, a, b), c),
    "mask_sub_epi64": lambda a, b, c, k, _: merge(64, k, each(64, operator.sub, a, b), c),
    "mask_max_epi32": lambda a, b, c, k, _: merge(32, k, each_signed(32, max, a, b), c),
    "mask_max_epi64": lambda a, b, c, k, _: merge(64, k, each_signed(64, max, a, b), c),
    "mask_blend_epi64": lambda a, b, c, k, _: merge(64, k, b, a),
    "madd52lo_epu64": lambda a, b, c, k, _: each(
        64, lambda x, y, z: x + product(y, z) % (1 << 52), a, b, c
    ),
    "madd52hi_epu64": lambda a, b, c, k, _: each(
        64, lambda x, y, z: x + (product(y, z) >> 52), a, b, c
    ),
    "reduce_max_epi32": lambda a, b, c, k, _: max(signed(x, 32) for x in split(a, 32)) % (1 << 32),
    "reduce_max_epi64": lambda a, b, c, k, _: max(signed(x, 64) for x in split(a, 64)) % (1 << 64),
    "movepi32_mask": lambda a, b, c, k, _: mask(32, lambda x: x < 0, a),
    "movepi64_mask": lambda a, b, c, k, _: mask(64, lambda x: x < 0, a),
    "movm_epi64": lambda a, b, c, k, _: merge(64, k, (1 << 512) - 1, 0),
    "knot": lambda a, b, c, k, _: ~k % (1 << 16),
    "kunpackb": lambda a, b, c, k, _: k % 256 << 8 | (k >> 16) % 256,
    "sll_epi32": counted(32, partial(left, width=32)),
    "sll_epi64": counted(64, partial(left, width=64)),
    "sra_epi64": counted(64, arithmetic_right),
    "sllv_epi64": of_two(64, partial(left, width=64)),
    "srlv_epi64": of_two(64, partial(right, width=64)),
    "slli_epi64": counted(64, partial(left, width=64)),
    "srli_epi64": counted(64, partial(right, width=64)),
    "srli_epi32": counted(32, partial(right, width=32)),
    "srai_epi64": counted(64, arithmetic_right),
    "rol_epi32": counted(32, rotate_left),
    "bsrli_epi128": counted(128, lambda x, n: right(x, 8 * n, 128)),
    "shuffle_epi8": of_parts(shuffle_epi8),
    "unpacklo_epi32": of_parts(partial(unpack, 32, 0)),
    "unpackhi_epi32": of_parts(partial(unpack, 32, 1)),
    "unpacklo_epi64": of_parts(partial(unpack, 64, 0)),
    "unpackhi_epi64": of_parts(partial(unpack, 64, 1)),
    "multishift_epi64_epi8": of_two(64, multishift),
    "permutexvar_epi8": lambda a, b, c, k, _: permute(8, a, b),
    "maskz_permutexvar_epi8": lambda a, b, c, k, _: merge(8, k, permute(8, a, b), 0),
    "permutex2var_epi32": lambda a, b, c, k, _: permute(32, b, a, c),
    "permutex2var_epi64": lambda a, b, c, k, _: permute(64, b, a, c),
    "shuffle_i32x4": lambda a, b, c, k, parts: shuffle_parts(a, b, int(parts, 16)),
    "shuffle_i64x2": lambda a, b, c, k, parts: shuffle_parts(a, b, int(parts, 16)),
    "aesenc_epi128": of_parts(partial(aes_round, True)),
    "aesenclast_epi128": of_parts(partial(aes_round, False)),
    "cvtepi64_epi32": lambda a, b, c, k, _: join(split(a, 64), 32),
    "cvtepi32_epi16": lambda a, b, c, k, _: join(split(a, 32), 16),
    "castsi512_si128": lambda a, b, c, k, _: a % (1 << 128),
    "cvtepu32_epi64": lambda a, b, c, k, _: join(split(a, 32)[:8], 64),
    "broadcast_i32x4": repeated(128),
    "add_pd": lambda a, b, c, k, _: arithmetic(np.add, a, b),
    "sub_pd": lambda a, b, c, k, _: arithmetic(np.subtract, a, b),
    "mul_pd": lambda a, b, c, k, _: arithmetic(np.multiply, a, b),
    "mask_add_pd": lambda a, b, c, k, _: merge(64, k, arithmetic(np.add, a, b), canonical(c)),
    "maskz_mov_pd": lambda a, b, c, k, _: merge(64, k, a, 0),
    "cvtpd_ps": lambda a, b, c, k, _: to_float32(a),
    "cvtps_pd": lambda a, b, c, k, _: bits(floats(a, np.float32)[:8].astype(np.float64)),
    "cvtepi32_pd": lambda a, b, c, k, _: from_integers([signed(x, 32) for x in split(a, 32)[:8]]),
    "cvtepi64_pd": lambda a, b, c, k, _: from_integers([signed(x, 64) for x in split(a, 64)]),
    "cvttpd_epi64": lambda a, b, c, k, _: to_integers(math.trunc, a),
    "cvt_roundpd_epi64": lambda a, b, c, k, word: to_integers(ROUNDINGS[word], a),
    "storeu_si512": as_it_is,
    "maskz_loadu_epi8": lambda a, b, c, k, _: merge(8, k, a, 0),
    "storeu_pd": as_it_is,
    "mask_storeu_epi8": lambda a, b, c, k, _: merge(8, k, b, a),
    "setzero_si512": lambda a, b, c, k, _: 0,
    "set1_epi8": repeated(8),
    "set1_epi16": repeated(16),
    "set1_epi32": repeated(32),
    "set1_epi64": repeated(64),
    "set1_pd": repeated(64),
    "set_epi64": as_it_is,
    "setr_epi64": as_it_is,
    "set_epi32": as_it_is,
    "ternarylogic_epi64": lambda a, b, c, k, table: ternary(a, b, c, int(table)),
    "mask_ternarylogic_epi64": lambda a, b, c, k, table: merge(
        64, k, ternary(a, b, c, int(table)), a
    ),
}

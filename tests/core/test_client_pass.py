"""The client's one pass: what encoding, masking and packing give one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import reference
from fedsecure import _core

ROUNDING = reference.random_seed(99)
WIDTHS = [8, 13, 16, 17, 20, 28, 31, 32, 33, 47, 64]
FACTOR, CLIP = 2.0**12, 2.0  # some values are clipped


def make_seeds(count: int, prg: int = 1) -> np.ndarray:
    rows = b"".join(reference.random_seed(j, prg) for j in range(count))
    return np.frombuffer(rows, np.uint8).reshape(count, reference.SEED_BYTES[prg])


def lane_of(bits: int) -> type[np.unsignedinteger]:
    return np.uint16 if bits <= 16 else np.uint32 if bits <= 32 else np.uint64


def floats(count: int, number: int = 0) -> np.ndarray:
    return np.random.default_rng(number).normal(0.0, 1.0, count)


def run(
    pieces: Sequence[np.ndarray],
    integers: Sequence[int] = (),
    *,
    seed: bytes | None = ROUNDING,
    first: int = 0,
    signs: Sequence[int] = (1, -1, -1),
    bits: int = 28,
    prg: int = 1,
    **more: Any,
) -> tuple[bytes, int]:
    row = np.array(signs, np.int8)
    rows = make_seeds(len(signs), prg)
    return _core.encode_masked(
        b"head", pieces, integers, FACTOR, CLIP, seed, first, rows, row, bits, prg=prg, **more
    )


def expected(
    pieces: Sequence[np.ndarray],
    integers: Sequence[int],
    *,
    seed: bytes | None,
    first: int,
    signs: Sequence[int],
    bits: int,
    prg: int = 1,
) -> tuple[bytes, int]:
    """What the documentation says, in Python integers."""
    x = np.concatenate([np.zeros(0), *(piece.astype(np.float64) for piece in pieces)])
    random = None if seed is None else reference.words(seed, first, x.size, np.uint32, prg)
    total = reference.encode(x, FACTOR, CLIP, random, bits) + list(integers)
    for row, sign in zip(make_seeds(len(signs), prg), signs, strict=True):
        mask = reference.words(row.tobytes(), first, len(total), lane_of(bits), prg)
        total = [value + sign * word for value, word in zip(total, mask.tolist(), strict=True)]
    return b"head" + reference.pack(total, bits), int(np.count_nonzero(np.abs(x) > CLIP))


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("stochastic", [False, True], ids=["nearest", "stochastic"])
@pytest.mark.parametrize("first", [0, 3, 2**33 + 5])
def test_is_encode_mask_pack(bits: int, stochastic: bool, first: int, prg: int) -> None:
    seed = reference.random_seed(99, prg) if stochastic else None
    halves = floats(300, 3).astype(np.float16)
    pieces = [floats(700), floats(0), floats(1, 1).astype(np.float32), halves, floats(1500, 2)]
    integers = [1, 2**40 + 3]
    case = {"seed": seed, "first": first, "signs": (1, -1, 1), "bits": bits, "prg": prg}
    found, outside = run(pieces, integers, **case)
    assert (found, outside) == expected(pieces, integers, **case)
    assert outside > 0


@pytest.mark.usefixtures("kernels")
@given(
    sizes=st.lists(
        st.tuples(st.integers(0, 40) | st.integers(900, 1100), st.sampled_from("efd")), max_size=4
    ),
    integers=st.lists(st.integers(0, 2**64 - 1), max_size=12),
    bits=st.integers(8, 64),
    first=st.integers(0, 100) | st.integers(0, 2**59),
    signs=st.lists(st.sampled_from([1, -1]), max_size=4),
    stochastic=st.booleans(),
)
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60
)
def test_any_pieces(
    sizes: list[tuple[int, str]],
    integers: list[int],
    bits: int,
    first: int,
    signs: list[int],
    stochastic: bool,
) -> None:
    pieces = [floats(size, at).astype(np.dtype(letter)) for at, (size, letter) in enumerate(sizes)]
    seed = ROUNDING if stochastic else None
    case = {"seed": seed, "first": first, "signs": signs, "bits": bits}
    assert run(pieces, integers, **case) == expected(pieces, integers, **case)


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("threads", [0, 2, 3, 7])
@pytest.mark.parametrize("bits", [16, 21, 40])
def test_threads_change_nothing(threads: int, bits: int) -> None:
    pieces = [floats(50_001), floats(60_000, 1).astype(np.float32)]
    one = run(pieces, [5], bits=bits, first=7, threads=1)
    assert run(pieces, [5], bits=bits, first=7, threads=threads) == one


def test_pieces_may_be_split_anywhere() -> None:
    x = floats(5000)
    whole = run([x])
    for cut in (0, 1, 1023, 1024, 1025, 4999, 5000):
        assert run([x[:cut], x[cut:]]) == whole


def test_every_half_is_the_float_it_equals() -> None:
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    finite = every[np.isfinite(every)]
    for factor, clip in ((2.0**24, 65536.0), (2.0**40, 2.0**-14)):  # whole, and the subnormal ones
        found, wanted = (
            _core.encode_masked(
                b"", [x], [], factor, clip, None, 0, make_seeds(0), np.zeros(0, np.int8), 64
            )
            for x in (finite, finite.astype(np.float64))
        )
        assert found == wanted
    for bad in every[~np.isfinite(every)][[0, 1, 512, 1023, 1024, 2047]]:
        with pytest.raises(ValueError, match="NaN or infinite"):
            run([np.array([bad])])


def test_values_are_not_changed_and_may_be_read_only() -> None:
    x = floats(100)
    before = x.copy()
    x.flags.writeable = False
    run([x])
    np.testing.assert_array_equal(x, before)


def test_nothing_at_all() -> None:
    assert run([], []) == (b"head", 0)


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize(("bad", "text"), [(np.nan, "NaN"), (np.inf, "NaN or infinite")])
def test_refuses_what_cannot_be_encoded(bad: float, text: str) -> None:
    x = floats(3000)
    x[2048] = bad
    with pytest.raises(ValueError, match=text):
        run([x])


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"bits": 7}, ValueError),
        ({"bits": 65}, ValueError),
        ({"signs": (1, 2)}, ValueError),
        ({"first": 2**62}, ValueError),
        ({"first": -1}, ValueError),
        ({"seed": b"short"}, ValueError),
        ({"integers": [-1]}, ValueError),
        ({"integers": [2**64]}, ValueError),
        ({"integers": [1.5]}, TypeError),
        ({"pieces": [[1.0, 2.0]]}, TypeError),
        ({"pieces": [np.arange(4)]}, TypeError),
        ({"pieces": [floats(8)[::2]]}, TypeError),
        ({"pieces": [floats(8).reshape(2, 4)]}, ValueError),
        ({"pieces": [floats(8).astype(">f8")]}, TypeError),
        ({"pieces": [floats(9).view(np.uint8)[1:65].view(np.float64)]}, TypeError),
        ({"pieces": floats(8)[0]}, TypeError),
    ],
)
def test_refuses_wrong_arguments(changes: dict[str, Any], error: type[Exception]) -> None:
    arguments: dict[str, Any] = {"pieces": [floats(8)], **changes}
    with pytest.raises(error):
        run(**arguments)


def flags_of_mapping(address: int) -> list[str]:
    """Returns what Linux notes about the pages at an address."""
    inside = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        name, _, rest = line.partition(" ")
        if "-" in name and not name.endswith(":"):
            low, high = (int(part, 16) for part in name.split("-"))
            inside = low <= address < high
        elif inside and name == "VmFlags:":
            return rest.split()
    return []


@pytest.mark.skipif(
    not Path("/sys/kernel/mm/transparent_hugepage").is_dir(), reason="Linux with huge pages only"
)
def test_a_long_message_asks_for_huge_pages() -> None:
    message, _ = run([np.zeros(1 << 24, np.float32)])
    assert "hg" in flags_of_mapping(id(message) + len(message) // 2)


def test_seeds_and_signs_must_fit() -> None:
    with pytest.raises(ValueError, match="seeds"):
        _core.encode_masked(b"", [], [], 1.0, 1.0, None, 0, make_seeds(2), np.ones(3, np.int8), 32)

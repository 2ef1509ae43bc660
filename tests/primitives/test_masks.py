"""Masks through their door: the reference's words, signs that cancel, packing both ways."""

from __future__ import annotations

import numpy as np
import pytest

from fedsecure import _core
from fedsecure.errors import CryptoError, LocalProtocolError
from fedsecure.primitives import masks
from fedsecure.primitives.masks import MaskSet, Prg
from reference import prg, wire

SEEDS = [bytes([at]) * 24 for at in range(1, 5)]
LANES = {9: np.uint16, 16: np.uint16, 20: np.uint32, 32: np.uint32, 47: np.uint64, 64: np.uint64}


@pytest.mark.parametrize("generator", Prg)
@pytest.mark.parametrize(("bits", "lane"), LANES.items())
def test_a_mask_is_the_references(
    bits: int, lane: type[np.unsignedinteger], generator: Prg
) -> None:
    seeds = [bytes([at]) * generator.seed_bytes for at in (1, 2)]
    vector = np.arange(37).astype(lane)
    MaskSet(seeds, [1, -1], generator).apply(vector)
    masks.reduce(vector, bits)
    plus, minus = (prg.mask(seed, 37, bits, generator) for seed in seeds)
    expected = [(i + a - b) % 2**bits for i, (a, b) in enumerate(zip(plus, minus, strict=True))]
    assert vector.tolist() == expected


@pytest.mark.parametrize("lane", [np.uint16, np.uint32, np.uint64])
def test_pieces_are_masked_like_the_whole(lane: type[np.unsignedinteger]) -> None:
    whole = np.zeros(1000, lane)
    MaskSet(SEEDS, [1, 1, -1, 1]).apply(whole)
    pieces = np.zeros(1000, lane)
    mask_set = MaskSet(SEEDS, [1, 1, -1, 1])
    for start, stop in [(700, 1000), (0, 1), (1, 333), (333, 700)]:
        mask_set.apply(pieces[start:stop], start)
    np.testing.assert_array_equal(pieces, whole)
    MaskSet(SEEDS, [-1, -1, 1, -1]).apply(whole)
    assert not whole.any()


def test_a_wiped_set_masks_nothing() -> None:
    mask_set = MaskSet(SEEDS, [1, 1, 1, 1])
    assert repr(mask_set) == "MaskSet(4 masks, seeds hidden)"
    mask_set.wipe()
    vector = np.zeros(3, np.uint32)
    with pytest.raises(CryptoError, match="wiped"):
        mask_set.apply(vector)
    assert not vector.any()


def test_seeds_and_signs_fit() -> None:
    with pytest.raises(CryptoError, match="2 signs do not fit 24 bytes"):
        MaskSet(SEEDS[:1], [1, 1])
    with pytest.raises(CryptoError, match="seeds"):
        MaskSet(SEEDS[:1], [1], Prg.CHACHA20)


@pytest.mark.parametrize("bits", [8, 11, 20, 32, 47, 64])
def test_packing_is_the_references(bits: int) -> None:
    lane = np.uint16 if bits <= 16 else np.uint32 if bits <= 32 else np.uint64
    elements = prg.mask(SEEDS[0], 21, bits, 1)
    packed = np.empty((21 * bits + 7) // 8, np.uint8)
    _core.pack(np.array(elements, lane), bits, packed)
    assert packed.tobytes() == wire.pack(elements, bits)
    total = np.full(21, 5, lane)
    masks.unpack_add(memoryview(packed.tobytes()), bits, total)
    masks.reduce(total, bits)
    assert total.tolist() == [(element + 5) % 2**bits for element in elements]


def test_reduce_leaves_a_full_lane_alone() -> None:
    vector = np.array([2**32 - 1], np.uint32)
    masks.reduce(vector, 32)
    assert vector[0] == 2**32 - 1
    masks.reduce(vector, 31)
    assert vector[0] == 2**31 - 1


@pytest.mark.parametrize(("text", "count"), [("0", 0), ("1", 1), ("8", 8), ("1024", 1024)])
def test_threads(monkeypatch: pytest.MonkeyPatch, text: str, count: int) -> None:
    monkeypatch.setenv("FEDSECURE_THREADS", text)
    assert masks.threads() == count
    monkeypatch.delenv("FEDSECURE_THREADS")
    assert masks.threads() == 0


@pytest.mark.parametrize("text", ["", "-1", "two", "1.0", "1025", "\u0662", "9" * 5000])
def test_no_such_number_of_threads(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("FEDSECURE_THREADS", text)
    with pytest.raises(LocalProtocolError, match="FEDSECURE_THREADS is"):
        masks.threads()

"""The PRG is AES-128 in counter mode: known answers, and equality with pyca at any offset."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import reference
from fedsecure import _core

VECTORS = Path(__file__).parent.parent / "vectors"
LIMIT = 2**63


def keystream(seed: bytes, offset: int, size: int, threads: int = 0) -> bytes:
    out = np.full(size, 0xA5, np.uint8)
    _core.keystream(seed, offset, out, threads=threads)
    return out.tobytes()


@pytest.mark.usefixtures("kernels")
def test_nist_known_answers() -> None:
    cases = json.loads((VECTORS / "aes128_aesavs.json").read_text())["cases"]
    assert len(cases) == 213
    for key, block, encrypted in cases:
        seed = bytes.fromhex(key + block[:16])
        offset = 16 * int(block[16:], 16)
        assert keystream(seed, offset, 16).hex() == encrypted


@pytest.mark.usefixtures("kernels")
def test_every_input_of_the_s_box() -> None:
    # Block 0 with nonce zero enters the first S-box layer as the key, all bytes `value`, and the
    # key schedule puts `value` through the S-box too.
    for value in range(256):
        seed = bytes([value]) * 16 + bytes(8)
        assert keystream(seed, 0, 32) == reference.keystream(seed, 0, 32)


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 127, 128, 129, 1023, 1024, 1025, 5000])
@pytest.mark.parametrize(
    "offset",
    [0, 1, 15, 16, 1008, 1023, 1024, 2**32 - 5, 2**32 + 7, 2**36 - 16, 2**36 - 3, 2**44 - 40],
)
def test_equals_pyca(offset: int, size: int) -> None:
    # 2**36 bytes is block 2**32, where a 32-bit counter would wrap.
    seed = reference.random_seed(offset % 97)
    assert keystream(seed, offset, size) == reference.keystream(seed, offset, size)


@given(
    seed=st.binary(min_size=24, max_size=24),
    offset=st.one_of(st.integers(0, 5000), st.integers(0, LIMIT - 4000)),
    size=st.integers(0, 3000),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@pytest.mark.usefixtures("kernels")
def test_equals_pyca_anywhere(seed: bytes, offset: int, size: int) -> None:
    assert keystream(seed, offset, size) == reference.keystream(seed, offset, size)


@pytest.mark.usefixtures("kernels")
def test_last_byte_and_beyond() -> None:
    seed = reference.random_seed(1)
    assert keystream(seed, LIMIT - 100, 100) == reference.keystream(seed, LIMIT - 100, 100)
    out = np.zeros(101, np.uint8)
    for offset in (LIMIT - 100, LIMIT, 2**64 - 1, 2**64, -1):
        with pytest.raises(ValueError, match="offset"):
            _core.keystream(seed, offset, out)
    assert not out.any()


def test_seed_may_be_any_bytes_like() -> None:
    seed = reference.random_seed(2)
    expected = reference.keystream(seed, 0, 64)
    for form in (seed, bytearray(seed), memoryview(seed), np.frombuffer(seed, np.uint8)):
        out = np.zeros(64, np.uint8)
        _core.keystream(form, 0, out)
        assert out.tobytes() == expected


def test_wrong_seeds_are_refused() -> None:
    out = np.zeros(16, np.uint8)
    for size in (0, 16, 23, 25):
        with pytest.raises(ValueError, match="24"):
            _core.keystream(bytes(size), 0, out)
    for seed in ("x" * 24, None, 7, memoryview(bytes(48))[::2]):
        with pytest.raises(TypeError, match="seed"):
            _core.keystream(seed, 0, out)

"""The PRG is a cipher in counter mode: known answers, and equality with pyca at any offset."""

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


def keystream(seed: bytes, offset: int, size: int, prg: int = 1) -> bytes:
    out = np.full(size, 0xA5, np.uint8)
    _core.keystream(seed, offset, out, prg=prg)
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
@pytest.mark.parametrize("prg", [1, 2])
def test_every_input_of_the_s_box(prg: int) -> None:
    # Block 0 with nonce zero enters the first S-box layer as the key, all bytes `value`, and the
    # key schedule puts `value` through the S-box too.
    for value in range(256):
        seed = bytes([value]) * (reference.SEED_BYTES[prg] - 8) + bytes(8)
        assert keystream(seed, 0, 32, prg) == reference.keystream(seed, 0, 32, prg)


@pytest.mark.usefixtures("kernels")
def test_rfc_8439() -> None:
    # The RFC's nonces have 12 bytes, the first four of which are here the top of the counter.
    for case in json.loads((VECTORS / "chacha20_rfc8439.json").read_text())["cases"]:
        nonce = bytes.fromhex(case["nonce"])
        block = case["counter"] | int.from_bytes(nonce[:4], "little") << 32
        stream = bytes.fromhex(case["keystream"])
        seed = bytes.fromhex(case["key"]) + nonce[4:]
        if block < LIMIT // 64:
            assert keystream(seed, 64 * block, len(stream), 3) == stream


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize(
    "size", [0, 1, 15, 16, 17, 63, 64, 65, 127, 128, 129, 1023, 1024, 1025, 5000]
)
@pytest.mark.parametrize(
    "offset",
    [
        *(0, 1, 15, 16, 63, 64, 1008, 1023, 1024, 2**32 - 5, 2**32 + 7),
        *(2**36 - 16, 2**36 - 3, 2**38 - 64, 2**38 - 700, 2**38 - 1300, 2**44 - 40),
    ],
)
def test_equals_pyca(offset: int, size: int, prg: int) -> None:
    # Where a 32-bit counter would wrap: 2**36 bytes are 2**32 blocks of AES, 2**38 of ChaCha20.
    seed = reference.random_seed(offset % 97, prg)
    assert keystream(seed, offset, size, prg) == reference.keystream(seed, offset, size, prg)


@given(
    key=st.binary(min_size=40, max_size=40),
    offset=st.one_of(
        st.integers(0, 5000), st.integers(0, LIMIT - 4000), st.integers(2**38 - 4000, 2**38)
    ),
    size=st.integers(0, 3000),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@pytest.mark.usefixtures("kernels")
def test_equals_pyca_anywhere(key: bytes, offset: int, size: int, prg: int) -> None:
    seed = key[: reference.SEED_BYTES[prg]]
    assert keystream(seed, offset, size, prg) == reference.keystream(seed, offset, size, prg)


@pytest.mark.usefixtures("kernels")
def test_last_byte_and_beyond(prg: int) -> None:
    seed = reference.random_seed(1, prg)
    last = reference.keystream(seed, LIMIT - 100, 100, prg)
    assert keystream(seed, LIMIT - 100, 100, prg) == last
    out = np.zeros(101, np.uint8)
    for offset in (LIMIT - 100, LIMIT, 2**64 - 1, 2**64, -1):
        with pytest.raises(ValueError, match="offset"):
            _core.keystream(seed, offset, out, prg=prg)
    assert not out.any()


def test_generators_differ() -> None:
    seed = bytes(40)
    assert keystream(seed, 0, 64, 2) != keystream(seed, 0, 64, 3)
    assert keystream(seed, 0, 64, 2) != keystream(seed[:24], 0, 64, 1)


def test_seed_may_be_any_bytes_like() -> None:
    seed = reference.random_seed(2)
    expected = reference.keystream(seed, 0, 64)
    for form in (seed, bytearray(seed), memoryview(seed), np.frombuffer(seed, np.uint8)):
        out = np.zeros(64, np.uint8)
        _core.keystream(form, 0, out)
        assert out.tobytes() == expected


def test_wrong_seeds_are_refused() -> None:
    out = np.zeros(16, np.uint8)
    for prg, wanted in reference.SEED_BYTES.items():
        for size in {0, 16, 23, 24, 25, 32, 39, 40, 41} - {wanted}:
            with pytest.raises(ValueError, match=f"{wanted} bytes"):
                _core.keystream(bytes(size), 0, out, prg=prg)
    for seed in ("x" * 24, None, 7, memoryview(bytes(48))[::2]):
        with pytest.raises(TypeError, match="seed"):
            _core.keystream(seed, 0, out)


@pytest.mark.parametrize("prg", [0, 4, 255, 257, 2**32 + 1, -1])
def test_unknown_generators_are_refused(prg: int) -> None:
    out = np.zeros(16, np.uint8)
    with pytest.raises(ValueError, match="prg"):
        _core.keystream(bytes(24), 0, out, prg=prg)
    with pytest.raises(TypeError):
        _core.keystream(bytes(24), 0, out, prg="aes128")
    assert not out.any()

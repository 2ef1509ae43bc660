"""AVX-512 in software (tests/emulated): what stands in for the processor does what it would."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from core import native
from core.intrinsics import RESULTS

SOURCE = Path(__file__).parent / "intrinsics_check.cpp"
REAL = [*native.X86_TIERS["vaes512"], *native.X86_TIERS["ifma"]]

pytestmark = [
    native.needs_compiler,
    pytest.mark.skipif(
        not (native.EMULATED or native.has_avx512()), reason="needs AVX2, or AVX-512 itself"
    ),
]


def build(target: Path, *flags: str) -> Path:
    native.compile_program(SOURCE, target, "-O1", "-ffp-contract=off", *flags)
    return target


@pytest.fixture(scope="module")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    program = build(tmp_path_factory.mktemp("intrinsics") / "emulated", *native.IN_SOFTWARE)
    return native.run(program).stdout.splitlines()


def test_results_are_those_described(emulated: list[str]) -> None:
    operands = {}
    wrong = set()
    for line in emulated:
        name, *word, data = line.split()
        value = int.from_bytes(bytes.fromhex(data), "little")
        if name in ("a", "b", "c", "k"):
            operands[name] = value
        elif value != RESULTS[name](*operands.values(), word[0] if word else ""):
            wrong.add(name)
    assert not wrong
    assert {line.split()[0] for line in emulated} == {*RESULTS, "a", "b", "c", "k"}


def test_every_intrinsic_of_the_kernels_is_looked_at() -> None:
    """But for those without a result of their own: casts, loads and stores that others need."""
    used = set()
    for path in native.KERNELS.iterdir():
        used |= set(re.findall(r"\b_mm512_(\w+)\(", path.read_text()))
    checked = set(re.findall(r"_mm512_(\w+)\(", SOURCE.read_text()))
    checked |= set(re.findall(r"\b(?:ONE|TWO|IMMEDIATE)\((\w+)", SOURCE.read_text()))
    assert used <= checked


@pytest.mark.skipif(not native.knows(*REAL), reason="the compiler does not know AVX-512")
def test_results_are_those_of_the_processor(tmp_path: Path, emulated: list[str]) -> None:
    program = build(tmp_path / "real", *REAL)
    if not native.has_avx512():
        pytest.skip("compiled, but this processor has no AVX-512")
    assert native.run(program).stdout.splitlines() == emulated

"""Secrets stay neither on the stack nor in registers, nor decide branches and addresses."""

from __future__ import annotations

import platform
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from core import native, reference
from fedsecure import _core

if TYPE_CHECKING:
    import subprocess

PARTS = [
    "client_pass",
    "comb",
    "density",
    "dispatch",
    "fixed_point",
    "masks",
    "montgomery",
    "pages",
    "paillier",
    "paillier_product",
    "paillier_secret",
    "paillier_weighted",
    "parallel",
    "prg",
    "ring",
    "sampler",
    "secret",
    "shamir",
    "slots",
    "wide",
]
WITH_PRG = ["keystream", "masks", "encode", "pass", "shamir"]
# Their time depends on what they reject (csrc/sampler.hpp).
NOT_CONSTANT_TIME = [(o, prg) for o in ("noise", "exact noise") for prg in reference.PRGS]
PAILLIER = ["decrypt", "own", "encrypt", "power"]
OPERATIONS = [
    *((operation, prg) for operation in WITH_PRG for prg in reference.PRGS),
    *((operation, 1) for operation in ("round", "inspect", "ring", "slots")),
    *((operation, 2) for operation in PAILLIER),
]
HEADER = Path("/usr/include/valgrind/memcheck.h")

pytestmark = [
    native.needs_compiler,
    pytest.mark.skipif(platform.system() != "Linux", reason="looks at the stack as on Linux"),
]
with_valgrind = pytest.mark.skipif(
    shutil.which("valgrind") is None or not HEADER.is_file(), reason="needs valgrind"
)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    here = Path(__file__).parent
    sources = [here / "secrets_check.cpp", *native.kernel_sources()]
    sources += [native.SOURCES / f"{part}.cpp" for part in PARTS]
    flags = ["-DFEDSECURE_CONSTTIME_CHECK"] if HEADER.is_file() else []
    return native.link(tmp_path_factory.mktemp("secrets") / "secrets_check", sources, *flags)


def skip_if_seen_elsewhere(name: str, operation: str) -> None:
    if operation in PAILLIER and name not in ("portable", "vaes512"):
        pytest.skip("this tier has the portable tier's arithmetic")


def valgrind(*command: object) -> subprocess.CompletedProcess[str]:
    return native.run("valgrind", "--quiet", "--error-exitcode=9", *command)


@pytest.mark.parametrize(("operation", "prg"), OPERATIONS + NOT_CONSTANT_TIME)
@pytest.mark.parametrize("name", _core.available_kernels())
def test_nothing_is_left_behind(program: Path, name: str, operation: str, prg: int) -> None:
    skip_if_seen_elsewhere(name, operation)
    if native.EMULATED and name == "vaes512":
        pytest.skip("what emulated registers hold is on the stack")
    result = native.run(program, "residue", name, operation, prg)
    assert result.returncode == 0, result.stdout + result.stderr


@with_valgrind
@pytest.mark.parametrize(("operation", "prg"), OPERATIONS)
@pytest.mark.parametrize("name", native.KERNEL_SETS)
def test_constant_time(program: Path, name: str, operation: str, prg: int) -> None:
    skip_if_seen_elsewhere(name, operation)
    if native.EMULATED and name == "vaes512" and operation in PAILLIER and operation != "power":
        pytest.skip("takes minutes, emulated and then in valgrind")
    result = valgrind(program, "consttime", name, operation, prg)
    if result.returncode == 77:
        pytest.skip(
            "valgrind has no such processor; what prg_vector.hpp shares is seen with others"
        )
    assert result.returncode == 0, result.stderr


@with_valgrind
@pytest.mark.parametrize("name", ["portable", "avx2"])
def test_kernels_without_aes_are_constant_time(program: Path, name: str) -> None:
    result = valgrind(program, "kernels", name, "-")
    if result.returncode == 77:
        pytest.skip("neither compiler nor processor, or not valgrind's, has these kernels")
    assert result.returncode == 0, result.stderr


@with_valgrind
def test_valgrind_sees_a_look_up_by_secret(program: Path) -> None:
    assert valgrind(program, "control", "-", "-").returncode == 9

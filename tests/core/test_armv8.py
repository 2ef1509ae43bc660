"""The kernels for 64-bit ARM, built by a cross compiler and run by an emulator."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from core import native

COMPILER = "aarch64-linux-gnu-g++"
EMULATOR = "qemu-aarch64"
PACKAGES = {COMPILER: "g++-aarch64-linux-gnu", EMULATOR: "qemu-user"}
MISSING = [package for tool, package in PACKAGES.items() if shutil.which(tool) is None]
HERE = Path(__file__).parent
VECTORS = native.ROOT / "tests" / "vectors"
TIERS = {"portable", "armv8"}
PARTS = ["dispatch", "masks", "parallel", "prg", "secret"]

pytestmark = [
    pytest.mark.skipif(bool(MISSING), reason=f"needs the Debian packages {' and '.join(MISSING)}"),
    pytest.mark.skipif(not native.KERNELS.is_dir(), reason="needs the sources"),
]


def kernel_sources() -> list[Path]:
    files = sorted(native.KERNELS.glob("*.cpp"))
    return [path for path in files if path.stem.rpartition("_")[2] in TIERS]


def cross_compile(source: Path, *flags: str | Path) -> None:
    options = ["-std=c++17", "-O3", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror"]
    options += [f"-I{native.SOURCES}", "-DFEDSECURE_ARMV8", *native.kernel_flags(source)]
    subprocess.run([COMPILER, *options, *flags, source], check=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the programs are that the emulator runs."""
    made = tmp_path_factory.mktemp("armv8")
    objects = []
    for source in [*kernel_sources(), *(native.SOURCES / f"{part}.cpp" for part in PARTS)]:
        objects.append(made / f"{source.stem}.o")
        cross_compile(source, "-c", "-o", objects[-1])
    for program in ("kernel_check", "tiers_check"):
        own = made / f"{program}.o"
        cross_compile(HERE / f"{program}.cpp", "-c", "-o", own)
        line = [COMPILER, "-static", own, *objects, "-pthread", "-o", made / program]
        subprocess.run(line, check=True)
    return made


def emulated(*command: object) -> str:
    result = native.run(EMULATOR, "-cpu", "max", *command)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_all_results_are_those_of_the_portable_kernels(folder: Path) -> None:
    assert emulated(folder / "tiers_check", "armv8") == "0 results differ\n"


def stream(folder: Path, name: str, prg: int, seed: str, offset: int, size: int) -> bytes:
    first, skip = divmod(offset, 64)
    num_blocks = -(-(skip + size) // 64)
    out = emulated(folder / "kernel_check", name, prg, seed, first, num_blocks)
    return bytes.fromhex(out)[skip : skip + size]


@pytest.mark.parametrize("name", sorted(TIERS))
@pytest.mark.parametrize(("prg", "cipher"), [(1, "aes128"), (2, "aes256")])
def test_sp_800_38a_f_5(folder: Path, name: str, prg: int, cipher: str) -> None:
    case = json.loads((VECTORS / f"{cipher}_ctr_sp800_38a.json").read_text())
    offset = 16 * int(case["counter"][16:], 16)
    mask = stream(folder, name, prg, case["key"] + case["counter"][:16], offset, 64)
    plaintext = bytes.fromhex(case["plaintext"])
    assert bytes(a ^ b for a, b in zip(mask, plaintext, strict=True)).hex() == case["ciphertext"]


@pytest.mark.parametrize("name", sorted(TIERS))
def test_rfc_8439(folder: Path, name: str) -> None:
    for case in json.loads((VECTORS / "chacha20_rfc8439.json").read_text())["cases"]:
        nonce = bytes.fromhex(case["nonce"])
        block = case["counter"] | int.from_bytes(nonce[:4], "little") << 32
        wanted = bytes.fromhex(case["keystream"])
        seed = case["key"] + case["nonce"][8:]
        assert stream(folder, name, 3, seed, 64 * block, len(wanted)) == wanted


@pytest.mark.parametrize(
    "source", sorted(native.SOURCES.glob("*.cpp")), ids=lambda source: source.stem
)
def test_every_source_compiles(source: Path) -> None:
    """So that a wheel for ARM can be built."""
    flags = []
    if source.stem.startswith("bindings"):
        pybind11 = pytest.importorskip("pybind11")
        flags = ['-DFEDSECURE_VERSION="0"', "-isystem", pybind11.get_include()]
        flags += ["-isystem", sysconfig.get_paths()["include"]]
    cross_compile(source, *flags, "-fsyntax-only")


def test_the_kernel_file_exports_its_table_only(tmp_path: Path) -> None:
    kernels = tmp_path / "csrc" / "kernels"
    kernels.mkdir(parents=True)
    cross_compile(native.KERNELS / "prg_armv8.cpp", "-c", "-o", kernels / "prg_armv8.cpp.o")
    guard = native.ROOT / "tools" / "check_kernel_objects.py"
    line = ["env", "NM=aarch64-linux-gnu-nm", sys.executable, guard, tmp_path]
    result = native.run(*line)
    assert result.returncode == 0, result.stdout

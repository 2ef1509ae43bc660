"""Compiling test programs against the sources of the core."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).parent.parent.parent
SOURCES = ROOT / "csrc"
KERNELS = SOURCES / "kernels"
COMPILER = os.environ.get("CXX", "c++").split()
X86_TIERS = {
    "aesni": ["-maes", "-msse4.1"],
    "avx2": ["-mavx2"],
    "vaes256": ["-maes", "-mavx2", "-mvaes"],
    "vaes512": [
        "-maes",
        "-mavx512f",
        "-mavx512dq",
        "-mavx512bw",
        "-mavx512vl",
        "-mavx512vbmi",
        "-mvaes",
    ],
    "ifma": [
        "-mavx512f",
        "-mavx512dq",
        "-mavx512bw",
        "-mavx512vl",
        "-mavx512vbmi",
        "-mavx512ifma",
    ],
}
ARM_TIERS = {"armv8": ["-march=armv8-a+crypto"]}
OPTIONAL = {"VAES256", "VAES512", "IFMA"}
X86_64 = platform.machine() in ("x86_64", "AMD64")
ARM64 = platform.machine() in ("aarch64", "arm64")

needs_compiler = pytest.mark.skipif(
    shutil.which(COMPILER[0]) is None or not KERNELS.is_dir(),
    reason="needs a C++ compiler and the sources",
)


def kernel_flags(source: Path) -> list[str]:
    """The flags that CMakeLists.txt gives one kernel file."""
    tier = source.stem.rpartition("_")[2]
    if source.parent != KERNELS:
        return []
    exact = ["-ffp-contract=off"] if source.name.startswith("fixed_point") else []
    return (X86_TIERS | ARM_TIERS).get(tier, []) + exact


@cache
def knows(*flags: str) -> bool:
    """Whether the compiler takes these flags."""
    command = [*COMPILER, *flags, "-fsyntax-only", "-x", "c++", os.devnull]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def links(*flags: str, folder: Path) -> bool:
    """Whether programs can be built with these flags: a compiler may lack the library they need."""
    source = folder / "empty.cpp"
    source.write_text("int main() {}\n")
    command = [*COMPILER, *flags, source, "-o", folder / "empty"]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def is_built(source: Path) -> bool:
    """Whether a kernel file is built on this machine, by this compiler."""
    tier = source.stem.rpartition("_")[2]
    if tier in ARM_TIERS:
        return ARM64
    return tier not in X86_TIERS or (X86_64 and knows(*X86_TIERS[tier]))


def kernel_sources() -> list[Path]:
    """The kernel files that are built on this machine."""
    return [path for path in sorted(KERNELS.glob("*.cpp")) if is_built(path)]


def tier_macros() -> list[str]:
    """What CMakeLists.txt defines so that the tiers that are built can be chosen."""
    if not X86_64:
        return ["-DFEDSECURE_ARMV8"] if ARM64 else []
    optional = {path.stem.rpartition("_")[2].upper() for path in kernel_sources()} & OPTIONAL
    return ["-DFEDSECURE_X86_64", *(f"-DFEDSECURE_{tier}" for tier in sorted(optional))]


def compile_object(source: Path, folder: Path, *flags: str) -> Path:
    """One source file to one object file."""
    target = folder / (source.name + ".o")
    options = ["-std=c++17", "-O3", f"-I{SOURCES}", *tier_macros(), *kernel_flags(source), *flags]
    subprocess.run([*COMPILER, *options, "-c", source, "-o", target], check=True)
    return target


def run(*command: object) -> subprocess.CompletedProcess[str]:
    """Runs a test program; not under the sanitisers that the interpreter may be run with."""
    env = {key: value for key, value in os.environ.items() if key != "LD_PRELOAD"}
    line = list(map(str, command))
    return subprocess.run(line, check=False, capture_output=True, text=True, env=env)


def link(program: Path, sources: Iterable[Path], *flags: str) -> Path:
    """Compiles the sources, two at a time, and links them with early binding."""
    folder = program.parent
    with ThreadPoolExecutor(2) as pool:
        objects = list(pool.map(lambda source: compile_object(source, folder, *flags), sources))
    late = ["-Wl,-z,now"] if platform.system() == "Linux" else []
    subprocess.run([*COMPILER, *objects, *late, *flags, "-pthread", "-o", program], check=True)
    return program

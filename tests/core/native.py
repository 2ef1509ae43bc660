"""Compiling test programs against the sources of the core."""

from __future__ import annotations

import atexit
import os
import platform
import re
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fedsecure import _core

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
WITH_AVX512 = {"vaes512", "ifma"}
# What test programs are made of need not be optimised far: that is most of the time to compile it.
IN_SOFTWARE = [
    "-maes",
    "-mavx2",
    "-mpopcnt",
    "-Wno-psabi",
    "-O1",
    f"-I{ROOT / 'tests' / 'emulated'}",
]
ARM_TIERS = {"armv8": ["-march=armv8-a+crypto"]}
OPTIONAL = {"VAES256", "VAES512", "IFMA"}
X86_64 = platform.machine() in ("x86_64", "AMD64")
ARM64 = platform.machine() in ("aarch64", "arm64")


def has_avx512() -> bool:
    """Whether the processor itself runs the kernels for AVX-512."""
    known = Path("/proc/cpuinfo")
    if not known.is_file():
        return "vaes512" in _core.available_kernels()
    flags = re.search(r"^flags\s*:(.*)$", known.read_text(), re.MULTILINE)
    needed = {"avx512f", "avx512dq", "avx512ifma", "avx512bw", "avx512vl", "avx512vbmi", "vaes"}
    return flags is not None and needed <= set(flags[1].split())


# On other processors, test programs have these kernels in software (tests/emulated), which is
# written in AVX2.
EMULATED = (
    X86_64 and os.name == "posix" and "avx2" in _core.available_kernels() and not has_avx512()
)
# The kernel sets that test programs have.
KERNEL_SETS = list(dict.fromkeys(["vaes512"] * EMULATED + _core.available_kernels()))

needs_compiler = pytest.mark.skipif(
    shutil.which(COMPILER[0]) is None or not KERNELS.is_dir(),
    reason="needs a C++ compiler and the sources",
)


def kernel_flags(source: Path, *, emulated: bool = EMULATED) -> list[str]:
    """The flags that CMakeLists.txt gives one kernel file."""
    tier = source.stem.rpartition("_")[2]
    if source.parent != KERNELS:
        return []
    exact = ["-ffp-contract=off"] if source.name.startswith("fixed_point") else []
    if emulated and tier in WITH_AVX512:
        return IN_SOFTWARE + exact
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


def is_built(source: Path, *, emulated: bool = EMULATED) -> bool:
    """Whether a kernel file is built on this machine, by this compiler."""
    tier = source.stem.rpartition("_")[2]
    if tier in ARM_TIERS:
        return ARM64
    if emulated and tier in WITH_AVX512:
        return True
    return tier not in X86_TIERS or (X86_64 and knows(*X86_TIERS[tier]))


def kernel_sources(*, emulated: bool = EMULATED) -> list[Path]:
    """The kernel files that are built on this machine."""
    return [path for path in sorted(KERNELS.glob("*.cpp")) if is_built(path, emulated=emulated)]


def tier_macros(*, emulated: bool = EMULATED) -> list[str]:
    """What CMakeLists.txt defines so that the tiers that are built can be chosen."""
    if not X86_64:
        return ["-DFEDSECURE_ARMV8"] if ARM64 else []
    sources = kernel_sources(emulated=emulated)
    optional = {path.stem.rpartition("_")[2].upper() for path in sources} & OPTIONAL
    in_software = ["-DFEDSECURE_EMULATED"] if emulated else []
    return ["-DFEDSECURE_X86_64", *in_software, *(f"-DFEDSECURE_{x}" for x in sorted(optional))]


def compile_object(source: Path, folder: Path, *flags: str, emulated: bool = EMULATED) -> Path:
    """One source file to one object file."""
    target = folder / (source.name + ".o")
    options = ["-std=c++17", "-O3", f"-I{SOURCES}", *tier_macros(emulated=emulated)]
    options += [*kernel_flags(source, emulated=emulated), *flags]
    subprocess.run([*COMPILER, *options, "-c", source, "-o", target], check=True)
    return target


def compile_program(source: Path, program: Path, *flags: str) -> None:
    """One source file that needs no others to a program."""
    subprocess.run([*COMPILER, "-std=c++17", *flags, source, "-o", program], check=True)


@cache
def kernel_object(source: Path, *flags: str) -> Path:
    """The same for kernel files, which are in many programs: once while these tests run."""
    folder = Path(tempfile.mkdtemp(prefix="fedsecure-kernels-"))
    atexit.register(shutil.rmtree, folder)
    return compile_object(source, folder, *flags)


def run(*command: object) -> subprocess.CompletedProcess[str]:
    """Runs a test program; not under the sanitisers that the interpreter may be run with."""
    env = {key: value for key, value in os.environ.items() if key != "LD_PRELOAD"}
    line = list(map(str, command))
    return subprocess.run(line, check=False, capture_output=True, text=True, env=env)


def link(program: Path, sources: Iterable[Path], *flags: str) -> Path:
    """Compiles the sources, two at a time, and links them with early binding."""

    def compiled(source: Path) -> Path:
        if source.parent == KERNELS:
            return kernel_object(source, *flags)
        return compile_object(source, program.parent, *flags)

    with ThreadPoolExecutor(2) as pool:
        objects = list(pool.map(compiled, sources))
    late = ["-Wl,-z,now"] if platform.system() == "Linux" else []
    subprocess.run([*COMPILER, *objects, *late, *flags, "-pthread", "-o", program], check=True)
    return program

"""Compiling test programs against the sources of the core."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).parent.parent.parent
SOURCES = ROOT / "csrc"
KERNELS = SOURCES / "kernels"
COMPILER = os.environ.get("CXX", "c++").split()
X86_64 = platform.machine() in ("x86_64", "AMD64")

needs_compiler = pytest.mark.skipif(
    shutil.which(COMPILER[0]) is None or not KERNELS.is_dir(),
    reason="needs a C++ compiler and the sources",
)


def kernel_flags(source: Path) -> list[str]:
    """The flags that CMakeLists.txt gives one kernel file."""
    if source.name.endswith("_aesni.cpp"):
        return ["-maes", "-msse4.1"]
    return ["-ffp-contract=off"] if source.name.startswith("fixed_point") else []


def kernel_sources() -> list[Path]:
    """The kernel files that are built on this machine."""
    every = sorted(KERNELS.glob("*.cpp"))
    return [path for path in every if X86_64 or not path.name.endswith("_aesni.cpp")]


def compile_object(source: Path, folder: Path, *flags: str) -> Path:
    """One source file to one object file."""
    target = folder / (source.name + ".o")
    options = ["-std=c++17", "-O3", f"-I{SOURCES}", *kernel_flags(source), *flags]
    if X86_64:
        options.append("-DFEDSECURE_X86_64")
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
    subprocess.run([*COMPILER, *objects, *late, "-pthread", "-o", program], check=True)
    return program

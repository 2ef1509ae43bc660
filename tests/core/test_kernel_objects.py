"""Kernel files on their own: a standard's known answer, and the guard against leaking symbols."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fedsecure import _core

ROOT = Path(__file__).parent.parent.parent
KERNELS = ROOT / "csrc" / "kernels"
VECTORS = ROOT / "tests" / "vectors"
GUARD = ROOT / "tools" / "check_kernel_objects.py"
COMPILER = os.environ.get("CXX", "c++")

pytestmark = pytest.mark.skipif(
    shutil.which(COMPILER.split()[0]) is None or not KERNELS.is_dir(),
    reason="needs a C++ compiler and the sources",
)


def compile_object(source: Path, folder: Path, *flags: str) -> Path:
    target = folder / (source.name + ".o")
    options = ["-std=c++17", "-O2", *flags, f"-I{ROOT / 'csrc'}"]
    subprocess.run([*COMPILER.split(), *options, "-c", source, "-o", target], check=True)
    return target


@pytest.fixture(scope="module")
def kernel_check(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kernels")
    here = Path(__file__).parent
    objects = [
        compile_object(here / "kernel_check.cpp", folder),
        compile_object(KERNELS / "prg_portable.cpp", folder),
    ]
    if platform.machine() in ("x86_64", "AMD64"):
        objects.append(compile_object(KERNELS / "prg_aesni.cpp", folder, "-maes", "-msse4.1"))
    program = folder / "kernel_check"
    subprocess.run([*COMPILER.split(), *objects, "-o", program], check=True)
    return program


@pytest.mark.parametrize("name", _core.available_kernels())
def test_sp_800_38a_f_5_1(kernel_check: Path, name: str) -> None:
    case = json.loads((VECTORS / "aes128_ctr_sp800_38a.json").read_text())
    block = str(int(case["counter"][16:], 16))
    command = [kernel_check, name, case["key"] + case["counter"][:16], block, "4"]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    stream = int(run.stdout, 16)
    assert f"{stream ^ int(case['plaintext'], 16):0128x}" == case["ciphertext"]


def guard(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(GUARD), str(folder)]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def kernel_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "csrc" / "kernels"
    folder.mkdir(parents=True)
    return folder


def test_kernel_files_export_their_table_only(tmp_path: Path) -> None:
    folder = kernel_folder(tmp_path)
    sources = sorted(KERNELS.glob("*_portable.cpp"))
    assert len(sources) >= 3
    for source in sources:
        compile_object(source, folder)
    if platform.machine() in ("x86_64", "AMD64"):
        compile_object(KERNELS / "prg_aesni.cpp", folder, "-maes", "-msse4.1")
    result = guard(tmp_path)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    "leak",
    [
        "inline int leak(int x) { return x; }\nint (*use)(int) = leak;",
        "#include <vector>\nstd::vector<int> leak(int n) { return std::vector<int>(n, n); }",
        "int leak(int x) { return x; }",
    ],
)
def test_the_guard_sees_leaks(tmp_path: Path, leak: str) -> None:
    source = tmp_path / "leak.cpp"
    source.write_text(leak + "\n" + (KERNELS / "pack_portable.cpp").read_text())
    compile_object(source, kernel_folder(tmp_path), f"-I{KERNELS}")
    result = guard(tmp_path)
    assert result.returncode == 1
    assert "leaves the file" in result.stdout


def test_the_guard_wants_objects(tmp_path: Path) -> None:
    assert guard(tmp_path).returncode == 1

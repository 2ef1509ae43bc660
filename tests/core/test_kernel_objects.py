"""Kernel files on their own: a standard's known answer, and the guard against leaking symbols."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from core import native

if TYPE_CHECKING:
    import subprocess

VECTORS = native.ROOT / "tests" / "vectors"
GUARD = native.ROOT / "tools" / "check_kernel_objects.py"

pytestmark = native.needs_compiler


@pytest.fixture(scope="module")
def kernel_check(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sources = [*native.kernel_sources(), native.SOURCES / "dispatch.cpp"]
    sources.append(Path(__file__).parent / "kernel_check.cpp")
    return native.link(tmp_path_factory.mktemp("kernels") / "kernel_check", sources)


def stream(program: Path, name: str, prg: int, seed: str, offset: int, size: int) -> bytes:
    """Keystream anywhere, also beyond what the bound functions make."""
    first, skip = divmod(offset, 64)
    num_blocks = -(-(skip + size) // 64)
    result = native.run(program, name, prg, seed, first, num_blocks)
    assert result.returncode == 0, result.stderr
    return bytes.fromhex(result.stdout)[skip : skip + size]


@pytest.mark.parametrize("name", native.KERNEL_SETS)
@pytest.mark.parametrize(("prg", "cipher"), [(1, "aes128"), (2, "aes256")])
def test_sp_800_38a_f_5(kernel_check: Path, name: str, prg: int, cipher: str) -> None:
    case = json.loads((VECTORS / f"{cipher}_ctr_sp800_38a.json").read_text())
    offset = 16 * int(case["counter"][16:], 16)
    mask = stream(kernel_check, name, prg, case["key"] + case["counter"][:16], offset, 64)
    plaintext = bytes.fromhex(case["plaintext"])
    assert bytes(a ^ b for a, b in zip(mask, plaintext, strict=True)).hex() == case["ciphertext"]


@pytest.mark.parametrize("name", native.KERNEL_SETS)
def test_rfc_8439(kernel_check: Path, name: str) -> None:
    for case in json.loads((VECTORS / "chacha20_rfc8439.json").read_text())["cases"]:
        nonce = bytes.fromhex(case["nonce"])
        block = case["counter"] | int.from_bytes(nonce[:4], "little") << 32
        wanted = bytes.fromhex(case["keystream"])
        seed = case["key"] + case["nonce"][8:]
        assert stream(kernel_check, name, 3, seed, 64 * block, len(wanted)) == wanted


# Programs that compare a kernel set with the portable one, and what they need besides kernels.
COMPARISONS = {
    "fixed_point_check": [],
    "pack_check": [],
    "tiers_check": ["masks", "parallel", "prg", "secret"],
}


@pytest.fixture(scope="module", params=COMPARISONS)
def comparison(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    check = request.param
    if check == "pack_check" and os.name != "posix":
        pytest.skip("fences arrays with POSIX calls")
    parts = ["dispatch", *COMPARISONS[check]]
    sources = [*native.kernel_sources(), *(native.SOURCES / f"{part}.cpp" for part in parts)]
    sources.append(Path(__file__).parent / f"{check}.cpp")
    return native.link(tmp_path_factory.mktemp("kernels") / check, sources)


@pytest.mark.parametrize("name", native.KERNEL_SETS)
def test_bits_are_those_of_the_portable_kernels(comparison: Path, name: str) -> None:
    result = native.run(comparison, name)
    assert result.returncode == 0, result.stdout + result.stderr


def guard(folder: Path) -> subprocess.CompletedProcess[str]:
    return native.run(sys.executable, GUARD, folder)


def kernel_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "csrc" / "kernels"
    folder.mkdir(parents=True)
    return folder


def test_kernel_files_export_their_table_only(tmp_path: Path) -> None:
    folder = kernel_folder(tmp_path)
    for source in native.kernel_sources(emulated=False):
        native.compile_object(source, folder, emulated=False)
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
    source.write_text(leak + "\n" + (native.KERNELS / "pack_portable.cpp").read_text())
    native.compile_object(source, kernel_folder(tmp_path), f"-I{native.KERNELS}")
    result = guard(tmp_path)
    assert result.returncode == 1
    assert "leaves the file" in result.stdout


def test_the_guard_wants_objects(tmp_path: Path) -> None:
    assert guard(tmp_path).returncode == 1

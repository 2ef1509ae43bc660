"""The package as a user meets it: names, version, and an import error that explains itself."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fedsecure


def run_python(code: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-c", code],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )


def test_version_is_the_one_that_was_installed() -> None:
    assert fedsecure.__version__ == importlib.metadata.version("fedsecure")


def test_every_public_name_is_there_and_documented() -> None:
    for name in fedsecure.__all__:
        assert getattr(fedsecure, name) is not None
        if not name.startswith("__"):
            assert getattr(fedsecure, name).__doc__


OPTIONAL = (
    *("torch", "tensorflow", "keras", "jax", "sklearn", "flwr", "nvflare", "declearn", "openfl"),
    *("tensorflow_federated", "syft", "ray", "distributed", "pandas", "phe", "gmpy2"),
    *("dp_accounting", "scipy", "matplotlib", "rich"),
)


@pytest.mark.parametrize("module", ["fedsecure", "fedsecure.privacy", "fedsecure.adapters"])
def test_libraries_of_extras_are_not_imported_with_the_package(module: str) -> None:
    code = f"import sys, {module}; print({set(OPTIONAL)!r} & {{*sys.modules}})"
    assert run_python(code).stdout.strip() == "set()"


def test_encrypted_sums_are_imported_when_asked_for() -> None:
    code = (
        "import sys, fedsecure; "
        "late = [name for name in sys.modules if 'paillier' in name or 'homomorphic' in name]; "
        "print(late, fedsecure.paillier.__name__, fedsecure.PaillierSum.__name__, "
        "{'PaillierSum', 'paillier'} < {*dir(fedsecure)})"
    )
    assert run_python(code).stdout.strip() == "[] fedsecure.paillier PaillierSum True"
    with pytest.raises(AttributeError, match="no attribute 'Paillier'"):
        fedsecure.Paillier  # noqa: B018


def test_active_kernels_is_one_of_the_available() -> None:
    from fedsecure import _core

    assert fedsecure.active_kernels() in _core.available_kernels()


def test_environment_forces_a_kernel_set() -> None:
    code = "import fedsecure; print(fedsecure.active_kernels())"
    assert run_python(code, FEDSECURE_KERNELS="portable").stdout.strip() == "portable"


def test_unknown_kernel_set_fails_the_import_and_names_the_known() -> None:
    run = run_python("import fedsecure", FEDSECURE_KERNELS="abacus")
    assert run.returncode != 0
    assert "abacus" in run.stderr
    assert "portable" in run.stderr
    assert "not there" not in run.stderr  # the extension is compiled; that note would mislead


def test_missing_extension_explains_itself(tmp_path: Path) -> None:
    source = Path(fedsecure.__file__).parent
    shutil.copytree(source, tmp_path / "fedsecure", ignore=shutil.ignore_patterns("_core*.so"))
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import fedsecure"
    run = run_python(code)
    assert run.returncode != 0
    assert "pip install ." in run.stderr


@pytest.mark.parametrize("needle", ["libgmp", "libcrypto", "libssl"])
def test_core_links_no_bignum_or_tls_library(needle: str) -> None:
    from fedsecure import _core

    readelf = shutil.which("readelf")
    if readelf is None:
        pytest.skip("readelf (binutils) is not installed")
    command = [readelf, "-d", _core.__file__]
    dynamic = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "NEEDED" in dynamic.stdout
    assert needle not in dynamic.stdout

"""A door without its framework says which extra to install."""

from __future__ import annotations

import subprocess
import sys

import pytest

DOORS = {
    "torch": ("torch", "fedsecure[torch]"),
    "keras": ("keras", "fedsecure[keras]"),
    "jax": ("jax", "fedsecure[jax]"),
    "sklearn": ("sklearn", "fedsecure[sklearn]"),
    "nvflare": ("nvflare", "fedsecure[nvflare]"),
    "declearn": ("declearn", "fedsecure[declearn]"),
    "openfl": ("openfl", "fedsecure[openfl]"),
}


@pytest.mark.parametrize("door", sorted(DOORS))
def test_the_import_names_the_extra(door: str) -> None:
    framework, extra = DOORS[door]
    code = f"import sys; sys.modules[{framework!r}] = None; import fedsecure.adapters.{door}"
    run = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False
    )
    assert run.returncode != 0
    assert f"ImportError: fedsecure.adapters.{door} needs" in run.stderr
    assert f"pip install '{extra}'" in run.stderr

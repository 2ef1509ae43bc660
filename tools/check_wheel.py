"""Builds the wheel in isolation and imports it in an empty environment, outside the source tree.

Run with the Python to check: ``python3.13 tools/check_wheel.py``. What it proves: the build needs
nothing but a compiler and the package registry, and the installed package finds its extension.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

PROBE = """
import pathlib, numpy as np, fedsecure as fs
assert "site-packages" in fs.__file__, fs.__file__
mean = fs.secure_aggregate([{"w": np.full(3, k, np.float32)} for k in range(3)]).mean["w"]
assert np.allclose(mean, 1.0, atol=1e-5), mean
assert (pathlib.Path(fs.__file__).parent / "py.typed").is_file()
print("fedsecure", fs.__version__, "kernels:", fs.active_kernels())
"""


def main() -> None:
    """Builds, installs and imports; any failing step ends with its own message."""
    root = Path(__file__).resolve().parent.parent
    with tempfile.TemporaryDirectory() as scratch:
        here = Path(scratch)
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
        subprocess.run([*pip, "wheel", "--no-deps", "-w", here / "dist", root], check=True)
        (wheel,) = (here / "dist").glob("*.whl")
        venv.create(here / "empty", with_pip=True)
        python = here / "empty" / "bin" / "python"
        install = [python, "-m", "pip", "--disable-pip-version-check", "-q", "install", wheel]
        subprocess.run(install, check=True)
        subprocess.run([python, "-I", "-c", PROBE], check=True, cwd=here)
        print(f"{wheel.name} builds, installs and imports on Python {sys.version.split()[0]}")


if __name__ == "__main__":
    main()

"""Fails if a compiled kernel file exports anything but its table.

Run as ``python tools/check_kernel_objects.py build`` after ``make build``. A kernel file is
compiled for a wider instruction set than the rest. If it left a weak symbol (an inline function, a
template of the standard library), the linker could choose that copy for every caller, and the
extension would die on processors without those instructions. So kernel objects may define one
strong symbol, their ``fedsecure::kernels::k...`` table, and nothing weak. ``NM`` names another nm.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

LOCAL_OR_UNDEFINED = set("abdrstnU")
TABLE = re.compile(r"fedsecure::kernels::k[A-Z]\w*")


def complaints(path: Path) -> list[str]:
    """What is wrong with one object file, one line per symbol."""
    nm = os.environ.get("NM", "nm")
    command = [nm, "--demangle", "--format=posix", str(path)]
    listing = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = []
    tables = 0
    for line in listing.splitlines():
        # name (may hold spaces once demangled), type, then value and size where defined
        match = re.fullmatch(r"(.+?) ([A-Za-z?-])(?: [0-9a-f]*)*\s*", line)
        if match is None:
            found.append(f"{path}: nm line not understood: {line!r}")
            continue
        name, kind = match.groups()
        if kind in LOCAL_OR_UNDEFINED:
            continue
        if kind in "BDR" and TABLE.fullmatch(name):
            tables += 1
        else:
            found.append(f"{path}: symbol {name!r} of type {kind} leaves the file")
    if tables != 1:
        found.append(f"{path}: {tables} kernel tables exported, expected one")
    return found


def main(folder: str) -> int:
    """Checks every kernel object under ``folder``; 0 if all are clean, 1 otherwise."""
    objects = sorted(Path(folder).glob("**/csrc/kernels/*.o"))
    if not objects:
        print(f"no kernel objects under {folder!r}: build first (make build)")
        return 1
    found = [line for path in objects for line in complaints(path)]
    print("\n".join(found) if found else f"{len(objects)} kernel objects export their table only")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "build"))

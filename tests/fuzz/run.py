"""Runs the target under libFuzzer, guided by the coverage of the package's Python code.

    .venv/bin/python tests/fuzz/run.py [libFuzzer options] folder-to-grow folders-to-begin-with...

`make fuzz` does it with the committed corpus and the right options. Not a test and not imported by
one: it needs atheris, the extra `fuzz`.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

try:
    import atheris
except ModuleNotFoundError:
    sys.exit("fuzzing needs atheris, which is there for CPython 3.11 to 3.13 on Linux")

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
with atheris.instrument_imports(include=["fedsecure"]):
    from fuzz.target import MOST_BYTES, all_targets, one_input

_HEADROOM = 512 << 20


def main() -> None:
    """Makes the parties, bounds the memory, and leaves the rest to libFuzzer."""
    all_targets()
    # An allocation beyond it raises MemoryError, which no target expects: a finding with the bytes
    # that made it. What libFuzzer calls -malloc_limit_mb does not see Python's allocations.
    limit = _address_space() + _HEADROOM
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    atheris.Setup([sys.argv[0], f"-max_len={MOST_BYTES}", *sys.argv[1:]], one_input)
    atheris.Fuzz()


def _address_space() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


if __name__ == "__main__":
    main()

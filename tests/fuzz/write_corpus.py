"""Writes the corpus: the messages of real sessions, for every target in turn.

    .venv/bin/python tests/fuzz/write_corpus.py

Run it when a message has changed; a test compares the files with what it would write.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from fuzz.target import corpus

FOLDER = Path(__file__).parent / "corpus"


def main() -> None:
    """Replaces all files."""
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.iterdir():
        path.unlink()
    for name, data in corpus().items():
        (FOLDER / name).write_bytes(data)


if __name__ == "__main__":
    main()

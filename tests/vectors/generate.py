"""Writes the vectors of the protocol: ``PYTHONPATH=tests python tests/vectors/generate.py``.

All of it follows from fixed secrets by the reference in tests/reference alone, so that the files
judge the library. A change of any byte in them is a change of the wire format.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vectors import cast, derivations, refused, transcripts

FOLDER = Path(__file__).parent / "protocol"


def files() -> dict[str, str]:
    """The text of every file by its name."""
    malicious, regular = cast.malicious(), cast.regular()
    contents = {
        "context": derivations.context([malicious, regular]),
        "keys": derivations.keys(malicious),
        "masks": derivations.masks(),
        "shares": derivations.shares(),
        "graphs": derivations.graphs(),
        "encoding": derivations.encodings(),
        "signatures": derivations.signatures(malicious),
        "session_malicious": transcripts.transcript(malicious),
        "session_regular": transcripts.transcript(regular),
        "session_aes256": transcripts.transcript(cast.small(2)),
        "session_chacha20": transcripts.transcript(cast.small(3)),
        "refused_malicious": refused.of_parties(malicious),
        "refused_regular": refused.of_parties(regular),
        "refused_sessions": refused.of_sessions(malicious, regular),
    }
    return {f"{name}.json": render(content) + "\n" for name, content in contents.items()}


def render(value: Any, indent: str = "") -> str:
    """JSON with bytes in hex; a list without containers in it stands on one line."""
    if isinstance(value, bytes):
        return json.dumps(value.hex())
    deeper = indent + " "
    if isinstance(value, dict) and "parts" in value:
        return json.dumps(value, default=bytes.hex)
    if isinstance(value, dict):
        rows = [f"{json.dumps(str(key))}: {render(item, deeper)}" for key, item in value.items()]
        return _lines("{", rows, "}", indent)
    if isinstance(value, list | tuple):
        rows = [render(item, deeper) for item in value]
        flat = not any(isinstance(item, list | tuple | dict) for item in value)
        return f"[{', '.join(rows)}]" if flat else _lines("[", rows, "]", indent)
    return json.dumps(value, allow_nan=False)


def _lines(opening: str, rows: list[str], closing: str, indent: str) -> str:
    inner = ",\n".join(f"{indent} {row}" for row in rows)
    return f"{opening}\n{inner}\n{indent}{closing}"


def main() -> None:
    """Writes the files."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in files().items():
        (FOLDER / name).write_text(text, "ascii")


if __name__ == "__main__":
    main()

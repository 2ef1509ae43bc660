"""Python blocks of README and pages run as written, top to bottom, and print what is shown."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(document: str) -> list[tuple[str, str]]:
    return [(m[1], m[2]) for m in FENCE.finditer((ROOT / document).read_text(encoding="utf-8"))]


@pytest.mark.parametrize(
    "document", ["README.md", "docs/paillier.md", "docs/privacy.md", "docs/threshold.md"]
)
def test_python_blocks_print_what_is_shown(document: str) -> None:
    found = blocks(document)
    assert any(language == "python" for language, _ in found)
    names: dict[str, object] = {"__name__": "readme"}
    for (language, code), (following, shown) in zip(found, [*found[1:], ("", "")], strict=True):
        if language != "python":
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, document, "exec"), names)
        if following == "text":
            assert printed.getvalue() == shown


def test_commands_named_in_the_readme_are_targets() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"`make (\w+)", (ROOT / "README.md").read_text(encoding="utf-8")))
    assert {"demo", "test"} <= named
    for target in named:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target

"""The apps in docs/flower.md run as written, and print what is shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("flwr")

from flower_nodes import Federation

PAGE = Path(__file__).resolve().parents[3] / "docs" / "flower.md"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_page_s_apps(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = FENCE.findall(PAGE.read_text(encoding="utf-8"))
    client, server = (code for language, code in blocks if language == "python")
    (shown,) = (code for language, code in blocks if language == "text")
    apps = []
    for code in (client, server):
        names: dict[str, object] = {}
        exec(compile(code, str(PAGE), "exec"), names)
        apps.append(names["app"])
    grid = Federation(plain=True).grid
    grid.app = apps[0]
    apps[1](grid, grid.context(0))
    assert capsys.readouterr().out == shown

"""Fixtures of the protocol tests."""

from __future__ import annotations

import itertools

import pytest

from fedsecure.primitives import entropy


@pytest.fixture
def known_entropy(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Replaces the system's entropy by counted bytes; gives the list of all that was drawn."""
    drawn: list[bytes] = []
    counter = itertools.count(1)

    def system(size: int) -> bytes:
        data = next(counter).to_bytes(4, "little") * ((size + 3) // 4)
        drawn.append(data[:size])
        return drawn[-1]

    monkeypatch.setattr(entropy, "_system", system)
    return drawn

"""Fixtures for the tests of the compiled core."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from core import reference
from fedsecure import _core

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=reference.PRGS, ids=["aes128", "aes256", "chacha20"])
def prg(request: pytest.FixtureRequest) -> int:
    """Runs the test once with every generator."""
    return request.param


@pytest.fixture(params=_core.available_kernels())
def kernels(request: pytest.FixtureRequest) -> Iterator[str]:
    """Runs the test once with every kernel set of this machine."""
    before = _core.active_kernels()
    _core.select_kernels(request.param)
    yield request.param
    _core.select_kernels(before)

"""The rounds of AES that are done only to be timed: how many there were."""

from __future__ import annotations

import pytest

from fedsecure import _core

MOST_AT_ONCE = 12 * 4  # chains of the widest vectors


@pytest.mark.parametrize("count", [0, 1, 48, 49, 1_000_003])
def test_it_does_what_was_asked_and_little_more(kernels: str, count: int) -> None:
    done = _core.aes_rounds(count)
    if kernels == "portable":
        assert done == 0
    else:
        assert count <= done < count + MOST_AT_ONCE


@pytest.mark.parametrize("count", [-1, 1 << 63, 1 << 64])
def test_counts_out_of_range_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match="count must lie in"):
        _core.aes_rounds(count)

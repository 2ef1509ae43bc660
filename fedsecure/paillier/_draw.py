"""Secret integers below a bound, from the operating system's entropy."""

from __future__ import annotations

from fedsecure.primitives import entropy

__all__ = ["below"]

# So many bytes more than needed leave a bias below 2^-128.
_SPARE = 16


def below(bound: int) -> int:
    """Returns an integer in [0, bound), uniform but for a bias below 2^-128."""
    drawn = entropy.draw(bound.bit_length() // 8 + _SPARE)
    try:
        return int.from_bytes(drawn.view, "little") % bound
    finally:
        drawn.wipe()

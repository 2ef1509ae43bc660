"""How much noise one client adds, so that those who are certain to stay add enough together.

Noise of a client that drops out is missing, and a corrupt client knows its own. A masking session
with threshold t releases no sum of fewer than t clients, c of them corrupt at most: t - c shares
are certain. Their variance is what is accounted, however many stay.
"""

from __future__ import annotations

import math
from fractions import Fraction

from fedsecure.errors import ThresholdError
from fedsecure.privacy import _checks

__all__ = [
    "certain_shares",
    "excess_variance",
    "guaranteed_variance",
    "rounded_up",
    "share_variance",
]

_MOST = 1_000_000


def certain_shares(threshold: int, corrupt: int) -> int:
    """Returns t - c, how many honest clients are in every sum that is released.

    Args:
        threshold: t, least number of clients in a sum.
        corrupt: c, how many clients may collude, 0 or more.

    Raises:
        ThresholdError: None is certain.
        LocalProtocolError: An argument is no integer in range.
    """
    _checks.whole("threshold", threshold, 1, _MOST)
    _checks.whole("corrupt", corrupt, 0, _MOST)
    if corrupt >= threshold:
        raise ThresholdError(
            f"with threshold {threshold} and {corrupt} corrupt clients a sum may hold nobody's "
            "noise; raise the threshold, or plan for fewer corrupt clients"
        )
    return threshold - corrupt


def share_variance(target: float, threshold: int, corrupt: int) -> float:
    """Returns the variance that each client adds: target / (t - c).

    Args:
        target: Variance that the noise of every released sum must have, above 0.
        threshold: As `certain_shares`.
        corrupt: As `certain_shares`.

    Raises:
        ThresholdError: As `certain_shares`.
        LocalProtocolError: An argument is out of range.
    """
    _checks.positive("target", target)
    return target / certain_shares(threshold, corrupt)


def guaranteed_variance(share: float, threshold: int, corrupt: int) -> float:
    """Returns the variance that may be accounted for shares of this variance: (t - c) share."""
    _checks.positive("share", share)
    return share * certain_shares(threshold, corrupt)


def excess_variance(survivors: int, threshold: int, corrupt: int) -> float:
    """Returns how many times the target variance a sum of so many has: survivors / (t - c)."""
    _checks.whole("survivors", survivors, threshold, _MOST)
    return survivors / certain_shares(threshold, corrupt)


def rounded_up(variance: Fraction) -> Fraction:
    """Returns a fraction of integers below 2**60 that is no less, and hardly more.

    Args:
        variance: Above 0, at most 2**60.
    """
    bits = max(0, min(36, 58 - math.ceil(variance).bit_length()))
    return Fraction(math.ceil(variance * 2**bits), 2**bits)

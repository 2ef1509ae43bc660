"""A clipping norm that follows the norms of the updates, learned privately.

Source: Andrew, Thakkar, McMahan and Ramaswamy, "Differentially Private Learning with Adaptive
Clipping", NeurIPS 2021. Each client adds to its update whether its norm was within the clip; the
noisy fraction of those that were moves the clip toward a quantile of the norms.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Self

from fedsecure.errors import LocalProtocolError
from fedsecure.privacy import _checks

__all__ = ["AdaptiveClip", "indicator_sigma", "update_noise_multiplier"]

_MOST_CLIENTS = 1_000_000
# A step beyond exp(50) is noise that no cohort gives; with it the clip would leave the floats.
_MOST_EXPONENT = 50.0


def indicator_sigma(cohort: int) -> float:
    """Returns the standard deviation of the noise on the count of those within the clip: m / 20.

    Args:
        cohort: m, how many clients are in a round, 1..1,000,000.
    """
    _checks.whole("cohort", cohort, 1, _MOST_CLIENTS)
    return cohort / 20


def update_noise_multiplier(noise_multiplier: float, sigma_indicator: float) -> float:
    """Returns z_Delta, with which updates must be noised so that both releases cost z together.

    ``(z**-2 - (2 sigma_b)**-2)**-0.5``. Indicators are +-1/2: one changes their sum by 1/2.

    Args:
        noise_multiplier: z, what one round is accounted as, above 0.
        sigma_indicator: sigma_b, standard deviation of the noise on the sum of indicators, above
            z / 2.

    Raises:
        LocalProtocolError: The indicators alone would cost more than that.
    """
    _checks.positive("noise_multiplier", noise_multiplier)
    _checks.positive("sigma_indicator", sigma_indicator)
    left = noise_multiplier**-2 - (2 * sigma_indicator) ** -2
    if left <= 0:
        raise LocalProtocolError(
            f"noise of {sigma_indicator:.6g} on the indicators costs more than a noise multiplier "
            f"of {noise_multiplier:.6g} in all; use more than {noise_multiplier / 2:.6g}, or a "
            "larger cohort"
        )
    return float(left**-0.5)


@dataclass(frozen=True)
class AdaptiveClip:
    """The clipping norm of one round. `update` returns that of the next.

    Attributes:
        clip: C, above 0.
        target_quantile: gamma, the fraction of updates that shall be within the clip, 0..1.
        learning_rate: eta_C, above 0.

    Raises:
        LocalProtocolError: A number is out of range.
    """

    clip: float = 0.1
    target_quantile: float = 0.5
    learning_rate: float = 0.2

    def __post_init__(self) -> None:
        _checks.positive("clip", self.clip)
        _checks.positive("learning_rate", self.learning_rate)
        if not 0 <= self.target_quantile <= 1:
            raise LocalProtocolError(
                f"target_quantile is {self.target_quantile!r:.60}; use a fraction, 0 to 1"
            )
        _checks.as_floats(self, "clip", "target_quantile", "learning_rate")

    @staticmethod
    def indicator(*, within: bool) -> float:
        """Returns what a client adds to the secure sum: +1/2 if its norm was within C, or -1/2."""
        return 0.5 if within else -0.5

    @staticmethod
    def fraction(noisy_sum: float, cohort: int) -> float:
        """Returns b~, the noisy fraction within the clip, from the noisy sum of indicators."""
        _checks.whole("cohort", cohort, 1, _MOST_CLIENTS)
        return noisy_sum / cohort + 0.5

    def update(self, private_fraction: float) -> Self:
        """Returns the clip of the next round: ``C exp(-eta_C (b~ - gamma))``.

        Args:
            private_fraction: b~, with its noise: it may lie outside 0..1.

        Raises:
            LocalProtocolError: It is not finite, or the clip would no longer be a number above 0.
        """
        if not math.isfinite(private_fraction):
            raise LocalProtocolError("private_fraction is not finite; use the noisy mean")
        exponent = -self.learning_rate * (private_fraction - self.target_quantile)
        exponent = max(-_MOST_EXPONENT, min(_MOST_EXPONENT, exponent))
        return replace(self, clip=self.clip * math.exp(exponent))

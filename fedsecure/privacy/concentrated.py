"""Concentrated differential privacy (zCDP), in which the cost of (discrete) Gaussian noise adds up.

One release with noise of variance v and L2 sensitivity D is D**2 / (2 v)-zCDP, whether the noise is
continuous or discrete, and releases add. Source: Canonne, Kamath and Steinke, "The Discrete
Gaussian for Differential Privacy", NeurIPS 2020, theorem 4 and proposition 12.
"""

from __future__ import annotations

import math

from fedsecure.privacy import _checks

__all__ = ["zcdp_epsilon", "zcdp_rho"]

_STEPS = 200


def zcdp_epsilon(rho: float, delta: float) -> float:
    """Returns the epsilon at delta of a rho-zCDP release: the least over all Renyi orders.

    Args:
        rho: Above 0.
        delta: Between 0 and 1.

    Raises:
        LocalProtocolError: An argument is out of range.
    """
    _checks.positive("rho", rho)
    _checks.between("delta", delta, 0, 1)

    def at(log_excess: float) -> float:
        excess = math.exp(log_excess)  # of the order over 1
        order = 1 + excess
        gain = excess * math.log(excess / order) - math.log(order) - math.log(delta)
        return rho * order + gain / excess

    # It falls and then rises; the least is where the order is about 1 + sqrt(log(1 / delta) / rho).
    low, high = -20.0, math.log1p(math.sqrt(-math.log(delta) / rho)) + 2
    for _ in range(_STEPS):
        third = (high - low) / 3
        if at(low + third) < at(high - third):
            high -= third
        else:
            low += third
    return max(0.0, at((low + high) / 2))


def zcdp_rho(epsilon: float, delta: float) -> float:
    """Returns the largest rho whose zCDP gives this epsilon at delta; the inverse of the above.

    Args:
        epsilon: Above 0.
        delta: Between 0 and 1.

    Raises:
        LocalProtocolError: An argument is out of range.
    """
    _checks.known_target(epsilon, delta)
    low, high = 0.0, epsilon
    while zcdp_epsilon(high, delta) <= epsilon:
        high *= 2
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if zcdp_epsilon(middle, delta) <= epsilon:
            low = middle
        else:
            high = middle
    return low

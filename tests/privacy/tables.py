"""Values of other implementations, which ours must give to the digits shown."""

from __future__ import annotations

import math

BETA = math.exp(-0.5)

# clients, D, q, rounds, bits; scale, local sigma in integers; epsilon of DDGauss, Skellam, Gaussian
DISTRIBUTED = [
    (100, 2**20, 1, 1, 16, "8153.21", "815.321", "4.762913", "4.762913", "4.752728"),
    (100, 2**20, 1, 1, 20, "130451", "13045.1", "4.752786", "4.752786", "4.752728"),
    (1000, 2**20, 1e-3, 1000, 16, "5860.88", "185.337", "0.682049", "0.682049", "0.677826"),
    (1000, 2**20, 1e-3, 1000, 20, "93774.3", "2965.40", "0.680196", "0.680196", "0.677826"),
    (100, 2**20, 100 / 3400, 1500, 18, "32612.9", "3261.29", "9.168118", "9.168118", "8.353975"),
    (20, 2**16, 1, 50, 18, "32668.5", "7304.89", "60.128935", "60.128935", "60.126631"),
]

# D, bits, beta; Delta2; epsilon of DDGauss, Skellam. K = 3.89059, c = 0.1, z = 0.5, n = 100
ONE_ROUND = [
    (2**10, 10, 0, "73.5529", "22.65968", "22.70040"),
    (2**10, 10, BETA, "45.1686", "11.89127", "11.91659"),
    (2**20, 16, 0, "17556.36", "11.567980", "11.567980"),
    (2**20, 16, BETA, "16540.81", "10.807820", "10.807820"),
]

# q, z, rounds, delta; epsilon by RDP at the library's default orders, at integer orders, by PLD
SAMPLED_GAUSSIAN = [
    (250 / 60000, 1.3, 3600, 1e-5, "0.942200", "0.942200", "0.853030"),
    (256 / 60000, 1.12, 14062, 1e-5, "2.518590", "2.521466", "2.310185"),
    (0.01, 1.0, 1000, 1e-5, "2.101367", "2.107753", "1.828244"),
    (0.01, 4.0, 10000, 1e-5, "1.035490", "1.035490", "0.946999"),
    (0.1, 1.0, 100, 1e-5, "7.903850", "7.972922", "7.046603"),
    (0.001, 1.0, 1000, 1e-6, "0.869708", "0.869708", "0.185571"),
    (1, 5.0, 100, 1e-5, "10.725510", "10.801691", "9.997256"),
    (1, 1.0, 1, 1e-5, "4.728507", "4.752728", "4.377178"),
]

# The rows above by the PRV accountant, to 0.01 (its estimate); and by RDP with the older conversion
# to epsilon, where that is published.
BY_PRV = [0.85299, 2.31010, 1.82824, 0.94687, 7.04728, 0.18554]
OLDER_CONVERSION = [(SAMPLED_GAUSSIAN[0], "1.1799"), (SAMPLED_GAUSSIAN[1], "2.9222")]

# rho, delta; epsilon. Of the authors' cdp2adp.py
CONCENTRATED = [
    (0.5, 1e-5, 4.728386985),
    (0.1, 1e-6, 2.141938928),
    (1.0, 1e-6, 7.766216625),
]

ANALYTIC_GAUSSIAN = [
    (0.1, 1e-5, 30.74956613197769),
    (0.5, 1e-5, 7.0318266755825),
    (1, 1e-5, 3.7306316348159374),
    (1, 1e-6, 4.224678889326822),
    (2, 1e-5, 1.993812445643537),
    (4, 1e-5, 1.0811618495202397),
    (8, 1e-5, 0.6002290721989517),
]


def agree(value: float, shown: str) -> bool:
    """Whether a value is the one shown, to one unit of its last digit (some were cut)."""
    digits = len(shown.partition(".")[2])
    return abs(value - float(shown)) <= 1.0001 * 10.0**-digits

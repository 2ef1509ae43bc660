"""Flower: secure aggregation under its own strategies, with one client mod and one wrapped grid.

The client end is a mod, `ClientApp(mods=[secure_mod(...)])`; the server end wraps the grid that a
strategy is started with, `strategy.start(SecureGrid(grid, ...), ...)`. Training functions, FedAvg
and the strategies that build on its mean, and the mods for differential privacy stay as they are.
See docs/flower.md. Needs the extra ``flower``.
"""

from __future__ import annotations

try:
    import flwr as _flwr  # noqa: F401  (asked for first, so that its absence is explained)
except ImportError as error:
    raise ImportError(
        "fedsecure.adapters.flower needs Flower, which is not installed: "
        "pip install 'fedsecure[flower]'"
    ) from error

from fedsecure.adapters.flower.grid import SecureGrid
from fedsecure.adapters.flower.identities import (
    masking_from_node_config,
    read_verify_keys,
    write_identities,
)
from fedsecure.adapters.flower.mod import secure_mod
from fedsecure.adapters.flower.reports import RoundReport
from fedsecure.adapters.flower.strategies import check_strategy

__all__ = [
    "RoundReport",
    "SecureGrid",
    "check_strategy",
    "masking_from_node_config",
    "read_verify_keys",
    "secure_mod",
    "write_identities",
]

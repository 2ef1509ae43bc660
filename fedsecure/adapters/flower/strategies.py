"""Which of Flower's strategies go with a mean that nobody sees the parts of."""

from __future__ import annotations

import inspect
from typing import Any

from flwr.serverapp import strategy as flower
from flwr.serverapp.strategy import Strategy

from fedsecure.errors import LocalProtocolError

__all__ = [
    "NORM_BIT",
    "check_strategy",
    "layers",
    "norm_bit_wanted",
    "running_strategy",
    "wants_counts",
    "weighted_by_key",
]

NORM_BIT = "norm_bit"
"""The metric of Flower's adaptive clipping: 1 where an update was within the norm."""

_COMPARES = "compares the clients' updates with each other"
_CLIPS = (
    "clips the clients' updates one by one at the server; its client-side twin, with "
    "fixedclipping_mod or adaptiveclipping_mod after secure_mod, does it before they are masked"
)
_TREES = "joins trees, which have no mean"
_REFUSED = {
    "Krum": _COMPARES,
    "MultiKrum": _COMPARES,
    "Bulyan": _COMPARES,
    "FedMedian": _COMPARES,
    "FedTrimmedAvg": _COMPARES,
    "QFedAvg": "weighs each client's update by its own loss",
    "FedXgbBagging": _TREES,
    "FedXgbCyclic": _TREES,
    "DifferentialPrivacyServerSideFixedClipping": _CLIPS,
    "DifferentialPrivacyServerSideAdaptiveClipping": _CLIPS,
}
_COUNTING = (
    "DifferentialPrivacyClientSideFixedClipping",
    "DifferentialPrivacyClientSideAdaptiveClipping",
)


def check_strategy(strategy: Any, *, weighted: bool = True) -> None:
    """Refuses a strategy, or one it wraps, that needs single updates.

    A `SecureGrid` does this by itself with the strategy that starts with it.

    Args:
        strategy: A strategy of Flower's, or one derived from it.
        weighted: Whether clients weigh differently.

    Raises:
        LocalProtocolError: The reason.
    """
    for layer in layers(strategy):
        for name, reason in _REFUSED.items():
            if _is(layer, name):
                raise LocalProtocolError(
                    f"{type(layer).__name__} {reason}, and under secure aggregation there is only "
                    "their mean; use FedAvg or a strategy that builds on its mean"
                )
        counting = getattr(layer, "accountant", None) is not None or norm_bit_wanted(layer)
        if weighted and counting and wants_counts(layer):
            raise LocalProtocolError(
                f"{type(layer).__name__} counts on clients that all weigh the same; give "
                "SecureGrid(weighted_by=None)"
            )


def layers(strategy: Any) -> list[Any]:
    """Returns the strategy, and whatever it wraps."""
    found: list[Any] = []
    while strategy is not None and strategy not in found:
        found.append(strategy)
        strategy = getattr(strategy, "strategy", None)
    return found


def wants_counts(strategy: Any) -> bool:
    """Returns whether the strategy compares the number of replies with that of messages."""
    return any(_is(layer, name) for layer in layers(strategy) for name in _COUNTING)


def norm_bit_wanted(strategy: Any) -> bool:
    """Returns whether the strategy learns its norm from how many updates were within it."""
    return any(_is(layer, _COUNTING[1]) for layer in layers(strategy))


def weighted_by_key(strategy: Any, default: str) -> str:
    """Returns the metric that the strategy weighs replies by."""
    keys = [getattr(layer, "weighted_by_key", None) for layer in layers(strategy)]
    return next((key for key in keys if key), default)


def running_strategy() -> Any:
    """Returns the strategy whose `start` is calling, or None.

    A grid is not told which strategy it works for, and one that needs single updates would quietly
    make nonsense of a mean. So it is looked for among the callers.
    """
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_code is Strategy.start.__code__:
            return frame.f_locals.get("self")
        frame = frame.f_back
    return None


def _is(layer: Any, name: str) -> bool:
    kind = getattr(flower, name, None)  # Flower has more of them in later versions
    return kind is not None and isinstance(layer, kind)

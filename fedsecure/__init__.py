"""Secure aggregation for federated learning: the server sees sums, never a single update.

The names below are the public interface. `secure_aggregate` plays every party in this process;
`PairwiseMasking` makes the parties of a real deployment; `FixedPoint` says how floats become ring
elements; `choose_parameters` says how many neighbors a client needs among many;
`federated_averaging` is the learning loop on top. `calibrate_noise` and `PrivacyAccountant` say how
much noise differential privacy takes, and what it has cost; `DistributedSkellam` and the other
mechanisms make it (`fedsecure.privacy` has the rest).
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

try:
    from fedsecure import _core
except ImportError as error:
    if find_spec("fedsecure._core") is None:
        error.add_note(
            "The compiled extension fedsecure._core is not there. From a source tree, build it "
            "with 'pip install .' (a C++17 compiler is enough) and run Python outside that folder."
        )
    raise

from fedsecure import errors
from fedsecure.aggregate import secure_aggregate
from fedsecure.encoding import FixedPoint
from fedsecure.fedavg import FederatedAlgorithm, federated_averaging
from fedsecure.participation import ParticipationLog
from fedsecure.primitives.identity import Identity
from fedsecure.primitives.parameters import choose_parameters
from fedsecure.privacy import (
    CentralGaussian,
    DistributedDiscreteGaussian,
    DistributedSkellam,
    ExponentialMechanism,
    Geometric,
    Laplace,
    PrivacyAccountant,
    RecordSkellam,
    calibrate_noise,
)
from fedsecure.protocols.base import Aggregate
from fedsecure.protocols.masking import MaskingClient, MaskingServer, PairwiseMasking
from fedsecure.protocols.session import Session
from fedsecure.pytree import TreeSpec

if TYPE_CHECKING:
    from fedsecure.protocols.homomorphic import PaillierSum, ThresholdPaillierSum

# A sixth of what importing all of this takes, and most sums are masked: imported when asked for.
_LATE = ("PaillierSum", "ThresholdPaillierSum", "paillier")

__version__: str = _core.__version__


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "paillier":
        return import_module("fedsecure.paillier")
    return getattr(import_module("fedsecure.protocols.homomorphic"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATE})


def available_kernels() -> list[str]:
    """Returns the names of the kernel sets that this processor can run, best first."""
    return _core.available_kernels()


def active_kernels() -> str:
    """Returns the name of the kernel set in use, e.g. ``"portable"``.

    The best set this processor runs is chosen when the package is imported. The environment
    variable ``FEDSECURE_KERNELS`` forces one by name; an unknown name makes the import fail. Every
    set gives the same bits, so the choice is one of speed only.
    """
    return _core.active_kernels()


__all__ = [
    "Aggregate",
    "CentralGaussian",
    "DistributedDiscreteGaussian",
    "DistributedSkellam",
    "ExponentialMechanism",
    "FederatedAlgorithm",
    "FixedPoint",
    "Geometric",
    "Identity",
    "Laplace",
    "MaskingClient",
    "MaskingServer",
    "PaillierSum",
    "PairwiseMasking",
    "ParticipationLog",
    "PrivacyAccountant",
    "RecordSkellam",
    "Session",
    "ThresholdPaillierSum",
    "TreeSpec",
    "__version__",
    "active_kernels",
    "available_kernels",
    "calibrate_noise",
    "choose_parameters",
    "errors",
    "federated_averaging",
    "secure_aggregate",
]

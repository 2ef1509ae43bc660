"""NVFlare: `SecureFedAvg`, the controller of a job, and `SecureClient`, for its client script.

Federated averaging as in NVFlare's own `FedAvg`, but the server of the job learns the (weighted)
mean of the sites' updates only: all stages of `PairwiseMasking` travel as tasks of the job. Sites
train first and exchange keys afterwards, so that whoever fails or is slow in training costs nobody
anything. A site that has not answered when a wave's time is over is out of this round, and is
invited to the next one.
"""

from __future__ import annotations

try:
    import nvflare  # noqa: F401
except ImportError as error:
    raise ImportError(
        "fedsecure.adapters.nvflare needs NVFlare: pip install 'fedsecure[nvflare]'"
    ) from error

from fedsecure.adapters.nvflare.client import SecureClient
from fedsecure.adapters.nvflare.controller import SecureFedAvg

__all__ = ["SecureClient", "SecureFedAvg"]

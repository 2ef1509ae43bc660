"""declearn: its plug-in for secure aggregation, with our masks, encoding and sums.

``secagg_type="fedsecure"`` on both sides, in the place of declearn's own ``"masking"``. The set-up
is declearn's: pairwise secrets by X3DH with identity keys that clients have pinned. What follows is
ours: masks from a cipher, one seed per pair and call; fixed-point numbers in a ring that is wide
enough for the sum; packed bytes on the wire.

declearn encrypts and decrypts without a word between clients and server in between, so there is no
stage in which a drop-out's masks could be taken off: a round in which a client is missing fails, as
it does with declearn's own methods, and nothing is learnt from it.
"""

from __future__ import annotations

try:
    import declearn  # noqa: F401
except ImportError as error:
    raise ImportError(
        "fedsecure.adapters.declearn needs declearn: pip install 'fedsecure[declearn]'"
    ) from error

from fedsecure.adapters.declearn.crypters import FedsecureDecrypter, FedsecureEncrypter
from fedsecure.adapters.declearn.setup import FedsecureConfigClient, FedsecureConfigServer
from fedsecure.adapters.declearn.sums import FedsecureAggregate

__all__ = [
    "FedsecureAggregate",
    "FedsecureConfigClient",
    "FedsecureConfigServer",
    "FedsecureDecrypter",
    "FedsecureEncrypter",
]

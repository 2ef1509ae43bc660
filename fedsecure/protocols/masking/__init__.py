"""Double-masked secure aggregation (Bonawitz et al., CCS 2017).

`PairwiseMasking` is the door. Read `states` for the order of things, `messages` for what is said,
`schedule` for what is derived, `client` and `server` for who does what.
"""

from fedsecure.protocols.masking.client import MaskingClient
from fedsecure.protocols.masking.config import PairwiseMasking
from fedsecure.protocols.masking.server import MaskingServer

__all__ = ["MaskingClient", "MaskingServer", "PairwiseMasking"]

"""Sums in several parts: each worker owns a range of coordinates, and knows nothing of the others.

Masks can be expanded from any coordinate on, and ciphertexts multiply row by row, so the parts need
no word with each other; all they must have in common is whose vectors they have added. `ShardedSum`
sees to that: before any part is unmasked, all of them have named the same clients.

Who carries the calls is no matter here: `Workers` is all that is asked of it, and
`fedsecure.adapters.ray` is one.
"""

from __future__ import annotations

from fedsecure.protocols.sharding.products import ShardedProduct, decrypt_rows
from fedsecure.protocols.sharding.sums import ShardedSum
from fedsecure.protocols.sharding.workers import Worker, Workers

__all__ = ["ShardedProduct", "ShardedSum", "Worker", "Workers", "decrypt_rows"]

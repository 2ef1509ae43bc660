"""A server whose sum is in two Ray actors: each owns half of the weights, and unmasks its half.

Clients are as ever, and so is the result, to the last bit. Run it from anywhere once fedsecure is
installed with Ray: pip install 'fedsecure[ray]', then python examples/ray_shards.py. For actors on
other machines, give ray.init the address of a cluster instead.
"""

from __future__ import annotations

import os

import numpy as np

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import ray

import fedsecure as fs
from fedsecure.adapters.ray import Shards

WEIGHTS = 3_000_000
CLIENTS = 5


def main() -> None:
    """Aggregates the same updates here and in shards, and compares the bits."""
    rng = np.random.default_rng(7)
    updates = [{"w": rng.standard_normal(WEIGHTS, np.float32)} for _ in range(CLIENTS)]
    # Rounding to the nearest step, so that two sessions of the same updates have the same sum.
    encoding = fs.FixedPoint(clip=8.0, rounding="nearest")
    protocol = fs.PairwiseMasking()

    here = fs.secure_aggregate(updates, protocol=protocol, encoding=encoding)
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    with Shards(2, deadline=120.0) as shards:
        there = fs.secure_aggregate(updates, protocol=shards.on(protocol), encoding=encoding)
    ray.shutdown()

    same = here.mean["w"].tobytes() == there.mean["w"].tobytes()
    print(f"{WEIGHTS} weights of clients {there.contributors}, summed in 2 shards")
    print("the same bits as on one machine" if same else "NOT the same bits")


if __name__ == "__main__":
    main()

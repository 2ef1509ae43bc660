"""What plans and mechanisms refuse: weights, updates, sums, numbers, rings."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fedsecure.errors import EncodingError, LocalProtocolError
from fedsecure.privacy import AdaptiveClip, CentralGaussian, DistributedSkellam
from noisy import DISTRIBUTED, KINDS, PUBLIC, contribute, seed_of

if TYPE_CHECKING:
    from fedsecure.privacy import VectorMechanism


@pytest.mark.parametrize(
    ("weight", "weighted", "match"),
    [
        (1.0, False, "leave it out"),
        (None, True, "give this client's weight"),
        (0.0, True, "max_weight=5"),
        (5.1, True, "max_weight=5"),
        (-1.0, True, "max_weight=5"),
        (math.nan, True, "max_weight=5"),
        (True, True, "max_weight=5"),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_refused_weights(
    kind: type[VectorMechanism], weight: float | None, weighted: bool, match: str
) -> None:
    plan = kind(1.0, 1.0, max_weight=5.0).plan(clients=9, size=4, weighted=weighted)
    with pytest.raises(EncodingError, match=match):
        contribute(plan, np.ones(4), weight=weight)


@pytest.mark.parametrize("kind", KINDS)
def test_refused_updates(kind: type[VectorMechanism]) -> None:
    plan = kind(1.0, 1.0).plan(clients=9, size=4)
    for bad in (math.nan, math.inf, -math.inf):
        with pytest.raises(EncodingError, match="'b' has 1 NaN or infinite values among 2"):
            contribute(plan, np.array([1, 2, bad, 4]))
    with pytest.raises(EncodingError, match="has 5 values"):
        contribute(plan, np.ones(5))
    with pytest.raises(EncodingError, match="int64"):
        contribute(plan, np.ones(4, np.int64))
    with pytest.raises(EncodingError, match="shape"):
        contribute(plan, np.ones((4, 1)))
    given: dict[str, Any] = {"weight": None, "seed": seed_of(1), "public_seed": PUBLIC}
    with pytest.raises(LocalProtocolError, match="names"):
        plan.contribution([np.ones(4)], [], **given)
    with pytest.raises(LocalProtocolError, match="24 bytes"):
        plan.contribution([np.ones(4)], ["x"], **{**given, "seed": b"short"})
    if plan.rotated:
        with pytest.raises(LocalProtocolError, match="32 bytes"):
            plan.contribution([np.ones(4)], ["x"], **{**given, "public_seed": b"short"})


@pytest.mark.parametrize("kind", KINDS)
def test_refused_sums(kind: type[VectorMechanism]) -> None:
    plan = kind(1.0, 1.0).plan(clients=9, size=4)
    total = np.zeros(plan.layout.length, plan.layout.dtype)
    good: dict[str, Any] = {"num_contributors": 9, "public_seed": PUBLIC, "dtype": np.float32}
    plan.decode(total, **good)
    for change, match in (
        ({"num_contributors": 10}, "1 to 9"),
        ({"num_contributors": 0}, "1 to 9"),
        ({"dtype": np.int32}, "float32 or float64"),
    ):
        with pytest.raises(LocalProtocolError, match=match):
            plan.decode(total, **{**good, **change})
    for bad in (total[:-1], total.astype(np.int64)):
        with pytest.raises(LocalProtocolError, match="the sum is"):
            plan.decode(bad, **good)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"clip_norm": 0.0}, "clip_norm"),
        ({"noise_multiplier": -1.0}, "noise_multiplier"),
        ({"max_weight": 0.0}, "max_weight"),
        ({"beta": 1.0}, "beta"),
        ({"adaptive": AdaptiveClip(2.0)}, "adaptive clip is at 2"),
        ({"bits": 7}, "bits"),
        ({"bits": 63}, "bits"),
        ({"corrupt": -1}, "corrupt"),
        ({"k": 0.0}, "k is"),
    ],
)
def test_refused_mechanisms(arguments: dict[str, Any], match: str) -> None:
    with pytest.raises(LocalProtocolError, match=match):
        DistributedSkellam(**{"clip_norm": 1.0, "noise_multiplier": 1.0, **arguments})


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"clients": 0}, LocalProtocolError, "clients"),
        ({"size": 0}, LocalProtocolError, "size"),
        ({"noise_shares": 10}, LocalProtocolError, "noise_shares"),
        ({"weighted": True}, EncodingError, "declare max_weight"),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_refused_plans(
    kind: type[VectorMechanism], arguments: dict[str, Any], error: type, match: str
) -> None:
    with pytest.raises(error, match=match):
        kind(1.0, 1.0).plan(**{"clients": 9, "size": 4, **arguments})


def test_rings_too_narrow_or_too_wide() -> None:
    with pytest.raises(EncodingError, match="at least 9 bits"):
        DistributedSkellam(1.0, 1.0, bits=8).plan(clients=2**12, size=10)
    for kind in DISTRIBUTED:
        with pytest.raises(EncodingError, match=r"noise of one of 10 clients.*use fewer bits"):
            kind(1.0, 1000.0, bits=38).plan(clients=10, size=10)
        with pytest.raises(EncodingError, match=r"vectors are as long as 2.*use fewer bits"):
            kind(1.0, 1e-9, bits=50).plan(clients=10, size=10)
    with pytest.raises(EncodingError, match="nearer to 1"):
        CentralGaussian(1.0, 1e9).plan(clients=10, size=10)
    plan = DistributedSkellam(1.0, 1.0).plan(clients=10, size=10)
    with pytest.raises(LocalProtocolError, match="another mechanism"):
        DistributedSkellam(2.0, 1.0).add_noise(np.zeros(3, np.uint16), plan, bytes(40))

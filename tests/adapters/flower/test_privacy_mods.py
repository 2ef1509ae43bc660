"""Flower's client-side differential privacy: its mods and wrappers run as they are."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("flwr")

from flwr.app import ArrayRecord
from flwr.clientapp.mod import LocalDpMod, adaptiveclipping_mod, fixedclipping_mod
from flwr.serverapp.strategy import (
    DifferentialPrivacyClientSideAdaptiveClipping,
    DifferentialPrivacyClientSideFixedClipping,
)

from fedsecure.adapters.flower import check_strategy
from fedsecure.errors import LocalProtocolError
from flower_nodes import COLD, WARM, Federation, as_array, assert_close, fedavg, initial_arrays


def norm(arrays: ArrayRecord) -> float:
    start = initial_arrays()
    changes = [(arrays[n].numpy() - start[n].numpy()).ravel() for n in start]
    return float(np.linalg.norm(np.concatenate(changes)))


def test_fixed_clipping() -> None:
    models, grids = [], []
    for plain in (True, False):
        strategy = DifferentialPrivacyClientSideFixedClipping(fedavg(), 1e-9, 0.01, 5)
        federation = Federation(inner=(fixedclipping_mod,), plain=plain)
        models.append(federation.run(strategy, rounds=2).arrays)
        grids.append(federation.grid)
    waves = [list(report.waves) for report in grids[1].secure.reports]
    assert waves == [COLD["malicious"], WARM["malicious"]]
    assert_close(models[1], {name: array.numpy() for name, array in models[0].items()}, steps=2)
    change = models[1]["w"].numpy() - initial_arrays()["w"].numpy()
    assert 0.002 < np.linalg.norm(change) <= 2 * 0.01 + 1e-4  # clipped before it was masked


def test_the_noise_is_flower_s() -> None:
    start = ArrayRecord({"w": as_array(np.zeros(20_000, np.float32))})
    strategy = DifferentialPrivacyClientSideFixedClipping(fedavg(), 2.0, 0.1, 5)
    federation = Federation(inner=(fixedclipping_mod,))
    secure = federation.secure(weighted_by=None)
    result = strategy.start(secure, start, num_rounds=1, timeout=federation.timeout)
    assert abs(result.arrays["w"].numpy().std() - 2.0 * 0.1 / 5) < 0.002


def test_adaptive_clipping_counts_who_was_clipped() -> None:
    norms = []
    for plain in (True, False):
        strategy = DifferentialPrivacyClientSideAdaptiveClipping(
            fedavg(), 1e-9, 5, initial_clipping_norm=1.2, clipped_count_stddev=1e-9
        )
        federation = Federation(inner=(adaptiveclipping_mod,), plain=plain)
        federation.run(strategy, rounds=3, **({} if plain else {"weighted_by": None}))
        norms.append(strategy.clipping_norm)
    assert norms[0] != 1.2
    assert norms[1] == pytest.approx(norms[0], rel=1e-6)


def test_adaptive_clipping_and_accounting_need_equal_weights() -> None:
    adaptive = DifferentialPrivacyClientSideAdaptiveClipping(fedavg(), 0.1, 5)
    fixed = DifferentialPrivacyClientSideFixedClipping(fedavg(), 1.0, 1.0, 5)
    fixed.accountant = object()
    for strategy in (adaptive, fixed):
        with pytest.raises(LocalProtocolError, match="weighted_by=None"):
            check_strategy(strategy)
        check_strategy(strategy, weighted=False)
    with pytest.raises(LocalProtocolError, match="weighted_by=None"):
        Federation().run(adaptive)


def test_local_noise_is_added_before_masking() -> None:
    federation = Federation(inner=(LocalDpMod(0.5, 1.0, 1000.0, 0.1),))
    result = federation.run()
    assert federation.grid.secure.reports[0].failure == ""
    assert norm(result.arrays) < 1.0


def test_a_drop_out_does_not_stop_the_wrapper() -> None:
    """It skips rounds with errors among the replies, so a drop-out must not be one."""
    strategy = DifferentialPrivacyClientSideFixedClipping(fedavg(), 1e-9, 0.01, 5)
    federation = Federation(inner=(fixedclipping_mod,))
    federation.grid.fault = lambda number, wave, client_id: (
        "lost" if (number, wave, client_id) == (1, "train", 1) else None
    )
    result = federation.run(strategy)
    assert norm(result.arrays) > 0.002

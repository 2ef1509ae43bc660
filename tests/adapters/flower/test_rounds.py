"""Rounds in one process: the mean, who is in it, and how many waves it took."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("flwr")

from flower_nodes import ENCODING, Federation, expected, initial_arrays


def close(arrays, wanted) -> None:
    assert set(arrays) == set(wanted)
    for name, array in arrays.items():
        np.testing.assert_allclose(array.numpy(), wanted[name], rtol=0, atol=2 * ENCODING.step)


@pytest.mark.parametrize("adversary", ["malicious", "semi_malicious", "semi_honest"])
def test_mean_is_the_weighted_mean(adversary: str) -> None:
    federation = Federation(adversary=adversary)
    result = federation.run()
    close(result.arrays, expected(initial_arrays(), range(5)))

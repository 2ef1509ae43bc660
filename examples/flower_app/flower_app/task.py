"""The model y = w x + b, and an organization's data: what a real app has anyway."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Params = dict[str, NDArray[np.float64]]


def initial() -> Params:
    """Returns the model before any training."""
    return {"w": np.zeros(()), "b": np.zeros(())}


def data_of(number: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns what organization `number` has of the line y = 2 x - 1, some more than others."""
    rng = np.random.default_rng(number)
    x = rng.uniform(-1.0, 1.0, 20 + 10 * number)
    return x, 2.0 * x - 1.0 + rng.normal(0.0, 0.05, x.shape)


def train(params: Params, number: int) -> tuple[Params, float, int]:
    """Returns the model after some steps on an organization's data, the loss, and its examples."""
    x, y = data_of(number)
    for _ in range(20):
        error = params["w"] * x + params["b"] - y
        params = {
            "w": params["w"] - 0.3 * np.mean(error * x),
            "b": params["b"] - 0.3 * np.mean(error),
        }
    return params, float(np.mean(error**2)), len(x)

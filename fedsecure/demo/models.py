"""Two small models in numpy, a straight line and logistic regression, by gradient descent."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "Params",
    "accuracy",
    "auc",
    "credit_score",
    "initial_line",
    "initial_scorer",
    "logistic",
    "predict_line",
    "train_line",
    "train_scorer",
]

Floats = npt.NDArray[np.float64]
Params = dict[str, Any]


def initial_line() -> Params:
    """Returns the line y = 0."""
    return {"intercept": np.zeros(1), "slope": np.zeros(1)}


def predict_line(params: Params, x: float) -> float:
    """Returns the line's value at `x`."""
    return float(params["slope"][0] * x + params["intercept"][0])


def train_line(params: Params, x: Floats, y: Floats, *, steps: int, rate: float) -> Params:
    """Returns the line after `steps` steps of gradient descent on the mean squared error."""
    slope, intercept = params["slope"].copy(), params["intercept"].copy()
    for _ in range(steps):
        error = slope * x + intercept - y
        slope -= rate * 2.0 * np.mean(error * x)
        intercept -= rate * 2.0 * np.mean(error)
    return {"intercept": intercept, "slope": slope}


def logistic(log_odds: Floats) -> Floats:
    """Returns the probabilities of `log_odds`, through tanh, which cannot overflow; same shape."""
    return 0.5 + 0.5 * np.tanh(0.5 * log_odds)


def initial_scorer(num_features: int) -> Params:
    """Returns a logistic regression that calls every applicant even."""
    return {"bias": np.zeros(1), "weights": np.zeros(num_features)}


def credit_score(params: Params, features: Floats) -> Floats:
    """Returns the log-odds of a bad credit for each row of `features`."""
    scores: Floats = features @ params["weights"] + params["bias"]
    return scores


def train_scorer(
    params: Params, features: Floats, bad: Floats, *, steps: int, rate: float, ridge: float
) -> Params:
    """Returns the regression after full-batch steps on the mean log-loss plus an L2 penalty.

    Args:
        params: the regression to start from; left as it is.
        features: shape (rows, features).
        bad: shape (rows,), 1.0 for a bad credit, else 0.0.
        steps: number of gradient steps.
        rate: learning rate.
        ridge: penalty `ridge / 2 * |weights|^2`; the bias is free.
    """
    weights, bias = params["weights"].copy(), params["bias"].copy()
    for _ in range(steps):
        error = logistic(features @ weights + bias) - bad
        weights -= rate * (features.T @ error / len(bad) + ridge * weights)
        bias -= rate * np.mean(error)
    return {"bias": bias, "weights": weights}


def accuracy(scores: Floats, bad: Floats) -> float:
    """Returns the share of rows on the right side of even odds."""
    return float(np.mean((scores > 0) == (bad > 0)))


def auc(scores: Floats, bad: Floats) -> float:
    """Returns the area under the ROC curve: how often a bad credit outscores a good one.

    By ranks, ties sharing theirs: the Mann-Whitney statistic. NaN if all are good, or all bad.
    """
    ones = bad > 0
    positive, negative = int(ones.sum()), int((~ones).sum())
    if not positive or not negative:
        return float("nan")
    _, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[place]
    above = rank[ones].sum() - positive * (positive + 1) / 2
    return float(above / (positive * negative))

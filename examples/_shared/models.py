"""Two models in numpy, the demo's logistic regression and a small network, and their measures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from fedsecure.demo.models import Params, auc, credit_score, initial_scorer, train_scorer

from .rows import Rows

__all__ = ["Logistic", "Measure", "Model", "Network", "accuracy", "auc", "log_loss", "softmax"]

Scores = npt.NDArray[np.floating]
Measure = Callable[[Scores, npt.NDArray[np.generic]], float]


class Model(Protocol):
    """Something that organisations can train and try."""

    def initial(self, features: int) -> Params:
        """Returns the parameters that all begin with."""

    def train(self, params: Params, rows: Rows) -> Params:
        """Returns the parameters after one round's local training; `params` may be changed."""

    def scores(self, params: Params, features: Scores) -> Scores:
        """Returns log-odds, shape (rows,), or one score for each class, shape (rows, classes)."""


@dataclass(frozen=True)
class Logistic:
    """Logistic regression by full-batch gradient descent on the mean log-loss.

    Attributes:
        steps: gradient steps in one round.
        rate: learning rate.
        ridge: L2 penalty of the weights; the bias is free.
    """

    steps: int
    rate: float
    ridge: float = 0.001

    def initial(self, features: int) -> Params:
        """Returns even odds for everything."""
        return initial_scorer(features)

    def train(self, params: Params, rows: Rows) -> Params:
        """Returns the regression after `steps` steps."""
        return train_scorer(
            params, rows.features, rows.target, steps=self.steps, rate=self.rate, ridge=self.ridge
        )

    def scores(self, params: Params, features: Scores) -> Scores:
        """Returns the log-odds of each row."""
        return credit_score(params, features)


@dataclass(frozen=True)
class Network:
    """One hidden layer of rectified linear units and a softmax, by stochastic gradient descent.

    Attributes:
        hidden: units of the hidden layer.
        classes: how many classes there are.
        passes: how often one round goes over the rows, in batches of `batch` in their given order.
        rate: learning rate.
    """

    hidden: int
    classes: int
    passes: int
    rate: float
    batch: int = 10

    def initial(self, features: int) -> Params:
        """Returns small random weights, the same for everybody."""
        random = np.random.default_rng(1)
        first = random.normal(0, np.sqrt(2 / features), (features, self.hidden))
        second = random.normal(0, np.sqrt(1 / self.hidden), (self.hidden, self.classes))
        return {
            "first": {"weights": first.astype(np.float32), "bias": np.zeros(self.hidden, "f4")},
            "second": {"weights": second.astype(np.float32), "bias": np.zeros(self.classes, "f4")},
        }

    def train(self, params: Params, rows: Rows) -> Params:
        """Returns the network after `passes` passes over the rows."""
        first, second = params["first"], params["second"]
        for start in [*range(0, len(rows), self.batch)] * self.passes:
            x = rows.features[start : start + self.batch]
            y = rows.target[start : start + self.batch]
            hidden = np.maximum(x @ first["weights"] + first["bias"], 0)
            slope = softmax(hidden @ second["weights"] + second["bias"])
            slope[np.arange(len(y)), y] -= 1
            slope *= self.rate / len(y)
            back = (slope @ second["weights"].T) * (hidden > 0)
            second["weights"] -= hidden.T @ slope
            second["bias"] -= slope.sum(axis=0)
            first["weights"] -= x.T @ back
            first["bias"] -= back.sum(axis=0)
        return params

    def scores(self, params: Params, features: Scores) -> Scores:
        """Returns the scores of each class."""
        hidden = np.maximum(features @ params["first"]["weights"] + params["first"]["bias"], 0)
        return hidden @ params["second"]["weights"] + params["second"]["bias"]


def softmax(scores: Scores) -> Scores:
    """Returns the probability of each class, from scores of shape (rows, classes)."""
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def accuracy(scores: Scores, target: npt.NDArray[np.generic]) -> float:
    """Returns the share of rows on the right side of even odds, or with the right class on top."""
    guess = scores > 0 if scores.ndim == 1 else scores.argmax(axis=1)
    return float(np.mean(guess == target))


def log_loss(scores: Scores, target: npt.NDArray[np.generic]) -> float:
    """Returns the mean negative log-likelihood of log-odds, in nats: less is better."""
    return float(np.mean(np.logaddexp(0.0, scores) - target * scores))

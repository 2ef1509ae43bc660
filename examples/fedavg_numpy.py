"""Three organisations fit one line by federated averaging: python examples/fedavg_numpy.py."""

from __future__ import annotations

from functools import partial

import numpy as np

import fedsecure as fs

# Each organisation holds points of y = 2 x - 1 from another part of the axis, with its own errors.
ORGANISATIONS = [
    (np.array([0.0, 1.0, 2.0]), np.array([-1.02, 1.03, 2.99])),
    (np.array([2.5, 3.0]), np.array([4.01, 4.98])),
    (np.array([3.5, 4.0, 4.5, 5.0]), np.array([6.02, 6.97, 8.01, 9.0])),
]


def train(params, points):
    """Ten steps of gradient descent on one organisation's points, which never leave it."""
    x, y = points
    for _ in range(10):
        error = params["slope"] * x + params["intercept"] - y
        params = {
            "slope": params["slope"] - 0.02 * np.mean(error * x),
            "intercept": params["intercept"] - 0.02 * np.mean(error),
        }
    return params, len(x)


def main() -> None:
    """Prints the line every fiftieth round."""
    aggregate = partial(fs.secure_aggregate, encoding=fs.FixedPoint(clip=4.0, bits=24))
    algorithm = fs.federated_averaging(train, aggregate=aggregate)
    state = algorithm.init({"slope": np.zeros(()), "intercept": np.zeros(())})
    for _ in range(200):
        state, told = algorithm.apply(state, ORGANISATIONS)
        if told.round % 50 == 0:
            slope, intercept = state.params["slope"], state.params["intercept"]
            print(f"round {told.round}: y = {slope:.2f} x {intercept:+.2f}")


if __name__ == "__main__":
    main()

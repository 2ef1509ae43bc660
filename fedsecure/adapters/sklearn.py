"""scikit-learn: what a linear model or a multi-layer perceptron has learnt, as an update, and back.

Linear models keep `coef_` and `intercept_`; perceptrons with hidden layers lists of them, `coefs_`
and `intercepts_`. `training` makes of any such estimator with `partial_fit` the local training that
`fedsecure.federated_averaging` takes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fedsecure.errors import EncodingError, LocalProtocolError
from fedsecure.pytree import TreeSpec

try:
    from sklearn.base import clone
except ImportError as error:
    raise ImportError(
        "fedsecure.adapters.sklearn needs scikit-learn: pip install 'fedsecure[sklearn]'"
    ) from error

__all__ = ["blank", "get_weights", "set_weights", "training"]

_NAMES = ("coef_", "intercept_", "coefs_", "intercepts_")


def get_weights(estimator: Any) -> dict[str, Any]:
    """Returns copies of what a fitted estimator has learnt, by attribute: an update.

    Args:
        estimator: Fitted; with `coef_` and `intercept_` (linear models, linear SVMs), or `coefs_`
            and `intercepts_` (multi-layer perceptrons).

    Raises:
        EncodingError: It has neither, so it is not fitted, or is of another kind (trees, kernels,
            neighbors), whose parameters have no mean.
    """
    found = {name: getattr(estimator, name) for name in _NAMES if hasattr(estimator, name)}
    if not found or getattr(estimator, "average", False):
        raise EncodingError(
            f"{type(estimator).__name__} has nothing that can be averaged: give a fitted linear "
            "model or multi-layer perceptron, and not with average=True, which keeps two of all"
        )
    return {name: _copied(value) for name, value in found.items()}


def set_weights(estimator: Any, weights: Mapping[str, Any]) -> None:
    """Writes a mean, or what `get_weights` gave, into a fitted (or `blank`) estimator.

    Args:
        estimator: Fitted once, so that it knows its features and classes.
        weights: Arrays by attribute.

    Raises:
        EncodingError: Attributes or shapes are not the estimator's. Nothing has been changed then.
    """
    difference = TreeSpec.of(dict(weights)).difference(TreeSpec.of(get_weights(estimator)))
    if difference is not None:
        raise EncodingError(f"these weights do not fit {type(estimator).__name__}: {difference}")
    for name, value in weights.items():
        setattr(estimator, name, _copied(value))


def blank(estimator: Any, num_features: int, classes: Sequence[Any] | None = None) -> Any:
    """Returns a copy of an estimator that has room for weights and has learnt from no data.

    Linear models are zero. Perceptrons have the random weights of their `random_state`: give one,
    so that all parties begin with the same.

    Args:
        estimator: With `partial_fit`; itself left as it is.
        num_features: Columns of the data.
        classes: All labels there are anywhere, for a classifier.

    Raises:
        LocalProtocolError: It has no `partial_fit`, or a classifier was given no classes.
    """
    if not hasattr(estimator, "partial_fit"):
        raise LocalProtocolError(
            f"{type(estimator).__name__} has no partial_fit, so it cannot go on from given weights;"
            " take one that has, such as SGDClassifier, SGDRegressor or MLPClassifier"
        )
    classifier = hasattr(estimator, "predict_proba") or hasattr(estimator, "decision_function")
    if classifier and classes is None:
        raise LocalProtocolError(
            "give classes=, all labels there are, since no party may know them all"
        )
    made = clone(estimator)
    rate = made.get_params().get("learning_rate_init")  # that of perceptrons
    if rate is not None:
        made.set_params(learning_rate_init=np.finfo(np.float64).tiny)  # a step that changes nothing
    nothing = np.zeros((1, num_features))
    if classifier:
        made.partial_fit(nothing, np.asarray(classes)[:1], classes=np.asarray(classes))
    else:
        made.partial_fit(nothing, np.zeros(1))
    if rate is not None:
        made.set_params(learning_rate_init=rate)
    _forget_step(made)
    return made


def training(
    estimator: Any, *, classes: Sequence[Any] | None = None, epochs: int = 1
) -> Callable[[Mapping[str, Any], tuple[Any, Any]], tuple[dict[str, Any], int]]:
    """Returns the local training of `fedsecure.federated_averaging` with this estimator.

    A client's data is a pair (X, y). Every round begins with fresh optimiser state and step count,
    as in federated averaging: a constant learning rate is what one expects it to be, a decreasing
    one starts again.

    Args:
        estimator: With `partial_fit`; itself left as it is. Start from
            ``get_weights(blank(estimator, num_features, classes))``.
        classes: All labels there are anywhere, for a classifier.
        epochs: Passes over a client's data in each round.

    Raises:
        LocalProtocolError: As in `blank`, when it is called.
    """

    def client_update(
        params: Mapping[str, Any], data: tuple[Any, Any]
    ) -> tuple[dict[str, Any], int]:
        x, y = data
        local = blank(estimator, np.shape(x)[1], classes)
        set_weights(local, params)
        for _ in range(epochs):
            local.partial_fit(x, y)
        return get_weights(local), len(y)

    return client_update


def _forget_step(made: Any) -> None:
    """Sets weights, counts and optimiser back to what they are before the first step."""
    if hasattr(made, "coef_"):
        set_weights(made, {name: np.zeros_like(v) for name, v in get_weights(made).items()})
        made.t_ = 1.0
    if hasattr(made, "coefs_"):
        made.t_ = made.n_iter_ = made._no_improvement_count = 0  # noqa: SLF001
        made.loss_curve_, made.best_loss_ = [], np.inf
        vars(made).pop("_optimizer", None)  # `partial_fit` makes one where there is none


def _copied(value: Any) -> Any:
    if isinstance(value, list):
        return [_copied(part) for part in value]
    return np.array(value, dtype=np.float32 if _is_float32(value) else np.float64)


def _is_float32(value: Any) -> bool:
    return getattr(value, "dtype", None) == np.float32

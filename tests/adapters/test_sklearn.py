"""The door to scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest

import fedsecure as fs
from fedsecure.errors import EncodingError, LocalProtocolError

pytest.importorskip("sklearn")
from sklearn.base import clone, is_classifier
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    Perceptron,
    SGDClassifier,
    SGDRegressor,
)
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.tree import DecisionTreeClassifier

from fedsecure.adapters.sklearn import blank, get_weights, set_weights, training

RNG = np.random.default_rng(5)
X = RNG.normal(size=(120, 4))
Y = (X @ [1.0, -2.0, 0.5, 0.0] > 0).astype(int)
SHARDS = [(X[k::3], Y[k::3]) for k in range(3)]


@pytest.mark.parametrize("make", [LinearRegression, LogisticRegression])
def test_one_shot_averaging(make) -> None:
    fitted = [make().fit(*shard) for shard in SHARDS]
    mean = fs.secure_aggregate([get_weights(model) for model in fitted]).mean
    set_weights(fitted[0], mean)
    expected = np.mean([make().fit(*shard).coef_ for shard in SHARDS], axis=0)
    np.testing.assert_allclose(fitted[0].coef_, expected, atol=2**-20)
    assert fitted[0].predict(X).shape == (120,)


@pytest.mark.parametrize(
    "estimator",
    [
        SGDClassifier(loss="log_loss", learning_rate="constant", eta0=0.05, random_state=1),
        MLPClassifier((6,), solver="sgd", learning_rate_init=0.1, random_state=1),
    ],
)
def test_secure_rounds_are_plain_rounds_and_learn(estimator) -> None:
    train = training(estimator, classes=[0, 1], epochs=3)
    start = blank(estimator, 4, [0, 1])
    algorithm = fs.federated_averaging(train)
    state = algorithm.init(get_weights(start))
    for _ in range(8):
        plain = [train(state.params, shard)[0] for shard in SHARDS]
        state, _ = algorithm.apply(state, SHARDS)
        name = "coefs_" if hasattr(start, "coefs_") else "coef_"
        first = [update[name] for update in plain]
        got = state.params[name]
        if name == "coefs_":
            first, got = [update[0] for update in first], got[0]
        np.testing.assert_allclose(got, np.mean(first, axis=0), atol=2**-19)
    set_weights(start, state.params)
    assert start.score(X, Y) > 0.9


@pytest.mark.parametrize(
    "estimator",
    [
        SGDClassifier(shuffle=False, random_state=1),
        SGDRegressor(shuffle=False, random_state=1),
        Perceptron(shuffle=False, random_state=1),
        MLPClassifier((6,), shuffle=False, random_state=1),
        MLPRegressor(hidden_layer_sizes=(6,), shuffle=False, random_state=1),
        MLPClassifier(
            (6,), solver="sgd", learning_rate="invscaling", shuffle=False, random_state=1
        ),
    ],
    ids=lambda estimator: str(estimator)[:60],
)
def test_a_round_from_blank_is_the_first_of_a_fresh_estimator(estimator) -> None:
    """No step, moment or count is left of what made room for the weights."""
    classes = [0, 1] if is_classifier(estimator) else None
    fresh = clone(estimator)
    given = {} if classes is None else {"classes": classes}
    for _ in range(3):
        fresh.partial_fit(X, Y, **given)
    start = blank(estimator, 4, classes)
    got, _ = training(estimator, classes=classes, epochs=3)(get_weights(start), (X, Y))
    for name, values in get_weights(fresh).items():
        for one, other in zip(got[name], values, strict=True):
            np.testing.assert_array_equal(one, other)
    assert start.get_params() == estimator.get_params()


def test_regressors_need_no_classes() -> None:
    train = training(SGDRegressor(random_state=0))
    params, count = train(get_weights(blank(SGDRegressor(), 4)), (X, X[:, 0]))
    assert count == 120
    assert params["coef_"].shape == (4,)


def test_what_has_no_mean_is_refused() -> None:
    with pytest.raises(EncodingError, match="nothing that can be averaged"):
        get_weights(DecisionTreeClassifier().fit(X, Y))
    with pytest.raises(EncodingError, match="average=True"):
        get_weights(SGDClassifier(average=True).fit(X, Y))
    with pytest.raises(LocalProtocolError, match="no partial_fit"):
        blank(LinearRegression(), 4)
    with pytest.raises(LocalProtocolError, match="classes"):
        blank(SGDClassifier(), 4)


def test_weights_of_another_shape_change_nothing() -> None:
    model = LinearRegression().fit(X, X[:, 0])
    before = get_weights(model)
    with pytest.raises(EncodingError, match=r"'coef_' has shape \(5,\), expected \(4,\)"):
        set_weights(model, {**before, "coef_": np.zeros(5)})
    np.testing.assert_array_equal(model.coef_, before["coef_"])

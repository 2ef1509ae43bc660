"""The door to Keras 3, on whichever backend it has."""

from __future__ import annotations

import numpy as np
import pytest

import fedsecure as fs
from fedsecure.errors import EncodingError

keras = pytest.importorskip("keras")
from fedsecure.adapters.keras import get_weights, set_weights  # noqa: E402

# TensorFlow's, with numpy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


class Counting(keras.layers.Dense):
    """A layer that counts something in an integer, as text vectorizers do."""

    def build(self, shape):
        self.count = self.add_weight(
            shape=(), initializer="zeros", dtype="int32", trainable=False, name="count"
        )
        super().build(shape)


def network(seed: int):
    keras.utils.set_random_seed(seed)
    model = keras.Sequential([keras.Input((3,)), Counting(4), keras.layers.BatchNormalization()])
    model.layers[0].count.assign(seed)
    return model


def test_the_mean_of_models_is_loaded_and_counts_stay_ones_own() -> None:
    models = [network(seed) for seed in range(3)]
    each = [get_weights(model) for model in models]
    assert len(each[0]) == 6
    mean = fs.secure_aggregate(each).mean
    set_weights(models[2], mean)
    for got, *updates in zip(get_weights(models[2]), *each, strict=True):
        np.testing.assert_allclose(got, np.mean(updates, axis=0), atol=2**-20)
    assert int(models[2].layers[0].count) == 2


def test_bfloat16_travels_as_float32_and_comes_back() -> None:
    layer = keras.layers.Dense(2, dtype="bfloat16")
    layer.build((None, 3))
    weights = get_weights(layer)
    assert weights[0].dtype == np.float32
    set_weights(layer, [value + 1 for value in weights])
    assert layer.kernel.dtype == "bfloat16"


def test_what_does_not_fit_changes_nothing() -> None:
    model = network(0)
    before = get_weights(model)
    with pytest.raises(EncodingError, match="5 arrays for a model with 6"):
        set_weights(model, before[1:])
    with pytest.raises(EncodingError, match=r"takes shape \(4,\), not \(5,\)"):
        set_weights(model, [before[0] + 1, np.zeros(5), *before[2:]])
    with pytest.raises(EncodingError, match="takes real numbers, not complex64"):
        set_weights(model, [before[0] + 1, before[1].astype(np.complex64), *before[2:]])
    with pytest.raises(EncodingError, match=r"takes shape \(4,\), not \(2,\)"):
        set_weights(model, [before[0] + 1, [0.0, 0.0], *before[2:]])
    np.testing.assert_array_equal(get_weights(model)[0], before[0])
    with pytest.raises(EncodingError, match="no weights yet"):
        get_weights(keras.layers.Dense(1))


def test_secure_rounds_reach_what_plain_rounds_reach() -> None:
    x = np.arange(1.0, 6.0, dtype=np.float32)[:, None]
    shards = [(x[k::3], 0.5 * x[k::3] + 0.5) for k in range(3)]

    def train(params, data):
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        set_weights(model, params)
        model.compile(keras.optimizers.SGD(0.02), "mse")
        model.fit(*data, epochs=5, verbose=0)
        return get_weights(model), len(data[0])

    algorithm = fs.federated_averaging(train)
    state = algorithm.init([np.zeros((1, 1), np.float32), np.zeros(1, np.float32)])
    for _ in range(2):
        results = [train(state.params, shard) for shard in shards]
        plain = np.average([r[0][0] for r in results], axis=0, weights=[r[1] for r in results])
        state, _ = algorithm.apply(state, shards)
        np.testing.assert_allclose(state.params[0], plain, atol=2**-19)

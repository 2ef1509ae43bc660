"""The door to JAX."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

import fedsecure as fs
from fedsecure.errors import EncodingError

jax = pytest.importorskip("jax")
import jax.numpy as jnp  # noqa: E402

from fedsecure.adapters.jax import get_weights, set_weights  # noqa: E402


@jax.tree_util.register_pytree_node_class
class Layer:
    """A container that only JAX knows."""

    def __init__(self, w, b):
        self.w, self.b = w, b

    def tree_flatten(self):
        return (self.w, self.b), None

    @classmethod
    def tree_unflatten(cls, _, children):
        return cls(*children)


class State(NamedTuple):
    layers: list
    count: object


def state(value: float, count: int = 0) -> State:
    layer = Layer(jnp.full((2, 3), value), jnp.full(3, value, jnp.bfloat16))
    return State([layer], jnp.int32(count))


def test_the_mean_of_registered_containers_and_counts_of_ones_own() -> None:
    trees = [state(float(k), count=k) for k in range(3)]
    mean = fs.secure_aggregate([get_weights(tree) for tree in trees]).mean
    made = set_weights(trees[2], mean)
    assert isinstance(made, State)
    assert isinstance(made.layers[0], Layer)
    np.testing.assert_allclose(made.layers[0].w, 1.0, atol=2**-20)
    assert made.layers[0].b.dtype == jnp.bfloat16
    assert int(made.count) == 2
    np.testing.assert_array_equal(trees[2].layers[0].w, 2.0)


def test_random_keys_take_no_part() -> None:
    assert set(get_weights({"key": jax.random.key(0), "w": jnp.ones(2)})) == {"w"}


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ({"a": jnp.ones(2)}, "'b' is missing"),
        ({"a": jnp.ones(2), "b": jnp.ones(1), "c": jnp.ones(1)}, "'c' is not of this tree"),
        ({"a": jnp.ones(3), "b": jnp.ones(1)}, r"'a' has shape \(3,\), not \(2,\)"),
        ({"a": jnp.ones(2, jnp.complex64), "b": jnp.ones(1)}, "'a' is complex"),
    ],
)
def test_what_does_not_fit_is_refused(weights, words: str) -> None:
    with pytest.raises(EncodingError, match=words):
        set_weights({"a": jnp.ones(2), "b": jnp.ones(1)}, weights)


def test_complex_leaves_and_double_paths_are_refused() -> None:
    with pytest.raises(EncodingError, match="'w' is complex64"):
        get_weights({"w": jnp.ones(1, jnp.complex64)})
    with pytest.raises(EncodingError, match="one path"):
        get_weights({"a": [jnp.ones(1)], "a/0": jnp.ones(1)})
    with pytest.raises(EncodingError, match="one path"):
        set_weights({"a": [jnp.ones(1)], "a/0": jnp.ones(1)}, {"a/0": jnp.zeros(1)})


def test_federated_averaging_of_gradient_descent() -> None:
    def loss(params, x, y):
        return jnp.mean((params["slope"] * x + params["intercept"] - y) ** 2)

    @jax.jit
    def step(params, x, y):
        return jax.tree.map(lambda p, g: p - 0.05 * g, params, jax.grad(loss)(params, x, y))

    def train(params, data):
        for _ in range(10):
            params = step(params, *data)
        return params, len(data[0])

    clients = [(jnp.arange(2.0) + k, 2.0 * (jnp.arange(2.0) + k) - 1.0) for k in range(3)]
    algorithm = fs.federated_averaging(train)
    params = algorithm.init({"slope": jnp.zeros(()), "intercept": jnp.zeros(())})
    for _ in range(60):
        params, _ = algorithm.apply(params, clients)
    assert float(params.params["slope"]) == pytest.approx(2.0, abs=0.05)

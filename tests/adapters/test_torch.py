"""The door to PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

import fedsecure as fs
from fedsecure.errors import EncodingError

torch = pytest.importorskip("torch")
from fedsecure.adapters.torch import get_weights, set_weights  # noqa: E402


def network(seed: int) -> torch.nn.Module:
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.ReLU())


def test_the_mean_of_models_is_loaded_and_counts_stay_ones_own() -> None:
    models = [network(seed) for seed in range(3)]
    for times, model in enumerate(models):
        for _ in range(times + 1):
            model(torch.randn(8, 3))
    mean = fs.secure_aggregate([get_weights(model) for model in models]).mean
    assert isinstance(mean["0.weight"], torch.Tensor)
    set_weights(models[0], mean)
    states = [model.state_dict() for model in (network(0), network(1), network(2))]
    expected = torch.stack([state["0.weight"] for state in states]).mean(0)
    torch.testing.assert_close(models[0][0].weight.detach(), expected, atol=2**-20, rtol=0)
    assert int(models[0][1].num_batches_tracked) == 1
    assert "1.num_batches_tracked" not in mean
    assert "1.running_mean" in mean


def test_weights_are_copies_that_training_does_not_reach() -> None:
    model = network(0)
    before = get_weights(model)
    with torch.no_grad():
        model[0].weight += 1
    assert not torch.equal(before["0.weight"], model[0].weight)


def test_a_state_dict_is_as_good_as_a_module() -> None:
    state = network(0).state_dict()
    set_weights(state, {name: np.ones(v.shape) for name, v in get_weights(state).items()})
    assert float(state["0.weight"].sum()) == 12.0
    assert state["0.weight"].dtype == torch.float32


def test_bfloat16_travels_as_float32_and_comes_back() -> None:
    model = torch.nn.Linear(2, 2).to(torch.bfloat16)
    weights = get_weights(model)
    assert weights["weight"].dtype == torch.float32
    set_weights(model, {name: value + 1 for name, value in weights.items()})
    assert model.weight.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda w: w.pop("0.bias"), "'0.bias' is missing"),
        (lambda w: w.update(more=torch.ones(1)), "'more' is not of this model"),
        (lambda w: w.update({"0.bias": torch.ones(5)}), r"'0.bias' has shape \(5,\), not \(4,\)"),
        (lambda w: w.update({"1.bias": torch.ones(4, dtype=torch.complex64)}), "'1.bias' is no"),
        (lambda w: w.update({"1.bias": torch.ones(4, device="meta")}), "'1.bias' is no dense"),
        (lambda w: w.update({"1.bias": torch.ones(4).to_sparse()}), "'1.bias' is no dense"),
    ],
)
def test_what_does_not_fit_changes_nothing(change, words: str) -> None:
    model = network(0)
    weights = {name: value + 1 for name, value in get_weights(model).items()}
    change(weights)
    with pytest.raises(EncodingError, match=words):
        set_weights(model, weights)
    assert torch.equal(get_weights(model)["0.weight"], get_weights(network(0))["0.weight"])


def test_complex_parameters_are_refused_and_not_left_out() -> None:
    with pytest.raises(EncodingError, match="'w' is complex64"):
        get_weights({"w": torch.ones(1, dtype=torch.complex64)})


def test_federated_averaging_of_modules() -> None:
    points = [
        (torch.tensor([[k], [k + 1.0]]), torch.tensor([[2 * k], [2 * k + 2.0]])) for k in range(3)
    ]

    def train(params, data):
        model = torch.nn.Linear(1, 1)
        set_weights(model, params)
        x, y = data
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        for _ in range(10):
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(model(x), y).backward()
            optimizer.step()
        return get_weights(model), len(x)

    algorithm = fs.federated_averaging(train)
    state = algorithm.init(get_weights(torch.nn.Linear(1, 1)))
    for _ in range(60):
        state, _ = algorithm.apply(state, points)
    assert float(state.params["weight"]) == pytest.approx(2.0, abs=0.05)

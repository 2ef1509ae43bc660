"""The door to OpenFL: with its own base class where it is installed, with a stand-in elsewhere."""

from __future__ import annotations

import importlib
import sys
from collections import namedtuple
from importlib.util import find_spec
from types import ModuleType

import numpy as np
import pytest

from fedsecure.errors import (
    EncodingError,
    LocalProtocolError,
    RemoteProtocolError,
    ThresholdError,
)
from paillier_keys import private_key

REAL = find_spec("openfl") is not None
LocalTensor = namedtuple("LocalTensor", ["col_name", "tensor", "weight"])  # noqa: PYI024  # as there
PRIVATE = private_key(2048)
PUBLIC = PRIVATE.public
OPTIONS = {"max_weight": 100.0, "collaborators": 8}


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch):
    if not REAL:
        core = ModuleType("openfl.interface.aggregation_functions.core")
        core.AggregationFunction = type("AggregationFunction", (), {})
        for name in ("openfl", "openfl.interface", "openfl.interface.aggregation_functions"):
            monkeypatch.setitem(sys.modules, name, ModuleType(name))
        monkeypatch.setitem(sys.modules, core.__name__, core)
        monkeypatch.delitem(sys.modules, "fedsecure.adapters.openfl", raising=False)
    return importlib.import_module("fedsecure.adapters.openfl")


def updates() -> list[np.ndarray]:
    return [np.random.default_rng(k).normal(size=(4, 5)).astype(np.float32) for k in range(3)]


def sent(door, weights=(10, 30, 60)) -> list[LocalTensor]:
    return [
        LocalTensor(f"col{k}", door.seal(update, weight, PUBLIC, **OPTIONS), 1 / 3)
        for k, (update, weight) in enumerate(zip(updates(), weights, strict=True))
    ]


def function(door):
    return door.EncryptedSum(PUBLIC.to_bytes().hex())


def test_the_mean_is_the_weighted_mean_and_weights_stay_sealed(door) -> None:
    summed = function(door).call(sent(door), None, "w", 0, ())
    mean, total = door.unseal(summed, PRIVATE)
    expected = np.average(updates(), axis=0, weights=[10, 30, 60])
    np.testing.assert_allclose(mean.reshape(4, 5), expected, atol=2**-20, rtol=0)
    assert total == 100.0


@pytest.mark.filterwarnings("ignore")  # OpenFL's own
@pytest.mark.skipif(not REAL, reason="OpenFL is not installed")
def test_the_tensors_survive_openfl_s_own_pipeline_and_data_base(door) -> None:
    from openfl.databases import TensorDB
    from openfl.interface.aggregation_functions.core import AggregationFunction
    from openfl.pipelines import NoCompressionPipeline
    from openfl.utilities import TensorKey

    assert issubclass(door.EncryptedSum, AggregationFunction)
    pipeline, base = NoCompressionPipeline(), TensorDB()
    for tensor in sent(door):
        packed, metadata = pipeline.forward(tensor.tensor)
        received = pipeline.backward(packed, metadata)
        key = TensorKey("w", "agg", 0, False, (tensor.col_name, "trained"))
        base.cache_tensor({key: received})
    weights = {tensor.col_name: 1 / 3 for tensor in sent(door)}
    key = TensorKey("w", "agg", 0, False, ("trained",))
    summed = base.get_aggregated_tensor(key, weights, aggregation_function=function(door))
    mean, _ = door.unseal(np.asarray(summed), PRIVATE)
    expected = np.average(updates(), axis=0, weights=[10, 30, 60])
    np.testing.assert_allclose(mean.reshape(4, 5), expected, atol=2**-20, rtol=0)


def test_too_few_or_the_same_twice_are_refused(door) -> None:
    tensors = sent(door)
    with pytest.raises(ThresholdError, match="at least 3"):
        function(door).call(tensors[:2])
    with pytest.raises(ThresholdError, match="each once"):
        function(door).call([*tensors, tensors[0]])


def test_the_key_opens_no_single_contribution(door) -> None:
    with pytest.raises(LocalProtocolError, match="sum of 1 is refused"):
        door.unseal(sent(door)[0].tensor, PRIVATE)


@pytest.mark.parametrize(
    "tensor",
    [
        np.ones((2, 2), np.float32),
        np.full(64, 0.5, np.float32),
        np.full(64, np.nan, np.float32),
        np.full(64, 1e9, np.float32),
        np.zeros(64, np.float32),
        np.arange(5),
    ],
)
def test_plain_or_broken_tensors_are_refused_by_name(door, tensor) -> None:
    tensors = sent(door)
    tensors[1] = tensors[1]._replace(tensor=tensor)
    with pytest.raises(RemoteProtocolError, match="tensor of 'col1'"):
        function(door).call(tensors)


def test_tensors_of_other_shapes_or_sums_are_refused(door) -> None:
    tensors = sent(door)
    other = door.seal(np.zeros(3, np.float32), 1, PUBLIC, **OPTIONS)
    with pytest.raises(RemoteProtocolError, match="do not fit together"):
        function(door).call([*tensors[:2], tensors[2]._replace(tensor=other)])
    summed = function(door).call(tensors)
    with pytest.raises(RemoteProtocolError, match="a sum already"):
        function(door).call([*tensors[:2], tensors[2]._replace(tensor=summed)])


def test_values_and_weights_out_of_range_are_refused(door) -> None:
    with pytest.raises(EncodingError, match="weight"):
        door.seal(np.zeros(1), 101, PUBLIC, **OPTIONS)
    with pytest.raises(EncodingError, match="give floats"):
        door.seal(np.zeros(1, int), 1, PUBLIC, **OPTIONS)
    with pytest.raises(EncodingError, match="outside"):
        door.seal(np.array([900.0]), 1, PUBLIC, **OPTIONS)

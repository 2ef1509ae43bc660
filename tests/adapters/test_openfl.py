"""The door to OpenFL: with its own base class where it is installed, with a stand-in elsewhere."""

from __future__ import annotations

import importlib
import sys
from collections import namedtuple
from importlib.util import find_spec
from types import ModuleType
from typing import ClassVar

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


class Once(type):
    """As OpenFL's: whatever a class is called with, it gives its first instance."""

    instances: ClassVar = {}

    def __call__(cls, *arguments, **named):
        if cls not in cls.instances:
            cls.instances[cls] = super().__call__(*arguments, **named)
        return cls.instances[cls]


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch):
    if not REAL:
        core = ModuleType("openfl.interface.aggregation_functions.core")
        core.AggregationFunction = Once("AggregationFunction", (), {})
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


def test_the_key_opens_no_single_contribution_and_no_two(door) -> None:
    with pytest.raises(LocalProtocolError, match="sum of 1 is refused"):
        door.unseal(sent(door)[0].tensor, PRIVATE)
    one = PUBLIC.encrypt(np.ones(3))
    with pytest.raises(LocalProtocolError, match="sum of 2 is refused"):
        door.unseal(door._to_tensor((one + one).to_bytes()), PRIVATE)


def test_tensors_of_another_length_are_refused(door) -> None:
    tensors = sent(door)
    for odd in (np.append(tensors[1].tensor, np.float32(0)), tensors[1].tensor[:-1]):
        with pytest.raises(RemoteProtocolError, match="was cut"):
            function(door).call([tensors[0], tensors[1]._replace(tensor=odd), tensors[2]])


@pytest.mark.parametrize(
    "tensor",
    [
        np.ones((2, 2), np.float32),
        np.full(64, 0.5, np.float32),
        np.full(64, np.nan, np.float32),
        np.full(64, 1e9, np.float32),
        np.full(64, 1e30, np.float32),
        np.full(64, -1, np.float32),
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
    for weight in (0, -1, float("nan")):
        with pytest.raises(EncodingError, match="not above 0"):
            door.seal(np.zeros(1), weight, PUBLIC, **OPTIONS)
    with pytest.raises(EncodingError, match="give floats"):
        door.seal(np.zeros(1, int), 1, PUBLIC, **OPTIONS)
    with pytest.raises(EncodingError, match="outside"):
        door.seal(np.array([900.0]), 1, PUBLIC, **OPTIONS)
    with pytest.raises(EncodingError, match=r"outside \[-8\.0, 8\.0\]"):  # whatever the weight
        door.seal(np.array([0.0, 9.0]), 1, PUBLIC, **OPTIONS)
    with pytest.raises(EncodingError, match=r"outside \[-0\.5, 0\.5\]"):
        door.seal(np.array([-0.75]), 1, PUBLIC, clip=0.5, **OPTIONS)
    with pytest.raises(EncodingError, match="not finite"):
        door.seal(np.array([np.nan]), 1, PUBLIC, **OPTIONS)


def test_every_key_has_a_function_of_its_own(door) -> None:
    other = private_key(3072)
    first, second = function(door), door.EncryptedSum(other.public.to_bytes().hex())
    tensors = [
        LocalTensor(f"col{k}", door.seal(update, 1, other.public), 1 / 3)
        for k, update in enumerate(updates())
    ]
    mean, _ = door.unseal(second.call(tensors), other)
    np.testing.assert_allclose(mean.reshape(4, 5), np.mean(updates(), axis=0), atol=2**-20)
    with pytest.raises(RemoteProtocolError, match="'col0'"):
        first.call(tensors)


def test_a_key_that_is_none_is_refused(door) -> None:
    for wrong in ("zz", "00", PUBLIC.to_bytes()):
        with pytest.raises(LocalProtocolError, match=r"public_key is not PublicKey\.to_bytes"):
            door.EncryptedSum(wrong)


@pytest.mark.parametrize(
    "held",
    [np.zeros(3), np.zeros(0), np.ones((2, 2)), -np.ones(3)],
    ids=lambda held: str(held.shape),
)
def test_sums_without_a_weight_are_refused(door, held) -> None:
    vector = PUBLIC.encrypt(held)
    total = door._to_tensor((vector + vector + vector).to_bytes())
    with pytest.raises(RemoteProtocolError, match="weights is not above 0"):
        door.unseal(total, PRIVATE)

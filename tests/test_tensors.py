"""Framework tensors: recognised without imports, read as views, given back as their kind."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fedsecure.errors import EncodingError
from fedsecure.pytree import TreeSpec, flatten


class FakeTensor:
    """Behaves like a torch tensor that needs its gradient detached before numpy may see it."""

    def __init__(self, array: np.ndarray, dtype: str | None = None, *, detached: bool = False):
        self.array = array
        self.dtype = f"torch.{dtype or array.dtype.name}"
        self.shape = array.shape
        self.detached = detached

    def detach(self) -> FakeTensor:
        return FakeTensor(self.array, detached=True)

    def cpu(self) -> FakeTensor:
        return self

    def contiguous(self) -> FakeTensor:
        return FakeTensor(np.ascontiguousarray(self.array), detached=self.detached)

    def numpy(self) -> np.ndarray:
        if not self.detached:
            raise RuntimeError("requires grad")
        return self.array


class FakeVariable:
    """Behaves like a TensorFlow variable; `symbolic` ones have no values."""

    def __init__(self, array: np.ndarray, *, symbolic: bool = False):
        self.array = array
        self.dtype = SimpleNamespace(name=array.dtype.name)
        self.shape = array.shape
        self.symbolic = symbolic

    def numpy(self) -> np.ndarray:
        if self.symbolic:
            raise NotImplementedError("symbolic")
        return self.array


class FakeJax:
    """Behaves like a JAX array: numpy reads it through the array protocol."""

    def __init__(self, array: np.ndarray):
        self.array = array
        self.dtype = array.dtype
        self.shape = array.shape

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.array


@pytest.fixture
def torch(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = SimpleNamespace(Tensor=FakeTensor, from_numpy=FakeTensor)
    monkeypatch.setitem(sys.modules, "torch", fake)


@pytest.fixture
def tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = SimpleNamespace(Variable=FakeVariable, convert_to_tensor=FakeVariable)
    monkeypatch.setitem(sys.modules, "tensorflow", fake)


@pytest.fixture
def jax(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    fake = SimpleNamespace(
        Array=FakeJax,
        numpy=SimpleNamespace(array=lambda array: FakeJax(array.copy())),
        config=SimpleNamespace(jax_enable_x64=False),
    )
    monkeypatch.setitem(sys.modules, "jax", fake)
    return fake


@pytest.mark.usefixtures("torch")
def test_torch_tensors_are_detached_views_and_come_back() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    arrays, spec = flatten({"w": FakeTensor(array), "b": np.zeros(1)})
    assert np.shares_memory(arrays[1], array)
    assert (spec.leaves[1].kind, spec.leaves[1].dtype) == ("torch", "float32")
    made = spec.unflatten(np.concatenate([arrays[0], arrays[1]]))
    assert isinstance(made["w"], FakeTensor)
    np.testing.assert_array_equal(made["w"].array, array)
    assert made["w"].array.dtype == np.float32
    assert isinstance(made["b"], np.ndarray)


@pytest.mark.usefixtures("torch")
def test_torch_never_gets_a_read_only_array() -> None:
    spec = TreeSpec.of(FakeTensor(np.zeros(2)))
    vector = np.ones(2)
    vector.flags.writeable = False
    assert spec.unflatten(vector).array.flags.writeable


@pytest.mark.usefixtures("torch")
@pytest.mark.parametrize(
    ("dtype", "words"),
    [
        ("bfloat16", "bfloat16, which numpy does not have; convert it to float32"),
        ("int64", "int64, not floating point; convert it to float32 or leave it out"),
        ("complex64", "real and imaginary parts"),
        ("quint8", "quint8"),
    ],
)
def test_torch_dtypes_without_a_float_array_are_refused(dtype: str, words: str) -> None:
    with pytest.raises(EncodingError) as caught:
        flatten({"bn.num_batches_tracked": FakeTensor(np.zeros(1), dtype)})
    assert "'bn.num_batches_tracked'" in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.usefixtures("tensorflow")
def test_tensorflow_variables_are_read_and_given_back() -> None:
    arrays, spec = flatten([FakeVariable(np.ones(3, np.float32))])
    assert spec.leaves[0].kind == "tensorflow"
    np.testing.assert_array_equal(spec.unflatten(arrays[0])[0].array, np.ones(3))


@pytest.mark.usefixtures("tensorflow")
def test_tensors_without_values_are_refused_together() -> None:
    tree = {name: FakeVariable(np.ones(1), symbolic=True) for name in "ab"}
    with pytest.raises(EncodingError, match=r"'a' is a tensorflow tensor .*; 'b' is a"):
        flatten(tree)


def test_jax_arrays_keep_their_dtype_before_their_kind(jax: SimpleNamespace) -> None:
    tree = {"narrow": FakeJax(np.ones(2, np.float32)), "wide": FakeJax(np.ones(2))}
    arrays, spec = flatten(tree)
    assert {leaf.kind for leaf in spec.leaves} == {"jax"}
    made = spec.unflatten(np.concatenate(arrays))
    assert isinstance(made["narrow"], FakeJax)
    assert isinstance(made["wide"], np.ndarray)  # JAX without its 64-bit mode would narrow it
    jax.config.jax_enable_x64 = True
    assert isinstance(spec.unflatten(np.ones(4))["wide"], FakeJax)


def test_without_the_framework_leaves_come_back_as_numpy(jax: SimpleNamespace) -> None:
    spec = TreeSpec.of(FakeJax(np.ones(2, np.float32)))
    sys.modules.pop("jax")
    assert isinstance(spec.unflatten(np.ones(2, np.float32)), np.ndarray)


def test_no_framework_is_imported() -> None:
    code = (
        "import sys, fedsecure.pytree as p; p.flatten([1.0]);"
        "print([m for m in ('torch', 'jax', 'tensorflow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, check=True)
    assert done.stdout.strip() == b"[]"


def test_real_torch() -> None:
    torch = pytest.importorskip("torch")
    module = torch.nn.Linear(3, 2)
    arrays, spec = flatten(module.state_dict())
    assert [leaf.path for leaf in spec.leaves] == ["bias", "weight"]
    assert np.shares_memory(arrays[1], module.weight.detach().numpy())
    made = spec.unflatten(np.concatenate(arrays))
    module.load_state_dict(made)
    assert torch.equal(made["weight"], module.weight)
    parameters, spec = flatten([torch.nn.Parameter(torch.ones(2, 3).T)])
    assert parameters[0].shape == (6,)
    for bad in (torch.ones(2, dtype=torch.bfloat16), torch.ones(2, dtype=torch.int64)):
        with pytest.raises(EncodingError, match="convert it to float32"):
            flatten([bad])
    with pytest.raises(EncodingError, match="cannot be read"):
        flatten([torch.ones(2).to_sparse()])


def test_real_jax() -> None:
    jax = pytest.importorskip("jax")
    tree = {"w": jax.numpy.ones((2, 3)), "h": jax.numpy.zeros(2, jax.numpy.float16)}
    arrays, spec = flatten(tree)
    made = spec.unflatten(np.concatenate([array.astype(np.float32) for array in arrays]))
    assert isinstance(made["w"], jax.Array)
    assert (made["h"].dtype, made["w"].shape) == (np.float16, (2, 3))
    with pytest.raises(EncodingError, match="bfloat16"):
        flatten(jax.numpy.ones(2, jax.numpy.bfloat16))
    with pytest.raises(EncodingError, match="cannot be read"):
        jax.jit(lambda x: flatten(x)[0][0])(jax.numpy.ones(2))


def test_real_tensorflow() -> None:
    tf = pytest.importorskip("tensorflow")
    tree = {"v": tf.Variable(tf.ones((2, 3))), "c": tf.constant([1.0, 2.0], tf.float64)}
    arrays, spec = flatten(tree)
    assert [(leaf.kind, leaf.dtype) for leaf in spec.leaves] == [
        ("tensorflow", "float64"),
        ("tensorflow", "float32"),
    ]
    made = spec.unflatten(np.concatenate([array.astype(np.float64) for array in arrays]))
    assert isinstance(made["v"], tf.Tensor)
    assert (made["v"].dtype, made["c"].dtype) == (tf.float32, tf.float64)
    for bad in (tf.ones(2, tf.bfloat16), tf.ones(2, tf.int32)):
        with pytest.raises(EncodingError, match="convert it to float32"):
            flatten([bad])

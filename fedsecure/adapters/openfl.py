"""OpenFL: an `AggregationFunction` that multiplies ciphertexts, where tensors are encrypted ones.

OpenFL calls the function inside the aggregator, with each collaborator's tensor as the aggregator
has it: whatever is in clear there, the aggregator has read already, and no function can take that
back. So collaborators encrypt before they send (`seal`), `EncryptedSum` adds what it cannot read,
and who holds the private key reads the mean (`unseal`). docs/openfl.md says who can do what to
whom; in short, the aggregator must be honest in what it hands back, and know no collaborator that
holds the key.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedsecure.encoding import FixedPoint
from fedsecure.errors import (
    CryptoError,
    EncodingError,
    LocalProtocolError,
    RemoteProtocolError,
    ThresholdError,
)
from fedsecure.paillier import EncryptedVector, PrivateKey, PublicKey

try:
    from openfl.interface.aggregation_functions.core import AggregationFunction
except ImportError as error:
    raise ImportError(
        "fedsecure.adapters.openfl needs OpenFL: pip install 'fedsecure[openfl]'"
    ) from error

__all__ = ["EncryptedSum", "seal", "unseal"]

_LEAST = 3
_LENGTH_BYTES = 8
_LARGEST = 0xFFFF


_Metaclass: Any = type(AggregationFunction)


class _OneForEachCall(_Metaclass):
    """Undoes OpenFL's rule of one instance of a class for ever: two keys are two functions."""

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return type.__call__(self, *arguments, **named)


class EncryptedSum(AggregationFunction, metaclass=_OneForEachCall):
    """Adds sealed tensors, in the place of `WeightedAverage` in a task of the plan.

    The weights that OpenFL hands over are not used: the sealed ones are.

    Args:
        public_key: What `PublicKey.to_bytes` gave, as hexadecimal digits, so that it fits a plan.

    Raises:
        LocalProtocolError: It is not that.
    """

    def __init__(self, public_key: str) -> None:
        super().__init__()
        try:
            self._public = PublicKey.from_bytes(bytes.fromhex(public_key))
        except (TypeError, ValueError, RemoteProtocolError, CryptoError) as error:
            raise LocalProtocolError(
                f"public_key is not PublicKey.to_bytes().hex(): {error}"
            ) from None

    def call(self, local_tensors: Iterable[Any], *_: Any) -> NDArray[np.float32]:
        """Returns the sealed sum.

        Args:
            local_tensors: OpenFL's `LocalTensor` of each collaborator.

        Raises:
            ThresholdError: Fewer than three collaborators.
            RemoteProtocolError: A tensor is not a sealed one of one contribution; it names whose.
        """
        tensors = list(local_tensors)
        if len({tensor.col_name for tensor in tensors}) < max(_LEAST, len(tensors)):
            raise ThresholdError(
                f"{len(tensors)} collaborators, some perhaps twice: a sum takes at least {_LEAST}, "
                "each once, or whoever reads it can subtract its own"
            )
        vectors = [self._read(tensor) for tensor in tensors]
        total = vectors[0]
        try:
            for vector in vectors[1:]:
                total += vector
        except EncodingError as error:
            raise RemoteProtocolError(f"sealed tensors do not fit together: {error}") from None
        return _to_tensor(total.to_bytes())

    def _read(self, tensor: Any) -> EncryptedVector:
        try:
            vector = EncryptedVector.from_bytes(_from_tensor(tensor.tensor), self._public)
            if vector.terms != 1:
                raise RemoteProtocolError("it says it is a sum already")
        except RemoteProtocolError as error:
            raise RemoteProtocolError(f"tensor of {tensor.col_name!r}: {error}") from None
        return vector


def seal(
    update: NDArray[Any],
    weight: float,
    public: PublicKey,
    *,
    clip: float = 8.0,
    bits: int = 20,
    max_weight: float = 1.0,
    collaborators: int = 256,
) -> NDArray[np.float32]:
    """Returns a tensor that carries ``weight * update`` and the weight, encrypted.

    OpenFL makes float32 of everything, so each element of the tensor is two bytes of ciphertext: a
    whole number that float32 has exactly. A lossy compression pipeline would break it.

    Args:
        update: float16, float32 or float64, of any shape.
        weight: Above 0, such as the number of examples; as secret as the update.
        public: Whoever has its private half reads the mean.
        clip: Largest magnitude of the update, at the largest weight; the same for all, as are the
            rest.
        bits: Fraction bits.
        max_weight: Largest weight.
        collaborators: Largest number of contributions in a sum.

    Raises:
        EncodingError: Values or weight out of range, or no array of floats.
    """
    if not 0 < weight <= max_weight:
        raise EncodingError(f"weight {weight!r} is not above 0 and at most max_weight={max_weight}")
    flat = np.asarray(update)
    if flat.dtype.kind != "f":
        raise EncodingError(f"an update of {flat.dtype} has no mean; give floats")
    # The encoding below bounds the products: a small weight would let anything through.
    if not np.max(np.abs(flat), initial=0.0) <= clip:
        raise EncodingError(f"a value is outside [-{clip}, {clip}], or not finite; clip the update")
    weighed = np.append(flat.astype(np.float64).ravel() * weight, weight)
    encoding = FixedPoint(clip=max(clip, 1.0) * max_weight, bits=bits)
    return _to_tensor(public.encrypt(weighed, encoding=encoding, budget=collaborators).to_bytes())


def unseal(tensor: NDArray[Any], private: PrivateKey) -> tuple[NDArray[np.float64], float]:
    """Returns the mean of a sealed sum, as a vector, and the total weight.

    Args:
        tensor: What `EncryptedSum` made.
        private: The key.

    Raises:
        LocalProtocolError: A sum of fewer than three, which shows too much; take nothing from it.
        RemoteProtocolError: No sealed tensor, or weights that nobody can have sent.
    """
    total = EncryptedVector.from_bytes(_from_tensor(tensor), private.public)
    if total.terms < _LEAST:
        raise LocalProtocolError(
            f"a sum of {total.terms} is refused: it would show what single collaborators sent"
        )
    summed = private.decrypt(total, dtype=np.float64)
    if summed.ndim != 1 or not summed.size or not summed[-1] > 0:
        raise RemoteProtocolError("the sum of weights is not above 0: somebody sent a forged one")
    return summed[:-1] / summed[-1], float(summed[-1])


def _to_tensor(data: bytes) -> NDArray[np.float32]:
    framed = len(data).to_bytes(_LENGTH_BYTES, "little") + data + b"\0" * (len(data) % 2)
    return np.frombuffer(framed, "<u2").astype(np.float32)


def _from_tensor(tensor: Any) -> bytes:
    array = np.asarray(tensor)
    if array.ndim != 1 or array.dtype.kind != "f" or array.size < _LENGTH_BYTES // 2:
        raise RemoteProtocolError("not a sealed tensor")
    within = ((array >= 0) & (array <= _LARGEST)).all()  # others are no cast's business
    pairs = array.astype("<u2", casting="unsafe") if within else None
    if pairs is None or not np.array_equal(pairs, array):
        raise RemoteProtocolError("not a sealed tensor, or one that was compressed")
    framed = pairs.tobytes()
    length = int.from_bytes(framed[:_LENGTH_BYTES], "little")
    if not 0 <= len(framed) - _LENGTH_BYTES - length <= 1:
        raise RemoteProtocolError("a sealed tensor that was cut")
    return framed[_LENGTH_BYTES : _LENGTH_BYTES + length]

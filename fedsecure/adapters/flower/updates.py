"""From Flower's records to one update and back: what is summed is the change of the model.

A client sends trained minus received arrays, so `FixedPoint.clip` bounds a step of training, not
the model; the server gives the strategy received plus mean change. Metrics ride as further elements
of the same vector, each scaled so that its declared bound becomes the clip.
"""

from __future__ import annotations

import hashlib
import math
import numbers
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from flwr.app import Array, ArrayRecord

from fedsecure import wire
from fedsecure.adapters.flower.letters import Terms
from fedsecure.errors import EncodingError, LocalProtocolError, RemoteProtocolError, list_problems
from fedsecure.pytree import TreeSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

__all__ = ["applied", "checked_metrics", "contribution", "digest", "statement", "summed"]

_ARRAYS, _METRICS = "arrays/", "metrics/"
_FLOATS = ("float16", "float32", "float64")
_STATEMENT = b"fedsecure/flower/v1/model"


def summed(
    record: Mapping[str, Any],
    *,
    exclude: Sequence[str],
    weight: str,
    metrics: Mapping[str, float],
) -> tuple[TreeSpec, Terms]:
    """Returns the tree of an update, and the terms on which clients make it.

    Args:
        record: The arrays that a strategy sends out, by name.
        exclude: Patterns of names, as in `fnmatch`, of arrays that stay as the strategy sent them.
        weight: The metric that is the weight; empty if there is none.
        metrics: The metrics to average, with their bounds.

    Raises:
        EncodingError: An array is not floating point and not excluded, or nothing is left.
    """
    names = [name for name in record if not any(fnmatchcase(name, each) for each in exclude)]
    wrong = [f"{name!r} is {record[name].dtype}" for name in names if not _is_float(record[name])]
    if wrong:
        raise EncodingError(
            list_problems(
                "arrays that are not floating point cannot be averaged in a secure sum",
                wrong,
                "Name them in SecureGrid(exclude=[...]), patterns such as '*.num_batches_tracked' "
                "included: they stay as the strategy sent them; or leave them out of the model",
            )
        )
    tree: dict[str, npt.NDArray[Any]] = {
        # One value, read as many: a spec needs no memory for the model.
        _ARRAYS + name: np.broadcast_to(np.zeros((), _change_dtype(each)), tuple(each.shape))
        for name in names
        for each in [record[name]]
    }
    tree |= {_METRICS + name: np.zeros(()) for name in metrics}
    return TreeSpec.of(tree), Terms(tuple(names), weight, tuple(sorted(metrics.items())))


def contribution(
    received: Mapping[str, Any], content: Any, terms: Terms, clip: float
) -> tuple[dict[str, npt.NDArray[Any]], float | None]:
    """Returns the update and the weight in the content of a training reply.

    Args:
        received: The arrays that the client trained from.
        content: The records that the training function replied with.
        terms: What of them is summed.
        clip: The session's largest magnitude of an element.

    Raises:
        EncodingError: The reply has other arrays than were sent, or lacks a metric.
    """
    if len(content.array_records) != 1 or len(content.metric_records) != 1:
        raise EncodingError(
            "a training reply has exactly one ArrayRecord and one MetricRecord; this one has "
            f"{len(content.array_records)} and {len(content.metric_records)}"
        )
    (trained,) = content.array_records.values()
    (told,) = content.metric_records.values()
    problems = [f"{name!r} was not sent" for name in trained if name not in received]
    problems += [f"{name!r} is missing" for name in terms.arrays if name not in trained]
    for name in terms.arrays:
        if name in trained and name in received:
            mine, theirs = trained[name], received[name]
            if (tuple(mine.shape), mine.dtype) != (tuple(theirs.shape), theirs.dtype):
                problems.append(
                    f"{name!r} has shape {tuple(mine.shape)} and dtype {mine.dtype}, and was sent "
                    f"with {tuple(theirs.shape)} and {theirs.dtype}"
                )
    if problems:
        raise EncodingError(
            list_problems(
                "the training function replied with other arrays than it was given",
                problems,
                "Reply with all of them, each in its shape and dtype",
            )
        )
    tree = {_ARRAYS + name: _change(trained[name], received[name]) for name in terms.arrays}
    for name, bound in terms.metrics:
        if not (math.isfinite(bound) and bound > 0):
            raise RemoteProtocolError(f"the server gives the metric {name!r} the bound {bound}")
        tree[_METRICS + name] = np.array(_metric(told, name) / bound * clip)
    return tree, _metric(told, terms.weight) if terms.weight else None


def applied(
    record: Mapping[str, Any], mean: Mapping[str, Any], terms: Terms, clip: float
) -> tuple[Any, dict[str, float]]:
    """Returns the arrays as a strategy expects them, received plus mean change, and the metrics."""
    arrays = dict(record)
    for name in terms.arrays:
        before = record[name].numpy()
        after = before + mean[_ARRAYS + name].astype(np.float64)
        arrays[name] = Array(np.asarray(after, dtype=before.dtype))
    metrics = {name: float(mean[_METRICS + name]) * bound / clip for name, bound in terms.metrics}
    return ArrayRecord(arrays), metrics


def digest(content: Any, terms: Terms) -> bytes:
    """Returns 32 bytes that stand for all that a client trains from: records, and terms."""
    state = hashlib.sha256(_STATEMENT)
    _absorb(state, wire.encode_control(terms))
    for name in sorted(content):
        record = content[name]
        _absorb(state, msgspec.msgpack.encode([type(record).__name__, name, len(record)]))
        for key in sorted(record):
            value = record[key]
            if isinstance(value, Array):
                head = [key, value.dtype, list(value.shape), value.stype]
                _absorb(state, msgspec.msgpack.encode(head))
                _absorb(state, value.data)
            else:
                _absorb(state, msgspec.msgpack.encode([key, value]))
    return state.digest()


def statement(session_id: bytes, model: bytes) -> bytes:
    """Returns what a client signs about the digest of what it trained from in one session."""
    return b"".join((_STATEMENT, session_id, model))


def checked_metrics(metrics: Iterable[str] | Mapping[str, float], clip: float) -> dict[str, float]:
    """Returns the metrics with their bounds: the clip for those that were given without one.

    Raises:
        LocalProtocolError: They are not names, or a bound is not a positive number.
    """
    if isinstance(metrics, str):
        raise LocalProtocolError(f"metrics is the text {metrics!r}; give a list of names")
    given: dict[Any, Any] = (
        dict(metrics) if isinstance(metrics, Mapping) else dict.fromkeys(metrics, clip)
    )
    for name, bound in given.items():
        real = isinstance(bound, numbers.Real) and not isinstance(bound, bool)
        if not isinstance(name, str) or not real or not math.isfinite(bound) or bound <= 0:
            raise LocalProtocolError(
                f"metric {name!r} has the bound {bound!r}; give its largest magnitude, as in "
                'metrics={"train_loss": 100.0}'
            )
    return {name: float(bound) for name, bound in given.items()}


def _absorb(state: Any, data: bytes) -> None:
    state.update(len(data).to_bytes(8, "little"))
    state.update(data)


def _is_float(array: Any) -> bool:
    return str(array.dtype) in _FLOATS


def _change_dtype(array: Any) -> str:
    """The dtype of a change: a difference of two float16 is not always one."""
    return "float64" if array.dtype == "float64" else "float32"


def _change(trained: Any, received: Any) -> npt.NDArray[Any]:
    dtype = _change_dtype(received)
    change: npt.NDArray[Any] = np.subtract(trained.numpy(), received.numpy(), dtype=dtype)
    return change


def _metric(told: Mapping[str, Any], name: str) -> float:
    value = told.get(name)
    if not isinstance(value, int | float):
        raise EncodingError(
            f"the training function must reply with one number as metric {name!r}; "
            f"it replied with {sorted(told)}"
        )
    return float(value)

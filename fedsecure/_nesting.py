"""How the containers of an update are opened, remembered without their leaves, and built again."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from numbers import Number
from typing import TYPE_CHECKING, Any

from fedsecure import _tensors
from fedsecure.errors import EncodingError

if TYPE_CHECKING:
    from fedsecure._tensors import Tensor

# Deeper nesting is a container that holds itself, or a mistake.
_MAX_DEPTH = 100


@dataclass(frozen=True)
class Leaf:
    """A leaf's place; a numpy scalar comes back as a scalar, not as a 0-d array."""

    scalar: bool = False


@dataclass(frozen=True)
class Branch:
    """A container without its leaves.

    Attributes:
        container: The class to build.
        form: "sequence", "namedtuple", "mapping" or "dataclass".
        keys: Keys or field names in the container's own order; empty for sequences.
        positions: For each of `keys`, the index of its child.
        children: In flat order.
        factory: The default factory of a defaultdict.
    """

    container: type[Any]
    form: str
    keys: tuple[Any, ...]
    positions: tuple[int, ...]
    children: tuple[Branch | Leaf, ...]
    factory: Any = None

    def build(self, values: list[Any]) -> Any:
        """Returns the container with `values`, given in flat order, in it."""
        if self.form == "sequence":
            return values if self.container is list else self.container(values)
        if self.form == "namedtuple":
            return self.container._make(values)
        items = {key: values[i] for key, i in zip(self.keys, self.positions, strict=True)}
        if self.form == "dataclass":
            return self._build_dataclass(items)
        if issubclass(self.container, defaultdict):
            return self.container(self.factory, items)
        return items if self.container is dict else self.container(items)

    def _build_dataclass(self, items: dict[str, Any]) -> Any:
        fields = dataclasses.fields(self.container)
        made = self.container(**{f.name: items[f.name] for f in fields if f.init})
        for f in fields:
            if not f.init:
                object.__setattr__(made, f.name, items[f.name])  # works on frozen ones too
        return made


class Walk:
    """One pass over a tree: its leaves, its structure, and everything that is wrong with it.

    Attributes:
        paths: Path of each leaf, in flat order.
        tensors: Each leaf, described but not yet read.
        problems: One clause per offending place; when there are any, the rest is incomplete.
        structure: The containers.
    """

    def __init__(self, tree: object) -> None:
        self.paths: list[str] = []
        self.tensors: list[Tensor] = []
        self.problems: list[str] = []
        self.structure = self._visit(tree, ())

    def _visit(self, value: object, parts: tuple[str, ...]) -> Branch | Leaf:
        path = "/".join(parts)
        try:
            tensor = _tensors.recognise(value)
            if tensor is not None:
                return self._add_leaf(path, tensor)
            opened = _open(value)
        except EncodingError as error:
            return self._refuse(path, str(error))
        if len(parts) >= _MAX_DEPTH:
            return self._refuse(path, f"is nested deeper than {_MAX_DEPTH} levels or holds itself")
        branch = Branch(
            container=type(value),
            form=opened.form,
            keys=opened.keys,
            positions=opened.positions,
            children=tuple(
                self._visit(child, (*parts, text))
                for text, child in zip(opened.texts, opened.children, strict=True)
            ),
            factory=value.default_factory if isinstance(value, defaultdict) else None,
        )
        if not _can_rebuild(branch, opened):
            name = type(value).__name__
            return self._refuse(path, f"is a {name} that its items do not rebuild; use a dict")
        return branch

    def _add_leaf(self, path: str, tensor: Tensor) -> Leaf:
        refusal = _tensors.why_refused(tensor.dtype)
        if refusal is not None:
            return self._refuse(path, refusal)
        self.paths.append(path)
        self.tensors.append(tensor)
        return Leaf(tensor.scalar)

    def _refuse(self, path: str, clause: str) -> Leaf:
        self.problems.append(f"{path!r} {clause}")
        return Leaf()


@dataclass(frozen=True)
class _Opened:
    """A container's content: `texts` and `children` in flat order, the rest as in `Branch`."""

    form: str
    texts: tuple[str, ...]
    children: list[Any]
    keys: tuple[Any, ...] = ()
    positions: tuple[int, ...] = ()


def _open(value: object) -> _Opened:
    if isinstance(value, Mapping):
        return _open_mapping(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = tuple(f.name for f in dataclasses.fields(value))
        children = [getattr(value, name) for name in names]
        return _Opened("dataclass", names, children, names, tuple(range(len(names))))
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return _Opened("namedtuple", tuple(value._fields), list(value))
    if isinstance(value, list | tuple):
        return _Opened("sequence", tuple(str(i) for i in range(len(value))), list(value))
    raise EncodingError(f"is of type {type(value).__name__}")


def _open_mapping(value: Mapping[Any, Any]) -> _Opened:
    keys = tuple(value)
    for key in keys:
        if not _has_stable_text(key):
            name = type(key).__name__
            raise EncodingError(f"has a key of type {name}; use strings or numbers")
    texts = [str(key) for key in keys]
    order = sorted(range(len(keys)), key=texts.__getitem__)
    for first, second in pairwise(order):
        if texts[first] == texts[second]:
            raise EncodingError(f"has two keys with the text {texts[first]!r}; rename one")
    rank = {i: position for position, i in enumerate(order)}
    return _Opened(
        form="mapping",
        texts=tuple(texts[i] for i in order),
        children=[value[keys[i]] for i in order],
        keys=keys,
        positions=tuple(rank[i] for i in range(len(keys))),
    )


def _has_stable_text(key: object) -> bool:
    """True when str(key) is the same in every process (an object's address would not be)."""
    if isinstance(key, tuple):
        return all(_has_stable_text(part) for part in key)
    return isinstance(key, str | Number | Enum)


def _can_rebuild(branch: Branch, opened: _Opened) -> bool:
    """True when the container can be made again: learnt now, not after the session has run."""
    if branch.container in {list, tuple, dict}:
        return True
    try:
        made = branch.build(list(opened.children))
    except Exception:  # whatever a foreign constructor raises, the answer is no
        return False
    same_keys = opened.form != "mapping" or tuple(made) == opened.keys
    return type(made) is branch.container and same_keys

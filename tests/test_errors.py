"""One root for every refusal, and messages that name places without hiding the first ones."""

from __future__ import annotations

import copy
import pickle
from typing import TYPE_CHECKING

import pytest

from fedsecure import errors, wire

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("name", [n for n in errors.__all__ if n[0].isupper()])
def test_every_error_has_one_root(name: str) -> None:
    assert issubclass(getattr(errors, name), errors.FedSecureError)


def test_a_cheater_is_a_remote_error_with_a_name() -> None:
    with pytest.raises(errors.RemoteProtocolError, match="two different shares") as caught:
        raise errors.CheaterDetected("client 3 sent two different shares", 3)
    assert str(caught.value) == "client 3 sent two different shares"
    assert caught.value.culprit == 3
    with pytest.raises(TypeError, match="culprit"):
        errors.CheaterDetected("somebody cheats")


@pytest.mark.parametrize("clone", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
@pytest.mark.parametrize("culprit", [0, wire.SERVER])
def test_a_cheater_keeps_its_name_between_processes(
    culprit: int, clone: Callable[[errors.CheaterDetected], errors.CheaterDetected]
) -> None:
    error = errors.CheaterDetected("wrong signature", culprit)
    same = clone(error)
    assert type(same) is errors.CheaterDetected
    assert (str(same), same.culprit, same.args) == ("wrong signature", culprit, error.args)


def test_a_short_list_is_shown_whole() -> None:
    text = errors.list_problems("refused", ["'a' is int64", "'b' is bool"], "Use floats")
    assert text == "refused: 'a' is int64; 'b' is bool. Use floats"


@pytest.mark.parametrize(("count", "ending"), [(5, "p4. R"), (6, "and 1 more. R")])
def test_a_long_list_is_cut_and_says_so(count: int, ending: str) -> None:
    text = errors.list_problems("refused", [f"p{i}" for i in range(count)], "R")
    assert text.endswith(ending)
    assert "p0; p1; p2; p3; p4" in text
    assert "p5" not in text

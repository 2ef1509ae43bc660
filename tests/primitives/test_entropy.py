"""Secrets stay hidden, are compared blindly, are never copied, and can be wiped."""

from __future__ import annotations

import copy
import gc
import pickle

import pytest

from fedsecure import _core
from fedsecure.errors import CryptoError
from fedsecure.primitives import entropy
from fedsecure.primitives.entropy import Secret


def test_draw_and_token() -> None:
    secrets = [entropy.draw(32) for _ in range(20)]
    assert len({bytes(secret.view) for secret in secrets}) == 20
    assert all(len(secret) == 32 for secret in secrets)
    assert len({entropy.token(16) for _ in range(20)}) == 20


def test_no_entropy(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(size: int) -> bytes:
        raise RuntimeError("getrandom failed")

    monkeypatch.setattr(_core, "random_bytes", nothing)
    for source in (entropy.draw, entropy.token):
        with pytest.raises(CryptoError, match=r"no randomness.*getrandom failed"):
            source(16)


def test_a_bytearray_is_taken_over_and_bytes_are_copied() -> None:
    taken, kept = bytearray(b"abc"), b"abc"
    for source in (taken, kept):
        secret = Secret(source)
        assert bytes(secret.view) == b"abc"
        secret.wipe()
    assert taken == bytes(3)
    assert kept == b"abc"


def test_wiped() -> None:
    secret = Secret(b"abc")
    view = secret.view
    assert view.readonly
    assert not secret.wiped
    secret.wipe()
    secret.wipe()
    assert secret.wiped
    assert bytes(view) == bytes(3)
    assert len(secret) == 3
    with pytest.raises(CryptoError, match="wiped"):
        _ = secret.view


def test_a_forgotten_secret_is_wiped() -> None:
    data = bytearray(b"abc")
    secret = Secret(data)
    del secret
    gc.collect()
    assert data == bytes(3)


def test_repr_hides() -> None:
    secret = Secret(b"abc")
    assert repr(secret) == str(secret) == "Secret(3 bytes, hidden)"
    assert f"{[secret]}" == "[Secret(3 bytes, hidden)]"
    secret.wipe()
    assert repr(secret) == "Secret(3 bytes, wiped)"


def test_equality() -> None:
    assert Secret(b"abc") == Secret(b"abc")
    assert Secret(b"abc") != Secret(b"abd")
    assert Secret(b"abc") != Secret(b"ab")
    assert Secret(b"abc") != b"abc"
    one, other = Secret(b"abc"), Secret(b"abc")
    one.wipe()
    assert one != other
    other.wipe()
    assert one != other
    with pytest.raises(TypeError, match="unhashable"):
        hash(one)


@pytest.mark.parametrize("clone", [copy.copy, copy.deepcopy, pickle.dumps])
def test_no_copies(clone: object) -> None:
    with pytest.raises(CryptoError, match="neither copied nor pickled"):
        clone(Secret(b"abc"))


def test_wipe_buffers() -> None:
    data = bytearray(b"abc")
    entropy.wipe(memoryview(data)[1:])
    assert data == b"a\0\0"

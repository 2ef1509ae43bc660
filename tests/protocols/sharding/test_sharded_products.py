"""Ciphertexts multiplied and decrypted in parts: the same bytes as in one place."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from encrypted_sums import KINDS, Play
from fedsecure.errors import CryptoError, FedSecureError, LocalProtocolError, ShardError
from fedsecure.paillier import RunningProduct
from fedsecure.protocols.sharding import ShardedProduct, decrypt_rows
from paillier_keys import private_key
from shards import LocalWorkers, same_result


def ciphertexts(count: int, seed: int = 1) -> np.ndarray:
    key = private_key()
    plain = np.zeros((count, key.public.key_bytes), np.uint8)
    plain[:, :8] = np.random.default_rng(seed).integers(0, 256, (count, 8), np.uint8)
    return key.encrypt_rows(plain)


@pytest.mark.parametrize("count", [0, 1, 5, 8])
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_products_and_plaintexts_are_the_same(count: int, workers: int) -> None:
    key, places = private_key(), LocalWorkers(workers)
    whole, parts = RunningProduct(key.public, count), ShardedProduct(key.public, count, places)
    for seed in (1, 2):
        rows = ciphertexts(count, seed)
        for first, stop in ((0, count // 3), (count // 3, count)):
            whole.multiply(rows[first:stop], first=first)
            parts.multiply(rows[first:stop], first=first)
    product = parts.rows()
    np.testing.assert_array_equal(product, whole.rows())
    np.testing.assert_array_equal(decrypt_rows(key, product, places), key.decrypt_rows(product))


def test_what_does_not_fit_or_is_no_ciphertext_is_refused() -> None:
    key, places = private_key(), LocalWorkers(2)
    parts = ShardedProduct(key.public, 3, places)
    with pytest.raises(LocalProtocolError, match="2 ciphertexts at 2 do not fit a product of 3"):
        parts.multiply(ciphertexts(2), first=2)
    with pytest.raises(LocalProtocolError, match="2 ciphertexts at -1 do not fit"):
        parts.multiply(ciphertexts(2), first=-1)
    wrong = np.full((3, 2 * key.public.key_bytes), 255, np.uint8)
    parts.multiply(wrong)
    with pytest.raises(CryptoError, match="not a number from 1 to"):
        parts.rows()
    with pytest.raises(ShardError):  # the other part may have multiplied it in
        parts.rows()
    with pytest.raises(CryptoError, match="no ciphertext of this key"):
        decrypt_rows(key, wrong, places)
    assert len(places.parts()) == 2  # the product's; the keys are gone


def test_a_key_that_not_all_workers_took_stays_with_none() -> None:
    key, places = private_key(), LocalWorkers(3)
    places.broken["open"] = 1
    with pytest.raises(FedSecureError, match="worker 1 cannot open"):
        decrypt_rows(key, ciphertexts(3), places)
    assert places.parts() == []


def test_a_dead_worker_is_an_error() -> None:
    key, places = private_key(), LocalWorkers(2)
    parts = ShardedProduct(key.public, 3, places)
    places.dead.add(1)
    parts.multiply(ciphertexts(3))
    with pytest.raises(ShardError, match="worker 1 is gone"):
        parts.rows()
    with pytest.raises(ShardError, match="worker 1 is gone"):
        decrypt_rows(key, ciphertexts(3), places)


@pytest.mark.parametrize("kind", KINDS)
def test_an_encrypted_sum_on_shards(kind: str) -> None:
    places = LocalWorkers(2)
    play = Play.of(kind)
    twin = play.protocol.server(play.session, products=partial(ShardedProduct, workers=places))
    for name, party in play.parties.items():
        for message in party.start():
            play.server.receive(name, message)
            twin.receive(name, message)
    mail = play.server.advance()
    assert twin.advance() == mail
    if kind == "one key":
        decrypt = partial(decrypt_rows, private_key(), workers=places)
        (name,) = mail
        play.parties[name] = play.protocol.key_holder(play.session, decrypt=decrypt)
        play.parties[name].start()
    for name, inbox in mail.items():
        for answer in [m for data in inbox for m in play.parties[name].receive(data)]:
            play.server.receive(name, answer)
            twin.receive(name, answer)
    play.server.advance()
    twin.advance()
    same_result(twin.result(), play.server.result())

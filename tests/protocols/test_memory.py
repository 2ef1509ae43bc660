"""What parties take beyond what they are given: a client its message, the server its sum."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

import fedsecure as fs
from fedsecure.protocols.masking.states import Stage

SIZE = 3_000_000
MB = 1_000_000


def peak(work: Callable[[], object]) -> int:
    """Returns by how many bytes memory grew at most while `work` ran."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


class Run:
    """Three clients with the same update, up to where their masked inputs are due."""

    def __init__(self, dtype: type[np.floating], chunk: int) -> None:
        update = np.random.default_rng(1).normal(0.0, 0.05, SIZE).astype(dtype)
        protocol = fs.PairwiseMasking(adversary="semi_honest", chunk=chunk)
        session = protocol.session(
            client_ids=range(3), spec=fs.TreeSpec.of(update), encoding=fs.FixedPoint()
        )
        self.bits = session.layout.modulus_bits
        self.accumulator = session.layout.length * session.layout.dtype.itemsize
        self.server = protocol.server(session)
        self.clients = {at: protocol.client(session, at, update) for at in range(3)}
        for at, client in self.clients.items():
            for message in client.start():
                self.server.receive(at, message)
        for at, mail in self.server.advance().items():
            for message in mail:
                for answer in self.clients[at].receive(message):
                    self.server.receive(at, answer)
        self.deliveries = self.server.advance()
        assert self.server.stage == Stage.MASKED_INPUT

    def send(self, at: int, *, to_server: bool) -> None:
        for message in self.deliveries[at]:
            for piece in self.clients[at].receive(message):
                if to_server:
                    self.server.receive(at, piece)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("chunk", [1 << 18, 1 << 20, 1 << 22])
def test_a_client_takes_one_message_and_little_more(dtype: type[np.floating], chunk: int) -> None:
    run = Run(dtype, chunk)
    message = min(chunk, SIZE) * run.bits / 8
    # While a message is made, its drawer may still hold the one before.
    held = 2 * message if chunk < SIZE else message
    assert peak(lambda: run.send(0, to_server=False)) < held + MB


def test_a_server_takes_its_sum_and_the_upload_that_comes_in() -> None:
    run = Run(np.float32, 1 << 18)
    upload = SIZE * run.bits / 8
    for at in (0, 1):  # the sum is there already; nothing is left behind by an upload
        assert peak(lambda at=at: run.send(at, to_server=True)) < upload + 3 * MB
    run.send(2, to_server=True)
    while not run.server.finished:
        mail = run.server.advance()
        for at, messages in mail.items():
            for message in messages:
                for answer in run.clients[at].receive(message):
                    run.server.receive(at, answer)
    np.testing.assert_allclose(run.server.result().mean.mean(), 0.0, atol=1e-3)

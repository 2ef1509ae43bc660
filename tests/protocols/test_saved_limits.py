"""Forged bytes of a server: no more memory or time than they have bytes."""

from __future__ import annotations

import dataclasses
import tracemalloc

import msgspec
import pytest

from fedsecure import wire
from fedsecure.errors import LocalProtocolError
from fedsecure.protocols.masking import MaskingServer
from fedsecure.protocols.masking.saved import Arriving, ServerState, store
from fedsecure.pytree import LeafSpec, TreeSpec
from parties import Parties


def parts(data: bytes) -> tuple[ServerState, bytes]:
    """The state in a server's bytes, and the vectors behind it."""
    size = int.from_bytes(data[17:25], "little")
    return wire.decode_control(ServerState, data[25 : 25 + size]), data[25 + size : -32]


def refuses_cheaply(forged: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(LocalProtocolError):
            MaskingServer.from_bytes(forged)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("size", [1 << 26, 1 << 40])
def test_a_sum_larger_than_the_bytes(size: int) -> None:
    parties = Parties(4)
    state, _ = parts(parties.server.to_bytes())
    spec = TreeSpec((LeafSpec("['a']", (size,), "float64"),))
    session = dataclasses.replace(parties.session, spec=spec)
    refuses_cheaply(store(msgspec.structs.replace(state, session=session.to_bytes()), [bytes(16)]))


@pytest.mark.parametrize("pieces", [1, 3, 4, 5, 10**6, 2**62])
def test_uploads_that_are_not_there(pieces: int) -> None:
    """Four pieces make a whole upload, which is no unfinished one."""
    parties = Parties(4, size=50, chunk=16)
    state, vectors = parts(parties.server.to_bytes())
    claimed = msgspec.structs.replace(state, arriving=(Arriving(0, pieces),))
    refuses_cheaply(store(claimed, [memoryview(vectors)]))
    if pieces < 4:
        length = sum(-(-16 * parties.session.layout.modulus_bits // 8) for _ in range(pieces))
        true = store(claimed, [memoryview(vectors), memoryview(bytes(length))])
        assert not MaskingServer.from_bytes(true).finished
        twice = msgspec.structs.replace(state, arriving=(Arriving(0, pieces),) * 2)
        refuses_cheaply(store(twice, [memoryview(vectors), memoryview(bytes(2 * length))]))

"""Bytes that claim to be much: refused for what they are, before anything of that size exists.

Any bytes at all are the business of tests/protocols/test_fuzz.py, tests/test_fuzz_target.py and
`make fuzz`; here are those that are written to hurt.
"""

from __future__ import annotations

import pickle
import struct
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from attackers import SETTINGS, parties_of, stages_in
from fedsecure import wire
from fedsecure.errors import FedSecureError, LocalProtocolError, RemoteProtocolError
from fedsecure.protocols.masking import MaskingClient, MaskingServer
from fedsecure.protocols.masking.messages import Kind
from fedsecure.protocols.masking.states import Flow, Stage
from fedsecure.protocols.session import Session
from parties import SENT_BY_CLIENT, SENT_BY_SERVER, Parties, reseal

if TYPE_CHECKING:
    from collections.abc import Callable

MOST = 1 << 20
"""Bytes that refusing a message may take, whatever the message claims."""

HUGE = b"\xff\xff\xff\xff"
BODIES = {
    "list of 2^32 - 1": b"\xdd" + HUGE,
    "list in a list": b"\x91\xdd" + HUGE,
    "list as second field": b"\x92\x90\xdd" + HUGE,
    "list as third field": b"\x94\xc4\x20" + bytes(32) + b"\xc4\x00\xdd" + HUGE,
    "bytes of 2^32 - 1": b"\x91\xc6" + HUGE,
    "key of 2^32 - 1 bytes": b"\x93\xc6" + HUGE,
    "text of 2^32 - 1": b"\x91\xdb" + HUGE,
    "map of 2^32 - 1": b"\xdf" + HUGE,
    "extension of 2^32 - 1": b"\xc9" + HUGE + b"\x01",
    "deep lists": b"\x91" * 200_000,
    "deep maps": b"\x81" * 200_000,
    "many ids": b"\x91\xdd" + struct.pack(">I", 60_000) + b"\x00" * 60_000,
    "a pickle": pickle.dumps([print, "executed"]),
    "a vector of 2^64 - 1": b"\x40" + b"\xff" * 12,
    "a vector of 2^61": struct.pack("<BQI", 8, 1 << 61, 0),
    "a vector of 255 bits": struct.pack("<BQI", 255, 1, 0),
    "nothing": b"",
}


def cheaply(action: Callable[[], Any], error: type[FedSecureError], size: int) -> None:
    """The action is refused, and takes little more memory than what it was given."""
    tracemalloc.start()
    try:
        with pytest.raises(error):
            action()
        assert tracemalloc.get_traced_memory()[1] < MOST + 4 * size
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("setting", SETTINGS)
def test_bodies_that_claim_much(setting: str, body: bytes) -> None:
    """[A35] To each party at each stage, under every kind of header; and the session goes on."""
    parties = parties_of(setting)
    here = parties.session
    for stage in stages_in(setting):
        parties.until(stage)
        client = parties.clients[0]
        for kind in Kind:
            for sender, receive in (
                (wire.SERVER, client.receive),
                (0, lambda data: parties.server.receive(0, data)),
            ):
                data = here.seal(kind, sender, body)
                cheaply(lambda: receive(data), RemoteProtocolError, len(data))  # noqa: B023
        assert client.stage is stage
    parties.finish()


@pytest.mark.parametrize("length", [0, 1, 2**31, 2**32, 2**63, 2**64 - 1])
def test_envelopes_that_claim_another_length(length: int) -> None:
    """[A35] The length of the body is what there is, or the message is none."""
    parties = Parties(4, adversary="malicious").until(Stage.SHARE_KEYS)
    good = parties.mail[0][0]
    assert len(good) - wire.HEADER_SIZE not in (0, 1)
    bad = good[: wire.HEADER_SIZE - 8] + struct.pack("<Q", length) + good[wire.HEADER_SIZE :]
    for receive in (parties.clients[0].receive, Session.from_bytes):
        cheaply(lambda: receive(bad), RemoteProtocolError, len(bad))  # noqa: B023
    cheaply(lambda: parties.server.receive(0, bad), RemoteProtocolError, len(bad))
    parties.finish()


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_message_larger_than_any_honest_one(setting: str) -> None:
    """[A35] It is not even decoded: the limit of its kind follows from the session."""
    parties = parties_of(setting)
    malicious = setting == "malicious"
    flow = Flow.FIVE_STAGES if malicious else Flow.FOUR_STAGES
    for stage in stages_in(setting):
        parties.until(stage)
        for size in (1 << 14, 1 << 22):
            data = parties.session.seal(SENT_BY_CLIENT[stage], 0, bytes(size))
            with pytest.raises(RemoteProtocolError, match="larger than this session allows"):
                parties.server.receive(0, data)
            if stage in SENT_BY_SERVER[flow]:
                kind = SENT_BY_SERVER[flow][stage]
                data = parties.session.seal(kind, wire.SERVER, bytes(size))
                with pytest.raises(RemoteProtocolError, match="larger than this session allows"):
                    parties.clients[0].receive(data)
    parties.finish()


@pytest.mark.parametrize("setting", SETTINGS)
def test_bytes_behind_a_message(setting: str) -> None:
    """[A35] One more behind the envelope or the body, or one less: another message, so none."""
    parties = parties_of(setting)
    for stage in stages_in(setting):
        parties.until(stage)
        mail = parties.mail[0]
        if mail is not None:
            body = mail[0][wire.HEADER_SIZE :]
            for bad in (
                mail[0] + b"\0",
                mail[0][:-1],
                reseal(mail[0], body=body + b"\0"),
                reseal(mail[0], body=body + b"\xc0"),
                reseal(mail[0], body=body[:-1]),
                mail[0] + mail[0],
            ):
                with pytest.raises(RemoteProtocolError):
                    parties.clients[0].receive(bad)
                assert parties.clients[0].stage is stage
    parties.finish()


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_sessions_that_claim_much(body: bytes) -> None:
    """[A35] What a client reads first of all, from a server it knows nothing of."""
    session = Parties(4, adversary="malicious").session
    data = session.seal(0, wire.SERVER, body)
    cheaply(lambda: Session.from_bytes(data), RemoteProtocolError, len(data))


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("kind", [MaskingClient, MaskingServer], ids=["client", "server"])
def test_saved_parties_that_claim_much(kind: Any, body: bytes) -> None:
    """[A35] Bytes from a disk are read as carefully as bytes from a stranger."""
    mark = b"FEDSECURE-SECRET\x01"
    for data in (body, mark + body, mark + len(body).to_bytes(8, "little") + body):
        for tail in (b"", bytes(32)):
            given = data + tail
            cheaply(lambda: kind.from_bytes(given), LocalProtocolError, len(given))  # noqa: B023


def test_a_pickle_is_bytes_like_any_others() -> None:
    """[A35] Nothing that is read is ever executed."""
    executed: list[int] = []

    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return executed.append, (1,)

    data = pickle.dumps(Bomb())
    parties = Parties(3)
    for read in (Session.from_bytes, parties.clients[0].receive, MaskingClient.from_bytes):
        with pytest.raises(FedSecureError):
            read(data)
    with pytest.raises(FedSecureError):
        parties.server.receive(0, data)
    assert executed == []

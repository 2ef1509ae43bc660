"""What a saved party's bytes hold, what they no longer hold, and which bytes are none."""

from __future__ import annotations

import hashlib
import pickle
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest

from fedsecure import wire
from fedsecure.errors import LocalProtocolError, RemoteProtocolError
from fedsecure.primitives.identity import Identity
from fedsecure.protocols.masking import MaskingClient, MaskingServer
from fedsecure.protocols.masking.messages import Roster, read
from fedsecure.protocols.masking.saved import ClientState, ServerState, load, store
from fedsecure.protocols.masking.states import Stage
from parties import Parties, body_of, stages_of
from reference import schedule
from restarts import CASES, case, counted_entropy, restored

if TYPE_CHECKING:
    from collections.abc import Iterator

MARK = b"FEDSECURE-SECRET"
ME = 1
HELD = ("own", "held")
MASKS = ("pair", "self seed")


def parts(kind: type[Any], data: bytes) -> tuple[Any, bytes]:
    """The state in a party's bytes, and what follows it."""
    size = int.from_bytes(data[17:25], "little")
    return wire.decode_control(kind, data[25 : 25 + size]), data[25 + size : -32]


# --- which secrets are in the bytes -----------------------------------------------------------


class Secrets:
    """All secrets of one client, as an all-seeing onlooker knows them.

    Args:
        parties: At the start of their session.
        drawn: All that is drawn from the system.
    """

    def __init__(self, parties: Parties, drawn: list[bytes]) -> None:
        client = parties.clients[ME]
        self.parties, self.drawn = parties, drawn
        self.known: dict[str, list[bytes]] = {
            "c": [bytes(client._share_secret.view)],
            "s": [bytes(client._mask_secret.view)],
            "rounding": [bytes(client._input._rounding.view)],
            "fingerprint": [client._input._contribution.fingerprint()],
        }
        assert all(self.known[name][0] in drawn for name in ("c", "s", "rounding"))

    def see_roster(self, message: bytes, before: int) -> None:
        """What the roster made; `before` is how many secrets had been drawn when it came."""
        client, me = self.parties.clients[ME], ME
        ctx, graph = client._membership.ctx, client._membership.graph
        members = {one.client_id: one for one in read(Roster, body_of(message)).members}
        (c,), (s,), b = self.known["c"], self.known["s"], self.drawn[before]
        outward, inward, pairs = [], [], []
        for peer in graph.neighbors(me):
            outward.append(schedule.share_key(c, members[peer].share_key, ctx, me, peer))
            inward.append(schedule.share_key(c, members[peer].share_key, ctx, peer, me))
            pairs.append(schedule.pair_seed(s, members[peer].mask_key, ctx, me, peer, 1))
        self.known |= {"b": [b], "outward": outward, "inward": inward, "pair": pairs}
        self.known["self seed"] = [schedule.self_seed(b, ctx, me, 1)]
        own = bytes(client._keyring._own_share.view)
        self.known["own"] = [own] if own else []

    def see_delivery(self) -> None:
        """What the delivery of shares made."""
        held = bytes(self.parties.clients[ME]._keyring._held.view)
        self.known["held"] = [held[at : at + 40] for at in range(0, len(held), 40)]

    def check(self, *present: str) -> None:
        """The bytes hold all of these secrets, and nothing of the others."""
        data = self.parties.clients[ME].to_bytes()
        assert set(present) <= set(self.known)
        for name, secrets in self.known.items():
            for secret in secrets:
                assert (secret in data) == (name in present), name
        state, _ = parts(ClientState, data)
        # Nothing stands in the place of what is gone, not even zeros.
        assert bool(state.share_secret) == ("c" in present)
        assert bool(state.mask_secret) == ("s" in present)
        assert bool(state.rounding) == ("rounding" in present)
        assert bool(state.fingerprint) == ("fingerprint" in present)
        assert state.given == ("fingerprint" not in present)
        identity = self.parties.protocol.identity_of(ME)
        if identity is not None:
            assert identity.to_bytes() not in data
        assert self.parties.inputs[ME].tobytes() not in data
        restored(self.parties, ME, give=False)
        assert self.parties.clients[ME].to_bytes() == data


@pytest.mark.parametrize("name", CASES)
def test_secrets_leave_the_bytes_when_they_are_used_up(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = counted_entropy(monkeypatch)
    parties = case(name)
    secrets = Secrets(parties, drawn)
    secrets.check("c", "s", "rounding", "fingerprint")
    restored(parties, ME)
    parties.finish_stage()
    secrets.check("c", "s", "rounding", "fingerprint")
    restored(parties, ME)

    before = len(drawn)
    (inbox,) = parties.mail[ME]
    parties.send([ME])
    secrets.see_roster(inbox, before)
    secrets.check("inward", *MASKS, "own", "rounding", "fingerprint")
    restored(parties, ME)
    parties.finish_stage_of([peer for peer in parties.mail if peer != ME])

    client = parties.clients[ME]
    upload = client.receive(parties.mail[ME][0])
    secrets.see_delivery()
    for _ in range(3):
        secrets.check(*MASKS, *HELD, "rounding", "fingerprint")
        parties.clients[ME] = client
        parties.server.receive(ME, next(upload))
    secrets.check(*HELD)
    parties.finish_stage_of([peer for peer in parties.mail if peer != ME])
    if parties.server.stage == Stage.CONSISTENCY_CHECK:
        parties.send([ME])
        secrets.check(*HELD)
        parties.finish_stage_of([peer for peer in parties.mail if peer != ME])
    parties.send([ME])
    secrets.check()


@pytest.mark.parametrize("name", CASES)
def test_nothing_secret_is_in_the_bytes_of_an_aborted_client(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message of the same session with other keys ends it; all that is left are public facts."""
    for stage in stages_of(CASES[name]["adversary"])[1:]:
        drawn = counted_entropy(monkeypatch)
        parties = case(name)
        secrets = Secrets(parties, drawn)
        parties.until(Stage.SHARE_KEYS)
        if stage is not Stage.SHARE_KEYS:
            before, (inbox,) = len(drawn), parties.mail[ME]
            parties.send([ME])
            secrets.see_roster(inbox, before)
            parties.finish_stage_of([peer for peer in parties.mail if peer != ME])
            parties.until(stage)
        if stage not in (Stage.SHARE_KEYS, Stage.MASKED_INPUT):
            secrets.see_delivery()
        parties.clients[ME]._abort()
        secrets.check()


def test_leaves_of_an_update_are_not_in_the_bytes() -> None:
    """Neither as they were given, nor encoded, nor masked before they are sent."""
    rng = np.random.default_rng(5)
    updates = [{"a": rng.uniform(-3, 3, 20), "b": rng.uniform(-3, 3, 20)} for _ in range(4)]
    parties = case("malicious", updates=updates).until(Stage.MASKED_INPUT)
    upload = parties.clients[ME].receive(parties.mail[ME][0])
    next(upload)
    data = parties.clients[ME].to_bytes()
    for leaf in updates[ME].values():
        for value in leaf:
            assert value.tobytes() not in data
            assert np.float32(value).tobytes() not in data
    for message in upload:
        assert bytes(body_of(message))[16:] not in data


def test_bytes_say_what_they_are() -> None:
    parties = case("malicious")
    for party in (parties.clients[ME], parties.server):
        assert party.to_bytes()[:16] == MARK
    assert isinstance(parties.clients[ME].to_bytes(), bytes)


@pytest.mark.parametrize("name", CASES)
def test_bytes_grow_with_the_neighbors_and_not_with_the_update(name: str) -> None:
    sizes = {}
    for size in (40, 4000):
        parties = case(name, size=size).until(Stage.MASKED_INPUT)
        sizes[size] = len(parties.clients[ME].to_bytes())
    assert abs(sizes[4000] - sizes[40]) < 20


# --- bytes that are no party ------------------------------------------------------------------


def saved_parties() -> Iterator[tuple[type[Any], bytes, Identity | None]]:
    """A client and a server in the middle of their session."""
    parties = case("malicious").until(Stage.MASKED_INPUT)
    identity = parties.protocol.identity_of(ME)
    next(parties.clients[ME].receive(parties.mail[ME][0]))
    parties.server.receive(0, parties.answer(0)[0])
    yield MaskingClient, parties.clients[ME].to_bytes(), identity
    yield MaskingServer, parties.server.to_bytes(), None


@pytest.fixture(scope="module", params=["client", "server"])
def saved(request: pytest.FixtureRequest) -> tuple[type[Any], bytes, Identity | None]:
    return list(saved_parties())[request.param == "server"]


Saved = tuple[type[Any], bytes, Identity | None]


def refuses(saved: Saved, data: Any, reason: str) -> None:
    """The bytes are refused by name, and the reason holds nothing of them."""
    kind, _, identity = saved
    with pytest.raises(LocalProtocolError, match=reason):
        kind.from_bytes(data, identity)


def resealed(data: bytes) -> bytes:
    """The bytes with their checksum made right, as whoever can write them can do."""
    return data[:-32] + hashlib.sha256(data[:-32]).digest()


def test_bytes_of_any_kind_of_buffer(saved: Saved) -> None:
    kind, data, identity = saved
    for same in (bytearray(data), memoryview(data), memoryview(np.frombuffer(data, np.uint8))):
        assert kind.from_bytes(same, identity).to_bytes() == data


def test_every_changed_byte_is_noticed(saved: Saved) -> None:
    _, data, _ = saved
    for at in range(len(data)):
        reason = "as this version of fedsecure saves them" if at < 17 else "damaged"
        refuses(saved, data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :], reason)


def test_every_truncation_is_noticed(saved: Saved) -> None:
    _, data, _ = saved
    for size in range(len(data)):
        refuses(saved, data[:size], "not the bytes of a party" if size < 57 else "damaged")
    refuses(saved, data + b"\0", "damaged")
    refuses(saved, data + data, "damaged")


@pytest.mark.parametrize(
    "data",
    [b"", MARK, bytes(100), b"x" * 10_000, pickle.dumps({"a": 1}), MARK + b"\2" + bytes(200)],
)
def test_foreign_bytes(saved: Saved, data: bytes) -> None:
    refuses(saved, data, "not the bytes of a party as this version")
    refuses(saved, resealed(data + bytes(32)), "not the bytes of a")


@pytest.mark.parametrize("data", [None, 5, "FEDSECURE-SECRET", [1, 2], 3.5])
def test_what_is_not_bytes(saved: Saved, data: Any) -> None:
    refuses(saved, data, f"a saved party is bytes, not {type(data).__name__}")


def test_bytes_with_gaps(saved: Saved) -> None:
    refuses(saved, memoryview(saved[1])[::2], "a saved party is bytes")


def test_a_client_is_no_server_and_a_server_no_client() -> None:
    client, server = saved_parties()
    refuses(client, server[1], "not the bytes of a client")
    with pytest.raises(LocalProtocolError, match="not the bytes of a server"):
        MaskingServer.from_bytes(client[1])


def test_another_version(saved: Saved) -> None:
    _, data, _ = saved
    assert data[16] == 1
    for version in (0, 2, 255):
        other = resealed(data[:16] + bytes([version]) + data[17:])
        refuses(saved, other, "as this version of fedsecure saves them")


@pytest.mark.parametrize("less", [1, 2, 100])
def test_a_state_cut_short(saved: Saved, less: int) -> None:
    _, data, _ = saved
    size = int.from_bytes(data[17:25], "little") - less
    refuses(saved, resealed(data[:17] + size.to_bytes(8, "little") + data[25:]), "not the bytes")


def state_of(saved: Saved) -> tuple[Any, bytes]:
    return parts(ClientState if saved[0] is MaskingClient else ServerState, saved[1])


def test_what_follows_the_state(saved: Saved) -> None:
    """A client has nothing there; a server has its vectors, to the byte."""
    state, vectors = state_of(saved)
    assert store(state, [memoryview(vectors)]) == saved[1]
    for wrong in (vectors + b"\0", vectors + bytes(50), vectors[:-1]):
        if wrong != vectors:
            refuses(saved, store(state, [memoryview(wrong)]), "not the bytes of a")


@pytest.mark.parametrize(
    "changes",
    [
        {"stage": "nowhere"},
        {"stage": ""},
        {"session": b""},
        {"session": case("semi_honest").session.to_bytes()[:-1]},
        {"client_id": -1},
        {"share_secret": 5},
        {"roster": b"\x91"},
        {"roster": wire.encode_control(Roster(()))},
        {"keyring": (b"",) * 7},
        {"sharers": ("one",)},
        {"alive": (0, 99)},
        {"made": -1},
    ],
)
def test_a_state_that_cannot_be(changes: dict[str, Any]) -> None:
    """What authenticates but fits no client is refused by name, whatever goes wrong inside."""
    client, _ = saved_parties()
    state, _ = state_of(client)
    refuses(client, store(msgspec.structs.replace(state, **changes)), "not the bytes of a client")


@pytest.mark.parametrize(
    "changes",
    [
        {"stage": "nowhere"},
        {"session": b"x"},
        {"asked": (-1,)},
        {"alive": 3},
        {"arriving": ()},
    ],
)
def test_a_server_state_that_cannot_be(changes: dict[str, Any]) -> None:
    _, server = saved_parties()
    state, vectors = state_of(server)
    changed = msgspec.structs.replace(state, **changes)
    refuses(server, store(changed, [memoryview(vectors)]), "not the bytes of a server")


def test_errors_inside_are_told_by_kind_alone() -> None:
    """What goes wrong in a restored party may quote its secrets; its type is all that is said."""

    def restore(state: ClientState, rest: memoryview) -> None:
        raise kind("secret")

    data = case("semi_honest").clients[ME].to_bytes()
    for kind in (ValueError, TypeError, KeyError, IndexError):
        with pytest.raises(LocalProtocolError, match=f"of a client: {kind.__name__}$"):
            load(ClientState, data, restore)
    kind = RemoteProtocolError
    with pytest.raises(LocalProtocolError, match="of a client: secret"):
        load(ClientState, data, restore)
    kind = ZeroDivisionError
    with pytest.raises(ZeroDivisionError):
        load(ClientState, data, restore)


# --- whose bytes ------------------------------------------------------------------------------


def test_a_restored_client_needs_its_own_identity() -> None:
    parties = case("malicious").until(Stage.SHARE_KEYS)
    data = parties.clients[ME].to_bytes()
    for wrong in (None, parties.protocol.identity_of(2), Identity.generate()):
        with pytest.raises(LocalProtocolError, match="needs the Identity whose verify key is"):
            MaskingClient.from_bytes(data, wrong)
    weak = case("semi_honest").clients[ME].to_bytes()
    with pytest.raises(LocalProtocolError, match="signs nothing in this session"):
        MaskingClient.from_bytes(weak, Identity.generate())


def test_a_restored_client_is_the_same_client() -> None:
    parties = case("malicious", count=5, ids=[3, 7, 8, 20, 4_000_000_000], round=12)
    for name in parties.clients:
        client = restored(parties, name)
        assert client.client_id == name
        assert client._session.to_bytes() == parties.session.to_bytes()
    parties.finish()

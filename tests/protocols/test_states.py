"""The state table, exhaustively: every stage, every kind of message, on both sides."""

from __future__ import annotations

import pytest

from fedsecure import wire
from fedsecure.aggregate import play
from fedsecure.errors import LocalProtocolError, RemoteProtocolError
from fedsecure.protocols.masking.messages import Kind
from fedsecure.protocols.masking.states import TABLE, Act, Flow, Role, Stage, step
from parties import (
    FIVE_STAGES,
    LEVELS,
    SENT_BY_CLIENT,
    SENT_BY_SERVER,
    STAGES,
    Parties,
    reseal,
    stages_of,
)

EVENTS = [*Kind, *Act]


@pytest.mark.parametrize("flow", Flow, ids=lambda flow: flow.name)
@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.name)
def test_step_is_the_table(flow: Flow, role: Role, stage: Stage, event: Kind | Act) -> None:
    following = TABLE[flow][role].get(stage, {}).get(event)
    if following is not None:
        assert step(flow, role, stage, event) is following
        return
    error = RemoteProtocolError if isinstance(event, Kind) else LocalProtocolError
    with pytest.raises(error, match=stage):
        step(flow, role, stage, event)


@pytest.mark.parametrize("flow", Flow, ids=lambda flow: flow.name)
def test_table_has_the_protocol_and_nothing_else(flow: Flow) -> None:
    """A client gives its answers in order; nothing leads back, out of an end, or around."""
    table = TABLE[flow]
    stages = FIVE_STAGES if flow is Flow.FIVE_STAGES else STAGES
    order = [*stages, Stage.FINISHED]
    assert set(table) == set(Role)
    assert all(set(table[role]) == {*order, Stage.ABORTED} for role in Role)
    for role in Role:
        for stage, moves in table[role].items():
            if stage in (Stage.FINISHED, Stage.ABORTED):
                assert moves == {}
                continue
            forward = {event: to for event, to in moves.items() if to is not Stage.ABORTED}
            for event, to in forward.items():
                stays = role is Role.SERVER and isinstance(event, Kind)
                assert order.index(to) == order.index(stage) + (0 if stays else 1)
            kinds = {event for event in moves if isinstance(event, Kind)}
            expected = SENT_BY_CLIENT if role is Role.SERVER else SENT_BY_SERVER[flow]
            assert kinds == ({expected[stage]} if stage in expected else set())


@pytest.fixture(scope="module")
def samples() -> dict[Kind, bytes]:
    """One valid message of each kind, to or from client 0, of a session that is over."""
    found: dict[Kind, bytes] = {}

    def observe(direction: str, name: int, stage: str, data: bytes) -> None:
        if name == 0:
            found.setdefault(Kind(data[5]), data)

    for adversary in LEVELS:
        parties = Parties(4, adversary=adversary)
        play(parties.server, parties.clients, observe=observe)
    assert set(found) == set(Kind)
    return found


def misplaced(role: Role) -> list[tuple[str, Stage, Kind, str]]:
    """Every stage with every kind: valid or foreign where it has no place, spoilt everywhere."""
    return [
        (adversary, stage, kind, how)
        for adversary in LEVELS
        for stage in stages_of(adversary)
        for kind in Kind
        for how in ("valid", "garbage", "truncated", "foreign")
        if how != "valid" or kind not in TABLE[flow_for(adversary)][role][stage]
    ]


def flow_for(adversary: str) -> Flow:
    return Flow.FIVE_STAGES if adversary == "malicious" else Flow.FOUR_STAGES


def misplace(sample: bytes, parties: Parties, sender: int, how: str) -> bytes:
    """A message of an earlier session as somebody sends it into this one."""
    changes: dict[str, object] = {"sender": sender}
    if how != "foreign":
        changes["session_id"] = parties.session.session_id
        changes["suite"] = parties.session.suite
    if how == "garbage":
        changes["body"] = b"\x90"
    message = reseal(sample, **changes)
    return message[:-1] if how == "truncated" else message


@pytest.mark.parametrize(("adversary", "stage", "kind", "how"), misplaced(Role.CLIENT))
def test_client_refuses_what_is_out_of_place(
    adversary: str, stage: Stage, kind: Kind, how: str, samples: dict[Kind, bytes]
) -> None:
    """What is not the stage's own message changes nothing: the session ends in the exact sum."""
    parties = Parties(4, adversary=adversary).until(stage)
    client = parties.clients[0]
    assert client.stage is stage
    with pytest.raises(RemoteProtocolError):
        client.receive(misplace(samples[kind], parties, wire.SERVER, how))
    assert client.stage is stage
    parties.finish()


@pytest.mark.parametrize(("adversary", "stage", "kind", "how"), misplaced(Role.SERVER))
def test_server_refuses_what_is_out_of_place(
    adversary: str, stage: Stage, kind: Kind, how: str, samples: dict[Kind, bytes]
) -> None:
    parties = Parties(4, adversary=adversary).until(stage)
    server = parties.server
    with pytest.raises(RemoteProtocolError, match=f"client 0 in stage {stage}"):
        server.receive(0, misplace(samples[kind], parties, 0, how))
    assert server.stage is stage
    assert 0 in server.waiting_for
    parties.finish()


@pytest.mark.parametrize("adversary", LEVELS)
def test_a_message_replayed_in_the_next_stage_changes_nothing(adversary: str) -> None:
    """Whatever a party has had, it does not take again."""
    parties = Parties(4, adversary=adversary)
    had: list[tuple[int, bytes]] = []
    said: list[tuple[int, bytes]] = []
    while not parties.server.finished:
        for name in list(parties.mail):
            had += [(name, data) for data in parties.mail[name] or ()]
            for message in parties.answer(name):
                said.append((name, message))
                parties.server.receive(name, message)
        for name, message in said:
            with pytest.raises(RemoteProtocolError):
                parties.server.receive(name, message)
        for name, message in had:
            before = parties.clients[name].stage
            with pytest.raises(RemoteProtocolError):
                parties.clients[name].receive(message)
            assert parties.clients[name].stage is before
        parties.mail = parties.server.advance()
    parties.check()


@pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.name)
def test_a_finished_party_takes_nothing(kind: Kind, samples: dict[Kind, bytes]) -> None:
    parties = Parties(4)
    parties.finish()
    here = parties.session.session_id
    for client in parties.clients.values():
        assert client.finished
        assert client.stage is Stage.FINISHED
        with pytest.raises(RemoteProtocolError):
            client.receive(reseal(samples[kind], session_id=here, sender=wire.SERVER))
    with pytest.raises(RemoteProtocolError):
        parties.server.receive(0, reseal(samples[kind], session_id=here, sender=0))
    with pytest.raises(LocalProtocolError, match="FINISHED cannot advance"):
        parties.server.advance()
    parties.check()


@pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.name)
def test_an_aborted_client_takes_nothing(kind: Kind, samples: dict[Kind, bytes]) -> None:
    parties = Parties(4).until(Stage.SHARE_KEYS)
    here = parties.session.session_id
    client = parties.clients[0]
    with pytest.raises(RemoteProtocolError, match="ended the session in stage SHARE_KEYS"):
        client.receive(reseal(samples[Kind.ROSTER], session_id=here))  # another session's keys
    assert client.finished
    assert client.stage is Stage.ABORTED
    with pytest.raises(RemoteProtocolError, match="ABORTED"):
        client.receive(parties.mail[0][0])
    with pytest.raises(RemoteProtocolError):
        client.receive(reseal(samples[kind], session_id=here, sender=wire.SERVER))
    with pytest.raises(LocalProtocolError):
        client.start()


def test_the_caller_cannot_repeat_or_skip_a_stage() -> None:
    parties = Parties(4)
    parties.clients[0].start()
    with pytest.raises(LocalProtocolError, match="SHARE_KEYS cannot start"):
        parties.clients[0].start()
    assert parties.clients[0].stage is Stage.SHARE_KEYS

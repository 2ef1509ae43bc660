"""The state table, exhaustively: every stage, every kind of message, on both sides."""

from __future__ import annotations

import pytest

from fedsecure import wire
from fedsecure.aggregate import play
from fedsecure.errors import LocalProtocolError, RemoteProtocolError
from fedsecure.protocols.masking.messages import Kind
from fedsecure.protocols.masking.states import TABLE, Act, Role, Stage, step
from parties import SENT_BY_CLIENT, SENT_BY_SERVER, STAGES, Parties, reseal

EVENTS = [*Kind, *Act]


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.name)
def test_step_is_the_table(role: Role, stage: Stage, event: Kind | Act) -> None:
    following = TABLE[role][stage].get(event)
    if following is not None:
        assert step(role, stage, event) is following
        return
    error = RemoteProtocolError if isinstance(event, Kind) else LocalProtocolError
    with pytest.raises(error, match=stage):
        step(role, stage, event)


def test_table_has_the_protocol_and_nothing_else() -> None:
    """A client gives its four answers in order; nothing leads back, out of an end, or around."""
    assert set(TABLE) == set(Role)
    assert all(set(TABLE[role]) == set(Stage) for role in Role)
    order = [*STAGES, Stage.FINISHED]
    for role in Role:
        for stage, moves in TABLE[role].items():
            if stage in (Stage.FINISHED, Stage.ABORTED):
                assert moves == {}
                continue
            forward = {event: to for event, to in moves.items() if to is not Stage.ABORTED}
            for event, to in forward.items():
                stays = role is Role.SERVER and isinstance(event, Kind)
                assert order.index(to) == order.index(stage) + (0 if stays else 1)
            kinds = {event for event in moves if isinstance(event, Kind)}
            expected = SENT_BY_CLIENT if role is Role.SERVER else SENT_BY_SERVER
            assert kinds == ({expected[stage]} if stage in expected else set())


@pytest.fixture(scope="module")
def samples() -> dict[Kind, bytes]:
    """One valid message of each kind, to or from client 0, of a session that is over."""
    found: dict[Kind, bytes] = {}

    def observe(direction: str, name: int, stage: str, data: bytes) -> None:
        if name == 0:
            found.setdefault(Kind(data[5]), data)

    parties = Parties(4)
    play(parties.server, parties.clients, observe=observe)
    assert set(found) == set(Kind)
    return found


def misplaced(role: Role) -> list[tuple[Stage, Kind, bool]]:
    """Every stage with every kind: valid where it has no place there, garbage everywhere."""
    return [
        (stage, kind, garbage)
        for stage in STAGES
        for kind in Kind
        for garbage in (False, True)
        if garbage or kind not in TABLE[role][stage]
    ]


@pytest.mark.parametrize(("stage", "kind", "garbage"), misplaced(Role.CLIENT))
def test_client_refuses_what_is_out_of_place(
    stage: Stage, kind: Kind, garbage: bool, samples: dict[Kind, bytes]
) -> None:
    """What is not the stage's own message changes nothing: the session ends in the exact sum."""
    parties = Parties(4).until(stage)
    client = parties.clients[0]
    assert client.stage is stage
    changes = {"body": b"\x90"} if garbage else {}
    message = reseal(
        samples[kind], session_id=parties.session.session_id, sender=wire.SERVER, **changes
    )
    with pytest.raises(RemoteProtocolError):
        client.receive(message)
    assert client.stage is stage
    parties.finish()


@pytest.mark.parametrize(("stage", "kind", "garbage"), misplaced(Role.SERVER))
def test_server_refuses_what_is_out_of_place(
    stage: Stage, kind: Kind, garbage: bool, samples: dict[Kind, bytes]
) -> None:
    parties = Parties(4).until(stage)
    server = parties.server
    changes = {"body": b"\x90"} if garbage else {}
    message = reseal(samples[kind], session_id=parties.session.session_id, sender=0, **changes)
    with pytest.raises(RemoteProtocolError, match=f"client 0 in stage {stage}"):
        server.receive(0, message)
    assert server.stage is stage
    assert 0 in server.waiting_for
    parties.finish()


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

"""Parties that were told different things: of the model, the configuration, or each other."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from attackers import (
    SETTINGS,
    Spy,
    ends_the_session,
    forged,
    parties_of,
    replace_peer,
    roster_of,
    with_same_identities,
)
from fedsecure import wire
from fedsecure.encoding import FixedPoint
from fedsecure.errors import CheaterDetected
from fedsecure.primitives.masks import Prg
from fedsecure.protocols.masking import schedule
from fedsecure.protocols.masking.messages import (
    AdvertiseKeys,
    Kind,
    Member,
    Roster,
    ShareDelivery,
    ShareKeys,
    read,
)
from fedsecure.protocols.masking.states import Stage
from parties import LEVELS, Parties, body_of, encoded

if TYPE_CHECKING:
    from fedsecure.protocols.session import Session


OTHERS: dict[str, dict[str, Any]] = {
    "model": {"model_digest": bytes(31) + b"\1"},
    "shapes": {"size": 52},
    "bits": {"encoding": FixedPoint(4.0, 13)},
    "clip": {"encoding": FixedPoint(5.0, 12)},
    "ring": {"encoding": FixedPoint(4.0, 12, modulus_bits=40)},
    "threshold": {"threshold": 5},
    "chunk": {"chunk": 17},
}


def told_otherwise(setting: str, what: str) -> Parties:
    """A session in which client 0, and it alone, was told something else."""
    more = OTHERS[what]
    parties = with_same_identities(setting)
    twin = with_same_identities(setting, session_id=parties.session.session_id, **more)
    parties.clients[0] = twin.clients[0]
    return parties


@pytest.mark.parametrize("what", OTHERS)
def test_a_signer_that_was_told_otherwise_is_found_at_the_door(what: str) -> None:
    """[A11] [A39] Its signature is on its own configuration and model: the server sees at once."""
    parties = told_otherwise("malicious", what)
    with pytest.raises(CheaterDetected, match="wrong signature of client 0") as caught:
        parties.server.receive(0, parties.answer(0)[0])
    assert caught.value.culprit == 0
    parties.finish_stage(absent=[0])
    parties.finish()


@pytest.mark.parametrize("what", OTHERS)
def test_a_server_that_tells_one_signer_otherwise_is_found_by_it(what: str) -> None:
    """[A11] [A39] The others signed another configuration or model than this client has."""
    parties = told_otherwise("malicious", what)
    twin = with_same_identities("malicious", session_id=parties.session.session_id, **OTHERS[what])
    said = read(AdvertiseKeys, body_of(twin.clients[0].start()[0]))
    own = Member(0, said.share_key, said.mask_key, said.signature)
    parties.finish_stage(absent=[0])
    message = forged(twin, Kind.ROSTER, Roster((own, *roster_of(parties, 1))))
    error = ends_the_session(twin, 0, message, "wrong signature of client 1")
    assert isinstance(error, CheaterDetected)
    assert error.culprit == wire.SERVER


@pytest.mark.parametrize("what", sorted(set(OTHERS) - {"threshold"}))
@pytest.mark.parametrize("setting", ["semi_honest", "semi_malicious", "regular"])
def test_where_nobody_signs_no_share_opens(setting: str, what: str) -> None:
    """[A11] [A39] No masked input leaves the odd client or its neighbors: there is no sum."""
    parties = told_otherwise(setting, what)
    spy = Spy(parties).until(Stage.MASKED_INPUT)
    near = spy.graph.neighbors(0)
    for name in (0, *near):
        ends_the_session(parties, name, parties.mail[name][0], "does not authenticate")
    assert spy.vectors == {}


def test_negative_control_a_context_without_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """[A11] Without it in the context, clients of two models would add up to one sum."""
    draw_graph = schedule.draw_graph

    def modelless(session: Session, members: Any) -> Any:
        return draw_graph(replace(session, model_digest=bytes(32)), members)

    monkeypatch.setattr(schedule, "draw_graph", modelless)
    parties = told_otherwise("semi_malicious", "model")
    parties.inputs[0] = encoded(parties.clients[0])
    parties.finish()


@pytest.mark.parametrize("setting", SETTINGS)
def test_two_rosters_of_signed_keys(setting: str) -> None:
    """[A39] Half of the clients are not shown the last one: all keys are real, no share opens."""
    count = 14 if setting == "regular" else 9
    parties = parties_of(setting, count).until(Stage.SHARE_KEYS)
    members = roster_of(parties, 0)
    short = forged(parties, Kind.ROSTER, Roster(members[:-1]))
    half = range(count // 2)
    shared: dict[int, ShareKeys] = {}
    for name in parties.mail:
        message = short if name in half else parties.mail[name][0]
        (answer,) = parties.clients[name].receive(message)
        shared[name] = read(ShareKeys, body_of(answer))
    graph, _ = schedule.draw_graph(parties.session, members[:-1])
    for name in half:
        entries = []
        for sender in graph.neighbors(name):
            ours = {entry.peer: entry for entry in shared[sender].sealed}
            # In its other graph the sender may not have shared with this client at all.
            entries.append(replace_peer(ours.get(name, shared[sender].sealed[0]), sender))
        delivery = forged(parties, Kind.SHARE_DELIVERY, ShareDelivery((), tuple(entries)))
        ends_the_session(parties, name, delivery, "does not authenticate")


@pytest.mark.parametrize("adversary", LEVELS)
def test_half_of_the_clients_cannot_go_on_by_themselves(adversary: str) -> None:
    """[A39] [A8] Those who agree among each other are told that the rest is gone: too few."""
    parties = Parties(9, adversary=adversary).until(Stage.SHARE_KEYS)
    short = forged(parties, Kind.ROSTER, Roster(roster_of(parties, 0)[:-1]))
    parties.mail = {n: [short] if n < 4 else parties.mail[n] for n in range(9)}
    spy = Spy(parties)
    for name in range(4):
        spy.keep(Stage.SHARE_KEYS, name, parties.answer(name))
    for name in range(4):
        reason = "leaves 4 clients, below the threshold"
        ends_the_session(parties, name, spy.delivery(name, range(4, 8)), reason)


def test_two_deliveries_are_two_transcripts() -> None:
    """[A39] The same survivors, and client 6 gone for one and dead for the others: nobody answers.

    What the one has not masked with, the others would take off.
    """
    parties = Parties(7, adversary="malicious")
    spy = Spy(parties).until(Stage.MASKED_INPUT)
    parties.mail = {**parties.mail, 0: [spy.delivery(0, (6,))]}
    spy.finish_stage(late=[6])
    views: dict[int, tuple[int, ...]] = dict.fromkeys(range(1, 6), (6,))
    assert spy.tell({0: (), **views}, pad=True) == []
    told = {parties.clients[name].transcript for name in range(6)}
    assert len(told) == 2
    assert len({parties.clients[name]._membership.alive for name in range(6)}) == 1


# --- what the context is made of ---------------------------------------------------------------


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_context_is_of_every_part(setting: str) -> None:
    """[A4] [A11] [A39] Session, round, configuration, model, and all keys and names it has."""
    parties = parties_of(setting).until(Stage.SHARE_KEYS)
    session, members = parties.session, roster_of(parties, 0)
    changes: list[dict[str, Any]] = [
        {"session_id": bytes(16)},
        {"round": 1},
        {"model_digest": bytes(31) + b"\1"},
        {"threshold": session.threshold + 1},
        {"survivors": session.survivors - 1},
        {"encoding": FixedPoint(4.0, 13)},
        {"weighted": True, "encoding": FixedPoint(4.0, 12, max_weight=2.0)},
        {"protocol": "pairwise-masking/another"},
        {"suite": session.suite + 1},
    ]
    seen = [schedule.draw_graph(replace(session, **change), members)[1] for change in changes]
    rosters = [members, members[1:]]
    for at, member in enumerate(members):
        for other in ({"share_key": bytes(32)}, {"mask_key": bytes(32)}):
            new = msgspec.structs.replace(member, **other)
            rosters.append((*members[:at], new, *members[at + 1 :]))
    rosters.append((*members[:-1], msgspec.structs.replace(members[-1], client_id=99)))
    seen += [schedule.draw_graph(session, roster)[1] for roster in rosters]
    assert len(set(seen)) == len(changes) + 3 + 2 * len(members)


@pytest.mark.parametrize("session", [{"session_id": bytes(16)}, {"round": 1}, {}])
def test_two_sessions_with_one_roster_have_nothing_in_common(session: dict[str, Any]) -> None:
    """[A4] Even for clients whose keys were the same, as those of a cloned machine would be."""
    parties = Parties(4, adversary="malicious").until(Stage.SHARE_KEYS)
    members = roster_of(parties, 0)
    other = replace(parties.session, **session)
    contexts = [schedule.draw_graph(chosen, members)[1] for chosen in (parties.session, other)]
    agreed = bytes(32)
    derived = {
        make(ctx)
        for ctx in contexts
        for make in (
            lambda ctx: schedule.pair_seed(agreed, ctx, Prg.AES128, 0, 1),
            lambda ctx: schedule.self_seed(agreed, ctx, Prg.AES128, 0),
            lambda ctx: schedule.share_key(agreed, ctx, 0, 1),
            lambda ctx: schedule.share_key(agreed, ctx, 1, 0),
            lambda ctx: schedule.share_label(ctx, 0, 1, agreed, agreed),
            lambda ctx: schedule.key_tag(ctx, 0, 1, agreed),
            lambda ctx: schedule.seed_tag(ctx, 0, 1, agreed),
            lambda ctx: schedule.commitment(agreed, ctx, 0),
            lambda ctx: schedule.transcript(ctx, (0, 1, 2), (0, 1)),
            lambda ctx: schedule.shares_statement(ctx, 0, agreed),
        )
    }
    assert len(derived) == (20 if session else 10)

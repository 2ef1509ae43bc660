"""Asking for both kinds of share of one client: twice, in two guises, or bit by bit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from attackers import (
    SETTINGS,
    Spy,
    ends_the_session,
    forged,
    parties_of,
    stages_in,
)
from fedsecure.errors import RemoteProtocolError
from fedsecure.protocols.masking import MaskingClient, schedule
from fedsecure.protocols.masking.messages import (
    Confirmations,
    Kind,
    ShareDelivery,
    Survivors,
    UnmaskRequest,
    read,
)
from fedsecure.protocols.masking.states import Stage
from parties import LEVELS, Parties, body_of, reseal

if TYPE_CHECKING:
    from collections.abc import Collection


VICTIM = 1
WEAKER = ("semi_honest", "semi_malicious", "regular")


def uploaded(setting: str, **more: Any) -> Spy:
    """A session in which all masked inputs have arrived and nothing was asked yet."""
    spy = Spy(parties_of(setting, **more)).until(Stage.MASKED_INPUT)
    spy.finish_stage()
    return spy


def requested(parties: Parties, dead: Collection[int]) -> bytes:
    """The message that says who is dead, in the words of the session's level."""
    malicious = bool(parties.session.verify_keys)
    kind = Kind.SURVIVORS if malicious else Kind.UNMASK_REQUEST
    body = Survivors if malicious else UnmaskRequest
    return forged(parties, kind, body(tuple(sorted(dead))))


# --- both kinds of share ----------------------------------------------------------------------


@pytest.mark.parametrize("first", [(), (VICTIM,)], ids=["alive-first", "dead-first"])
@pytest.mark.parametrize("setting", WEAKER)
def test_dead_now_and_alive_then(setting: str, first: tuple[int, ...]) -> None:
    """[A1] The second request, whichever it is, gets nothing from anybody."""
    spy = uploaded(setting)
    parties = spy.parties
    second = () if first else (VICTIM,)
    others = [name for name in parties.clients if name != VICTIM]
    assert spy.tell(dict.fromkeys(others, first)) == others
    for name in others:
        with pytest.raises(RemoteProtocolError, match="no place in stage FINISHED"):
            parties.clients[name].receive(requested(parties, second))
    assert (spy.secret("key", VICTIM) is None) == (first == ())
    assert (spy.secret("seed", VICTIM) is None) == (first != ())
    assert not spy.has_input_of(VICTIM)


@pytest.mark.parametrize("first", [(), (VICTIM,)], ids=["alive-first", "dead-first"])
def test_dead_now_and_alive_then_among_those_who_compare(first: tuple[int, ...]) -> None:
    """[A1] Whoever signed one set of survivors neither signs nor answers another."""
    spy = uploaded("malicious")
    parties = spy.parties
    second = () if first else (VICTIM,)
    others = [name for name in parties.clients if name != VICTIM]
    assert spy.tell(dict.fromkeys(others, first)) == others
    for name in others:
        for kind, body in (
            (Kind.SURVIVORS, Survivors(second)),
            (Kind.UNMASK_REQUEST, UnmaskRequest(second)),
            (Kind.CONFIRMATIONS, Confirmations(())),
        ):
            with pytest.raises(RemoteProtocolError, match="no place in stage FINISHED"):
                parties.clients[name].receive(forged(parties, kind, body))
    assert not spy.has_input_of(VICTIM)


@pytest.mark.parametrize("setting", SETTINGS)
def test_negative_control_clients_that_answer_twice(setting: str) -> None:
    """[A1] Put back to before its answer, each client gives the other share, and all is lost."""
    spy = uploaded(setting)
    parties = spy.parties
    names = [name for name in parties.clients if name != VICTIM]
    saved = {name: parties.clients[name].to_bytes() for name in names}
    assert spy.tell(dict.fromkeys(names, (VICTIM,))) == names
    assert not spy.has_input_of(VICTIM)
    for name, data in saved.items():
        own = parties.protocol.identity_of(name)
        parties.clients[name] = MaskingClient.from_bytes(data, own)
    assert spy.tell(dict.fromkeys(names, ())) == names
    assert spy.has_input_of(VICTIM)


@pytest.mark.parametrize("setting", SETTINGS)
def test_no_answer_ever_has_both_kinds(setting: str) -> None:
    """[A1] Over all sets of dead that the threshold allows: each holder, each owner, one kind."""
    count = len(parties_of(setting).clients)
    choices = [set(), {VICTIM}, {0}, {count - 1}] + [{2, 3}] * (setting == "regular")
    for dead in choices:
        spy = Spy(parties_of(setting)).until(Stage.MASKED_INPUT)
        spy.finish_stage(late=dead)
        while not spy.parties.server.finished:
            spy.finish_stage()
        spy.parties.check()
        seeds, mask_keys = spy.shares["seed"], spy.shares["key"]
        assert set(mask_keys) == dead
        assert set(seeds) == set(spy.parties.clients) - dead
        for name in dead:  # late, it arrived nevertheless: and stays masked
            assert spy.secret("key", name) is not None
            assert not spy.has_input_of(name)


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_request_that_names_a_client_twice_is_malformed(setting: str) -> None:
    """[A1] The living are the complement of the dead: no message puts one client in both."""
    spy = uploaded(setting)
    parties = spy.parties
    malicious = setting == "malicious"
    kind = Kind.SURVIVORS if malicious else Kind.UNMASK_REQUEST
    for body in (b"\x91\x92\x01\x01", b"\x91\x92\x02\x01", b"\x92\x91\x01\x91\x01"):
        message = reseal(requested(parties, ()), kind=kind, body=body)
        with pytest.raises(RemoteProtocolError):
            parties.clients[0].receive(message)
        assert parties.clients[0].stage is stages_in(setting)[3]
    spy.until(Stage.FINISHED)
    parties.check()


# --- step by step -----------------------------------------------------------------------------


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_growing_dead_set(setting: str) -> None:
    """[A37] One more dead client in each request: only the first of them is answered."""
    spy = uploaded(setting, count=12)
    parties = spy.parties
    names = [0, *range(3, 12)]
    assert spy.tell(dict.fromkeys(names, (1,))) == names
    for dead in ((1, 2), (2,), (1,), ()):
        for name in names:
            with pytest.raises(RemoteProtocolError, match="no place in stage FINISHED"):
                parties.clients[name].receive(requested(parties, dead))
    assert spy.secret("key", 1) is not None
    assert spy.secret("key", 2) is None
    assert not any(spy.has_input_of(name) for name in parties.clients)


@pytest.mark.parametrize("setting", SETTINGS)
def test_negative_control_a_dead_set_that_grows(setting: str) -> None:
    """[A37] With clients put back each time, the mask keys of all come out one after the other."""
    spy = uploaded(setting)
    parties = spy.parties
    saved = {name: client.to_bytes() for name, client in parties.clients.items()}
    for dead in (1, 2):
        names = [name for name in saved if name != dead]
        for name in names:
            own = parties.protocol.identity_of(name)
            parties.clients[name] = MaskingClient.from_bytes(saved[name], own)
        assert spy.tell(dict.fromkeys(names, (dead,))) == names
    assert spy.secret("key", 1) is not None
    assert spy.secret("key", 2) is not None
    assert spy.has_input_of(1)


# --- what it may be told ----------------------------------------------------------------------


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize(
    ("dead", "reason"),
    [
        ((0,), "calls this client itself dead"),
        ((0, 1), "calls this client itself dead"),
        ((2,), "client 2 dead, who never shared"),
        ((77,), "client 77 dead, who never shared"),
        ((1, 2), "client 2 dead, who never shared"),
        ((2**32 - 2,), "who never shared"),
    ],
)
def test_the_dead_are_others_and_were_alive(
    setting: str, dead: tuple[int, ...], reason: str
) -> None:
    """[A38] Not oneself, not a stranger, and not client 2, who left before it shared its keys."""
    count = {"regular": 12}.get(setting, 7)
    parties = parties_of(setting, count).until(Stage.SHARE_KEYS)
    parties.finish_stage(absent=[2])
    parties.finish_stage()
    ends_the_session(parties, 0, requested(parties, dead), reason)


@pytest.mark.parametrize("setting", LEVELS)
def test_negative_control_a_client_that_believes_it_is_dead(
    setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """[A38] Without the check, the server has both kinds of share of one client.

    The others give their shares of its mask key, and it gives its own share of its seed.
    """
    spy = uploaded(setting)
    clients = spy.parties.clients
    monkeypatch.setattr(clients[VICTIM]._membership, "_id", -1)
    assert spy.tell(dict.fromkeys(clients, (VICTIM,))) == list(clients)
    assert spy.secret("key", VICTIM) is None  # one of the "key" shares is none
    own = spy.shares["key"][VICTIM].pop(VICTIM)
    assert spy.secret("key", VICTIM) is not None
    tag = schedule.seed_tag(spy.ctx, VICTIM, VICTIM, own)
    assert tag == spy.shared[VICTIM].own_tag


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize(
    ("gone", "reason"),
    [
        ((0,), "delivery calls this client itself gone"),
        ((77,), "delivery calls client 77 gone, who is not in the roster"),
        ((2,), "delivery calls client 2 gone, who is not in the roster"),
    ],
)
def test_the_gone_are_others_and_of_the_roster(
    setting: str, gone: tuple[int, ...], reason: str
) -> None:
    """[A38] One stage earlier: who never shared. Client 2 never came."""
    count = {"regular": 12}.get(setting, 7)
    parties = parties_of(setting, count)
    parties.finish_stage(absent=[2])
    parties.finish_stage()
    sealed = read(ShareDelivery, body_of(parties.mail[0][0])).sealed
    message = forged(parties, Kind.SHARE_DELIVERY, ShareDelivery(gone, sealed))
    ends_the_session(parties, 0, message, reason)


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_request_before_its_time(setting: str) -> None:
    """[A38] Nobody is asked about the dead before its own vector is out, nor twice."""
    parties = parties_of(setting)
    for stage in stages_in(setting)[:3]:
        parties.until(stage)
        for kind in (Kind.SURVIVORS, Kind.UNMASK_REQUEST, Kind.CONFIRMATIONS):
            body = Confirmations(()) if kind is Kind.CONFIRMATIONS else UnmaskRequest((VICTIM,))
            with pytest.raises(RemoteProtocolError, match=f"no place in stage {stage}"):
                parties.clients[0].receive(forged(parties, kind, body))
    parties.finish()

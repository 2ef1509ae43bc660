"""Wrong shares: from who holds them, from who dealt them, and from who says that it did neither."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec
import numpy as np
import pytest

from attackers import SETTINGS, Spy, altered, ends_the_session, parties_of
from fedsecure.errors import CheaterDetected, LocalProtocolError, RemoteProtocolError
from fedsecure.primitives import shamir
from fedsecure.primitives.entropy import Secret
from fedsecure.protocols.masking import keyring, levels, schedule
from fedsecure.protocols.masking.messages import (
    HeldShare,
    ShareDelivery,
    ShareKeys,
    UnmaskShares,
    read,
)
from fedsecure.protocols.masking.states import Stage
from parties import Parties, body_of

LIAR = 1
COMPLETE = ("semi_honest", "semi_malicious", "malicious")
ANY_SHARE = b"\1" * 7 + b"\0" + bytes(32)


def to_unmasking(parties: Parties) -> tuple[Spy, int]:
    """A session at its last stage, in which a client that the liar holds shares of is dead."""
    spy = Spy(parties).until(Stage.MASKED_INPUT)
    dead = spy.graph.neighbors(LIAR)[-1]
    spy.finish_stage(late=[dead])
    return spy.until(Stage.UNMASKING), dead


def with_shares(body: UnmaskShares, changed: dict[int, bytes]) -> UnmaskShares:
    """The answer with other shares of these owners."""

    def change(entries: tuple[HeldShare, ...]) -> tuple[HeldShare, ...]:
        return tuple(HeldShare(e.owner, changed.get(e.owner, e.share)) for e in entries)

    return UnmaskShares(change(body.alive), change(body.dead))


def lies(body: UnmaskShares, dead: int) -> dict[str, UnmaskShares]:
    """Well-formed answers with one wrong share each, by what is wrong."""
    first, second = [held for held in body.alive if held.owner != LIAR][:2]
    found = {
        "of a living": with_shares(body, {first.owner: ANY_SHARE}),
        "of the dead": with_shares(body, {dead: ANY_SHARE}),
        "zero": with_shares(body, {first.owner: bytes(40)}),
        "another's": with_shares(body, {first.owner: second.share}),
        "two exchanged": with_shares(body, {first.owner: second.share, second.owner: first.share}),
        "the other kind": with_shares(body, {dead: first.share, first.owner: body.dead[0].share}),
    }
    if LIAR in {held.owner for held in body.alive}:
        found["its own"] = with_shares(body, {LIAR: first.share})
    return found


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_wrong_share_names_who_gave_it_and_the_rest_suffices(setting: str) -> None:
    """[A16] Each lie is refused when it comes, and the sum is had from the honest."""
    parties = parties_of(setting, 12 if setting == "regular" else 9)
    _, dead = to_unmasking(parties)
    (message,) = parties.answer(LIAR)
    told = lies(read(UnmaskShares, body_of(message)), dead)
    assert ("its own" in told) == (setting != "regular")
    for body in told.values():
        with pytest.raises(CheaterDetected, match="not the one it was given") as caught:
            parties.server.receive(LIAR, altered(message, body))
        assert caught.value.culprit == LIAR
        assert LIAR in parties.server.waiting_for
    parties.finish_stage(absent=[LIAR])
    parties.check()
    assert LIAR in parties.server.result().contributors


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_liar_may_still_tell_the_truth(setting: str) -> None:
    """[A16] A refused answer leaves the server as it was; a right one is welcome after it."""
    parties = parties_of(setting)
    _, dead = to_unmasking(parties)
    (message,) = parties.answer(LIAR)
    for body in lies(read(UnmaskShares, body_of(message)), dead).values():
        with pytest.raises(CheaterDetected):
            parties.server.receive(LIAR, altered(message, body))
    parties.server.receive(LIAR, message)
    parties.finish_stage(absent=[LIAR])
    parties.check()


@pytest.mark.parametrize("setting", SETTINGS)
def test_an_answer_about_others_than_those_asked_about(setting: str) -> None:
    """[A16] [A1] Too many shares, too few, or of the other kind: not what any request asks for."""
    parties = parties_of(setting)
    _, dead = to_unmasking(parties)
    (message,) = parties.answer(LIAR)
    good = read(UnmaskShares, body_of(message))
    (of_dead,) = good.dead
    first, *rest = good.alive
    both = sorted((*good.alive, of_dead), key=lambda held: held.owner)
    for alive, gone in (
        (rest, [of_dead]),
        (good.alive, []),
        (both, [of_dead]),
        (both, []),
        (rest, sorted((first, of_dead), key=lambda held: held.owner)),
        ([], []),
    ):
        body = UnmaskShares(tuple(alive), tuple(gone))
        with pytest.raises(RemoteProtocolError, match="not for exactly the clients asked about"):
            parties.server.receive(LIAR, altered(message, body))
    assert dead == of_dead.owner
    parties.server.receive(LIAR, message)
    parties.finish_stage(absent=[LIAR])
    parties.check()


def no_tags(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tags that say nothing about their shares."""
    for name in ("seed_tag", "key_tag"):
        monkeypatch.setattr(schedule, name, lambda *_: bytes(32))


@pytest.mark.parametrize("setting", SETTINGS)
def test_negative_control_a_wrong_share_without_tags(
    setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """[A16] The share is taken, the secret is not the owner's, and an honest client is blamed."""
    no_tags(monkeypatch)
    parties = parties_of(setting)
    _, dead = to_unmasking(parties)
    (message,) = parties.answer(LIAR)
    body = with_shares(read(UnmaskShares, body_of(message)), {dead: ANY_SHARE})
    parties.server.receive(LIAR, altered(message, body))
    parties.send([name for name in parties.mail if name != LIAR])
    with pytest.raises(CheaterDetected, match=f"shares of client {dead} do not give") as caught:
        parties.server.advance()
    assert caught.value.culprit == dead  # innocent


def test_negative_control_without_tags_and_commitments(monkeypatch: pytest.MonkeyPatch) -> None:
    """[A16] With neither, shares of another secret make noise of the sum of nothing but zeros."""
    no_tags(monkeypatch)
    monkeypatch.setattr(schedule, "commitment", lambda *_: bytes(32))
    updates = [{"w": np.zeros(4)}] * 5
    parties = Parties(5, updates=updates, adversary="semi_malicious")
    spy = Spy(parties).until(Stage.UNMASKING)
    xs = [spy.graph.position(2, holder) for holder in spy.graph.holders(2)]
    other = shamir.split([Secret(bytes(range(32)))], parties.session.threshold, xs)[0]
    for name in parties.mail:
        (message,) = parties.answer(name)
        body = with_shares(read(UnmaskShares, body_of(message)), {2: other[name].tobytes()})
        parties.server.receive(name, altered(message, body))
    with suppress(RemoteProtocolError):  # which is raised only if the noise leaves the range
        parties.server.advance()
    assert parties.server.finished
    assert parties.total.any()


# --- wrong dealers ----------------------------------------------------------------------------


def deal_otherwise(secrets: Any, threshold: int, xs: Any, prg: Any) -> Any:
    """Shares that fit together, of other secrets than the committed ones."""
    return shamir.split([Secret(bytes(32)), Secret(bytes(32))], threshold, xs, prg)


def deal_at_random(secrets: Any, threshold: int, xs: Any, prg: Any) -> Any:
    """Shares that do not even fit together."""
    many = [shamir.split(secrets, threshold, xs, prg) for _ in xs]
    return np.stack([many[at][:, at] for at in range(len(xs))], axis=1)


def cheat_at_sharing(parties: Parties, owner: int, deal: Any, monkeypatch: Any) -> None:
    """Lets one client deal its shares like this, and goes on to the delivery."""
    parties.until(Stage.SHARE_KEYS)
    with monkeypatch.context() as cheat:
        cheat.setattr(keyring, "split", deal)
        parties.send([owner])
    parties.finish_stage_of([name for name in parties.mail if name != owner])


@pytest.mark.parametrize("deal", [deal_otherwise, deal_at_random])
@pytest.mark.parametrize("vanishes", [False, True], ids=["stays", "vanishes"])
@pytest.mark.parametrize("setting", SETTINGS)
def test_a_secret_dealt_wrongly_names_its_owner(
    setting: str, vanishes: bool, deal: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """[A16] B_u and S_u were published before: the owner cannot deal another secret unnoticed."""
    parties = parties_of(setting)
    cheat_at_sharing(parties, LIAR, deal, monkeypatch)
    parties.finish_stage(absent=[LIAR] if vanishes else [])
    parties.until(Stage.UNMASKING)
    parties.send(list(parties.mail))
    before = parties.total.copy()
    with pytest.raises(CheaterDetected, match=f"shares of client {LIAR} do not give") as caught:
        parties.server.advance()
    assert caught.value.culprit == LIAR
    np.testing.assert_array_equal(parties.total, before)
    with pytest.raises(LocalProtocolError, match="no result"):
        parties.server.result()


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_round_without_the_dealer_gives_the_sum(
    setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """[A16] What the error says to do: the next session leaves the culprit out."""
    parties = parties_of(setting)
    cheat_at_sharing(parties, LIAR, deal_otherwise, monkeypatch)
    parties.until(Stage.UNMASKING)
    with pytest.raises(CheaterDetected, match="run the round again without it") as caught:
        parties.finish_stage()
    again = parties_of(setting)
    again.finish_stage(absent=[caught.value.culprit])
    again.finish()
    assert again.server.result().dropouts == (LIAR,)


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_share_that_is_not_the_tagged_one_names_its_dealer(
    setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """[A16] Else an honest holder could be blamed for it later; it finds out on delivery."""
    for tag in ("seed_tag", "key_tag"):
        parties = parties_of(setting).until(Stage.SHARE_KEYS)
        make = getattr(schedule, tag)
        with monkeypatch.context() as cheat:
            cheat.setattr(schedule, tag, lambda *given, make=make: make(*given[:3], b"no share"))
            parties.send([LIAR])
        parties.finish_stage_of([name for name in parties.mail if name != LIAR])
        holders = [n for n, mail in parties.mail.items() if LIAR in dealers_in(mail[0])]
        assert len(holders) >= 4
        for name in holders:
            message = parties.mail[name][0]
            error = ends_the_session(parties, name, message, "do not have the tags it gave")
            assert isinstance(error, CheaterDetected)
            assert error.culprit == LIAR


def dealers_in(delivery: bytes) -> set[int]:
    """Whose shares are in a delivery."""
    return {entry.peer for entry in read(ShareDelivery, body_of(delivery)).sealed}


@pytest.mark.parametrize("setting", SETTINGS)
def test_another_commitment_on_the_way(setting: str) -> None:
    """[A16] Signed against it; where nobody signs, the sum fails and no input is known for it."""
    parties = parties_of(setting).until(Stage.SHARE_KEYS)
    (message,) = parties.answer(LIAR)
    body = read(ShareKeys, body_of(message))
    other = msgspec.structs.replace(body, commitment=bytes(32))
    if setting == "malicious":
        with pytest.raises(CheaterDetected, match="wrong signature") as caught:
            parties.server.receive(LIAR, altered(message, other))
        assert caught.value.culprit == LIAR
        parties.server.receive(LIAR, message)
        parties.finish_stage_of([name for name in parties.mail if name != LIAR])
        parties.finish()
        return
    parties.server.receive(LIAR, altered(message, other))
    parties.finish_stage_of([name for name in parties.mail if name != LIAR])
    parties.until(Stage.UNMASKING)
    with pytest.raises(CheaterDetected, match=f"shares of client {LIAR} do not give"):
        parties.finish_stage()


def test_negative_control_shares_that_nobody_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    """[A16] Signatures of the shares are what finds that commitment at the malicious level."""
    parties = Parties(5, adversary="malicious").until(Stage.SHARE_KEYS)
    (message,) = parties.answer(LIAR)
    body = read(ShareKeys, body_of(message))
    other = msgspec.structs.replace(body, commitment=bytes(32))
    with monkeypatch.context() as careless:
        careless.setattr(levels, "check_signature", lambda *_: None)
        parties.server.receive(LIAR, altered(message, other))
    parties.finish_stage_of([name for name in parties.mail if name != LIAR])
    parties.until(Stage.UNMASKING)
    with pytest.raises(CheaterDetected, match=f"shares of client {LIAR} do not give"):
        parties.finish_stage()

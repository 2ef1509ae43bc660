"""Messages that belong elsewhere: to another session, another round, or the other direction.

Each kind of message is moved to another session and to another round, as it is and under the header
of its new home, at every level.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from attackers import (
    SETTINGS,
    Spy,
    ends_the_session,
    forged,
    parties_of,
    stages_in,
    weakened,
    with_same_identities,
)
from fedsecure import wire
from fedsecure.errors import CheaterDetected, RemoteProtocolError
from fedsecure.protocols.masking import keyring, schedule
from fedsecure.protocols.masking.messages import (
    Kind,
    ShareDelivery,
    ShareKeys,
    read,
)
from fedsecure.protocols.masking.states import Stage
from parties import Parties, body_of, reseal

if TYPE_CHECKING:
    from fedsecure.protocols.session import Session

OLD_SESSION = bytes(range(16))


@cache
def past(setting: str) -> dict[tuple[str, Stage], bytes]:
    """The first message to and from client 0 in each stage of a session that is over."""
    parties = with_same_identities(setting, session_id=OLD_SESSION, round=6)
    found: dict[tuple[str, Stage], bytes] = {}
    for stage in stages_in(setting):
        if stage is not Stage.ADVERTISE_KEYS:
            found["to", stage] = parties.mail[0][0]
        answers = {name: parties.answer(name) for name in parties.mail}
        found["from", stage] = answers[0][0]
        for name, messages in answers.items():
            for message in messages:
                parties.server.receive(name, message)
        parties.mail = parties.server.advance()
    parties.check()
    return found


EVERY_STAGE = [(setting, stage) for setting in SETTINGS for stage in stages_in(setting)]


@pytest.mark.parametrize("where", [{"round": 6}, {"session_id": OLD_SESSION, "round": 7}])
@pytest.mark.parametrize(("setting", "stage"), EVERY_STAGE)
def test_a_message_of_another_session_or_round(
    setting: str, stage: Stage, where: dict[str, Any]
) -> None:
    """[A4] As it was: a cheat of its sender, on both sides, and the session goes on without it."""
    parties = with_same_identities(setting, **where).until(stage)
    reason = "another session" if "session_id" not in where else "round 6, not 7"
    with pytest.raises(CheaterDetected, match=reason) as caught:
        parties.server.receive(0, past(setting)["from", stage])
    assert caught.value.culprit == 0
    if stage is not Stage.ADVERTISE_KEYS:
        with pytest.raises(CheaterDetected, match=reason) as caught:
            parties.clients[0].receive(past(setting)["to", stage])
        assert caught.value.culprit == wire.SERVER
    parties.finish()


def moved(message: bytes, session: Session) -> bytes:
    """The message under a header of this session."""
    return reseal(message, session_id=session.session_id, round_number=session.round)


TO_CLIENT = {
    Stage.SHARE_KEYS: "this client's keys",
    Stage.MASKED_INPUT: "does not authenticate|not from this client's neighbors",
    Stage.UNMASKING: "wrong signature of client 0",
}


@pytest.mark.parametrize("where", [{"round": 6}, {"session_id": OLD_SESSION, "round": 7}])
@pytest.mark.parametrize(
    ("setting", "stage"),
    [
        (setting, stage)
        for setting, stage in EVERY_STAGE
        if stage in TO_CLIENT and (stage is not Stage.UNMASKING or setting == "malicious")
    ],
)
def test_old_words_of_the_server_under_a_new_header(
    setting: str, stage: Stage, where: dict[str, Any]
) -> None:
    """[A4] Roster, shares and confirmations are of one session, whatever stands above them.

    The two lists of the dead hold nothing but ids, and say the same in every session.
    """
    parties = with_same_identities(setting, **where).until(stage)
    message = moved(past(setting)["to", stage], parties.session)
    ends_the_session(parties, 0, message, TO_CLIENT[stage])


FROM_CLIENT = {
    Stage.ADVERTISE_KEYS: "wrong signature of client 0",
    Stage.SHARE_KEYS: "wrong signature of client 0",
    Stage.CONSISTENCY_CHECK: "wrong signature of client 0",
    Stage.UNMASKING: "not the one it was given",
}


@pytest.mark.parametrize("where", [{"round": 6}, {"session_id": OLD_SESSION, "round": 7}])
@pytest.mark.parametrize("stage", FROM_CLIENT)
def test_old_words_of_a_client_under_a_new_header(stage: Stage, where: dict[str, Any]) -> None:
    """[A4] Signed by the same identity, and of another session: the server takes none of it."""
    parties = with_same_identities("malicious", **where).until(stage)
    message = moved(past("malicious")["from", stage], parties.session)
    with pytest.raises(CheaterDetected, match=FROM_CLIENT[stage]) as caught:
        parties.server.receive(0, message)
    assert caught.value.culprit == 0
    parties.finish()


@pytest.mark.parametrize("setting", ["semi_honest", "semi_malicious", "regular"])
def test_old_shares_where_nobody_signs(setting: str) -> None:
    """[A4] Without signatures receivers find out: the shares of another session do not open."""
    parties = with_same_identities(setting).until(Stage.SHARE_KEYS)
    old = read(ShareKeys, body_of(past(setting)["from", Stage.SHARE_KEYS]))
    (message,) = parties.answer(0)
    new = read(ShareKeys, body_of(message))
    sealed = tuple(
        type(entry)(entry.peer, other.ciphertext, other.key_tag, other.seed_tag)
        for entry, other in zip(new.sealed, old.sealed, strict=True)
    )
    body = wire.encode_control(ShareKeys(old.commitment, old.own_tag, sealed, b""))
    parties.server.receive(0, reseal(message, body=body))
    parties.finish_stage_of([name for name in parties.mail if name != 0])
    for entry in sealed:
        peer = entry.peer
        reason = "shares from client 0: ciphertext does not authenticate"
        ends_the_session(parties, peer, parties.mail[peer][0], reason)


@pytest.mark.parametrize("setting", SETTINGS)
def test_old_answers_are_not_shares_of_this_session(setting: str) -> None:
    """[A4] Tags are of one context; a session does not unmask with what another one gave."""
    parties = with_same_identities(setting).until(Stage.UNMASKING)
    message = moved(past(setting)["from", Stage.UNMASKING], parties.session)
    reason = "not the one it was given|not for exactly the clients asked about"
    with pytest.raises(RemoteProtocolError, match=reason):
        parties.server.receive(0, message)
    parties.finish()


# --- reflection -------------------------------------------------------------------------------


def reflect(parties: Parties, name: int) -> bytes:
    """The client's own ciphertexts for its neighbors, come back as theirs for it."""
    spy = Spy(parties).until(Stage.MASKED_INPUT)
    return forged(parties, Kind.SHARE_DELIVERY, ShareDelivery((), spy.shared[name].sealed))


@pytest.mark.parametrize("setting", SETTINGS)
def test_reflected_shares(setting: str) -> None:
    """[A6] Keys have a direction: what a client encrypted it cannot decrypt as somebody else's."""
    parties = parties_of(setting)
    ends_the_session(parties, 0, reflect(parties, 0), "does not authenticate")


@pytest.mark.parametrize("setting", SETTINGS)
def test_one_reflected_share_among_honest_ones(setting: str) -> None:
    """[A6] One is enough to notice."""
    parties = parties_of(setting)
    spy = Spy(parties).until(Stage.MASKED_INPUT)
    honest = read(ShareDelivery, body_of(parties.mail[0][0])).sealed
    own = {entry.peer: entry for entry in spy.shared[0].sealed}
    mixed = (own[honest[0].peer], *honest[1:])
    message = forged(parties, Kind.SHARE_DELIVERY, ShareDelivery((), mixed))
    ends_the_session(parties, 0, message, f"client {honest[0].peer}: ciphertext does not")


class EitherWay:
    """Packs two ids without saying which is the sender's."""

    size = 8

    def pack(self, one: int, other: int) -> bytes:
        return np.array(sorted((one, other)), "<u4").tobytes()

    def unpack_from(self, data: bytes) -> Any:
        return Anybody()


class Anybody:
    """Equal to any pair of ids."""

    __hash__ = None

    def __ne__(self, other: object) -> bool:
        return False


DEFENCES = ["keys", "label", "names", "tags"]


def without(monkeypatch: pytest.MonkeyPatch, defences: list[str]) -> None:
    """Takes direction out of the keys, the associated data, the plaintext and the tags."""

    def sort_ids(name: str, at: int) -> None:
        directed = getattr(schedule, name)

        def undirected(*given: Any) -> bytes:
            pair = sorted(given[at : at + 2])
            return directed(*given[:at], *pair, *given[at + 2 :])

        monkeypatch.setattr(schedule, name, undirected)

    if "keys" in defences:
        sort_ids("share_key", 2)
    if "label" in defences:
        sort_ids("share_label", 1)
    if "names" in defences:
        monkeypatch.setattr(keyring, "_IDS", EitherWay())
    if "tags" in defences:
        sort_ids("key_tag", 1)
        sort_ids("seed_tag", 1)


@pytest.mark.parametrize("kept", DEFENCES)
def test_each_defence_against_reflection_does_by_itself(
    kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """[A6] Direction stands in four places; any one of them stops it."""
    without(monkeypatch, [name for name in DEFENCES if name != kept])
    parties = parties_of("semi_malicious")
    reason = {
        "keys": "does not authenticate",
        "label": "does not authenticate",
        "names": "not well-formed",
        "tags": "do not have the tags",
    }[kept]
    ends_the_session(parties, 0, reflect(parties, 0), reason)


def test_negative_control_reflection_without_direction(monkeypatch: pytest.MonkeyPatch) -> None:
    """[A6] With none of them and t <= n/2, one honest client gives all of its own two secrets.

    It takes its own shares for its neighbors', and is told that half of those are dead.
    """
    without(monkeypatch, DEFENCES)
    victim = 0
    parties = weakened(8, "semi_malicious", threshold=4, survivors=4)
    parties.mail = {**parties.mail}
    spy = Spy(parties).until(Stage.MASKED_INPUT)
    reflected = ShareDelivery((), spy.shared[victim].sealed)
    parties.mail = {**parties.mail, victim: [forged(parties, Kind.SHARE_DELIVERY, reflected)]}
    spy.finish_stage()
    assert spy.tell({victim: (4, 5, 6, 7)}) == [victim]
    # The share that it calls client v's is v's share of the victim's own secret.
    for kind in ("seed", "key"):
        given = {owner: known[victim] for owner, known in spy.shares[kind].items()}
        spy.shares[kind] = {victim: given}
    assert spy.has_input_of(victim)

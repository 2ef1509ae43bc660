"""What one client believes of the others: each claim of the server checked against the rest."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from attackers import fresh_public_key, roster_of, weakened
from fedsecure import wire
from fedsecure.errors import CheaterDetected, RemoteProtocolError
from fedsecure.primitives.graph import CompleteGraph, HararyGraph
from fedsecure.primitives.identity import Identity, verify
from fedsecure.protocols.masking import schedule
from fedsecure.protocols.masking.membership import Membership
from fedsecure.protocols.masking.messages import Member, SignedBy
from fedsecure.protocols.masking.states import Stage
from parties import Parties
from reference import schedule as slow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fedsecure.protocols.session import Session

pytestmark = pytest.mark.usefixtures("known_entropy")

ME = 4
REGULAR = {"neighbors": 4, "threshold": 3, "survivors": 5}
COMPLETE = {"neighbors": 9, "threshold": 6, "survivors": 6}


def rostered(adversary: str = "malicious", **shape: int) -> tuple[Parties, tuple[Member, ...]]:
    """Ten clients of a session of any shape, and their roster."""
    parties = weakened(10, adversary, **{**REGULAR, **shape}).until(Stage.SHARE_KEYS)
    return parties, roster_of(parties, ME)


def view(**shape: int) -> Membership:
    """What client 4 of ten knows once it has the roster."""
    parties, members = rostered(**shape)
    return Membership(parties.session, ME, members)


def near(membership: Membership) -> tuple[list[int], list[int]]:
    """The neighbors of client 4, and those who are none."""
    neighbors = list(membership.graph.neighbors(ME))
    return neighbors, [name for name in range(10) if name != ME and name not in neighbors]


def shared(membership: Membership, gone: Sequence[int] = ()) -> Membership:
    """The same, after the shares have come of everybody but those who are gone."""
    senders = [peer for peer in membership.graph.neighbors(ME) if peer not in gone]
    membership.set_gone(gone, senders)
    return membership


# --- the roster -------------------------------------------------------------------------------


def test_graph_and_context_are_the_clients_own_work() -> None:
    """The reference draws the same, from nothing but the roster."""
    for shape, kind in ((REGULAR, HararyGraph), (COMPLETE, CompleteGraph)):
        parties, members = rostered(**shape)
        membership = Membership(parties.session, ME, members)
        assert type(membership.graph) is kind
        assert len(membership.graph.neighbors(ME)) == shape["neighbors"]
        assert (ME in membership.graph.holders(ME)) == (shape is COMPLETE)
        assert membership.ctx == parties.server._told.ctx
        other = msgspec.structs.replace(members[0], share_key=fresh_public_key(3))
        changed = Membership(parties.session, ME, (other, *members[1:]))
        assert changed.ctx != membership.ctx
        assert membership.transcript is None
        assert not membership.sharers
        assert not membership.alive


def test_the_graph_is_complete_over_the_roster_or_regular_by_the_session() -> None:
    """One invited client does not answer; k = n - 1 still means everybody who did."""
    for shape, count in ((REGULAR, 4), (COMPLETE, 8)):
        parties, members = rostered(**shape)
        membership = Membership(parties.session, ME, members[:9])
        assert len(membership.graph.neighbors(ME)) == count


@pytest.mark.parametrize(
    ("kept", "shape", "reason"),
    [
        (range(4), REGULAR, "roster leaves 4 clients, below the threshold 5"),
        (range(5), COMPLETE, "roster leaves 5 clients, below the threshold 6"),
        (range(4), {**REGULAR, "survivors": 3}, "roster of 4 clients: neighbors is 4"),
        ((), REGULAR, "roster leaves 0 clients"),
    ],
)
def test_too_few_in_the_roster(kept: Sequence[int], shape: dict[str, int], reason: str) -> None:
    parties, members = rostered(**shape)
    with pytest.raises(RemoteProtocolError, match=reason):
        Membership(parties.session, ME, [members[at] for at in kept])
    enough = members[: max(shape["survivors"], min(shape["neighbors"] + 1, 6))]
    assert Membership(parties.session, 0, enough).ctx


def test_strangers_and_double_keys_in_the_roster() -> None:
    parties, members = rostered()
    stranger = Member(55, fresh_public_key(1), fresh_public_key(2), b"")
    with pytest.raises(RemoteProtocolError, match="names client 55, who was not invited"):
        Membership(parties.session, ME, (*members, stranger))
    first, last = members[0], members[-1]
    for twice in (
        {"share_key": first.share_key},
        {"share_key": first.mask_key},
        {"mask_key": first.share_key},
        {"mask_key": first.mask_key},
        {"mask_key": last.share_key},
    ):
        odd = msgspec.structs.replace(last, **twice)
        with pytest.raises(RemoteProtocolError, match="same public key twice"):
            Membership(parties.session, ME, (*members[:-1], odd))


def test_my_own_keys_are_as_i_sent_them() -> None:
    parties, members = rostered()
    membership, mine = Membership(parties.session, ME, members), members[ME]
    membership.check_own(mine, mine.share_key, mine.mask_key)
    for own in (
        None,
        members[5],
        msgspec.structs.replace(mine, share_key=fresh_public_key(1)),
        msgspec.structs.replace(mine, mask_key=fresh_public_key(1)),
        msgspec.structs.replace(mine, share_key=mine.mask_key, mask_key=mine.share_key),
    ):
        with pytest.raises(CheaterDetected, match="this client's keys as it sent them") as caught:
            membership.check_own(own, mine.share_key, mine.mask_key)
        assert caught.value.culprit == wire.SERVER


@pytest.mark.parametrize("adversary", ["semi_malicious", "malicious"])
def test_every_signature_in_the_roster_is_checked(adversary: str) -> None:
    parties, members = rostered(adversary)
    membership = Membership(parties.session, ME, members)
    membership.check_signatures(members)
    for at, member in enumerate(members):
        wrong = [members[at - 1].signature, bytes(64)]
        if adversary != "malicious":
            wrong = [b"\0", bytes(64)]
        for signature in [*wrong, member.signature[:63] or b"x"]:
            odd = msgspec.structs.replace(member, signature=signature)
            with pytest.raises(CheaterDetected, match=f"signature of client {at}$") as caught:
                membership.check_signatures((*members[:at], odd, *members[at + 1 :]))
            assert caught.value.culprit == wire.SERVER


def test_a_signature_holds_for_one_session_client_and_pair_of_keys_only() -> None:
    """Each part of the statement on its own: [A18, A19]."""
    parties, members = rostered()
    session, member = parties.session, members[3]
    key = session.verify_keys[3]
    keys = member.share_key, member.mask_key

    def statement(about: Session, client_id: int = 3, pair: Any = keys) -> bytes:
        return schedule.key_statement(about, client_id, *pair)

    assert verify(key, member.signature, statement(session))
    changed_model = replace(session, model_digest=b"m" * 32)
    for other in (
        statement(replace(session, session_id=b"another session!")),
        statement(replace(session, round=1)),
        statement(replace(session, suite=2)),
        statement(replace(session, chunk=17)),
        statement(changed_model),
        statement(session, client_id=2),
        statement(session, pair=keys[::-1]),
        statement(session, pair=(keys[0], fresh_public_key(9))),
    ):
        assert not verify(key, member.signature, other)


# --- the shares -------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [REGULAR, COMPLETE], ids=["regular", "complete"])
def test_who_shared(shape: dict[str, int]) -> None:
    membership = view(**shape)
    _, far = near(membership)
    gone = sorted(far[:2]) if far else [0, 9]
    shared(membership, gone)
    assert membership.sharers == set(range(10)) - set(gone)
    assert not membership.alive
    assert membership.transcript is None


def test_neighbors_that_are_gone_send_nothing() -> None:
    membership = view()
    neighbors, far = near(membership)
    gone = sorted([neighbors[2], far[0]])
    membership.set_gone(gone, [*neighbors[:2], neighbors[3]])
    assert membership.sharers == set(range(10)) - set(gone)


@pytest.mark.parametrize("shape", [REGULAR, COMPLETE], ids=["regular", "complete"])
def test_a_delivery_that_cannot_be(shape: dict[str, int]) -> None:
    """Each claim is refused for its own reason, and leaves no trace."""
    membership = view(**shape)
    neighbors, far = near(membership)
    some = far[0] if far else 77
    first, second, *rest = neighbors
    refusals = [
        ([77], neighbors, "calls client 77 gone, who is not in the roster"),
        ([55, 77], neighbors, "calls client 55 gone"),
        ([ME], neighbors, "calls this client itself gone"),
        ([], neighbors[1:], f"neighbors: see client {first}"),
        ([], [first, *rest], f"neighbors: see client {second}"),
        ([], [], f"neighbors: see client {first}"),
        ([], sorted([*neighbors, some]), f"neighbors: see client {some}"),
        ([], sorted([*neighbors, ME]), f"neighbors: see client {ME}"),
        ([], sorted([*rest, second, some]), f"neighbors: see client {min(first, some)}"),
        ([first], neighbors, f"neighbors: see client {first}"),
        ([first], rest, f"neighbors: see client {second}"),
    ]
    for gone, senders, reason in refusals:
        with pytest.raises(RemoteProtocolError, match=reason):
            membership.set_gone(gone, senders)
        assert not membership.sharers
    shared(membership)


def test_too_few_who_shared() -> None:
    for shape, least in ((REGULAR, 5), (COMPLETE, 6), ({**COMPLETE, "survivors": 8}, 8)):
        membership = view(**shape)
        neighbors, far = near(membership)
        leaving = [*far, *neighbors][: 10 - least]
        one_more = [*far, *neighbors][: 10 - least + 1]
        with pytest.raises(RemoteProtocolError, match=f"leaves {least - 1} clients, below the"):
            shared(membership, sorted(one_more))
        if shape is not REGULAR:
            assert len(shared(membership, sorted(leaving)).sharers) == least


def test_too_few_who_hold_my_shares() -> None:
    """The neighbors count, not everybody: of four, two are gone, and three must stay."""
    membership = view()
    neighbors, far = near(membership)
    with pytest.raises(RemoteProtocolError, match="leaves 2 clients that hold shares of this one"):
        shared(membership, neighbors[:2])
    assert not membership.sharers
    shared(membership, sorted([*far[:4], neighbors[0]]))
    assert membership.sharers == {ME, far[4], *neighbors[1:]}


def test_my_own_share_counts_in_the_complete_graph() -> None:
    membership = view(neighbors=9, threshold=6, survivors=6)
    assert len(shared(membership, [0, 1, 2, 3]).sharers) == 6


# --- the survivors ----------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [REGULAR, COMPLETE], ids=["regular", "complete"])
def test_who_survived_and_what_is_signed(shape: dict[str, int]) -> None:
    membership = view(**shape)
    neighbors, far = near(membership)
    gone, dead = (far[0], neighbors[1]) if far else (8, 2)
    shared(membership, [gone])
    agreed = membership.set_dead([dead])
    sharers = sorted(set(range(10)) - {gone})
    alive = sorted(set(sharers) - {dead})
    assert membership.alive == set(alive)
    assert membership.dead == {dead}
    assert agreed == membership.transcript == slow.transcript(membership.ctx, sharers, alive)


@pytest.mark.parametrize("shape", [REGULAR, COMPLETE], ids=["regular", "complete"])
def test_survivors_that_cannot_be(shape: dict[str, int]) -> None:
    membership = view(**shape)
    neighbors, far = near(membership)
    gone = far[0] if far else 8
    shared(membership, [gone])
    refusals = [
        ([ME], "calls this client itself dead"),
        ([gone], f"calls client {gone} dead, who never shared its keys"),
        ([77], "calls client 77 dead, who never shared"),
        (sorted(set(range(10)) - {ME, gone, *neighbors[:3]})[:5], "below the threshold"),
    ]
    if shape is REGULAR:
        refusals.append((neighbors[:2], "leaves 2 clients that hold shares of this one's"))
    for dead, reason in refusals:
        with pytest.raises(RemoteProtocolError, match=reason):
            membership.set_dead(dead)
        assert not membership.alive
        assert not membership.dead
        assert membership.transcript is None


@pytest.mark.parametrize("least", [6, 7])
def test_too_few_survivors(least: int) -> None:
    """Exactly as many as the session says are enough, whoever they are."""
    for dead in (range(5, 10), (0, 1, 2, 3, 9)):
        leaving = list(dead)[: 10 - least]
        membership = shared(view(**{**COMPLETE, "survivors": least}))
        reason = f"unmask request leaves {least - 1} clients, below the threshold {least}"
        with pytest.raises(RemoteProtocolError, match=reason):
            membership.set_dead(list(dead)[: 10 - least + 1])
        membership.set_dead(leaving)
        assert len(membership.alive) == least


def test_a_restored_client_knows_what_it_was_told() -> None:
    told = shared(view(), [])
    for alive in ((), tuple(name for name in range(10) if name not in near(told)[1][:1])):
        again = view()
        again.recall(sorted(told.sharers), alive)
        assert again.sharers == told.sharers
        assert again.alive == set(alive)
        assert again.dead == (told.sharers - set(alive) if alive else set())
        assert (again.transcript is None) == (not alive)


# --- the confirmations ------------------------------------------------------------------------


def confirmed(shape: dict[str, int]) -> tuple[Membership, list[SignedBy], Parties]:
    """Client 4 with everybody's right signatures; 9 is dead, 8 gone."""
    parties, members = rostered(**shape)
    membership = Membership(parties.session, ME, members)
    shared(membership, [8])
    statement = slow.survivors_statement(membership.set_dead([9]))
    signed = []
    for name in range(10):
        identity = parties.protocol.identity_of(name)
        assert identity is not None
        signed.append(SignedBy(name, identity.sign(statement)))
    return membership, signed, parties


def test_enough_confirmations_of_the_living() -> None:
    membership, signed, _ = confirmed(COMPLETE)
    membership.check_confirmations(signed[:8])
    membership.check_confirmations(signed[:6])
    membership.check_confirmations([signed[at] for at in (0, 1, 2, 5, 6, 7)])  # its own is not due
    with pytest.raises(RemoteProtocolError, match="confirmations leaves 5 clients, below the"):
        membership.check_confirmations(signed[:5])
    for name in (8, 9):
        with pytest.raises(RemoteProtocolError, match=f"client {name} confirms.*is none of them"):
            membership.check_confirmations([*signed[:7], signed[name]])
    with pytest.raises(RemoteProtocolError, match="client 55 confirms"):
        membership.check_confirmations([*signed[:7], SignedBy(55, signed[0].signature)])


def test_a_confirmation_of_anything_else_names_the_server() -> None:
    membership, signed, parties = confirmed(COMPLETE)
    agreed = membership.transcript
    assert agreed is not None
    other = schedule.transcript(membership.ctx, range(9), range(9))
    identity = parties.protocol.identity_of(5)
    assert isinstance(identity, Identity)
    for signature in (
        b"",
        bytes(64),
        signed[4].signature,
        identity.sign(agreed),
        identity.sign(schedule.survivors_statement(other)),
        identity.sign(b"fedsecure/v1/sign-shares" + agreed),
    ):
        wrong = [*signed[:5], SignedBy(5, signature), *signed[6:8]]
        with pytest.raises(CheaterDetected, match="wrong signature of client 5") as caught:
            membership.check_confirmations(wrong)
        assert caught.value.culprit == wire.SERVER
    for at, right in enumerate(signed[:8]):
        wrong = [*signed[:at], SignedBy(at, right.signature[::-1]), *signed[at + 1 : 8]]
        with pytest.raises(CheaterDetected, match=f"wrong signature of client {at}$"):
            membership.check_confirmations(wrong)
    membership.check_confirmations(signed[:8])

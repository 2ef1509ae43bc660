"""A server that would like other rules: a lower threshold, fewer neighbors, a graph of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from attackers import (
    REGULAR_POLICY,
    SETTINGS,
    Spy,
    ends_the_session,
    forged,
    fresh_public_key,
    parties_of,
    replace_peer,
    roster_of,
    weakened,
)
from fedsecure.errors import FedSecureError, LocalProtocolError, RemoteProtocolError, ThresholdError
from fedsecure.primitives.identity import Identity
from fedsecure.protocols.masking import MaskingClient, PairwiseMasking, schedule
from fedsecure.protocols.masking.messages import (
    Kind,
    Member,
    Roster,
    ShareDelivery,
    UnmaskRequest,
    read,
)
from fedsecure.protocols.masking.states import Stage
from fedsecure.protocols.session import Session
from parties import Parties, body_of, make_updates

if TYPE_CHECKING:
    from collections.abc import Sequence

VICTIM = 0


def refuses(parties: Parties, session: Session, error: type[FedSecureError], reason: str) -> None:
    """Neither a client nor a server of this policy takes part, whether told or sent the session."""
    for told in (session, Session.from_bytes(session.to_bytes())):
        with pytest.raises(error, match=reason):
            parties.protocol.client(told, VICTIM, make_updates(1)[0])
        with pytest.raises(error, match=reason):
            parties.protocol.server(told)


# --- other numbers ----------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["threshold", "neighbors", "survivors"])
@pytest.mark.parametrize("setting", SETTINGS)
def test_a_session_with_less_of_anything_is_refused(setting: str, field: str) -> None:
    """[A9] Each of t, k and the least number of survivors, by one and by much."""
    parties = parties_of(setting)
    session = parties.session
    step = 2 if field == "neighbors" else 1
    for value in {getattr(session, field) - step, 2}:
        lower = replace(session, **{field: value})
        refuses(parties, lower, ThresholdError, f"session's {field} {value} is below the ")
    assert parties.protocol.client(session, VICTIM).stage is Stage.ADVERTISE_KEYS


@pytest.mark.parametrize("adversary", ["semi_honest", "semi_malicious", "malicious"])
def test_two_shares_of_ten_are_never_enough(adversary: str) -> None:
    """[A9] The example of the books, t = 2 for n = 10, against every kind of policy."""
    parties = Parties(10, adversary=adversary)
    session = replace(parties.session, threshold=2, survivors=2)
    refuses(parties, session, ThresholdError, "threshold 2 is below the 7")
    for wishes in ({"corrupt": 0.0}, {"corrupt": 0.1}, {"threshold": 7}):
        known = {"identities": parties.protocol.identities} if adversary == "malicious" else {}
        other = PairwiseMasking(adversary, chunk=session.chunk, **wishes, **known)
        with pytest.raises(ThresholdError, match="threshold 2 is below the"):
            other.client(session, VICTIM)


def levels_below() -> list[tuple[str, str]]:
    order = ["semi_honest", "semi_malicious", "malicious"]
    return [(mine, theirs) for mine in order for theirs in order if mine != theirs]


@pytest.mark.parametrize(("mine", "theirs"), levels_below())
def test_a_session_of_another_level_is_refused(mine: str, theirs: str) -> None:
    """[A9] A policy says which server it withstands, and no session says otherwise."""
    refuses(
        Parties(5, adversary=mine),
        Parties(5, adversary=theirs).session,
        LocalProtocolError,
        "the session has",
    )


def test_a_session_that_calls_itself_stronger_than_it_is() -> None:
    """[A9] The name of the strong level without its verify keys, and keys at a weaker level."""
    strong = Parties(5, adversary="malicious")
    weak = Parties(5, adversary="semi_malicious")
    keys = strong.session.verify_keys
    for parties, session in (
        (strong, replace(strong.session, verify_keys=())),
        (weak, replace(weak.session, verify_keys=keys)),
    ):
        refuses(parties, session, LocalProtocolError, "there is one for each client")
    renamed = replace(weak.session, protocol=strong.session.protocol)
    refuses(strong, renamed, LocalProtocolError, "there is one for each client")
    for session in (
        replace(strong.session, verify_keys=tuple(reversed(keys))),
        replace(strong.session, verify_keys=(Identity.generate().verify_key, *keys[1:])),
    ):
        refuses(strong, session, LocalProtocolError, "other verify keys")


def test_a_regular_session_where_the_policy_asks_for_all() -> None:
    """[A9] k = n - 1 is not k = 6, whatever the threshold."""
    complete = Parties(12, adversary="semi_malicious")
    regular = parties_of("regular")
    refuses(complete, regular.session, ThresholdError, "session's neighbors 6 is below the 11")
    both = replace(regular.session, threshold=complete.session.threshold - 3)
    refuses(complete, both, ThresholdError, "session's neighbors 6 is below the 11")


def test_a_smaller_fraction_of_colluders_than_the_policy_assumes() -> None:
    """[A9] A session that is right for 0.1 colluders is not for a client that fears 0.2."""
    session = parties_of("regular", 20, neighbors=12).session
    wishes: dict[str, Any] = {"adversary": "semi_malicious", "neighbors": 12, "chunk": 16}
    PairwiseMasking(**wishes, **REGULAR_POLICY).client(session, VICTIM)
    with pytest.raises(ThresholdError):
        PairwiseMasking(**wishes, corrupt=0.25, dropout=0.1).client(session, VICTIM)


@pytest.mark.parametrize("setting", SETTINGS)
def test_negative_control_a_party_made_without_a_policy(setting: str) -> None:
    """[A9] What the policy refuses would run, which is why parties are made by it."""
    parties = parties_of(setting)
    low = replace(parties.session, threshold=2, survivors=2)
    with pytest.raises(ThresholdError):
        parties.protocol.client(low, VICTIM)
    signer = parties.protocol.identity_of(VICTIM)
    assert MaskingClient(low, VICTIM, identity=signer).stage is Stage.ADVERTISE_KEYS


# --- another graph ----------------------------------------------------------------------------


def delivered(parties: Parties, entries: Sequence[Any], gone: Sequence[int] = ()) -> bytes:
    ordered = sorted(entries, key=lambda entry: entry.peer)
    return forged(parties, Kind.SHARE_DELIVERY, ShareDelivery(tuple(gone), tuple(ordered)))


def test_shares_from_others_than_the_neighbors() -> None:
    """[A10] One neighbor too few, one stranger too many, or one in the place of the other."""
    for change in ("missing", "added", "exchanged"):
        parties = parties_of("regular")
        spy = Spy(parties).until(Stage.MASKED_INPUT)
        near = spy.graph.neighbors(VICTIM)
        far = next(name for name in parties.clients if name not in (*near, VICTIM))
        sealed = list(read(ShareDelivery, body_of(parties.mail[VICTIM][0])).sealed)
        assert [entry.peer for entry in sealed] == list(near)
        stranger = replace_peer(sealed[0], far)
        entries = {
            "missing": sealed[1:],
            "added": [*sealed, stranger],
            "exchanged": [*sealed[1:], stranger],
        }[change]
        reason = "not from this client's neighbors: see client"
        ends_the_session(parties, VICTIM, delivered(parties, entries), reason)


def test_a_neighbor_that_is_called_gone_and_sends_all_the_same() -> None:
    """[A10] Whom a client masks with and whose shares it holds are the same clients."""
    parties = parties_of("regular")
    spy = Spy(parties).until(Stage.MASKED_INPUT)
    sealed = read(ShareDelivery, body_of(parties.mail[VICTIM][0])).sealed
    peer = spy.graph.neighbors(VICTIM)[0]
    reason = f"not from this client's neighbors: see client {peer}"
    ends_the_session(parties, VICTIM, delivered(parties, sealed, [peer]), reason)


def test_the_graph_follows_from_every_key() -> None:
    """[A10] Change any one byte string of the first stage and all is drawn anew."""
    parties = parties_of("regular").until(Stage.SHARE_KEYS)
    members = roster_of(parties, VICTIM)
    session = parties.session
    graph, ctx = schedule.draw_graph(session, members)
    rings = {tuple(graph.ring)}
    digests = {ctx}
    for at, member in enumerate(members):
        for role in ("share_key", "mask_key"):
            keys = {"share_key": member.share_key, "mask_key": member.mask_key}
            changed = Member(member.client_id, **{**keys, role: fresh_public_key(7)}, signature=b"")
            other, ctx = schedule.draw_graph(session, (*members[:at], changed, *members[at + 1 :]))
            rings.add(tuple(other.ring))
            digests.add(ctx)
    for change in ({"session_id": bytes(16)}, {"round": 1}):
        other, ctx = schedule.draw_graph(replace(session, **change), members)
        rings.add(tuple(other.ring))
        digests.add(ctx)
    other, ctx = schedule.draw_graph(session, members[:-1])
    rings.add(tuple(other.ring))
    digests.add(ctx)
    assert len(digests) == len(rings) == 1 + 2 * len(members) + 3


def test_a_roster_from_which_another_graph_follows() -> None:
    """[A10] Shown to the victim alone, it makes the victim's graph another: nothing fits then."""
    parties = parties_of("regular").until(Stage.SHARE_KEYS)
    members = roster_of(parties, VICTIM)
    honest, _ = schedule.draw_graph(parties.session, members)
    near = set(honest.neighbors(VICTIM))
    for byte in range(1, 250):  # the server tries keys of its own until it likes the neighborhood
        keys = (fresh_public_key(byte), fresh_public_key(255 - byte))
        forged_roster = (*members[:-1], Member(11, *keys, b""))
        other, _ = schedule.draw_graph(parties.session, forged_roster)
        if keys[0] != keys[1] and set(other.neighbors(VICTIM)) != near:
            break
    message = forged(parties, Kind.ROSTER, Roster(forged_roster))
    (shared,) = parties.clients[VICTIM].receive(message)
    with pytest.raises(RemoteProtocolError, match="not for exactly this client's neighbors"):
        parties.server.receive(VICTIM, shared)
    parties.finish_stage(absent=[VICTIM])
    sealed = read(ShareDelivery, body_of(parties.mail[1][0])).sealed
    wanted = [replace_peer(sealed[0], peer) for peer in other.neighbors(VICTIM)]
    reason = "does not authenticate"
    ends_the_session(parties, VICTIM, delivered(parties, wanted), reason)


@pytest.mark.parametrize("stage", ["delivery", "request"])
def test_too_few_holders_though_enough_survivors(stage: str) -> None:
    """[A10] [A8] The dead are all neighbors of one client: its secrets need t of those left."""
    shape = {"neighbors": 6, "threshold": 4, "survivors": 4}
    parties = weakened(12, "semi_malicious", **shape)
    spy = Spy(parties).until(Stage.MASKED_INPUT)
    near = spy.graph.neighbors(VICTIM)
    if stage == "delivery":
        message = spy.delivery(VICTIM, near[:3])
    else:
        spy.finish_stage()
        message = forged(parties, Kind.UNMASK_REQUEST, UnmaskRequest(tuple(near[:3])))
    reason = "leaves 3 clients that hold shares of this one's secrets, below the threshold 4"
    ends_the_session(parties, VICTIM, message, reason)


def test_a_malicious_server_has_no_regular_graph_to_choose() -> None:
    """[A10] No policy against it takes neighbors, and no session of it has fewer than all."""
    with pytest.raises(LocalProtocolError, match="no k-regular graph withstands"):
        PairwiseMasking(neighbors=6)
    for count in (5, 65, 100):
        assert PairwiseMasking().shape_for(count).neighbors == count - 1
    parties = Parties(12, adversary="malicious")
    regular = replace(parties.session, neighbors=6)
    refuses(parties, regular, ThresholdError, "neighbors 6 is below the 11")

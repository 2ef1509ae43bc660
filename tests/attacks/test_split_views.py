"""A server that tells different clients of different dropouts, and has accomplices among them.

Who is told that the victim lives gives a share of its self-mask seed; who is told that it is dead
gives one of its mask key; whoever has enough of both has its update. Sessions are made directly
here, also with thresholds that no policy asks for: each claim is tested with its converse.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from attackers import Spy, ends_the_session, forged, parties_of, weakened
from fedsecure import wire
from fedsecure.errors import CheaterDetected, RemoteProtocolError, ThresholdError
from fedsecure.primitives import masks
from fedsecure.protocols.masking import MaskingClient, PairwiseMasking, membership
from fedsecure.protocols.masking.messages import Confirmations, Kind, SignedBy, Survivors
from fedsecure.protocols.masking.states import Stage
from parties import Parties

if TYPE_CHECKING:
    from collections.abc import Sequence

VICTIM = 0
LIARS = ("semi_malicious", "malicious")


def set_up(parties: Parties) -> tuple[Spy, dict[int, bytes]]:
    """A session in which all vectors have arrived and anybody may still turn out an accomplice.

    Returns:
        The server's memory, and all clients as they are before they are asked for shares.
    """
    spy = Spy(parties).until(Stage.SHARE_KEYS)
    spy.corrupt(parties.clients)
    spy.finish_stage()
    spy.finish_stage()
    return spy, {name: client.to_bytes() for name, client in parties.clients.items()}


def split(spy: Spy, honest: Sequence[int], told_dead: int, saved: dict[int, bytes]) -> bool:
    """Whether telling the first few honest clients that the victim is dead gives its update."""
    parties = spy.parties
    for name in (VICTIM, *honest):
        signer = parties.protocol.identity_of(name)
        parties.clients[name] = MaskingClient.from_bytes(saved[name], signer)
    spy.forget_all_but(spy.accomplices)
    dead = dict.fromkeys(honest[:told_dead], (VICTIM,))
    alive = dict.fromkeys((VICTIM, *honest[told_dead:]), ())
    spy.tell(alive | dead)
    return spy.has_input_of(VICTIM)


@pytest.mark.parametrize("adversary", LIARS)
@pytest.mark.parametrize("count", range(3, 10))
def test_split_views_work_exactly_below_the_threshold(count: int, adversary: str) -> None:
    """[A2] With c accomplices of n, a victim is safe if 2t > n + c, and lost if not."""
    for threshold in range(2, count + 1):
        parties = weakened(count, adversary, threshold=threshold, survivors=threshold)
        spy, saved = set_up(parties)
        for corrupt in range(count - 2, -1, -1):
            spy.forget_all_but(range(count - corrupt, count))
            honest = range(1, count - corrupt)
            lost = any(split(spy, honest, size, saved) for size in range(len(honest) + 1))
            assert lost == (2 * threshold <= count + corrupt), (threshold, corrupt)


@pytest.mark.parametrize("adversary", LIARS)
@pytest.mark.parametrize("count", range(3, 10))
def test_every_policy_is_on_the_safe_side(count: int, adversary: str) -> None:
    """[A2] By default, and for every bound on accomplices, 2t > n + c; less is refused."""
    default = PairwiseMasking(adversary).shape_for(count)
    assert 2 * default.threshold > count + 1
    for corrupt in range(count - 1):
        wanted = PairwiseMasking(adversary, corrupt=corrupt / count)
        least = max(3, corrupt + 2, (count + max(1, corrupt)) // 2 + 1)
        if least > count:
            with pytest.raises(ThresholdError, match="can never be reached"):
                wanted.shape_for(count)
            continue
        assert wanted.shape_for(count).threshold == least
        if least > 3:
            with pytest.raises(ThresholdError, match="too low"):
                replace(wanted, threshold=least - 1).shape_for(count)


# --- on a k-regular graph ---------------------------------------------------------------------


@pytest.mark.parametrize(("count", "neighbors"), [(7, 4), (9, 4), (9, 6)])
def test_a_neighborhood_falls_exactly_with_too_many_accomplices(count: int, neighbors: int) -> None:
    """[A2] c of k neighbors, who alone hold shares: safe if 2t - k > c, and lost if not."""
    for threshold in range(2, neighbors + 1):
        shape = {"neighbors": neighbors, "threshold": threshold, "survivors": 2}
        spy, saved = set_up(weakened(count, "semi_malicious", **shape))
        around = spy.graph.neighbors(VICTIM)
        assert len(around) == neighbors
        assert VICTIM not in around
        # Only neighbors hold shares: those who are left come first.
        everybody = sorted(saved, key=lambda name: name not in around)
        for corrupt in range(neighbors - 1, -1, -1):
            spy.forget_all_but(around[:corrupt])
            honest = [name for name in everybody if name not in (VICTIM, *spy.accomplices)]
            sizes = range(neighbors - corrupt + 1)
            falls = any(split(spy, honest, size, saved) for size in sizes)
            assert falls == (2 * threshold - neighbors <= corrupt), (threshold, corrupt)


def test_no_client_of_a_regular_graph_gives_a_share_of_its_own() -> None:
    """[A2] With k holders instead of k + 1, half of the neighbors do not suffice twice."""
    parties = parties_of("regular")
    spy = Spy(parties).until(Stage.UNMASKING)
    for owner, body in spy.shared.items():
        assert body.own_tag == b""
        assert owner not in {entry.peer for entry in body.sealed}
    spy.finish_stage()
    parties.check()
    for shares in spy.shares.values():
        assert all(owner not in known for owner, known in shares.items())
    assert set(spy.shares["seed"]) == set(parties.clients)


# --- what comparing survivors is for ----------------------------------------------------------


def lie_twice(parties: Parties) -> Spy:
    """Isolates client 0 of 7 with two accomplices and t = 5, by lying about U2 and about U3.

    The victim is told that 3 and 4 never shared, so its only honest peers are 1 and 2. Everybody
    else hears that 1 or 2, or both, are dead, and gives shares of their mask keys.
    """
    spy = Spy(parties).until(Stage.SHARE_KEYS)
    spy.corrupt([5, 6])
    spy.finish_stage()
    gone = (3, 4)
    parties.mail = {**parties.mail, VICTIM: [spy.delivery(VICTIM, gone)]}
    spy.masked_with[VICTIM] = frozenset({0, 1, 2, 5, 6})
    spy.finish_stage()
    return spy


TWO_LIES = {0: (), 1: (2,), 2: (1,), 3: (1, 2), 4: (1, 2)}


def test_two_lies_isolate_a_client_where_survivors_are_not_compared() -> None:
    """[A2] Why semi_malicious is for servers that lie at unmasking only, as SECURITY.md says.

    No client gave both kinds of share, and 2t > n + c. Only comparing what clients were told helps.
    """
    spy = lie_twice(Parties(7, adversary="semi_malicious"))
    assert spy.session.threshold == 5  # the default
    assert not spy.has_input_of(VICTIM)
    assert spy.tell(TWO_LIES) == [0, 1, 2, 3, 4]
    assert spy.secret("key", VICTIM) is None
    assert spy.has_input_of(VICTIM)


@pytest.mark.parametrize("pad", [False, True], ids=["like-minded", "all"])
def test_two_lies_get_nothing_where_survivors_are_compared(pad: bool) -> None:
    """[A2] Against a malicious server: nobody answers, whichever signatures it shows."""
    spy = lie_twice(Parties(7, adversary="malicious"))
    assert spy.session.threshold == 5
    assert spy.tell(TWO_LIES, pad=pad) == []
    assert not spy.has_input_of(VICTIM)
    for owner in (0, 1, 2, 3, 4):
        assert spy.secret("seed", owner) is None
        assert spy.secret("key", owner) is None


def test_negative_control_clients_that_do_not_compare(monkeypatch: pytest.MonkeyPatch) -> None:
    """[A2] Clients that skip the comparison lose the victim's update."""
    spy = lie_twice(Parties(7, adversary="malicious"))
    monkeypatch.setattr(membership.Membership, "check_confirmations", lambda *_: None)
    assert spy.tell(TWO_LIES) == [0, 1, 2, 3, 4]
    assert spy.has_input_of(VICTIM)


def small_group(adversary: str) -> tuple[Spy, dict[int, tuple[int, ...]]]:
    """Views by which the clients 0 to 3 of 9 are told alive by all, and 4 to 7 dead by five each.

    Nobody is told of more than three dead, which t = 6 allows.
    """
    spy = Spy(weakened(9, adversary, threshold=6, survivors=6)).until(Stage.SHARE_KEYS)
    spy.corrupt([8])
    spy.until(Stage.MASKED_INPUT).finish_stage()
    views: dict[int, tuple[int, ...]] = dict.fromkeys((0, 1), (4, 5, 6))
    views |= dict.fromkeys((2, 3), (4, 5, 7))
    views |= {4: (5, 6, 7), 5: (4, 6, 7), 6: (5, 7), 7: (4, 6)}
    return spy, views


def plan(ring: Sequence[int], neighbors: int, threshold: int) -> dict[int, set[int]]:
    """Whom to call dead to whom, so that all neighbors of `ring[0]` lose their mask keys.

    Each of those needs `threshold` neighbors who hear it is dead, and nobody may hear of more than
    k - t: an assignment, found by augmenting paths.
    """
    steps = [*range(-(neighbors // 2), 0), *range(1, neighbors // 2 + 1)]
    told: dict[int, set[int]] = {at: set() for at in range(len(ring))}

    def place(owner: int, seen: set[int]) -> bool:
        for step in steps:
            holder = (owner + step) % len(ring)
            if owner in told[holder] or holder in seen:
                continue
            seen.add(holder)
            if len(told[holder]) < neighbors - threshold:
                told[holder].add(owner)
                return True
            for other in list(told[holder]):
                if place(other, seen):
                    told[holder].remove(other)
                    told[holder].add(owner)
                    return True
        return False

    for owner in [step % len(ring) for step in steps] * threshold:
        assert place(owner, set())
    return {ring[holder]: {ring[owner] for owner in owners} for holder, owners in told.items()}


def test_lies_at_unmasking_alone_isolate_a_client_of_a_regular_graph() -> None:
    """[A2] Without an accomplice: all neighbors are called dead, each to others of its neighbors.

    2t - k bounds who gets both secrets of one client, and nobody does here. What the masks of the
    victim came from is taken from the other side: plan for a malicious server.
    """
    shape = {"neighbors": 10, "threshold": 6, "survivors": 20}
    spy = Spy(weakened(24, "semi_malicious", **shape)).until(Stage.MASKED_INPUT)
    spy.finish_stage()
    ring = spy.graph.ring
    views = {name: sorted(dead) for name, dead in plan(ring, 10, 6).items()}
    assert max(map(len, views.values())) == 4
    assert sorted(spy.tell(views)) == sorted(ring)
    assert spy.secret("key", ring[0]) is None
    assert spy.has_input_of(ring[0])
    assert not any(spy.secret("key", name) and spy.secret("seed", name) for name in ring)


def test_the_sum_of_a_small_group_where_survivors_are_not_compared() -> None:
    """[A2] t - c = 5 honest updates should be in any sum; here the server gets that of four."""
    spy, views = small_group("semi_malicious")
    spy.tell(views)
    bits = spy.session.layout.modulus_bits
    found = sum(vector.astype(object) for vector in map(partly, [spy] * 4, range(4)))
    expected = sum(spy.parties.inputs[name].astype(object) for name in range(4))
    np.testing.assert_array_equal(found % 2**bits, expected % 2**bits)
    assert not any(spy.has_input_of(name) for name in range(8))


def partly(spy: Spy, name: int) -> np.ndarray:
    """The vector of one of the clients 0 to 3 without all masks but those they share."""
    spy.masked_with[name] = frozenset({4, 5, 6, 7, 8})
    vector = spy.pairwise_off(name)
    del spy.masked_with[name]
    assert vector is not None
    masks.reduce(vector, spy.session.layout.modulus_bits)
    return vector


def test_no_small_group_where_survivors_are_compared() -> None:
    """[A2] The same views, and nobody signs what enough others signed."""
    for pad in (False, True):
        spy, views = small_group("malicious")
        assert spy.tell(views, pad=pad) == []


# --- the list of confirmations ----------------------------------------------------------------


def signed_by_all(parties: Parties) -> tuple[Spy, dict[int, bytes]]:
    """A malicious session in which client 4 is dead, and what the others signed."""
    spy = Spy(parties).until(Stage.MASKED_INPUT)
    spy.finish_stage(late=[4])
    signatures = spy._confirmations(dict.fromkeys(range(4), (4,)))
    return spy, signatures


def shown(parties: Parties, signatures: dict[int, bytes]) -> bytes:
    """The list of these confirmations."""
    body = Confirmations(tuple(SignedBy(*entry) for entry in sorted(signatures.items())))
    return forged(parties, Kind.CONFIRMATIONS, body)


@pytest.mark.parametrize("wrong", [b"", bytes(64), "of another", "of keys"])
def test_a_confirmation_that_does_not_fit_names_the_server(wrong: bytes | str) -> None:
    """[A2] One wrong signature among enough right ones: the client is told of another world."""
    parties = Parties(5, adversary="malicious")
    spy, signatures = signed_by_all(parties)
    if wrong == "of another":
        signatures[2] = signatures[1]
    elif wrong == "of keys":
        signatures[2] = spy.members[2].signature
    else:
        signatures[2] = wrong
    error = ends_the_session(parties, 0, shown(parties, signatures), "signature of client 2")
    assert isinstance(error, CheaterDetected)
    assert error.culprit == wire.SERVER


def test_too_few_confirmations_and_those_of_the_dead() -> None:
    """[A2] [A8] A threshold of survivors must have signed, and survivors only."""
    parties = Parties(5, adversary="malicious")
    spy, signatures = signed_by_all(parties)
    few = {name: signatures[name] for name in (0, 1, 2)}
    ends_the_session(parties, 0, shown(parties, few), "leaves 3 clients, below the threshold 4")
    forged_one = {**signatures, 4: signatures[3]}
    ends_the_session(parties, 1, shown(parties, forged_one), "client 4 confirms the survivors")
    assert len(parties.clients[2].receive(shown(parties, signatures))) == 1
    assert not spy.has_input_of(3)


def test_a_client_signs_once() -> None:
    """[A2] [A37] A second set of survivors is not even looked at."""
    parties = Parties(5, adversary="malicious")
    _, signatures = signed_by_all(parties)
    client = parties.clients[0]
    for dead in ((), (4,), (3, 4), (3,)):
        survivors = forged(parties, Kind.SURVIVORS, Survivors(dead))
        with pytest.raises(RemoteProtocolError, match="no place in stage UNMASKING"):
            client.receive(survivors)
    assert client.stage is Stage.UNMASKING
    client.receive(shown(parties, signatures))

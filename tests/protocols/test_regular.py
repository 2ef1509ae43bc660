"""Sessions on a k-regular graph, and the comparison of survivors, from message to exact sum."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from attackers import weakened
from fedsecure import wire
from fedsecure.errors import (
    CheaterDetected,
    LocalProtocolError,
    RemoteProtocolError,
    ThresholdError,
)
from fedsecure.primitives import shamir
from fedsecure.primitives.entropy import Secret
from fedsecure.primitives.masks import Prg
from fedsecure.protocols.masking import keyring
from fedsecure.protocols.masking.messages import (
    HeldShare,
    ShareDelivery,
    ShareKeys,
    Survivors,
    UnmaskShares,
    read,
)
from fedsecure.protocols.masking.states import Stage
from fuzz.snapshots import snapshot
from parties import Parties, body_of, make_updates, refuses_for_good, reseal, stages_of

if TYPE_CHECKING:
    from collections.abc import Iterable

pytestmark = pytest.mark.usefixtures("known_entropy")

COUNT = 10
SHAPE = {"neighbors": 4, "threshold": 3, "survivors": 5}
LEVELS = ("semi_honest", "malicious")
"""No policy asks for a k-regular graph against a malicious server; its parts must still fit."""


def session_of(adversary: str = "semi_honest", **shape: int) -> Parties:
    return weakened(COUNT, adversary, **{**SHAPE, **shape})


def neighbors_of(parties: Parties, name: int) -> list[int]:
    return list(parties.server._told.graph.neighbors(name))


def holders_left(parties: Parties, owner: int, present: Iterable[int]) -> int:
    """How many of those present hold shares of the owner's secrets, itself never among them."""
    left = set(present) & set(neighbors_of(parties, owner))
    assert owner not in left
    return len(left)


def suffices(parties: Parties, answered: set[int]) -> bool:
    """The rule, once more: enough of all, and enough neighbors of each one who shared."""
    session, stage = parties.session, parties.server.stage
    if stage is Stage.ADVERTISE_KEYS:
        return len(answered) >= max(session.survivors, session.neighbors + 1)
    least = session.threshold if stage is Stage.UNMASKING else session.survivors
    owners = answered if stage is Stage.SHARE_KEYS else parties.server._told.sharers
    return len(answered) >= least and all(
        holders_left(parties, owner, answered) >= session.threshold for owner in owners
    )


# --- drop-outs --------------------------------------------------------------------------------


@pytest.mark.parametrize("adversary", LEVELS)
@pytest.mark.parametrize("neighbors", [4, 8])
@pytest.mark.parametrize("seed", range(15))
def test_exact_sums_under_random_dropouts(seed: int, neighbors: int, adversary: str) -> None:
    """Where too few answer nothing changes, and the session goes on once enough others have.

    With 8 neighbors, of which 3 suffice, some clients vanish next to each other.
    """
    rng = np.random.default_rng(seed)
    parties = session_of(adversary, neighbors=neighbors)
    contributors: set[int] = set()
    for stage in stages_of(adversary):
        assert parties.server.stage is stage
        order = [int(name) for name in rng.permutation(list(parties.mail))]
        absent = set(order[: rng.integers(0, 5)])
        answered = set(order) - absent
        parties.send([name for name in order if name in answered])
        while not suffices(parties, answered):
            assert not parties.server.ready
            before = snapshot(parties.server)
            with pytest.raises(ThresholdError, match=r"must, in stage .* nothing is revealed"):
                parties.server.advance()
            assert snapshot(parties.server) == before
            late = absent.pop()
            parties.send([late])
            answered.add(late)
        assert parties.server.ready
        assert parties.server.waiting_for == set(order) - answered
        if stage is Stage.MASKED_INPUT:
            contributors = answered
        parties.mail = parties.server.advance()
        assert set(parties.mail) == (set() if stage is Stage.UNMASKING else answered)
    parties.check()
    result = parties.server.result()
    assert result.contributors == tuple(sorted(contributors))
    updates = make_updates(COUNT, 4)
    for key, mean in result.mean.items():
        plain = np.mean([updates[name][key] for name in contributors], axis=0)
        np.testing.assert_allclose(mean, plain, atol=2**-11)
    assert result.dropouts == tuple(sorted(set(range(COUNT)) - contributors))
    done = [client.transcript for client in parties.clients.values() if client.finished]
    assert set(done) == {result.transcript}


@pytest.mark.parametrize("adversary", LEVELS)
@pytest.mark.parametrize("stage", [Stage.SHARE_KEYS, Stage.MASKED_INPUT, Stage.UNMASKING])
def test_one_neighborhood_below_the_threshold(adversary: str, stage: Stage) -> None:
    """Two of four neighbors gone: eight others do not make up for them."""
    parties = session_of(adversary).until(stage)
    owner = 6
    first, second, *_ = neighbors_of(parties, owner)
    parties.send([name for name in parties.mail if name not in (first, second)])
    before = snapshot(parties.server)
    for _ in range(2):
        assert not parties.server.ready
        with pytest.raises(ThresholdError, match=r"2 of the 4 neighbors of client \d .*, 3 must,"):
            parties.server.advance()
        assert snapshot(parties.server) == before
    parties.send([second, first])
    assert suffices(parties, set(parties.mail))
    parties.mail = parties.server.advance()
    while not parties.server.finished:
        parties.finish_stage()
    parties.check()


def test_the_dead_have_neighborhoods_too() -> None:
    """At the end the secrets of the dead are needed as much as those of the living."""
    parties = session_of().until(Stage.MASKED_INPUT)
    owner = 6
    parties.finish_stage(absent=[owner])
    first, second, *_ = neighbors_of(parties, owner)
    parties.send([name for name in parties.mail if name not in (first, second)])
    told = parties.server._told
    alive_fine = all(
        holders_left(parties, name, set(parties.mail) - {first, second}) >= 3 for name in told.alive
    )
    reason = "client 6 have" if alive_fine else "of the 4 neighbors of client"
    with pytest.raises(ThresholdError, match=reason):
        parties.server.advance()
    parties.send([first])
    parties.send([second])
    parties.mail = parties.server.advance()
    parties.check()
    assert owner in parties.server.result().dropouts


@pytest.mark.parametrize(
    ("shape", "least"),
    [
        ({"survivors": 3}, 5),
        ({"survivors": 5}, 5),
        ({"survivors": 8}, 8),
        ({"neighbors": 8, "survivors": 6}, 9),
    ],
)
def test_a_roster_has_room_for_the_graph(shape: dict[str, int], least: int) -> None:
    """k + 1 clients, or as many as there must be in the sum."""
    parties = session_of(**shape)
    parties.send(range(least - 1))
    with pytest.raises(ThresholdError, match=f"{least - 1} of 10 clients .*, {least} must, in"):
        parties.server.advance()
    parties.send([least - 1])
    parties.mail = parties.server.advance()
    assert set(parties.mail) == set(range(least))
    parties.finish()


@pytest.mark.parametrize("adversary", LEVELS)
def test_neighbors_gone_are_told_to_everybody(adversary: str) -> None:
    parties = session_of(adversary).until(Stage.SHARE_KEYS)
    parties.finish_stage(absent=[3])
    for name in parties.mail:
        delivery = read(ShareDelivery, body_of(parties.mail[name][0]))
        assert delivery.gone == (3,)
        senders = [entry.peer for entry in delivery.sealed]
        assert senders == [peer for peer in neighbors_of(parties, name) if peer != 3]
    parties.finish()
    assert parties.server.result().dropouts == (3,)


def test_a_client_refuses_a_neighborhood_below_the_threshold() -> None:
    """What an honest server never asks, whichever claim it comes with."""
    for stage in (Stage.MASKED_INPUT, Stage.UNMASKING):
        parties = session_of().until(stage)
        first, second, *others = neighbors_of(parties, 6)
        if stage is Stage.MASKED_INPUT:
            (message,) = parties.mail[6]
            sealed = read(ShareDelivery, body_of(message)).sealed
            kept = tuple(entry for entry in sealed if entry.peer in others)
            body: wire.Control = ShareDelivery((first, second), kept)
        else:
            (message,) = parties.mail[6]
            body = Survivors((first, second))
        bad = reseal(message, body=wire.encode_control(body))
        refuses_for_good(parties, 6, bad, "leaves 2 clients that hold shares of this one's")


# --- what the server takes on a k-regular graph -----------------------------------------------


@pytest.mark.parametrize("regular", [True, False])
def test_the_tag_of_a_share_that_is_kept(regular: bool) -> None:
    """A client of the complete graph keeps a share of its own, and only there."""
    parties = session_of() if regular else weakened(COUNT, "semi_honest")
    parties.until(Stage.SHARE_KEYS)
    (message,) = parties.answer(2)
    body = read(ShareKeys, body_of(message))
    assert len(body.own_tag) == (0 if regular else 32)
    before = snapshot(parties.server)
    for tag in (bytes(32), b"\0") if regular else (b"", bytes(31)):
        wrong = msgspec.structs.replace(body, own_tag=tag)
        with pytest.raises(RemoteProtocolError, match="tag of the share a client keeps"):
            parties.server.receive(2, reseal(message, body=wire.encode_control(wrong)))
        assert snapshot(parties.server) == before
    parties.server.receive(2, message)


def test_shares_are_for_exactly_the_neighbors() -> None:
    parties = session_of().until(Stage.SHARE_KEYS)
    (message,) = parties.answer(2)
    body = read(ShareKeys, body_of(message))
    assert [entry.peer for entry in body.sealed] == neighbors_of(parties, 2)
    stranger = next(n for n in range(COUNT) if n not in (2, *neighbors_of(parties, 2)))
    swapped = msgspec.structs.replace(body.sealed[0], peer=stranger)
    for sealed in (
        body.sealed[1:],
        (),
        tuple(sorted([swapped, *body.sealed[1:]], key=lambda entry: entry.peer)),
        tuple(sorted([swapped, *body.sealed], key=lambda entry: entry.peer)),
    ):
        wrong = wire.encode_control(msgspec.structs.replace(body, sealed=sealed))
        with pytest.raises(RemoteProtocolError, match="not for exactly this client's neighbors"):
            parties.server.receive(2, reseal(message, body=wrong))
    parties.server.receive(2, message)


def test_shares_come_back_from_exactly_the_neighbors() -> None:
    """Of the living and the dead among them, and never a client's own."""
    parties = session_of().until(Stage.MASKED_INPUT)
    dead = neighbors_of(parties, 2)[1]
    parties.finish_stage(absent=[dead])
    (message,) = parties.answer(2)
    body = read(UnmaskShares, body_of(message))
    living = [name for name in neighbors_of(parties, 2) if name != dead]
    assert [held.owner for held in body.alive] == living
    assert [held.owner for held in body.dead] == [dead]
    own = HeldShare(2, body.alive[0].share)
    for alive, fallen in (
        (body.alive[1:], body.dead),
        (body.alive, ()),
        (body.dead, body.alive),
        (tuple(sorted([*body.alive, own], key=lambda held: held.owner)), body.dead),
        (tuple(sorted([*body.alive, *body.dead], key=lambda held: held.owner)), ()),
        ((), tuple(sorted([*body.alive, *body.dead], key=lambda held: held.owner))),
    ):
        wrong = wire.encode_control(UnmaskShares(alive, fallen))
        with pytest.raises(RemoteProtocolError, match="not for exactly the clients asked about"):
            parties.server.receive(2, reseal(message, body=wrong))
    parties.server.receive(2, message)
    parties.finish_stage_of([name for name in parties.mail if name != 2])
    parties.check()


@pytest.mark.parametrize("kind", ["alive", "dead"])
def test_a_wrong_share_names_its_holder(kind: str) -> None:
    """The share of another holder, at another abscissa, or of the other secret."""
    parties = session_of().until(Stage.MASKED_INPUT)
    dead = neighbors_of(parties, 2)[1]
    parties.finish_stage(absent=[dead])
    (message,) = parties.answer(2)
    body = read(UnmaskShares, body_of(message))
    shares = {"alive": list(body.alive), "dead": list(body.dead)}
    owner = shares[kind][0].owner
    other = shares["dead" if kind == "alive" else "alive"][0].share
    for wrong in (
        other,
        bytes(40),
        shamir.split([Secret(bytes(32))], 3, [1, 2, 3])[0, 0].tobytes(),
    ):
        shares[kind][0] = HeldShare(owner, wrong)
        bad = wire.encode_control(UnmaskShares(tuple(shares["alive"]), tuple(shares["dead"])))
        with pytest.raises(CheaterDetected, match=f"of a secret of client {owner}") as caught:
            parties.server.receive(2, reseal(message, body=bad))
        assert caught.value.culprit == 2
    parties.server.receive(2, message)
    parties.finish_stage_of([name for name in parties.mail if name != 2])
    parties.check()


@pytest.mark.parametrize(
    "shape", [{"neighbors": 6}, {"neighbors": 9, "threshold": 4}], ids=["regular", "all"]
)
@pytest.mark.parametrize("secret", ["b", "s"])
@pytest.mark.parametrize("company", [False, True])
def test_a_secret_shared_wrongly_names_its_owner(
    shape: dict[str, int], secret: str, company: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Right tags, wrong secret; alone among the dead, or with others of the same holders."""
    parties = session_of(**shape).until(Stage.SHARE_KEYS)
    owner = 3
    far = [name for name in range(COUNT) if name not in (owner, *neighbors_of(parties, owner))]

    def other(secrets: list[Secret], threshold: int, xs: list[int], prg: Prg) -> np.ndarray:
        mask, seed = secrets
        wrong = Secret(bytes(31) + b"\1")
        return shamir.split([wrong, seed] if secret == "s" else [mask, wrong], threshold, xs, prg)

    with monkeypatch.context() as cheat:
        cheat.setattr(keyring, "split", other)
        parties.send([owner])
    parties.finish_stage_of([name for name in parties.mail if name != owner])
    absent = {owner} if secret == "s" else set()
    if company:
        absent.add((far or [7])[0])
    parties.finish_stage(absent=absent)
    parties.send(list(parties.mail)[1:])
    before = snapshot(parties.server)
    for _ in range(2):
        with pytest.raises(CheaterDetected, match="shares of client 3 do not give") as caught:
            parties.server.advance()
        assert caught.value.culprit == owner
        assert snapshot(parties.server) == before
    parties.send(list(parties.mail)[:1])
    with pytest.raises(LocalProtocolError, match="no result"):
        parties.server.result()


def test_limbs_that_are_no_secret_name_their_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    """Field elements beyond 52 bits: the group that fails as one is taken apart."""
    parties = session_of(neighbors=9, threshold=4).until(Stage.SHARE_KEYS)

    def too_large(secrets: list[Secret], threshold: int, xs: list[int], prg: Prg) -> np.ndarray:
        shares = np.zeros((2, len(xs), 40), np.uint8)
        shares[:, :, 7] = 0x10  # the constant polynomial 2^60 in the first limb
        return shares

    with monkeypatch.context() as cheat:
        cheat.setattr(keyring, "split", too_large)
        parties.send([3])
    parties.finish_stage_of([name for name in parties.mail if name != 3])
    parties.finish_stage()
    parties.send(list(parties.mail))
    with pytest.raises(CheaterDetected, match="shares of client 3 do not give") as caught:
        parties.server.advance()
    assert caught.value.culprit == 3

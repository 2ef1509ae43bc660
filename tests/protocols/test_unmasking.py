"""Whose neighborhoods the server waits for, and what it does with the masks it takes off."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from attackers import weakened
from fedsecure.errors import CheaterDetected, RemoteProtocolError, ThresholdError
from fedsecure.protocols.masking import unmasking
from fedsecure.protocols.masking.states import Stage
from fuzz.snapshots import snapshot
from parties import LEVELS, Parties

if TYPE_CHECKING:
    from fedsecure.primitives.masks import MaskSet

pytestmark = pytest.mark.usefixtures("known_entropy")


def ring_of_ten(threshold: int) -> tuple[Parties, list[int]]:
    """Ten clients in a ring, each with the two nearest on either side; and their order there."""
    parties = weakened(10, "semi_honest", neighbors=4, threshold=threshold, survivors=5)
    parties.until(Stage.SHARE_KEYS)
    return parties, list(parties.server._told.graph.ring)


def left(ring: list[int], at: int, missing: set[int]) -> int:
    """How many neighbors are left to the client at a place of the ring."""
    near = (ring[(at + step) % len(ring)] for step in (-2, -1, 1, 2))
    return sum(name not in missing for name in near)


def waits_for(parties: Parties, missing: set[int], owners: set[int]) -> None:
    """All but the missing answer; some of the owners lack holders, and so nothing happens."""
    parties.send([name for name in parties.mail if name not in missing])
    before = snapshot(parties.server)
    with pytest.raises(ThresholdError, match="of the 4 neighbors of client ") as caught:
        parties.server.advance()
    assert any(f"neighbors of client {owner} have" in str(caught.value) for owner in owners)
    assert not parties.server.ready
    assert snapshot(parties.server) == before


@pytest.mark.parametrize("stage", [Stage.MASKED_INPUT, Stage.UNMASKING])
def test_the_silent_have_neighborhoods_too(stage: Stage) -> None:
    """Whoever answered has enough neighbors among the others; two who did not have one.

    Their secrets are needed all the same: their masks are in the others' inputs, or in the sum.
    """
    parties, ring = ring_of_ten(2)
    parties.until(stage)
    missing = {ring[at] for at in (-2, -1, 0, 1)}
    lacking = {ring[at] for at in range(10) if left(ring, at, missing) < 2}
    assert lacking == {ring[0], ring[-1]}
    waits_for(parties, missing, lacking)
    parties.send([ring[0], ring[-1]])
    parties.mail = parties.server.advance()
    while not parties.server.finished:
        parties.finish_stage()
    parties.check()


def test_the_dead_have_neighborhoods_too() -> None:
    """Only the dead one has no neighbor left who could give its mask key back."""
    parties, ring = ring_of_ten(1)
    parties.until(Stage.MASKED_INPUT)
    parties.finish_stage(absent=[ring[0]])
    silent = {ring[at] for at in (-2, -1, 1, 2)}
    lacking = {ring[at] for at in range(10) if left(ring, at, {ring[0], *silent}) < 1}
    assert lacking == {ring[0]}
    waits_for(parties, silent, lacking)
    parties.send([ring[2]])
    parties.mail = parties.server.advance()
    parties.check()


def test_who_never_shared_has_no_neighborhood() -> None:
    """Nothing of theirs has to be given back, however few neighbors they have left."""
    parties, ring = ring_of_ten(2)
    missing = {ring[at] for at in (-2, -1, 0, 1)}
    parties.send([name for name in parties.mail if name not in missing])
    assert parties.server.ready
    parties.mail = parties.server.advance()
    parties.finish()
    assert set(parties.server.result().dropouts) == missing


@pytest.mark.parametrize("adversary", LEVELS)
def test_the_masks_are_wiped_with_the_sum_there(
    adversary: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Together they are all that stood between the server and the one sum it may have."""
    made: list[MaskSet] = []
    derive = unmasking.Unmasking.masks

    def masks(self: unmasking.Unmasking) -> MaskSet:
        made.append(derive(self))
        assert not made[-1]._seeds.wiped
        return made[-1]

    monkeypatch.setattr(unmasking.Unmasking, "masks", masks)
    parties = Parties(5, adversary=adversary).until(Stage.MASKED_INPUT)
    parties.finish_stage(absent=[3])
    parties.finish()
    (taken_off,) = made
    assert taken_off._seeds.wiped
    assert len(taken_off._signs) == 4 + 4  # four self masks, and four that were shared with 3


@pytest.mark.parametrize("adversary", LEVELS)
def test_an_aborted_server_is_over(adversary: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sum that nobody honest can have given: the server waits for nobody, and is not ready."""
    parties = Parties(5, adversary=adversary).until(Stage.UNMASKING)
    parties.send(list(parties.mail))
    parties.server._vectors.total[:] += 1 << parties.session.layout.modulus_bits - 1
    with pytest.raises(RemoteProtocolError, match="outside what honest clients can send") as caught:
        parties.server.advance()
    assert not isinstance(caught.value, CheaterDetected)
    server = parties.server
    assert server.stage is Stage.ABORTED
    assert server.finished
    assert not server.ready
    assert server.waiting_for == set()
    assert server.replies() == {}

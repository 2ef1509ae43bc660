"""The comparison of survivors: what each client signs, what the server takes, what all are told."""

from __future__ import annotations

import pytest

from attackers import weakened
from fedsecure import wire
from fedsecure.errors import CheaterDetected, RemoteProtocolError, ThresholdError
from fedsecure.protocols.masking.messages import Confirmation, Confirmations, Survivors, read
from fedsecure.protocols.masking.states import Stage
from fuzz.snapshots import snapshot
from parties import body_of, reseal

pytestmark = pytest.mark.usefixtures("known_entropy")

SHAPES = pytest.mark.parametrize(
    "shape",
    [{}, {"neighbors": 6, "threshold": 3, "survivors": 5}],
    ids=["complete", "regular"],
)
"""No policy asks for a k-regular graph against a malicious server; its parts must still fit."""


def test_fewer_survivors_may_unmask_than_must_be_in_the_sum() -> None:
    """Once the sum is there, each neighborhood needs t; in the complete graph, t of all."""
    parties = weakened(6, "malicious", neighbors=5, threshold=3, survivors=5)
    parties.until(Stage.CONSISTENCY_CHECK)
    parties.send(range(4))
    with pytest.raises(ThresholdError, match="4 of 6 clients have answered, 5 must"):
        parties.server.advance()
    parties.send([4])
    parties.mail = parties.server.advance()
    parties.send([0, 1])
    with pytest.raises(ThresholdError, match="2 of 5 clients have answered, 3 must"):
        parties.server.advance()
    parties.send([4])
    parties.mail = parties.server.advance()
    parties.check()
    assert parties.server.result().contributors == tuple(range(6))


@SHAPES
def test_a_confirmation_is_checked_at_the_door(shape: dict[str, int]) -> None:
    parties = weakened(10, "malicious", **shape).until(Stage.MASKED_INPUT)
    parties.finish_stage(absent=[5])
    (message,) = parties.answer(1)
    right = read(Confirmation, body_of(message)).signature
    (another,) = parties.answer(2)
    before = snapshot(parties.server)
    for signature in (b"", bytes(64), right[:-1], read(Confirmation, body_of(another)).signature):
        wrong = reseal(message, body=wire.encode_control(Confirmation(signature)))
        with pytest.raises(CheaterDetected, match="wrong signature of client 1") as caught:
            parties.server.receive(1, wrong)
        assert caught.value.culprit == 1
        assert snapshot(parties.server) == before
    with pytest.raises(RemoteProtocolError, match="has dropped out"):
        parties.server.receive(5, message)
    parties.server.receive(1, message)
    parties.server.receive(2, another)
    parties.finish_stage_of([name for name in parties.mail if name not in (1, 2)])
    parties.finish()


@SHAPES
def test_everybody_is_told_the_same_of_the_survivors(shape: dict[str, int]) -> None:
    """The dead, then the signatures of those who confirmed; who did not is asked no more."""
    parties = weakened(10, "malicious", **shape).until(Stage.MASKED_INPUT)
    parties.finish_stage(absent=[5])
    assert {inbox[0] for inbox in parties.mail.values()} == {parties.mail[0][0]}
    assert read(Survivors, body_of(parties.mail[0][0])).dead == (5,)
    silent = 7
    parties.finish_stage(absent=[silent])
    assert {inbox[0] for inbox in parties.mail.values()} == {next(iter(parties.mail.values()))[0]}
    (message,) = next(iter(parties.mail.values()))
    signed = read(Confirmations, body_of(message)).signatures
    assert [entry.client_id for entry in signed] == [n for n in range(10) if n not in (5, silent)]
    assert silent not in parties.server.waiting_for
    parties.finish()
    assert silent in parties.server.result().contributors
    assert parties.clients[silent].stage is Stage.CONSISTENCY_CHECK

"""Messages that belong elsewhere, and parties that were told different things."""

from __future__ import annotations

import pytest

from fedsecure.encoding import FixedPoint
from fedsecure.errors import (
    CheaterDetected,
    LocalProtocolError,
    RemoteProtocolError,
    ThresholdError,
)
from fedsecure.protocols.masking import PairwiseMasking
from fedsecure.protocols.masking.states import Flow, Stage
from fedsecure.protocols.session import Session
from parties import SENT_BY_SERVER, STAGES, Parties, make_updates, refuses_for_good, reseal


def transcript(parties: Parties) -> dict[tuple[Stage, str], bytes]:
    """The first message to and from client 0 in each stage."""
    found: dict[tuple[Stage, str], bytes] = {}
    for stage in STAGES:
        if stage in SENT_BY_SERVER[Flow.FOUR_STAGES]:
            found[stage, "to"] = parties.mail[0][0]
        answers = {name: parties.answer(name) for name in parties.mail}
        found[stage, "from"] = answers[0][0]
        for name, messages in answers.items():
            for message in messages:
                parties.server.receive(name, message)
        parties.mail = parties.server.advance()
    parties.check()
    return found


@pytest.mark.parametrize("change", ["session", "round", "both"])
@pytest.mark.parametrize("stage", STAGES)
def test_replayed_as_it_was(change: str, stage: Stage) -> None:
    """[A4] A message of another session or round is refused and changes nothing."""
    first = Parties(4, round=6)
    old = transcript(first)
    session_id = first.session.session_id if change == "round" else None
    parties = Parties(4, round=6 if change == "session" else 7, session_id=session_id)
    parties.until(stage)
    reason = "another session" if change != "round" else "round 6, not 7"
    with pytest.raises(RemoteProtocolError, match=reason):
        parties.server.receive(0, old[stage, "from"])
    if stage in SENT_BY_SERVER[Flow.FOUR_STAGES]:
        with pytest.raises(RemoteProtocolError, match=reason):
            parties.clients[0].receive(old[stage, "to"])
        assert parties.clients[0].stage is stage
    parties.finish()


@pytest.mark.parametrize(
    ("stage", "reason"),
    [(Stage.SHARE_KEYS, "this client's keys"), (Stage.MASKED_INPUT, "does not authenticate")],
)
def test_replayed_under_a_new_header(stage: Stage, reason: str) -> None:
    """[A4] What a header says is only what the attacker wrote; the keys hold the context."""
    old = transcript(Parties(4))[stage, "to"]
    parties = Parties(4).until(stage)
    message = reseal(old, session_id=parties.session.session_id)
    refuses_for_good(parties, 0, message, reason)


def test_replayed_answers_under_a_new_header_are_recognised() -> None:
    """[A4] Old shares do not have the new tags; the sum comes from the others."""
    first = Parties(4)
    old = transcript(first)[Stage.UNMASKING, "from"]
    parties = Parties(4).until(Stage.UNMASKING)
    with pytest.raises(CheaterDetected, match="client 0 is not the one it was given") as caught:
        parties.server.receive(0, reseal(old, session_id=parties.session.session_id))
    assert caught.value.culprit == 0
    parties.finish_stage_of([1, 2, 3])
    parties.check()


@pytest.mark.parametrize("stage", STAGES)
def test_other_suite(stage: Stage) -> None:
    parties = Parties(4).until(stage)
    if stage in SENT_BY_SERVER[Flow.FOUR_STAGES]:
        with pytest.raises(RemoteProtocolError, match="suite 2, not 1"):
            parties.clients[0].receive(reseal(parties.mail[0][0], suite=2))
    answers = parties.answer(0)
    with pytest.raises(RemoteProtocolError, match="suite 0, not 1"):
        parties.server.receive(0, reseal(answers[0], suite=0))


# --- what the parties agree on ------------------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [
        {"model_digest": bytes(31) + b"\1"},
        {"threshold": 4},
        {"size": 52},
        {"encoding": FixedPoint(4.0, 13)},
        {"encoding": FixedPoint(4.0, 12, overflow="clip")},
    ],
    ids=["model", "threshold", "shapes", "bits", "overflow"],
)
def test_clients_told_different_things_do_not_agree_on_keys(other: dict[str, object]) -> None:
    """[A11, A39] Same session id and roster, one thing different: no share can be opened."""
    parties = Parties(4)
    twin = Parties(4, session_id=parties.session.session_id, **other)
    parties.clients[0] = twin.clients[0]
    parties.until(Stage.MASKED_INPUT)
    for name in (0, 1):
        refuses_for_good(parties, name, parties.mail[name][0], "does not authenticate")


@pytest.mark.parametrize(("count", "threshold"), [(10, 6), (5, 3), (100, 51)])
def test_a_lower_threshold_than_the_clients_policy(count: int, threshold: int) -> None:
    """[A9] The default policy of a client does not take part in a session that asks for less."""
    lenient = Parties(count, threshold=threshold).session
    policy = PairwiseMasking(
        adversary="semi_honest", threshold=2 * count // 3 + 1, chunk=lenient.chunk
    )
    for restored in (lenient, Session.from_bytes(lenient.to_bytes())):
        with pytest.raises(ThresholdError, match=f"threshold {threshold} is below the"):
            policy.client(restored, 0, make_updates(1)[0])
        with pytest.raises(ThresholdError):
            policy.server(restored)
    strict = Parties(count, threshold=count).session
    assert policy.client(strict, 0, make_updates(1)[0]).stage is Stage.ADVERTISE_KEYS


def test_another_chunk_or_protocol_than_the_clients_policy() -> None:
    session = Parties(4, chunk=16).session
    with pytest.raises(LocalProtocolError, match="chunk"):
        PairwiseMasking(adversary="semi_honest", chunk=17).client(session, 0)
    with pytest.raises(LocalProtocolError, match="not invited"):
        PairwiseMasking(adversary="semi_honest", chunk=16).client(session, 9)

"""Sessions with every generator: the same sum, and no two parties with different ones."""

from __future__ import annotations

import dataclasses
from typing import Any, get_args

import numpy as np
import pytest

import fedsecure as fs
from fedsecure.encoding import Contribution, FixedPoint
from fedsecure.errors import LocalProtocolError, RemoteProtocolError
from fedsecure.primitives.masks import MaskSet, Prg, PrgName
from fedsecure.protocols.masking import MaskingClient, MaskingServer, PairwiseMasking
from fedsecure.protocols.masking.states import Stage
from fedsecure.protocols.session import Session
from fedsecure.testing import Drop, PlaintextSum, run_session
from parties import LEVELS, Parties
from restarts import walked

PRGS = get_args(PrgName)
EVERY = pytest.mark.parametrize("prg", PRGS)
ENCODING = FixedPoint(clip=4.0, bits=16, max_weight=8, rounding="nearest")


def updates(count: int) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(3)
    return [
        {"a": rng.uniform(-4, 4, 700), "b": np.full((3, 5), 1.0 / (at + 1))} for at in range(count)
    ]


def test_suites_are_numbered() -> None:
    assert [Prg.named(name).value for name in PRGS] == [1, 2, 3]
    assert [Prg.named(name).seed_bytes for name in PRGS] == [24, 40, 40]
    assert PairwiseMasking().prg == "aes128"


@EVERY
@pytest.mark.parametrize("adversary", LEVELS)
def test_the_sum_is_the_plain_one(prg: Any, adversary: Any) -> None:
    given: dict[str, Any] = {"weights": [1, 2.5, 8, 0.125], "encoding": ENCODING}
    masked = PairwiseMasking(adversary=adversary, chunk=129, prg=prg)
    found = fs.secure_aggregate(updates(4), protocol=masked, **given)
    plain = fs.secure_aggregate(updates(4), protocol=PlaintextSum(), **given)
    for path, value in plain.mean.items():
        np.testing.assert_array_equal(found.mean[path], value)
    assert found.total_weight == plain.total_weight


@EVERY
@pytest.mark.parametrize("adversary", LEVELS)
def test_drop_outs_in_every_stage(prg: Any, adversary: str) -> None:
    parties = Parties(9, adversary=adversary, threshold=6, policy={"prg": prg})
    assert parties.session.suite == PRGS.index(prg) + 1
    for gone in ([8], [7], [6]):
        parties.finish_stage(absent=gone)
    parties.finish()
    assert parties.server.result().contributors == tuple(range(6))
    lane = parties.total.dtype
    wanted = sum(parties.inputs[name].astype(lane) for name in range(6))
    modulus = parties.session.layout.modulus_bits
    np.testing.assert_array_equal(parties.total, wanted & lane.type((1 << modulus) - 1))


@EVERY
def test_run_session_with_a_drop_out(prg: Any) -> None:
    protocol = PairwiseMasking(adversary="semi_honest", prg=prg)
    drop = {2: Drop(Stage.MASKED_INPUT, "before")}
    found = run_session(updates(5), protocol=protocol, encoding=ENCODING, drop=drop)
    wanted = np.mean([each["a"] for at, each in enumerate(updates(5)) if at != 2], axis=0)
    np.testing.assert_allclose(found.mean["a"], wanted, atol=2**-16)


@pytest.mark.parametrize("prg", PRGS[1:])
@pytest.mark.parametrize("name", ["malicious", "regular"])
def test_parties_that_are_saved_between_any_two_messages(
    monkeypatch: pytest.MonkeyPatch, name: str, prg: str
) -> None:
    plain, _ = walked(monkeypatch, name, lambda _: False, policy={"prg": prg})
    again, _ = walked(monkeypatch, name, lambda _: True, policy={"prg": prg})
    assert again.messages == plain.messages
    np.testing.assert_array_equal(again.parties.total, plain.parties.total)


def test_suites_have_nothing_in_common(monkeypatch: pytest.MonkeyPatch) -> None:
    """The suite is in the context: even seeds of one length differ, with all else equal."""

    def said(prg: str) -> tuple[bytes, list[bytes]]:
        policy = {"prg": prg}
        walk, _ = walked(monkeypatch, "semi_honest", lambda _: False, policy=policy)
        (client, *_) = walk.parties.clients.values()
        return client._membership.ctx, walk.messages

    (ctx, messages), (other_ctx, other_messages) = said("aes256"), said("chacha20")
    assert ctx != other_ctx
    assert not set(messages) & set(other_messages)


@pytest.mark.parametrize(
    "prg", ["AES128", "aes-128", "chacha", "", None, 1, Prg.AES256, ["aes128"]]
)
def test_unknown_generators_are_refused(prg: Any) -> None:
    with pytest.raises(LocalProtocolError, match=r"prg is .*chacha20"):
        PairwiseMasking(prg=prg)


@pytest.mark.parametrize("mine", PRGS)
@pytest.mark.parametrize("theirs", PRGS)
def test_a_policy_takes_its_own_generator_only(mine: Any, theirs: Any) -> None:
    session = Parties(4, policy={"prg": theirs}, chunk=16).session
    policy = PairwiseMasking(adversary="semi_honest", chunk=16, prg=mine)
    if mine == theirs:
        policy.client(session, 0)
        policy.server(session)
        return
    for make in (lambda: policy.client(session, 0), lambda: policy.server(session)):
        with pytest.raises(LocalProtocolError, match=r"\(protocol, suite, chunk\)"):
            make()


@pytest.mark.parametrize("suite", [-1, 4, 255, 2**16, True, Prg.AES128, None])
def test_sessions_of_unknown_suites_are_refused(suite: Any) -> None:
    session = Parties(4).session
    with pytest.raises(LocalProtocolError, match="suite is"):
        dataclasses.replace(session, suite=suite)


def test_sessions_of_unknown_suites_are_refused_as_bytes() -> None:
    session = Parties(4).session
    data = session.to_bytes()
    # Suite 1 stands in the header, and after the protocol's name in the body.
    head = data[:6] + b"\4\0" + data[8:]
    at = data.index(b"semi-honest") + len(b"semi-honest")
    assert data[at] == 1
    for bad in (head, head[:at] + b"\4" + head[at + 1 :]):
        with pytest.raises(RemoteProtocolError, match="not a valid session"):
            Session.from_bytes(bad)
    two = data[:6] + b"\2\0" + data[8:at] + b"\2" + data[at + 1 :]
    assert Session.from_bytes(two).prg is Prg.AES256


def test_masking_without_a_suite_is_refused() -> None:
    session = dataclasses.replace(Parties(4).session, suite=0)
    with pytest.raises(LocalProtocolError, match="suite"):
        MaskingClient(session, 0)
    with pytest.raises(LocalProtocolError, match="suite"):
        MaskingServer(session)


def test_masks_of_another_generator_are_refused() -> None:
    encoding = FixedPoint(clip=4.0, bits=12)
    contribution = Contribution(
        [np.zeros(9)],
        ["a"],
        encoding=encoding,
        layout=encoding.layout(4, 9, weighted=False),
        weight=None,
        seed=bytes(40),
        prg=Prg.AES256,
    )
    with pytest.raises(LocalProtocolError, match="masks of CHACHA20 on a vector of AES256"):
        contribution.message(b"", 0, 9, MaskSet([bytes(40)], [1], Prg.CHACHA20))

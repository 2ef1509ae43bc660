"""How much noise is certain, what a session pins of it, and what a client insists on."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

import fedsecure as fs
from encrypted_sums import IDS, policy
from fedsecure import wire
from fedsecure.encoding import FixedPoint
from fedsecure.errors import (
    LocalProtocolError,
    RemoteProtocolError,
    ThresholdError,
)
from fedsecure.privacy import (
    AdaptiveClip,
    CentralGaussian,
    DistributedDiscreteGaussian,
    DistributedSkellam,
    Laplace,
    SkellamEvent,
)
from fedsecure.protocols.masking import PairwiseMasking
from fedsecure.protocols.session import Session, _SessionBody
from fedsecure.pytree import TreeSpec
from fedsecure.testing import PlaintextSum
from parties import LEVELS, make_updates

if TYPE_CHECKING:
    from fedsecure.privacy import VectorMechanism

SKELLAM = DistributedSkellam(1.0, 1.0)
SPEC = TreeSpec.of(make_updates(1)[0])


def protocol_of(name: str) -> Any:
    if name in LEVELS:
        return PairwiseMasking(name)
    return PlaintextSum(min_inputs=4) if name == "plain" else policy(name)


# --- how much of it is certain -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("wishes", "mechanism", "count", "shares"),
    [
        ({}, SKELLAM, 4, 2),  # t = 3, c = 1
        ({}, SKELLAM, 10, 4),  # t = 7, c = 3
        ({"corrupt": 0.1}, SKELLAM, 20, 10),  # t = 12, c = 2
        ({"threshold": 10}, SKELLAM, 10, 2),  # c = t - 2
        ({"adversary": "semi_honest"}, SKELLAM, 10, 4),
        ({"adversary": "semi_honest"}, replace(SKELLAM, corrupt=0), 10, 7),
        ({}, replace(SKELLAM, corrupt=1), 10, 6),
        ({"adversary": "semi_honest", "neighbors": 20, "corrupt": 0.05}, SKELLAM, 100, 85),
        ({}, CentralGaussian(1.0, 1.0), 10, 1),
    ],
    ids=str,
)
def test_how_many_shares_are_certain(
    wishes: dict[str, Any], mechanism: VectorMechanism, count: int, shares: int
) -> None:
    """The least number of survivors less the corrupt: declared, asked for, or withstood."""
    protocol = PairwiseMasking(**wishes).for_one_process(range(count))
    session = protocol.session(client_ids=range(count), spec=SPEC, privacy=mechanism)
    assert session.noise_shares == shares
    assert session.noise_shares == protocol.noise_shares(count, mechanism)
    if mechanism.placement == "clients":
        corrupt = protocol.colluders(session) if mechanism.corrupt is None else mechanism.corrupt
        assert shares == session.survivors - corrupt
        assert session.plan.noise_shares == shares


def test_no_certain_share_no_session() -> None:
    protocol = PairwiseMasking("semi_honest", threshold=3)
    with pytest.raises(ThresholdError, match="nobody's noise"):
        protocol.session(client_ids=range(4), spec=SPEC, privacy=replace(SKELLAM, corrupt=3))


# --- what is pinned ----------------------------------------------------------------------------

ADAPTIVE = replace(SKELLAM, adaptive=AdaptiveClip(1.0))
MECHANISMS = [
    SKELLAM,
    replace(SKELLAM, bits=24),
    replace(SKELLAM, corrupt=1),
    replace(SKELLAM, beta=0.0),
    replace(SKELLAM, k=5.0),
    replace(SKELLAM, noise_multiplier=1.5),
    replace(SKELLAM, clip_norm=2.0),
    replace(SKELLAM, max_weight=7),
    ADAPTIVE,
    DistributedDiscreteGaussian(1.0, 1.0),
    CentralGaussian(1.0, 1.0),
    fs.RecordSkellam(1.0, 1.0, max_records=8),
]


def made(privacy: VectorMechanism | None, **changes: Any) -> Session:
    given = {"client_ids": range(30), "spec": SPEC, "session_id": bytes(16), "privacy": privacy}
    return PairwiseMasking("semi_honest").session(**{**given, **changes})


@pytest.mark.parametrize("privacy", MECHANISMS, ids=str)
def test_a_mechanism_travels_and_is_pinned(privacy: VectorMechanism) -> None:
    session = made(privacy)
    restored = Session.from_bytes(session.to_bytes())
    assert restored == session
    assert restored.privacy == privacy
    assert (restored.plan, restored.layout) == (session.plan, session.layout)
    assert restored.public_seed == session.public_seed
    everything = {made(each).digest for each in [None, *MECHANISMS]}
    assert len(everything) == len(MECHANISMS) + 1


def test_the_rotation_is_of_one_run() -> None:
    seeds = {
        made(SKELLAM).public_seed,
        made(SKELLAM, round=1).public_seed,
        made(SKELLAM, session_id=bytes(15) + b"1").public_seed,
        made(replace(SKELLAM, bits=20)).public_seed,
    }
    assert len(seeds) == 4


@pytest.mark.parametrize(
    "pinned",
    [
        ["DistributedSkellam", 1.0, 1.0],
        ["DistributedSkellam", 1, 1.0, None, None, 0.5, None, None, 4.0],
        ["DistributedSkellam", -1.0, 1.0, None, None, 0.5, None, None, 4.0],
        ["DistributedSkellam", 1.0, 0.0, None, None, 0.5, None, None, 4.0],
        ["DistributedSkellam", 1e308, 1.0, None, None, 0.5, None, None, 4.0],
        ["DistributedSkellam", 1e-300, 1.0, None, None, 0.5, None, None, 4.0],
        ["DistributedSkellam", 1.0, 1e300, None, None, 0.5, None, None, 4.0],
        ["DistributedSkellam", 1.0, 1e-300, None, None, 0.5, None, None, 4.0],
        ["DistributedSkellam", 1.0, 1.0, None, None, 0.5, None, None, 1e200],
        ["DistributedSkellam", 1.0, 1.0, None, None, 0.5, None, None, 1e-200],
        ["DistributedDiscreteGaussian", 1.0, 1e160, None, None, 0.5, 62, None, 4.0],
        ["DistributedSkellam", 1.0, math.nan, None, None, 0.5, None, None, 4.0],
        ["DistributedSkellam", 1.0, 1.0, None, None, 0.5, True, None, 4.0],
        ["DistributedSkellam", 1.0, 1.0, None, [2.0, 0.5, 0.2], 0.5, None, None, 4.0],
        ["DistributedSkellam", 1.0, 1.0, None, {}, 0.5, None, None, 4.0],
        [["DistributedSkellam"], 1.0, 1.0, None, None, 0.5, None, None, 4.0],
        ["CentralGaussian", 1.0, 1.0, None, None, 0.5, None],
        "DistributedSkellam",
        {"DistributedSkellam": 1.0},
        None,
        7,
    ],
    ids=str,
)
def test_what_is_no_mechanism_is_no_session(pinned: Any) -> None:
    good = made(SKELLAM)
    body = wire.decode_control(_SessionBody, memoryview(good.to_bytes())[wire.HEADER_SIZE :])
    config = msgspec.structs.replace(body.config, privacy=msgspec.msgpack.encode(pinned))
    spoilt = msgspec.structs.replace(body, config=config)
    data = good.seal(0, wire.SERVER, wire.encode_control(spoilt))
    with pytest.raises(RemoteProtocolError, match="not a valid session"):
        Session.from_bytes(data)


def test_numbers_of_shares_that_cannot_be() -> None:
    session = made(SKELLAM)
    for shares in (0, -1, session.survivors + 1, 1.0):
        with pytest.raises(LocalProtocolError, match="noise_shares"):
            replace(session, noise_shares=shares)
    with pytest.raises(LocalProtocolError, match="noise_shares"):
        replace(made(None), noise_shares=1)


def test_the_mechanism_decides_the_encoding() -> None:
    with pytest.raises(LocalProtocolError, match="leave encoding out"):
        made(SKELLAM, encoding=FixedPoint(4.0))
    with pytest.raises(LocalProtocolError, match="leave encoding out"):
        fs.secure_aggregate(make_updates(4), privacy=SKELLAM, encoding=FixedPoint(4.0))


@pytest.mark.parametrize("privacy", [1.0, "skellam", SkellamEvent(1, 1, 1), Laplace(1.0, 1.0)])
def test_what_is_no_mechanism_for_vectors(privacy: Any) -> None:
    for protocol in (PairwiseMasking("semi_honest"), PlaintextSum()):
        with pytest.raises(LocalProtocolError, match="give a mechanism for sums of vectors"):
            protocol.session(client_ids=range(5), spec=SPEC, privacy=privacy)


# --- who insists on it -------------------------------------------------------------------------

WANTED = DistributedSkellam(1.0, 2.0)
WEAKER: list[tuple[VectorMechanism | None, str]] = [
    (None, "has no noise"),
    (replace(WANTED, noise_multiplier=1.999), "noise multiplier 1.999, below 2"),
    (replace(WANTED, clip_norm=5.0), "clip_norm is 5.0, not 1.0"),
    (replace(WANTED, clip_norm=0.5), "clip_norm is 0.5, not 1.0"),
    (replace(WANTED, corrupt=0), "corrupt is 0, not None"),
    (replace(WANTED, beta=0.1), "beta is 0.1"),
    (CentralGaussian(1.0, 2.0), "CentralGaussian instead of DistributedSkellam"),
    (DistributedDiscreteGaussian(1.0, 2.0), "DistributedDiscreteGaussian instead"),
]


@pytest.mark.parametrize(("offered", "reason"), WEAKER, ids=str)
@pytest.mark.parametrize("name", ["semi_honest", "one key", "shares", "plain"])
def test_a_server_that_lowers_the_noise_has_no_clients(
    name: str, offered: VectorMechanism | None, reason: str
) -> None:
    """[A9] Neither does one that changes the mechanism, or leaves the noise to itself."""
    protocol, ids = protocol_of(name), IDS if name in ("one key", "shares") else range(30)
    update = make_updates(1)[0]
    session = protocol.session(client_ids=ids, spec=SPEC, privacy=offered)
    session = Session.from_bytes(session.to_bytes())
    with pytest.raises(LocalProtocolError, match=reason):
        protocol.client(session, ids[0], update, privacy=WANTED)
    # The same session is joined by whoever asks for just that: it is the noise that is refused.
    assert protocol.client(session, ids[0], privacy=offered).client_id == ids[0]


@pytest.mark.parametrize("name", ["semi_honest", "one key", "plain"])
def test_noise_nobody_asked_for_is_refused(name: str) -> None:
    """So that a client cannot forget to insist on it."""
    protocol, ids = protocol_of(name), IDS if name == "one key" else range(30)
    session = protocol.session(client_ids=ids, spec=SPEC, privacy=WANTED)
    with pytest.raises(LocalProtocolError, match="has not asked for"):
        protocol.client(session, ids[0])
    assert protocol.client(session, ids[0], privacy=WANTED)


def test_more_noise_is_welcome() -> None:
    session = made(replace(WANTED, noise_multiplier=2.5))
    assert PairwiseMasking("semi_honest").client(session, 0, privacy=WANTED)


def test_a_clip_that_adapts_may_be_any() -> None:
    wanted = replace(WANTED, adaptive=AdaptiveClip(1.0))
    offered = wanted.updated(0.9)
    assert offered.clip_norm < 1
    protocol = PairwiseMasking("semi_honest")
    assert protocol.client(made(offered), 0, privacy=wanted)
    with pytest.raises(LocalProtocolError, match=r"clip_norm is .*, adaptive is"):
        protocol.client(made(offered), 0, privacy=WANTED)
    slower = replace(offered, adaptive=replace(offered.adaptive, learning_rate=0.1))
    with pytest.raises(LocalProtocolError, match="adaptive is"):
        protocol.client(made(slower), 0, privacy=wanted)


@pytest.mark.parametrize("name", ["semi_honest", "one key"])
def test_a_server_that_counts_on_more_shares_is_refused(name: str) -> None:
    """[A31] Each share would be smaller, and the certain ones too little together."""
    protocol, ids = protocol_of(name), IDS if name == "one key" else range(30)
    session = protocol.session(client_ids=ids, spec=SPEC, privacy=WANTED)
    greedy = replace(session, noise_shares=session.noise_shares + 1)
    with pytest.raises(ThresholdError, match="the noise could be smaller than what is claimed"):
        protocol.client(Session.from_bytes(greedy.to_bytes()), ids[0], privacy=WANTED)
    careful = replace(session, noise_shares=session.noise_shares - 1)
    assert protocol.client(careful, ids[0], privacy=WANTED)


def test_a_client_that_fears_more_wants_more_noise() -> None:
    """[A31] Its own policy says how many collude, whatever the server's says."""
    hopeful = PairwiseMasking("semi_honest", threshold=20, corrupt=0.1)
    session = hopeful.session(client_ids=range(30), spec=SPEC, privacy=WANTED)
    assert session.noise_shares == 17
    fearful = PairwiseMasking("semi_honest", threshold=20, corrupt=0.3)
    with pytest.raises(ThresholdError, match="this policy is sure of 11"):
        fearful.client(session, 0, privacy=WANTED)
    assert hopeful.client(session, 0, privacy=WANTED)

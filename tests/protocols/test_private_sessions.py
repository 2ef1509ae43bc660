"""Sessions whose sums have noise: who adds it, how much of it is certain, and who insists on it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest

import fedsecure as fs
from encrypted_sums import IDS, Play, policy
from fedsecure import wire
from fedsecure.encoding import FixedPoint
from fedsecure.errors import (
    EncodingError,
    FedSecureError,
    LocalProtocolError,
    RemoteProtocolError,
    ThresholdError,
)
from fedsecure.primitives import entropy, keys
from fedsecure.privacy import (
    AdaptiveClip,
    CentralGaussian,
    DDGaussEvent,
    DistributedDiscreteGaussian,
    DistributedSkellam,
    GaussianEvent,
    Laplace,
    SkellamEvent,
)
from fedsecure.protocols.masking import PairwiseMasking
from fedsecure.protocols.masking.states import Stage
from fedsecure.protocols.session import Session, _SessionBody
from fedsecure.pytree import TreeSpec, flatten
from fedsecure.testing import PlaintextSum
from parties import LEVELS, Parties, make_updates, modular_sum, stages_of
from restarts import CASES, Walk, counted_entropy, walked

if TYPE_CHECKING:
    from fedsecure.privacy import Plan, VectorMechanism

KINDS = (DistributedSkellam, DistributedDiscreteGaussian, CentralGaussian)
EVENTS = (SkellamEvent, DDGaussEvent, GaussianEvent)
SKELLAM = DistributedSkellam(1.0, 1.0)
SPEC = TreeSpec.of(make_updates(1)[0])


def protocol_of(name: str) -> Any:
    if name in LEVELS:
        return PairwiseMasking(name)
    return PlaintextSum(min_inputs=4) if name == "plain" else policy(name)


def exact_mean(updates: list[dict[str, np.ndarray]], clip: float) -> np.ndarray:
    vectors = [np.concatenate([each["a"], each["b"]]) for each in updates]
    return np.mean([one * min(1, clip / np.linalg.norm(one)) for one in vectors], axis=0)


# --- each placement in each protocol -----------------------------------------------------------


@pytest.mark.parametrize("name", [*LEVELS, "plain", "one key", "shares"])
@pytest.mark.parametrize(("kind", "event"), list(zip(KINDS, EVENTS, strict=True)))
def test_the_mean_is_right_but_for_noise_of_the_size_that_is_claimed(
    name: str, kind: type[VectorMechanism], event: type
) -> None:
    updates = make_updates(5, 400)
    if name in ("one key", "shares"):
        play = Play.of(name, size=400, privacy=kind(2.0, 0.5))
        play.contribute()
        result = play.finish()
    else:
        result = fs.secure_aggregate(updates, protocol=protocol_of(name), privacy=kind(2.0, 0.5))
    plan, told = result.privacy.plan, result.privacy
    placed = len(result.contributors) / told.noise_shares if plan.share is not None else 1
    sigma = plan.sigma * math.sqrt(placed) / 5
    vector = np.concatenate([result.mean["a"], result.mean["b"]])
    error = np.std(vector - exact_mean(updates, 2.0))
    assert 0.75 * sigma < error < 1.25 * sigma
    assert told.private
    assert told.noise_shares >= 1
    assert isinstance(told.event(), event)
    words = str(told)
    assert words.startswith("differential privacy for each client: the sum over 5 clients")
    assert "0.5 times the clip norm 2" in words
    assert ("certain shares" in words) == (kind is not CentralGaussian)
    assert ("trusted with it" in words) == (kind is CentralGaussian and name != "plain")
    assert ("the server, which sees every update" in words) == (name == "plain")


def test_an_exact_sum_is_no_event() -> None:
    result = fs.secure_aggregate(make_updates(4))
    assert not result.privacy.private
    with pytest.raises(LocalProtocolError, match="no event of differential privacy"):
        result.privacy.event()
    assert str(fs.Aggregate({}, 1.0, (), ()).privacy).startswith("no differential privacy: the ex")


# --- bit for bit -------------------------------------------------------------------------------


def without_noise(session: Session, update: Any, seed: bytes) -> np.ndarray:
    """The integers that a client would send without its share: by a plan that has none."""
    bare: Plan = replace(session.plan, share=None)
    leaves, spec = flatten(update)
    contribution = bare.contribution(
        leaves,
        [leaf.path for leaf in spec.leaves],
        weight=None,
        seed=seed,
        public_seed=session.public_seed,
        prg=session.prg,
    )
    return contribution.encode(0, session.layout.length)


def noise_of(session: Session, seed: bytes) -> np.ndarray:
    """A client's share of the noise, from its seed."""
    label = keys.info(b"privacy/noise")
    own = keys.derive(seed, session.public_seed, label, session.prg.seed_bytes)
    return session.plan.share.draw(session.layout.length, own, 0, session.prg)


@pytest.mark.parametrize("adversary", LEVELS)
@pytest.mark.parametrize("kind", KINDS[:2])
def test_the_noisy_sum_less_the_noise_is_the_exact_sum(
    kind: type[VectorMechanism], adversary: str
) -> None:
    parties = Parties(6, size=300, adversary=adversary, privacy=kind(1.0, 2.0))
    session = parties.session
    seeds = {name: bytes(client._input._rounding.view) for name, client in parties.clients.items()}
    parties.until(Stage.MASKED_INPUT).finish_stage(absent=[4])
    parties.finish()
    exact, noise = [], np.zeros(session.layout.length, np.int64)
    for name in parties.server.result().contributors:
        exact.append(without_noise(session, make_updates(6, 300)[name], seeds[name]))
        noise += noise_of(session, seeds[name])
    assert 4 not in parties.server.result().contributors
    assert np.abs(noise).max() > 100
    bits = session.layout.modulus_bits
    left = (parties.total.astype(np.int64) - noise) % 2**bits
    np.testing.assert_array_equal(left, modular_sum(exact, bits))


@pytest.mark.parametrize("kind", ["one key", "shares"])
def test_so_it_is_in_encrypted_sums(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """There the sum is known by its mean only, which is that of the same integers, bit for bit."""
    drawn: list[bytes] = []
    system = entropy._system
    monkeypatch.setattr(entropy, "_system", lambda n: drawn.append(system(n)) or drawn[-1])
    play = Play.of(kind, size=200, privacy=SKELLAM)
    seeds = [data for data in drawn if len(data) == 40][: len(IDS)]
    play.contribute()
    result, session = play.finish(), play.session
    total = np.zeros(session.layout.length, np.int64)
    for update, seed in zip(make_updates(len(IDS), 200), seeds, strict=True):
        total += without_noise(session, update, seed).astype(np.int64) + noise_of(session, seed)
    total %= 2**session.layout.modulus_bits
    decoded = session.plan.decode(
        total.astype(session.layout.dtype),
        num_contributors=len(IDS),
        public_seed=session.public_seed,
        dtype=np.float64,
    )
    np.testing.assert_array_equal(result.mean["a"], decoded.values[:100])


# --- drop-outs ---------------------------------------------------------------------------------


@pytest.mark.parametrize("adversary", LEVELS)
@pytest.mark.parametrize("kind", KINDS[:2])
@pytest.mark.parametrize("at", range(4))
def test_noise_is_enough_wherever_clients_vanish(
    kind: type[VectorMechanism], adversary: str, at: int
) -> None:
    """[A31] As many as may, in one stage; zeros are sent, so that the sum is nothing but noise.

    The variance of 8192 numbers is within 6 of its standard deviations of the true one, which is
    survivors / m times the target, but for a chance of 1e-8.
    """
    stage = stages_of(adversary)[at]
    zeros = [{"a": np.zeros(8000)} for _ in range(7)]
    parties = Parties(7, updates=zeros, adversary=adversary, privacy=kind(1.0, 1.0), chunk=1 << 20)
    session = parties.session
    gone = range(7 - session.survivors)
    parties.until(stage).finish_stage(absent=gone)
    while not parties.server.finished:
        parties.finish_stage()
    result = parties.server.result()
    assert len(result.contributors) == (7 if at == 3 else session.survivors)
    parties.check()
    bits = session.layout.modulus_bits
    noise = (parties.total.astype(np.int64) + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1)
    plan = session.plan
    target = (plan.mechanism.noise_multiplier * plan.scale * plan.joint.norm) ** 2
    expected = target * len(result.contributors) / session.noise_shares
    variance = float(np.mean(noise.astype(float) ** 2))
    assert variance >= target
    assert abs(variance / expected - 1) < 6 * math.sqrt(2 / 8192)


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


# --- restarts ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("kind", KINDS[:2])
def test_restored_clients_say_the_same_to_the_byte(
    name: str, kind: type[VectorMechanism], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Noise drawn twice would show itself by the difference."""
    privacy = kind(1.0, 1.0)
    twin, count = walked(monkeypatch, name, lambda _: False, privacy=privacy)
    walk, same = walked(monkeypatch, name, lambda _: True, privacy=privacy)
    assert same == count > 40
    assert walk.messages == twin.messages
    np.testing.assert_array_equal(walk.parties.total, twin.parties.total)
    for key in ("a", "b"):
        mean = walk.parties.server.result().mean[key]
        np.testing.assert_array_equal(mean, twin.parties.server.result().mean[key])


def test_another_update_is_refused_when_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    counted_entropy(monkeypatch)
    parties = Parties(4, adversary="semi_honest", privacy=SKELLAM)
    data = parties.clients[1].to_bytes()
    client = type(parties.clients[1]).from_bytes(data)
    with pytest.raises(LocalProtocolError, match="had another update"):
        client.set_update(make_updates(4)[2])
    client.set_update(make_updates(4)[1])
    assert Walk(parties, vanishing=3) is not None


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


# --- weights -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_weights_need_a_declared_limit(kind: type[VectorMechanism]) -> None:
    updates, weights = make_updates(4), [1.0, 2.0, 3.0, 4.0]
    with pytest.raises(EncodingError, match="declare max_weight"):
        fs.secure_aggregate(updates, weights=weights, privacy=kind(1.0, 1.0))
    declared = kind(1.0, 1.0, max_weight=3.0)
    with pytest.raises(EncodingError, match=r"updates\[3\]: the weight is .* max_weight=3"):
        fs.secure_aggregate(updates, weights=weights, privacy=declared)


@pytest.mark.parametrize("kind", KINDS)
def test_weighted_means_are_right_but_for_their_noise(kind: type[VectorMechanism]) -> None:
    updates, weights = make_updates(5, 200), [1.0, 2.0, 4.0, 4.0, 3.0]
    privacy = kind(100.0, 1e-4, max_weight=4.0)
    result = fs.secure_aggregate(updates, weights=weights, privacy=privacy)
    assert result.total_weight == pytest.approx(14, rel=0.05)
    mean = sum(w * each["a"] for w, each in zip(weights, updates, strict=True)) / 14
    np.testing.assert_allclose(result.mean["a"], mean, atol=0.2)
    unweighted = sum(each["a"] for each in updates) / 5
    assert np.abs(mean - unweighted).max() > 0.4


def test_a_divisor_of_noise_is_a_release_that_may_be_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever saw the noisy sum of weights has seen it, though nothing can be divided by it."""
    counted_entropy(monkeypatch)
    privacy = DistributedSkellam(1.0, 50.0, max_weight=1e6)
    with pytest.raises(ThresholdError, match="nothing can be divided") as few:
        fs.secure_aggregate(make_updates(4), weights=[1.0] * 4, privacy=privacy)
    assert few.value.may_be_known


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


# --- what failed, and what may be known --------------------------------------------------------


@pytest.mark.parametrize("adversary", LEVELS)
def test_too_few_may_know_the_sum_once_shares_of_masks_are_given(adversary: str) -> None:
    for stage in stages_of(adversary):
        parties = Parties(5, adversary=adversary, privacy=SKELLAM).until(stage)
        with pytest.raises(ThresholdError) as nobody:
            parties.server.advance()
        assert not nobody.value.may_be_known
        parties.send([0, 1])
        with pytest.raises(ThresholdError) as few:
            parties.server.advance()
        assert few.value.may_be_known == (stage is Stage.UNMASKING)


@pytest.mark.parametrize("kind", ["one key", "shares"])
def test_so_may_they_in_an_encrypted_sum(kind: str) -> None:
    play = Play.of(kind, size=300, chunk=64, privacy=SKELLAM)
    with pytest.raises(ThresholdError) as nobody:
        play.server.advance()
    assert not nobody.value.may_be_known
    play.contribute()
    mail = play.server.advance()
    with pytest.raises(ThresholdError) as still:
        play.server.advance()
    assert not still.value.may_be_known
    name, messages = next(iter(play.answers(mail).items()))
    play.server.receive(name, messages[0])
    with pytest.raises(ThresholdError) as few:
        play.server.advance()
    assert few.value.may_be_known


def test_a_private_plain_sum_has_its_least_inputs() -> None:
    protocol = PlaintextSum(min_inputs=3)
    session = protocol.session(client_ids=range(4), spec=SPEC, privacy=SKELLAM)
    server = protocol.server(session)
    for name, update in enumerate(make_updates(2)):
        for message in protocol.client(session, name, update, privacy=SKELLAM).start():
            server.receive(name, message)
    with pytest.raises(ThresholdError, match="2 clients have sent their inputs, 3 must"):
        server.advance()
    with pytest.raises(FedSecureError, match="fewer than min_inputs=5"):
        PlaintextSum(min_inputs=5).session(client_ids=range(4), spec=SPEC)

"""Sessions whose sums have noise: what is in the sum, whoever vanishes, restarts or has weights."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import fedsecure as fs
from encrypted_sums import IDS, Play
from fedsecure.errors import (
    EncodingError,
    FedSecureError,
    LocalProtocolError,
    ThresholdError,
)
from fedsecure.primitives import entropy, keys
from fedsecure.privacy import (
    CentralGaussian,
    DDGaussEvent,
    DistributedDiscreteGaussian,
    DistributedSkellam,
    GaussianEvent,
    SkellamEvent,
)
from fedsecure.protocols.masking import PairwiseMasking
from fedsecure.protocols.masking.states import Stage
from fedsecure.protocols.session import Session
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
        plain = PlaintextSum(min_inputs=4)
        protocol = plain if name == "plain" else PairwiseMasking(name)
        result = fs.secure_aggregate(updates, protocol=protocol, privacy=kind(2.0, 0.5))
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

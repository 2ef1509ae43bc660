"""Plans: what clients make of their updates, and what the sum says."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from fedsecure import wire
from fedsecure._prg import Prg
from fedsecure.errors import LocalProtocolError, ThresholdError
from fedsecure.primitives import keys, masks, samplers
from fedsecure.privacy import (
    AdaptiveClip,
    CentralGaussian,
    DistributedSkellam,
    VectorMechanism,
    indicator_sigma,
    update_noise_multiplier,
)
from noisy import DISTRIBUTED, KINDS, PUBLIC, contribute, seed_of, updates


@pytest.mark.parametrize("adaptive", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_the_mean_is_right_but_for_the_noise(
    kind: type[VectorMechanism], weighted: bool, adaptive: bool
) -> None:
    mechanism = kind(
        2.0,
        0.01,
        max_weight=10 if weighted else None,
        adaptive=AdaptiveClip(2.0) if adaptive else None,
    )
    plan = mechanism.plan(clients=40, size=1000, noise_shares=25, weighted=weighted)
    total = np.zeros(plan.layout.length, plan.layout.dtype)
    exact, weights, within = np.zeros(1000), 0.0, 0
    for client, update in enumerate(updates(40, 1000, 2.0)):
        weight = 1 + client % 10 if weighted else None
        total += contribute(plan, update, client, weight).encode(0, plan.layout.length)
        norm = float(np.linalg.norm(update))
        exact += update * min(1, 2 / norm) * (weight or 1.0)
        weights += weight or 1.0
        within += norm <= 2
    decoded = plan.decode(total, num_contributors=40, public_seed=PUBLIC, dtype=np.float64)
    assert decoded.total_weight == pytest.approx(weights, rel=0.02)
    error = decoded.values - exact / decoded.total_weight
    everybody = math.sqrt(40 / 25) if mechanism.placement == "clients" else 1.0
    sigma = plan.sigma * everybody * (10 if weighted else 1) / weights
    assert 0.9 * sigma < np.std(error) < 1.15 * sigma
    if adaptive:
        noise = plan.sigma * everybody / plan.joint.indicator / 40
        assert decoded.within == pytest.approx(within / 40, abs=5 * noise)
    else:
        assert decoded.within is None
    assert decoded.clipped is None


@pytest.mark.parametrize("prg", list(Prg))
@pytest.mark.parametrize("bits", [9, 16, 22, 33])
@pytest.mark.parametrize("kind", DISTRIBUTED)
def test_without_the_same_noise_it_is_the_rounded_vector(
    kind: type[DistributedSkellam], bits: int, prg: Prg
) -> None:
    """Bit for bit, for each client and for the sum; as though there had been no noise."""
    z = 0.5 if bits < 30 else 1e-3
    plan = kind(1.0, z, bits=bits).plan(clients=5 if bits < 30 else 200, size=700)
    total = np.zeros(plan.layout.length, plan.layout.dtype)
    rounded, shares = total.copy(), total.copy()
    for client, update in enumerate(updates(5, 700)):
        noisy = contribute(plan, update, client, prg=prg).encode(0, 1024)
        purpose = keys.info(b"privacy/noise")
        noise = keys.derive(seed_of(client, prg), PUBLIC, purpose, prg.seed_bytes)
        share = np.zeros_like(total)
        plan.mechanism.add_noise(share, plan, noise, prg=prg)
        bare = noisy - share
        steps = bare.view(f"i{bare.itemsize}").astype(object)
        assert sum(steps**2) <= plan.most_squared
        work = np.zeros(1024)
        work[:700] = update * min(1, 1 / np.linalg.norm(update))
        rotation = keys.derive(PUBLIC, b"", keys.info(b"privacy/rotation"), 40)
        samplers.flip_signs(work, rotation)
        samplers.hadamard(work)
        assert np.abs(steps.astype(float) - work * plan.scale / 32).max() < 1 + 1e-6
        total, rounded, shares = total + noisy, rounded + bare, shares + share
    np.testing.assert_array_equal(total - shares, rounded)


@pytest.mark.parametrize("kind", KINDS)
def test_seed_and_update_determine_the_integers(
    kind: type[VectorMechanism], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, update = kind(1.0, 1.0).plan(clients=9, size=3000), updates(1, 3000)[0]
    first = contribute(plan, update)
    monkeypatch.setenv("FEDSECURE_THREADS", "1")
    again = contribute(plan, update)
    whole = first.encode(0, plan.layout.length)
    np.testing.assert_array_equal(again.encode(0, plan.layout.length), whole)
    assert first.fingerprint() == again.fingerprint()
    borders = [0, 1, 64, 1000, 2999, plan.layout.length]
    for start, stop in itertools.pairwise(borders):
        np.testing.assert_array_equal(first.encode(start, stop), whole[start:stop])
    update16 = update.astype(np.float16)
    for dtype in (np.float32, np.float64):
        wider = contribute(plan, update16.astype(dtype))
        assert wider.fingerprint() == contribute(plan, update16).fingerprint()
        assert wider.fingerprint() != contribute(plan, update16[::-1].copy()).fingerprint()
    other_seed = contribute(plan, update, client=1)
    assert other_seed.fingerprint() != first.fingerprint()


def test_rounding_and_noise_do_not_share_a_keystream() -> None:
    plan = DistributedSkellam(1.0, 1.0).plan(clients=9, size=4)
    seed, taken = seed_of(3), set()
    for purpose in (b"rounding", b"noise"):
        taken.add(keys.derive(seed, PUBLIC, keys.info(b"privacy/" + purpose), 24))
    assert len({*taken, seed}) == 3
    other = plan.contribution(
        [np.ones(4)], ["x"], weight=None, seed=seed, public_seed=bytes(32), prg=Prg.AES128
    )
    assert other.fingerprint() != contribute(plan, np.ones(4), 3).fingerprint()


def test_messages_are_masked_and_packed() -> None:
    plan, update = DistributedSkellam(1.0, 1.0).plan(clients=9, size=3000), updates(1, 3000)[0]
    contribution = contribute(plan, update)
    seeds = [bytes([n]) * 24 for n in (1, 2)]
    bits, out = plan.layout.modulus_bits, np.zeros(plan.layout.length, plan.layout.dtype)
    for start, stop in ((0, 1001), (1001, plan.layout.length)):
        message = contribution.message(b"head", start, stop, masks.MaskSet(seeds, [1, -1]))
        assert message[:4] == b"head"
        assert len(message) == 4 + wire.packed_bytes(stop - start, bits)
        masks.unpack_add(memoryview(message)[4:], bits, out[start:stop])
    masks.MaskSet(seeds, [-1, 1]).apply(out)
    plain = contribution.encode(0, plan.layout.length)
    masks.reduce(plain, bits)
    masks.reduce(out, bits)
    np.testing.assert_array_equal(out, plain)


def test_a_contribution_is_wiped_and_withheld() -> None:
    contribution = contribute(DistributedSkellam(1.0, 1.0).plan(clients=9, size=3), np.ones(3))
    vector = contribution._vector
    assert vector is not None
    assert vector.any()
    with pytest.raises(LocalProtocolError, match="the vector has 4"):
        contribution.encode(0, 5)
    assert "withheld" in repr(contribution)
    contribution.wipe()
    contribution.wipe()
    assert not vector.any()
    for use in (lambda: contribution.encode(0, 1), contribution.fingerprint):
        with pytest.raises(LocalProtocolError, match="wiped"):
            use()


@settings(deadline=None, max_examples=60)
@given(
    kind=st.sampled_from(DISTRIBUTED),
    clients=st.integers(3, 3000),
    share=st.floats(0.01, 1.0),
    size=st.integers(1, 10**8),
    z=st.floats(0.05, 30),
    weighted=st.booleans(),
    quantile=st.none() | st.just(0.5),
)
def test_every_plan_keeps_what_it_accounts_for(
    kind: type[DistributedSkellam],
    clients: int,
    share: float,
    size: int,
    z: float,
    weighted: bool,
    quantile: float | None,
) -> None:
    adaptive = None if quantile is None or z > clients / 11 else AdaptiveClip(0.3)
    mechanism = kind(0.3, z, max_weight=4.0, adaptive=adaptive)
    shares = math.ceil(share * clients)
    plan = mechanism.plan(clients=clients, size=size, noise_shares=shares, weighted=weighted)
    event: Any = plan.event()
    # The noise that is drawn is at least what is accounted, exactly.
    if kind is DistributedSkellam:
        law: Any = plan.share
        assert law.variance * shares >= Fraction(event.mu)
        assert float(law.variance * shares) == pytest.approx(event.mu, rel=1e-6)
        assert math.sqrt(event.mu) / plan.scale == pytest.approx(plan.sigma)
    else:
        law = plan.share
        assert law.sigma_squared >= Fraction(event.sigma_local) ** 2
        assert float(law.sigma_squared) == pytest.approx(event.sigma_local**2, rel=1e-6)
        assert event.num_shares == shares
    # The integers are bounded by what is accounted.
    assert Fraction(event.delta2) ** 2 >= plan.most_squared
    assert event.delta2 == plan.delta2
    # Rounding costs one percent at most, of either kind.
    assert plan.delta2 <= 1.01 * plan.scale * plan.joint.norm
    assert clients / 4 <= 0.0201 * (plan.scale * plan.sigma) ** 2
    assert plan.layout.modulus_bits == plan.bits >= 8
    # The update's own multiplier is that of Andrew et al.
    base = math.hypot(plan.joint.clip, plan.joint.weight)
    if adaptive is not None:
        sigma_b = indicator_sigma(clients)
        assert plan.sigma / base == pytest.approx(update_noise_multiplier(z, sigma_b), rel=1e-9)
        assert plan.sigma / plan.joint.indicator == pytest.approx(sigma_b, rel=1e-9)
    else:
        assert plan.sigma == pytest.approx(z * base)
    assert plan.dimension == plan.layout.length >= plan.values == size + plan.joint.extra


@pytest.mark.parametrize(
    ("clients", "size", "bits"),
    [(100, 10**4, 13), (100, 10**6, 15), (1000, 10**6, 16), (10, 10**8, 19), (3, 1, 11)],
)
def test_widths(clients: int, size: int, bits: int) -> None:
    assert DistributedSkellam(1.0, 1.0).plan(clients=clients, size=size).bits == bits


def test_many_clients_on_few_values_get_a_wider_ring_for_their_rounding() -> None:
    from fedsecure.privacy import least_bits

    assert DistributedSkellam(1.0, 0.1).plan(clients=10_000, size=16).bits > least_bits(
        10_000, 16, 0.1
    )


def test_an_adaptive_clip_moves_by_what_the_sum_says() -> None:
    mechanism = DistributedSkellam(1.0, 0.1, adaptive=AdaptiveClip(1.0, 0.5, 0.2))
    following = mechanism.updated(0.9)
    assert following.clip_norm == pytest.approx(math.exp(-0.2 * 0.4))
    assert following.adaptive == AdaptiveClip(following.clip_norm, 0.5, 0.2)
    with pytest.raises(LocalProtocolError, match="fixed"):
        DistributedSkellam(1.0, 0.1).updated(0.9)


def test_the_clip_finds_the_quantile() -> None:
    """Norms of 1 to 2, and a clip that starts far too low."""
    mechanism = DistributedSkellam(0.1, 0.2, adaptive=AdaptiveClip(0.1, 0.7, 0.5))
    norms = np.linspace(1, 2, 50)
    for step in range(20):
        plan = mechanism.plan(clients=50, size=8)
        total = np.zeros(plan.layout.length, plan.layout.dtype)
        for client, norm in enumerate(norms):
            update = np.full(8, norm / math.sqrt(8))
            total += contribute(plan, update, 1000 * step + client).encode(0, plan.layout.length)
        within = plan.decode(total, num_contributors=50, public_seed=PUBLIC, dtype=float).within
        assert within is not None
        mechanism = mechanism.updated(within)
    assert 1.55 < mechanism.clip_norm < 1.85


def test_a_weight_sum_that_drowns_is_no_divisor() -> None:
    plan = DistributedSkellam(1.0, 5.0, max_weight=1000.0).plan(clients=4, size=8, weighted=True)
    total = np.zeros(plan.layout.length, plan.layout.dtype)
    for client in range(4):
        total += contribute(plan, np.ones(8), client, weight=0.001).encode(0, plan.layout.length)
    with pytest.raises(ThresholdError, match="noisy sum of weights"):
        plan.decode(total, num_contributors=4, public_seed=PUBLIC, dtype=np.float32)


def test_words_say_how_much_noise_is_certain() -> None:
    mechanism = DistributedSkellam(1.0, 2.0)
    assert "1.6 times the variance" in mechanism.plan(clients=40, size=9, noise_shares=25).words
    assert "times the variance" not in mechanism.plan(clients=40, size=9).words
    assert "server adds" in CentralGaussian(1.0, 2.0).plan(clients=40, size=9).words

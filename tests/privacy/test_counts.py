"""Laplace noise on statistics: bounded in integers, exact in law, alone or in shares."""

from __future__ import annotations

import math
from fractions import Fraction

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from core import exact_laws
from fedsecure.errors import EncodingError, LocalProtocolError
from fedsecure.primitives import entropy
from fedsecure.primitives.samplers import NoiseLaw
from fedsecure.privacy import (
    DiscreteLaplaceEvent,
    Geometric,
    Laplace,
    PolyaEvent,
    PrivacyAccountant,
    Relation,
)
from privacy.tables import agree

SEED = bytes(range(40))
COUNT = 200_000


def fits(numbers: np.ndarray, law: exact_laws.ExactLaw) -> bool:
    reach = len(law.pmf)
    counts, chances = exact_laws.histogram(numbers, reach), law.array(reach)
    close = exact_laws.kolmogorov(counts, chances) < 2.7
    return close and abs(exact_laws.chi_square(counts, chances)) < 5


@pytest.mark.parametrize(("clip", "multiplier"), [(1, 10.0), (1, 2.0), (4, 0.25), (3, 1.0)])
def test_the_servers_noise_has_the_law(clip: int, multiplier: float) -> None:
    vector = np.full(COUNT, 7, np.int64)
    Geometric(clip, multiplier).add_noise(vector, seed=SEED)
    assert fits(vector - 7, exact_laws.laplace(Fraction(1 / (clip * multiplier))))


def test_shares_of_those_who_stay_add_up_to_the_servers_noise() -> None:
    mechanism = Geometric(2, 1.5)
    total = np.zeros(COUNT, np.uint32)
    for client in range(5):
        mechanism.add_share(total, 5, bytes([client]) * 40)
    assert fits(total.view(np.int32), exact_laws.laplace(Fraction(1 / 3.0)))


def test_pieces_of_a_share_are_the_share() -> None:
    mechanism, seed = Geometric(2, 1.5), bytes(40)
    whole, pieces = np.zeros(1000, np.uint16), np.zeros(1000, np.uint16)
    mechanism.add_share(whole, 3, seed)
    mechanism.add_share(pieces[:77], 3, seed)
    mechanism.add_share(pieces[77:], 3, seed, first=77)
    assert (whole == pieces).all()


@pytest.mark.parametrize(
    ("epsilon", "zero", "variance"),
    [
        (0.1, 0.049958374958, 199.833416633609),
        (0.5, 0.244918662404, 7.835396178066),
        (1, 0.462117157260, 1.841347188416),
        (2, 0.761594155956, 0.362030830483),
    ],
)
def test_published_values(epsilon: float, zero: float, variance: float) -> None:
    mechanism = Geometric(1, 1 / epsilon)
    event = mechanism.event()
    assert mechanism.epsilon == pytest.approx(epsilon)
    assert event.probability_of_zero == pytest.approx(zero, abs=1e-12)
    assert event.variance == pytest.approx(variance, abs=1e-11)
    noise = np.zeros(COUNT, np.int64)
    mechanism.add_noise(noise, seed=SEED)
    assert (noise == 0).mean() == pytest.approx(zero, abs=5 * math.sqrt(zero / COUNT))
    assert noise.var() == pytest.approx(variance, rel=0.03)


def test_ten_releases_cost_what_is_published() -> None:
    for event, value in (
        (Laplace(3.0, 1.0).event(), "9.98996"),
        (Geometric(1, 2.0).event(), "4.998854"),
        (Geometric(1, 2.0).event(shares=True), "4.998854"),
    ):
        accountant = PrivacyAccountant(Relation.REPLACE_SPECIAL)
        accountant.compose(event, 10)
        assert agree(accountant.get_epsilon(1e-5), value)
        again = PrivacyAccountant.from_bytes(accountant.to_bytes())
        assert again.ledger == accountant.ledger


def test_events_say_who_is_trusted_and_what_one_changes() -> None:
    assert Geometric(3, 2.0).event() == DiscreteLaplaceEvent(1 / 6, 3)
    shares = Geometric(3, 2.0).event(relation=Relation.REPLACE_ONE, shares=True)
    assert shares == PolyaEvent(1 / 6, 6, relation=Relation.REPLACE_ONE)
    assert "no single party" in shares.trust
    assert "trusted" in Geometric(3, 2.0).event().trust
    assert Laplace(3.0, 2.0, 100).event(relation=Relation.REPLACE_ONE).sensitivity == 200


def test_very_wide_noise_is_accounted_by_rdp() -> None:
    accountant = PrivacyAccountant(Relation.REPLACE_SPECIAL)
    accountant.compose(Geometric(2**31, 10.0).event(), 3)
    assert 0.29 < accountant.get_epsilon(1e-9) < 0.32
    assert "has nothing for discrete Laplace" in accountant.report(1e-9).accountant


@given(st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=20), st.integers(1, 2**31))
def test_integers_are_clipped_exactly(values: list[int], clip: int) -> None:
    vector = np.array(values, np.int64)
    norm = Geometric(clip, 1.0).clip(vector)
    assert norm == sum(map(abs, values))
    assert sum(abs(int(v)) for v in vector) <= clip
    if norm <= clip:
        assert vector.tolist() == values
    for before, after in zip(values, vector.tolist(), strict=True):
        assert abs(after - Fraction(before) * min(1, Fraction(clip, norm or 1))) < 1
        assert before * after >= 0


@given(
    st.lists(st.floats(-1e300, 1e300, width=64), min_size=1, max_size=30),
    st.integers(1, 2**16),
    st.floats(1e-6, 1e6),
)
def test_steps_never_exceed_their_bound(values: list[float], resolution: int, clip: float) -> None:
    mechanism = Laplace(clip, 1.0, resolution)
    steps = mechanism.encode(np.array(values), seed=SEED)
    assert sum(abs(int(v)) for v in steps) <= resolution
    wanted = np.array(values)
    mechanism.clip(wanted)
    assert np.abs(mechanism.decode(steps) - wanted).max() <= mechanism.step * (1 + 1e-9)


def test_rounding_to_steps_is_hardly_biased() -> None:
    mechanism, x = Laplace(1.0, 1.0, 64), np.array([0.4, -0.101, 0.003])
    decoded = np.mean(
        [mechanism.decode(mechanism.encode(x, seed=i.to_bytes(40, "big"))) for i in range(2000)], 0
    )
    assert np.allclose(decoded, x, atol=5 * mechanism.step / 2 / math.sqrt(2000))


def test_a_noisy_mean_of_reals() -> None:
    mechanism = Laplace(2.0, 1.5)
    rows = np.random.default_rng(0).normal(0.1, 0.2, (400, 5))
    total = sum(mechanism.encode(row) for row in rows)
    noisy = total.copy()
    mechanism.add_noise(noisy)
    assert (noisy != total).any()
    error = mechanism.decode(noisy) - rows.sum(0)
    assert np.abs(error).max() < 30 * mechanism.noise_multiplier * mechanism.clip_norm


def test_noise_is_the_seeds_or_new_each_time() -> None:
    for mechanism in (Laplace(1.0, 3.0), Geometric(1, 3.0)):
        drawn = []
        for seed in (SEED, SEED, None, None):
            vector = np.zeros(70_000, np.int64)
            mechanism.add_noise(vector, seed=seed)
            drawn.append(vector.tobytes())
        assert drawn[0] == drawn[1]
        assert len(set(drawn)) == 3


def test_seeds_and_noise_are_wiped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reads them later could take the noise off again; also where an argument is bad."""
    secrets: list[entropy.Secret] = []
    numbers: list[np.ndarray] = []
    draw, law = entropy.draw, NoiseLaw.draw
    monkeypatch.setattr(entropy, "draw", lambda size: secrets.append(draw(size)) or secrets[-1])
    monkeypatch.setattr(NoiseLaw, "draw", lambda *given: numbers.append(law(*given)) or numbers[-1])
    laplace, geometric = Laplace(1.0, 300.0), Geometric(1, 300.0)
    steps = laplace.encode(np.ones(9))
    with pytest.raises(EncodingError):
        laplace.encode(np.array([math.inf]))
    for mechanism in (laplace, geometric):
        mechanism.add_noise(steps)
    assert len(secrets) == 4
    assert all(secret.wiped for secret in secrets)
    assert len(numbers) == 2
    assert not any(number.any() for number in numbers)


def test_seeds_of_another_length_are_refused() -> None:
    laplace, vector = Laplace(1.0, 1.0), np.zeros(3, np.int64)
    for seed in (b"", bytes(39), bytes(41)):
        for use in (
            lambda seed: laplace.encode(np.zeros(3), seed=seed),
            lambda seed: laplace.add_noise(vector, seed=seed),
            lambda seed: Geometric(1, 1.0).add_noise(vector, seed=seed),
        ):
            with pytest.raises(LocalProtocolError, match="40 bytes"):
                use(seed)
    assert not vector.any()


def test_refusals() -> None:
    laplace, geometric = Laplace(1.0, 1.0), Geometric(1, 1.0)
    with pytest.raises(EncodingError, match="NaN"):
        laplace.encode(np.array([math.nan]))
    with pytest.raises(EncodingError, match="1-D"):
        laplace.encode(np.zeros((2, 2)))
    assert laplace.encode(np.zeros(0)).size == 0
    for vector in (np.zeros(3), np.zeros((2, 2), np.int64), np.zeros(2, np.int32)):
        for mechanism in (laplace, geometric):
            with pytest.raises(LocalProtocolError, match="1-D int64"):
                mechanism.add_noise(vector)  # type: ignore[arg-type]
    for extreme in (2**61, -(2**63)):
        with pytest.raises(LocalProtocolError, match="fit 64 bits"):
            geometric.add_noise(np.array([0, extreme]))
    with pytest.raises(LocalProtocolError, match="noise_shares"):
        geometric.add_share(np.zeros(3, np.uint16), 0, bytes(40))
    with pytest.raises(LocalProtocolError, match="rate"):
        Geometric(2**31, 1.0).add_share(np.zeros(3, np.uint16), 2, bytes(40))


@pytest.mark.parametrize(
    ("kind", "arguments", "match"),
    [
        (Laplace, (0.0, 1.0), "clip_norm"),
        (Laplace, (1.0, math.nan), "noise_multiplier"),
        (Laplace, (1.0, 1.0, 0), "resolution"),
        (Laplace, (1.0, 1.0, 2**17), "resolution"),
        (Laplace, (1.0, 1e12), "rate"),
        (Geometric, (0, 1.0), "clip_norm"),
        (Geometric, (1.0, 1.0), "clip_norm"),
        (Geometric, (1, 0.0), "noise_multiplier"),
        (Geometric, (1, 1e-13), "rate"),
    ],
)
def test_refused_mechanisms(kind: type, arguments: tuple[float, ...], match: str) -> None:
    with pytest.raises(LocalProtocolError, match=match):
        kind(*arguments)

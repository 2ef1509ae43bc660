"""The masked result is the plain modular sum, bit for bit, whoever vanishes whenever."""

from __future__ import annotations

import random
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedsecure import _core
from fedsecure.aggregate import Drop, play
from fedsecure.encoding import FixedPoint
from fedsecure.errors import ThresholdError
from fedsecure.primitives import entropy
from fedsecure.protocols.masking.states import Stage
from fedsecure.testing import PlaintextSum, run_session
from parties import FIVE_STAGES, LEVELS, Parties, make_updates, stages_of

MOMENTS = [(stage, when) for stage in FIVE_STAGES for when in ("before", "during", "after")]


def moments_of(adversary: str) -> list[tuple[Stage, str]]:
    """Where a client can vanish in a session against this adversary."""
    return [moment for moment in MOMENTS if moment[0] in stages_of(adversary)]


def contributes(fate: Drop | None) -> bool:
    """Whether a client with this fate is in the sum."""
    if fate is None or fate.stage in (Stage.CONSISTENCY_CHECK, Stage.UNMASKING):
        return True
    return fate.stage == Stage.MASKED_INPUT and fate.when == "after"


def stays(fate: Drop | None) -> bool:
    """Whether a client with this fate answers in every stage."""
    return fate is None or (fate.stage == Stage.UNMASKING and fate.when == "after")


def check_session(parties: Parties, fates: dict[int, Drop]) -> None:
    result = play(parties.server, parties.clients, drop=fates)
    names = tuple(parties.clients)
    expected = tuple(name for name in names if contributes(fates.get(name)))
    assert result.contributors == expected
    assert result.dropouts == tuple(name for name in names if name not in expected)
    parties.check()


def draw_fates(rng: random.Random, parties: Parties) -> dict[int, Drop]:
    spare = len(parties.clients) - parties.session.survivors
    gone = rng.sample(sorted(parties.clients), rng.randint(0, spare))
    moments = moments_of(parties.protocol.adversary)
    return {name: Drop(*rng.choice(moments)) for name in gone}


@pytest.mark.parametrize("adversary", LEVELS)
@pytest.mark.parametrize(
    ("count", "patterns"), [(3, 2), (4, 20), (5, 20), (10, 20), (33, 8), (100, 3)]
)
def test_random_dropouts(count: int, patterns: int, adversary: str) -> None:
    """The graph of a hundred clients is k-regular, but against a malicious server."""
    rng = random.Random(count)
    for _ in range(patterns):
        parties = Parties(count, adversary=adversary)
        complete = count <= 64 or adversary == "malicious"
        assert (parties.session.neighbors == count - 1) == complete
        check_session(parties, draw_fates(rng, parties))


@pytest.mark.parametrize("adversary", LEVELS)
@pytest.mark.parametrize("count", [4, 10, 100])
def test_the_threshold_itself_is_enough(count: int, adversary: str) -> None:
    """As many as may vanish do, spread over the stages, so exactly t answer at the end."""
    parties = Parties(count, adversary=adversary)
    gone = range(count - parties.session.survivors)
    moments = moments_of(adversary)
    fates = {name: Drop(*moments[name % (len(moments) - 1)]) for name in gone}
    check_session(parties, fates)


@given(st.data())
@settings(max_examples=200, deadline=None, derandomize=True)
def test_any_pattern_is_exact_or_below_threshold(data: st.DataObject) -> None:
    count = data.draw(st.integers(3, 9), label="clients")
    adversary = data.draw(st.sampled_from(LEVELS), label="adversary")
    ids = sorted(data.draw(st.permutations(range(20)))[:count])
    parties = Parties(count, ids=ids, adversary=adversary)
    moments = st.sampled_from(moments_of(adversary))
    fate = st.one_of(st.none(), st.builds(lambda moment: Drop(*moment), moments))
    fates = {name: chosen for name in parties.clients if (chosen := data.draw(fate)) is not None}
    if sum(stays(fates.get(name)) for name in parties.clients) >= parties.session.threshold:
        check_session(parties, fates)
    else:
        before = parties.total.copy()
        with pytest.raises(ThresholdError):
            play(parties.server, parties.clients, drop=fates)
        assert parties.server.stage in stages_of(adversary)
        if parties.server.stage in (Stage.ADVERTISE_KEYS, Stage.SHARE_KEYS):
            np.testing.assert_array_equal(parties.total, before)


@pytest.mark.parametrize(("first", "second"), list(product(MOMENTS, MOMENTS[::4])), ids=str)
def test_two_vanish_at_any_two_moments(first: tuple[Stage, str], second: tuple[Stage, str]) -> None:
    check_session(Parties(7, adversary="malicious"), {1: Drop(*first), 4: Drop(*second)})


@pytest.mark.parametrize("bits", [8, 15, 16, 17, 20, 31, 32, 33, 47, 63, 64])
def test_any_ring(bits: int) -> None:
    encoding = FixedPoint(clip=1.0, bits=3, modulus_bits=bits)
    updates = [{"w": np.linspace(-1, 1, 101) * (i / 5)} for i in range(5)]
    parties = Parties(5, updates=updates, encoding=encoding, chunk=13)
    assert parties.session.layout.modulus_bits == bits
    check_session(parties, {2: Drop("SHARE_KEYS")})


@pytest.mark.parametrize("rounding", ["nearest", "stochastic"])
@pytest.mark.parametrize("overflow", ["raise", "clip"])
@pytest.mark.parametrize("weights", [None, [1.0, 2.5, 900.0, 3.0, 0.25]])
def test_any_encoding(rounding: str, overflow: str, weights: list[float] | None) -> None:
    encoding = FixedPoint(4.0, 12, max_weight=1024, rounding=rounding, overflow=overflow)
    updates = make_updates(5)
    if overflow == "clip":
        updates[3]["a"][:7] = 99.0
    parties = Parties(5, updates=updates, encoding=encoding, weights=weights)
    check_session(parties, {0: Drop("MASKED_INPUT", "before")})
    result = parties.server.result()
    assert result.clipped == (7 if overflow == "clip" else None)
    assert result.total_weight == (4 if weights is None else sum(weights[1:]))


@pytest.mark.parametrize("chunk", [1, 7, 49, 50, 51, 1 << 20])
def test_any_chunk(chunk: int) -> None:
    parties = Parties(4, chunk=chunk)
    assert parties.session.num_chunks == -(-50 // chunk)
    check_session(parties, {1: Drop("MASKED_INPUT", "during")})


def test_every_kernel_set_and_thread_count_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """Same secrets, same bytes: in every message and in the sum."""
    transcripts = []
    chosen = _core.active_kernels()
    try:
        for kernels, threads in product(_core.available_kernels(), ["1", "2", "3"]):
            _core.select_kernels(kernels)
            monkeypatch.setenv("FEDSECURE_THREADS", threads)
            with monkeypatch.context() as fresh:
                transcripts.append(transcript(fresh))
    finally:
        _core.select_kernels(chosen)
    assert len(transcripts) >= 3
    assert all(other == transcripts[0] for other in transcripts[1:])


def transcript(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    rng = random.Random(5)
    monkeypatch.setattr(entropy, "_system", rng.randbytes)
    parties = Parties(5, size=40_001, chunk=16_384)
    seen: list[bytes] = []
    play(
        parties.server,
        parties.clients,
        drop={3: "SHARE_KEYS"},
        observe=lambda direction, name, stage, data: seen.append(data),
    )
    parties.check()
    return [*seen, parties.total.tobytes()]


def test_plaintext_sum_gives_the_same_mean() -> None:
    encoding = FixedPoint(4.0, 12, rounding="nearest", max_weight=64)
    updates, weights = make_updates(6), [1.0, 2.0, 3.0, 4.0, 5.0, 60.0]
    masked = run_session(
        updates, weights=weights, encoding=encoding, drop={2: Drop("MASKED_INPUT", "before")}
    )
    plain = run_session(
        updates,
        weights=weights,
        encoding=encoding,
        protocol=PlaintextSum(chunk=8),
        drop={2: Drop("MASKED_INPUT", "during")},
    )
    for leaf in ("a", "b"):
        np.testing.assert_array_equal(masked.mean[leaf], plain.mean[leaf])
    assert masked.contributors == plain.contributors == (0, 1, 3, 4, 5)
    assert masked.dropouts == plain.dropouts == (2,)
    assert masked.total_weight == plain.total_weight == 72

"""Vectors that came late, and vectors of nothing: what the server holds is uniform, or not known.

Chi-square tests with 255 degrees of freedom. A uniform source exceeds `LIMIT` less than once in
10^15 runs, so the tests are safe although every session draws its own secrets.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fedsecure
from attackers import Spy
from fedsecure.encoding import FixedPoint
from fedsecure.primitives import masks
from fedsecure.primitives.masks import MaskSet, Prg
from fedsecure.protocols.masking import schedule
from fedsecure.protocols.masking.keyring import KeyRing
from fedsecure.protocols.masking.states import Stage
from parties import LEVELS, Parties

LIMIT = 500.0
SIZE = 1 << 14
LATE = 3


def chi_square(values: np.ndarray, bits: int) -> float:
    """The worse of the statistics of the top and of the bottom 8 bits."""
    words = values.astype(np.uint64)
    worst = 0.0
    for part in (words >> np.uint64(bits - 8), words & np.uint64(255)):
        counts = np.bincount((part & np.uint64(255)).astype(np.int64), minlength=256)
        expected = len(words) / 256
        worst = max(worst, float(((counts - expected) ** 2 / expected).sum()))
    return worst


def constant(count: int, bits: int = 32, size: int = SIZE, **more: Any) -> Parties:
    """Clients whose values are all 0.5, which is 4 in the ring, so that nothing else is random."""
    updates = [{"w": np.full(size, 0.5, np.float32)} for _ in range(count)]
    encoding = FixedPoint(clip=1.0, bits=3, modulus_bits=bits)
    return Parties(count, updates=updates, encoding=encoding, chunk=1 << 14, **more)


# --- the straggler ----------------------------------------------------------------------------


def straggling(adversary: str) -> Spy:
    """A session that is over without client 3, whose masked input then arrives after all."""
    spy = Spy(constant(5, adversary=adversary)).until(Stage.MASKED_INPUT)
    spy.finish_stage(late=[LATE])
    while not spy.parties.server.finished:
        spy.finish_stage()
    spy.parties.check()
    assert spy.parties.server.result().dropouts == (LATE,)
    assert spy.secret("key", LATE) is not None
    assert spy.secret("seed", LATE) is None
    return spy


@pytest.mark.parametrize("adversary", LEVELS)
def test_a_late_vector_without_its_pairwise_masks_is_uniform(adversary: str) -> None:
    """[A3] The server has the straggler's mask key; what is left is covered by its self mask."""
    spy = straggling(adversary)
    rest = spy.pairwise_off(LATE, self_mask=False)
    assert rest is not None
    assert chi_square(rest, 32) < LIMIT
    assert not spy.has_input_of(LATE)
    assert set(spy.parties.inputs[LATE]) == {4}


def without_self_mask(ring: KeyRing, alive: Any) -> MaskSet:
    """What `KeyRing.masks` would give if there were pairwise masks only."""
    peers = [peer for peer in ring._row if peer in alive]
    rows = [ring._row[peer] * Prg.AES128.seed_bytes for peer in peers]
    seeds = [bytes(ring._pair_seeds.view[at : at + Prg.AES128.seed_bytes]) for at in rows]
    return MaskSet(seeds, [schedule.pair_sign(ring._client_id, peer) for peer in peers])


def test_negative_control_a_late_vector_without_self_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    """[A3] With one kind of mask only, the straggler's vector is plain to see."""
    monkeypatch.setattr(KeyRing, "masks", without_self_mask)
    spy = Spy(constant(5)).until(Stage.MASKED_INPUT)
    spy.finish_stage(late=[LATE])
    spy.tell(dict.fromkeys((0, 1, 2, 4), (LATE,)))
    rest = spy.pairwise_off(LATE, self_mask=False)
    np.testing.assert_array_equal(rest, spy.parties.inputs[LATE])
    assert chi_square(rest, 32) > 1e6


@pytest.mark.parametrize("adversary", LEVELS)
def test_a_late_vector_minus_that_of_the_next_run_is_uniform(adversary: str) -> None:
    """[A3] Repeated with everybody: other keys, another session, and nothing cancels."""
    first = straggling(adversary)
    second = Spy(constant(5, adversary=adversary)).until(Stage.MASKED_INPUT)
    second.finish_stage()
    assert first.session.session_id != second.session.session_id
    for name in first.vectors:
        difference = first.vectors[name] - second.vectors[name]
        assert chi_square(difference, 32) < LIMIT
    # What both runs are known to have subtracted does not help either.
    second.tell(dict.fromkeys(second.parties.clients, ()))
    known = second.pairwise_off(LATE, self_mask=False)
    assert known is None
    late = first.pairwise_off(LATE, self_mask=False)
    assert chi_square(late - second.vectors[LATE], 32) < LIMIT


def test_negative_control_the_next_run_with_the_same_masks(
    known_masks: None,
) -> None:
    """[A3] Were masks the same in both runs, the difference would be that of the updates: zero."""
    first, second = constant(5), constant(5)
    vectors = []
    for parties in (first, second):
        spy = Spy(parties).until(Stage.MASKED_INPUT)
        spy.finish_stage()
        vectors.append(spy.vectors[LATE])
    assert not (vectors[0] - vectors[1]).any()


@pytest.fixture
def known_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Masks that depend on nothing but who shares them."""

    def fixed(ring: KeyRing, alive: Any) -> MaskSet:
        me = ring._client_id
        peers = [peer for peer in ring._row if peer in alive]
        size = Prg.AES128.seed_bytes // 2
        seeds = [bytes([min(me, peer), max(me, peer)]) * size for peer in peers]
        return MaskSet(seeds, [schedule.pair_sign(me, peer) for peer in peers])

    monkeypatch.setattr(KeyRing, "masks", fixed)


# --- uniform over the whole ring --------------------------------------------------------------


@pytest.mark.parametrize("bits", range(8, 65))
def test_masked_vectors_of_a_constant_are_uniform_at_every_width(bits: int) -> None:
    """[A13] All 57 widths: top and bottom bits, the maximum, and the mean."""
    spy = Spy(constant(3, bits)).until(Stage.MASKED_INPUT)
    spy.finish_stage()
    spread = 2.0**bits / np.sqrt(12 * SIZE)
    for vector in spy.vectors.values():
        assert int(vector.max()) < 2**bits
        assert chi_square(vector, bits) < LIMIT
        assert abs(float(vector.astype(float).mean()) - (2.0**bits - 1) / 2) < 8 * spread


@pytest.mark.parametrize("adversary", LEVELS)
def test_the_mean_of_a_million_masked_elements_says_nothing(adversary: str) -> None:
    """[A13] Means of two clients with values at either end of the range do not tell them apart."""
    size = 1_000_000
    updates = [{"w": np.full(size, value, np.float32)} for value in (-1.0, 1.0, 0.0)]
    encoding = FixedPoint(clip=1.0, bits=3, modulus_bits=8)
    parties = Parties(3, updates=updates, encoding=encoding, chunk=1 << 20, adversary=adversary)
    spy = Spy(parties).until(Stage.MASKED_INPUT)
    spy.finish_stage()
    plain = [float(parties.inputs[name].astype(np.int8).mean()) for name in range(3)]
    assert plain == [-8.0, 8.0, 0.0]
    for vector in spy.vectors.values():
        # 256 / sqrt(12 * 10^6) is 0.074: the two plain means are more than 200 times as far apart.
        assert abs(float(vector.mean()) - 127.5) < 8 * 0.074


def test_negative_control_an_unmasked_constant_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """[A13] The same statistics on the same vectors without masks."""
    nothing = masks.MaskSet((), ())
    monkeypatch.setattr(masks.MaskSet, "seeds", nothing.seeds)
    monkeypatch.setattr(masks.MaskSet, "signs", nothing.signs)
    for bits in (8, 33, 64):
        spy = Spy(constant(3, bits)).until(Stage.MASKED_INPUT)
        spy.finish_stage()
        for vector in spy.vectors.values():
            assert set(vector) == {4}
            assert chi_square(vector, bits) > 1e6


def narrow(size: int, bits: int) -> np.ndarray:
    """Masks from 0 to 2^bits - 2, the mistake of `randint(0, R - 1)` where the end is left out."""
    return np.random.default_rng(1).integers(0, 2**bits - 1, size, np.uint64)


def test_negative_control_masks_that_leave_a_value_out() -> None:
    """[A13] Half a percent of the ring missing is seen at once where rings are narrow."""
    values = narrow(1 << 18, 8)
    assert values.max() == 254
    assert chi_square(values, 8) > LIMIT


@pytest.mark.parametrize("bits", [8, 13, 31])
def test_every_value_of_a_narrow_ring_occurs(bits: int) -> None:
    """[A13] The largest value too: over a constant, masks reach both ends of the ring."""
    spy = Spy(constant(3, bits, size=1 << 16)).until(Stage.MASKED_INPUT)
    spy.finish_stage()
    for vector in spy.vectors.values():
        if bits <= 8:
            assert set(vector.tolist()) == set(range(2**bits))
        # One chance in e^64 each that no element lies in the first, or last, 1024th of the ring.
        assert int(vector.max()) >= 2**bits - max(1, 2**bits >> 10)
        assert int(vector.min()) <= max(1, 2**bits >> 10)


# --- where randomness comes from --------------------------------------------------------------

FORBIDDEN = {"random", "numpy.random", "secrets"}


def imported(source: str) -> set[str]:
    """All modules that a source imports or reaches through numpy."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            names.add({"np": "numpy"}.get(node.value.id, node.value.id) + "." + node.attr)
    return names


def test_no_generator_that_is_not_made_for_secrets() -> None:
    """[A13] Nothing in the package draws from them; one file measures how fast numpy's is."""
    folder = Path(fedsecure.__file__).parent
    found = {
        path.relative_to(folder).as_posix(): sorted(names)
        for path in sorted(folder.rglob("*.py"))
        if (names := imported(path.read_text("utf-8")) & FORBIDDEN)
    }
    assert found == {"benchmark/baselines.py": ["numpy.random"]}


@pytest.mark.parametrize(
    "source",
    [
        "import random",
        "from random import randint",
        "import numpy as np\nnp.random.default_rng()",
        "import numpy.random",
        "from numpy import random",
        "from numpy.random import default_rng",
    ],
)
def test_negative_control_the_search_finds_them(source: str) -> None:
    """[A13] Every way of reaching a forbidden generator."""
    assert imported(source) & FORBIDDEN

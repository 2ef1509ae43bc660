"""What the server sees says nothing: uniform bytes, and sizes that the configuration fixes.

Chi-square tests with 255 degrees of freedom. A uniform source exceeds `LIMIT`, more than ten
standard deviations above the mean, less than once in 10^15 runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from fedsecure import _core, wire
from fedsecure.aggregate import play
from fedsecure.encoding import FixedPoint
from fedsecure.protocols.masking.states import Stage
from fedsecure.testing import PlaintextSum
from parties import STAGES, Parties, make_updates

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

LIMIT = 500.0
SIZE = 40_000
RINGS = [8, 12, 16, 20, 24, 32, 33, 47, 64]


def chi_square(values: NDArray[np.uint64], bits: int) -> float:
    """The worse of the statistics of the top and of the bottom 8 bits."""
    worst = 0.0
    for part in (values >> np.uint64(bits - 8), values & np.uint64(255)):
        counts = np.bincount(part.astype(np.int64), minlength=256)
        expected = len(values) / 256
        worst = max(worst, float(((counts - expected) ** 2 / expected).sum()))
    return worst


def unpacked(messages: Sequence[bytes], dtype: np.dtype[np.generic]) -> NDArray[np.uint64]:
    """The elements in the messages of one upload."""
    elements = []
    for message in messages:
        piece = wire.decode_vector(memoryview(message)[wire.HEADER_SIZE :])
        out = np.empty(piece.count, dtype)
        _core.unpack(np.frombuffer(piece.packed, np.uint8), piece.bits, out)
        elements.append(out)
    return np.concatenate(elements).astype(np.uint64)


def constant_updates(count: int) -> list[dict[str, NDArray[np.float64]]]:
    return [{"w": np.full(SIZE, 0.5)} for _ in range(count)]


def masked_inputs(bits: int) -> tuple[Parties, dict[int, NDArray[np.uint64]]]:
    """Masked inputs of three clients whose values are all 0.5."""
    encoding = FixedPoint(clip=1.0, bits=3, modulus_bits=bits)
    parties = Parties(3, updates=constant_updates(3), encoding=encoding, chunk=1 << 14)
    parties.until(Stage.MASKED_INPUT)
    dtype = parties.session.layout.dtype
    return parties, {name: unpacked(parties.answer(name), dtype) for name in parties.mail}


@pytest.mark.parametrize("bits", RINGS)
def test_masked_inputs_of_a_constant_are_uniform(bits: int) -> None:
    """[A13] Over the whole ring, at every width."""
    parties, masked = masked_inputs(bits)
    assert len(masked) == 3
    modulus = 2**bits
    for vector in masked.values():
        assert vector.max() < modulus
        assert chi_square(vector, bits) < LIMIT
        # Were the values visible, their mean would lie near 4; it lies at half the ring.
        spread = modulus / np.sqrt(12 * SIZE)
        assert abs(float(vector.astype(float).mean()) - (modulus - 1) / 2) < 8 * spread
    plain = sum(vector.astype(object) for vector in masked.values()) % modulus
    assert set(np.asarray(plain)) != {12 % modulus}  # self masks are still on
    del parties


@pytest.mark.parametrize("bits", RINGS)
def test_the_test_sees_what_is_not_masked(bits: int) -> None:
    """Negative control: the same values without masks."""
    protocol = PlaintextSum()
    session = protocol.session(
        client_ids=range(3),
        spec=Parties(3, updates=constant_updates(3)).session.spec,
        encoding=FixedPoint(clip=1.0, bits=3, modulus_bits=bits),
    )
    client = protocol.client(session, 0, constant_updates(1)[0])
    vector = unpacked(list(client.start()), session.layout.dtype)
    assert set(vector) == {4}
    assert chi_square(vector, bits) > 1e6


def test_a_stragglers_input_says_nothing_about_the_next_session() -> None:
    """[A3] Late vector minus the vector of the repeated session: uniform, not zero."""
    _, first = masked_inputs(32)
    _, second = masked_inputs(32)
    for name in first:
        difference = (first[name] - second[name]) % 2**32
        assert chi_square(difference, 32) < LIMIT


def test_a_survivors_input_stays_masked_when_another_is_dead() -> None:
    """With the dead client's masks removed, the self mask still covers each survivor."""
    encoding = FixedPoint(clip=1.0, bits=3, modulus_bits=32)
    parties = Parties(4, updates=constant_updates(4), encoding=encoding)
    parties.until(Stage.MASKED_INPUT)
    parties.finish_stage(absent=[3])
    parties.send(list(parties.mail))
    still_masked = parties.total.astype(np.uint64).copy()
    assert chi_square(still_masked, 32) < LIMIT
    parties.mail = parties.server.advance()
    parties.check()
    assert set(parties.total) == {3 * 4}


def sizes(updates: Sequence[object], **changes: object) -> list[tuple[str, int, str, int]]:
    parties = Parties(5, updates=updates, session_id=bytes(16), **changes)
    seen: list[tuple[str, int, str, int]] = []
    play(
        parties.server,
        parties.clients,
        drop={2: "SHARE_KEYS"},
        observe=lambda to, name, stage, data: seen.append((to, name, stage, len(data))),
    )
    return seen


def test_sizes_do_not_depend_on_values_or_weights() -> None:
    """[A17] Frame by frame, two different inputs with different weights look alike."""
    encoding = FixedPoint(4.0, 12, max_weight=2.0**20, overflow="clip")
    zeros = [{"a": np.zeros(25), "b": np.zeros(25, np.float32)} for _ in range(5)]
    large = make_updates(5)
    large[0]["a"][:] = 1e9
    quiet = sizes(zeros, weights=[1.0] * 5, encoding=encoding)
    loud = sizes(large, weights=[2.0**20, 3.0, 0.5, 7.0, 1.0], encoding=encoding)
    assert quiet == loud
    assert {stage for _, _, stage, _ in quiet} == set(STAGES)


def test_all_clients_send_frames_of_one_size() -> None:
    by_stage: dict[str, set[tuple[int, ...]]] = {}
    for name in range(4):
        own = [entry for entry in sizes(make_updates(5)) if entry[:2] == ("to_server", name)]
        for stage in {entry[2] for entry in own}:
            lengths = tuple(entry[3] for entry in own if entry[2] == stage)
            by_stage.setdefault(stage, set()).add(lengths)
    assert all(len(lengths) == 1 for lengths in by_stage.values())

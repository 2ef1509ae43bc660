"""Noise that hides single records: what one record can change, exactly, and what the sum says."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import fedsecure as fs
from fedsecure.errors import EncodingError, LocalProtocolError
from fedsecure.privacy import (
    AdaptiveClip,
    DistributedSkellam,
    PoissonSampling,
    PrivacyAccountant,
    RecordSkellam,
    Relation,
    SkellamEvent,
    norms,
    records,
)
from fedsecure.privacy.contributions import rounded
from fedsecure.pytree import TreeSpec, flatten_rows
from fedsecure.testing import PlaintextSum

PUBLIC = bytes(range(32))
MECHANISM = RecordSkellam(1.0, 1.0, max_records=40)


def gradients(rows: int, seed: int = 1, size: int = 300) -> dict[str, np.ndarray]:
    """One gradient per row, half of them longer than the clip."""
    rng = np.random.default_rng(seed)
    lengths = np.linspace(0.2, 3.0, rows)[:, None] / np.sqrt(size)
    flat = rng.normal(size=(rows, size)) * lengths
    return {"w": flat[:, :200].reshape(rows, 20, 10), "b": flat[:, 200:].astype(np.float32)}


def clipped_sum(tree: dict[str, np.ndarray]) -> np.ndarray:
    rows = len(tree["w"])
    flat = np.concatenate([tree["b"].astype(float), tree["w"].reshape(rows, 200)], axis=1)
    longest = np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1.0)
    return (flat / longest).sum(axis=0)


def integers(plan: Any, tree: Any, seed: int = 7) -> np.ndarray:
    leaves, spec, _ = flatten_rows(tree)
    made = plan.contribution(
        leaves,
        [leaf.path for leaf in spec.leaves],
        weight=None,
        seed=seed.to_bytes(24, "little"),
        public_seed=PUBLIC,
    )
    lanes = made.encode(0, plan.layout.length)
    assert made.fingerprint() == made.fingerprint()
    return lanes


def test_one_record_changes_the_integers_by_its_bound_at_most() -> None:
    """Exactly: the same seeds, with and without the last record, whatever the others are."""
    plan = MECHANISM.plan(clients=5, size=300, noise_shares=3)
    worst = 0
    for seed in range(40):
        tree = gradients(9, seed)
        tree["w"][-1] *= 1e6
        fewer = {name: rows[:-1] for name, rows in tree.items()}
        change = integers(plan, tree, seed) - integers(plan, fewer, seed)
        assert norms.l2_within(change, plan.most_squared)
        signed = change.view(f"i{change.itemsize}").astype(float)
        worst = max(worst, float(np.linalg.norm(signed)))
    assert 0.95 * plan.delta2 < worst <= plan.delta2


def test_records_of_a_client_are_rounded_apart() -> None:
    """Equal records with one rounding would add up their errors; theirs are independent."""
    plan = RecordSkellam(1.0, 1.0, max_records=40, bits=16).plan(
        clients=5, size=300, noise_shares=3
    )
    one = gradients(1)
    both = {name: np.concatenate([rows, rows]) for name, rows in one.items()}
    once, twice = integers(plan, one), integers(plan, both)
    alone = twice - once  # the second of them: the noise is in both
    noise = integers(plan, {name: rows[:0] for name, rows in one.items()})
    assert not np.array_equal(alone, once - noise)


def test_a_record_does_not_depend_on_those_it_is_rounded_with() -> None:
    """In whatever batches, also where many have to be rounded again, each by itself."""
    mechanism = RecordSkellam(1.0, 0.1, max_records=1000, bits=19)
    plan = mechanism.plan(clients=3, size=300, noise_shares=3)
    # A bound that half of the clipped records miss at first: rounding adds 1/6 per coordinate.
    plan = replace(plan, delta2=math.sqrt(plan.scale**2 + plan.dimension / 6))
    tree = gradients(300)
    again = 0

    def counted(*arguments: Any) -> Any:
        nonlocal again
        again += 1
        return rounded(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "rounded", counted)
        counts = (0, 127, 128, 129, 256, 257, 300)
        growing = [
            integers(plan, {name: rows[:count] for name, rows in tree.items()}) for count in counts
        ]
    assert again > 200
    for fewer, more, one in zip(growing, growing[1:], np.diff(counts), strict=False):
        change = (more - fewer).view(f"i{more.itemsize}").astype(float)
        assert np.linalg.norm(change) <= one * plan.delta2
    exact = growing[-1] - growing[0]
    found = plan.decode(exact, num_contributors=1, public_seed=PUBLIC, dtype=np.float64)
    error = np.sqrt(512 / 300 * 300 / 4) / plan.scale  # of 300 roundings, on average
    assert np.std(found.values - clipped_sum(tree)) < 2 * error


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32, np.uint64])
def test_norms_of_rows_are_those_of_vectors(dtype: Any) -> None:
    rng = np.random.default_rng(3)
    top = 2 ** (8 * np.dtype(dtype).itemsize) - 1
    rows = rng.integers(0, top, (50, 8), dtype, endpoint=True)
    rows[::2] %= 1000
    rows[1::4] = np.array(-(rows[1::4].astype(np.int64) % 500)).astype(dtype)
    rows[0, 0], rows[2, 3] = top // 2 + 1, top  # the least number, and -1
    squares = (rows[4].astype(np.int64) ** 2).sum()
    for most in (0, 2_000_000, int(squares) - 1, int(squares), 2**62 - 1):
        expected = [norms.l2_within(row, most) for row in rows]
        assert records._rows_within(rows, most).tolist() == expected


@pytest.mark.parametrize("longest", [1e-300, 1.0, 1e300, 1.7e308])
def test_rows_are_clipped_as_vectors_are(longest: float) -> None:
    rng = np.random.default_rng(4)
    rows = rng.uniform(-1, 1, (20, 30)) * np.logspace(-20, 0, 20)[:, None] * longest
    rows[3] = 0.0
    expected = rows.copy()
    for row in expected:
        norms.clip_l2(row, 0.1)
    records._clip_rows(rows, 0.1)
    np.testing.assert_allclose(rows, expected, rtol=1e-12)


def test_no_records_are_noise_alone() -> None:
    """Poisson sampling may find nobody, and that is nobody's business."""
    plan = MECHANISM.plan(clients=5, size=300, noise_shares=3)
    noise = integers(plan, gradients(0))
    expected = np.zeros(plan.layout.length, plan.layout.dtype)
    variance = np.var(noise.view(f"i{noise.itemsize}").astype(float))
    assert not np.array_equal(noise, expected)
    assert variance == pytest.approx((plan.scale * 1.0) ** 2 / 3, rel=0.4)


@pytest.mark.parametrize("protocol", [fs.PairwiseMasking(), PlaintextSum(min_inputs=3)])
def test_the_mean_is_the_sum_over_all_records(protocol: Any) -> None:
    updates = [gradients(rows, rows) for rows in (40, 1, 0, 12, 33)]
    privacy = RecordSkellam(1.0, 0.01, max_records=40)
    result = fs.secure_aggregate(updates, protocol=protocol, privacy=privacy)
    assert result.mean["w"].shape == (20, 10)
    assert result.mean["b"].dtype == np.float32
    vector = np.concatenate([result.mean["b"], result.mean["w"].ravel()]) * 5
    np.testing.assert_allclose(vector, sum(map(clipped_sum, updates)), atol=0.15)
    assert str(result.privacy).startswith("differential privacy for each record")


def test_restored_clients_say_the_same() -> None:
    updates = [gradients(rows, rows) for rows in (4, 1, 9)]
    protocol = fs.PairwiseMasking("semi_honest", chunk=100)
    session = protocol.session(
        client_ids=range(3), spec=TreeSpec.of_row(updates[0]), privacy=MECHANISM
    )
    client = protocol.client(session, 0, updates[0], privacy=MECHANISM)
    again = fs.MaskingClient.from_bytes(client.to_bytes())
    again.set_update(updates[0])
    first, second = (one._input._contribution for one in (client, again))
    np.testing.assert_array_equal(first.encode(0, 512), second.encode(0, 512))
    other = fs.MaskingClient.from_bytes(client.to_bytes())
    with pytest.raises(LocalProtocolError, match="had another update"):
        other.set_update(gradients(5, 4))


def test_it_costs_what_one_client_costs_among_as_many() -> None:
    """The event is that of DistributedSkellam where every record has a client of its own."""
    arguments = {"size": 300, "noise_shares": 3}
    event = MECHANISM.event(clients=5, **arguments)
    assert event == DistributedSkellam(1.0, 1.0).event(clients=200, **arguments)
    assert isinstance(event, SkellamEvent)
    sampled = MECHANISM.event(clients=5, **arguments, sampling=PoissonSampling(0.01))
    accountant = PrivacyAccountant(Relation.REPLACE_SPECIAL, unit="record")
    accountant.compose(sampled, 100)
    report = accountant.report(1e-5)
    assert report.unit == "record"
    assert report.epsilon < 2 < 40 < report.epsilon_without_amplification


@pytest.mark.parametrize(
    ("tree", "reason"),
    [
        (gradients(41), "41 records in this round, more than max_records=40"),
        ({"w": np.zeros((3, 20, 10)), "b": np.zeros((2, 100), "f4")}, "2 records|3 records"),
        ({"w": np.zeros((3, 20, 10)), "b": 1.0}, "'b' is a single number"),
        ({"w": np.zeros((3, 20, 9)), "b": np.zeros((3, 100), "f4")}, "does not fit"),
        ({"w": np.full((3, 20, 10), np.nan), "b": np.zeros((3, 100), "f4")}, "NaN"),
    ],
)
def test_what_are_no_records(tree: Any, reason: str) -> None:
    updates = [gradients(3), gradients(4), gradients(5), tree]
    with pytest.raises(EncodingError, match=rf"updates\[3\].*({reason})"):
        fs.secure_aggregate(updates, privacy=MECHANISM)


@pytest.mark.parametrize(
    "changes", [{"max_weight": 2.0}, {"adaptive": AdaptiveClip(1.0)}, {"max_records": 0}]
)
def test_what_it_does_not_do(changes: dict[str, Any]) -> None:
    with pytest.raises(LocalProtocolError, match="records"):
        RecordSkellam(1.0, 1.0, **{"max_records": 4, **changes})


def test_a_weight_is_refused() -> None:
    with pytest.raises(EncodingError, match="weight"):
        fs.secure_aggregate([gradients(3)] * 3, weights=[1.0] * 3, privacy=MECHANISM)


def test_more_records_than_a_plan_can_count() -> None:
    with pytest.raises(LocalProtocolError, match="clients times max_records"):
        RecordSkellam(1.0, 1.0, max_records=500_000).plan(clients=3, size=10)


def test_arguments_are_checked_as_those_of_an_update_are() -> None:
    plan = MECHANISM.plan(clients=5, size=4, noise_shares=3)
    good: dict[str, Any] = {"weight": None, "seed": bytes(24), "public_seed": PUBLIC}
    assert plan.contribution([np.ones(8)], ["x"], **good)
    for leaf, reason in (
        (np.ones(8, np.int64), "'x' is int64"),
        (np.ones((2, 4)), "shape"),
        (np.ones(16)[::2], "'x' is float64"),
        (np.ones(7), "whole records of 4 values"),
    ):
        with pytest.raises(EncodingError, match=reason):
            plan.contribution([leaf], ["x"], **good)
    for change, reason in (
        ({"seed": b"short"}, "seed of 24 bytes"),
        ({"public_seed": b"short"}, "32 bytes"),
    ):
        with pytest.raises(LocalProtocolError, match=reason):
            plan.contribution([np.ones(8)], ["x"], **{**good, **change})
    with pytest.raises(LocalProtocolError, match="came with 0 names"):
        plan.contribution([np.ones(8)], [], **good)


def test_a_plan_counts_clients_and_not_their_records() -> None:
    plan = MECHANISM.plan(clients=5, size=4, noise_shares=3)
    assert plan.words.startswith("each of 5 clients adds 1/3 of the variance")
    assert "1.67 times the variance" in plan.words
    total = np.zeros(plan.layout.length, plan.layout.dtype)
    with pytest.raises(LocalProtocolError, match="planned for 1 to 5"):
        plan.decode(total, num_contributors=6, public_seed=PUBLIC, dtype=np.float64)

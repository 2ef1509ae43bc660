"""`fedsecure.benchmark`: that it measures what it says, in sizes that take no time."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedsecure import _core, benchmark
from fedsecure.benchmark import baselines, masking, rounds, timing
from fedsecure.benchmark.paillier import PaillierSizes, gain_rows, paillier_rows
from fedsecure.benchmark.parties import Case, Session
from fedsecure.cli import main
from fedsecure.paillier import generate_keypair
from fedsecure.primitives import ports

TINY = benchmark.Sizes(
    words=1 << 12,
    mask_neighbors=4,
    regular=Case(clients=30, weights=200, neighbors=22, gone=3),
    complete=Case(clients=7, weights=200, neighbors=None, gone=1),
    measured=2,
    repeats=2,
    paillier=PaillierSizes(bits=(2048,), ours=8, theirs=1, ckks=1),
)
FLOWER = {
    "client_pass_vs_flower",
    "server_round_vs_flower",
    "server_complete_graph_vs_flower",
    "wire_bytes_vs_flower",
}
OTHERS = {
    "mask_k16_vs_port_bound",
    "mask_k16_vs_cryptography",
    "mask_k16_vs_cryptography_in_cache",
    "mask_k16_vs_pcg64",
    "mask_k16_vs_pcg64_in_cache",
    "mask_k16_two_threads",
    "wire_bits_overhead",
}
PHE = {
    f"paillier2048_{what}_vs_phe"
    for what in (
        "encrypt_half",
        "encrypt_short",
        "encrypt_full",
        "encrypt_owner",
        "add",
        "decrypt",
        "packed_encrypt_half",
        "packed_encrypt_short",
        "packed_decrypt",
    )
}
PAILLIER = PHE | {"paillier2048_packed_encrypt_short_vs_ckks", "paillier2048_bytes_per_weight"}
ALL = FLOWER | OTHERS | PAILLIER
DOCUMENT = Path(__file__).parent.parent / "docs" / "performance.md"
FIELDS = {"name", "value", "unit", "baseline", "ratio", "note", "spread"}
needs_flower = pytest.mark.skipif(
    rounds.baseline() is None, reason="needs flwr, which is in the bench extra"
)


@pytest.fixture
def no_flower(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fedsecure.benchmark.flower", None)


def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> str:
    """What `fedsecure bench` prints, with the tiny sizes."""
    monkeypatch.setattr(benchmark, "SHORT", TINY)
    assert main(["bench", *arguments]) == 0
    return capsys.readouterr().out


def mean_of(case: Case) -> np.ndarray:
    updates, examples = case.updates(), case.examples()
    there = range(case.survivors)
    total = sum(updates[at].astype(np.float64) * examples[at] for at in there)
    return np.asarray(total) / sum(examples[at] for at in there)


# --- rows ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_flower")
def test_without_flower_its_rows_stay_and_say_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = json.loads(command(monkeypatch, capsys, "--json"))
    assert {row["name"] for row in rows} == ALL
    assert len(rows) == len(ALL)
    for row in rows:
        assert set(row) == FIELDS
        if row["name"] in FLOWER:
            assert row["value"] > 0
            assert row["baseline"] is None
            assert row["ratio"] is None
            assert "pip install 'flwr" in row["note"]


@needs_flower
def test_with_flower_every_row_has_two_figures_and_their_ratio(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = {row["name"]: row for row in json.loads(command(monkeypatch, capsys, "--json"))}
    assert set(rows) == ALL
    for name in FLOWER:
        row = rows[name]
        assert row["ratio"] == pytest.approx(row["baseline"] / row["value"])
    # Eight bytes a weight, and a numpy header for each of two arrays.
    assert rows["wire_bytes_vs_flower"]["baseline"] == pytest.approx(8.0, rel=0.2)


@pytest.mark.usefixtures("no_flower")
@pytest.mark.parametrize("form", [(), ("--markdown",)])
def test_tables_have_every_row_and_the_machine(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], form: tuple[str, ...]
) -> None:
    printed = command(monkeypatch, capsys, *form)
    starts = [line.strip("| ").split(" ")[0] for line in printed.splitlines()]
    assert set(starts) >= ALL
    assert "numpy " + np.__version__ in printed
    assert ("fedsecure bench --markdown" in printed) == bool(form)


def test_no_bound_without_aes_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "aes_rounds", lambda _count: 0)
    row = masking.mask_rows(64, 2, 1)[0]
    assert (row.baseline, row.ratio) == (None, None)
    assert "no AES instructions" in row.note


def test_no_second_thread_on_one_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    row = masking.mask_rows(64, 2, 1)[-1]
    assert (row.name, row.ratio) == ("mask_k16_two_threads", None)


@pytest.mark.skipif(not DOCUMENT.is_file(), reason="needs the documents of the source tree")
@pytest.mark.parametrize("document", [DOCUMENT, DOCUMENT.parent.parent / "bench" / "README.md"])
def test_every_row_is_explained(document: Path) -> None:
    text = document.read_text("utf-8")
    assert [name for name in sorted(ALL) if name not in text] == []


def test_phe_is_measured_under_the_same_key() -> None:
    pytest.importorskip("phe")
    rows = {row.name: row for row in paillier_rows(TINY.paillier, 1)}
    assert set(rows) == PAILLIER
    for name in PHE:
        row = rows[name]
        assert row.ratio == pytest.approx(row.baseline / row.value)
        assert "phe with" in row.note
    # 51 slots of 40 bits: 512 bytes for 51 weights, a header, and a last ciphertext that is full.
    assert rows["paillier2048_bytes_per_weight"].value == pytest.approx(512 / 51, rel=0.05)


def test_without_phe_and_tenseal_their_rows_stay_and_say_how_to_install_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("phe", "tenseal", "gmpy2"):
        monkeypatch.setitem(sys.modules, name, None)
    rows = {row.name: row for row in paillier_rows(TINY.paillier, 1)}
    assert set(rows) == PAILLIER
    for name in PAILLIER - {"paillier2048_bytes_per_weight"}:
        assert (rows[name].baseline, rows[name].ratio) == (None, None)
        assert "pip install" in rows[name].note
    kernels, algorithm, packing = gain_rows(generate_keypair(2048)[0])
    assert kernels.ratio is None
    assert algorithm.ratio == pytest.approx(algorithm.baseline / algorithm.value)
    assert packing.value == 51


# --- what is timed ------------------------------------------------------------------------------


def test_functions_are_timed_in_turn_after_a_warm_up() -> None:
    calls: list[str] = []
    found = timing.in_turn({name: lambda name=name: calls.append(name) for name in "ab"}, 2)
    assert calls == ["a", "b", "a", "b", "a", "b"]
    assert [len(times.cpu) for times in found.values()] == [2, 2]


@pytest.mark.parametrize("before", [None, "3"])
def test_threads_are_put_back(monkeypatch: pytest.MonkeyPatch, before: str | None) -> None:
    if before is None:
        monkeypatch.delenv("FEDSECURE_THREADS", raising=False)
    else:
        monkeypatch.setenv("FEDSECURE_THREADS", before)
    with timing.on_threads(1):
        assert os.environ["FEDSECURE_THREADS"] == "1"
    assert os.environ.get("FEDSECURE_THREADS") == before


@pytest.mark.parametrize("piece", [0, 64, baselines.IN_CACHE])  # 0: the whole vector
@pytest.mark.parametrize("words", [1, 4, (1 << 16) + 5])
@pytest.mark.parametrize(
    ("prg", "size", "cipher"),
    [(1, 24, baselines.aes_ctr), (2, 40, baselines.aes_ctr), (3, 40, baselines.chacha20)],
)
def test_masks_of_cryptography_are_ours(
    prg: int, size: int, cipher: Any, words: int, piece: int
) -> None:
    seeds, signs = [bytes([number]) * size for number in range(5)], [1, -1, 1, 1, -1]
    ours, theirs = np.arange(words, dtype=np.uint32), np.arange(words, dtype=np.uint32)
    drawn = np.frombuffer(b"".join(seeds), np.uint8).reshape(5, size)
    _core.apply_masks(ours, drawn, np.array(signs, np.int8), 0, prg=prg)
    baselines.cryptography_masks(theirs, seeds, signs, cipher, piece=piece or words)
    assert np.array_equal(ours, theirs)


def test_masks_of_pcg64_are_those_generators_words() -> None:
    total = np.zeros(100, np.uint32)
    baselines.pcg64_masks(total, [1, 2], [1, -1])
    drawn = [np.random.default_rng(at).integers(0, 2**32, 100, np.uint32) for at in (1, 2)]
    assert np.array_equal(total, drawn[0] - drawn[1])


def test_updates_are_what_they_are_said_to_be() -> None:
    drawn = baselines.update(100_000)
    assert drawn.dtype == np.float32
    assert np.array_equal(drawn, baselines.update(100_000))
    assert not np.array_equal(drawn, baselines.update(100_000, 1))
    assert float(drawn.std()) == pytest.approx(0.05, rel=0.02)


@pytest.mark.parametrize("case", [TINY.regular, TINY.complete])
def test_the_session_gives_the_mean_as_often_as_it_is_served(case: Case) -> None:
    session = Session(case)
    session.play()
    stages = {"ADVERTISE_KEYS", "SHARE_KEYS", "MASKED_INPUT", "UNMASKING"}
    assert set(session.seconds[0]) == stages
    assert set(session.seconds[-1]) == {"ADVERTISE_KEYS", "SHARE_KEYS"}
    for _ in range(2):
        result = session.serve()
        assert len(result.dropouts) == case.gone
        assert np.allclose(result.mean, mean_of(case), rtol=0, atol=1e-5)
    assert session.session.neighbors == (case.neighbors or case.clients - 1)
    assert len(session.client_seconds()) == case.survivors
    assert session.upload >= case.weights * session.session.layout.modulus_bits // 8


# --- Flower -------------------------------------------------------------------------------------


@needs_flower
@pytest.mark.parametrize("case", [TINY.regular, TINY.complete])
def test_flowers_round_gives_the_mean(case: Case) -> None:
    played = rounds.baseline().play(case, 4)
    assert played.mean is not None
    assert np.allclose(played.mean, mean_of(case), rtol=0, atol=1e-5)
    assert len(played.clients) == case.survivors


@needs_flower
def test_flowers_clients_are_timed_when_too_many_are_gone_for_a_mean() -> None:
    played = rounds.baseline().play(Case(clients=5, weights=50, neighbors=None, gone=3), 3)
    assert played.mean is None
    assert len(played.clients) == 2


@needs_flower
def test_whole_rounds_have_the_rows_of_the_scaled_ones() -> None:
    rows: list[Any] = rounds.regular_rows(TINY.regular, 2, 1, whole=True)
    rows += rounds.complete_rows(TINY.complete, 1, whole=True)
    assert {row.name for row in rows} == FLOWER | {"wire_bits_overhead"}
    assert all(row.ratio is not None for row in rows)


@needs_flower
def test_flowers_parts_are_as_many_as_its_workflow_needs() -> None:
    flower = rounds.baseline()
    parts = flower.server_parts(TINY.complete, 5)
    counts = {name: count for name, (count, _) in parts.items()}
    # Seeds of 32 bytes are shared in 3 chunks, keys of some 306 in 20.
    assert counts == {"receive": 6, "shares": 6 + 20 / 3, "masks": 6 + 6, "keys": 6, "decode": 1}
    for _, function in [*parts.values(), *flower.client_parts(baselines.update(50), 3).values()]:
        assert function() is not None

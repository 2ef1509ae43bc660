"""Paillier on vectors, beside phe with gmpy2 and, where they are installed, HEU and pypaillier.

One number per ciphertext for all of them, so that the rows compare ciphertexts; how many weights a
ciphertext of ours carries is another gain, which rows of `fedsecure.benchmark` add. The baseline of
each group is phe. Each peer is driven through its own interface, with keys of its own.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Sequence
from functools import cache, partial

import numpy as np
import pytest

from fedsecure import _core
from fedsecure.benchmark import Row, baselines
from fedsecure.benchmark.paillier import (
    BUDGET,
    ENCODING,
    PaillierSizes,
    gain_rows,
    paillier_rows,
    plaintexts,
)
from fedsecure.benchmark.timing import on_threads
from fedsecure.paillier import EncryptedVector, PrivateKey, PublicKey, generate_keypair
from fedsecure.paillier.rows import RunningProduct, weighted_product

BITS = [2048, 3072]
UNIT = "us/ciphertext"
OURS, FEW, PEER, ADDED = 512, 64, 8, 10  # ciphertexts in one call
WEIGHT = 12345  # of 14 bits, as a number of examples has
MILLION = 1_000_000
BEST = _core.active_kernels()
one_thread = pytest.mark.benchmark(timer=time.process_time)
CASES = [  # kernel set, key size, threads (0: all cores)
    *(pytest.param(BEST, bits, 1, marks=one_thread) for bits in BITS),
    *((BEST, bits, 0) for bits in BITS),
    *([pytest.param("portable", BITS[0], 1, marks=one_thread)] if BEST != "portable" else []),
]

Run = Callable[..., None]
Select = Callable[[str], None]
Record = Callable[[Sequence[Row]], None]
Call = Callable[[], object]
Calls = dict[str, tuple[Call, int]]


# Keys keep tables of the kernel set they were first used with.
@cache
def pair(bits: int, kernels: str = BEST) -> tuple[PublicKey, PrivateKey]:
    assert _core.active_kernels() == kernels
    return generate_keypair(bits)


@cache
def encrypted(bits: int, kernels: str) -> tuple[EncryptedVector, ...]:
    key = pair(bits, kernels)[0].with_randomizer("short")
    return tuple(
        key.encrypt(baselines.update(OURS, at), encoding=ENCODING, budget=BUDGET, packed=False)
        for at in range(ADDED)
    )


def add(public: PublicKey, vectors: Sequence[np.ndarray]) -> np.ndarray:
    product = RunningProduct(public, len(vectors[0]))
    for rows in vectors:
        product.multiply(rows)
    return product.rows()


@cache
def ours(bits: int, kernels: str) -> Calls:
    """What is measured on one key, and how many ciphertexts it handles."""
    public, private = pair(bits, kernels)
    vectors = [vector.rows for vector in encrypted(bits, kernels)]
    few, many = plaintexts(public, FEW), plaintexts(public, OURS)
    data = encrypted(bits, kernels)[0].to_bytes()
    return {
        "encrypt, half": (partial(public.encrypt_rows, few), FEW),
        "encrypt, short": (partial(public.with_randomizer("short").encrypt_rows, many), OURS),
        "encrypt, full": (partial(public.with_randomizer("full").encrypt_rows, few), FEW),
        "encrypt, owner, half": (partial(private.encrypt_rows, few), FEW),
        "add": (partial(add, public, vectors), OURS * ADDED),
        "times an integer": (partial(weighted_product, public, vectors[:1], [WEIGHT]), OURS),
        "weighted sum": (
            partial(weighted_product, public, vectors, range(WEIGHT, WEIGHT + ADDED)),
            OURS * ADDED,
        ),
        "decrypt": (partial(private.decrypt_rows, vectors[0][:FEW]), FEW),
        "to bytes": (encrypted(bits, kernels)[0].to_bytes, OURS),
        "from bytes, checked": (partial(EncryptedVector.from_bytes, data, public), OURS),
    }


@cache
def of_phe(bits: int) -> Calls:
    paillier = pytest.importorskip("phe").paillier
    public, private = paillier.generate_paillier_keypair(n_length=bits)
    x = baselines.update(PEER).tolist()
    numbers = [public.encrypt(value, precision=1e-8) for value in x]
    many = numbers * 25

    def encrypt() -> object:
        return [public.encrypt(value, precision=1e-8) for value in x]

    return {
        **{name: (encrypt, PEER) for name in ours(bits, BEST) if name.startswith("encrypt")},
        "add": (lambda: [number + numbers[0] for number in many], len(many)),
        "times an integer": (lambda: [number * WEIGHT for number in many], len(many)),
        "weighted sum": (lambda: sum(number * WEIGHT for number in many), len(many)),
        "decrypt": (lambda: [private.decrypt(number) for number in numbers], PEER),
    }


@cache
def of_heu(bits: int) -> Calls:
    heu, hnp = pytest.importorskip("heu.phe"), pytest.importorskip("heu.numpy")
    kit = hnp.setup(heu.SchemaType.ZPaillier, bits)
    plain = kit.array(baselines.update(FEW).astype(float), heu.FloatEncoderParams(10**8))
    encrypt, evaluate, decrypt = kit.encryptor(), kit.evaluator(), kit.decryptor()
    numbers = encrypt.encrypt(plain)
    return {
        "encrypt, half": (lambda: encrypt.encrypt(plain), FEW),
        "add": (lambda: evaluate.add(numbers, numbers), FEW),
        "decrypt": (lambda: decrypt.decrypt(numbers), FEW),
    }


@cache
def of_pypaillier(bits: int) -> Calls:
    peer = pytest.importorskip("paillier")
    if not hasattr(peer, "generate_keypair"):  # a folder of tests has the same name
        pytest.skip("could not import 'paillier': pypaillier is not installed")
    public, private = peer.generate_keypair(bits)
    x = baselines.update(FEW).astype(float).tolist()
    numbers = peer.encrypt_many(public, x, scale_pow10=8)
    return {
        "encrypt, half": (lambda: peer.encrypt_many(public, x, scale_pow10=8), FEW),
        "add": (lambda: peer.add_many(public, numbers), FEW),
        "decrypt": (lambda: peer.decrypt_exact_many(private, numbers), FEW),
    }


PEERS = {"phe": of_phe, "HEU": of_heu, "pypaillier": of_pypaillier}
OPERATIONS = [
    "encrypt, half",
    "encrypt, short",
    "encrypt, full",
    "encrypt, owner, half",
    "add",
    "times an integer",
    "weighted sum",
    "decrypt",
    "to bytes",
    "from bytes, checked",
]


def group(bits: int, operation: str) -> str:
    return f"paillier {bits}, {operation}"


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(("kernels", "bits", "threads"), CASES)
def bench_paillier(
    measure: Run, select: Select, kernels: str, bits: int, threads: int, operation: str
) -> None:
    select(kernels)
    with on_threads(threads):
        call, count = ours(bits, kernels)[operation]
        call()
        what = f"{kernels}, {threads or 'all'} threads"
        measure(group(bits, operation), what, 1000 * count, call, unit=UNIT, rounds=3)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("peer", PEERS)
@one_thread
def bench_peer(measure: Run, peer: str, operation: str, bits: int) -> None:
    """Seconds of processor, so that threads of a peer count as what they are."""
    calls = PEERS[peer](bits)
    if operation not in calls:
        pytest.skip(f"{peer} has no such call")
    call, count = calls[operation]
    measure(
        group(bits, operation),
        peer,
        1000 * count,
        call,
        unit=UNIT,
        rounds=3,
        baseline=peer == "phe",
    )


@pytest.mark.parametrize("bits", BITS)
def bench_key_pair(measure: Run, bits: int) -> None:
    call = partial(generate_keypair, bits)
    measure(f"paillier {bits}, key pair", "fedsecure", 10**9, call, unit="s", rounds=5)


@pytest.mark.parametrize("bits", BITS)
def bench_key_pair_phe(measure: Run, bits: int) -> None:
    paillier = pytest.importorskip("phe").paillier
    call = partial(paillier.generate_paillier_keypair, n_length=bits)
    name = f"paillier {bits}, key pair"
    measure(name, "phe", 10**9, call, unit="s", rounds=5, baseline=True)


def bench_short_form(record: Record) -> None:
    record(paillier_rows(PaillierSizes(), repeats=7))


@pytest.mark.parametrize("bits", BITS)
def bench_gains(record: Record, bits: int) -> None:
    """What kernels, algorithm and packing each give: they multiply."""
    record(gain_rows(pair(bits)[0]))


@pytest.mark.parametrize("threads", [1, 0])
def bench_million(record: Record, threads: int) -> None:
    """One update of a million weights: time by the clock, size, and memory beyond both arrays."""
    public, private = pair(BITS[0])
    x, key = baselines.update(MILLION), public.with_randomizer("short")
    name = f"paillier {BITS[0]}, {MILLION} weights, {threads or 'all'} threads: "
    with on_threads(threads):
        key.encrypt(x[:1000], encoding=ENCODING, budget=BUDGET)
        tracemalloc.start()
        vector, seconds = clocked(partial(key.encrypt, x, encoding=ENCODING, budget=BUDGET))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        beyond = (peak - vector.rows.nbytes) / 1e6
        _, added = clocked(lambda: (vector + vector).unsafe_rows)
        _, decrypted = clocked(partial(private.decrypt, vector))
    for what, value, unit in [
        ("encrypt, short", seconds, "s"),
        ("add two", added, "s"),
        ("decrypt", decrypted, "s"),
        ("size", len(vector.to_bytes()) / 1e6, "MB"),
        ("memory beyond weights and ciphertexts", beyond, "MB"),
    ]:
        record([Row(name + what, value, unit, None, None)])


def clocked(call: Callable[[], EncryptedVector]) -> tuple[EncryptedVector, float]:
    start = time.perf_counter()
    return call(), time.perf_counter() - start

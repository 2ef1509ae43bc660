"""The published vectors: they follow from the reference, and the library gives and refuses them.

tests/vectors/ORIGIN.md says what each file holds.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from fedsecure import _core, wire
from fedsecure.encoding import Contribution, FixedPoint
from fedsecure.primitives import entropy, identity, keys, masks, shamir
from fedsecure.primitives.entropy import Secret
from fedsecure.primitives.graph import CompleteGraph, HararyGraph
from fedsecure.primitives.identity import Identity
from fedsecure.primitives.keys import PrivateKey
from fedsecure.primitives.masks import Prg
from fedsecure.protocols.masking import schedule
from vectors import generate
from vectors.recording import load, unhex

KINDS = ("share", "mask")


@pytest.mark.parametrize("name", sorted(path.name for path in generate.FOLDER.iterdir()))
def test_committed_files_are_what_the_reference_gives(name: str) -> None:
    assert (generate.FOLDER / name).read_text("ascii") == generated()[name]


@cache
def generated() -> dict[str, str]:
    return generate.files()


def test_no_file_is_missing() -> None:
    assert {path.name for path in generate.FOLDER.iterdir()} == set(generated())


# --- single steps -------------------------------------------------------------------------------


def test_keys() -> None:
    found = {
        name: bytes.fromhex(value) if isinstance(value, str) and name != "session" else value
        for name, value in load("keys").items()
    }
    ctx, u, v = found["ctx"], found["u"], found["v"]
    share, mask = (PrivateKey(Secret(unhex(found[f"{name}_secrets"])[0])) for name in KINDS)
    assert [share.public, mask.public] == [unhex(found[f"{name}_publics"])[0] for name in KINDS]
    agreed, mask_agreed = (
        key.agree(unhex(found[f"{name}_publics"])[1])
        for name, key in zip(KINDS, (share, mask), strict=True)
    )
    assert agreed == found["share_agreed"]
    assert mask_agreed == found["mask_agreed"]
    key = schedule.share_key(agreed, ctx, u, v)
    assert key == found["share_key_u_to_v"]
    assert schedule.share_key(agreed, ctx, v, u) == found["share_key_v_to_u"]
    assert schedule.pair_seed(mask_agreed, ctx, Prg.AES128, v, u) == found["pair_seed"]
    assert schedule.self_seed(found["self_secret_u"], ctx, Prg.AES128, u) == found["self_seed_u"]
    assert schedule.commitment(found["self_secret_u"], ctx, u) == found["commitment_u"]
    sealed = keys.encrypt(key, found["plaintext"], found["associated_data"])
    assert sealed == found["ciphertext"]


@pytest.mark.parametrize(
    "vector", load("masks"), ids=lambda vector: f"{vector['suite']}-{vector['bits']}"
)
def test_masks(vector: dict[str, Any]) -> None:
    lane = {2: np.uint16, 4: np.uint32, 8: np.uint64}[vector["word_bytes"]]
    seed = bytes.fromhex(vector["seed"])
    for first, count, packed in ((0, 64, "packed"), (0, 7, "packed_first_7"), (5, 59, None)):
        elements = np.zeros(count, lane)
        masks.MaskSet([seed], [1], Prg(vector["suite"])).apply(elements, first)
        masks.reduce(elements, vector["bits"])
        assert elements.tolist() == vector["elements"][first : first + count]
        if packed:
            out = np.empty(wire.packed_bytes(count, vector["bits"]), np.uint8)
            _core.pack(elements, vector["bits"], out)
            assert out.tobytes().hex() == vector[packed]


@pytest.mark.parametrize(
    "vector", load("shares"), ids=lambda vector: f"{vector['suite']}-{vector['threshold']}"
)
def test_shares(vector: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entropy, "_system", lambda _: bytes.fromhex(vector["polynomial_seed"]))
    secrets = [Secret(secret) for secret in unhex(vector["secrets"])]
    shares = shamir.split(secrets, vector["threshold"], vector["xs"], Prg(vector["suite"]))
    assert [[share.tobytes().hex() for share in row] for row in shares] == vector["shares"]
    chosen = slice(1, 1 + vector["threshold"])
    assert shamir.combine(vector["xs"][chosen], shares[:, chosen]) == secrets


@pytest.mark.parametrize("vector", load("graphs"), ids=lambda vector: len(vector["ids"]))
def test_graphs(vector: dict[str, Any]) -> None:
    ids = vector["ids"]
    if vector["graph"] == "complete":
        graph = CompleteGraph(ids)
    else:
        graph = HararyGraph(ids, vector["k"], bytes.fromhex(vector["seed"]))
        assert list(graph.ring) == vector["ring"]
    for owner, holders in vector["holders"]:
        assert list(graph.holders(owner)) == holders
        assert [graph.position(owner, holder) for holder in holders] == [
            *range(1, len(holders) + 1)
        ]
    assert graph.digest.hex() == vector["digest"]


@pytest.mark.parametrize("vector", load("encoding"), ids=lambda vector: vector["rounding"])
def test_encoding(vector: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    encoding = FixedPoint(
        vector["clip"],
        vector["bits"],
        **{name: vector[name] for name in ("max_weight", "rounding", "overflow")},
    )
    weighted = vector["weight"] is not None
    layout = encoding.layout(vector["clients"], len(vector["values"]), weighted=weighted)
    assert layout.modulus_bits == vector["ring_bits"]
    seed = None if vector["rounding_seed"] is None else bytes.fromhex(vector["rounding_seed"])
    made = Contribution(
        [np.array(vector["values"])],
        ["values"],
        encoding=encoding,
        layout=layout,
        weight=vector["weight"],
        seed=seed,
    ).encode(0, layout.length)
    masks.reduce(made, layout.modulus_bits)
    assert made.tolist() == vector["elements"]


@pytest.mark.parametrize("vector", load("signatures"), ids=lambda vector: vector["statement"])
def test_signatures(vector: dict[str, Any]) -> None:
    signer = Identity.from_bytes(bytes.fromhex(vector["identity"]))
    message, signature = bytes.fromhex(vector["message"]), bytes.fromhex(vector["signature"])
    assert signer.verify_key.hex() == vector["verify_key"]
    assert signer.sign(message) == signature
    assert identity.verify(signer.verify_key, signature, message)

"""Every message equals, byte for byte, that of the slow reference given the same secrets."""

from __future__ import annotations

import numpy as np
import pytest

from fedsecure import wire
from fedsecure.encoding import FixedPoint
from fedsecure.privacy import CentralGaussian, DistributedSkellam
from fedsecure.protocols.masking.states import Stage
from mirror import Case, Mirror, identities
from parties import Parties, make_updates
from reference.wire import SERVER

ODD_IDS = (7, 130, 70_000, 2**32 - 2)
CASES = [
    Case("three", (0, 1, 2), FixedPoint(4.0, 12, rounding="nearest")),
    Case("odd ids", ODD_IDS, FixedPoint(4.0, 12), without_input=(70_000,)),
    Case(
        "all drop-outs, weights",
        tuple(range(9)),
        FixedPoint(4.0, 16, max_weight=100, modulus_bits=47),
        weights=(1.0, 0.5, 100.0, 3.0, 3.0, 3.0, 2.0, 1.0, 9.0),
        threshold=5,
        without_keys=(4,),
        without_shares=(0,),
        without_input=(6,),
        without_answer=(3,),
    ),
    Case(
        "narrow ring, clipped",
        (1, 2, 3, 4, 5, 6),
        FixedPoint(2.0, 4, overflow="clip"),
        without_input=(1, 6),
        threshold=4,
    ),
    Case("one chunk of doubles", (5, 6, 8), FixedPoint(4.0, 45), chunk=1 << 20),
    Case(
        "semi-malicious",
        ODD_IDS,
        FixedPoint(4.0, 12),
        adversary="semi_malicious",
        without_input=(130,),
    ),
    Case("malicious, three", (4, 5, 6), FixedPoint(4.0, 12), adversary="malicious"),
    Case(
        "malicious, all drop-outs, weights",
        (*ODD_IDS, 2, 3, 5, 11, 13, 17, 19),
        FixedPoint(4.0, 16, max_weight=8, overflow="clip"),
        adversary="malicious",
        weights=(1.0, 0.5, 8.0, 3.0, 3.0, 3.0, 2.0, 1.0, 7.0, 0.1, 1.0),
        threshold=7,
        without_keys=(130,),
        without_shares=(2**32 - 2,),
        without_input=(2,),
        without_confirmation=(19,),
        without_answer=(),
    ),
    Case(
        "k-regular",
        tuple(range(0, 160, 5)),
        FixedPoint(4.0, 12),
        neighbors=12,
        threshold=7,
        without_keys=(100,),
        without_shares=(35,),
        without_input=(0,),
        without_answer=(65,),
    ),
    Case(
        "AES-256, two vanish",
        (4, 5, 6, 7, 8, 9),
        FixedPoint(8.0, 20, max_weight=4, overflow="clip"),
        weights=(1.0, 0.5, 2.0, 4.0, 0.1, 3.0),
        adversary="malicious",
        threshold=4,
        policy={"prg": "aes256"},
        without_shares=(4,),
        without_input=(8,),
    ),
    Case(
        "ChaCha20, k-regular",
        tuple(range(40)),
        FixedPoint(4.0, 10),
        adversary="semi_honest",
        neighbors=12,
        policy={"corrupt": 0.05, "dropout": 0.1, "prg": "chacha20"},
        chunk=7,
        without_input=(3, 19),
        without_answer=(20,),
    ),
    Case(
        "k-regular, semi-malicious",
        tuple(range(1000, 1040)),
        FixedPoint(4.0, 16, rounding="nearest"),
        adversary="semi_malicious",
        neighbors=26,
        policy={"corrupt": 0.05, "dropout": 0.05},
        without_input=(1007, 1020),
    ),
    Case(
        "noise of the clients",
        (3, 5, 8, 13, 21),
        FixedPoint(),
        adversary="malicious",
        without_input=(8,),
        privacy=DistributedSkellam(1.0, 0.5, corrupt=1),
    ),
    Case(
        "noise of the server, weights",
        (3, 5, 8, 13, 21, 34),
        FixedPoint(),
        weights=(1.0, 2.0, 4.0, 4.0, 3.0, 4.0),
        without_shares=(8,),
        privacy=CentralGaussian(1, 0.5, max_weight=4),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_message_and_the_sum(case: Case, known_entropy: list[bytes]) -> None:
    parties = Parties(
        len(case.ids),
        ids=case.ids,
        updates=make_updates(len(case.ids), case.size),
        weights=case.weights,
        encoding=case.encoding,
        adversary=case.adversary,
        neighbors=case.neighbors,
        policy=case.policy,
        threshold=case.threshold,
        chunk=case.chunk,
        privacy=case.privacy,
        round=2**40 + 5,
        model_digest=bytes(range(32)),
    )
    mirror = Mirror(parties, case, known_entropy)
    mirror.advertise_keys()
    mirror.share_keys()
    mirror.mask_input()
    if case.adversary == "malicious":
        mirror.confirm()
    mirror.unmask()
    parties.finish()
    np.testing.assert_array_equal(parties.total, np.array(mirror.total, parties.total.dtype))


@pytest.mark.parametrize("without", [False, True])
def test_identities_are_drawn_where_none_are_given(
    without: bool, known_entropy: list[bytes]
) -> None:
    """The order in which a session draws is what the vectors and the cases above stand on."""
    parties = Parties(4, adversary="semi_honest" if without else "malicious")
    assert len(identities(parties)) == (0 if without else 4)
    parties.until(Stage.MASKED_INPUT)
    sizes = [] if without else [32] * 4
    sizes += [16] + [32, 32, 24] * 4 + [32, 24] * 4
    assert [len(data) for data in known_entropy] == sizes


def test_server_id() -> None:
    assert wire.SERVER == SERVER

"""Every message equals, byte for byte, that of the slow reference given the same secrets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from fedsecure import wire
from fedsecure.encoding import FixedPoint
from fedsecure.protocols.masking.messages import UnmaskShares, read
from parties import Parties, body_of, make_updates
from reference import encoding as reference_encoding
from reference import secagg, shamir
from reference.wire import SERVER


@dataclass(frozen=True)
class Case:
    """A session of both implementations, and who vanishes where."""

    name: str
    ids: tuple[int, ...]
    encoding: FixedPoint
    weights: tuple[float, ...] | None = None
    threshold: int | None = None
    size: int = 40
    chunk: int = 16
    without_keys: tuple[int, ...] = ()
    without_shares: tuple[int, ...] = ()
    without_input: tuple[int, ...] = ()
    without_answer: tuple[int, ...] = ()


CASES = [
    Case("three", (0, 1, 2), FixedPoint(4.0, 12, rounding="nearest")),
    Case("odd ids", (7, 130, 70_000, 2**32 - 2), FixedPoint(4.0, 12), without_input=(70_000,)),
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
]


def reference_session(parties: Parties) -> secagg.Session:
    session, encoding = parties.session, parties.session.encoding
    return secagg.Session(
        protocol="pairwise-masking/semi-honest",
        suite=1,
        session_id=session.session_id,
        round=session.round,
        client_ids=list(session.client_ids),
        threshold=session.threshold,
        leaves=[("a", [20], "float64"), ("b", [20], "float32")],
        clip=encoding.clip,
        bits=encoding.bits,
        max_weight=encoding.max_weight,
        rounding=encoding.rounding,
        overflow=encoding.overflow,
        given_modulus_bits=encoding.modulus_bits,
        modulus_bits=session.layout.modulus_bits,
        weighted=session.weighted,
        model_digest=session.model_digest,
        chunk=session.chunk,
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_message_and_the_sum(case: Case, known_entropy: list[bytes]) -> None:
    updates = make_updates(len(case.ids), case.size)
    parties = Parties(
        len(case.ids),
        ids=case.ids,
        updates=updates,
        weights=case.weights,
        encoding=case.encoding,
        threshold=case.threshold,
        chunk=case.chunk,
        round=2**40 + 5,
        model_digest=bytes(range(32)),
    )
    mirror = Mirror(parties, case, known_entropy)
    mirror.advertise_keys()
    mirror.share_keys()
    mirror.mask_input()
    mirror.unmask()
    parties.finish()
    np.testing.assert_array_equal(parties.total, np.array(mirror.total, parties.total.dtype))


class Mirror:
    """Walks both implementations side by side, one stage per method."""

    def __init__(self, parties: Parties, case: Case, drawn: list[bytes]) -> None:
        self.parties, self.case, self.drawn = parties, case, drawn
        self.session = reference_session(parties)
        # Drawn so far: the session id; then for each client two private keys and a rounding seed.
        assert [len(data) for data in drawn] == [16] + [32, 32, 24] * len(case.ids)
        assert self.session.session_id == drawn[0]
        self.clients = {}
        for at, name in enumerate(case.ids):
            share_secret, mask_secret, rounding = drawn[1 + 3 * at : 4 + 3 * at]
            self.clients[name] = secagg.Client(
                self.session, name, share_secret, mask_secret, b"", b"", self.encoded(at, rounding)
            )
        self.roster: secagg.Keys = {}
        self.sealed: dict[int, dict[int, bytes]] = {}
        self.total: list[int] = []

    def encoded(self, at: int, seed: bytes) -> list[int]:
        update = make_updates(len(self.case.ids), self.case.size)[at]
        encoding = self.case.encoding
        return reference_encoding.encode(
            [float(value) for leaf in ("a", "b") for value in update[leaf]],
            bits=encoding.bits,
            clip=encoding.clip,
            modulus_bits=self.session.modulus_bits,
            weight=None if self.case.weights is None else self.case.weights[at],
            seed=seed if encoding.rounding == "stochastic" else None,
            count_clipped=encoding.overflow == "clip",
        )

    def exchange(self, absent: tuple[int, ...], expected: dict[int, list[bytes]]) -> None:
        """Native answers equal the expected ones; the stage is closed."""
        present = [name for name in self.parties.mail if name not in absent]
        assert sorted(expected) == present
        for name in present:
            answers = self.parties.answer(name)
            assert answers == expected[name]
            for message in answers:
                self.parties.server.receive(name, message)
        self.parties.mail = self.parties.server.advance()

    def advertise_keys(self) -> None:
        present = [name for name in self.case.ids if name not in self.case.without_keys]
        self.exchange(
            self.case.without_keys,
            {name: [self.clients[name].advertise_keys()] for name in present},
        )
        self.roster = {
            name: (
                secagg.public(self.clients[name].share_secret),
                secagg.public(self.clients[name].mask_secret),
            )
            for name in present
        }
        roster = secagg.roster_message(self.session, self.roster)
        assert self.parties.mail == {name: [roster] for name in present}

    def share_keys(self) -> None:
        present = [name for name in self.roster if name not in self.case.without_shares]
        start = len(self.drawn)
        native = {name: self.parties.answer(name) for name in present}
        fresh = self.drawn[start:]
        assert [len(data) for data in fresh] == [32, 24] * len(present)
        for at, name in enumerate(present):
            client = self.clients[name]
            client.self_secret, client.polynomial_seed = fresh[2 * at : 2 * at + 2]
            message = client.share_keys(self.roster)
            assert native[name] == [message]
            self.parties.server.receive(name, message)
            body = wire.msgspec.msgpack.decode(body_of(message))
            self.sealed[name] = dict(body[1])
        self.parties.mail = self.parties.server.advance()
        for name in present:
            delivery = secagg.delivery_message(self.session, self.delivered(name))
            assert self.parties.mail[name] == [delivery]

    def delivered(self, name: int) -> dict[int, bytes]:
        return {u: sealed[name] for u, sealed in self.sealed.items() if u != name}

    def mask_input(self) -> None:
        present = [name for name in self.sealed if name not in self.case.without_input]
        answers = {
            name: self.clients[name].masked_input(self.delivered(name)) for name in self.sealed
        }
        self.exchange(self.case.without_input, {name: answers[name] for name in present})
        request = secagg.request_message(self.session, list(self.case.without_input))
        assert self.parties.mail == {name: [request] for name in present}

    def unmask(self) -> None:
        alive = [name for name in self.sealed if name not in self.case.without_input]
        dead = list(self.case.without_input)
        present = [name for name in alive if name not in self.case.without_answer]
        answers = {name: self.clients[name].unmask_shares(dead) for name in present}
        self.exchange(self.case.without_answer, {name: [answers[name]] for name in present})
        self.check_shares(answers, dead)
        self.total = secagg.unmasked_sum(
            {name: self.clients[name].masked for name in alive},
            {name: self.clients[name].mask_secret for name in dead},
            {name: self.clients[name].self_secret for name in alive},
            self.roster,
            self.session.context(self.roster),
            self.session.modulus_bits,
        )

    def check_shares(self, answers: dict[int, bytes], dead: list[int]) -> None:
        """Any t answers give each secret back."""
        places = sorted(self.roster)
        bodies = {name: read(UnmaskShares, body_of(data)) for name, data in answers.items()}
        chosen = list(bodies)[-self.session.threshold :]
        for owner in self.sealed:
            lists = {
                name: bodies[name].dead if owner in dead else bodies[name].alive for name in chosen
            }
            shares = {
                1 + places.index(name): {held.owner: held.share for held in lists[name]}[owner]
                for name in chosen
            }
            client = self.clients[owner]
            secret = client.mask_secret if owner in dead else client.self_secret
            assert shamir.combine(shares) == secret


def test_server_id() -> None:
    assert wire.SERVER == SERVER

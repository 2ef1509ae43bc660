"""A masking session walked side by side with that of the slow reference, message by message."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fedsecure.privacy import CentralGaussian, DistributedSkellam
from fedsecure.protocols.masking.messages import UnmaskShares, read
from parties import LEVELS, Parties, body_of, make_updates
from reference import encoding as reference_encoding
from reference import server as reference_server
from reference import shamir
from reference.client import Client, Sealed
from reference.session import Roster
from reference.session import Session as ReferenceSession
from reference.wire import unmsgpack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fedsecure.encoding import FixedPoint
    from fedsecure.primitives.identity import Identity
    from fedsecure.privacy import VectorMechanism


@dataclass(frozen=True)
class Case:
    """A session of both implementations, and who vanishes where."""

    name: str
    ids: tuple[int, ...]
    encoding: FixedPoint
    adversary: str = "semi_honest"
    neighbors: int | None = None
    policy: dict[str, Any] = field(default_factory=dict)
    weights: tuple[float, ...] | None = None
    threshold: int | None = None
    size: int = 40
    chunk: int = 16
    without_keys: tuple[int, ...] = ()
    without_shares: tuple[int, ...] = ()
    without_input: tuple[int, ...] = ()
    without_confirmation: tuple[int, ...] = ()
    without_answer: tuple[int, ...] = ()
    privacy: VectorMechanism | None = None


BETA = math.exp(-0.5)
PRIVACY: dict[type, list[Any]] = {
    DistributedSkellam: ["DistributedSkellam", 1.0, 0.5, None, None, BETA, None, 1, 4.0],
    CentralGaussian: ["CentralGaussian", 1.0, 0.5, 4.0, None, BETA],
}
"""The mechanisms of the cases, as the document says that they are written."""


def reference_session(parties: Parties) -> ReferenceSession:
    session, encoding = parties.session, parties.session.encoding
    names = {level: "pairwise-masking/" + level.replace("_", "-") for level in LEVELS}
    return ReferenceSession(
        protocol=names[parties.protocol.adversary],
        suite={"aes128": 1, "aes256": 2, "chacha20": 3}[parties.protocol.prg],
        session_id=session.session_id,
        round=session.round,
        client_ids=list(session.client_ids),
        threshold=session.threshold,
        neighbors=session.neighbors,
        survivors=session.survivors,
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
        privacy=[] if session.privacy is None else PRIVACY[type(session.privacy)],
        noise_shares=session.noise_shares,
        verify_keys=[identity.verify_key for _, identity in sorted(identities(parties).items())],
    )


def identities(parties: Parties) -> dict[int, Identity]:
    return dict(parties.protocol.identities or {})


class Mirror:
    """Walks both implementations side by side, one stage per method."""

    def __init__(self, parties: Parties, case: Case, drawn: list[bytes]) -> None:
        self.parties, self.case, self.drawn = parties, case, drawn
        self.session = reference_session(parties)
        assert parties.session.to_bytes() == self.session.to_bytes()
        # Drawn so far: identities; the session id; then for each client two keys, a rounding seed.
        count = len(case.ids)
        own = {name: identity.to_bytes() for name, identity in identities(parties).items()}
        self.seed_bytes = 24 if self.session.suite == 1 else 40
        sizes = [32] * len(own) + [16] + [32, 32, self.seed_bytes] * count
        assert [len(data) for data in drawn] == sizes
        assert self.session.session_id == drawn[len(own)]
        self.clients = {}
        for at, name in enumerate(case.ids):
            start = len(own) + 1 + 3 * at
            share_secret, mask_secret, rounding = drawn[start : start + 3]
            vector = self.encoded(at, rounding)
            self.clients[name] = Client(
                self.session, name, share_secret, mask_secret, b"", b"", vector, own.get(name, b"")
            )
        self.roster: Roster = {}
        self.sealed: dict[int, dict[int, Sealed]] = {}
        self.total: list[int] = []

    def encoded(self, at: int, seed: bytes) -> list[int]:
        if self.case.privacy is not None:  # how noise is drawn is a client's own affair
            own = self.parties.inputs[self.case.ids[at]]
            return [int(element) % 2**self.session.modulus_bits for element in own]
        update = make_updates(len(self.case.ids), self.case.size)[at]
        encoding = self.case.encoding
        counted = encoding.overflow == "clip"
        weighted = self.case.weights is not None
        needed = reference_encoding.ring_bits(
            len(self.case.ids),
            self.case.size,
            bits=encoding.bits,
            clip=encoding.clip,
            max_weight=encoding.max_weight if weighted else None,
            counted=counted,
        )
        assert (encoding.modulus_bits or needed) == self.session.modulus_bits
        return reference_encoding.encode(
            [float(value) for leaf in ("a", "b") for value in update[leaf]],
            bits=encoding.bits,
            clip=encoding.clip,
            modulus_bits=self.session.modulus_bits,
            weight=None if self.case.weights is None else self.case.weights[at],
            seed=seed if encoding.rounding == "stochastic" else None,
            suite=self.session.suite,
            count_clipped=counted,
        )

    def exchange(self, absent: tuple[int, ...], expected: dict[int, list[bytes]]) -> None:
        """Native answers equal the expected ones; the stage is closed."""
        present = [name for name in self.parties.mail if name not in absent]
        assert sorted(expected) == sorted(present)
        for name in present:
            answers = self.parties.answer(name)
            assert answers == expected[name]
            for message in answers:
                self.parties.server.receive(name, message)
        self.parties.mail = self.parties.server.advance()

    def expect(self, mail: dict[int, bytes]) -> None:
        """The server has this to say, to these."""
        assert self.parties.mail == {name: [message] for name, message in sorted(mail.items())}

    def advertise_keys(self) -> None:
        present = [name for name in self.case.ids if name not in self.case.without_keys]
        self.exchange(
            self.case.without_keys,
            {name: [self.clients[name].advertise_keys()] for name in present},
        )
        self.roster = {name: self.clients[name].keys() for name in sorted(present)}
        roster = reference_server.roster_message(self.session, self.roster)
        self.expect(dict.fromkeys(present, roster))

    def share_keys(self) -> None:
        present = [name for name in self.roster if name not in self.case.without_shares]
        start = len(self.drawn)
        native = {name: self.parties.answer(name) for name in present}
        fresh = self.drawn[start:]
        assert [len(data) for data in fresh] == [32, self.seed_bytes] * len(present)
        for at, name in enumerate(present):
            client = self.clients[name]
            client.self_secret, client.polynomial_seed = fresh[2 * at : 2 * at + 2]
            message = client.share_keys(self.roster)
            assert native[name] == [message]
            self.parties.server.receive(name, message)
            entries = unmsgpack(body_of(message).tobytes())[2]
            self.sealed[name] = {peer: tuple(rest) for peer, *rest in entries}
        self.parties.mail = self.parties.server.advance()
        gone = list(self.case.without_shares)
        for name in present:
            self.clients[name].receive_shares(gone, self.delivered(name))
        self.expect(
            {
                name: reference_server.delivery_message(self.session, gone, self.delivered(name))
                for name in present
            }
        )

    def delivered(self, name: int) -> dict[int, Sealed]:
        return {u: sealed[name] for u, sealed in self.sealed.items() if name in sealed}

    @property
    def alive(self) -> list[int]:
        return [name for name in self.sealed if name not in self.case.without_input]

    def mask_input(self) -> None:
        answers = {name: self.clients[name].masked_input() for name in self.sealed}
        self.exchange(self.case.without_input, {name: answers[name] for name in self.alive})
        dead = list(self.case.without_input)
        self.expect(
            dict.fromkeys(self.alive, reference_server.survivors_message(self.session, dead))
        )

    def confirm(self) -> None:
        dead, absent = list(self.case.without_input), self.case.without_confirmation
        present = [name for name in self.alive if name not in absent]
        confirmed = {name: self.clients[name].confirmation(dead) for name in present}
        self.exchange(absent, {name: [message] for name, message in confirmed.items()})
        signatures = {
            name: unmsgpack(body_of(message).tobytes())[0] for name, message in confirmed.items()
        }
        message = reference_server.confirmations_message(self.session, signatures)
        self.expect(dict.fromkeys(present, message))

    def unmask(self) -> None:
        dead, absent = list(self.case.without_input), self.case.without_answer
        absent += self.case.without_confirmation
        present = [name for name in self.alive if name not in absent]
        answers = {name: self.clients[name].unmask_shares(dead) for name in present}
        self.exchange(absent, {name: [answers[name]] for name in present})
        self.check_shares(answers, dead)
        self.check_transcripts(present, dead)
        self.total = reference_server.unmasked_sum(
            {name: self.clients[name].masked for name in self.alive},
            {name: self.clients[name].mask_secret for name in dead},
            {name: self.clients[name].self_secret for name in self.alive},
            self.roster,
            self.session.graph(self.roster),
            self.session.context(self.roster),
            self.session.modulus_bits,
            self.session.suite,
        )

    def check_shares(self, answers: dict[int, bytes], dead: Sequence[int]) -> None:
        """Any t answers give each secret back."""
        graph = self.session.graph(self.roster)
        bodies = {name: read(UnmaskShares, body_of(data)) for name, data in answers.items()}
        for owner in self.sealed:
            chosen = [name for name in graph.holders(owner) if name in bodies]
            shares = {}
            for name in chosen[-self.session.threshold :]:
                held = bodies[name].dead if owner in dead else bodies[name].alive
                (share,) = [entry.share for entry in held if entry.owner == owner]
                shares[graph.x(owner, name)] = share
            client = self.clients[owner]
            secret = client.mask_secret if owner in dead else client.self_secret
            assert shamir.combine(shares) == secret

    def check_transcripts(self, present: Sequence[int], dead: list[int]) -> None:
        result = self.parties.server.result()
        for name in present:
            expected = self.clients[name].transcript(dead)
            assert self.parties.clients[name].transcript == result.transcript == expected

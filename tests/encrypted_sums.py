"""Encrypted sums for tests: parties of both kinds, walked stage by stage."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from fedsecure import wire
from fedsecure.encoding import FixedPoint
from fedsecure.primitives.identity import Identity
from fedsecure.protocols.homomorphic import PaillierSum, ThresholdPaillierSum
from fedsecure.pytree import TreeSpec
from paillier_keys import private_key
from parties import make_updates
from threshold_keys import dealt

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fedsecure.privacy import VectorMechanism

ENCODING = FixedPoint(clip=4.0, bits=12, rounding="nearest")
KINDS = ("one key", "shares")
IDS = (3, 5, 8, 13, 21)
QUORUM = 4


@cache
def identity(name: int) -> Identity:
    return Identity.generate()


def policy(kind: str, ids: tuple[int, ...] = IDS, **options: Any) -> Any:
    """The policy object that plays every party."""
    identities = {name: identity(name) for name in ids}
    if kind == "one key":
        return PaillierSum(private_key(), identities=identities, **options)
    public, shares = dealt(5, QUORUM)
    return ThresholdPaillierSum(
        public, holders=ids[:5], shares=tuple(shares), identities=identities, **options
    )


@dataclass
class Play:
    """All parties of one session."""

    protocol: Any
    session: Any
    server: Any
    parties: dict[int, Any]

    @classmethod
    def of(
        cls,
        kind: str,
        *,
        ids: tuple[int, ...] = IDS,
        size: int = 300,
        seed: int = 1,
        session_options: Mapping[str, Any] | None = None,
        privacy: VectorMechanism | None = None,
        **options: Any,
    ) -> Play:
        protocol = policy(kind, ids, **options)
        updates = make_updates(len(ids), size, seed)
        session = protocol.session(
            client_ids=ids,
            spec=TreeSpec.of(updates[0]),
            encoding=ENCODING if privacy is None else FixedPoint(),
            privacy=privacy,
            **(session_options or {}),
        )
        parties = {
            name: protocol.client(session, name, update, privacy=privacy)
            for name, update in zip(ids, updates, strict=True)
        }
        parties |= protocol.helpers(session)
        return cls(protocol, session, protocol.server(session), parties)

    @property
    def clients(self) -> dict[int, Any]:
        return {name: one for name, one in self.parties.items() if name != wire.KEY_HOLDER}

    def contributions(self) -> dict[int, list[bytes]]:
        return {name: list(client.start()) for name, client in self.clients.items()}

    def contribute(self) -> dict[int, list[bytes]]:
        sent = self.contributions()
        for name, messages in sent.items():
            for message in messages:
                self.server.receive(name, message)
        return sent

    def answers(self, mail: Mapping[int, list[bytes]]) -> dict[int, list[bytes]]:
        return {
            name: [answer for message in inbox for answer in self.parties[name].receive(message)]
            for name, inbox in mail.items()
        }

    def finish(self) -> Any:
        """From the server's first advance to the result."""
        for name, messages in self.answers(self.server.advance()).items():
            for message in messages:
                self.server.receive(name, message)
        self.server.advance()
        return self.server.result()

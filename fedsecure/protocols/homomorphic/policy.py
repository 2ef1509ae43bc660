"""What both policies of encrypted sums have in common: who is who, how many inputs, which noise."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from fedsecure import wire
from fedsecure.encoding import FixedPoint
from fedsecure.errors import LocalProtocolError, ThresholdError
from fedsecure.primitives.identity import Identity
from fedsecure.primitives.masks import Prg
from fedsecure.protocols import session as sessions
from fedsecure.protocols.noise import certain
from fedsecure.protocols.session import Session
from fedsecure.protocols.signing import checked_identities

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fedsecure.privacy.mechanisms import VectorMechanism
    from fedsecure.pytree import TreeSpec

__all__ = ["LOOKERS_ON", "Policy"]

LOOKERS_ON = 1
"""A client that sees the result knows its own share of the noise."""

Identities = Mapping[int, Identity | bytes]

_DEFAULT_ENCODING = FixedPoint()
_LEAST = 3  # a sum of two is no secret to either of them
_SUITE = int(Prg.AES256)


@dataclass(frozen=True)
class Policy(ABC):
    """What both have in common: identities, the least number of inputs, pieces."""

    name: ClassVar[str]

    identities: Identities | None = field(default=None, hash=False, kw_only=True)
    min_inputs: int | None = field(default=None, kw_only=True)
    chunk: int = field(default=1 << 16, kw_only=True)

    def __post_init__(self) -> None:
        if self.identities is not None:
            if not isinstance(self.identities, Mapping):
                raise LocalProtocolError(
                    "identities is no mapping; give {client id: verify key or Identity}"
                )
            object.__setattr__(self, "identities", checked_identities(self.identities))
        if self.min_inputs is not None:
            if type(self.min_inputs) is not int:
                raise LocalProtocolError(f"min_inputs is {self.min_inputs!r}; use a plain int")
            if self.min_inputs < _LEAST:
                raise ThresholdError(
                    f"min_inputs={self.min_inputs}; sums of fewer than {_LEAST} give inputs away"
                )
        if type(self.chunk) is not int or not 1 <= self.chunk <= sessions.MAX_CHUNK:
            raise LocalProtocolError(
                f"chunk is {self.chunk!r}; use a number of elements from 1 to {sessions.MAX_CHUNK}"
            )

    def least_inputs(self, num_clients: int) -> int:
        """Returns how many inputs a sum needs among so many invited clients.

        Raises:
            ThresholdError: They are fewer than that.
        """
        least = self.min_inputs or max(_LEAST, 2 * num_clients // 3 + 1)
        if num_clients < least:
            raise ThresholdError(
                f"{num_clients} clients were invited, and a sum needs {least}: invite more"
            )
        return least

    def session(
        self,
        *,
        client_ids: Iterable[int],
        spec: TreeSpec,
        encoding: FixedPoint = _DEFAULT_ENCODING,
        weighted: bool = False,
        round: int = 0,  # noqa: A002  # the glossary's word, given by name only
        model_digest: bytes | None = None,
        session_id: bytes | None = None,
        privacy: VectorMechanism | None = None,
    ) -> Session:
        """Returns the public description of one run, to be sent to every party.

        Args:
            client_ids: The clients to invite, in any order; each below 2^32 - 2.
            spec: The tree of an update, `TreeSpec.of(update)`.
            encoding: How values become ring elements, which are as wide as a sum of all needs.
            weighted: Whether every update carries a weight, which stays secret.
            round: The caller's count of rounds.
            model_digest: 32 bytes that name the model the clients train from: inputs of clients
                that hold different models do not add up.
            session_id: 16 bytes that no other run has; None draws them.
            privacy: The mechanism whose noise the sum gets, such as `fedsecure.DistributedSkellam`;
                None for an exact sum. It also decides how values become ring elements, so leave
                `encoding` out. Noise is shared among so many clients as are certain to be honest
                and in the sum: the least number of survivors, less those that may collude.
                Nobody colludes with this server, but one client may be who looks at the result.

        Raises:
            ThresholdError: Too few clients.
            EncodingError: The ring is too narrow for so many clients; or weights under a mechanism
                that declares no `max_weight`.
            LocalProtocolError: Another value is out of range, or a client has no identity.
        """
        ids = sessions.checked_ids(client_ids)
        return Session(
            protocol=self.name,
            session_id=sessions.fresh_session_id() if session_id is None else session_id,
            round=round,
            client_ids=ids,
            threshold=self._threshold,
            spec=spec,
            encoding=encoding,
            weighted=weighted,
            model_digest=sessions.NO_MODEL if model_digest is None else model_digest,
            chunk=self.chunk,
            suite=_SUITE,
            verify_keys=self._verify_keys(ids),
            survivors=self.least_inputs(len(ids)),
            parameters=self._parameters(ids),
            privacy=privacy,
            noise_shares=self.noise_shares(len(ids), privacy),
        )

    def noise_shares(self, num_clients: int, privacy: VectorMechanism | None) -> int:
        """Returns how many shares of a mechanism's noise are certain among so many invited clients.

        What a session pins: the least number of survivors less those that may collude; 1 where the
        server adds the noise, 0 without a mechanism. Each client's share has 1 over it of the
        variance that a sum shall have.

        Raises:
            ThresholdError: Too few clients, or no share is certain.
        """
        return certain(privacy, self.least_inputs(num_clients), LOOKERS_ON)

    def identity_of(self, client_id: int) -> Identity | None:
        """Returns a client's secret identity if it is here, as a client's own is."""
        known = None if self.identities is None else self.identities.get(client_id)
        return known if isinstance(known, Identity) else None

    @property
    @abstractmethod
    def _threshold(self) -> int:
        """How many decrypt together."""

    @abstractmethod
    def _parameters(self, client_ids: tuple[int, ...]) -> bytes:
        """What a session pins of the key."""

    def _check(self, session: Session) -> None:
        ids = session.client_ids
        mine = (self.name, _SUITE, self.chunk)
        theirs = (session.protocol, session.suite, session.chunk)
        if mine != theirs:
            raise LocalProtocolError(
                f"the session has (protocol, suite, chunk) {theirs}, this policy has {mine}; give "
                "all parties the same protocol object"
            )
        if session.verify_keys != self._verify_keys(ids):
            raise LocalProtocolError(
                "the session names other verify keys than the ones this policy has pinned; if a "
                "client has a new identity, learn its verify key from the client itself"
            )
        if session.parameters != self._parameters(ids) or session.threshold != self._threshold:
            raise LocalProtocolError(
                "the session is for another key than this policy's; a key that somebody else puts "
                "in its place reads your update"
            )
        least = self.least_inputs(len(ids))
        if session.survivors < least:
            raise ThresholdError(
                f"the session decrypts sums of {session.survivors} inputs, this policy of {least} "
                "or more"
            )

    def _verify_keys(self, client_ids: Iterable[int]) -> tuple[bytes, ...]:
        if self.identities is None:
            raise LocalProtocolError(
                "what is decrypted is what enough known clients have signed: give "
                "identities={client id: verify key, ...}, with your own Identity in your own place"
            )
        unknown = [client_id for client_id in client_ids if client_id not in self.identities]
        if unknown or wire.KEY_HOLDER in client_ids:
            name = unknown[0] if unknown else wire.KEY_HOLDER
            raise LocalProtocolError(
                f"client {name} has no identity here; pin its verify key before inviting it"
            )
        return tuple(
            known.verify_key if isinstance(known, Identity) else known
            for known in (self.identities[client_id] for client_id in client_ids)
        )

    def _identities_for(self, client_ids: Iterable[int]) -> Identities:
        if self.identities is not None:
            return self.identities
        return {client_id: Identity.generate() for client_id in client_ids}

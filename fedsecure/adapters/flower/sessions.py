"""A session as the server carries it through waves: who is in it, and what goes out next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fedsecure.adapters.flower.letters import Part
from fedsecure.errors import FedSecureError, RemoteProtocolError
from fedsecure.protocols.masking.states import Stage

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from fedsecure.adapters.flower.letters import Terms
    from fedsecure.protocols.base import Aggregate, Protocol
    from fedsecure.protocols.session import Session
    from fedsecure.pytree import TreeSpec

__all__ = ["RunningSession"]


class RunningSession:
    """One session and its server.

    Args:
        protocol: What makes the server.
        session: The session.
        terms: What of a training reply it sums.
    """

    def __init__(self, protocol: Protocol, session: Session, terms: Terms) -> None:
        self.session = session
        self.terms = terms
        self._server = protocol.server(session)
        self._invitation = session.to_bytes()
        self._outbox: Mapping[int, Sequence[bytes]] = dict.fromkeys(session.client_ids, ())

    @property
    def stage(self) -> str:
        """The stage whose messages are collected."""
        return self._server.stage

    @property
    def finished(self) -> bool:
        """Whether there is a result."""
        return self._server.finished

    @property
    def clients(self) -> Collection[int]:
        """Who is still in it."""
        return self._outbox.keys()

    def part(self, client_id: int, *, hold: bool = False) -> list[Part]:
        """Returns what a client is to be sent; nothing if it is not in.

        Args:
            client_id: Who.
            hold: Whether the shares wait for the message that asks for training.
        """
        if client_id not in self._outbox:
            return []
        first = self.stage == Stage.ADVERTISE_KEYS
        waits = hold and self.stage == Stage.MASKED_INPUT
        mail = () if waits else tuple(self._outbox[client_id])
        return [Part(self.session.session_id, self._invitation if first else b"", mail)]

    def receive(
        self, client_id: int, parts: Sequence[Part], vectors: Sequence[bytes] = ()
    ) -> str | None:
        """Takes what a client answered, and returns why it has dropped out, or None."""
        own = [part for part in parts if part.session_id == self.session.session_id]
        mail = [data for part in own for data in part.mail]
        try:
            for data in (*mail, *vectors):
                self._server.receive(client_id, data)
        except RemoteProtocolError as error:
            return str(error)
        if client_id in self._server.waiting_for:
            return f"nothing for stage {self.stage}"
        return None

    def close(self) -> FedSecureError | None:
        """Closes the stage, and returns why it cannot be closed, or None."""
        try:
            self._outbox = self._server.advance()
        except FedSecureError as error:
            return error
        return None

    def serves(self, client_ids: Collection[int], spec: TreeSpec, terms: Terms) -> bool:
        """Returns whether all these clients can go on at once to such masked inputs."""
        return (
            self.stage == Stage.MASKED_INPUT
            and (self.session.spec, self.terms) == (spec, terms)
            and set(client_ids) <= set(self.clients)
            and len(client_ids) >= self.session.survivors
        )

    def result(self) -> Aggregate:
        """Returns the sum of a finished session."""
        return self._server.result()

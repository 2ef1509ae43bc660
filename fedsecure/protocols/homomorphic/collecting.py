"""What both servers of encrypted sums do: collect signed inputs, multiply them, have them read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from fedsecure import wire
from fedsecure.errors import (
    CryptoError,
    EncodingError,
    LocalProtocolError,
    RemoteProtocolError,
    ThresholdError,
)
from fedsecure.protocols.base import Aggregate
from fedsecure.protocols.homomorphic import saved, schedule
from fedsecure.protocols.homomorphic.contribution import Arrival
from fedsecure.protocols.homomorphic.messages import Audit, Kind, size_limits
from fedsecure.protocols.homomorphic.party import Party
from fedsecure.protocols.homomorphic.states import Act, Role, Stage
from fedsecure.protocols.noise import release
from fedsecure.protocols.party import restated
from fedsecure.protocols.session import Session, party_name
from fedsecure.protocols.vectors import decode, mean_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from numpy.typing import NDArray

    from fedsecure.paillier import PublicKey
    from fedsecure.paillier.rows import Product

    Products = Callable[[PublicKey, int], Product]

__all__ = ["CollectingServer", "same_session"]


class CollectingServer(Party, ABC):
    """Collects signed contributions, relays them to who decrypts, and collects the answers.

    Contributions are kept as they came until the sum is known, since whoever decrypts audits them
    all: the server's memory grows with the number of clients.
    """

    role = Role.SERVER

    def __init__(
        self, session: Session, key: PublicKey, products: Products, partial: int = 0
    ) -> None:
        super().__init__(session, key, Stage.ENCRYPTED_INPUT)
        self._products = products
        self._limits = size_limits(session, self._layout, partial)
        self._ctx = schedule.context(session)
        self._arrivals: dict[int, Arrival] = {}
        self._messages: dict[int, list[bytes]] = {}
        self._digests: dict[int, bytes] = {}
        self._answers: list[tuple[int, bytes]] = []
        self._contributors: tuple[int, ...] = ()
        self._product: NDArray[Any] | None = None
        self._result: Aggregate | None = None

    @property
    def ready(self) -> bool:
        """Whether enough parties have answered for `advance` to succeed."""
        return not self.finished and self._lack() is None

    @property
    def waiting_for(self) -> frozenset[int]:
        """The parties whose messages of this stage are not complete yet."""
        if self._stage is Stage.ENCRYPTED_INPUT:
            return frozenset(self._session.client_ids).difference(self._digests)
        if self._stage is Stage.DECRYPTION:
            return self._asked.difference(self._answered)
        return frozenset()

    def receive(self, client_id: int, data: bytes) -> None:
        """Takes one message.

        Args:
            client_id: Whom the transport says it is from; the message must say the same.
            data: The message.

        Raises:
            CheaterDetected: No honest party sends this: it is of another session or sender, holds a
                number that is no ciphertext, or a signature or proof that is wrong. Nothing has
                changed.
            RemoteProtocolError: Malformed, out of place, or a second one. Nothing has changed.
        """
        try:
            self._take(client_id, data)
        except RemoteProtocolError as error:
            reason = f"message of {_called(client_id)} in stage {self._stage} refused: {error}"
            raise restated(error, reason) from None

    def advance(self) -> dict[int, list[bytes]]:
        """Closes the stage.

        Returns:
            The messages for each party that is to decrypt; empty after the last stage.

        Raises:
            ThresholdError: Too few have answered. Nothing has changed and nothing is revealed.
            RemoteProtocolError: The sum is none of honest clients; the session is over.
            LocalProtocolError: The session is over.
        """
        following = self._following(Act.ADVANCE)
        lack = self._lack()
        if lack is not None:
            raise ThresholdError(
                f"{lack} in stage {self._stage}: nothing is revealed; wait for more, or give this "
                "session up",
                may_be_known=self._begun,
            )
        if self._stage is Stage.DECRYPTION:
            self._finish()
        else:
            self._multiply()
        self._stage = following
        return self.replies()

    def replies(self) -> dict[int, list[bytes]]:
        """Returns again, to the byte, what the last `advance` returned."""
        if self._stage is not Stage.DECRYPTION or self._product is None:
            return {}
        digest = schedule.product_digest(self._ctx, self._product.reshape(-1).data)
        body = wire.encode_control(Audit(self._contributors, digest))
        relayed = [message for name in self._contributors for message in self._messages[name]]
        relayed.append(self._session.seal(Kind.AUDIT, wire.SERVER, body))
        return {name: list(relayed) for name in sorted(self._asked)}

    def result(self) -> Aggregate:
        """Returns what the session revealed.

        Raises:
            LocalProtocolError: The session has not finished.
        """
        if self._result is None:
            raise LocalProtocolError(f"there is no result: this server is in stage {self._stage}")
        return self._result

    def to_bytes(self) -> bytes:
        """Returns all of this server; nothing in it can be read without the key.

        Write it to safe storage before the messages that `advance` returned are sent.
        """
        if self.finished:
            raise LocalProtocolError("this server is over: keep its result instead")
        inputs = [(name, data) for name, messages in self._messages.items() for data in messages]
        state = saved.ServerState(
            session=self._session.to_bytes(),
            stage=self._stage,
            inputs=tuple(saved.Received(name, len(data)) for name, data in inputs),
            answers=tuple(saved.Received(name, len(data)) for name, data in self._answers),
        )
        return saved.store(state, [memoryview(data) for _, data in [*inputs, *self._answers]])

    def _restore(self, state: saved.ServerState, messages: memoryview) -> Self:
        """Takes all messages again, as they came."""
        at = 0
        for received in (state.inputs, state.answers):
            for entry in received:
                self.receive(entry.client_id, bytes(messages[at : at + entry.size]))
                at += entry.size
            if self._stage is Stage.ENCRYPTED_INPUT and state.stage == Stage.DECRYPTION:
                self.advance()
        if at != len(messages) or self._stage != state.stage:
            raise RemoteProtocolError("other messages than were kept")
        return self

    def __repr__(self) -> str:
        return f"<{type(self).__name__} in stage {self._stage}>"

    @property
    @abstractmethod
    def _asked(self) -> frozenset[int]:
        """Who is to decrypt."""

    @property
    @abstractmethod
    def _answered(self) -> frozenset[int]:
        """Who of them has."""

    @property
    def _begun(self) -> bool:
        """Whether something that reveals the sum has come."""
        return bool(self._answered)

    @abstractmethod
    def _take_answer(self, client_id: int, body: memoryview) -> None:
        """Takes one answer of who decrypts, or refuses it and is as it was."""

    @abstractmethod
    def _total(self) -> NDArray[Any]:
        """The sum in the ring, from the answers."""

    def _lack(self) -> str | None:
        if self._stage is not Stage.ENCRYPTED_INPUT:
            return None
        count, least = len(self._digests), self._session.survivors
        if count >= least:
            return None
        return f"{count} of {len(self._session.client_ids)} clients have contributed, {least} must,"

    def _take(self, client_id: int, data: bytes) -> None:
        envelope = self._session.open(data, client_id, self._limits)
        kind = Kind(envelope.kind)
        self._following(kind)
        if self._stage is Stage.DECRYPTION:
            if client_id not in self._asked:
                raise RemoteProtocolError("this party decrypts nothing in this session")
            if client_id in self._answered:
                raise RemoteProtocolError("this party has answered")
            self._take_answer(client_id, envelope.body)
            self._answers.append((client_id, bytes(data)))
            return
        if client_id not in self._session.client_ids:
            raise RemoteProtocolError("this client was not invited")
        if client_id in self._digests:
            raise RemoteProtocolError("this client has contributed; its first word counts")
        self._take_input(kind, client_id, bytes(data), envelope.body)

    def _take_input(self, kind: Kind, client_id: int, data: bytes, body: memoryview) -> None:
        arrival = self._arrivals.get(client_id)
        if kind is Kind.CONTRIBUTION:
            if arrival is None:
                raise RemoteProtocolError("a contribution without ciphertexts")
            self._digests[client_id] = arrival.close(body, client_id)
            del self._arrivals[client_id]
            self._messages[client_id].append(data)
            return
        if arrival is None or self._layout.index_of(body) == 0:  # an upload may begin again
            if arrival is not None and data == self._messages[client_id][0]:
                raise RemoteProtocolError("this piece came before")  # and what followed it counts
            arrival = Arrival(self._session, self._layout, client_id)
            arrival.take(body, client_id)
            self._arrivals[client_id], self._messages[client_id] = arrival, [data]
            return
        arrival.take(body, client_id)
        self._messages[client_id].append(data)

    def _multiply(self) -> None:
        self._contributors = tuple(sorted(self._digests))
        product = self._products(self._layout.packing.public, self._layout.num_rows)
        for name in self._contributors:
            for index, message in enumerate(self._messages[name][:-1]):
                body = memoryview(message)[wire.HEADER_SIZE :]
                first = index * self._layout.rows
                product.multiply(self._layout.read(body, index), first=first)
        self._product = product.rows()
        self._arrivals.clear()
        self._messages = {name: self._messages[name] for name in self._contributors}

    def _finish(self) -> None:
        session = self._session
        try:
            total = decode(session, self._total(), len(self._contributors))
            mean = mean_of(session, total)
        except (RemoteProtocolError, CryptoError, ThresholdError, EncodingError):
            self._abort()
            raise
        self._result = Aggregate(
            mean=mean,
            total_weight=total.total_weight,
            contributors=self._contributors,
            dropouts=tuple(sorted(set(session.client_ids).difference(self._contributors))),
            clipped=total.clipped,
            privacy=release(session, len(self._contributors), total),
            adversary="malicious",
            transcript=schedule.transcript(self._ctx, self._digests),
        )
        self._messages.clear()
        self._answers.clear()


def same_session(session: Session | None, state: saved.ServerState) -> Session:
    """Returns the session of a saved server, as it was made if that is given.

    Raises:
        LocalProtocolError: The bytes are of another session's server.
    """
    if session is not None and session.to_bytes() != state.session:
        raise LocalProtocolError("these are the bytes of another session's server")
    return session or Session.from_bytes(state.session)


def _called(client_id: int) -> str:
    return "the key holder" if client_id == wire.KEY_HOLDER else party_name(client_id)

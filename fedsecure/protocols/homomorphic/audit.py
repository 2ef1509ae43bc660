"""Before anything is decrypted: who holds a key, or a share of one, adds up for itself.

Nothing is decrypted but the product of contributions that enough different clients have signed for
this session: a server that asks for one client's value asks for what no honest party gives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fedsecure import wire
from fedsecure.errors import CheaterDetected, RemoteProtocolError
from fedsecure.paillier import RunningProduct
from fedsecure.protocols.homomorphic import schedule
from fedsecure.protocols.homomorphic.contribution import Arrival
from fedsecure.protocols.homomorphic.messages import Audit, Kind, Layout, read_audit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from fedsecure.protocols.session import Session

__all__ = ["Auditor"]


class Auditor:
    """Takes relayed contributions, one client after the other, and multiplies them up.

    It holds one product, whatever the number of clients, and takes memory for it as ciphertexts
    come, not for what a session says. Every refusal blames the server, which has checked the same
    before it relayed anything.

    Args:
        session: The session; at least `session.survivors` clients must have signed.
        layout: That of its ciphertexts.
    """

    def __init__(self, session: Session, layout: Layout) -> None:
        self._session, self._layout = session, layout
        self._products: list[RunningProduct] = []  # one for each piece
        self._digests: dict[int, bytes] = {}
        self._arrival: tuple[int, Arrival] | None = None

    @property
    def between(self) -> bool:
        """Whether no client's contribution is half-way."""
        return self._arrival is None

    @property
    def digests(self) -> dict[int, bytes]:
        """Of the contributions in the product, by client."""
        return dict(self._digests)

    def take(self, kind: Kind, client_id: int, body: memoryview) -> None:
        """Takes one message of a client as the server relays it.

        Raises:
            CheaterDetected: Out of turn, of a client that was there before, or signed wrongly.
            RemoteProtocolError: Malformed.
        """
        if client_id in self._digests:
            raise CheaterDetected(f"client {client_id} was relayed before", wire.SERVER)
        fresh = client_id, Arrival(self._session, self._layout, client_id)
        current, arrival = self._arrival or fresh
        if current != client_id:
            raise CheaterDetected(
                f"client {client_id} was relayed in the middle of client {current}", wire.SERVER
            )
        if kind is Kind.CONTRIBUTION:
            self._digests[client_id] = arrival.close(body, wire.SERVER)
            self._arrival = None
            return
        index = arrival.next_piece
        self._multiply(index, arrival.take(body, wire.SERVER))
        self._arrival = client_id, arrival

    def finish(self, body: memoryview) -> NDArray[Any]:
        """Returns the product, which may be decrypted.

        Raises:
            CheaterDetected: It is not the product of the clients that the server names, or of too
                few.
            RemoteProtocolError: Malformed.
        """
        audit: Audit = read_audit(body)
        if not self.between or audit.contributors != tuple(sorted(self._digests)):
            raise CheaterDetected(
                "the clients to be decrypted are not those that were relayed", wire.SERVER
            )
        least = self._session.survivors
        if len(self._digests) < least:
            raise CheaterDetected(
                f"the sum of {len(self._digests)} clients was to be decrypted; this session "
                f"decrypts sums of {least} or more",
                wire.SERVER,
            )
        rows = np.concatenate([product.rows() for product in self._products])
        ctx = schedule.context(self._session)
        if schedule.product_digest(ctx, rows.reshape(-1).data) != audit.digest:
            raise CheaterDetected("the server has another product of the same inputs", wire.SERVER)
        return rows

    def save(self) -> tuple[bytes, dict[int, bytes]]:
        """Returns the product so far and the digests of what is in it."""
        return b"".join([part.rows().tobytes() for part in self._products]), self.digests

    def restore(self, product: memoryview, digests: Iterable[tuple[int, bytes]]) -> None:
        """Takes the place of an auditor that was saved between two clients.

        Raises:
            RemoteProtocolError: The bytes are no product of this session.
        """
        rows = self._layout.rows_from(product)
        for index in range(self._layout.num_pieces):
            start, stop = self._layout.rows_of(index)
            self._multiply(index, rows[start:stop])
        self._digests = dict(digests)
        if any(name not in self._session.client_ids for name in self._digests):
            raise RemoteProtocolError("a client that is not invited")

    def _multiply(self, index: int, rows: NDArray[Any]) -> None:
        if index == len(self._products):
            self._products.append(RunningProduct(self._layout.packing.public, len(rows)))
        self._products[index].multiply(rows)

"""The server of an encrypted sum: it multiplies what it cannot read, and has the product read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fedsecure import wire
from fedsecure.errors import CheaterDetected, LocalProtocolError, RemoteProtocolError
from fedsecure.paillier import RunningProduct
from fedsecure.paillier.threshold import PartialDecryption, interpolate_rows, verify_partial
from fedsecure.protocols.homomorphic import saved
from fedsecure.protocols.homomorphic.collecting import CollectingServer, same_session
from fedsecure.protocols.homomorphic.messages import Kind, size_limits
from fedsecure.protocols.homomorphic.states import Stage
from fedsecure.protocols.vectors import VectorSum

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from fedsecure.paillier import PublicKey
    from fedsecure.paillier.threshold import ThresholdPublic
    from fedsecure.protocols.homomorphic.collecting import Products
    from fedsecure.protocols.session import Session

__all__ = ["PaillierServer", "ThresholdPaillierServer"]

_PARTIAL_HEADER = 1 << 12


class PaillierServer(CollectingServer):
    """The server of an encrypted sum with one key holder; made by `PaillierSum.server`.

    Stages: ENCRYPTED_INPUT, in which clients contribute, and DECRYPTION, in which the party
    `fedsecure.wire.KEY_HOLDER` is relayed all of it and answers with the sum.

    Args:
        session: The session, as all parties have it.
        key: The public key.
        products: Makes what ciphertexts are multiplied in.
    """

    def __init__(
        self, session: Session, key: PublicKey, *, products: Products = RunningProduct
    ) -> None:
        super().__init__(session, key, products)
        self._vectors: VectorSum | None = None  # memory for it is taken with the first answer
        self._whole = False

    @classmethod
    def from_bytes(
        cls, data: bytes, key: PublicKey, session: Session | None = None
    ) -> PaillierServer:
        """Returns the server that `to_bytes` wrote, where it stood.

        Args:
            data: Bytes from this library.
            key: The public key.
            session: The session as it was made, for a mean with its containers.

        Raises:
            LocalProtocolError: Not the bytes of a server, or those of another session.
        """

        def restore(state: saved.ServerState, messages: memoryview) -> PaillierServer:
            server = cls(same_session(session, state), key)
            return server._restore(state, messages)

        return saved.load(saved.ServerState, data, restore)

    @property
    def _asked(self) -> frozenset[int]:
        return frozenset((wire.KEY_HOLDER,))

    @property
    def _answered(self) -> frozenset[int]:
        return self._asked if self._whole else frozenset()

    @property
    def _begun(self) -> bool:
        return self._vectors is not None

    def _lack(self) -> str | None:
        if self._stage is Stage.DECRYPTION and not self._whole:
            return "the key holder has not sent the sum"
        return super()._lack()

    def _take_answer(self, client_id: int, body: memoryview) -> None:
        vectors = self._vectors or VectorSum(self._session)
        self._whole = vectors.add(client_id, body)
        self._vectors = vectors

    def _total(self) -> NDArray[Any]:
        if self._vectors is None:
            raise LocalProtocolError("there is no sum yet")
        return self._vectors.total


class ThresholdPaillierServer(CollectingServer):
    """The server of an encrypted sum whose key is shared; made by `ThresholdPaillierSum.server`.

    Stages: ENCRYPTED_INPUT, in which clients contribute, and DECRYPTION, in which those of them
    that hold shares are relayed all of it; the answers of t give the sum. A wrong answer names its
    sender, and the others go on.

    Args:
        session: The session, as all parties have it.
        public: The dealing.
        holders: Index of the share that each client holds.
        products: Makes what ciphertexts are multiplied in.
    """

    def __init__(
        self,
        session: Session,
        public: ThresholdPublic,
        holders: Mapping[int, int],
        *,
        products: Products = RunningProduct,
    ) -> None:
        super().__init__(session, public.key, products)
        rows = self._layout.num_rows * self._layout.row_bytes
        proof = _PARTIAL_HEADER + 4 * self._layout.row_bytes
        self._limits = size_limits(session, self._layout, rows + proof)
        del self._limits[Kind.DECRYPTED_SUM]  # nobody here says that
        self._public = public
        self._holders = dict(holders)
        self._partials: dict[int, PartialDecryption] = {}

    @classmethod
    def from_bytes(
        cls,
        data: bytes,
        public: ThresholdPublic,
        holders: Mapping[int, int],
        session: Session | None = None,
    ) -> ThresholdPaillierServer:
        """Returns the server that `to_bytes` wrote, where it stood.

        Args:
            data: Bytes from this library.
            public: The dealing.
            holders: Index of the share that each client holds.
            session: The session as it was made, for a mean with its containers.

        Raises:
            LocalProtocolError: Not the bytes of a server, or those of another session.
        """

        def restore(state: saved.ServerState, messages: memoryview) -> ThresholdPaillierServer:
            server = cls(same_session(session, state), public, holders)
            return server._restore(state, messages)

        return saved.load(saved.ServerState, data, restore)

    @property
    def _asked(self) -> frozenset[int]:
        return frozenset(name for name in self._contributors if name in self._holders)

    @property
    def _answered(self) -> frozenset[int]:
        return frozenset(self._partials)

    def _lack(self) -> str | None:
        here = self._digests if self._stage is Stage.ENCRYPTED_INPUT else self._partials
        count, least = sum(name in self._holders for name in here), self._public.threshold
        if count < least:
            return f"{count} holders of shares have answered, {least} must,"
        return super()._lack()

    def _take_answer(self, client_id: int, body: memoryview) -> None:
        partial = PartialDecryption.from_bytes(bytes(body), self._public)
        if partial.index != self._holders[client_id]:
            raise CheaterDetected(f"share {partial.index} is not this client's", client_id)
        if self._product is None or len(partial.rows) != len(self._product):
            raise RemoteProtocolError(f"a partial decryption of {len(partial.rows)} ciphertexts")
        try:
            verify_partial(self._public, self._product, partial, self._ctx)
        except CheaterDetected as error:
            raise CheaterDetected(str(error), client_id) from None
        self._partials[client_id] = partial

    def _total(self) -> NDArray[Any]:
        partials = list(self._partials.values())[: self._public.threshold]
        plaintexts = interpolate_rows(self._public, partials)
        layout = self._session.layout
        return self._layout.packing.unpack(plaintexts, layout.length, layout.dtype)

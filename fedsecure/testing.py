"""For tests of programs that use fedsecure: sessions with drop-outs, a sum that hides nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from fedsecure.aggregate import Drop, play, run_session
from fedsecure.encoding import FixedPoint
from fedsecure.errors import LocalProtocolError, RemoteProtocolError, ThresholdError
from fedsecure.primitives import entropy, masks
from fedsecure.protocols import session as sessions
from fedsecure.protocols.base import Aggregate
from fedsecure.protocols.masking.states import Stage
from fedsecure.protocols.noise import certain, check_privacy, release
from fedsecure.protocols.session import Session
from fedsecure.protocols.vectors import (
    Input,
    Upload,
    VectorSum,
    contribute,
    decode,
    mean_of,
    piece_limit,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fedsecure.privacy.mechanisms import VectorMechanism
    from fedsecure.protocols.base import Client
    from fedsecure.pytree import PyTree, TreeSpec

__all__ = ["Drop", "PlaintextSum", "play", "run_session"]

_DEFAULT_ENCODING = FixedPoint()
_TRUST = "the server, which sees every update with nothing but the noise of its own client"
_NO_SUITE = 0
_PLAIN_INPUT = 64


@dataclass(frozen=True)
class PlaintextSum:
    """INSECURE: a protocol that protects NOTHING. The server reads every client's update.

    For tests only: it has the parties, the encoding and the vector messages of a real protocol and
    neither masks nor keys, so it says what the sum must be and what the masking costs. Its one
    stage is called MASKED_INPUT like the one it stands in for, though nothing is masked. Its
    messages carry suite 0, which no real party takes.

    Args:
        chunk: Ring elements in one message.
        min_inputs: Least number of inputs in a sum; under privacy, their noise is what counts.
    """

    name: ClassVar[str] = "insecure-plaintext-sum"

    chunk: int = 1 << 20
    min_inputs: int = 1

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
        """Returns a session; see `PairwiseMasking.session`.

        Nobody colludes here: under privacy there are `min_inputs` certain shares of the noise. But
        the server sees each update with its own share only.

        Raises:
            ThresholdError: Fewer clients than `min_inputs`.
        """
        ids = sessions.checked_ids(client_ids)
        return Session(
            protocol=self.name,
            session_id=sessions.fresh_session_id() if session_id is None else session_id,
            round=round,
            client_ids=ids,
            threshold=1,
            survivors=self.min_inputs,
            spec=spec,
            encoding=encoding,
            weighted=weighted,
            model_digest=sessions.NO_MODEL if model_digest is None else model_digest,
            chunk=self.chunk,
            suite=_NO_SUITE,
            privacy=privacy,
            noise_shares=self.noise_shares(len(ids), privacy),
        )

    def client(
        self,
        session: Session,
        client_id: int,
        update: PyTree = None,
        weight: float | None = None,
        *,
        privacy: VectorMechanism | None = None,
    ) -> _PlainClient:
        """Returns a client that sends its update in the clear."""
        if session.protocol != self.name:
            raise LocalProtocolError(f"this session is of {session.protocol}, not {self.name}")
        check_privacy(session, privacy, 0)
        return _PlainClient(session, client_id, update, weight)

    def noise_shares(self, num_clients: int, privacy: VectorMechanism | None) -> int:
        """Returns how many shares of a mechanism's noise are certain: `min_inputs`.

        Raises:
            ThresholdError: Fewer clients than that.
        """
        if 0 < num_clients < self.min_inputs:
            raise ThresholdError(
                f"{num_clients} clients are fewer than min_inputs={self.min_inputs}"
            )
        return certain(privacy, self.min_inputs, 0)

    def helpers(self, session: Session) -> Mapping[int, Client]:
        """Returns no parties beside clients and server."""
        del session
        return {}

    def for_one_process(self, client_ids: Iterable[int]) -> PlaintextSum:
        """Returns itself: its parties need nothing to begin with."""
        del client_ids
        return self

    def server(self, session: Session) -> _PlainServer:
        """Returns a server that sees every update."""
        if session.protocol != self.name:
            raise LocalProtocolError(f"this session is of {session.protocol}, not {self.name}")
        return _PlainServer(session)


class _PlainClient:
    def __init__(
        self, session: Session, client_id: int, update: PyTree, weight: float | None
    ) -> None:
        if client_id not in session.client_ids:
            raise LocalProtocolError(f"client {client_id!r} is not invited to this session")
        self._session = session
        self.client_id = client_id
        self.stage = Stage.MASKED_INPUT
        self._contribution: Input | None = None
        if update is not None or weight is not None:
            self.set_update(update, weight)

    @property
    def finished(self) -> bool:
        return self.stage is not Stage.MASKED_INPUT

    def start(self) -> Iterable[bytes]:
        if self._contribution is None or self.finished:
            raise LocalProtocolError("give this client its update first, and start it once")
        self.stage = Stage.FINISHED
        return Upload(
            self._session,
            self._contribution,
            kind=_PLAIN_INPUT,
            sender=self.client_id,
            masks=_no_masks,
            ended=self._contribution.wipe,
            failed=self._contribution.wipe,
        )

    def set_update(self, update: PyTree, weight: float | None = None) -> None:
        if self._contribution is not None:
            raise LocalProtocolError("this client has its update")
        self._contribution = contribute(
            self._session, update, weight, entropy.draw(self._session.prg.seed_bytes)
        )

    def receive(self, data: bytes) -> Iterable[bytes]:
        raise RemoteProtocolError(f"a client of this protocol takes no message ({len(data)} bytes)")

    def resume(self) -> Iterable[bytes]:
        return ()

    def to_bytes(self) -> bytes:
        raise LocalProtocolError("a plaintext client is not saved: it sends its update and is done")


class _PlainServer:
    def __init__(self, session: Session) -> None:
        self._session = session
        self._vectors = VectorSum(session)
        self._complete: set[int] = set()
        self._result: Aggregate | None = None
        self.stage = Stage.MASKED_INPUT

    @property
    def finished(self) -> bool:
        return self.stage is not Stage.MASKED_INPUT

    @property
    def ready(self) -> bool:
        return not self.finished and len(self._complete) >= self._session.survivors

    @property
    def waiting_for(self) -> frozenset[int]:
        return frozenset(() if self.finished else self._session.client_ids) - self._complete

    def receive(self, client_id: int, data: bytes) -> None:
        limits = {_PLAIN_INPUT: piece_limit(self._session)}
        envelope = self._session.open(data, client_id, limits)
        if client_id not in self.waiting_for:
            raise RemoteProtocolError(f"no input is due from client {client_id}")
        if self._vectors.add(client_id, envelope.body):
            self._complete.add(client_id)

    def advance(self) -> dict[int, list[bytes]]:
        if self.finished:
            raise LocalProtocolError("this session is over")
        if not self.ready:
            raise ThresholdError(
                f"{len(self._complete)} clients have sent their inputs, "
                f"{self._session.survivors} must"
            )
        session, total = self._session, self._vectors.total
        masks.reduce(total, session.layout.modulus_bits)
        decoded = decode(session, total, len(self._complete))
        self._result = Aggregate(
            mean=mean_of(session, decoded),
            total_weight=decoded.total_weight,
            contributors=tuple(sorted(self._complete)),
            dropouts=tuple(sorted(set(session.client_ids) - self._complete)),
            clipped=decoded.clipped,
            privacy=release(session, len(self._complete), decoded, trust=_TRUST),
        )
        self.stage = Stage.FINISHED
        return {}

    def replies(self) -> dict[int, list[bytes]]:
        return {}

    def to_bytes(self) -> bytes:
        raise LocalProtocolError("a plaintext server is not saved: it is there to compare with")

    def result(self) -> Aggregate:
        if self._result is None:
            raise LocalProtocolError("this session has not finished")
        return self._result


def _no_masks() -> masks.MaskSet:
    return masks.MaskSet((), ())

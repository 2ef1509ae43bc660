"""`PairwiseMasking`: the policy of a masking session, and what makes its sessions and parties."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from fedsecure.errors import LocalProtocolError, ThresholdError
from fedsecure.primitives.keys import SUITE
from fedsecure.protocols import base
from fedsecure.protocols.base import Session
from fedsecure.protocols.masking.client import MaskingClient
from fedsecure.protocols.masking.server import MaskingServer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fedsecure.encoding import FixedPoint
    from fedsecure.pytree import PyTree, TreeSpec

__all__ = ["PairwiseMasking"]


@dataclass(frozen=True)
class PairwiseMasking:
    """Secure aggregation by double masking: the server learns the sum of the survivors' updates.

    Bonawitz, Ivanov, Kreuter, Marcedone, McMahan, Patel, Ramage, Segal, Seth: "Practical Secure
    Aggregation for Privacy-Preserving Machine Learning" (CCS 2017), the protocol of figure 4 with
    the complete graph, against a server that follows the protocol and at most `threshold` - 2
    clients that collude with it (one more could subtract themselves down to a single update).
    Clients may vanish at any point as long as `threshold` of them stay; nobody is waited for, and a
    vanished client's update is not in the sum.

    Every party makes this object for itself. A client compares the session it is invited to with
    its own object and refuses one with a lower threshold.

    Args:
        threshold: t, the least number of survivors, and of shares that give a secret back. None:
            floor(2n/3) + 1. At least 3, more than half of the n invited clients, at most n.
        chunk: Ring elements in one message of a masked input; a client's memory beyond its update.

    Raises:
        ThresholdError: A threshold below 3.
        LocalProtocolError: A value of the wrong type or out of range.
    """

    name: ClassVar[str] = "pairwise-masking/semi-honest"

    threshold: int | None = None
    chunk: int = 1 << 20

    def __post_init__(self) -> None:
        if type(self.chunk) is not int or not 1 <= self.chunk <= base.MAX_CHUNK:
            raise LocalProtocolError(
                f"chunk is {self.chunk!r}; use a number of elements from 1 to {base.MAX_CHUNK}"
            )
        if self.threshold is None:
            return
        if type(self.threshold) is not int:
            raise LocalProtocolError(f"threshold is {self.threshold!r}; use an integer or None")
        if self.threshold < 3:
            raise ThresholdError(
                f"threshold {self.threshold} is below 3: in a sum of two, each party learns the "
                "other's update by subtracting its own"
            )

    def threshold_for(self, num_clients: int) -> int:
        """Returns t for `num_clients` invited clients.

        Raises:
            ThresholdError: Fewer than 3 clients, or a threshold that cannot hold for so many.
        """
        if num_clients < 3:
            raise ThresholdError(
                f"{num_clients} clients are too few: with two parties each can subtract its own "
                "update from the sum and has the other's, and no protocol can hide it; invite at "
                "least 3"
            )
        threshold = 2 * num_clients // 3 + 1 if self.threshold is None else self.threshold
        least = max(3, num_clients // 2 + 1)
        if threshold < least:
            raise ThresholdError(
                f"threshold {threshold} is too low for {num_clients} clients: with half of them or "
                f"fewer, two groups could be asked for both kinds of share of one client; use at "
                f"least {least}"
            )
        if threshold > num_clients:
            raise ThresholdError(
                f"threshold {threshold} can never be reached by {num_clients} clients; use at most "
                f"{num_clients}"
            )
        return threshold

    def session(
        self,
        *,
        client_ids: Iterable[int],
        spec: TreeSpec,
        encoding: FixedPoint,
        weighted: bool = False,
        round: int = 0,  # noqa: A002  # the glossary's word, given by name only
        model_digest: bytes | None = None,
        session_id: bytes | None = None,
    ) -> Session:
        """Returns the public description of one run, to be sent to every client.

        Args:
            client_ids: The clients to invite, in any order; each below 2^32 - 1.
            spec: The tree of an update, `TreeSpec.of(update)`.
            encoding: How values become ring elements.
            weighted: Whether every update carries a weight, which stays secret.
            round: The caller's count of rounds.
            model_digest: 32 bytes that name the model the clients train from: clients that hold
                different models do not agree on masks, and the server learns nothing from them.
            session_id: 16 bytes that no other run has; None draws them.

        Raises:
            ThresholdError: See `threshold_for`.
            EncodingError: The ring is too narrow for so many clients.
            LocalProtocolError: Another value is out of range.
        """
        ids = base.checked_ids(client_ids)
        return Session(
            protocol=self.name,
            session_id=base.fresh_session_id() if session_id is None else session_id,
            round=round,
            client_ids=ids,
            threshold=self.threshold_for(len(ids)),
            spec=spec,
            encoding=encoding,
            weighted=weighted,
            model_digest=base.NO_MODEL if model_digest is None else model_digest,
            chunk=self.chunk,
            suite=SUITE,
        )

    def client(
        self,
        session: Session,
        client_id: int,
        update: PyTree = None,
        weight: float | None = None,
    ) -> MaskingClient:
        """Returns one client of a session.

        Args:
            session: The session; perhaps restored from the server's bytes.
            client_id: Which of the session's clients this is.
            update: The update to aggregate; None to give it later with `set_update`.
            weight: Its weight, if and only if the session is weighted.

        Raises:
            ThresholdError: The session's threshold is lower than this object's policy.
            LocalProtocolError: The session is of another protocol or has other parameters.
            EncodingError: The update or the weight cannot be encoded.
        """
        self._check(session)
        return MaskingClient(session, client_id, update, weight)

    def server(self, session: Session) -> MaskingServer:
        """Returns the server of a session.

        Raises:
            ThresholdError: The session's threshold is lower than this object's policy.
            LocalProtocolError: The session is of another protocol or has other parameters.
        """
        self._check(session)
        return MaskingServer(session)

    def _check(self, session: Session) -> None:
        mine = (self.name, SUITE, self.chunk)
        theirs = (session.protocol, session.suite, session.chunk)
        if mine != theirs:
            raise LocalProtocolError(
                f"the session has (protocol, suite, chunk) {theirs}, this policy has {mine}; give "
                "all parties the same protocol object"
            )
        least = self.threshold_for(len(session.client_ids))
        if session.threshold < least:
            raise ThresholdError(
                f"the session's threshold {session.threshold} is below the {least} that this "
                f"policy asks for with {len(session.client_ids)} clients"
            )

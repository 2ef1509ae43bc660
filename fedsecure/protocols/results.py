"""What a server makes of a sum that was revealed, the same for every protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fedsecure.errors import EncodingError
from fedsecure.protocols.base import Aggregate
from fedsecure.protocols.noise import release
from fedsecure.protocols.vectors import decode

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

    from fedsecure.protocols.session import Session

__all__ = ["result_of"]


def result_of(
    session: Session,
    total: NDArray[Any],
    contributors: Collection[int],
    *,
    adversary: str = "none",
    transcript: bytes = b"",
    trust: str = "",
) -> Aggregate:
    """Returns the result of a session.

    Whatever this raises, the sum has been read: it is not to be read a second time, since a
    server's own noise would be drawn anew.

    Args:
        session: The session.
        total: Ring elements of the sum, shape (layout.length,). Not changed.
        contributors: Ids of the clients in it.
        adversary: As in `Aggregate`.
        transcript: As in `Aggregate`.
        trust: As in `release`.

    Raises:
        RemoteProtocolError: It is no sum that honest clients can have.
        ThresholdError: A noisy sum of weights is no divisor.
        EncodingError: A leaf of the tree cannot hold its mean, with `may_be_known`.
    """
    present = frozenset(contributors)
    decoded = decode(session, total, len(present))
    try:
        mean = session.spec.unflatten(decoded.values)
    except EncodingError as error:
        raise EncodingError(f"{error}; the sum has been read", may_be_known=True) from error
    return Aggregate(
        mean=mean,
        total_weight=decoded.total_weight,
        contributors=tuple(sorted(present)),
        dropouts=tuple(sorted(set(session.client_ids) - present)),
        clipped=decoded.clipped,
        privacy=release(session, len(present), decoded, trust=trust),
        adversary=adversary,
        transcript=transcript,
    )

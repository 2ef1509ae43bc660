"""Every error that fedsecure raises on purpose.

All of them descend from `FedSecureError`, so one `except` clause catches whatever the package
refuses. A message says what was wrong, where, and what to do about it; it never contains a key, a
seed, a share or the values of an update (the one exception is the largest magnitude in an
`EncodingError`, which is raised inside the process that owns the update).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "BudgetError",
    "CheaterDetected",
    "CryptoError",
    "EncodingError",
    "FedSecureError",
    "LocalProtocolError",
    "RemoteProtocolError",
    "ShardError",
    "ThresholdError",
    "list_problems",
]

# More than this in one message hides the first ones.
_SHOWN_PROBLEMS = 5


class FedSecureError(Exception):
    """The root of all errors raised by fedsecure.

    Attributes:
        may_be_known: Whether a server that raises it, alone or together with corrupt clients, may
            have the sum. For a privacy accountant it was released.
    """

    def __init__(self, message: str = "", *, may_be_known: bool = False) -> None:
        super().__init__(message)
        self.may_be_known = may_be_known


class EncodingError(FedSecureError):
    """An update, tree, weight, clip or ring width that cannot be encoded exactly.

    Raised before anything has left the party: fix the update or the `FixedPoint` and try again.
    The one exception has `may_be_known`: a mean that a server has and its tree cannot hold.
    """


class LocalProtocolError(FedSecureError):
    """The caller used a party wrongly: wrong order, unknown client, bad configuration value."""


class RemoteProtocolError(FedSecureError):
    """Bytes from another party were malformed, out of place or inconsistent."""


class CheaterDetected(RemoteProtocolError):
    """A message that no honest party sends: a wrong share, a bad signature, a replay, a forgery.

    Whoever raises it is left as it was, and goes on without that message where enough other
    parties are honest. Keep the message as evidence; it shows who lied if the transport shows who
    sent it.

    Attributes:
        culprit: The client's id, or `fedsecure.wire.SERVER`.
    """

    def __init__(self, message: str, culprit: int) -> None:
        super().__init__(message)
        self.culprit = culprit

    def __reduce__(self) -> tuple[type[CheaterDetected], tuple[str, int]]:
        return type(self), (str(self), self.culprit)


class ThresholdError(FedSecureError):
    """Too few parties: fewer than three, a threshold that is too low, or one that was not reached.

    Also a sum that would single a client out (`ParticipationLog`), noise of which no share is
    certain, and a noisy sum of weights that is no divisor.

    Attributes:
        may_be_known: The sum was read, or clients had begun to give what reveals it, so that the
            server together with corrupt clients may have it. For a privacy accountant it was
            released. Where it is False, nothing about any update was revealed.
    """


class ShardError(FedSecureError):
    """A worker that holds a part of a sum died, was too late, or has not what the others have.

    The sum is lost: give the session up and run the round again. Nobody was shown any of it, but
    once clients have given shares of masks, it counts as released for a privacy accountant.
    """


class BudgetError(FedSecureError):
    """The privacy budget does not allow another release."""


class CryptoError(FedSecureError):
    """A cryptographic primitive refused its input: bad share, bad point, failed authentication."""


def list_problems(headline: str, problems: Sequence[str], remedy: str) -> str:
    """Returns one message for all problems of one kind, so that a caller mends them in one go.

    Args:
        headline: What was refused, for example `"this update cannot be encoded"`.
        problems: One clause per offending place; at least one.
        remedy: What the caller can do about it.
    """
    shown = "; ".join(problems[:_SHOWN_PROBLEMS])
    hidden = len(problems) - _SHOWN_PROBLEMS
    more = f"; and {hidden} more" if hidden > 0 else ""
    return f"{headline}: {shown}{more}. {remedy}"

"""Every error that fedsecure raises on purpose.

All of them descend from `FedSecureError`, so one `except` clause catches whatever the package refuses.
A message says what was wrong, where, and what to do about it; it never contains a key, a seed, a share
or the values of an update (the one exception is the largest magnitude in an `EncodingError`, which is
raised inside the process that owns the update).
"""

from __future__ import annotations

__all__ = [
    "BudgetError",
    "CheaterDetected",
    "CryptoError",
    "EncodingError",
    "FedSecureError",
    "LocalProtocolError",
    "RemoteProtocolError",
    "ThresholdError",
]


class FedSecureError(Exception):
    """The root of all errors raised by fedsecure."""


class EncodingError(FedSecureError):
    """An update, tree, weight, clip or ring width that cannot be encoded exactly.

    Raised before anything has left the party: fix the update or the `FixedPoint` and try again.
    """


class LocalProtocolError(FedSecureError):
    """The caller used a party wrongly: wrong order, unknown client, bad configuration value."""


class RemoteProtocolError(FedSecureError):
    """Bytes from another party were malformed, out of place or inconsistent."""


class CheaterDetected(RemoteProtocolError):
    """Another party is provably cheating, not merely broken: end the session, keep the evidence."""


class ThresholdError(FedSecureError):
    """Too few parties: fewer than three, a threshold that is too low, or one that was not reached.

    When a server raises it, nothing about any update has been revealed.
    """


class BudgetError(FedSecureError):
    """The privacy budget does not allow another release."""


class CryptoError(FedSecureError):
    """A cryptographic primitive refused its input: bad share, bad point, failed authentication."""

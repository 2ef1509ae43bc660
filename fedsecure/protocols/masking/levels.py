"""What a session's server may do, and what that means for its stages, signatures and thresholds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

from fedsecure.errors import LocalProtocolError
from fedsecure.protocols.masking.states import Flow
from fedsecure.protocols.signing import check_identity, check_signature, checked_identities, sign

if TYPE_CHECKING:
    from fedsecure.protocols.session import Session

__all__ = [
    "Adversary",
    "adversary_of",
    "check_identity",
    "check_signature",
    "checked_identities",
    "flow_of",
    "protocol_name",
    "sign",
]

Adversary = Literal["semi_honest", "semi_malicious", "malicious"]
"""What the server may do: follow the protocol; lie about who dropped out; anything."""

_PREFIX = "pairwise-masking/"
_BY_NAME = {
    _PREFIX + level.replace("_", "-"): level
    for level in ("semi_honest", "semi_malicious", "malicious")
}


def protocol_name(adversary: Adversary) -> str:
    """Returns how a session calls the protocol against this adversary."""
    return _PREFIX + adversary.replace("_", "-")


def adversary_of(session: Session) -> Adversary:
    """Returns the adversary that a session withstands.

    Raises:
        LocalProtocolError: The session is of another protocol, or its verify keys do not fit it.
    """
    level = _BY_NAME.get(session.protocol)
    if level is None:
        raise LocalProtocolError(f"the session is of {session.protocol!r}, not of pairwise masking")
    if bool(session.verify_keys) != (level == "malicious"):
        raise LocalProtocolError(
            f"a session of {session.protocol!r} with {len(session.verify_keys)} verify keys: there "
            "is one for each client against a malicious server, and none otherwise"
        )
    return cast("Adversary", level)


def flow_of(session: Session) -> Flow:
    """Returns the stages of a session: survivors are compared if and only if parties sign.

    Raises:
        LocalProtocolError: The session has no suite, and so nothing to mask with.
    """
    if session.suite == 0:
        raise LocalProtocolError("pairwise masking is of suite 1, 2 or 3, and this session of none")
    return Flow.FIVE_STAGES if session.verify_keys else Flow.FOUR_STAGES

"""The stages of an encrypted sum, and the one table of what may happen in each.

{role: {stage: {event: next}}}; an event is the kind of a message, or what the party's own caller
does. What has no entry is refused.
"""

from __future__ import annotations

from enum import Enum, StrEnum

from fedsecure.errors import LocalProtocolError, RemoteProtocolError
from fedsecure.protocols.homomorphic.messages import Kind

__all__ = ["TABLE", "Act", "Role", "Stage", "step"]


class Stage(StrEnum):
    """Where a party stands."""

    ENCRYPTED_INPUT = "ENCRYPTED_INPUT"
    DECRYPTION = "DECRYPTION"
    FINISHED = "FINISHED"
    ABORTED = "ABORTED"


class Role(StrEnum):
    """Who a party is."""

    CLIENT = "client"
    SHARE_HOLDER = "share holder"
    KEY_HOLDER = "key holder"
    SERVER = "server"


class Act(Enum):
    """What a party's caller does."""

    START = "start"
    ADVANCE = "advance"
    ABORT = "abort"


_RELAYED: dict[Kind | Act, Stage] = {
    Kind.ENCRYPTED_INPUT: Stage.DECRYPTION,
    Kind.CONTRIBUTION: Stage.DECRYPTION,
    Kind.AUDIT: Stage.FINISHED,
    Act.ABORT: Stage.ABORTED,
}

TABLE: dict[Role, dict[Stage, dict[Kind | Act, Stage]]] = {
    Role.CLIENT: {
        Stage.ENCRYPTED_INPUT: {Act.START: Stage.FINISHED, Act.ABORT: Stage.ABORTED},
        Stage.FINISHED: {Act.ABORT: Stage.ABORTED},
    },
    Role.SHARE_HOLDER: {
        Stage.ENCRYPTED_INPUT: {Act.START: Stage.DECRYPTION, Act.ABORT: Stage.ABORTED},
        Stage.DECRYPTION: _RELAYED,
        # Its own upload may still be drawn then, and fail.
        Stage.FINISHED: {Act.ABORT: Stage.ABORTED},
        Stage.ABORTED: {Act.ABORT: Stage.ABORTED},
    },
    Role.KEY_HOLDER: {Stage.DECRYPTION: {Act.START: Stage.DECRYPTION, **_RELAYED}},
    Role.SERVER: {
        Stage.ENCRYPTED_INPUT: {
            Kind.ENCRYPTED_INPUT: Stage.ENCRYPTED_INPUT,
            Kind.CONTRIBUTION: Stage.ENCRYPTED_INPUT,
            Act.ADVANCE: Stage.DECRYPTION,
        },
        Stage.DECRYPTION: {
            Kind.DECRYPTED_SUM: Stage.DECRYPTION,
            Kind.PARTIAL_DECRYPTION: Stage.DECRYPTION,
            Act.ADVANCE: Stage.FINISHED,
            Act.ABORT: Stage.ABORTED,
        },
    },
}


def step(role: Role, stage: Stage, event: Kind | Act) -> Stage:
    """Returns the stage after `event`.

    Raises:
        RemoteProtocolError: A message that is out of place.
        LocalProtocolError: The caller does what is not possible now.
    """
    following = TABLE[role].get(stage, {}).get(event)
    if following is not None:
        return following
    if isinstance(event, Kind):
        raise RemoteProtocolError(f"{event.name} is out of place for a {role} in stage {stage}")
    raise LocalProtocolError(f"a {role} in stage {stage} cannot {event.value}")

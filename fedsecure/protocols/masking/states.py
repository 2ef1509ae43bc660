"""The stages of a masking session, and the one table of what may happen in each.

Everything that decides whether a message is in place is in `TABLE`: {role: {stage: {event: next}}}.
An event is the kind of a message that arrives, or something the party's own caller does. What has
no entry is refused. The stages are those of Bonawitz et al. (CCS 2017), figure 4.
"""

from __future__ import annotations

from enum import Enum, StrEnum

from fedsecure.errors import LocalProtocolError, RemoteProtocolError
from fedsecure.protocols.masking.messages import Kind

__all__ = ["TABLE", "Act", "Role", "Stage", "step"]


class Role(StrEnum):
    """Which side of the protocol a party plays."""

    CLIENT = "client"
    SERVER = "server"


class Stage(StrEnum):
    """A client is in the stage it will answer next, the server in the one it collects."""

    ADVERTISE_KEYS = "ADVERTISE_KEYS"
    SHARE_KEYS = "SHARE_KEYS"
    MASKED_INPUT = "MASKED_INPUT"
    UNMASKING = "UNMASKING"
    FINISHED = "FINISHED"
    ABORTED = "ABORTED"


class Act(Enum):
    """What happens on this side: a call of the caller, or the end of trust in the other side."""

    START = "start"
    ADVANCE = "advance"
    ABORT = "abort"


TABLE: dict[Role, dict[Stage, dict[Kind | Act, Stage]]] = {
    Role.CLIENT: {
        Stage.ADVERTISE_KEYS: {Act.START: Stage.SHARE_KEYS, Act.ABORT: Stage.ABORTED},
        Stage.SHARE_KEYS: {Kind.ROSTER: Stage.MASKED_INPUT, Act.ABORT: Stage.ABORTED},
        Stage.MASKED_INPUT: {Kind.SHARE_DELIVERY: Stage.UNMASKING, Act.ABORT: Stage.ABORTED},
        Stage.UNMASKING: {Kind.UNMASK_REQUEST: Stage.FINISHED, Act.ABORT: Stage.ABORTED},
        Stage.FINISHED: {},
        Stage.ABORTED: {},
    },
    Role.SERVER: {
        Stage.ADVERTISE_KEYS: {
            Kind.ADVERTISE_KEYS: Stage.ADVERTISE_KEYS,
            Act.ADVANCE: Stage.SHARE_KEYS,
        },
        Stage.SHARE_KEYS: {
            Kind.SHARE_KEYS: Stage.SHARE_KEYS,
            Act.ADVANCE: Stage.MASKED_INPUT,
        },
        Stage.MASKED_INPUT: {
            Kind.MASKED_INPUT: Stage.MASKED_INPUT,
            Act.ADVANCE: Stage.UNMASKING,
        },
        Stage.UNMASKING: {
            Kind.UNMASK_SHARES: Stage.UNMASKING,
            Act.ADVANCE: Stage.FINISHED,
            Act.ABORT: Stage.ABORTED,
        },
        Stage.FINISHED: {},
        Stage.ABORTED: {},
    },
}


def step(role: Role, stage: Stage, event: Kind | Act) -> Stage:
    """Returns the stage after `event`.

    Raises:
        RemoteProtocolError: A message of this kind has no place in this stage.
        LocalProtocolError: The caller cannot do this in this stage.
    """
    following = TABLE[role][stage].get(event)
    if following is not None:
        return following
    if isinstance(event, Kind):
        raise RemoteProtocolError(f"a {event.name} message has no place in stage {stage}")
    raise LocalProtocolError(f"a {role} in stage {stage} cannot {event.value}")

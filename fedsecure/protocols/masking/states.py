"""The stages of a masking session, and the one table of what may happen in each.

Everything that decides whether a message is in place is in `TABLE`: {flow: {role: {stage: {event:
next}}}}. An event is the kind of a message that arrives, or something the party's own caller does.
What has no entry is refused. The stages are those of Bonawitz et al. (CCS 2017), figure 4.
"""

from __future__ import annotations

from enum import Enum, StrEnum

from fedsecure.errors import LocalProtocolError, RemoteProtocolError
from fedsecure.protocols.masking.messages import Kind

__all__ = ["TABLE", "Act", "Flow", "Role", "Stage", "step"]


class Flow(Enum):
    """How many stages a session has."""

    FOUR_STAGES = "four stages"
    FIVE_STAGES = "five stages, one to compare the survivors"


class Role(StrEnum):
    """Which side of the protocol a party plays."""

    CLIENT = "client"
    SERVER = "server"


class Stage(StrEnum):
    """A client is in the stage it will answer next, the server in the one it collects."""

    ADVERTISE_KEYS = "ADVERTISE_KEYS"
    SHARE_KEYS = "SHARE_KEYS"
    MASKED_INPUT = "MASKED_INPUT"
    CONSISTENCY_CHECK = "CONSISTENCY_CHECK"
    UNMASKING = "UNMASKING"
    FINISHED = "FINISHED"
    ABORTED = "ABORTED"


class Act(Enum):
    """What happens on this side: a call of the caller, or the end of trust in the other side."""

    START = "start"
    ADVANCE = "advance"
    ABORT = "abort"


_Moves = dict[Stage, dict[Kind | Act, Stage]]

_CLIENT_BEGINS: _Moves = {
    Stage.ADVERTISE_KEYS: {Act.START: Stage.SHARE_KEYS, Act.ABORT: Stage.ABORTED},
    Stage.SHARE_KEYS: {Kind.ROSTER: Stage.MASKED_INPUT, Act.ABORT: Stage.ABORTED},
}
_SERVER_BEGINS: _Moves = {
    Stage.ADVERTISE_KEYS: {
        Kind.ADVERTISE_KEYS: Stage.ADVERTISE_KEYS,
        Act.ADVANCE: Stage.SHARE_KEYS,
    },
    Stage.SHARE_KEYS: {
        Kind.SHARE_KEYS: Stage.SHARE_KEYS,
        Act.ADVANCE: Stage.MASKED_INPUT,
    },
}
_SERVER_UNMASKS: _Moves = {
    Stage.UNMASKING: {
        Kind.UNMASK_SHARES: Stage.UNMASKING,
        Act.ADVANCE: Stage.FINISHED,
        Act.ABORT: Stage.ABORTED,
    },
}
_ENDS: _Moves = {Stage.FINISHED: {}, Stage.ABORTED: {}}

TABLE: dict[Flow, dict[Role, _Moves]] = {
    Flow.FOUR_STAGES: {
        Role.CLIENT: {
            **_CLIENT_BEGINS,
            Stage.MASKED_INPUT: {Kind.SHARE_DELIVERY: Stage.UNMASKING, Act.ABORT: Stage.ABORTED},
            Stage.UNMASKING: {Kind.UNMASK_REQUEST: Stage.FINISHED, Act.ABORT: Stage.ABORTED},
            **_ENDS,
        },
        Role.SERVER: {
            **_SERVER_BEGINS,
            Stage.MASKED_INPUT: {
                Kind.MASKED_INPUT: Stage.MASKED_INPUT,
                Act.ADVANCE: Stage.UNMASKING,
            },
            **_SERVER_UNMASKS,
            **_ENDS,
        },
    },
    Flow.FIVE_STAGES: {
        Role.CLIENT: {
            **_CLIENT_BEGINS,
            Stage.MASKED_INPUT: {
                Kind.SHARE_DELIVERY: Stage.CONSISTENCY_CHECK,
                Act.ABORT: Stage.ABORTED,
            },
            Stage.CONSISTENCY_CHECK: {Kind.SURVIVORS: Stage.UNMASKING, Act.ABORT: Stage.ABORTED},
            Stage.UNMASKING: {Kind.CONFIRMATIONS: Stage.FINISHED, Act.ABORT: Stage.ABORTED},
            **_ENDS,
        },
        Role.SERVER: {
            **_SERVER_BEGINS,
            Stage.MASKED_INPUT: {
                Kind.MASKED_INPUT: Stage.MASKED_INPUT,
                Act.ADVANCE: Stage.CONSISTENCY_CHECK,
            },
            Stage.CONSISTENCY_CHECK: {
                Kind.CONFIRMATION: Stage.CONSISTENCY_CHECK,
                Act.ADVANCE: Stage.UNMASKING,
            },
            **_SERVER_UNMASKS,
            **_ENDS,
        },
    },
}


def step(flow: Flow, role: Role, stage: Stage, event: Kind | Act) -> Stage:
    """Returns the stage after `event`.

    Raises:
        RemoteProtocolError: A message of this kind has no place in this stage.
        LocalProtocolError: The caller cannot do this in this stage.
    """
    following = TABLE[flow][role].get(stage, {}).get(event)
    if following is not None:
        return following
    if isinstance(event, Kind):
        raise RemoteProtocolError(f"a {event.name} message has no place in stage {stage}")
    raise LocalProtocolError(f"a {role} in stage {stage} cannot {event.value}")

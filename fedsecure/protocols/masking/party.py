"""What client and server of a masking session have in common: one stage after the other, once."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, ClassVar, NoReturn

from fedsecure.errors import CheaterDetected, LocalProtocolError, RemoteProtocolError
from fedsecure.protocols.masking.levels import flow_of
from fedsecure.protocols.masking.states import Act, Role, Stage, step

if TYPE_CHECKING:
    from fedsecure.protocols.masking.messages import Kind
    from fedsecure.protocols.session import Session

__all__ = ["Party", "restated"]


class Party:
    """One party in one process: where it stands, and what keeps it from standing there twice.

    Args:
        session: The session.
    """

    role: ClassVar[Role]

    def __init__(self, session: Session) -> None:
        self._session = session
        self._flow = flow_of(session)
        self._stage = Stage.ADVERTISE_KEYS
        self._process = os.getpid()

    @property
    def stage(self) -> Stage:
        """The stage that a client answers next, or a server collects; FINISHED or ABORTED."""
        return self._stage

    @property
    def finished(self) -> bool:
        """Whether this party neither gives nor takes any further message."""
        return self._stage in (Stage.FINISHED, Stage.ABORTED)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise LocalProtocolError(
            f"a {self.role} is neither copied nor pickled: two of them could answer the same stage "
            "with different things; to move it, keep to_bytes() and forget the object"
        )

    def _following(self, event: Kind | Act) -> Stage:
        """Returns the stage after `event`, if it is possible here and now."""
        self._check_process()
        return step(self._flow, self.role, self._stage, event)

    def _check_process(self) -> None:
        if os.getpid() != self._process:
            raise LocalProtocolError(
                f"this {self.role} was made in another process: after a fork two of them could "
                "answer the same stage; to move it, use to_bytes() and from_bytes()"
            )


def restated(error: RemoteProtocolError, reason: str) -> RemoteProtocolError:
    """Returns the error with another text, which still names the culprit if there is one."""
    if isinstance(error, CheaterDetected):
        return CheaterDetected(reason, error.culprit)
    return RemoteProtocolError(reason)

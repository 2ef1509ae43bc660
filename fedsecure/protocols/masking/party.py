"""What client and server of a masking session have in common: one stage after the other, once."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from fedsecure.protocols.masking.levels import flow_of
from fedsecure.protocols.masking.states import Act, Role, Stage, step
from fedsecure.protocols.party import SingleParty, restated

if TYPE_CHECKING:
    from fedsecure.protocols.masking.messages import Kind
    from fedsecure.protocols.session import Session

__all__ = ["Party", "restated"]


class Party(SingleParty):
    """One party of a session: where it stands, and what may happen to it there.

    Args:
        session: The session.
    """

    role: ClassVar[Role]

    def __init__(self, session: Session) -> None:
        super().__init__(self.role)
        self._session = session
        self._flow = flow_of(session)
        self._stage = Stage.ADVERTISE_KEYS

    @property
    def stage(self) -> Stage:
        """The stage that a client answers next, or a server collects; FINISHED or ABORTED."""
        return self._stage

    @property
    def finished(self) -> bool:
        """Whether this party neither gives nor takes any further message."""
        return self._stage in (Stage.FINISHED, Stage.ABORTED)

    def _following(self, event: Kind | Act) -> Stage:
        """Returns the stage after `event`, if it is possible here and now."""
        self._check_process()
        return step(self._flow, self.role, self._stage, event)

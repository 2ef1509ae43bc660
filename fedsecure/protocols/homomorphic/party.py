"""What the parties of an encrypted sum have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from fedsecure.paillier import Packing
from fedsecure.protocols.homomorphic.messages import Kind, Layout
from fedsecure.protocols.homomorphic.states import Act, Role, Stage, step
from fedsecure.protocols.party import SingleParty

if TYPE_CHECKING:
    from fedsecure.paillier import PublicKey
    from fedsecure.protocols.session import Session

__all__ = ["Party"]


class Party(SingleParty):
    """One party of a session: where it stands, and what may happen to it there.

    Args:
        session: The session.
        key: What inputs are encrypted under.
        stage: Where it stands.
    """

    role: ClassVar[Role]

    def __init__(self, session: Session, key: PublicKey, stage: Stage) -> None:
        super().__init__(self.role)
        self._session = session
        self._layout = Layout.of(session, Packing(key, session.layout.modulus_bits))
        self._stage = stage

    @property
    def stage(self) -> Stage:
        """Where this party stands; FINISHED or ABORTED at the end."""
        return self._stage

    @property
    def finished(self) -> bool:
        """Whether this party neither gives nor takes any further message."""
        return self._stage in (Stage.FINISHED, Stage.ABORTED)

    def _following(self, event: Kind | Act) -> Stage:
        self._check_process()
        return step(self.role, self._stage, event)

    def _abort(self) -> None:
        self._stage = self._following(Act.ABORT)

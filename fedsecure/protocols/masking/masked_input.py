"""A client's update on its way into the sum: given once, turned into masked pieces once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fedsecure.errors import LocalProtocolError
from fedsecure.primitives import entropy
from fedsecure.primitives.entropy import Secret
from fedsecure.protocols.masking.messages import Kind
from fedsecure.protocols.vectors import Upload, contribute

if TYPE_CHECKING:
    from collections.abc import Callable

    from fedsecure.primitives.masks import MaskSet
    from fedsecure.protocols.session import Session
    from fedsecure.protocols.vectors import Input
    from fedsecure.pytree import PyTree

__all__ = ["MaskedInput"]


class MaskedInput:
    """One client's update, from when it is given until the last of its pieces is made.

    Args:
        session: The session.
        given: Whether an update was given and used up, by a client that this one goes on for.
        fingerprint: What the update must have that is given again; empty for any.
        rounding: The seed of its rounding; empty to draw one.
        made: How many pieces were made already.
    """

    def __init__(
        self,
        session: Session,
        *,
        given: bool = False,
        fingerprint: bytes = b"",
        rounding: bytes = b"",
        made: int = 0,
    ) -> None:
        self._session = session
        self._given = given
        self._fingerprint = fingerprint
        self._rounding = Secret(rounding) if rounding else None
        self._first = made
        self._contribution: Input | None = None
        self._masks: MaskSet | None = None
        self._upload: Upload | None = None

    @property
    def ready(self) -> bool:
        """Whether there is an update to make pieces of."""
        return self._contribution is not None

    @property
    def upload(self) -> Upload | None:
        """The pieces, once they have been begun here."""
        return self._upload

    @property
    def made(self) -> int:
        """How many pieces have been made."""
        return self._first if self._upload is None else self._upload.made

    @property
    def complete(self) -> bool:
        """Whether all pieces have been made."""
        return self.made == self._session.num_chunks

    def set_update(self, update: PyTree, weight: float | None) -> None:
        """Takes the update, once; see `MaskingClient.set_update`."""
        if self._given:
            raise LocalProtocolError(
                "this client has its update: a second one under the same masks would reveal their "
                "difference; make a new session"
            )
        seed = self._rounding or entropy.draw(self._session.prg.seed_bytes)
        contribution = contribute(self._session, update, weight, seed)
        if self._fingerprint and contribution.fingerprint() != self._fingerprint:
            raise LocalProtocolError(
                "this client had another update, or weight, before it was restored: under the same "
                "masks the two would reveal their difference; give the same one"
            )
        self._contribution, self._rounding, self._given = contribution, seed, True

    def begin(
        self,
        masks: MaskSet,
        *,
        sender: int,
        check: Callable[[], None],
        ended: Callable[[], None],
        failed: Callable[[], None],
    ) -> Upload:
        """Returns the pieces that have not been made yet, as messages that are made when drawn.

        Args:
            masks: What goes onto the vector; wiped after the last piece.
            sender: The client's id.
            check: Called before each piece; may refuse.
            ended: Called after the last piece.
            failed: Called instead when making a piece failed.
        """
        if self._contribution is None:
            raise LocalProtocolError("give this client its update first, with set_update")

        def checked() -> MaskSet:
            check()
            return masks

        def close() -> None:
            self.wipe()
            ended()

        self._masks = masks
        self._upload = Upload(
            self._session,
            self._contribution,
            kind=Kind.MASKED_INPUT,
            sender=sender,
            masks=checked,
            ended=close,
            failed=failed,
            first=self._first,
        )
        return self._upload

    def save(self, *, over: bool) -> tuple[bool, bytes, bytes, int]:
        """Returns what `MaskedInput` takes to go on from here.

        An update that is still needed is known again by its fingerprint; it is not in here itself.

        Args:
            over: Whether the client's session is over, so that nothing is needed.
        """
        rounding = b""
        if self._rounding is not None and not self._rounding.wiped:
            rounding = bytes(self._rounding.view)
        if self._contribution is None:
            return self._given, self._fingerprint, rounding, self.made
        if over or self.complete:
            return True, b"", rounding, self.made
        return False, self._contribution.fingerprint(), rounding, self.made

    def wipe(self) -> None:
        """Overwrites the seeds, and lets go of the update."""
        for holder in (self._masks, self._contribution, self._rounding):
            if holder is not None:
                holder.wipe()

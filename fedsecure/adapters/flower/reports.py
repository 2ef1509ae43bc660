"""What is said of a round when it is over."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fedsecure.privacy.release import Release

__all__ = ["RoundReport"]

_LOG = logging.getLogger("flwr.fedsecure")


@dataclass(frozen=True)
class RoundReport:
    """What happened in one round of training.

    Attributes:
        number: The round, from 1.
        waves: What each wave was for, in order.
        contributors: Flower's ids of the nodes whose updates are in the mean.
        dropouts: For each of the other nodes that were asked, the reason.
        failure: Why there is no mean; empty if there is one.
        adversary: What the server could have done without learning more, as in `Aggregate`.
        clipped: How many values all contributors clipped; None unless the encoding clips.
        privacy: What the mean does for the privacy of those in it, as in `Aggregate`.
    """

    number: int
    waves: tuple[str, ...]
    contributors: tuple[int, ...] = ()
    dropouts: Mapping[int, str] = field(default_factory=dict)
    failure: str = ""
    adversary: str = "none"
    clipped: int | None = None
    privacy: Release | None = None

    def log(self) -> None:
        """Writes the round in one line to Flower's log."""
        if self.failure:
            _LOG.warning(
                "fedsecure: round %d failed after %d waves, the model stays as it is: %s",
                self.number,
                len(self.waves),
                self.failure,
            )
        else:
            _LOG.info(
                "fedsecure: round %d: the mean of %d of %d nodes, in %d waves (%s)",
                self.number,
                len(self.contributors),
                len(self.contributors) + len(self.dropouts),
                len(self.waves),
                ", ".join(self.waves),
            )

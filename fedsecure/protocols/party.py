"""What every party is: one object of one session, in one process, never twice."""

from __future__ import annotations

import os
from typing import NoReturn

from fedsecure.errors import CheaterDetected, LocalProtocolError, RemoteProtocolError

__all__ = ["SingleParty", "restated"]


class SingleParty:
    """Keeps a party from standing twice: it is neither copied, pickled nor used after a fork.

    Args:
        role: How errors call it.
    """

    def __init__(self, role: str) -> None:
        self._called = role
        self._process = os.getpid()

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise LocalProtocolError(
            f"a {self._called} is neither copied nor pickled: two of them could answer the same "
            "stage with different things; to move it, keep to_bytes() and forget the object"
        )

    def _check_process(self) -> None:
        if os.getpid() != self._process:
            raise LocalProtocolError(
                f"this {self._called} was made in another process: after a fork two of them could "
                "answer the same stage; to move it, use to_bytes() and from_bytes()"
            )


def restated(error: RemoteProtocolError, reason: str) -> RemoteProtocolError:
    """Returns the error with another text, which still names the culprit if there is one."""
    if isinstance(error, CheaterDetected):
        return CheaterDetected(reason, error.culprit)
    return RemoteProtocolError(reason)

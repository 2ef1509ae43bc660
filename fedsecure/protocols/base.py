"""The words every protocol speaks: `Client`, `Server`, `Protocol`, `Aggregate`.

A protocol is a frozen value that makes sessions and parties. A session is public data that all
parties of one run agree on; its digest goes into every key they derive. A party is one object for
one session: it takes messages with `receive`, gives messages back, and never touches a socket, a
clock, a thread or a file. Use each party from one thread at a time.
"""

from __future__ import annotations

import typing
from dataclasses import dataclass

from fedsecure.privacy.release import Release
from fedsecure.pytree import PyTree

if typing.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from fedsecure.encoding import FixedPoint
    from fedsecure.privacy.mechanisms import VectorMechanism
    from fedsecure.protocols.session import Session
    from fedsecure.pytree import TreeSpec

__all__ = ["Aggregate", "Client", "Protocol", "Server"]

_EXACT = Release()


@dataclass(frozen=True, eq=False)
class Aggregate:
    """What a session reveals.

    Attributes:
        mean: The (weighted) mean of the survivors' updates, a pytree like theirs.
        total_weight: Sum of the survivors' weights; their number when unweighted.
        contributors: Ids of the clients in the mean, increasing.
        dropouts: Ids of the invited clients that are not, increasing.
        clipped: How many values all survivors clipped; None unless ``overflow="clip"``.
        privacy: What this result does, and does not do, for the privacy of those in it; ``str()``
            says it in words, ``event()`` what to tell a privacy accountant.
        adversary: What the server could have done without learning more: "semi_honest",
            "semi_malicious" or "malicious"; "none" if nothing was protected.
        transcript: 32 bytes that all honest parties of the session have in common: they stand for
            the configuration, the model, the keys, the graph, and who shared and survived.
    """

    mean: PyTree
    total_weight: float
    contributors: tuple[int, ...]
    dropouts: tuple[int, ...]
    clipped: int | None = None
    privacy: Release = _EXACT
    adversary: str = "none"
    transcript: bytes = b""


class Client(typing.Protocol):
    """One client in one session.

    The caller sends what `start` and `receive` give, in order, and hands every message of the
    server to `receive`. A message of the server that breaks the protocol ends the session for this
    client; bytes that merely do not belong here change nothing.
    """

    @property
    def client_id(self) -> int:
        """This client's id."""

    @property
    def stage(self) -> str:
        """The stage whose message this client gives next; FINISHED or ABORTED at the end."""

    @property
    def finished(self) -> bool:
        """Whether this party neither gives nor takes any further message."""

    def start(self) -> Iterable[bytes]:
        """Returns the first messages for the server."""

    def set_update(self, update: PyTree, weight: float | None = None) -> None:
        """Gives the update to aggregate, once, if it was not given when the client was made."""

    def receive(self, data: bytes) -> Iterable[bytes]:
        """Takes one message of the server and returns the messages that answer it."""

    def resume(self) -> Iterable[bytes]:
        """Returns the messages of an unfinished upload that are still to be made."""

    def to_bytes(self) -> bytes:
        """Returns this client without its update, as secret bytes for its class's `from_bytes`."""


class Server(typing.Protocol):
    """The server of one session. The caller decides when a stage has waited long enough."""

    @property
    def stage(self) -> str:
        """The stage whose messages are being collected; FINISHED or ABORTED at the end."""

    @property
    def ready(self) -> bool:
        """Whether enough clients have answered for `advance` to succeed."""

    @property
    def waiting_for(self) -> AbstractSet[int]:
        """The clients whose messages of this stage are not complete yet."""

    @property
    def finished(self) -> bool:
        """Whether this party neither gives nor takes any further message."""

    def receive(self, client_id: int, data: bytes) -> None:
        """Takes one message; `client_id` is whom the transport says it is from."""

    def advance(self) -> Mapping[int, Sequence[bytes]]:
        """Closes the stage; returns the messages for each client that is still in.

        Whoever has not completed the stage has dropped out. Below the threshold it raises
        `ThresholdError` and nothing changes: the caller may wait for more.
        """

    def replies(self) -> Mapping[int, Sequence[bytes]]:
        """Returns again what the last `advance` returned, for a server that was restored."""

    def result(self) -> Aggregate:
        """Returns the aggregate of a finished session."""

    def to_bytes(self) -> bytes:
        """Returns this server as secret bytes for its class's `from_bytes`."""


class Protocol(typing.Protocol):
    """A protocol: a frozen value that makes sessions and their parties."""

    def session(
        self,
        *,
        client_ids: Iterable[int],
        spec: TreeSpec,
        encoding: FixedPoint = ...,
        weighted: bool = False,
        round: int = 0,  # noqa: A002  # the glossary's word, given by name only
        model_digest: bytes | None = None,
        session_id: bytes | None = None,
        privacy: VectorMechanism | None = None,
    ) -> Session:
        """Returns the public description of one run."""

    def client(
        self,
        session: Session,
        client_id: int,
        update: PyTree = None,
        weight: float | None = None,
        *,
        privacy: VectorMechanism | None = None,
    ) -> Client:
        """Returns one client, having compared the session with its own policy.

        Its policy is this protocol object, and the mechanism that it asks for.
        """

    def server(self, session: Session) -> Server:
        """Returns the server."""

    def noise_shares(self, num_clients: int, privacy: VectorMechanism | None) -> int:
        """Returns how many shares of a mechanism's noise are certain among so many clients."""

    def helpers(self, session: Session) -> Mapping[int, Client]:
        """Returns the parties beside clients and server, by the id that messages reach them at."""

    def for_one_process(self, client_ids: Iterable[int]) -> Protocol:
        """Returns this protocol with all that one process needs to play every party."""

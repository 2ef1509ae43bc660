"""A server's heavy steps on Ray: sums, masks and decryption in actors that each own a range.

For sums that one machine cannot hold or carry; where it can, its threads are faster (docs/ray.md).
The results are the same bits. Clients notice nothing; whatever carries their messages, carries them
to one server as before, which cuts each vector and sends every actor its part.

Needs ``pip install 'fedsecure[ray]'`` here and at every worker. The actors are the server's: they
see what it sees, and seeds, private keys and masked vectors go to them over Ray's connections,
which are encrypted only if Ray is told so (``RAY_USE_TLS``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self

try:
    import ray
    from ray.exceptions import GetTimeoutError, RayError, RayTaskError
except ImportError as error:
    raise ImportError(
        "fedsecure.adapters.ray needs Ray: pip install 'fedsecure[ray]'", name="ray"
    ) from error

from fedsecure import wire
from fedsecure.errors import FedSecureError, LocalProtocolError, ShardError
from fedsecure.paillier import PrivateKey, PublicKey
from fedsecure.protocols.homomorphic import PaillierSum, ThresholdPaillierSum
from fedsecure.protocols.masking import PairwiseMasking
from fedsecure.protocols.sharding import ShardedProduct, ShardedSum, Worker, decrypt_rows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fedsecure.privacy.mechanisms import VectorMechanism
    from fedsecure.protocols.base import Client, Server
    from fedsecure.protocols.session import Session
    from fedsecure.pytree import PyTree

__all__ = ["OnShards", "Shards"]


class Shards:
    """Actors that keep the parts of a server's sums; use it in a ``with``, which ends them.

    One `Shards` serves any number of sessions, also at the same time. An actor that died is not
    started again: its part of the running sums is gone, and these end with a `ShardError`.

    Args:
        count: How many actors, 1 or more.
        deadline: Seconds that any answer may take; then the sum is given up.
        options: For the actors, as ``ray.actor.options`` takes them. By default each reserves a
            tenth of a processor, so that they never keep others from starting, and they are spread
            over the nodes. Each uses `FEDSECURE_THREADS` threads of its node, all without it.

    Raises:
        LocalProtocolError: A value out of range, or Ray is not running: call ``ray.init`` before.
        ShardError: Not all actors have started within the deadline.
    """

    def __init__(
        self, count: int, *, deadline: float = 60.0, options: Mapping[str, Any] | None = None
    ) -> None:
        if type(count) is not int or count < 1:
            raise LocalProtocolError(f"count is {count!r}; use 1 shard or more")
        if not 0 < deadline < float("inf"):
            raise LocalProtocolError(f"deadline is {deadline!r}; use seconds above 0")
        if not ray.is_initialized():
            raise LocalProtocolError("Ray is not running here: call ray.init(...) before")
        chosen = {"num_cpus": 0.1, "scheduling_strategy": "SPREAD", **(options or {})}
        actor = ray.remote(Worker).options(max_restarts=0, max_task_retries=0, **chosen)
        self._count, self._deadline = count, deadline
        self._actors = [actor.remote() for _ in range(count)]
        try:
            self.wait([self.send(index, "ready") for index in range(count)])
        except FedSecureError:
            self.close()
            raise

    def sum(self, session: Session) -> ShardedSum:
        """Returns an empty sum in these shards, for ``server(session, vectors=shards.sum)``."""
        return ShardedSum(session, self)

    def product(self, public: PublicKey, count: int) -> ShardedProduct:
        """Returns an empty product, for ``server(session, products=shards.product)``."""
        return ShardedProduct(public, count, self)

    def decrypt_rows(self, private: PrivateKey, rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Returns what ``private.decrypt_rows(rows)`` does; the key goes to the actors for it.

        For ``key_holder(session, decrypt=functools.partial(shards.decrypt_rows, private))``, where
        Ray's nodes are the key holder's own.
        """
        return decrypt_rows(private, rows, self)

    def on(self, protocol: PairwiseMasking | PaillierSum | ThresholdPaillierSum) -> OnShards:
        """Returns the protocol with the server's heavy steps in these shards."""
        return OnShards(protocol, self)

    def close(self) -> None:
        """Ends the actors, and with them whatever sum is under way."""
        actors, self._actors = self._actors, []
        if ray.is_initialized():
            for actor in actors:
                ray.kill(actor)

    def send(self, worker: int, method: str, *arguments: Any) -> Any:
        """Begins a call at one actor; see `fedsecure.protocols.sharding.Workers`."""
        if not self._actors or not ray.is_initialized():
            raise ShardError("these shards have been closed, and their sums are gone")
        try:
            return getattr(self._actors[worker], method).remote(*arguments)
        except RayError as error:
            raise ShardError(f"shard {worker} cannot be reached: {_first_line(error)}") from None

    def wait(self, calls: Sequence[Any]) -> list[Any]:
        """Returns the results of calls; see `fedsecure.protocols.sharding.Workers`."""
        try:
            found: list[Any] = ray.get(list(calls), timeout=self._deadline)
        except GetTimeoutError:
            raise ShardError(
                f"a shard has not answered within {self._deadline:g} seconds: it waits for a place "
                "in the cluster, is overloaded, or its node is gone; the sum is lost, run the "
                "round again"
            ) from None
        except RayTaskError as error:
            if isinstance(error.cause, FedSecureError):
                raise error.cause from None
            raise ShardError(f"a shard failed: {error.cause!r}; the sum is lost") from None
        except RayError as error:
            raise ShardError(
                f"a shard is gone ({_first_line(error)}): the sum is lost, run the round again"
            ) from None
        return found

    def __len__(self) -> int:
        return self._count

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Shards: {len(self)} actors>"


@dataclass(frozen=True)
class OnShards:
    """A protocol whose servers keep their sums in shards; made by `Shards.on`.

    Attributes:
        protocol: The protocol. Clients may have it as it is: sessions are the same.
        shards: Where the sums are.
    """

    protocol: PairwiseMasking | PaillierSum | ThresholdPaillierSum
    shards: Shards

    def session(self, **facts: Any) -> Session:
        """Returns what `protocol` does."""
        return self.protocol.session(**facts)

    def client(
        self,
        session: Session,
        client_id: int,
        update: PyTree = None,
        weight: float | None = None,
        *,
        privacy: VectorMechanism | None = None,
    ) -> Client:
        """Returns what `protocol` does."""
        return self.protocol.client(session, client_id, update, weight, privacy=privacy)

    def server(self, session: Session) -> Server:
        """Returns a server whose sums, or products, are in the shards."""
        if isinstance(self.protocol, PairwiseMasking):
            return self.protocol.server(session, vectors=self.shards.sum)
        return self.protocol.server(session, products=self.shards.product)

    def noise_shares(self, num_clients: int, privacy: VectorMechanism | None) -> int:
        """Returns what `protocol` does."""
        return self.protocol.noise_shares(num_clients, privacy)

    def helpers(self, session: Session) -> Mapping[int, Client]:
        """Returns the key holder, if there is one: it decrypts in the shards, which get its key."""
        protocol = self.protocol
        if not isinstance(protocol, PaillierSum) or not isinstance(protocol.key, PrivateKey):
            return protocol.helpers(session)
        decrypt = partial(self.shards.decrypt_rows, protocol.key)
        return {wire.KEY_HOLDER: protocol.key_holder(session, decrypt=decrypt)}

    def for_one_process(self, client_ids: Iterable[int]) -> OnShards:
        """Returns this with all that one process needs to play every party."""
        return replace(self, protocol=self.protocol.for_one_process(client_ids))


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]

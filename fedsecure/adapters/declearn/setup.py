"""How clients agree on masks before the first round, and whenever who takes part changes."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable
from typing import Any, TypeVar

from declearn.communication.utils import (
    verify_client_messages_validity,
    verify_server_message_validity,
)
from declearn.messaging import Message
from declearn.secagg import api
from declearn.secagg.x3dh import run_x3dh_setup_client, run_x3dh_setup_server

from fedsecure.adapters.declearn.crypters import FedsecureDecrypter, FedsecureEncrypter
from fedsecure.errors import FedSecureError

__all__ = ["FedsecureConfigClient", "FedsecureConfigServer"]

Reply = TypeVar("Reply")


@dataclasses.dataclass
class FedsecureSetupQuery(api.SecaggSetupQuery):
    """The server asks clients to agree on masks."""

    typekey = "fedsecure-setup-query"


@dataclasses.dataclass
class FedsecureSetupReply(Message):
    """A client agrees to, or has done, what it was asked."""

    typekey = "fedsecure-setup-reply"


@dataclasses.dataclass
class FedsecureConfigClient(api.SecaggConfigClient):
    """A client's side: ``FederatedClient(secagg=FedsecureConfigClient(id_keys=...))``.

    Attributes:
        id_keys: As in declearn: this client's Ed25519 key, and those of the clients it trusts.
        timeout: Seconds that the set-up may take.
    """

    secagg_type = "fedsecure"

    timeout: float = 600.0

    async def setup_encrypter(self, netwk: Any, query: Any) -> FedsecureEncrypter:
        """Returns the encrypter that all clients have agreed on.

        Raises:
            RuntimeError: They have not, in time; or there are fewer than three.
            KeyError, ValueError: As in declearn, where a peer is not trusted or has not signed.
        """
        asked = await verify_server_message_validity(
            netwk, received=query, expected=FedsecureSetupQuery
        )
        await netwk.send_message(FedsecureSetupReply())
        agreeing = run_x3dh_setup_client(
            netwk, prv_key=self.id_keys.prv_key, trusted=self.id_keys.trusted
        )
        secrets = await _in_time(agreeing, self.timeout)
        try:
            encrypter = FedsecureEncrypter(
                secrets, self.id_keys.pub_key_bytes, bitsize=asked.bitsize, clipval=asked.clipval
            )
        except FedSecureError as error:
            raise RuntimeError(str(error)) from error
        await netwk.send_message(FedsecureSetupReply())
        return encrypter


@dataclasses.dataclass
class FedsecureConfigServer(api.SecaggConfigServer):
    """The server's side: ``FederatedServer(secagg=FedsecureConfigServer(64, 1e5))``.

    Attributes:
        bitsize: Width of the ring, 8 to 64: what a weight costs on the wire, in bits.
        clipval: Largest magnitude of a float, multiplied by its weight if the aggregator weighs.
            The step is the least power of two for which all clients' sum fits the ring. Values
            beyond are refused.
        timeout: Seconds that the set-up may take.
    """

    secagg_type = "fedsecure"

    timeout: float = 600.0

    def prepare_secagg_setup_query(self) -> FedsecureSetupQuery:
        """Returns the message that begins the set-up."""
        return FedsecureSetupQuery(bitsize=self.bitsize, clipval=self.clipval)

    async def finalize_secagg_setup(
        self, netwk: Any, clients: set[str] | None = None
    ) -> FedsecureDecrypter:
        """Returns the decrypter, when all clients have agreed.

        Raises:
            RuntimeError: They have not, in time; or there are fewer than three.
        """
        try:
            found = len(netwk.client_names if clients is None else clients)
            decrypter = FedsecureDecrypter(found, bitsize=self.bitsize, clipval=self.clipval)
        except FedSecureError as error:
            raise RuntimeError(str(error)) from error
        await _in_time(self._agree(netwk, clients), self.timeout)
        return decrypter

    async def _agree(self, netwk: Any, clients: set[str] | None) -> None:
        await self._expect_replies(netwk, clients)
        await run_x3dh_setup_server(netwk, clients)
        await self._expect_replies(netwk, clients)

    async def _expect_replies(self, netwk: Any, clients: set[str] | None) -> None:
        replies = await netwk.wait_for_messages(clients)
        await verify_client_messages_validity(netwk, replies, expected=FedsecureSetupReply)


async def _in_time(waiting: Awaitable[Reply], seconds: float) -> Reply:
    try:
        return await asyncio.wait_for(waiting, seconds)
    except TimeoutError:
        raise RuntimeError(f"the set-up of secagg took more than {seconds:g} s") from None

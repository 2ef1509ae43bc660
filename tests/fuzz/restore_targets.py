"""Saved parties as targets: bytes that give a party, or `LocalProtocolError`.

The second byte of an input says what the rest edits. Its low two bits: WHOLE, all the bytes, so
that mostly the checksum speaks; BODY, what is inside, or VALUES, the values in it, with length and
checksum made right; TAIL, what follows it, with the checksum made right. Its other bits number the
party that was saved.
"""

from __future__ import annotations

import contextlib
import hashlib
from typing import TYPE_CHECKING

from fedsecure.errors import FedSecureError, LocalProtocolError
from fedsecure.protocols.masking import MaskingClient, MaskingServer
from fedsecure.protocols.masking.states import Stage
from fuzz.edits import edited
from fuzz.scenes import POLICIES, VICTIM, Scene, update
from fuzz.values import revalued

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WHOLE, BODY, TAIL, VALUES = range(4)
_MARK_BYTES = 17
_HEAD_BYTES = _MARK_BYTES + 8
_DIGEST_BYTES = 32

Party = MaskingClient | MaskingServer


class RestoreTarget:
    """A class of parties, with saved ones of all stages.

    Args:
        restore: Makes a party of bytes.
        samples: Saved parties.
        go_on: Does with a restored party what comes next. Whoever can make a checksum right owns
            the party, so it may fail in any way but one that ends the process.
    """

    def __init__(
        self,
        restore: Callable[[bytes], Party],
        samples: list[bytes],
        go_on: Callable[[Party], None],
    ) -> None:
        self._restore = restore
        self._samples = samples
        self._go_on = go_on

    def run(self, how: int, rest: bytes) -> None:
        """Restores a party that can be saved again, or refuses by name."""
        data = _altered(self._samples[(how >> 2) % len(self._samples)], how & 3, rest)
        try:
            party = self._restore(data)
        except LocalProtocolError:
            return
        again = party.to_bytes()
        assert self._restore(again).to_bytes() == again, "a restored party is saved differently"
        with contextlib.suppress(
            FedSecureError, ArithmeticError, LookupError, TypeError, ValueError
        ):
            self._go_on(party)

    def seeds(self) -> dict[str, bytes]:
        """The first sample and the last, with edits."""
        return {
            "first": bytes([BODY, 1, 40, 0, 1]),
            "last": bytes([VALUES | len(self._samples) - 1 << 2, 4, 40, 0, 1]),
        }


def restorers(scenes: list[Scene]) -> Iterator[tuple[str, RestoreTarget]]:
    """Clients and servers of every scene."""
    for scene in scenes:
        yield f"{scene.policy}-saved-client", _clients(scene)
        yield f"{scene.policy}-saved-server", _servers(scene)


def _clients(scene: Scene) -> RestoreTarget:
    identity = POLICIES[scene.policy].get("identities", {}).get(VICTIM)
    samples = [scene.client(stage).to_bytes() for stage in scene.stages]
    samples.append(scene.client(scene.uploaded, drawn=False).to_bytes())

    def restore(data: bytes) -> MaskingClient:
        return MaskingClient.from_bytes(data, identity)

    def go_on(client: Party) -> None:
        client.set_update(update(VICTIM))
        list(client.resume())

    return RestoreTarget(restore, samples, go_on)


def _servers(scene: Scene) -> RestoreTarget:
    samples = [
        scene.server(stage).to_bytes() for stage in scene.stages if stage is not Stage.FINISHED
    ]
    samples.append(scene.server(scene.uploading, pieces=1).to_bytes())

    def go_on(server: Party) -> None:
        server.advance()

    return RestoreTarget(MaskingServer.from_bytes, samples, go_on)


def _altered(sample: bytes, mode: int, program: bytes) -> bytes:
    if mode == WHOLE:
        return edited(sample, program)
    head = sample[:_MARK_BYTES]
    size = int.from_bytes(sample[_MARK_BYTES:_HEAD_BYTES], "little")
    content = sample[_HEAD_BYTES:-_DIGEST_BYTES]
    body, tail = content[:size], content[size:]
    if mode == TAIL:
        tail = edited(tail, program)
    else:
        body = (revalued if mode == VALUES else edited)(body, program)
    whole = head + len(body).to_bytes(8, "little") + body + tail
    return whole + hashlib.sha256(whole).digest()

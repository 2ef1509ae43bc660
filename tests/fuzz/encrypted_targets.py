"""The parties of encrypted sums as targets: who decrypts, and the server.

The second byte of an input says how the rest becomes a message, as in `fuzz.party_targets`: RAW,
BODY, EDITED (of any message of the session, by number), EDITED_BODY (under any kind, by number).
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from fedsecure import wire
from fedsecure.encoding import FixedPoint
from fedsecure.errors import RemoteProtocolError, ThresholdError
from fedsecure.paillier import PrivateKey
from fedsecure.paillier._dealer import deal
from fedsecure.paillier.threshold import KeyShare, ThresholdPublic
from fedsecure.primitives.identity import Identity
from fedsecure.protocols.homomorphic import (
    KeyHolder,
    PaillierServer,
    PaillierSum,
    ShareHolder,
    ThresholdPaillierServer,
    ThresholdPaillierSum,
)
from fedsecure.protocols.homomorphic.messages import Kind
from fedsecure.protocols.homomorphic.states import Stage
from fedsecure.pytree import TreeSpec
from fuzz.edits import edited
from fuzz.party_targets import BODY, EDITED, EDITED_BODY, RAW
from fuzz.restore_targets import RestoreTarget
from fuzz.scenes import known_entropy
from fuzz.snapshots import snapshot
from paillier_keys import PRIMES
from threshold_keys import P, Q

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

IDS = (3, 200, 70_000)
VICTIM = IDS[1]
SIZE = 150
_FIRST_KIND = Kind.ENCRYPTED_INPUT
_EXACT = (Kind.CONTRIBUTION, Kind.AUDIT)


class EncryptedScene:
    """One session of three clients in two pieces each, run to its end with known entropy.

    Args:
        name: "paillier" for one key holder, "threshold" for three holders of shares.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        with known_entropy(f"encrypted {name}"):
            self.protocol = _protocol(name)
            self.session = self.protocol.session(
                client_ids=IDS,
                spec=TreeSpec.of(np.zeros(SIZE)),
                encoding=FixedPoint(clip=4.0, bits=12, rounding="nearest"),
            )
            self.who = wire.KEY_HOLDER if name == "paillier" else VICTIM
            self.said: dict[int, list[bytes]] = {}
            for client_id in IDS:
                client = self.protocol.client(self.session, client_id, np.full(SIZE, 1.0))
                self.said[client_id] = list(client.start())
            server = self.server(IDS)
            self.mail = server.advance()[self.who]
            party = self.decryptor(0)
            self.answers = [one for message in self.mail for one in party.receive(message)]

    def decryptor(self, taken: int) -> Any:
        """Who decrypts, having taken so many messages."""
        if self.who == wire.KEY_HOLDER:
            party: Any = self.protocol.key_holder(self.session)
        else:
            party = self.protocol.client(self.session, self.who, np.full(SIZE, 1.0))
            party.start()
        for message in self.mail[:taken]:
            party.receive(message)
        return party

    def server(self, whole: Sequence[int], pieces: int = 0) -> Any:
        """The server that has the contributions of some, and pieces of the victim's."""
        server = self.protocol.server(self.session)
        for client_id in whole:
            for message in self.said[client_id]:
                server.receive(client_id, message)
        for message in self.said[VICTIM][:pieces]:
            server.receive(VICTIM, message)
        return server

    def asking(self) -> Any:
        """The server that waits for answers."""
        server = self.server(IDS)
        server.advance()
        return server


def encrypted_parties() -> Iterator[tuple[str, EncryptedTarget]]:
    """All of them by name."""
    for name in ("paillier", "threshold"):
        scene = _scene(name)
        for at, what in ((0, "first"), (2, "closing"), (4, "second"), (9, "audit")):
            yield f"{name}-decryptor-{what}", _decryptor(scene, at)
        for pieces, what in ((0, "first"), (1, "second"), (2, "closing")):
            yield f"{name}-aggregator-{what}", _aggregator(scene, pieces)
        sender = scene.who
        yield (
            f"{name}-aggregator-answer",
            EncryptedTarget(
                scene,
                scene.asking,
                lambda party, data, sender=sender: party.receive(sender, data),
                scene.answers[0],
            ),
        )


def encrypted_restorers() -> Iterator[tuple[str, RestoreTarget]]:
    """Their saved parties, by name."""
    for name in ("paillier", "threshold"):
        scene = _scene(name)
        yield f"{name}-saved-decryptor", _saved_decryptor(scene)
        yield f"{name}-saved-aggregator", _saved_aggregator(scene)


def _saved_decryptor(scene: EncryptedScene) -> RestoreTarget:
    samples = [scene.decryptor(taken).to_bytes() for taken in (0, 3, 9, 10)]

    def restore(data: bytes) -> Any:
        if scene.name == "paillier":
            return KeyHolder.from_bytes(data, scene.protocol.key)
        share = scene.protocol.shares[IDS.index(VICTIM)]
        return ShareHolder.from_bytes(data, share, scene.protocol.identities[VICTIM])

    def go_on(party: Any) -> None:
        for message in scene.mail[3:]:
            party.receive(message)

    return RestoreTarget(restore, samples, go_on)


def _saved_aggregator(scene: EncryptedScene) -> RestoreTarget:
    answered = scene.asking()
    answered.receive(scene.who, scene.answers[0])
    servers = [scene.server(()), scene.server(IDS[2:], 1), scene.asking(), answered]

    def restore(data: bytes) -> Any:
        if scene.name == "paillier":
            return PaillierServer.from_bytes(data, scene.protocol.key.public)
        holders = {name: index for index, name in enumerate(IDS, 1)}
        return ThresholdPaillierServer.from_bytes(data, scene.protocol.public, holders)

    def go_on(server: Any) -> None:
        server.advance()

    return RestoreTarget(restore, [server.to_bytes() for server in servers], go_on)


def _decryptor(scene: EncryptedScene, taken: int) -> EncryptedTarget:
    return EncryptedTarget(
        scene,
        lambda: scene.decryptor(taken),
        lambda party, data: list(party.receive(data)),
        scene.mail[taken],
    )


def _aggregator(scene: EncryptedScene, pieces: int) -> EncryptedTarget:
    others = [name for name in IDS if name != VICTIM]
    return EncryptedTarget(
        scene,
        lambda: scene.server(others, pieces),
        lambda party, data: party.receive(VICTIM, data),
        scene.said[VICTIM][pieces],
        (Kind.ENCRYPTED_INPUT,),  # an upload may begin again until it is whole
    )


class EncryptedTarget:
    """One party at one point.

    Args:
        scene: The session.
        make: Gives the party, in the same state each time.
        hand: Hands it a message.
        due: The message that it takes now.
        also: Kinds beside that of `due` that it may take now.
    """

    def __init__(
        self,
        scene: EncryptedScene,
        make: Callable[[], Any],
        hand: Callable[[Any, bytes], Any],
        due: bytes,
        also: Sequence[Kind] = (),
    ) -> None:
        self._scene, self._make, self._hand, self._due = scene, make, hand, due
        self._kinds = {due[5], *also}
        said = [message for name in IDS for message in scene.said[name]]
        self._known = [due, *said, *scene.mail, *scene.answers]
        self._renew()

    def run(self, how: int, rest: bytes) -> None:
        """The party takes it, or refuses it and is as it was, or ends the session."""
        message = self._message(how & 3, how >> 2, rest)
        try:
            self._hand(self._party, message)
        except RemoteProtocolError:
            if self._party.stage is not Stage.ABORTED:
                assert snapshot(self._party) == self._before, "a refused message changed the party"
                return
        else:
            self._check(message)
        self._renew()

    def seeds(self) -> dict[str, bytes]:
        """The message that is due, and an edit of it."""
        return {
            "body": bytes([BODY]) + self._due[wire.HEADER_SIZE :],
            "edited": bytes([EDITED_BODY, 1, 4, 0, 1]),
        }

    def _message(self, mode: int, choice: int, rest: bytes) -> bytes:
        if mode == RAW:
            return rest
        if mode == EDITED:
            return edited(self._known[choice % len(self._known)], rest)
        body = edited(self._due[wire.HEADER_SIZE :], rest) if mode == EDITED_BODY else rest
        kind = self._due[5] if choice == 0 else _FIRST_KIND + choice % len(Kind)
        sender = int.from_bytes(self._due[32:36], "little")
        return self._scene.session.seal(kind, sender, body)

    def _check(self, message: bytes) -> None:
        assert message[5] in self._kinds, "a message that is not due was taken"
        if message[5] in _EXACT:
            assert message == self._due, "something else than what was signed was taken"
        if hasattr(self._party, "advance"):
            try:
                self._party.advance()
            except (RemoteProtocolError, ThresholdError):
                return

    def _renew(self) -> None:
        self._party = self._make()
        self._before = snapshot(self._party)


@cache
def _scene(name: str) -> EncryptedScene:
    return EncryptedScene(name)


def _protocol(name: str) -> Any:
    identities = {
        name: Identity.from_bytes(hashlib.sha256(f"identity {name}".encode()).digest())
        for name in IDS
    }
    if name == "paillier":
        return PaillierSum(PrivateKey.from_primes(*PRIMES[2048]), identities=identities, chunk=1)
    dealing = deal(P, Q, 3, 3)
    public = ThresholdPublic(dealing.key, 3, dealing.verify_base, dealing.verify_keys)
    shares = tuple(KeyShare(public, index, d_i) for index, d_i in enumerate(dealing.shares, 1))
    return ThresholdPaillierSum(public, holders=IDS, shares=shares, identities=identities, chunk=1)

"""Parties as targets: each is made once, used until it takes something, and then made anew.

The second byte of an input says how the rest becomes a message. Its low two bits: RAW, the rest is
the message; BODY, the rest is a body under the header that is due; EDITED, the message that is due
with the edits that the rest spells; EDITED_BODY, edits of its body, under the header that is due.
Its other six bits are a number. For a body: the kind to put into the header, 0 for the one that is
due, or else one more than the kind; from REVALUED on, the edits are of the values in the body. For
RAW: whom the transport says the message is from. For EDITED: which message of the session is
edited, 0 for the one that is due.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fedsecure import wire
from fedsecure.errors import LocalProtocolError, RemoteProtocolError
from fedsecure.protocols.masking.messages import Kind, UnmaskShares, read
from fedsecure.protocols.masking.states import Stage
from fuzz.edits import edited
from fuzz.scenes import IDS, KEYLESS, SILENT, VICTIM, Scene
from fuzz.snapshots import snapshot
from fuzz.values import revalued

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fedsecure.protocols.masking.client import MaskingClient
    from fedsecure.protocols.masking.server import MaskingServer

RAW, BODY, EDITED, EDITED_BODY = range(4)
REVALUED = 24

_TRANSPORTS = (VICTIM, *IDS[1:], 4, wire.SERVER)
_NO_LIMITS = dict.fromkeys(range(256), 1 << 30)


def place_of(message: bytes) -> tuple[Kind, int]:
    """What a message answers: its kind, and of a masked input which piece it is."""
    kind = Kind(message[5])
    if kind is not Kind.MASKED_INPUT:
        return kind, 0
    return kind, wire.decode_vector(memoryview(message)[wire.HEADER_SIZE :]).index


class PartyTarget:
    """What clients and servers have in common.

    Args:
        scene: The session.
        make: Gives the party at the stage that is attacked, in the same state each time.
        known: Senders and messages of the session; first the message that the party takes now, or
            at the end, one that it took before.
    """

    def __init__(
        self, scene: Scene, make: Callable[[], Any], known: Sequence[tuple[int, bytes]]
    ) -> None:
        self.scene = scene
        self.party: Any = None
        self._make = make
        self._known = known
        self._sender, self.due = known[0]
        self._renew()

    def seeds(self) -> dict[str, bytes]:
        """The message that is due, and one that is not."""
        return {
            "body": bytes([BODY]) + self.due[wire.HEADER_SIZE :],
            "revalued": bytes([EDITED_BODY | REVALUED << 2, 5, 0, 0, 0]),
        }

    def _message(self, how: int, rest: bytes) -> tuple[int, bytes]:
        """Whom the transport says it is from, and the message."""
        mode, choice = how & 3, how >> 2
        if mode == RAW:
            return _TRANSPORTS[choice % len(_TRANSPORTS)], rest
        if mode == EDITED:
            sender, message = self._known[choice % len(self._known)]
            return sender, edited(message, rest)
        body = rest
        if mode == EDITED_BODY:
            edit = edited if choice < REVALUED else revalued
            body = edit(self.due[wire.HEADER_SIZE :], rest)
        kind = choice - 1 if 0 < choice < REVALUED else self.due[5]
        return self._sender, self.scene.session.seal(kind, self._sender, body)

    def _renew(self) -> None:
        self.party = self._make()
        self._before = snapshot(self.party)

    def _in_place(self, sender: int, message: bytes) -> None:
        assert place_of(message) == place_of(self.due), "a message that is not due was taken"
        one, due = (wire.open_envelope(data, _NO_LIMITS) for data in (message, self.due))
        same = replace(due, body=one.body, sender=sender)
        assert one == same, "a message of another session or party was taken"

    def _unchanged(self) -> None:
        assert snapshot(self.party) == self._before, "a refused message changed the party"


class ClientTarget(PartyTarget):
    """The victim when it is about to answer a stage."""

    def __init__(self, scene: Scene, stage: Stage, *, drawn: bool = True) -> None:
        mail = scene.mail[VICTIM]
        due = mail[min(max(scene.stages.index(stage) - 1, 0), len(mail) - 1)]
        known = [(wire.SERVER, message) for message in (due, *mail, *scene.mail[IDS[1]])]
        self._drawn = drawn
        super().__init__(scene, lambda: scene.client(stage, drawn=drawn), known)

    def run(self, how: int, rest: bytes) -> None:
        """The client answers, or refuses, or ends the session."""
        client: MaskingClient = self.party
        _, message = self._message(how, rest)
        try:
            answer = list(client.receive(message))
        except RemoteProtocolError:
            if client.stage is not Stage.ABORTED:
                self._unchanged()
                return
        except LocalProtocolError:
            assert not self._drawn, "the caller was blamed for a message of the server"
            self._unchanged()
            return
        else:
            assert self._drawn, "a client went on before its masked input was drawn"
            self._in_place(wire.SERVER, message)
            self._check(answer)
        self._renew()

    def _check(self, answer: list[bytes]) -> None:
        for message in answer:
            envelope = wire.open_envelope(message, _NO_LIMITS)
            assert (envelope.sender, envelope.suite) == (VICTIM, self.scene.session.suite)
            if envelope.kind == Kind.UNMASK_SHARES:
                shares = read(UnmaskShares, envelope.body)
                owners = [{held.owner for held in part} for part in (shares.alive, shares.dead)]
                assert not owners[0] & owners[1], "both kinds of share of one client"


class ServerTarget(PartyTarget):
    """The server when it waits for the victim only."""

    def __init__(self, scene: Scene, stage: Stage, *, pieces: int = 0) -> None:
        said = scene.said[VICTIM]
        due = said[min(scene.stages.index(stage), len(said) - 1)][pieces]
        others = [
            (name, message) for name in IDS for answer in scene.said[name] for message in answer
        ]
        body = due[wire.HEADER_SIZE :]
        others += [(name, scene.session.seal(due[5], name, body)) for name in (KEYLESS, SILENT)]
        super().__init__(scene, lambda: scene.server(stage, pieces), [(VICTIM, due), *others])
        self._waiting = self.party.waiting_for

    def run(self, how: int, rest: bytes) -> None:
        """The server refuses, or takes it and can go on."""
        server: MaskingServer = self.party
        sender, message = self._message(how, rest)
        try:
            server.receive(sender, message)
        except RemoteProtocolError:
            self._unchanged()
            return
        assert sender in self._waiting, "a client was heard that has nothing to say"
        self._in_place(sender, message)
        if VICTIM not in server.waiting_for:
            self._advance(server)
        self._renew()

    def _advance(self, server: MaskingServer) -> None:
        unmasking = server.stage is Stage.UNMASKING
        server.advance()  # what was taken does not keep the others from going on
        if unmasking:
            assert (server._vectors.total == self.scene.total).all(), "a wrong sum"

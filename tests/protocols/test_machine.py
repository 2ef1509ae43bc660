"""However events come, a session ends in the exact sum of its survivors or in a named error.

Hypothesis drives one session of 3 to 12 clients: messages overtake each other, are repeated, come
from other sessions; clients vanish, parties are saved and restored between any two messages, the
server closes stages early. Nobody in it lies, so every refusal must be one of a fedsecure error,
and may change nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from fedsecure import wire
from fedsecure.errors import LocalProtocolError, RemoteProtocolError, ThresholdError
from fedsecure.protocols.masking.messages import Kind
from fedsecure.protocols.masking.states import Flow, Stage
from fuzz.snapshots import snapshot
from parties import LEVELS, SENT_BY_CLIENT, SENT_BY_SERVER, modular_sum
from peers import Archive, Config, Fate, Peer, World, foreign_messages, place_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from random import Random

    from fedsecure.protocols.masking import MaskingServer

PICK = st.integers(0, 999)
"""Picks from a list whose length is not known yet."""

EARLIER = st.one_of(st.integers(0, 5), PICK)
"""Picks an earlier message, counted from the last one."""

PLACES = [
    (Kind.ADVERTISE_KEYS, 0),
    (Kind.SHARE_KEYS, 0),
    (Kind.MASKED_INPUT, 0),
    (Kind.MASKED_INPUT, 1),
    (Kind.CONFIRMATION, 0),
    (Kind.UNMASK_SHARES, 0),
]

NEIGHBORS = {6: 4, 9: 6, 12: 8}
"""Numbers of clients for which there is a k-regular graph that can lose some, with its k."""


@st.composite
def configs(draw: st.DrawFn) -> Config:
    """Sessions of 3 to 12 clients, with a threshold of their own, uploads of 1 to 4 messages."""
    adversary, count = draw(st.sampled_from(LEVELS)), draw(st.integers(3, 12))
    first = draw(st.sampled_from([0, 250]))
    ids, chunk = tuple(range(first, first + count)), draw(st.sampled_from([3, 5, 100]))
    if adversary != "malicious" and count in NEIGHBORS and draw(st.booleans()):
        return Config(adversary, ids, None, NEIGHBORS[count], chunk)
    colluder = adversary != "semi_honest"
    least = max(3, (count + colluder) // 2 + 1)
    threshold = min(count, least + draw(st.integers(0, 2)))
    return Config(adversary, ids, threshold, None, chunk)


@st.composite
def fates(draw: st.DrawFn, world: World) -> dict[int, Fate]:
    """When some clients vanish: after which message, and whether that one still arrives."""
    ids = world.session.client_ids
    spare = len(ids) - world.session.survivors
    most = spare + draw(st.sampled_from([0, 0, 0, 1]))
    names = draw(st.sets(st.sampled_from(ids), min_size=(spare + 1) // 2, max_size=most))
    return {name: draw(st.tuples(st.sampled_from(PLACES), st.booleans())) for name in names}


class SessionMachine(RuleBasedStateMachine):
    """One server, its clients, and a network that can do anything but write messages."""

    @initialize(
        data=st.data(), config=configs(), late=st.sets(PICK, max_size=2), restless=st.booleans()
    )
    def begin(self, data: st.DataObject, config: Config, late: set[int], restless: bool) -> None:
        """Makes everybody; the late have no update yet."""
        self.config, self.restless = config, restless
        self.world = World(config)
        fate = data.draw(fates(self.world))
        self.archive: Archive = []
        self.peers = {
            name: Peer(self.world, name, fate.get(name), self.archive) for name in config.ids
        }
        self.regular = config.neighbors is not None
        self.server: MaskingServer = self.world.protocol.server(self.world.session)
        self.heard: dict[int, set[tuple[Kind, int]]] = {name: set() for name in config.ids}
        self.asked = set(config.ids)
        self.mail: dict[int, list[bytes]] = {}
        self.contributors: list[int] = []
        latecomers = {self._peer(which).name for which in late}
        for name, peer in self.peers.items():
            if name not in latecomers:
                peer.give_update()

    def teardown(self) -> None:
        """Whoever is left goes on to the end."""
        if not hasattr(self, "world"):
            return
        for peer in self.peers.values():
            peer.give_update()
        while not self.server.finished:
            if self.restless:
                self._all_work(self.peers, most=1)
                self._restart_all()
            self._all_work(self.peers, most=9)
            self._echo()
            able = {name for name, peer in self.peers.items() if peer.able}
            assert not self.server.waiting_for & able
            if not self._close():
                assert self.regular or len(self.asked & able) < self._needed()
                event(f"below the threshold in {self.server.stage}")
                return
        event(f"finished without {len(self.peers) - len(self.contributors)}")

    @rule(which=PICK)
    def work(self, which: int) -> None:
        """A client does one thing."""
        self._peer(which).work()

    @rule(which=PICK)
    def draw(self, which: int) -> None:
        """A client makes one message of its masked input."""
        self._peer(which).draw()

    @rule(which=PICK)
    def post(self, which: int) -> None:
        """A client's oldest message arrives."""
        self._post(self._peer(which))

    @rule(which=PICK)
    def give_update(self, which: int) -> None:
        """A late client has its update."""
        self._peer(which).give_update()

    @rule(which=PICK, lost=st.booleans())
    def vanish(self, which: int, lost: bool) -> None:
        """A client is never heard of again; what it sent may still arrive."""
        peer = self._peer(which)
        peer.vanished = True
        if lost:
            peer.outbox.clear()

    @rule(order=st.randoms(use_true_random=False), absent=st.sets(PICK, max_size=2))
    def all_work(self, order: Random, absent: set[int]) -> None:
        """Nearly everybody does what it can, in any order."""
        self._all_work(self._shuffled(order, absent), most=9)

    @rule(order=st.randoms(use_true_random=False), absent=st.sets(PICK, max_size=1))
    def whole_stage(self, order: Random, absent: set[int]) -> None:
        """Nearly everybody does what it can, and the server closes the stage."""
        self._all_work(self._shuffled(order, absent), most=9)
        self._close()

    @rule(order=st.randoms(use_true_random=False), absent=st.sets(PICK, max_size=2))
    def all_begin(self, order: Random, absent: set[int]) -> None:
        """Nearly everybody does what it can, but of each one message arrives."""
        self._all_work(self._shuffled(order, absent), most=1)

    @rule()
    def advance(self) -> None:
        """The server closes a stage, or cannot."""
        self._close()

    @rule(which=PICK, forgetful=st.booleans())
    def restart_client(self, which: int, forgetful: bool) -> None:
        """A client is saved and restored, with its update or without."""
        peer = self._peer(which)
        if not peer.vanished:
            peer.restart(forgetful=forgetful)

    @rule()
    def restart_server(self) -> None:
        """The server is saved and restored, unless it has nothing left to do."""
        if self.server.finished:
            with pytest.raises(LocalProtocolError):
                self.server.to_bytes()
            return
        self._restart_server()

    @rule(which=PICK, message=EARLIER)
    def repeat_to_client(self, which: int, message: int) -> None:
        """Any message there ever was comes to a client, again or for the first time."""
        peer = self._peer(which)
        if self.archive and not peer.vanished:
            peer.take(self.archive[-1 - message % len(self.archive)][1], honest=False)

    @rule(which=PICK, message=EARLIER, honest=st.booleans())
    def repeat_to_server(self, which: int, message: int, honest: bool) -> None:
        """Any message there ever was comes to the server, from its sender or another."""
        if self.archive:
            sender, data = self.archive[-1 - message % len(self.archive)]
            self._hear(sender if honest else self._peer(which).name, data)

    @rule(which=PICK, message=PICK, to_server=st.booleans(), fits=st.booleans())
    def replay(self, which: int, message: int, to_server: bool, fits: bool) -> None:
        """A message of another session changes nobody, even one that would be due in this."""
        peer = self._peer(which)
        party, due = (
            (self.server, SENT_BY_CLIENT.get(self.server.stage))
            if to_server
            else (peer.client, self._due_to_client(peer))
        )
        messages = foreign_messages(self.config)
        fitting = [data for data in messages if data[5] == due] if fits else []
        data = (fitting or messages)[message % len(fitting or messages)]
        before = snapshot(party)
        sender = (peer.name,) if to_server else ()
        with pytest.raises(RemoteProtocolError):
            party.receive(*sender, data)
        assert snapshot(party) == before

    def _restart_server(self) -> None:
        data = self.server.to_bytes()
        self.server = self.world.restored_server(data)
        assert self.server.to_bytes() == data
        assert self.server.replies() == self.mail

    def _restart_all(self) -> None:
        self._restart_server()
        for peer in self.peers.values():
            if not peer.vanished:
                peer.restart(forgetful=False)

    def _due_to_client(self, peer: Peer) -> Kind | None:
        signed = self.config.adversary == "malicious"
        flow = Flow.FIVE_STAGES if signed else Flow.FOUR_STAGES
        return SENT_BY_SERVER[flow].get(peer.client.stage)

    def _shuffled(self, order: Random, absent: set[int]) -> list[int]:
        absentees = {self._peer(which).name for which in absent}
        names = [name for name in self.peers if name not in absentees]
        order.shuffle(names)
        return names

    def _peer(self, which: int) -> Peer:
        return self.peers[self.config.ids[which % len(self.config.ids)]]

    def _all_work(self, names: Iterable[int], most: int) -> None:
        for name in names:
            peer = self.peers[name]
            peer.work()
            while peer.able and peer.given and peer.uploading:
                peer.draw()
            for _ in range(most):
                self._post(peer)

    def _echo(self) -> None:
        """Everybody hears and says the last thing again."""
        for name, peer in self.peers.items():
            if peer.taken and not peer.vanished:
                peer.take(peer.taken[max(peer.taken)], honest=False)
            if peer.said:
                self._hear(name, list(peer.said.values())[-1])

    def _post(self, peer: Peer) -> None:
        if peer.outbox:
            self._hear(peer.name, peer.outbox.popleft())

    def _hear(self, name: int, message: bytes) -> None:
        """The server takes the message if and only if it is due."""
        before = snapshot(self.server)
        due = self._due(name, message)
        try:
            self.server.receive(name, message)
        except RemoteProtocolError:
            assert not due
            assert snapshot(self.server) == before
            return
        assert due
        self.heard[name].add(place_of(message))

    def _due(self, name: int, message: bytes) -> bool:
        envelope = wire.open_envelope(message, dict.fromkeys(Kind, len(message)))
        kind, piece = place = place_of(message)
        earlier = {(kind, number) for number in range(piece)}
        return (
            envelope.sender == name
            and kind is SENT_BY_CLIENT.get(self.server.stage)
            and name in self.asked
            and place not in self.heard[name]
            and earlier <= self.heard[name]
        )

    def _answered(self) -> set[int]:
        kind = SENT_BY_CLIENT[self.server.stage]
        last = self.world.session.num_chunks - 1 if kind is Kind.MASKED_INPUT else 0
        return {name for name in self.asked if (kind, last) in self.heard[name]}

    def _needed(self) -> int:
        """How many must answer a stage, at least."""
        session = self.world.session
        if self.server.stage is Stage.UNMASKING:
            return session.threshold
        if self.server.stage is Stage.ADVERTISE_KEYS and self.regular:
            return max(session.survivors, session.neighbors + 1)
        return session.survivors

    def _enough(self, answered: set[int]) -> bool:
        # In a k-regular graph it also matters which ones, and the server says whether they are.
        return len(answered) >= self._needed() and (not self.regular or self.server.ready)

    def _close(self) -> bool:
        """Closes the stage if, and only if, enough have answered."""
        if self.server.finished:
            with pytest.raises(LocalProtocolError):
                self.server.advance()
            return False
        answered = self._answered()
        assert self.server.waiting_for == self.asked - answered
        assert self.server.ready == self._enough(answered)
        if not self.server.ready:
            before = snapshot(self.server)
            with pytest.raises(ThresholdError):
                self.server.advance()
            assert snapshot(self.server) == before
            return False
        if self.server.stage == Stage.MASKED_INPUT:
            self.contributors = sorted(answered)
        self.mail = self.server.advance()
        self.asked = answered
        for name, messages in self.mail.items():
            self.peers[name].inbox.extend(messages)
            self.archive += [(wire.SERVER, message) for message in messages]
        if self.server.finished:
            self._check()
        return True

    def _check(self) -> None:
        """The sum of those whose masked inputs came, bit for bit."""
        result = self.server.result()
        assert result.contributors == tuple(self.contributors)
        inputs = [self.peers[name].encoded for name in self.contributors]
        expected = modular_sum(inputs, self.world.session.layout.modulus_bits)
        np.testing.assert_array_equal(self.server._vectors.total, expected)
        mean = np.mean([self.world.updates[name] for name in self.contributors], axis=0)
        np.testing.assert_allclose(result.mean, mean, atol=2**-11)
        for peer in self.peers.values():
            if peer.client.stage is Stage.FINISHED and not peer.misled:
                assert peer.client.transcript == result.transcript


TestMachine = SessionMachine.TestCase
TestMachine.settings = settings(
    max_examples=150, stateful_step_count=50, deadline=None, derandomize=True
)

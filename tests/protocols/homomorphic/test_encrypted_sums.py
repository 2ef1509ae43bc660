"""Encrypted sums: exact, whoever vanishes, in pieces of any size, saved and restored."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

import fedsecure as fs
from encrypted_sums import ENCODING, IDS, KINDS, QUORUM, Play, identity, policy
from fedsecure import wire
from fedsecure.errors import (
    EncodingError,
    LocalProtocolError,
    RemoteProtocolError,
    ThresholdError,
)
from fedsecure.protocols.homomorphic import (
    KeyHolder,
    PaillierClient,
    PaillierServer,
    ShareHolder,
    ThresholdPaillierServer,
)
from fedsecure.protocols.homomorphic.messages import Kind
from fedsecure.protocols.homomorphic.states import TABLE, Act, Role, Stage, step
from fedsecure.testing import Drop, PlaintextSum, run_session
from paillier_keys import private_key
from parties import make_updates
from threshold_keys import dealt


def same(one: Any, other: Any) -> bool:
    return all(np.array_equal(one[name], other[name]) for name in one)


def open_policy(kind: str, count: int, **options: Any) -> Any:
    """Without identities, as users of `secure_aggregate` have it."""
    if kind == "one key":
        return fs.PaillierSum(private_key(), **options)
    public, shares = dealt(count, (count + 1) // 2 + 1)
    return fs.ThresholdPaillierSum(public, holders=range(count), shares=shares, **options)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("count", "size", "chunk"), [(3, 2, 1), (4, 300, 50), (7, 1000, 1 << 16)])
def test_the_mean_is_that_of_the_plain_sum(
    kind: str, weighted: bool, count: int, size: int, chunk: int
) -> None:
    updates = make_updates(count, size)
    weights = [1.0 + at for at in range(count)] if weighted else None
    options = {"weights": weights, "encoding": ENCODING}
    secret = fs.secure_aggregate(updates, protocol=open_policy(kind, count, chunk=chunk), **options)
    plain = fs.secure_aggregate(updates, protocol=PlaintextSum(), **options)
    assert same(secret.mean, plain.mean)
    assert secret.total_weight == plain.total_weight
    assert secret.contributors == tuple(range(count))
    assert (secret.adversary, len(secret.transcript)) == ("malicious", 32)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("when", ["before", "during"])
def test_who_vanishes_leaves_no_trace(kind: str, when: Any) -> None:
    updates = make_updates(5, 200)
    drop = {1: Drop("ENCRYPTED_INPUT", when)}
    protocol = open_policy(kind, 5, chunk=20)
    result = run_session(updates, protocol=protocol, encoding=ENCODING, drop=drop)
    plain = run_session(
        updates, protocol=PlaintextSum(), encoding=ENCODING, drop={1: Drop("MASKED_INPUT", when)}
    )
    assert (result.contributors, result.dropouts) == ((0, 2, 3, 4), (1,))
    assert same(result.mean, plain.mean)


def test_contributors_need_not_stay_for_one_key_holder() -> None:
    updates = make_updates(4, 100)
    drop = dict.fromkeys(range(4), Drop("ENCRYPTED_INPUT", "after"))
    result = run_session(updates, protocol=open_policy("one key", 4), drop=drop)
    assert result.contributors == (0, 1, 2, 3)


def test_t_holders_of_shares_are_enough_and_fewer_are_not() -> None:
    updates = make_updates(5, 100)
    protocol = open_policy("shares", 5)
    drop = {0: Drop("DECRYPTION", "before")}
    result = run_session(updates, protocol=protocol, encoding=ENCODING, drop=drop)
    assert same(result.mean, run_session(updates, protocol=PlaintextSum(), encoding=ENCODING).mean)
    drop[4] = Drop("DECRYPTION", "before")
    with pytest.raises(ThresholdError, match="3 holders of shares have answered, 4 must"):
        run_session(updates, protocol=protocol, drop=drop)


def test_too_few_inputs_reveal_nothing_and_may_be_waited_for() -> None:
    play = Play.of("one key")
    sent = play.contributions()
    for name in IDS[:3]:
        for message in sent[name]:
            play.server.receive(name, message)
    assert not play.server.ready
    assert play.server.waiting_for == set(IDS[3:])
    with pytest.raises(ThresholdError, match="3 of 5 clients have contributed, 4 must"):
        play.server.advance()
    for message in sent[IDS[3]]:
        play.server.receive(IDS[3], message)
    assert play.server.ready
    assert play.finish().contributors == IDS[:4]


def test_without_a_key_one_process_makes_one() -> None:
    updates = make_updates(3, 20)
    result = fs.secure_aggregate(updates, protocol=fs.PaillierSum(), encoding=ENCODING)
    assert same(result.mean, fs.secure_aggregate(updates, encoding=ENCODING).mean)


def test_learning_goes_on_top() -> None:
    algorithm = fs.federated_averaging(
        lambda params, data: ({"w": params["w"] + 0.5 * (data - params["w"])}, 1),
        aggregate=partial(fs.secure_aggregate, protocol=fs.PaillierSum(private_key())),
    )
    state = algorithm.init({"w": np.zeros(2)})
    for _ in range(3):
        state, _ = algorithm.apply(state, [np.full(2, value) for value in (0.0, 1.0, 2.0)])
    assert np.allclose(state.params["w"], 0.875, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupted_upload_begins_again(kind: str) -> None:
    play = Play.of(kind, chunk=50)
    name = IDS[0]
    first = next(iter(play.clients[name].start()))
    play.server.receive(name, first)
    update = make_updates(len(IDS), 300)[0]
    play.parties[name] = play.protocol.client(play.session, name, update)
    play.contribute()
    assert play.finish().contributors == IDS


@pytest.mark.parametrize("kind", KINDS)
def test_parties_are_saved_between_any_two_messages(kind: str) -> None:
    play = Play.of(kind, chunk=100)
    public, shares = dealt(5, QUORUM)
    indices = {name: at for at, name in enumerate(IDS, 1)}

    def server(data: bytes) -> Any:
        if kind == "one key":
            return PaillierServer.from_bytes(data, private_key().public, play.session)
        return ThresholdPaillierServer.from_bytes(data, public, indices, play.session)

    def party(name: int, data: bytes) -> Any:
        if name == wire.KEY_HOLDER:
            return KeyHolder.from_bytes(data, private_key())
        if kind == "one key":
            return PaillierClient.from_bytes(data, private_key().public, identity(name))
        return ShareHolder.from_bytes(data, shares[indices[name] - 1], identity(name))

    for name, messages in play.contributions().items():
        play.parties[name] = party(name, play.parties[name].to_bytes())
        for message in messages:
            play.server.receive(name, message)
            play.server = server(play.server.to_bytes())
    mail = play.server.advance()
    assert server(play.server.to_bytes()).replies() == mail == play.server.replies()
    for name, inbox in mail.items():
        for message in inbox:
            if message[5] in (Kind.AUDIT, Kind.ENCRYPTED_INPUT):
                play.parties[name] = kept(name, play.parties[name], party)
            for answer in play.parties[name].receive(message):
                play.server.receive(name, answer)
                play.server = server(play.server.to_bytes())
        assert party(name, play.parties[name].to_bytes()).finished
    play.server.advance()
    plain = fs.secure_aggregate(
        make_updates(len(IDS), 300), protocol=PlaintextSum(), encoding=ENCODING
    )
    assert same(play.server.result().mean, plain.mean)


def kept(name: int, one: Any, restore: Any) -> Any:
    """The party restored, where it can be saved: not in the middle of a contribution."""
    try:
        data = one.to_bytes()
    except LocalProtocolError:
        return one
    return restore(name, data)


@pytest.mark.parametrize("kind", KINDS)
def test_saved_bytes_that_are_damaged_or_of_others_are_refused(kind: str) -> None:
    play = Play.of(kind)
    play.contribute()
    data = play.server.to_bytes()
    other = Play.of(kind).session
    public, _ = dealt(5, QUORUM)

    def restore(data: bytes, session: Any = None) -> Any:
        if kind == "one key":
            return PaillierServer.from_bytes(data, private_key().public, session)
        return ThresholdPaillierServer.from_bytes(data, public, {}, session)

    for wrong in (data[:-1], data + b"\0", bytes(200), play.parties[IDS[0]].to_bytes()):
        with pytest.raises(LocalProtocolError):
            restore(wrong)
    with pytest.raises(LocalProtocolError, match="another session"):
        restore(data, other)


def test_every_event_that_is_not_in_the_table_is_refused() -> None:
    for role in Role:
        for stage in Stage:
            for event in (*Kind, *Act):
                if event in TABLE[role].get(stage, {}):
                    assert step(role, stage, event) in Stage
                    continue
                error = RemoteProtocolError if isinstance(event, Kind) else LocalProtocolError
                with pytest.raises(error):
                    step(role, stage, event)


def test_callers_are_told_what_is_missing() -> None:
    play = Play.of("one key")
    with pytest.raises(LocalProtocolError, match="no result"):
        play.server.result()
    client = play.protocol.client(play.session, IDS[0])
    with pytest.raises(LocalProtocolError, match="set_update"):
        client.start()
    with pytest.raises(EncodingError, match="finite"):
        client.set_update({"a": np.full(150, np.nan), "b": np.zeros(150, np.float32)})
    client.set_update(make_updates(1, 300)[0])
    with pytest.raises(LocalProtocolError, match="has its update"):
        client.set_update(make_updates(1, 300)[0])
    list(client.start())
    with pytest.raises(LocalProtocolError, match="cannot start"):
        client.start()
    holder = play.parties[wire.KEY_HOLDER]
    with pytest.raises(LocalProtocolError, match="no update"):
        holder.set_update({})
    assert "hidden" in repr(private_key())
    for party in (client, holder, play.server):
        assert "stage" in repr(party)
        with pytest.raises(LocalProtocolError, match="neither copied nor pickled"):
            party.__reduce_ex__(4)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"key": 5}, LocalProtocolError, "give a PublicKey"),
        ({"min_inputs": 2}, ThresholdError, "fewer than 3"),
        ({"min_inputs": 3.0}, LocalProtocolError, "plain int"),
        ({"chunk": 0}, LocalProtocolError, "chunk"),
        ({"identities": [1]}, LocalProtocolError, "no mapping"),
    ],
)
def test_policies_refuse_what_makes_no_sense(
    options: dict[str, Any], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        fs.PaillierSum(**options)


def test_dealings_need_a_holder_for_every_share() -> None:
    public, shares = dealt(5, QUORUM)
    with pytest.raises(LocalProtocolError, match="4 holders for 5 shares"):
        fs.ThresholdPaillierSum(public, holders=(1, 2, 3, 4))
    with pytest.raises(LocalProtocolError, match="belong to a dealing"):
        fs.ThresholdPaillierSum(shares=shares)
    identities = {name: identity(name) for name in IDS}
    lonely = fs.ThresholdPaillierSum(public, holders=IDS, identities=identities)
    session = Play.of("shares").session
    with pytest.raises(LocalProtocolError, match="own object has shares"):
        lonely.client(session, IDS[0])


@pytest.mark.parametrize("kind", KINDS)
def test_clients_without_the_key_cannot_play_the_holder(kind: str) -> None:
    play = Play.of("one key")
    public = fs.PaillierSum(private_key().public, identities={name: identity(name) for name in IDS})
    assert public.client(play.session, IDS[0]).client_id == IDS[0]
    with pytest.raises(LocalProtocolError, match="PrivateKey"):
        public.key_holder(play.session)
    with pytest.raises(LocalProtocolError, match="protocol"):
        policy("shares").server(play.session)
    with pytest.raises(LocalProtocolError, match="there is no key"):
        fs.PaillierSum(identities={name: identity(name) for name in IDS}).server(play.session)

"""The client: one update, one upload, one answer per stage; and the secrets it does not show."""

from __future__ import annotations

import copy
import gc
import pickle

import numpy as np
import pytest

from fedsecure import wire
from fedsecure.errors import CryptoError, EncodingError, LocalProtocolError, RemoteProtocolError
from fedsecure.primitives import entropy
from fedsecure.primitives.keys import PrivateKey
from fedsecure.protocols.masking import client as masking_client
from fedsecure.protocols.masking.states import Stage
from parties import ENCODING, Parties, body_of, make_updates


def test_an_update_may_come_late_but_only_once() -> None:
    parties = Parties(4)
    updates = make_updates(4)
    late = parties.protocol.client(parties.session, 2)
    parties.clients[2] = late
    parties.until(Stage.MASKED_INPUT)
    for _ in range(2):
        with pytest.raises(LocalProtocolError, match="give this client its update first"):
            parties.answer(2)
        assert late.stage is Stage.MASKED_INPUT
    late.set_update(updates[2])
    with pytest.raises(LocalProtocolError, match="second one under the same masks"):
        late.set_update(updates[2])
    parties.inputs[2] = late._input._contribution.encode(0, 50)
    parties.finish()
    assert parties.server.result().contributors == (0, 1, 2, 3)
    with pytest.raises(LocalProtocolError, match="second one under the same masks"):
        late.set_update(updates[2])


def test_too_late_for_an_update() -> None:
    parties = Parties(4).until(Stage.SHARE_KEYS)
    client = parties.protocol.client(parties.session, 0)
    client.start()
    with pytest.raises(RemoteProtocolError, match="this client's keys"):
        client.receive(parties.mail[1][0])
    with pytest.raises(LocalProtocolError, match=r"too late.*ABORTED"):
        client.set_update(make_updates(1)[0])


@pytest.mark.parametrize(
    ("update", "reason"),
    [
        ({"a": np.zeros(25)}, "leaf 'b' is missing"),
        ({"a": np.zeros(25), "b": np.zeros(25)}, "leaf 'b' has dtype float64, expected float32"),
        ({"a": np.zeros(24), "b": np.zeros(26, "f4")}, r"shape \(24,\), expected \(25,\)"),
        ({"a": np.zeros(25, int), "b": np.zeros(25, "f4")}, "'a'"),
        ({"a": np.full(25, np.nan), "b": np.zeros(25, "f4")}, "'a' has 25 NaN"),
        ({"a": np.full(25, 4.5), "b": np.zeros(25, "f4")}, "outside"),
        ([], "no values"),
    ],
)
def test_a_bad_update_is_refused_and_a_good_one_still_welcome(update: object, reason: str) -> None:
    parties = Parties(4)
    client = parties.protocol.client(parties.session, 0)
    with pytest.raises(EncodingError, match=reason):
        client.set_update(update)
    with pytest.raises(EncodingError, match=reason):
        parties.protocol.client(parties.session, 0, update)
    client.set_update(make_updates(1)[0])
    parties.clients[0] = client
    parties.inputs[0] = client._input._contribution.encode(0, 50)
    parties.finish()


def test_weights_belong_to_weighted_sessions() -> None:
    plain = Parties(3)
    with pytest.raises(EncodingError, match="weight"):
        plain.protocol.client(plain.session, 0, make_updates(1)[0], 2.0)
    encoding = type(ENCODING)(4.0, 12, max_weight=8.0)
    weighted = Parties(3, weights=[1.0, 2.0, 3.0], encoding=encoding)
    for bad in (None, 0.0, -1.0, 8.5, float("nan"), float("inf"), 1e-9):
        with pytest.raises(EncodingError, match="weight"):
            weighted.protocol.client(weighted.session, 0, make_updates(1)[0], bad)
    weighted.finish()


def test_the_masked_input_is_made_once() -> None:
    """Made again after the arrays changed, it would carry the difference in the clear."""
    parties = Parties(4, size=40, chunk=16).until(Stage.MASKED_INPUT)
    client, updates = parties.clients[0], parties.clients[0]._input._contribution
    assert updates is not None
    upload = client.receive(parties.mail[0][0])
    assert iter(upload) is upload
    first = next(upload)
    assert client.stage is Stage.UNMASKING
    with pytest.raises(RemoteProtocolError, match="no place in stage UNMASKING"):
        client.receive(parties.mail[0][0])
    rest = list(upload)
    assert len(rest) == 2
    assert list(upload) == []
    with pytest.raises(LocalProtocolError, match="wiped"):
        updates.encode(0, 1)
    for message in [first, *rest]:
        parties.server.receive(0, message)
    parties.finish_stage_of([1, 2, 3])
    parties.finish()


def test_the_upload_must_be_drawn_before_unmasking() -> None:
    parties = Parties(4, size=40, chunk=16).until(Stage.MASKED_INPUT)
    client = parties.clients[0]
    upload = client.receive(parties.mail[0][0])
    next(upload)
    parties.send([1, 2, 3])
    request = parties.server.advance()[1][0]  # says that client 0 is dead
    for _ in range(2):
        with pytest.raises(LocalProtocolError, match="draw all messages"):
            client.receive(request)
        assert client.stage is Stage.UNMASKING
    assert len(list(upload)) == 2


def test_arrays_that_change_under_way_end_the_session() -> None:
    updates = make_updates(4, 40)
    parties = Parties(4, size=40, chunk=16, updates=updates).until(Stage.MASKED_INPUT)
    client = parties.clients[0]
    upload = client.receive(parties.mail[0][0])
    parties.server.receive(0, next(upload))
    updates[0]["b"][:] = np.nan
    with pytest.raises(EncodingError, match="changed"):
        list(upload)
    assert client.stage is Stage.ABORTED
    assert list(upload) == []
    parties.finish_stage(absent=[0])
    parties.finish_stage()
    assert parties.server.result().contributors == (1, 2, 3)
    parties.check()


def secrets_of(client: object) -> list[entropy.Secret]:
    """All secrets that a party still refers to, at any depth."""
    found, todo, seen = [], [client], set()
    while todo:
        item = todo.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, entropy.Secret):
            found.append(item)
        elif type(item).__module__.startswith("fedsecure"):
            todo.extend(gc.get_referents(item))
            todo.extend(vars(item).values() if hasattr(item, "__dict__") else ())
            slots = getattr(type(item), "__slots__", ())
            todo.extend(getattr(item, slot) for slot in slots if hasattr(item, slot))
    return found


def test_secrets_are_wiped_as_soon_as_they_are_not_needed() -> None:
    parties = Parties(4)
    client = parties.clients[0]
    assert sum(not secret.wiped for secret in secrets_of(client)) == 3  # c_u, s_u, rounding
    parties.until(Stage.SHARE_KEYS)
    parties.answer(0)
    assert client._share_secret.wiped
    assert client._mask_secret.wiped
    keyring = client._keyring
    assert keyring is not None
    assert keyring._outward.wiped  # each of these keys may encrypt one message only
    kept = (keyring._inward, keyring._pair_seeds, keyring._self_seed, keyring._own_share)
    assert not any(secret.wiped for secret in kept)
    with pytest.raises(CryptoError, match="wiped"):
        keyring.distribute(entropy.draw(32), entropy.draw(32), 3)


def test_private_keys_are_made_once_and_kept_no_longer_than_their_secrets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = []

    def private_key(secret: entropy.Secret) -> PrivateKey:
        made.append(secret)
        return PrivateKey(secret)

    monkeypatch.setattr(masking_client, "PrivateKey", private_key)
    parties = Parties(4).until(Stage.SHARE_KEYS)
    client = parties.clients[0]
    assert client._keys is not None
    parties.answer(0)
    assert client._keys is None
    assert len(made) == 2 * 4
    ended = parties.clients[1]
    ended._abort()
    assert ended._keys is None


def test_keys_are_wiped_once_the_masked_input_is_made() -> None:
    parties = Parties(4, size=40, chunk=16).until(Stage.MASKED_INPUT)
    client = parties.clients[0]
    upload = client.receive(parties.mail[0][0])
    keyring, masks = client._keyring, client._input._masks
    assert keyring is not None
    assert masks is not None
    used = (masks._seeds, keyring._pair_seeds, keyring._self_seed, client._input._rounding)
    assert keyring._inward.wiped
    assert not any(secret.wiped for secret in used)
    list(upload)
    assert all(secret.wiped for secret in used)
    assert not keyring._held.wiped  # the shares are needed for unmasking


@pytest.mark.parametrize("end", ["finished", "aborted"])
def test_nothing_secret_is_left_at_the_end(end: str) -> None:
    parties = Parties(4)
    client = parties.clients[0]
    if end == "finished":
        parties.finish()
    else:
        parties.until(Stage.UNMASKING)
        bad = wire.seal(
            b"\x91\x91\x00",
            kind=6,
            suite=1,
            session_id=parties.session.session_id,
            round_number=0,
            sender=wire.SERVER,
        )
        with pytest.raises(RemoteProtocolError, match="itself dead"):
            client.receive(bad)
    held = secrets_of(client)
    assert len(held) > 5
    assert all(secret.wiped for secret in held)
    assert not any(any(secret._data) for secret in held)


def test_nothing_secret_is_printed(known_entropy: list[bytes]) -> None:
    parties = Parties(4, size=8)
    shown = []
    while not parties.server.finished:
        shown += [f"{party!r} {party}" for party in (*parties.clients.values(), parties.server)]
        parties.finish_stage()
    text = " ".join(shown)
    assert "MaskingClient 2 in stage UNMASKING" in text
    assert "4 of 4" not in text
    assert "0 of 4 clients have answered" in text
    for data in known_entropy[1:]:
        assert data.hex() not in text
        assert repr(data) not in text


@pytest.mark.parametrize("clone", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_client_is_not_cloned(clone: object) -> None:
    """A12: two copies of one client could answer one stage in two ways."""
    with pytest.raises(LocalProtocolError, match="neither copied nor pickled"):
        clone(Parties(3).clients[0])


def test_no_two_sessions_share_anything_secret() -> None:
    """Same updates, same roster: other keys, other masks, other rounding."""
    first, second = Parties(4), Parties(4)
    assert first.session.session_id != second.session.session_id
    seen = []
    for parties in (first, second):
        frames = []
        while not parties.server.finished:
            for name in parties.mail:
                for message in parties.answer(name):
                    frames.append(bytes(body_of(message)))
                    parties.server.receive(name, message)
            parties.mail = parties.server.advance()
        seen.append(frames)
    assert len(seen[0]) == len(seen[1])
    assert all(one != other for one, other in zip(*seen, strict=True))


def test_a_setting_that_cannot_be_used_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    parties = Parties(3)
    for value in ("two", "-1", "1.5", "", "99999"):
        monkeypatch.setenv("FEDSECURE_THREADS", value)
        with pytest.raises(LocalProtocolError, match="FEDSECURE_THREADS"):
            parties.protocol.client(parties.session, 0, make_updates(1)[0])
        with pytest.raises(LocalProtocolError, match="FEDSECURE_THREADS"):
            parties.protocol.server(parties.session)
    monkeypatch.setenv("FEDSECURE_THREADS", "2")
    parties.finish()


def test_without_entropy_the_session_ends_and_the_error_is_the_real_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parties = Parties(4).until(Stage.SHARE_KEYS)
    client = parties.clients[0]

    def nothing(size: int) -> bytes:
        raise CryptoError("no randomness")

    monkeypatch.setattr(entropy, "_system", nothing)
    with pytest.raises(CryptoError, match="no randomness"):
        client.receive(parties.mail[0][0])
    assert client.stage is Stage.ABORTED
    assert all(secret.wiped for secret in secrets_of(client))


def test_reprs_of_the_parts() -> None:
    parties = Parties(4, size=40, chunk=16).until(Stage.MASKED_INPUT)
    client = parties.clients[0]
    assert repr(client._keyring) == "KeyRing(client 0, contents hidden)"
    upload = client.receive(parties.mail[0][0])
    next(upload)
    assert repr(upload) == "Upload(1 of 3 messages made)"
    assert repr(client._input._masks) == "MaskSet(4 masks, seeds hidden)"

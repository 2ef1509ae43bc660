"""What leaves a party beside the sum: by masking twice, by sizes, and by the sum itself."""

from __future__ import annotations

import copy
import os
import pickle
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import fedsecure as fs
from attackers import SETTINGS, Spy, parties_of, unpacked
from fedsecure.aggregate import play
from fedsecure.encoding import Contribution, FixedPoint
from fedsecure.errors import FedSecureError, LocalProtocolError, RemoteProtocolError
from fedsecure.protocols.masking import MaskingClient
from fedsecure.protocols.masking.states import Stage
from fedsecure.testing import PlaintextSum
from parties import LEVELS, Parties, make_updates, modular_sum

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

VICTIM = 0
NEAREST = FixedPoint(clip=4.0, bits=12, rounding="nearest")
BEFORE_UPLOAD = (Stage.ADVERTISE_KEYS, Stage.SHARE_KEYS, Stage.MASKED_INPUT)


# --- one mask, two inputs ---------------------------------------------------------------------


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_second_update_is_refused_at_every_stage(setting: str) -> None:
    """[A12] Also the same one again, also after the end."""
    parties = parties_of(setting)
    client = parties.clients[VICTIM]
    while True:
        for update in (make_updates(1)[0], make_updates(1, seed=2)[0]):
            with pytest.raises(LocalProtocolError, match="second one under the same masks"):
                client.set_update(update)
        if parties.server.finished:
            break
        parties.finish_stage()
    parties.check()


@pytest.mark.parametrize("clone", [copy.copy, copy.deepcopy, pickle.dumps])
@pytest.mark.parametrize("setting", SETTINGS)
def test_a_party_is_not_cloned_at_any_stage(setting: str, clone: Callable[[Any], Any]) -> None:
    """[A12] Two of one kind could answer one stage with two different things."""
    parties = parties_of(setting)
    while not parties.server.finished:
        for party in (parties.clients[VICTIM], parties.server):
            with pytest.raises(LocalProtocolError, match="neither copied nor pickled"):
                clone(party)
        parties.finish_stage()


@pytest.mark.parametrize("clone", [copy.copy, copy.deepcopy, pickle.dumps])
def test_what_a_client_is_made_of_is_not_cloned(clone: Callable[[Any], Any]) -> None:
    """[A12] Nor its identity and its secrets."""
    parties = Parties(5, adversary="malicious")
    secret = parties.clients[VICTIM]._mask_secret
    for part in (parties.protocol.identity_of(VICTIM), secret):
        with pytest.raises(FedSecureError, match="neither copied nor pickled"):
            clone(part)


def in_a_fork(action: Callable[[], object]) -> str:
    """What the action raised in a forked child, as its class's name; empty if nothing."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads, from 3.12
        child = os.fork()
    if child == 0:
        said = ""
        try:
            action()
        except BaseException as error:  # whatever it is, the parent judges
            said = type(error).__name__
        finally:
            os.write(writer, said.encode())
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        said = pipe.read().decode()
    os.waitpid(child, 0)
    return said


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.parametrize("setting", SETTINGS)
def test_a_forked_child_does_not_go_on_with_the_client(setting: str) -> None:
    """[A12] Whatever stage it stands in: the parent answers, the child does not."""
    parties = parties_of(setting)
    client, server = parties.clients[VICTIM], parties.server
    while not server.finished:
        assert in_a_fork(lambda: parties.answer(VICTIM)) == "LocalProtocolError"
        assert in_a_fork(server.advance) == "LocalProtocolError"
        parties.finish_stage()
    parties.check()
    assert client.finished


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_does_not_go_on_with_an_upload() -> None:
    """[A12] Half of the masked input is made when the process forks."""
    parties = Parties(4, adversary="malicious").until(Stage.MASKED_INPUT)
    upload = parties.clients[VICTIM].receive(parties.mail[VICTIM][0])
    first = next(upload)
    assert in_a_fork(lambda: next(upload)) == "LocalProtocolError"
    assert in_a_fork(lambda: 1) == ""  # the fork itself is none of the library's business
    for message in (first, *upload):
        parties.server.receive(VICTIM, message)
    parties.finish_stage_of([1, 2, 3])
    parties.finish()


def at_upload(**more: Any) -> tuple[Parties, bytes, bytes]:
    """A client that has its update and was saved before its masked input, and its mail."""
    parties = Parties(4, adversary="malicious", encoding=NEAREST, **more)
    parties.until(Stage.MASKED_INPUT)
    return parties, parties.clients[VICTIM].to_bytes(), parties.mail[VICTIM][0]


def restored(parties: Parties, data: bytes) -> MaskingClient:
    return MaskingClient.from_bytes(data, parties.protocol.identity_of(VICTIM))


def test_a_restored_client_takes_no_other_update() -> None:
    """[A12] Its bytes know the update by a digest: one value more or less, and it is refused."""
    parties, data, _ = at_upload()
    good = make_updates(4)[VICTIM]
    others = []
    for leaf, change in (("a", 2**-20), ("b", -0.25)):
        other = {name: values.copy() for name, values in good.items()}
        other[leaf][7] += change
        others.append(other)
    client = restored(parties, data)
    for other in others:
        with pytest.raises(LocalProtocolError, match="had another update"):
            client.set_update(other)
    client.set_update(good)
    parties.clients[VICTIM] = client
    parties.finish()


@pytest.mark.parametrize("drawn", [0, 1, 4])
def test_a_client_restored_in_the_middle_takes_no_other_update(drawn: int) -> None:
    """[A12] With some of the pieces sent, and when all of them are."""
    parties = Parties(4, adversary="malicious", encoding=NEAREST).until(Stage.MASKED_INPUT)
    upload = iter(parties.clients[VICTIM].receive(parties.mail[VICTIM][0]))
    sent = [next(upload) for _ in range(drawn)]
    client = restored(parties, parties.clients[VICTIM].to_bytes())
    with pytest.raises(LocalProtocolError, match=r"had another update|too late|second one"):
        client.set_update(make_updates(1, seed=2)[0])
    if drawn < 4:
        client.set_update(make_updates(4)[VICTIM])
    for message in (*sent, *client.resume()):
        parties.server.receive(VICTIM, message)
    parties.clients[VICTIM] = client
    parties.finish_stage_of([1, 2, 3])
    parties.finish()


def test_a_restored_client_repeats_itself_to_the_byte() -> None:
    """[A12] From the same bytes and update comes the same upload: the difference is nothing."""
    parties, data, mail = at_upload()
    uploads = []
    for _ in range(2):
        client = restored(parties, data)
        client.set_update(make_updates(4)[VICTIM])
        uploads.append(list(client.receive(mail)))
    assert uploads[0] == uploads[1]
    assert uploads[0] == list(parties.clients[VICTIM].receive(mail))


def test_negative_control_two_updates_under_one_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    """[A12] If it took another update, the difference of the two would be there to read."""
    monkeypatch.setattr(Contribution, "fingerprint", lambda _: bytes(32))
    parties, data, mail = at_upload()
    dtype = parties.session.layout.dtype
    vectors, plain = [], []
    for seed in (1, 2):
        update = make_updates(4, seed=seed)[VICTIM]
        client = restored(parties, data)
        client.set_update(update)
        vectors.append(unpacked(client.receive(mail), dtype))
        plain.append(np.round(np.concatenate(list(update.values())).astype(float) * 2**12))
    modulus = 2**parties.session.layout.modulus_bits
    difference = (vectors[0].astype(np.int64) - vectors[1].astype(np.int64)) % modulus
    np.testing.assert_array_equal(difference, (plain[0] - plain[1]).astype(np.int64) % modulus)


def test_arrays_that_change_after_they_were_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """[A12] A second delivery does not make the vector anew from what the arrays hold then."""
    updates = make_updates(4)
    parties = Parties(4, adversary="malicious", updates=updates).until(Stage.MASKED_INPUT)
    mail = parties.mail[VICTIM][0]
    client = parties.clients[VICTIM]
    first = list(client.receive(mail))
    updates[VICTIM]["a"] += 0.5
    with pytest.raises(RemoteProtocolError, match="no place in stage"):
        client.receive(mail)
    assert list(client.resume()) == []
    assert len(first) == 4


# --- sizes and plain fields -------------------------------------------------------------------


def frames(setting: str, updates: list[Any], **more: Any) -> list[tuple[str, int, str, int]]:
    """Direction, client, stage and length of every message of a session with one dropout."""
    count = len(updates)
    parties = parties_of(setting, count, updates=updates, session_id=bytes(16), **more)
    seen: list[tuple[str, int, str, int]] = []
    play(
        parties.server,
        parties.clients,
        drop={2: "SHARE_KEYS"} if setting != "regular" else {},
        observe=lambda to, name, stage, data: seen.append((to, name, stage, len(data))),
    )
    return seen


def pairs(count: int) -> Iterable[tuple[str, list[Any], list[Any]]]:
    zeros = [{"a": np.zeros(25), "b": np.zeros(25, np.float32)} for _ in range(count)]
    loud = make_updates(count)
    yield "values", zeros, loud
    sparse = [{"a": np.eye(1, 25)[0], "b": np.zeros(25, np.float32)} for _ in range(count)]
    yield "sparse", sparse, loud
    over = [{name: values * 1e9 for name, values in update.items()} for update in loud]
    yield "clipped", zeros, over


@pytest.mark.parametrize("setting", SETTINGS)
def test_no_frame_tells_values_weights_or_counts(setting: str) -> None:
    """[A17] Values, how many are zero, how many were clipped, and the weights: equal lengths."""
    count = 12 if setting == "regular" else 5
    encoding = FixedPoint(4.0, 12, max_weight=2.0**20, overflow="clip")
    light = [1.0] * count
    heavy = [2.0**20, *([0.5] * (count - 2)), 7.0]
    for _, one, other in pairs(count):
        quiet = frames(setting, one, weights=light, encoding=encoding)
        assert quiet == frames(setting, other, weights=heavy, encoding=encoding)
        lengths: dict[str, set[int]] = {}
        for to, _, stage, size in quiet:
            if to == "to_server" and stage != Stage.MASKED_INPUT:
                lengths.setdefault(stage, set()).add(size)
        assert setting == "regular" or all(len(sizes) == 1 for sizes in lengths.values())


@pytest.mark.parametrize("setting", SETTINGS)
def test_no_plain_field_varies_with_the_update(setting: str) -> None:
    """[A17] Beside the packed elements every byte of an upload follows from the configuration."""
    heads = []
    for seed in (1, 2):
        count = 12 if setting == "regular" else 5
        updates = make_updates(count, seed=seed)
        parties = parties_of(setting, count, updates=updates, session_id=bytes(16))
        parties.until(Stage.MASKED_INPUT)
        # 44 bytes of envelope, then bits, count and index of the piece in 13.
        heads.append([message[:57] for message in parties.answer(VICTIM)])
    assert heads[0] == heads[1]
    assert len(heads[0]) == 4


def test_negative_control_a_protocol_that_shows_its_weights() -> None:
    """[A17] The plain sum carries the update in the clear, and this is how one sees it."""
    protocol = PlaintextSum()
    session = protocol.session(
        client_ids=range(3),
        spec=Parties(3, updates=make_updates(3)).session.spec,
        encoding=FixedPoint(4.0, 12, rounding="nearest"),
    )
    client = protocol.client(session, 0, make_updates(3)[0])
    vector = unpacked(client.start(), session.layout.dtype)
    values = np.concatenate(list(make_updates(3)[0].values())).astype(float)
    modulus = 2**session.layout.modulus_bits
    np.testing.assert_array_equal(vector, np.round(values * 2**12).astype(np.int64) % modulus)


def test_what_the_server_keeps_is_the_sum_alone() -> None:
    """[A17] Of four uploads the server has one vector, which is their sum under masks."""
    parties = Parties(4, adversary="malicious")
    spy = Spy(parties).until(Stage.MASKED_INPUT)
    spy.finish_stage()
    bits = parties.session.layout.modulus_bits
    masked = modular_sum(list(spy.vectors.values()), bits)
    modulus = 2**bits
    np.testing.assert_array_equal(parties.total.astype(object) % modulus, masked.astype(object))
    plain = modular_sum(list(parties.inputs.values()), bits)
    assert (plain != masked).mean() > 0.9
    for vector in spy.vectors.values():
        assert vector.tobytes() not in parties.server.to_bytes()


# --- what the sum itself says -----------------------------------------------------------------


@pytest.mark.parametrize("adversary", LEVELS)
def test_a_result_says_that_it_is_not_private(adversary: str) -> None:
    """[A27] No level of secure aggregation is differential privacy, and none claims to be."""
    result = fs.secure_aggregate(make_updates(4), protocol=fs.PairwiseMasking(adversary))
    assert not result.privacy.private
    assert str(result.privacy).startswith("no differential privacy")
    assert "epsilon is infinite" in str(result.privacy)
    assert "4 clients" in str(result.privacy)
    assert result.adversary == adversary


def test_what_is_not_protected_at_all_says_so_too() -> None:
    """[A27] The plain sum: no adversary, no privacy."""
    result = fs.secure_aggregate(make_updates(4), protocol=PlaintextSum())
    assert result.adversary == "none"
    assert not result.privacy.private
    assert "no differential privacy" in str(result.privacy)


@pytest.mark.parametrize("privacy", [True, 1.0, "gaussian", object()])
def test_privacy_that_is_not_there_is_not_promised(privacy: object) -> None:
    """[A27] To ask for it is an error, not a silent no."""
    with pytest.raises(FedSecureError, match="give a mechanism"):
        fs.secure_aggregate(make_updates(4), privacy=privacy)


def test_the_exact_sum_tells_whether_a_client_was_in_it() -> None:
    """[A27] Why the report is right: who knows a client's update can tell from two sums."""
    updates = make_updates(5)
    encoding = FixedPoint(4.0, 12, rounding="nearest")
    with_it = fs.secure_aggregate(updates, encoding=encoding)
    without = fs.secure_aggregate(updates[:4], encoding=encoding)
    found = 5 * with_it.mean["a"] - 4 * without.mean["a"]
    np.testing.assert_allclose(found, updates[4]["a"], atol=5 * 2**-12)

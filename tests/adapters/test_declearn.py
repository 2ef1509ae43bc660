"""The door to declearn: the plug-in on its own, and in whole trainings over a local socket."""

from __future__ import annotations

import asyncio
import itertools
import socket

import numpy as np
import pytest

from fedsecure.errors import CryptoError, EncodingError, RemoteProtocolError, ThresholdError

pytest.importorskip("declearn")
pytest.importorskip("websockets")
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from declearn.aggregator import AveragingAggregator, ModelUpdates
from declearn.communication.websockets import WebsocketsClient, WebsocketsServer
from declearn.dataset import InMemoryDataset
from declearn.main import FederatedClient, FederatedServer
from declearn.main.config import (
    EvaluateConfig,
    FLOptimConfig,
    FLRunConfig,
    RegisterConfig,
    TrainingConfig,
)
from declearn.messaging import SerializedMessage, TrainReply
from declearn.model.sklearn import NumpyVector, SklearnSGDModel
from declearn.secagg.messaging import SecaggTrainReply, aggregate_secagg_messages
from declearn.secagg.utils import IdentityKeys
from declearn.utils.serialize import msgpack_deserialize, msgpack_serialize
from websockets.exceptions import ConnectionClosed

from fedsecure.adapters.declearn import (
    FedsecureAggregate,
    FedsecureConfigClient,
    FedsecureConfigServer,
    FedsecureDecrypter,
    FedsecureEncrypter,
)
from fedsecure.primitives.masks import MaskSet

NAMES = [bytes([k]) * 32 for k in range(3)]
PAIRS = {
    frozenset(pair): bytes([65 + at]) * 32
    for at, pair in enumerate(itertools.combinations(NAMES, 2))
}
STEP = 3 * 2.0**-40  # three clients, each rounds once; the step is far smaller still


def encrypters(bitsize: int = 64, clipval: float = 1e3):
    return [
        FedsecureEncrypter(
            {peer: PAIRS[frozenset((own, peer))] for peer in NAMES if peer != own},
            own,
            bitsize=bitsize,
            clipval=clipval,
        )
        for own in NAMES
    ]


def decrypter(bitsize: int = 64, clipval: float = 1e3) -> FedsecureDecrypter:
    return FedsecureDecrypter(3, bitsize=bitsize, clipval=clipval)


@pytest.mark.parametrize("bitsize", [16, 32, 45, 64])
def test_every_kind_of_value_is_summed(bitsize: int) -> None:
    clip = 2.0
    crypters, opens = encrypters(bitsize, clip), decrypter(bitsize, clip)
    tolerance = 3 * 4 * clip * 3 / 2**bitsize
    floats = [crypter.encrypt_float(0.25 * k) for k, crypter in enumerate(crypters)]
    assert opens.decrypt_float(opens.sum_encrypted(floats)) == pytest.approx(0.75, abs=tolerance)
    counts = [crypter.encrypt_uint(10 + k) for k, crypter in enumerate(crypters)]
    assert opens.decrypt_uint(opens.sum_encrypted(counts)) == 33
    for dtype in (np.float32, np.float64, np.int16, np.uint8):
        arrays = [np.arange(5, dtype=dtype).reshape(5, 1) % 2 + k % 2 for k in range(3)]
        arrays = [array.astype(dtype) for array in arrays]
        given = [c.encrypt_numpy_array(a) for c, a in zip(crypters, arrays, strict=True)]
        (first, specs), (second, _), (third, _) = given
        summed = first[0].plus(second[0]).plus(third[0])
        found = opens.decrypt_numpy_array([summed], specs)
        assert found.dtype == dtype
        np.testing.assert_allclose(found, sum(arrays), atol=tolerance)


def reply(k: int) -> TrainReply:
    updates = ModelUpdates(NumpyVector({"w": np.full((2, 3), k / 3), "b": np.array([-0.5])}), k + 1)
    return TrainReply(n_epoch=1, n_steps=7, t_spent=0.1, updates=updates, aux_var={})


def test_a_training_reply_travels_and_adds_up_to_the_plain_sum() -> None:
    sent = [
        SecaggTrainReply.from_cleartext_message(reply(k), crypter).serialize()
        for k, crypter in enumerate(encrypters())
    ]
    received = {
        str(at): SerializedMessage.from_bin_message(data).deserialize()
        for at, data in enumerate(sent)
    }
    found = aggregate_secagg_messages(received, decrypter())
    plain = sum((reply(k).updates for k in (1, 2)), reply(0).updates)
    assert found.n_steps == 21
    for name, value in plain.updates.coefs.items():
        np.testing.assert_allclose(found.updates.updates.coefs[name], value, atol=STEP)


def test_no_client_s_values_are_in_what_it_sends() -> None:
    (first, *_) = encrypters()
    vector = NumpyVector({"w": np.zeros(4096)})
    (packed,), _ = first.encrypt_vector(vector)
    again, _ = first.encrypt_vector(vector)
    assert packed.data != again[0].data
    ones = np.unpackbits(np.frombuffer(packed.data, np.uint8)).mean()
    assert abs(ones - 0.5) < 0.01
    assert first.encrypt_uint(0) != first.encrypt_uint(0)


def test_no_seed_stays_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[MaskSet] = []

    def recorded(*arguments):
        made.append(MaskSet(*arguments))
        return made[-1]

    monkeypatch.setattr("fedsecure.adapters.declearn.crypters.MaskSet", recorded)
    (first, *_) = encrypters()
    first.encrypt_vector(NumpyVector({"w": np.zeros(4)}))
    first.encrypt_numpy_array(np.zeros(4, np.int64))
    first.encrypt_float(0.5)
    assert len(made) == 3
    for masks in made:
        with pytest.raises(CryptoError, match="wiped"):
            masks.seeds  # noqa: B018


def test_a_missing_client_or_one_out_of_step_gives_no_sum() -> None:
    crypters = encrypters()
    messages = [
        SecaggTrainReply.from_cleartext_message(reply(k), c) for k, c in enumerate(crypters)
    ]
    two = {str(k): message for k, message in enumerate(messages[:2])}
    with pytest.raises(ValueError, match="summation of 3"):
        aggregate_secagg_messages(two, decrypter())
    late = SecaggTrainReply.from_cleartext_message(reply(2), crypters[2])
    with pytest.raises(ValueError, match="their masks do not cancel"):
        aggregate_secagg_messages({**two, "2": late}, decrypter())


def test_masks_of_other_parameters_do_not_cancel_unseen() -> None:
    crypters = encrypters(clipval=1.0)[:2] + encrypters(clipval=2.0)[2:]
    given = [crypter.encrypt_numpy_array(np.full(64, 0.5)) for crypter in crypters]
    (first, specs), (second, _), (third, _) = given
    third[0].bits = first[0].bits  # as a server that wants them to fit would claim
    with pytest.raises((RemoteProtocolError, ValueError, CryptoError)):
        decrypter(clipval=1.0).decrypt_numpy_array([first[0].plus(second[0]).plus(third[0])], specs)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.array([2e3]), "outside"),
        (np.array([np.nan]), "NaN"),
        (np.array([2**62]), "could exceed 64 bits"),
        (np.array([True]), "bool"),
    ],
)
def test_what_cannot_be_summed_is_refused(value: np.ndarray, words: str) -> None:
    with pytest.raises(EncodingError, match=words):
        encrypters()[0].encrypt_numpy_array(value)


def test_two_clients_and_narrow_rings_are_refused() -> None:
    with pytest.raises(ThresholdError, match="2 clients are too few"):
        FedsecureDecrypter(2, bitsize=64, clipval=1.0)
    with pytest.raises(EncodingError, match="raise bitsize"):
        FedsecureDecrypter(3, bitsize=16, clipval=1e6)


@pytest.mark.parametrize(
    "change",
    [
        {"encrypted": [[64, 2, b"short"]]},
        {"encrypted": [[65, 1, b"12345678"]]},
        {"encrypted": ["text"]},
        {"agg_cls": ("nothing", "Aggregate")},
    ],
)
def test_bytes_that_are_no_aggregate_are_refused(change) -> None:
    good = encrypters()[0].encrypt_aggregate(reply(0).updates)
    assert isinstance(msgpack_deserialize(msgpack_serialize(good)), FedsecureAggregate)
    with pytest.raises(TypeError):
        FedsecureAggregate.from_dict({**good.to_dict(), **change})


class Recording(AveragingAggregator):
    """declearn's own mean, which keeps what it has seen."""

    name = "recording"

    def __init__(self, steps_weighted: bool = True) -> None:
        super().__init__(steps_weighted)
        self.seen: list[np.ndarray] = []

    def finalize_updates(self, updates):
        mean = super().finalize_updates(updates)
        self.seen.append(np.concatenate([v.ravel() for v in mean.coefs.values()]))
        return mean


def train(secagg: bool, *, trusted: int = 3, clients: int = 3) -> list[np.ndarray]:
    """Returns the mean update of each round of a whole training over a local socket."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    keys = [Ed25519PrivateKey.generate() for _ in range(clients)]
    known = [key.public_key() for key in keys[:trusted]]
    recording = Recording()
    model = SklearnSGDModel.from_parameters(kind="regressor", loss="squared_error")
    server = FederatedServer(
        model,
        WebsocketsServer("127.0.0.1", port),
        FLOptimConfig.from_params(client_opt=0.01, server_opt=1.0, aggregator=recording),
        secagg=FedsecureConfigServer(bitsize=64, clipval=1e3, timeout=20) if secagg else None,
    )
    sides = []
    for k, key in enumerate(keys):
        rng = np.random.default_rng(k)
        x = rng.normal(size=(8 + 8 * k, 3))
        data = InMemoryDataset(x, x @ [1.0, -2.0, 0.5])
        ids = IdentityKeys(key, known)
        client = FederatedClient(
            WebsocketsClient(f"ws://127.0.0.1:{port}", f"client-{k}"),
            data,
            secagg=FedsecureConfigClient(id_keys=ids, timeout=20) if secagg else None,
            verbose=False,
        )
        sides.append(client)
    plan = FLRunConfig.from_params(
        rounds=3,
        register=RegisterConfig(min_clients=clients, timeout=10),
        training=TrainingConfig(batch_size=4, n_epoch=1),
        evaluate=EvaluateConfig(batch_size=8, frequency=10),
    )

    async def everybody() -> None:
        runs = [server.async_run(plan), *(side.async_run() for side in sides)]
        tasks = [asyncio.ensure_future(run) for run in runs]
        await asyncio.wait(tasks, timeout=60, return_when="FIRST_EXCEPTION")
        await asyncio.wait(tasks[:1], timeout=10)  # the server says why, if a client fails first
        running = [task for task in tasks if not task.done()]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        for task in tasks:
            if task not in running:
                task.result()
        assert not running, "neither done nor failed"

    asyncio.run(everybody())
    return recording.seen


@pytest.mark.filterwarnings("ignore")
def test_a_secure_training_is_the_plain_training() -> None:
    plain, secure = train(False), train(True)
    assert len(plain) == len(secure) == 3
    for expected, found in zip(plain, secure, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-9, rtol=0)


@pytest.mark.filterwarnings("ignore")
def test_a_client_that_others_do_not_trust_fails_the_set_up(caplog) -> None:
    with pytest.raises((RuntimeError, ConnectionClosed)):
        train(True, trusted=2)
    assert "SecAgg setup failed" in caplog.text

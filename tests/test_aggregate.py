"""`secure_aggregate` and `run_session`: the mean, the refusals, the hooks."""

from __future__ import annotations

import builtins
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest

from fedsecure import wire
from fedsecure.aggregate import Drop, play, run_session, secure_aggregate
from fedsecure.encoding import FixedPoint
from fedsecure.errors import (
    EncodingError,
    FedSecureError,
    LocalProtocolError,
    RemoteProtocolError,
    ThresholdError,
)
from fedsecure.protocols.base import Aggregate
from fedsecure.protocols.masking import PairwiseMasking
from fedsecure.pytree import TreeSpec
from fedsecure.testing import PlaintextSum
from parties import FIVE_STAGES, make_updates

if TYPE_CHECKING:
    from collections.abc import Mapping

STEP = FixedPoint().step


def test_the_first_paragraph_says_whom_it_plays() -> None:
    assert secure_aggregate.__doc__ is not None
    first = secure_aggregate.__doc__.split("\n\n")[0]
    assert "playing every party in this one process" in first
    second = secure_aggregate.__doc__.split("\n\n")[1]
    assert "PairwiseMasking.client" in second


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_mean(dtype: type[np.floating[Any]]) -> None:
    rng = np.random.default_rng(3)
    updates = [{"w": rng.uniform(-8, 8, (7, 3)).astype(dtype)} for _ in range(5)]
    before = [update["w"].copy() for update in updates]
    result = secure_aggregate(updates)
    assert isinstance(result, Aggregate)
    assert result.mean["w"].dtype == dtype
    assert result.mean["w"].shape == (7, 3)
    expected = np.mean([update["w"].astype(np.float64) for update in updates], axis=0)
    resolution = STEP + np.abs(expected) * float(np.finfo(dtype).eps)
    assert (np.abs(result.mean["w"] - expected) <= resolution).all()
    assert result.contributors == (0, 1, 2, 3, 4)
    assert (result.total_weight, result.dropouts, result.clipped) == (5.0, (), None)
    for update, copied in zip(updates, before, strict=True):
        np.testing.assert_array_equal(update["w"], copied)


def test_weighted_mean_and_total_weight() -> None:
    updates, weights = make_updates(5), [1, 20.0, np.float32(0.5), 300, np.int64(7)]
    result = secure_aggregate(updates, weights=weights)
    factors = np.array(weights, float)
    expected = sum(w * u["a"] for w, u in zip(factors, updates, strict=True)) / factors.sum()
    np.testing.assert_allclose(result.mean["a"], expected, atol=STEP)
    assert result.total_weight == 328.5


@pytest.mark.parametrize(
    ("largest", "power"), [(1.0, 1.0), (1.5, 2.0), (2.0, 2.0), (600.0, 1024.0), (0.3, 0.5)]
)
def test_max_weight_is_the_next_power_of_two(largest: float, power: float) -> None:
    """Same as declaring it: the ring, and so the size of messages, shows which was used."""
    weights = [largest, largest / 2, largest / 3]

    def size(encoding: FixedPoint) -> int:
        seen: list[int] = []
        run_session(
            make_updates(3),
            weights=weights,
            encoding=encoding,
            observe=lambda to, name, stage, data: seen.append(len(data)),
        )
        return sum(seen)

    encoding = FixedPoint(4.0, 20)
    assert size(encoding) == size(replace(encoding, max_weight=power))
    assert size(encoding) < size(replace(encoding, max_weight=2 * power))


class Pair(NamedTuple):
    """A container to give back."""

    left: Any
    right: Any


def test_containers_are_kept() -> None:
    updates = [Pair([np.float32(i), {"x": np.ones((2, 2))}], float(i)) for i in range(3)]
    mean = secure_aggregate(updates).mean
    assert isinstance(mean, Pair)
    assert isinstance(mean.left, list)
    assert isinstance(mean.right, float)
    assert mean.right == pytest.approx(1.0, abs=STEP)
    np.testing.assert_allclose(mean.left[1]["x"], np.ones((2, 2)), atol=STEP)


def test_updates_from_a_generator_and_an_array() -> None:
    rows = np.arange(12.0).reshape(4, 3) / 4
    for updates in (rows, (row for row in rows), tuple(rows)):
        np.testing.assert_allclose(secure_aggregate(updates).mean, rows.mean(axis=0), atol=STEP)


def test_three_is_the_least() -> None:
    for count in (1, 2):
        with pytest.raises(ThresholdError, match="with two parties each can subtract its own"):
            secure_aggregate(make_updates(count))
    with pytest.raises(ThresholdError, match="updates is empty"):
        secure_aggregate([])
    assert secure_aggregate(make_updates(3)).total_weight == 3


GOOD = {"a": np.zeros(3), "b": np.zeros(2, np.float32)}
BAD_TREES: list[tuple[object, str]] = [
    ({"a": np.zeros(3)}, r"updates\[3\] does not fit updates\[0\]: leaf 'b' is missing"),
    ({**GOOD, "c": np.zeros(1)}, r"updates\[3\].*leaf 'c' is not expected"),
    ({**GOOD, "a": np.zeros(4)}, r"updates\[3\].*'a' has shape \(4,\), expected \(3,\)"),
    ({**GOOD, "a": np.zeros((1, 3))}, r"updates\[3\].*'a' has shape \(1, 3\)"),
    ({**GOOD, "a": np.zeros(3, np.float32)}, r"updates\[3\].*'a' has dtype float32"),
    ({**GOOD, "a": np.zeros(3, int)}, r"updates\[3\]: .*'a'"),
    ({**GOOD, "a": None}, r"updates\[3\]: .*'a'"),
    (None, r"updates\[3\]: "),
    ({}, r"updates\[3\]: .*no values"),
    ({**GOOD, "a": np.array([0, np.nan, np.inf])}, r"updates\[3\]: .*'a' has 2 NaN or infinite"),
    ({**GOOD, "a": np.array([0, 9.0, -77.5])}, r"updates\[3\]: .*'a' has 2 of 3.*77\.5"),
]


@pytest.mark.parametrize(("bad", "reason"), BAD_TREES)
def test_a_bad_update_is_named_and_nothing_has_run(bad: object, reason: str) -> None:
    updates = [GOOD, GOOD, GOOD, bad, GOOD]
    seen: list[str] = []
    with pytest.raises(EncodingError, match=reason):
        run_session(updates, observe=lambda *message: seen.append(message[2]))
    with pytest.raises(EncodingError, match=reason):
        secure_aggregate(updates)
    assert seen == []
    updates[3] = GOOD
    assert not secure_aggregate(updates).mean["a"].any()


@pytest.mark.parametrize(
    ("arguments", "error", "reason"),
    [
        ({"weights": [1.0, 2.0]}, EncodingError, "2 weights for 3 updates"),
        ({"weights": [1.0, 2.0, 3.0, 4.0]}, EncodingError, "4 weights for 3 updates"),
        ({"weights": [1.0, 0.0, 3.0]}, EncodingError, r"weights\[1\] is 0\.0"),
        ({"weights": [1.0, 2.0, -3.0]}, EncodingError, r"weights\[2\] is -3\.0"),
        ({"weights": [float("nan"), 2.0, 3.0]}, EncodingError, r"weights\[0\] is nan"),
        ({"weights": [1.0, float("inf"), 3.0]}, EncodingError, r"weights\[1\] is inf"),
        ({"weights": [1.0, "2", 3.0]}, EncodingError, r"weights\[1\] is '2'"),
        ({"weights": [1.0, True, 3.0]}, EncodingError, r"weights\[1\] is True"),
        ({"weights": [1.0, None, 3.0]}, EncodingError, r"weights\[1\] is None"),
        ({"weights": 3.0}, EncodingError, "weights is of type float"),
        ({"weights": {0: 1.0, 1: 1.0, 2: 1.0}}, EncodingError, "weights is of type dict"),
        (
            {"weights": [1.0, 2.0, 9.0], "encoding": FixedPoint(max_weight=8.0)},
            EncodingError,
            r"updates\[2\]: the weight is above max_weight=8",
        ),
        ({"weights": [1.0, 1e-9, 1.0]}, EncodingError, r"updates\[1\]: .*weight rounds to 0"),
        ({"weights": [1.0, 2.0, 1e30]}, EncodingError, "lower bits"),
        ({"encoding": FixedPoint(modulus_bits=20)}, EncodingError, "ring too narrow"),
        ({"privacy": object()}, LocalProtocolError, "privacy is <object"),
        ({"protocol": "secagg"}, LocalProtocolError, "protocol is 'secagg'"),
        ({"protocol": PairwiseMasking}, LocalProtocolError, "protocol is <class"),
        ({"encoding": None}, LocalProtocolError, "encoding is None"),
        ({"progress": "yes"}, LocalProtocolError, "progress is 'yes'"),
        ({"protocol": PairwiseMasking(threshold=4)}, ThresholdError, "never be reached by 3"),
        ({"updates": 5}, EncodingError, "updates is of type int"),
        ({"updates": {"a": 1}}, EncodingError, "updates is of type dict"),
        ({"updates": "abc"}, EncodingError, "updates is of type str"),
    ],
)
def test_other_bad_arguments(
    arguments: dict[str, Any], error: type[FedSecureError], reason: str
) -> None:
    given = {"updates": [GOOD, GOOD, GOOD], **arguments}
    with pytest.raises(error, match=reason):
        secure_aggregate(given.pop("updates"), **given)


def test_clipping_is_counted_when_asked_for() -> None:
    updates = make_updates(4)
    updates[1]["a"][:3] = 50.0
    updates[2]["b"][0] = -np.float32(9)
    result = secure_aggregate(updates, encoding=FixedPoint(8.0, 16, overflow="clip"))
    assert result.clipped == 4
    clipped = np.mean([np.clip(update["a"], -8, 8) for update in updates], axis=0)
    np.testing.assert_allclose(result.mean["a"], clipped, atol=2**-16)


def test_the_largest_inputs_of_all_clients_fit() -> None:
    """[A14] Head-room: every client at its limits, in a ring of exactly the required width."""
    encoding = FixedPoint(8.0, 16, max_weight=1e6, rounding="nearest")
    for sign in (1.0, -1.0):
        result = secure_aggregate(
            [np.full(3, sign * 8.0)] * 100, weights=[1e6] * 100, encoding=encoding
        )
        np.testing.assert_array_equal(result.mean, np.full(3, sign * 8.0))
        assert result.total_weight == 1e8


# --- hooks --------------------------------------------------------------------------------------


def test_the_onlooker_sees_every_message_in_order() -> None:
    seen: list[tuple[str, int, str]] = []

    def observe(direction: str, client_id: int, stage: str, data: bytes) -> None:
        assert isinstance(data, bytes)
        assert data[:4] == b"FSEC"
        seen.append((direction, client_id, stage))

    run_session(make_updates(3), observe=observe)
    expected = [("to_server", name, FIVE_STAGES[0]) for name in range(3)]
    for stage in FIVE_STAGES[1:]:
        for name in range(3):
            expected += [("to_client", name, stage), ("to_server", name, stage)]
    assert seen == expected


@pytest.mark.parametrize("when", ["before", "during", "after"])
@pytest.mark.parametrize("stage", FIVE_STAGES)
def test_a_client_vanishes_where_it_should(stage: str, when: str) -> None:
    seen: list[tuple[str, str]] = []
    result = run_session(
        make_updates(4),
        protocol=PairwiseMasking(chunk=20),
        drop={2: Drop(stage, when)},
        observe=lambda to, name, at, data: seen.append((to, at)) if name == 2 else None,
    )
    sent = [at for to, at in seen if to == "to_server"]
    place = FIVE_STAGES.index(stage)
    pieces = {at: 3 if at == "MASKED_INPUT" else 1 for at in FIVE_STAGES}
    here = {"before": 0, "during": pieces[stage] - 1, "after": pieces[stage]}[when]
    assert sent == [at for at in FIVE_STAGES[:place] for _ in range(pieces[at])] + [stage] * here
    in_sum = place > 2 or (place == 2 and when == "after")
    assert result.contributors == ((0, 1, 2, 3) if in_sum else (0, 1, 3))


def test_a_bare_stage_means_after_it() -> None:
    updates = make_updates(4)
    by_name = run_session(updates, drop={1: "SHARE_KEYS"})
    by_value = run_session(updates, drop={1: Drop("SHARE_KEYS", "after")})
    assert by_name.contributors == by_value.contributors == (0, 2, 3)


def test_too_many_vanish() -> None:
    with pytest.raises(
        ThresholdError, match="2 of 3 clients have answered, 3 must, in stage CONSISTENCY"
    ):
        run_session(make_updates(3), drop={0: "MASKED_INPUT"})


def test_a_drop_that_never_happens_is_an_error() -> None:
    with pytest.raises(LocalProtocolError, match="client 1 was to drop at 'SHARE_KEY'"):
        run_session(make_updates(4), drop={1: "SHARE_KEY"})
    with pytest.raises(LocalProtocolError, match="no such client"):
        run_session(make_updates(4), drop={4: "SHARE_KEYS"})
    with pytest.raises(LocalProtocolError, match="'while'"):
        Drop("SHARE_KEYS", "while")


def test_progress_callback() -> None:
    calls: list[tuple[str, int, int]] = []
    run_session(
        make_updates(4),
        drop={3: "ADVERTISE_KEYS"},
        progress=lambda stage, done, total: calls.append((stage, done, total)),
    )
    expected = [(FIVE_STAGES[0], done, 4) for done in (1, 2, 3, 4)]
    expected += [(stage, done, 3) for stage in FIVE_STAGES[1:] for done in (1, 2, 3)]
    assert calls == expected


def test_progress_bar(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("rich")
    assert secure_aggregate(make_updates(3), progress=True).total_weight == 3
    assert secure_aggregate(make_updates(3)).total_weight == 3
    assert "Traceback" not in capsys.readouterr().out


def test_a_bar_without_rich(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def without_rich(name: str, *rest: Any, **named: Any) -> Any:
        if name.startswith("rich"):
            raise ImportError(name)
        return original(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without_rich)
    with pytest.raises(LocalProtocolError, match=r"fedsecure\[rich\]"):
        secure_aggregate(make_updates(3), progress=True)


# --- the sum that protects nothing -------------------------------------------------------------


def test_plaintext_sum_says_so() -> None:
    assert PlaintextSum.__doc__ is not None
    assert "INSECURE" in PlaintextSum.__doc__.splitlines()[0]
    assert "NOTHING" in PlaintextSum.__doc__
    assert "insecure" in PlaintextSum().name


def test_plaintext_sum_is_readable_by_the_server() -> None:
    seen: list[bytes] = []
    updates = [{"w": np.full(4, float(i))} for i in range(3)]
    encoding = FixedPoint(4.0, 8, modulus_bits=16)
    result = run_session(
        updates,
        protocol=PlaintextSum(),
        encoding=encoding,
        observe=lambda to, name, stage, data: seen.append(data),
    )
    np.testing.assert_array_equal(result.mean["w"], np.ones(4))
    for i, message in enumerate(seen):
        piece = wire.decode_vector(memoryview(message)[wire.HEADER_SIZE :])
        assert np.frombuffer(piece.packed, "<u2").tolist() == [256 * i] * 4


def plaintext(count: int = 3) -> tuple[Any, Mapping[int, Any], Any]:
    protocol, updates = PlaintextSum(chunk=20), make_updates(count)
    session = protocol.session(
        client_ids=range(count), spec=TreeSpec.of(updates[0]), encoding=FixedPoint(4.0, 12)
    )
    clients = {i: protocol.client(session, i, tree) for i, tree in enumerate(updates)}
    return protocol.server(session), clients, session


def test_plaintext_parties_refuse_like_real_ones() -> None:
    server, clients, session = plaintext()
    with pytest.raises(ThresholdError, match="0 clients have sent their inputs, 1 must"):
        server.advance()
    with pytest.raises(LocalProtocolError, match="not finished"):
        server.result()
    messages = list(clients[0].start())
    with pytest.raises(LocalProtocolError, match="once"):
        clients[0].start()
    with pytest.raises(LocalProtocolError, match="has its update"):
        clients[0].set_update(make_updates(1)[0])
    with pytest.raises(RemoteProtocolError, match="takes no message"):
        clients[0].receive(messages[0])
    with pytest.raises(RemoteProtocolError, match="chunk 1 came"):
        server.receive(0, messages[1])
    with pytest.raises(RemoteProtocolError, match="from client 0"):
        server.receive(1, messages[0])
    for message in messages:
        server.receive(0, message)
    assert (server.ready, server.waiting_for) == (True, {1, 2})
    with pytest.raises(RemoteProtocolError, match="no input is due"):
        server.receive(0, messages[0])
    with pytest.raises(LocalProtocolError, match="not invited"):
        PlaintextSum().client(session, 7)
    assert server.advance() == {}
    assert server.result().contributors == (0,)
    with pytest.raises(LocalProtocolError, match="over"):
        server.advance()


def test_real_and_plaintext_sessions_do_not_mix() -> None:
    server, clients, session = plaintext()
    with pytest.raises(LocalProtocolError, match="protocol"):
        PairwiseMasking().client(session, 0)
    with pytest.raises(LocalProtocolError, match="protocol"):
        PairwiseMasking().server(session)
    real = PairwiseMasking("semi_honest").session(
        client_ids=range(3), spec=session.spec, encoding=session.encoding
    )
    for make in (PlaintextSum().server, lambda one: PlaintextSum().client(one, 0)):
        with pytest.raises(LocalProtocolError, match="this session is of pairwise-masking"):
            make(real)
    assert play(server, clients).total_weight == 3

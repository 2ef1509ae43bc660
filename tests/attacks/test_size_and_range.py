"""Groups that are too small to hide in, and values that are too large for the ring."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import fedsecure as fs
from attackers import REGULAR_POLICY, SETTINGS, Spy, ends_the_session, forged, parties_of, roster_of
from fedsecure import _core, wire
from fedsecure.encoding import FixedPoint
from fedsecure.errors import EncodingError, LocalProtocolError, RemoteProtocolError, ThresholdError
from fedsecure.primitives import masks
from fedsecure.protocols.masking import PairwiseMasking
from fedsecure.protocols.masking.messages import (
    Confirmations,
    Kind,
    Roster,
    SignedBy,
    Survivors,
    UnmaskRequest,
)
from fedsecure.protocols.masking.states import Stage
from fedsecure.pytree import TreeSpec
from parties import LEVELS, Parties, make_updates, reseal

VICTIM = 0


# --- too few ----------------------------------------------------------------------------------


@pytest.mark.parametrize("setting", SETTINGS)
def test_one_client_too_few_in_the_roster(setting: str) -> None:
    """[A8] U1 with t - 1 clients."""
    parties = parties_of(setting).until(Stage.SHARE_KEYS)
    least = parties.session.survivors
    message = forged(parties, Kind.ROSTER, Roster(roster_of(parties, VICTIM)[: least - 1]))
    reason = f"roster leaves {least - 1} clients, below the threshold {least}"
    ends_the_session(parties, VICTIM, message, reason)


@pytest.mark.parametrize("setting", SETTINGS)
def test_one_client_too_few_in_the_delivery(setting: str) -> None:
    """[A8] U2 with t - 1 clients."""
    parties = parties_of(setting)
    spy = Spy(parties).until(Stage.MASKED_INPUT)
    least = parties.session.survivors
    gone = sorted(parties.clients)[least - 1 :]
    ends_the_session(
        parties, VICTIM, spy.delivery(VICTIM, gone), f"leaves {least - 1} clients, below"
    )
    assert spy.vectors == {}


@pytest.mark.parametrize("setting", SETTINGS)
def test_one_client_too_few_among_the_survivors(setting: str) -> None:
    """[A8] U3 with t - 1 clients."""
    parties = parties_of(setting)
    spy = Spy(parties).until(Stage.MASKED_INPUT)
    spy.finish_stage()
    least = parties.session.survivors
    dead = tuple(sorted(parties.clients)[least - 1 :])
    malicious = setting == "malicious"
    kind = Kind.SURVIVORS if malicious else Kind.UNMASK_REQUEST
    message = forged(parties, kind, Survivors(dead) if malicious else UnmaskRequest(dead))
    ends_the_session(parties, VICTIM, message, f"leaves {least - 1} clients, below")
    assert not spy.has_input_of(VICTIM)


def test_one_signature_too_few() -> None:
    """[A8] U4 with t - 1 clients."""
    parties = Parties(5, adversary="malicious")
    spy = Spy(parties).until(Stage.MASKED_INPUT)
    spy.finish_stage()
    signatures = spy._confirmations(dict.fromkeys(range(5), ()))
    entries = tuple(SignedBy(name, signatures[name]) for name in (0, 1, 2))
    message = forged(parties, Kind.CONFIRMATIONS, Confirmations(entries))
    ends_the_session(parties, VICTIM, message, "leaves 3 clients, below the threshold 4")


@pytest.mark.parametrize("setting", SETTINGS)
def test_an_honest_server_stops_at_each_stage(setting: str) -> None:
    """[A8] With one answer too few no stage is closed, and nothing comes out."""
    parties = parties_of(setting)
    while not parties.server.finished:
        stage = parties.server.stage
        names = list(parties.mail)
        # There the last stage counts neighbors, not clients.
        alone = setting == "regular" and stage == Stage.UNMASKING
        few = names[:1] if alone else names[: parties.session.survivors - 1]
        parties.send(few)
        assert not parties.server.ready
        with pytest.raises(ThresholdError, match="nothing is revealed"):
            parties.server.advance()
        assert parties.server.stage is stage
        parties.finish_stage_of(names[len(few) :])
    parties.check()


@pytest.mark.parametrize("count", [0, 1, 2])
@pytest.mark.parametrize("adversary", LEVELS)
def test_no_session_of_two(adversary: str, count: int) -> None:
    """[A8] Each of two has the other's update by subtracting its own: no protocol hides that."""
    spec = TreeSpec.of(make_updates(1)[0])
    policy = PairwiseMasking(adversary)
    with pytest.raises(ThresholdError, match=f"{count} clients are too few"):
        policy.session(client_ids=range(count), spec=spec, encoding=FixedPoint())
    with pytest.raises(ThresholdError):
        fs.secure_aggregate(make_updates(count), protocol=policy)
    for threshold in (1, 2):
        with pytest.raises(ThresholdError, match="below 3"):
            PairwiseMasking(adversary, threshold=threshold)


@pytest.mark.parametrize("adversary", LEVELS)
def test_the_sum_has_two_honest_clients_beside_the_colluders(adversary: str) -> None:
    """[A8] For all n and c: a policy with c colluders has t - c >= 2, or there is no session."""
    for count in range(3, 41):
        for corrupt in range(count):
            policy = PairwiseMasking(adversary, corrupt=corrupt / count)
            try:
                shape = policy.shape_for(count)
            except ThresholdError:
                continue
            assert shape.survivors - corrupt >= 2


def test_a_regular_sum_has_all_but_the_dropouts() -> None:
    """[A8] In a k-regular graph t is a matter of the neighborhood; the sum counts for itself."""
    for count in (12, 14, 20):
        policy = PairwiseMasking("semi_malicious", corrupt=0.1, dropout=0.2)
        shape = replace(policy, neighbors=6 if count < 16 else 12).shape_for(count)
        assert shape.survivors >= count - int(count * REGULAR_POLICY["dropout"]) - 1
        assert shape.survivors > shape.threshold


# --- too large --------------------------------------------------------------------------------


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("setting", SETTINGS)
def test_all_clients_at_their_limits(setting: str, weighted: bool, sign: float) -> None:
    """[A14] The ring that is chosen holds the largest sum there can be, exactly."""
    count = 12 if setting == "regular" else 5
    encoding = FixedPoint(clip=8.0, bits=10, max_weight=1000.0, rounding="nearest")
    updates = [{"w": np.full(3, sign * 8.0)} for _ in range(count)]
    weights = [1000.0] * count if weighted else None
    parties = parties_of(setting, count, updates=updates, weights=weights, encoding=encoding)
    assert parties.session.encoding.modulus_bits is None  # the least there is
    parties.finish()
    result = parties.server.result()
    np.testing.assert_array_equal(result.mean["w"], np.full(3, sign * 8.0))
    assert result.total_weight == (1000.0 * count if weighted else count)


@pytest.mark.parametrize("adversary", LEVELS)
def test_one_client_more_than_the_ring_holds(adversary: str) -> None:
    """[A14] A ring that is exactly wide enough for n clients is refused for n + 1."""
    encoding = FixedPoint(clip=8.0, bits=10, rounding="nearest")
    spec = TreeSpec.of({"w": np.zeros(3)})
    policy = PairwiseMasking(adversary).for_one_process(range(40))
    width = {n: encoding.layout(n, 3, weighted=False).modulus_bits for n in range(3, 41)}
    for count in range(3, 40):
        exact = replace(encoding, modulus_bits=width[count])
        policy.session(client_ids=range(count), spec=spec, encoding=exact)
        if width[count + 1] > width[count]:
            with pytest.raises(EncodingError, match="ring too narrow"):
                policy.session(client_ids=range(count + 1), spec=spec, encoding=exact)
    assert width[40] > width[3]


@pytest.mark.parametrize("value", [8.0 + 2**-40, -8.001, 1e300, np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("setting", SETTINGS)
def test_a_value_outside_never_leaves_its_client(setting: str, value: float) -> None:
    """[A14] It is refused, or clipped and counted where the session says so, before encoding."""
    parties = parties_of(setting, encoding=FixedPoint(8.0, 10))
    update = make_updates(1)[0]
    update["a"][3] = value
    with pytest.raises(EncodingError, match="'a'"):
        parties.protocol.client(parties.session, VICTIM, update)


def upload(parties: Parties, name: int, change: Any) -> None:
    """Sends a client's masked input with something added before packing, as a cheat can."""
    session = parties.session
    bits, start = session.layout.modulus_bits, 0
    for message in parties.answer(name):
        piece = wire.decode_vector(memoryview(message)[wire.HEADER_SIZE :])
        vector = np.zeros(piece.count, session.layout.dtype)
        masks.unpack_add(piece.packed, bits, vector)
        change(vector, start)
        packed = np.empty(wire.packed_bytes(piece.count, bits), np.uint8)
        _core.pack(vector, bits, packed)
        head = wire.vector_header(bits, piece.count, piece.index)
        parties.server.receive(name, reseal(message, body=head + packed.tobytes()))
        start += piece.count


@pytest.mark.parametrize("at", [0, 17, 49])
@pytest.mark.parametrize("setting", SETTINGS)
def test_a_sum_that_honest_clients_cannot_give(setting: str, at: int) -> None:
    """[A15] One element that takes the mean out of the range: the server says so, gives nothing."""
    parties = parties_of(setting).until(Stage.MASKED_INPUT)
    modulus = 2**parties.session.layout.modulus_bits

    def forge(vector: Any, start: int) -> None:
        if start <= at < start + len(vector):
            vector[at - start] += vector.dtype.type(modulus // 2 - 1)

    upload(parties, VICTIM, forge)
    parties.finish_stage_of([name for name in parties.mail if name != VICTIM])
    parties.until(Stage.UNMASKING)
    with pytest.raises(RemoteProtocolError, match="the mean is outside what honest clients"):
        parties.finish_stage()
    assert parties.server.stage is Stage.ABORTED
    with pytest.raises(LocalProtocolError, match="no result"):
        parties.server.result()


@pytest.mark.parametrize("more", [-40, -4, 13, 40])
def test_a_weight_that_no_client_has(more: int) -> None:
    """[A15] Negative or too large, it makes the sum of weights impossible."""
    encoding = FixedPoint(4.0, 12, max_weight=4.0)
    parties = Parties(4, adversary="malicious", weights=[1.0] * 4, encoding=encoding)
    parties.until(Stage.MASKED_INPUT)

    def forge(vector: Any, start: int) -> None:
        if start <= 50 < start + len(vector):
            vector[50 - start] += np.asarray(more * 4096).astype(vector.dtype)

    upload(parties, VICTIM, forge)
    parties.finish_stage_of([1, 2, 3])
    parties.until(Stage.UNMASKING)
    with pytest.raises(RemoteProtocolError, match="the sum of weights is outside"):
        parties.finish_stage()


def test_a_forgery_inside_the_range_is_not_noticed() -> None:
    """[A15] The documented limit: what one honest client could have sent is believed."""
    updates = [{"w": np.zeros(3)} for _ in range(4)]
    encoding = FixedPoint(4.0, 12, rounding="nearest")
    parties = Parties(4, adversary="malicious", updates=updates, encoding=encoding)
    parties.until(Stage.MASKED_INPUT)

    def forge(vector: Any, start: int) -> None:
        vector += vector.dtype.type(4 << 12)

    upload(parties, VICTIM, forge)
    parties.finish_stage_of([1, 2, 3])
    while not parties.server.finished:
        parties.finish_stage()
    np.testing.assert_array_equal(parties.server.result().mean["w"], np.ones(3))


def test_a_wrap_around_is_taken_for_what_it_comes_to() -> None:
    """[A15] A whole turn of the ring added to an element is nothing at all, not an outlier."""
    parties = Parties(4, adversary="malicious").until(Stage.MASKED_INPUT)
    bits = parties.session.layout.modulus_bits

    def forge(vector: Any, start: int) -> None:
        vector += np.asarray((1 << bits) % (1 << (8 * vector.itemsize))).astype(vector.dtype)

    upload(parties, VICTIM, forge)
    parties.finish_stage_of([1, 2, 3])
    parties.finish()

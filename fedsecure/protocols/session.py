"""`Session`: the public facts of one run of a protocol, which all its parties must share."""

from __future__ import annotations

import itertools
import operator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from fedsecure import wire
from fedsecure.encoding import FixedPoint, RingLayout
from fedsecure.errors import (
    CheaterDetected,
    FedSecureError,
    LocalProtocolError,
    RemoteProtocolError,
)
from fedsecure.primitives import entropy, keys
from fedsecure.primitives.masks import Prg
from fedsecure.privacy import configs
from fedsecure.privacy.mechanisms import VectorMechanism
from fedsecure.pytree import LeafSpec, TreeSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fedsecure.privacy.plans import Plan

__all__ = [
    "MAX_CHUNK",
    "NO_MODEL",
    "Session",
    "checked_ids",
    "fresh_session_id",
    "party_name",
]

NO_MODEL = bytes(32)
"""The model digest of a session that is not bound to a model."""

MAX_CHUNK = 1 << 27
_SESSION_KIND = 0
_MAX_PARAMETERS = 1 << 10
_MAX_PRIVACY = 1 << 8
_MAX_SESSION_BYTES = 1 << 26


class _Config(wire.Control, frozen=True):
    """The part of a session that stays the same from round to round; its bytes are digested."""

    protocol: Annotated[str, msgspec.Meta(max_length=64)]
    suite: Annotated[int, msgspec.Meta(ge=0, lt=1 << 16)]
    client_ids: Annotated[
        tuple[wire.ClientId, ...], msgspec.Meta(min_length=1, max_length=wire.MAX_PARTIES)
    ]
    verify_keys: Annotated[tuple[wire.Digest, ...], msgspec.Meta(max_length=wire.MAX_PARTIES)]
    threshold: Annotated[int, msgspec.Meta(ge=1, le=wire.MAX_PARTIES)]
    neighbors: Annotated[int, msgspec.Meta(ge=0, lt=wire.MAX_PARTIES)]
    survivors: Annotated[int, msgspec.Meta(ge=1, le=wire.MAX_PARTIES)]
    leaves: Annotated[
        tuple[tuple[str, tuple[int, ...], str], ...], msgspec.Meta(max_length=1 << 20)
    ]
    clip: float
    bits: int
    max_weight: float | None
    rounding: Annotated[str, msgspec.Meta(max_length=16)]
    overflow: Annotated[str, msgspec.Meta(max_length=16)]
    modulus_bits: int | None
    ring_bits: Annotated[int, msgspec.Meta(ge=8, le=64)]
    weighted: bool
    chunk: Annotated[int, msgspec.Meta(ge=1, le=MAX_CHUNK)]
    parameters: Annotated[bytes, msgspec.Meta(max_length=_MAX_PARAMETERS)]
    privacy: Annotated[bytes, msgspec.Meta(max_length=_MAX_PRIVACY)]
    noise_shares: Annotated[int, msgspec.Meta(ge=0, le=wire.MAX_PARTIES)]


class _SessionBody(wire.Control, frozen=True):
    config: _Config
    model_digest: wire.Digest


@dataclass(frozen=True)
class Session:
    """The public facts of one run of a protocol. Made by `Protocol.session`, checked when made.

    Attributes:
        protocol: Name of the protocol and of the adversary it withstands.
        session_id: 16 bytes, fresh for every run, also when a run is repeated.
        round: The caller's own count, 0..2^64 - 1.
        client_ids: The invited clients, increasing, each below 2^32 - 1.
        threshold: t, how many shares give a client's secret back.
        spec: Paths, shapes and dtypes of an update.
        encoding: How values become ring elements.
        weighted: Whether every update carries a (secret) weight.
        model_digest: 32 bytes; what the clients trained from, or zeros.
        chunk: Ring elements in one message of a masked input.
        suite: Cryptographic suite, see `fedsecure.primitives.keys`: the number of its generator; 0
            in a session that keeps nothing secret.
        verify_keys: 32 bytes for each client, in the order of `client_ids`; empty if no party
            signs.
        neighbors: k, how many others each client shares with; n - 1 for the complete graph, 0 if
            nothing is shared.
        survivors: Least number of clients in the sum.
        parameters: What else the protocol pins, in its own form; empty if there is nothing.
        privacy: The mechanism whose noise the sum has; None for an exact sum.
        noise_shares: How many shares of that noise are certain to be in every sum and unknown to
            whoever may collude: 1 where the server adds it, 0 without a mechanism. It was computed
            by whoever made the session; clients compute it again from their own policy.

    Raises:
        LocalProtocolError: A field is out of range.
        EncodingError: The ring is too narrow for this many clients, or impossible.
    """

    protocol: str
    session_id: bytes
    round: int
    client_ids: tuple[int, ...]
    threshold: int
    spec: TreeSpec
    encoding: FixedPoint
    weighted: bool
    model_digest: bytes
    chunk: int
    suite: int
    verify_keys: tuple[bytes, ...] = ()
    neighbors: int = 0
    survivors: int = 1
    parameters: bytes = b""
    privacy: VectorMechanism | None = None
    noise_shares: int = 0

    def __post_init__(self) -> None:
        _check_ids(self.client_ids)
        _check_bytes("session_id", self.session_id, 16)
        _check_bytes("model_digest", self.model_digest, 32)
        _check_int("round", self.round, 0, (1 << 64) - 1)
        parties = len(self.client_ids)
        _check_int("threshold", self.threshold, 1, parties)
        _check_int("neighbors", self.neighbors, 0, parties - 1)
        _check_int("survivors", self.survivors, 1, parties)
        for key in self.verify_keys:
            _check_bytes("verify key", key, 32)
        if self.verify_keys and len(self.verify_keys) != parties:
            raise LocalProtocolError(f"{len(self.verify_keys)} verify keys for {parties} clients")
        _check_int("chunk", self.chunk, 1, MAX_CHUNK)
        _check_int("suite", self.suite, 0, max(Prg))
        if type(self.weighted) is not bool:
            raise LocalProtocolError(f"weighted is {self.weighted!r}; use True or False")
        if not isinstance(self.parameters, bytes) or len(self.parameters) > _MAX_PARAMETERS:
            raise LocalProtocolError(f"parameters are up to {_MAX_PARAMETERS} bytes")
        self._check_privacy()
        _ = self.layout

    @cached_property
    def plan(self) -> Plan | None:
        """How vectors get their noise and become ring elements; None for an exact sum."""
        if self.privacy is None:
            return None
        return self.privacy.plan(
            clients=len(self.client_ids),
            size=self.spec.size,
            noise_shares=self.noise_shares,
            weighted=self.weighted,
        )

    @cached_property
    def public_seed(self) -> bytes:
        """32 bytes that everybody knows, fresh for every run: what the rotation follows from."""
        number = self.round.to_bytes(8, "little")
        return keys.digest(b"privacy/rotation", self.session_id, number, self.digest)

    @cached_property
    def layout(self) -> RingLayout:
        """How the vectors of this session look in the ring."""
        if self.plan is not None:
            return self.plan.layout
        return self.encoding.layout(len(self.client_ids), self.spec.size, weighted=self.weighted)

    @property
    def prg(self) -> Prg:
        """What masks, roundings and polynomials come from; AES-128 if there is no suite."""
        return Prg(self.suite or Prg.AES128)

    @cached_property
    def num_chunks(self) -> int:
        """Number of messages that carry one masked input."""
        return -(-self.layout.length // self.chunk)

    def piece(self, index: int) -> tuple[int, int]:
        """Returns the range of ring elements, start and stop, in chunk number `index`."""
        start = index * self.chunk
        return start, min(start + self.chunk, self.layout.length)

    @cached_property
    def digest(self) -> bytes:
        """32 bytes that pin the configuration; equal in all rounds that run with the same one."""
        return keys.digest(b"config", wire.encode_control(self._config))

    def seal(self, kind: int, sender: int, body: bytes | memoryview) -> bytes:
        """Returns the message of this session that has the given body."""
        return b"".join((self.header(kind, sender, len(body)), body))

    def header(self, kind: int, sender: int, size: int) -> bytes:
        """Returns what stands before a body of `size` bytes in a message of this session."""
        return wire.header(
            kind=kind,
            suite=self.suite,
            session_id=self.session_id,
            round_number=self.round,
            sender=sender,
            size=size,
        )

    def open(self, data: bytes, sender: int, limits: Mapping[int, int]) -> wire.Envelope:
        """Returns the envelope of a message that must be of this session and from `sender`.

        Raises:
            CheaterDetected: It is of another session or round, or says it is from somebody else.
            RemoteProtocolError: It is of another suite, or no message at all; see
                `wire.open_envelope`.
        """
        envelope = wire.open_envelope(data, limits)
        if envelope.suite != self.suite:
            raise RemoteProtocolError(f"message of suite {envelope.suite}, not {self.suite}")
        if envelope.session_id != self.session_id:
            raise CheaterDetected("message belongs to another session", sender)
        if envelope.round != self.round:
            raise CheaterDetected(f"message of round {envelope.round}, not {self.round}", sender)
        if envelope.sender != sender:
            raise CheaterDetected(f"message says it is from {party_name(envelope.sender)}", sender)
        return envelope

    def to_bytes(self) -> bytes:
        """Returns the session as one message, to be sent to the clients. It holds no secrets."""
        body = _SessionBody(config=self._config, model_digest=self.model_digest)
        return self.seal(_SESSION_KIND, wire.SERVER, wire.encode_control(body))

    @classmethod
    def from_bytes(cls, data: bytes) -> Session:
        """Returns the session that `to_bytes` wrote, with numpy leaves and no containers.

        A client that has a session from a server checks it by making its party: the protocol
        object compares it with its own policy.

        Raises:
            RemoteProtocolError: The bytes are not a valid session.
        """
        envelope = wire.open_envelope(data, {_SESSION_KIND: _MAX_SESSION_BYTES})
        if envelope.sender != wire.SERVER:
            raise RemoteProtocolError("a session must come from the server")
        body = wire.decode_control(_SessionBody, envelope.body)
        try:
            session = _restore(envelope, body)
        except FedSecureError as error:
            raise RemoteProtocolError(f"not a valid session: {error}") from None
        if session.to_bytes() != data:
            raise RemoteProtocolError(
                "not a valid session: its ring does not follow from the rest, or its mechanism is "
                "not in its canonical encoding"
            )
        return session

    @cached_property
    def _config(self) -> _Config:
        encoding = self.encoding
        weight = encoding.max_weight
        return _Config(
            protocol=self.protocol,
            suite=self.suite,
            client_ids=self.client_ids,
            verify_keys=self.verify_keys,
            threshold=self.threshold,
            neighbors=self.neighbors,
            survivors=self.survivors,
            leaves=tuple((leaf.path, leaf.shape, leaf.dtype) for leaf in self.spec.leaves),
            clip=float(encoding.clip),
            bits=encoding.bits,
            max_weight=None if weight is None else float(weight),
            rounding=encoding.rounding,
            overflow=encoding.overflow,
            modulus_bits=encoding.modulus_bits,
            ring_bits=self.layout.modulus_bits,
            weighted=self.weighted,
            chunk=self.chunk,
            parameters=self.parameters,
            privacy=b"" if self.privacy is None else _pinned(self.privacy),
            noise_shares=self.noise_shares,
        )

    def _check_privacy(self) -> None:
        if self.privacy is None:
            _check_int("noise_shares", self.noise_shares, 0, 0)
            return
        if not isinstance(self.privacy, VectorMechanism):
            raise LocalProtocolError(f"privacy is {self.privacy!r:.60}; give a mechanism or None")
        _check_int("noise_shares", self.noise_shares, 1, self.survivors)
        if self.encoding != FixedPoint():
            raise LocalProtocolError(
                "under privacy the mechanism decides how floats become integers, by its clip norm "
                "and its bits; leave encoding out"
            )


def fresh_session_id() -> bytes:
    """Returns 16 random bytes that no other session has."""
    return entropy.token(16)


def party_name(sender: int) -> str:
    """Returns how errors call a party."""
    return "the server" if sender == wire.SERVER else f"client {sender}"


def checked_ids(client_ids: Iterable[int]) -> tuple[int, ...]:
    """Returns the ids as plain ints in increasing order; the session checks the rest.

    Raises:
        LocalProtocolError: They are not integers.
    """
    try:
        # Any integer type is welcome here, numpy's too; a session holds plain ints.
        return tuple(sorted(operator.index(client_id) for client_id in client_ids))
    except TypeError as error:
        raise LocalProtocolError(f"client ids must be a list of integers: {error}") from None


def _check_ids(ids: tuple[int, ...]) -> None:
    if not 1 <= len(ids) <= wire.MAX_PARTIES:
        raise LocalProtocolError(f"{len(ids)} clients; a session has 1 to {wire.MAX_PARTIES}")
    for client_id in ids:
        _check_int("client id", client_id, 0, wire.SERVER - 1)
    for before, after in itertools.pairwise(ids):
        if before >= after:
            raise LocalProtocolError(f"client id {after} is given twice or out of order")


def _check_int(name: str, value: Any, least: int, most: int) -> None:
    if type(value) is not int or not least <= value <= most:
        raise LocalProtocolError(f"{name} is {value!r}; use an integer from {least} to {most}")


def _check_bytes(name: str, value: Any, size: int) -> None:
    if not isinstance(value, bytes) or len(value) != size:
        raise LocalProtocolError(f"{name} must be {size} bytes, not {value!r:.60}")


def _pinned(privacy: VectorMechanism) -> bytes:
    """Returns the one encoding of a mechanism.

    It is bytes in the configuration, since msgspec 0.23 crashes on unions with tuples of floats.
    """
    return msgspec.msgpack.encode(configs.to_config(privacy))


def _mechanism(pinned: bytes) -> VectorMechanism:
    try:
        values = msgspec.msgpack.decode(pinned)
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as error:
        raise RemoteProtocolError(f"malformed mechanism: {error}") from None
    return configs.from_config(values)


def _restore(envelope: wire.Envelope, body: _SessionBody) -> Session:
    config = body.config
    encoding = FixedPoint(
        clip=config.clip,
        bits=config.bits,
        max_weight=config.max_weight,
        rounding=config.rounding,  # type: ignore[arg-type]  # checked by FixedPoint
        overflow=config.overflow,  # type: ignore[arg-type]
        modulus_bits=config.modulus_bits,
    )
    return Session(
        protocol=config.protocol,
        session_id=envelope.session_id,
        round=envelope.round,
        client_ids=config.client_ids,
        verify_keys=config.verify_keys,
        threshold=config.threshold,
        neighbors=config.neighbors,
        survivors=config.survivors,
        spec=TreeSpec(tuple(LeafSpec(*leaf) for leaf in config.leaves)),
        encoding=encoding,
        weighted=config.weighted,
        model_digest=body.model_digest,
        chunk=config.chunk,
        suite=config.suite,
        parameters=config.parameters,
        privacy=_mechanism(config.privacy) if config.privacy else None,
        noise_shares=config.noise_shares,
    )

"""Byte strings that must be refused: by a server, by a client, and as a session."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import Any

from reference import wire
from vectors import faults, refused_by_client, refused_by_server
from vectors.cast import Play
from vectors.faults import Fault, Good, Raw

# Copying fewer bytes than this takes more room than saying them.
_WORTH_COPYING = 12

# Only these are right in one place and wrong when they come again.
_LAST = (wire.CONFIRMATIONS, wire.UNMASK_REQUEST)


def of_parties(play: Play) -> dict[str, Any]:
    """Groups of messages: to whom, in which stage, after what.

    Messages are written by their difference from the right one; see `parts`.
    """
    u = next(v for v in sorted(play.said["UNMASKING"])[1:] if set(play.dead) & set(_near(play, v)))
    at_server = [
        {
            "from": u,
            "stage": stage,
            "after_answer": after,
            "messages": [
                {
                    "reason": fault.reason,
                    "cheater": fault.cheater,
                    "parts": parts(fault.message, play.said[stage][u][-1 if after else 0]),
                }
                for fault in found
            ],
        }
        for after, source in (
            (False, refused_by_server.stages),
            (True, refused_by_server.second_answers),
        )
        for stage, found in source(play, u)
    ]
    at_client = [
        {
            "to": u,
            "stage": stage,
            "messages": [
                {
                    "reason": fault.reason,
                    "ends": fault.ends,
                    "parts": parts(fault.message, right_message(play, u, stage)),
                }
                for fault in found
            ],
        }
        for stage, found in refused_by_client.stages(play, u)
    ]
    return {"session": f"session_{play.name}", "at_server": at_server, "at_client": at_client}


def of_sessions(*plays: Play) -> list[dict[str, Any]]:
    """Session messages that describe no session."""
    return [
        {
            "session": f"session_{play.name}",
            "reason": fault.reason,
            "parts": parts(fault.message, play.session.to_bytes()),
        }
        for play in plays
        for fault in _sessions(play)
    ]


def right_message(play: Play, u: int, stage: str) -> bytes:
    """What the server says to a client in a stage; in the end, what it said last."""
    return play.heard["UNMASKING" if stage == "FINISHED" else stage][u]


def parts(message: bytes, right: bytes) -> list[bytes | list[int]]:
    """A message as literal bytes and as [start, count] copied from the right message."""
    found: list[bytes | list[int]] = []
    done = 0
    for match in SequenceMatcher(None, message, right, autojunk=False).get_matching_blocks():
        if match.size >= _WORTH_COPYING or match.a == len(message):
            if match.a > done:
                found.append(message[done : match.a])
            if match.size:
                found.append([match.b, match.size])
            done = match.a + match.size
    assert message != right or right[5] in _LAST
    joined = (right[p[0] : p[0] + p[1]] if isinstance(p, list) else p for p in found)
    assert b"".join(joined) == message
    return found


def _near(play: Play, u: int) -> list[int]:
    return play.session.graph(play.roster).neighbors(u)


def _sessions(play: Play) -> Iterator[Fault]:
    session = play.session
    good = Good(session, session.to_bytes())
    if session.malicious:
        header = faults.of_header(good, {"another kind": wire.ROSTER}, session.client_ids[0])
        # A session says itself of which session and round it is.
        skipped = ("another session", "another round")
        yield from (fault for fault in header if not fault.reason.startswith(skipped))
        yield from faults.of_body(good)
        yield from faults.of_bytes(good, 32, 1, name="model digest")
    config = good.body[0]
    names = [
        "protocol", "suite", "client_ids", "verify_keys", "threshold", "neighbors", "survivors",
        "leaves", "clip", "bits", "max_weight", "rounding", "overflow", "modulus_bits",
        "ring_bits", "weighted", "chunk", "parameters", "privacy", "noise_shares",
    ]  # fmt: skip
    for reason, name, value in [*_fields(play), *_forms()]:
        yield Fault(reason, good.changed(0, names.index(name), to=value))
    yield Fault("no number of noise shares", good.changed(0, to=config[:-1]))
    yield Fault("one field more", good.changed(0, to=[*config, 0]))


def _fields(play: Play) -> list[tuple[str, str, Any]]:
    session, ids = play.session, play.session.client_ids
    leaves = [[path, list(shape), dtype] for path, shape, dtype in session.leaves]
    path, shape, dtype = leaves[0]
    return [
        ("clients out of order", "client_ids", [ids[1], ids[0], *ids[2:]]),
        ("a client twice", "client_ids", [ids[0], ids[0], *ids[2:]]),
        ("no clients", "client_ids", []),
        ("the server as a client", "client_ids", [*ids[:-1], 2**32 - 1]),
        ("a verify key too many", "verify_keys", [*session.verify_keys, bytes(32)]),
        ("an unknown suite", "suite", 4),
        ("suite 2^16 - 1", "suite", 2**16 - 1),
        ("threshold 0", "threshold", 0),
        ("threshold above the clients", "threshold", len(ids) + 1),
        ("as many neighbors as clients", "neighbors", len(ids)),
        ("no survivors", "survivors", 0),
        ("more survivors than clients", "survivors", len(ids) + 1),
        ("no leaves", "leaves", []),
        ("a leaf of no known type", "leaves", [[path, shape, "int32"]]),
        ("a leaf of negative length", "leaves", [[path, [Raw(b"\xff")], dtype]]),
        ("a leaf of 2^62 values", "leaves", [[path, [2**31, 2**31], dtype]]),
        ("two leaves of one path", "leaves", [leaves[0], leaves[0]]),
        ("clip 0", "clip", 0.0),
        ("negative clip", "clip", -session.clip),
        ("infinite clip", "clip", float("inf")),
        ("clip that is no number", "clip", float("nan")),
        ("clip as an integer", "clip", int(session.clip)),
        ("clip in single precision", "clip", Raw(b"\xca\x40\x80\x00\x00")),
        ("61 fraction bits", "bits", 61),
        ("max_weight 0", "max_weight", 0.0),
        ("unknown rounding", "rounding", "down"),
        ("unknown overflow", "overflow", "wrap"),
        ("a ring one bit narrower than needed", "modulus_bits", play_width(play) - 1),
        ("65 bits", "modulus_bits", 65),
        ("ring_bits that do not follow", "ring_bits", session.modulus_bits + 1),
        ("ring_bits 7", "ring_bits", 7),
        ("weighted as a number", "weighted", int(session.weighted)),
        ("no elements in a message", "chunk", 0),
        ("2^27 + 1 elements in a message", "chunk", 2**27 + 1),
        ("1025 bytes of parameters", "parameters", bytes(1025)),
        ("a mechanism without a name", "privacy", wire.msgpack([])),
        ("a mechanism of no known name", "privacy", wire.msgpack(["Dice", 1.0, 1.0])),
        ("a mechanism without numbers", "privacy", wire.msgpack(["DistributedSkellam"])),
        ("a mechanism as an array", "privacy", ["DistributedSkellam", 1.0, 1.0]),
        ("a mechanism that is no msgpack", "privacy", b"\xc1"),
        ("257 bytes of a mechanism", "privacy", bytes(257)),
        ("shares of no noise", "noise_shares", 1),
    ]


def play_width(play: Play) -> int:
    """The least width of the ring of a session."""
    given = play.session.given_modulus_bits
    return play.session.modulus_bits if given is None else 23


def _forms() -> list[tuple[str, str, Any]]:
    return [
        ("suite in a longer form than needed", "suite", Raw(b"\xcc\x01")),
        ("protocol of 65 characters", "protocol", "p" * 65),
        ("protocol in a longer form than needed", "protocol", Raw(b"\xd9\x01p")),
        ("protocol that is not UTF-8", "protocol", Raw(b"\xa2\xc3\x28")),
        ("protocol as bytes", "protocol", b"p"),
        ("2^32 - 1 clients", "client_ids", Raw(b"\xdd\xff\xff\xff\xff")),
        ("2^32 - 1 leaves", "leaves", Raw(b"\xdd\xff\xff\xff\xff")),
    ]

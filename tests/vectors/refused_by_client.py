"""What one client refuses from the server, in every stage."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from reference import schedule, wire
from reference.client import Client
from reference.schedule import u32
from vectors import faults
from vectors.cast import (
    CONSISTENCY_CHECK,
    FINISHED,
    MASKED_INPUT,
    SHARE_KEYS,
    UNMASKING,
    Play,
    fixed,
)
from vectors.faults import Fault, Good, flipped
from vectors.refused_by_server import BAD_POINTS, other_signature


def stages(play: Play, u: int) -> Iterator[tuple[str, list[Fault]]]:
    """Faults by stage."""
    yield SHARE_KEYS, list(_roster(play, u))
    yield MASKED_INPUT, list(_delivery(play, u))
    if play.session.malicious:
        yield CONSISTENCY_CHECK, list(_survivors(play, u, CONSISTENCY_CHECK))
        yield UNMASKING, list(_confirmations(play, u))
    else:
        yield UNMASKING, list(_survivors(play, u, UNMASKING))
    yield FINISHED, list(_afterwards(play, u))


def _roster(play: Play, u: int) -> Iterator[Fault]:
    session = play.session
    good = Good(session, play.heard[SHARE_KEYS][u])
    kinds = {"a client's kind": wire.ADVERTISE_KEYS, "a later stage": wire.SHARE_DELIVERY}
    yield from faults.of_header(good, kinds, u)
    yield from faults.of_body(good)
    yield from faults.of_list(good, 0, "members")
    yield from faults.of_bytes(good, 32, 0, 0, 1, name="share key")
    members = good.body[0]
    mine = next(i for i, member in enumerate(members) if member[0] == u)
    at = next(i for i, v in enumerate(members) if v[0] in play.client(u).held)
    other, third = members[at], members[-1]

    def put(place: int, *fields: Any) -> bytes:
        member = [members[place][0], *fields]
        return good.saying([[*members[:place], member, *members[place + 1 :]]])

    _, c, s, signature = members[mine]
    stranger = [5, *(schedule.public(fixed(f"stranger {i}", 32)) for i in (1, 2)), signature]
    fresh = schedule.public(fixed("put in by the server", 32))
    own_gone = members[:mine] + members[mine + 1 :]
    for reason, message in (
        ("fewer than the least number of survivors", good.saying([members[-3:]])),
        ("nobody", good.saying([[]])),
        ("this client missing", good.saying([own_gone])),
        ("another share key for this client", put(mine, fresh, s, signature)),
        ("another mask key for this client", put(mine, c, fresh, signature)),
        ("a stranger among the members", good.saying([sorted([*members, stranger])])),
        ("one share key twice", put(at, third[1], other[2], other[3])),
        ("a share key that is a mask key too", put(at, third[2], other[2], other[3])),
        ("a client's share key as its mask key", put(at, other[1], other[1], other[3])),
    ):
        yield Fault(reason, message, ends=True)
    for name, number in BAD_POINTS.items():
        for what, point in (("share", (number, None)), ("mask", (None, number))):
            changed = _with_point(play, u, good, *point)
            yield Fault(f"a {what} key {name}", changed, ends=True)
    if not session.malicious:
        yield Fault("a signature", put(at, other[1], other[2], bytes(64)))
        return
    yield Fault("a key put in by the server", put(at, fresh, other[2], other[3]), ends=True)
    yield Fault("a client's two keys exchanged", put(at, other[2], other[1], other[3]), ends=True)
    yield Fault("another client's signature", put(at, *other[1:3], third[3]), ends=True)
    yield Fault(
        "a signature with a bit changed", put(at, *other[1:3], flipped(other[3])), ends=True
    )
    yield Fault("no signature", put(at, *other[1:3], b""))
    yield Fault("a signature of 63 bytes", put(at, *other[1:3], other[3][:63]))
    yield Fault("a signature of 65 bytes", put(at, *other[1:3], other[3] + b"\x00"))
    changed = flipped(signature)
    yield Fault("this client's signature with a bit changed", put(mine, c, s, changed), ends=True)


def _with_point(play: Play, u: int, good: Good, c: int | None, s: int | None) -> bytes:
    """A roster in which a neighbor has another key, well signed.

    A changed key changes a k-regular graph, and a client needs to look at its neighbors' keys only.
    """
    for v in [name for name in play.roster if name != u]:
        keys = [
            old if point is None else point.to_bytes(32, "little")
            for old, point in zip(play.roster[v][:2], (c, s), strict=True)
        ]
        roster = play.roster | {v: _signed(play.client(v), *keys)}
        if v in play.session.graph(roster).neighbors(u):
            return good.saying([[[name, *fields] for name, fields in sorted(roster.items())]])
    raise AssertionError


def _signed(client: Client, c: bytes, s: bytes) -> tuple[bytes, bytes, bytes]:
    session = client.session
    statement = schedule.keys_statement(
        session.head, session.config_digest(), session.model_digest, client.me, c + s
    )
    return c, s, schedule.sign(client.identity, statement)


def _delivery(play: Play, u: int) -> Iterator[Fault]:
    session = play.session
    good = Good(session, play.heard[MASKED_INPUT][u])
    kinds = {"a client's kind": wire.SHARE_KEYS, "the stage before": wire.ROSTER}
    yield from faults.of_header(good, kinds, u)
    yield from faults.of_body(good)
    yield from faults.of_list(good, 1, "shares")
    yield from faults.of_bytes(good, 104, 1, 0, 1, name="ciphertext")
    yield from faults.of_bytes(good, 32, 1, 0, 2, name="key tag")
    yield from faults.of_bytes(good, 32, 1, 0, 3, name="seed tag")
    gone, sealed = good.body
    others = [v for v in play.sealed if v != u]
    many, few = _too_many(play, u, list(play.roster), [v for v in gone if v in _near(play, u)])
    first, second = sealed[0], sealed[1]
    yield Fault("gone out of order", good.saying([[others[1], others[0]], sealed]))
    yield Fault("gone with a client twice", good.saying([[others[0], others[0]], sealed]))
    for reason, body in (
        ("this client gone", [sorted([*gone, u]), sealed]),
        ("a stranger gone", [sorted([*gone, 5]), sealed]),
        ("gone, and yet here", [sorted([*gone, first[0]]), sealed]),
        ("neither gone nor here", [gone, sealed[1:]]),
        ("too many gone", [many, [entry for entry in sealed if entry[0] not in many]]),
        ("too few holders left", [few, [entry for entry in sealed if entry[0] not in few]]),
        ("a ciphertext changed", [gone, [_with(first, 1, flipped(first[1])), *sealed[1:]]]),
        (
            "a ciphertext's end changed",
            [gone, [_with(first, 1, flipped(first[1], 103)), *sealed[1:]]],
        ),
        ("a key tag changed", [gone, [_with(first, 2, flipped(first[2])), *sealed[1:]]]),
        ("a seed tag changed", [gone, [_with(first, 3, flipped(first[3])), *sealed[1:]]]),
        ("the two tags exchanged", [gone, [[*first[:2], first[3], first[2]], *sealed[1:]]]),
        (
            "two senders exchanged",
            [gone, [[first[0], *second[1:]], [second[0], *first[1:]], *sealed[2:]]],
        ),
        (
            "this client's own ciphertext",
            [gone, [[first[0], *play.sealed[u][first[0]]], *sealed[1:]]],
        ),
        ("another receiver's ciphertext", [gone, [_elsewhere(play, first[0], u), *sealed[1:]]]),
        ("an entry from this client", [gone, sorted([*sealed, [u, *first[1:]]])]),
        ("a stranger's entry", [gone, sorted([*sealed, [5, *first[1:]]])]),
    ):
        yield Fault(reason, good.saying(body), ends=True)
    for reason, entry in _from_cheater(play, first[0], u):
        body = [gone, [[first[0], *entry], *sealed[1:]]]
        yield Fault(f"a neighbor sealed {reason}", good.saying(body), ends=True)


def _near(play: Play, u: int) -> list[int]:
    return play.session.graph(play.roster).neighbors(u)


def _too_many(
    play: Play, u: int, present: list[int], missing: list[int]
) -> tuple[list[int], list[int]]:
    """Whom to remove so that too few are left in all, and so that too few holders are.

    On a k-regular graph each set breaks the one rule only; `missing` are gone from both anyway.
    """
    session, near = play.session, _near(play, u)
    far = [v for v in present if v not in (*near, u)]
    enough = len(present) - session.survivors + 1
    many = sorted([*missing, *far, *(v for v in near if v not in missing)][:enough])
    rest = [v for v in near if v in present and v not in missing]
    # On the complete graph a client is one of its own holders.
    holders = len(rest) + (not far)
    few = sorted([*missing, *rest[: holders - session.threshold + 1]])
    if far:
        assert sum(v not in many for v in near) >= session.threshold
        assert len(present) - len(few) >= session.survivors
    return many, few


def _with(entry: list[Any], at: int, value: Any) -> list[Any]:
    return [*entry[:at], value, *entry[at + 1 :]]


def _elsewhere(play: Play, sender: int, receiver: int) -> list[Any]:
    wrong = next(v for v in play.sealed[sender] if v != receiver)
    return [sender, *play.sealed[sender][wrong]]


def _from_cheater(play: Play, v: int, u: int) -> Iterator[tuple[str, tuple[bytes, ...]]]:
    """Entries that open, because a neighbor that cheats made them."""
    cheat, ctx = play.client(v), play.ctx
    key_share, seed_share = cheat.shares()[u]
    tags = schedule.key_tag(ctx, v, u, key_share), schedule.seed_tag(ctx, v, u, seed_share)
    names = u32(v, u)
    for reason, plaintext in (
        ("another share of its key than it tagged", names + flipped(key_share) + seed_share),
        ("another share of its seed than it tagged", names + key_share + flipped(seed_share)),
        ("the two shares exchanged", names + seed_share + key_share),
        ("another sender", u32(u, u) + key_share + seed_share),
        ("another receiver", u32(v, v) + key_share + seed_share),
    ):
        yield reason, (cheat.encrypted(u, plaintext, *tags), *tags)
    large = key_share[:8] + (2**61 - 1).to_bytes(8, "little") + key_share[16:]
    tagged = schedule.key_tag(ctx, v, u, large), tags[1]
    sealed = cheat.encrypted(u, names + large + seed_share, *tagged)
    yield "a share with an element that is the prime, well tagged", (sealed, *tagged)


def _survivors(play: Play, u: int, stage: str) -> Iterator[Fault]:
    session = play.session
    good = Good(session, play.heard[stage][u])
    kinds = {"a client's kind": wire.UNMASK_SHARES, "the stage before": wire.SHARE_DELIVERY}
    if session.malicious:
        kinds["the kind of the weaker levels"] = wire.UNMASK_REQUEST
        kinds["the stage after"] = wire.CONFIRMATIONS
    else:
        kinds["a kind of the malicious level"] = wire.SURVIVORS
    yield from faults.of_header(good, kinds, u)
    yield from faults.of_body(good)
    others = [v for v in play.sealed if v != u]
    pair = Good(session, good.saying([others[:2]]))
    yield from faults.of_list(pair, 0, "the dead")
    many, few = _too_many(play, u, list(play.sealed), [])
    cases = [
        ("this client dead", sorted([*play.dead, u])),
        ("a stranger dead", [5]),
        ("too many dead", many),
        ("too few holders alive", few),
        ("everybody dead", sorted(play.sealed)),
    ]
    cases += [("one dead who never shared", [v]) for v in play.gone]
    for reason, dead in cases:
        yield Fault(reason, good.saying([dead]), ends=True)


def _confirmations(play: Play, u: int) -> Iterator[Fault]:
    session = play.session
    good = Good(session, play.heard[UNMASKING][u])
    kinds = {
        "a client's kind": wire.CONFIRMATION,
        "the stage before": wire.SURVIVORS,
        "the kind of the weaker levels": wire.UNMASK_REQUEST,
    }
    yield from faults.of_header(good, kinds, u)
    yield Fault(
        "other survivors, a second time", _survivors_again(play, play.dead + play.alive[:1])
    )
    yield from faults.of_body(good)
    yield from faults.of_list(good, 0, "confirmations")
    yield from faults.of_bytes(good, 64, 0, 0, 1, name="signature")
    entries = good.body[0]
    (dead,) = play.dead
    theirs = [dead, other_signature(play, play.client(dead))]
    nobody = schedule.transcript(play.ctx, sorted(play.sealed), sorted(play.sealed))
    last = play.client(entries[-1][0])
    other = schedule.sign(last.identity, schedule.survivors_statement(nobody))
    rest = entries[:-1]
    for reason, changed in (
        ("fewer than the threshold", rest),
        ("none", []),
        ("a signature with a bit changed", [*rest, [last.me, flipped(entries[-1][1])]]),
        ("a signature for other survivors", [*rest, [last.me, other]]),
        ("one signature under two names", [*rest, [last.me, rest[-1][1]]]),
        ("the signature of a dead client", sorted([*entries, theirs])),
        ("a dead client in the place of a living one", sorted([*rest, theirs])),
        ("a stranger's signature", sorted([*entries, [5, theirs[1]]])),
    ):
        yield Fault(f"confirmations: {reason}", good.saying([changed]), ends=True)


def _survivors_again(play: Play, dead: list[int]) -> bytes:
    return play.session.message(wire.SURVIVORS, wire.SERVER, [sorted(dead)])


def _afterwards(play: Play, u: int) -> Iterator[Fault]:
    """What comes when the client has given its shares, once."""
    yield Fault("the last message again", play.heard[UNMASKING][u])
    yield Fault("an earlier message again", play.heard[MASKED_INPUT][u])
    session = play.session
    kind = wire.SURVIVORS if session.malicious else wire.UNMASK_REQUEST
    for reason, dead in (
        ("nobody dead after all", []),
        ("one more dead", sorted([*play.dead, *[v for v in play.alive if v != u][:1]])),
    ):
        yield Fault(reason, session.message(kind, wire.SERVER, [dead]))

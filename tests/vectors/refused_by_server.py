"""What a server refuses from one client, in every stage; the other clients have answered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from reference import schedule, wire
from reference.client import Client
from reference.session import Session
from vectors import faults
from vectors.cast import (
    ADVERTISE_KEYS,
    CONSISTENCY_CHECK,
    MASKED_INPUT,
    SHARE_KEYS,
    UNMASKING,
    Play,
    fixed,
)
from vectors.faults import Fault, Good, flipped

FIELD_PRIME = 2**255 - 19
_ORDER_8 = (
    0xB8495F16056286FDB1329CEB8D09DA6AC49FF1FAE35616AEB8413B7C7AEBE0,
    0x57119FD0DD4E22D8868E1C58C45C44045BEF839C55B1D0B1248C50A3BC959C5F,
)
BAD_POINTS = {
    "of order 4": 0,
    "of order 1": 1,
    "of order 8, first": _ORDER_8[0],
    "of order 8, second": _ORDER_8[1],
    "of order 2": FIELD_PRIME - 1,
    "that is the prime": FIELD_PRIME,
    "that is the prime and 9": FIELD_PRIME + 9,
    "with all bits set": 2**256 - 1,
}


def stages(play: Play, u: int) -> Iterator[tuple[str, list[Fault]]]:
    """Faults by stage."""
    yield ADVERTISE_KEYS, list(_keys(play, u))
    yield SHARE_KEYS, list(_shares(play, u))
    yield MASKED_INPUT, list(_vector(play, u))
    if play.session.malicious:
        yield CONSISTENCY_CHECK, list(_confirmation(play, u))
    yield UNMASKING, list(_unmask(play, u))


def second_answers(play: Play, u: int) -> Iterator[tuple[str, list[Fault]]]:
    """Answers that come when the client has given another one already."""
    c, s = (fixed(f"second keys {at}", 32) for at in (1, 2))
    one = play.client(u)
    other = Client(play.session, u, c, s, one.self_secret, fixed("p", 24), [], one.identity)
    yield ADVERTISE_KEYS, [Fault("other keys, well signed", other.advertise_keys(), cheater=True)]
    other.share_secret, other.mask_secret = one.share_secret, one.mask_secret
    shares = other.share_keys(play.roster)
    yield SHARE_KEYS, [Fault("other shares, well signed", shares, cheater=True)]
    message = play.said[MASKED_INPUT][u][-1]
    changed = message[:-1] + bytes([message[-1] ^ 1])
    yield MASKED_INPUT, [Fault("another last piece", changed)]
    if play.session.malicious:
        signature = schedule.sign(one.identity, b"something else")
        good = Good(play.session, play.said[CONSISTENCY_CHECK][u][0])
        yield (
            CONSISTENCY_CHECK,
            [Fault("another signature", good.saying([signature]), cheater=True)],
        )
    good = Good(play.session, play.said[UNMASKING][u][0])
    alive, dead = good.body
    alive[0][1] = flipped(alive[0][1])
    yield UNMASKING, [Fault("other shares", good.saying([alive, dead]), cheater=True)]


def _keys(play: Play, u: int) -> Iterator[Fault]:
    session, client = play.session, play.client(u)

    def statement(of: Session, sender: int, keys: list[bytes]) -> bytes:
        return schedule.keys_statement(
            of.head, of.config_digest(), of.model_digest, sender, b"".join(keys)
        )

    def finish(body: list[Any]) -> list[Any]:
        if not all(isinstance(key, bytes) for key in body[:2]):
            return body
        return [*body[:2], schedule.sign(client.identity, statement(session, u, body[:2]))]

    good = Good(session, play.said[ADVERTISE_KEYS][u][0], finish)
    kinds = {"a server's kind": wire.ROSTER, "a later stage": wire.UNMASK_SHARES, "a session": 0}
    yield from faults.of_header(good, kinds, _other(play, u))
    yield from faults.of_body(good)
    yield from faults.of_bytes(good, 32, 0, name="share key")
    yield from faults.of_bytes(good, 32, 1, name="mask key")
    c, s, signature = good.body
    for name, number in BAD_POINTS.items():
        point = number.to_bytes(32, "little")
        yield Fault(f"share key {name}", good.saying([point, s, b""]))
        yield Fault(f"mask key {name}", good.saying([c, point, b""]))
    yield Fault("one key twice", good.saying([c, c, b""]))
    c_other, s_other, _ = play.roster[_other(play, u)]
    yield Fault("another client's share key", good.saying([c_other, s, b""]))
    yield Fault("another client's mask key as share key", good.saying([s_other, s, b""]))
    if not session.malicious:
        yield Fault("a signature where nobody signs", _plain(good, [c, s, bytes(64)]))
        return
    yield from faults.of_bytes(Good(session, good.message), 64, 2, name="signature")
    signers = play.client(_other(play, u))
    last = play.players[max(play.players)].client.session
    for reason, wrong in (
        ("no signature", b""),
        ("signature with a bit changed", flipped(signature)),
        ("another client's signature", signers.keys()[2]),
        ("signed by another", schedule.sign(signers.identity, statement(session, u, [c, s]))),
        ("keys exchanged", schedule.sign(client.identity, statement(session, u, [s, c]))),
        ("signed for another session", _foreign(client, last, u, [c, s], "session_id")),
        ("signed for another round", _foreign(client, last, u, [c, s], "round")),
        ("signed for another configuration", _foreign(client, last, u, [c, s], "clip")),
        ("signed for another model", _foreign(client, last, u, [c, s], "model_digest")),
    ):
        yield Fault(reason, _plain(good, [c, s, wrong]), cheater=len(wrong) == 64)


def _foreign(client: Client, session: Session, u: int, keys: list[bytes], what: str) -> bytes:
    """The client's signature of its keys where one thing of the session is different."""
    head, config, model = session.head, session.config_digest(), session.model_digest
    if what == "session_id":
        head = head[:2] + bytes(16) + head[18:]
    elif what == "round":
        head = head[:18] + (session.round + 1).to_bytes(8, "little")
    elif what == "clip":
        config = fixed("other config", 32)
    else:
        model = fixed("other model", 32)
    statement = schedule.keys_statement(head, config, model, u, b"".join(keys))
    return schedule.sign(client.identity, statement)


def _shares(play: Play, u: int) -> Iterator[Fault]:
    session, client = play.session, play.client(u)

    def finish(body: list[Any]) -> list[Any]:
        return client.signed_shares(body[:3]) if len(body) == 4 else body

    good = Good(session, play.said[SHARE_KEYS][u][0], finish)
    kinds = {"a server's kind": wire.SHARE_DELIVERY, "the stage before": wire.ADVERTISE_KEYS}
    yield from faults.of_header(good, kinds, _other(play, u))
    yield from faults.of_body(good)
    yield from faults.of_bytes(good, 32, 0, name="commitment")
    yield from faults.of_list(good, 2, "shares")
    yield from faults.of_bytes(good, 104, 2, 0, 1, name="ciphertext")
    yield from faults.of_bytes(good, 32, 2, 0, 2, name="key tag")
    yield from faults.of_bytes(good, 32, 2, 0, 3, name="seed tag")
    commitment, own_tag, sealed, signature = good.body
    strangers = [v for v in (5, 6, 2**31) if v not in session.client_ids]
    without = sorted([*sealed[1:], [strangers[0], *sealed[0][1:]]])
    yield Fault("shares for nobody", good.changed(2, to=[]))
    yield Fault("no shares for one neighbor", good.changed(2, to=sealed[1:]))
    yield Fault("shares for a stranger in a neighbor's place", good.changed(2, to=without))
    yield Fault("shares for oneself", good.changed(2, to=sorted([*sealed, [u, *sealed[0][1:]]])))
    if not session.malicious:
        yield Fault("tag of an own share", _plain(good, [commitment, bytes(32), sealed, b""]))
        yield Fault("a signature", _plain(good, [commitment, b"", sealed, bytes(64)]))
        near = {entry[0] for entry in sealed}
        far = min(v for v in play.roster if v not in near and v != u)
        entries = sorted([*sealed, [far, *sealed[0][1:]]])
        yield Fault("shares for one who is no neighbor", good.changed(2, to=entries))
        return
    yield from faults.of_bytes(good, 32, 1, name="own tag")
    yield from faults.of_bytes(Good(session, good.message), 64, 3, name="signature")
    yield Fault("no own tag", good.changed(1, to=b""))
    unsigned = [commitment, own_tag, sealed]
    changed = [[sealed[0][0], flipped(sealed[0][1]), *sealed[0][2:]], *sealed[1:]]
    for reason, body in (
        ("no signature", [*unsigned, b""]),
        ("signature with a bit changed", [*unsigned, flipped(signature)]),
        ("signature of the keys", [*unsigned, client.keys()[2]]),
        ("ciphertext changed after signing", [commitment, own_tag, changed, signature]),
        ("commitment changed after signing", [flipped(commitment), *unsigned[1:], signature]),
        ("own tag changed after signing", [commitment, flipped(own_tag), sealed, signature]),
    ):
        yield Fault(reason, _plain(good, body), cheater=len(body[3]) == 64)


def _vector(play: Play, u: int) -> Iterator[Fault]:
    good = Good(play.session, play.said[MASKED_INPUT][u][0])
    kinds = {"a server's kind": wire.UNMASK_REQUEST, "the stage before": wire.SHARE_KEYS}
    yield from faults.of_header(good, kinds, _other(play, u))
    body = wire.body(good.message)
    bits, count, packed = body[0], int.from_bytes(body[1:9], "little"), body[13:]

    def piece(bits: int, count: int, index: int, data: bytes) -> bytes:
        head = bytes([bits]) + count.to_bytes(8, "little") + index.to_bytes(4, "little")
        return good.sealed(head + data)

    yield Fault("empty body", good.sealed(b""))
    yield Fault("shorter than the header of a vector", good.sealed(body[:12]))
    for wrong in (0, 7, bits - 1, bits + 1, 65, 255):
        size = (count * wrong + 7) // 8
        yield Fault(f"elements of {wrong} bits", piece(wrong, count, 0, bytes(size)))
    for wrong in (count - 1, count + 1):
        size = (wrong * bits + 7) // 8
        yield Fault(f"{wrong} elements", piece(bits, wrong, 0, bytes(size)))
    for reason, wrong in (
        ("no elements", 0),
        ("2^61 elements", 2**61),
        ("2^64 - 1 elements", 2**64 - 1),
    ):
        yield Fault(reason, piece(bits, wrong, 0, packed if wrong else b""))
    wrong = 2**64 // bits + 1
    fitting = bytes((wrong * bits % 2**64 + 7) // 8)
    yield Fault("so many elements that their bits wrap", piece(bits, wrong, 0, fitting))
    yield Fault("the second piece first", piece(bits, count, 1, packed))
    yield Fault("piece 2^32 - 1", piece(bits, count, 2**32 - 1, packed))
    # Ending in zeros, so that nothing but the length is wrong.
    yield Fault("a byte too few", piece(bits, count, 0, packed[:-2] + b"\x00"))
    yield Fault("a byte too many", piece(bits, count, 0, packed + b"\x00"))
    assert count * bits % 8
    for reason, mask in (("highest", 0x80), ("lowest", 1 << count * bits % 8)):
        padded = packed[:-1] + bytes([packed[-1] | mask])
        yield Fault(f"the {reason} padding bit is set", piece(bits, count, 0, padded))


def _confirmation(play: Play, u: int) -> Iterator[Fault]:
    session, client = play.session, play.client(u)
    good = Good(session, play.said[CONSISTENCY_CHECK][u][0])
    kinds = {"a server's kind": wire.CONFIRMATIONS, "a later stage": wire.UNMASK_SHARES}
    yield from faults.of_header(good, kinds, _other(play, u))
    yield from faults.of_body(good)
    yield from faults.of_bytes(good, 64, 0, name="signature")
    yield Fault("no signature", good.saying([b""]))
    everybody = schedule.transcript(play.ctx, sorted(play.sealed), sorted(play.sealed))
    elsewhere = schedule.transcript(bytes(32), sorted(play.sealed), play.alive)
    other = play.client(_other(play, u))
    for reason, signature in (
        ("a bit changed", flipped(good.body[0])),
        ("another client's signature", other_signature(play, other)),
        ("signed that nobody is dead", _confirm(client, everybody)),
        ("signed in another context", _confirm(client, elsewhere)),
        ("signature of the keys", client.keys()[2]),
    ):
        yield Fault(reason, good.saying([signature]), cheater=True)


def other_signature(play: Play, client: Client) -> bytes:
    """A client's signature on the survivors."""
    return _confirm(client, play.transcript)


def _confirm(client: Client, transcript: bytes) -> bytes:
    return schedule.sign(client.identity, schedule.survivors_statement(transcript))


def _unmask(play: Play, u: int) -> Iterator[Fault]:
    good = Good(play.session, play.said[UNMASKING][u][0])
    kinds = {"a server's kind": wire.UNMASK_REQUEST, "the stage before": wire.MASKED_INPUT}
    yield from faults.of_header(good, kinds, _other(play, u))
    yield from faults.of_body(good)
    yield from faults.of_list(good, 0, "shares of the living")
    yield from faults.of_bytes(good, 40, 0, 0, 1, name="share")
    alive, dead = good.body
    held = play.client(u).held
    key_share = held[alive[0][0]][0]
    wrong = [alive[0][0], flipped(alive[0][1])]
    large = [alive[0][0], alive[0][1][:32] + (2**61 - 1).to_bytes(8, "little")]
    for reason, entry in (("a bit changed", wrong), ("an element that is the prime", large)):
        body = [[entry, *alive[1:]], dead]
        yield Fault(f"share with {reason}", good.saying(body), cheater=entry is wrong)
    swapped = [[alive[0][0], alive[1][1]], [alive[1][0], alive[0][1]], *alive[2:]]
    yield Fault("two shares exchanged", good.saying([swapped, dead]), cheater=True)
    body = [[[alive[0][0], key_share], *alive[1:]], dead]
    yield Fault("share of the other secret", good.saying(body), cheater=True)
    yield Fault("shares of nobody", good.saying([[], []]))
    yield Fault("a share of one of the living missing", good.saying([alive[1:], dead]))
    both = sorted([*dead, [alive[0][0], key_share]])
    yield Fault("both shares of one client", good.saying([alive, both]))
    only = [alive[1:], both]
    yield Fault("one of the living among the dead", good.saying(only))
    yield Fault("living and dead exchanged", good.saying([dead, alive]))
    for owner, _ in dead:
        yield Fault("the share of a dead client missing", good.saying([alive, []]))
        raised = sorted([*alive, [owner, held[owner][1]]])
        yield Fault("a dead client among the living", good.saying([raised, []]))
    stranger = sorted([*alive, [5, bytes(40)]])
    yield Fault("a share of a stranger", good.saying([stranger, dead]))
    if not play.session.malicious:
        own = sorted([*alive, [u, bytes(40)]])
        yield Fault("a share of oneself", good.saying([own, dead]))


def _plain(good: Good, body: list[Any]) -> bytes:
    """The message with this very body, whatever its signature."""
    return good.sealed(faults.encode(body))


def _other(play: Play, u: int) -> int:
    return next(v for v in play.alive if v != u)

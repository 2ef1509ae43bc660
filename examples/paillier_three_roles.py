"""Parties that are never online together; run: python examples/paillier_three_roles.py.

Each role is a function of bytes, as a process of its own would be that wakes up, works through a
mailbox and goes away again. Clients encrypt, sign and are done; the server multiplies what it
cannot read; the key holder checks for itself what it is asked to decrypt, and answers once. What
lies between them is a dict of mailboxes: files, a bucket or e-mail would do.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np

import fedsecure as fs
from fedsecure.paillier import PrivateKey, PublicKey, generate_keypair
from fedsecure.wire import KEY_HOLDER

PUBLIC, PRIVATE = generate_keypair(2048)  # PRIVATE stays with the key holder; 3072 if left out
IDENTITIES = {i: fs.Identity.generate() for i in (1, 2, 3, 4)}  # each at home with its owner
VERIFY_KEYS = {i: identity.verify_key for i, identity in IDENTITIES.items()}  # known to all
MAIL: defaultdict[str, list[tuple[int, bytes]]] = defaultdict(list)  # by receiver: sender, message


def policy(key: PublicKey | PrivateKey, own: int | None = None) -> fs.PaillierSum:
    """What one party knows: the key it pins, everybody's verify key, and its own secret."""
    mine = {} if own is None else {own: IDENTITIES[own]}
    return fs.PaillierSum(key, identities={**VERIFY_KEYS, **mine}, min_inputs=3)


def client_process(client_id: int, session_bytes: bytes) -> None:
    """One organisation: encrypts, signs, sends, and is gone."""
    session = fs.Session.from_bytes(session_bytes)
    update = {"w": np.full(4, float(client_id), np.float32)}
    client = policy(PUBLIC, client_id).client(session, client_id, update, weight=10.0 * client_id)
    MAIL["server"] += [(client_id, message) for message in client.start()]


def server_process(session: fs.Session, saved: bytes | None = None) -> bytes | fs.Aggregate:
    """Works through its mailbox, then keeps itself as bytes; the second time it has the result."""
    server = policy(PUBLIC).server(session)
    if saved is not None:
        server = type(server).from_bytes(saved, PUBLIC, session)
    while MAIL["server"]:
        server.receive(*MAIL["server"].pop(0))
    for messages in server.advance().values():
        MAIL["key holder"] += [(KEY_HOLDER, message) for message in messages]
    return server.result() if server.finished else server.to_bytes()


def key_holder_process(session_bytes: bytes) -> None:
    """Audits every input, and decrypts the product of all of them and nothing else."""
    holder = policy(PRIVATE).key_holder(fs.Session.from_bytes(session_bytes))
    while MAIL["key holder"]:
        _, message = MAIL["key holder"].pop(0)
        MAIL["server"] += [(KEY_HOLDER, answer) for answer in holder.receive(message)]


def main() -> None:
    """Wakes one role after the other, and prints what the server learnt."""
    session = policy(PUBLIC).session(
        client_ids=IDENTITIES,
        spec=fs.TreeSpec.of({"w": np.zeros(4, np.float32)}),
        encoding=fs.FixedPoint(max_weight=100.0),
        weighted=True,
    )
    public = session.to_bytes()
    for client_id in (1, 2, 3):  # the fourth never wakes up
        client_process(client_id, public)
    saved = server_process(session)
    key_holder_process(public)
    result = server_process(session, saved)
    print("mean", result.mean["w"].round(3), "of clients", result.contributors)
    print("total weight", result.total_weight, "- dropped out:", result.dropouts)


if __name__ == "__main__":
    main()

"""Separate parties with a transport of your own; run: python examples/parties_over_queues.py.

Every client is a thread here that shares nothing with the others but two queues of bytes, as a
process on another machine would share two sockets. Each has an identity of its own and the verify
keys of the others, which they told each other beforehand. The fourth client never answers the
second message: the server stops waiting for it after a while and the sum is the others'.
"""

from __future__ import annotations

import queue
import threading

import numpy as np

import fedsecure as fs

IDENTITIES = {i: fs.Identity.generate() for i in (1, 2, 3, 4)}  # each at home with its owner
VERIFY_KEYS = {i: identity.verify_key for i, identity in IDENTITIES.items()}  # known to all
TO_SERVER: queue.Queue[tuple[int, bytes]] = queue.Queue()
TO_CLIENT: dict[int, queue.Queue[bytes | None]] = {i: queue.Queue() for i in (1, 2, 3, 4)}
PATIENCE = 3.0  # seconds the server waits in each stage


def client_process(client_id: int, session_bytes: bytes, vanishes: bool) -> None:
    """One organisation: makes its party from the public session, then answers until it is done."""
    session = fs.Session.from_bytes(session_bytes)
    update = {"w": np.full(4, float(client_id), np.float32)}
    policy = fs.PairwiseMasking(identities={**VERIFY_KEYS, client_id: IDENTITIES[client_id]})
    client = policy.client(session, client_id, update, weight=10.0 * client_id)
    for message in client.start():
        TO_SERVER.put((client_id, message))
    while not client.finished:
        received = TO_CLIENT[client_id].get()
        if received is None or vanishes:
            return
        for message in client.receive(received):
            TO_SERVER.put((client_id, message))


def server_process(session: fs.Session) -> fs.Aggregate:
    """Collects each stage until everybody has answered or patience is at an end."""
    server = fs.PairwiseMasking(identities=VERIFY_KEYS).server(session)
    while not server.finished:
        while server.waiting_for:
            try:
                client_id, message = TO_SERVER.get(timeout=PATIENCE)
            except queue.Empty:
                break
            try:
                server.receive(client_id, message)
            except (
                fs.errors.RemoteProtocolError
            ) as refused:  # late, broken or forged: go on without
                print("refused:", refused)
        for client_id, messages in server.advance().items():
            for message in messages:
                TO_CLIENT[client_id].put(message)
    return server.result()


def main() -> None:
    """Runs four clients and a server, and prints what the server learnt."""
    session = fs.PairwiseMasking(identities=VERIFY_KEYS).session(
        client_ids=TO_CLIENT,
        spec=fs.TreeSpec.of({"w": np.zeros(4, np.float32)}),
        encoding=fs.FixedPoint(max_weight=100.0),
        weighted=True,
    )
    public = session.to_bytes()
    threads = [threading.Thread(target=client_process, args=(i, public, i == 4)) for i in TO_CLIENT]
    for thread in threads:
        thread.start()
    result = server_process(session)
    for inbox in TO_CLIENT.values():
        inbox.put(None)
    for thread in threads:
        thread.join()
    print("mean", result.mean["w"].round(3), "of clients", result.contributors)
    print("total weight", result.total_weight, "- dropped out:", result.dropouts)


if __name__ == "__main__":
    main()

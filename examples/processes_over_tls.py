"""Parties as processes over plain TLS, and one is killed: python examples/processes_over_tls.py."""

import datetime as dt
import signal
import socket
import ssl
import tempfile
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import fedsecure as fs

CLIENTS, MOST = (1, 2, 3, 4), 1 << 24  # their ids; most bytes of one message
UPDATES = {i: np.linspace(-i, i, 50_000) / 4 for i in CLIENTS}  # client i has 10 * i examples
SPEC, ENCODING = fs.TreeSpec.of(UPDATES[1]), fs.FixedPoint(max_weight=100.0)
socket.setdefaulttimeout(20.0)  # the deadline of everybody's every wait, in seconds


def _certify(folder, name):  # writes key and certificate, which stay at home; returns the latter
    key, now = Ed25519PrivateKey.generate(), dt.datetime.now(dt.UTC)
    who = x509.Name.from_rfc4514_string(f"CN={name}")
    made = x509.CertificateBuilder(who, who, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(now).not_valid_after(now + dt.timedelta(1)).sign(key, None)
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    Path(folder, f"{name}.pem").write_bytes(secret + made.public_bytes(Encoding.PEM))
    return made.public_bytes(Encoding.PEM).decode()


def _tls(side, folder, name, trusted):  # shows its own certificate, takes only those trusted
    context = ssl.SSLContext(side)
    context.check_hostname, context.verify_mode = False, ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=trusted)
    context.load_cert_chain(Path(folder, f"{name}.pem"))
    return context


def _framed(messages):
    return b"".join(len(message).to_bytes(4, "big") + message for message in messages)


def _receive(stream):
    size = int.from_bytes(stream.read(4), "big")
    if not 0 < size <= MOST or len(message := stream.read(size)) != size:
        raise ConnectionError("the other side is gone, or sends too much")
    return message


def _client(tls, address, own, secret, keys):  # a process; secret and .pem file are its own
    line = _tls(ssl.PROTOCOL_TLS_CLIENT, *tls).wrap_socket(socket.create_connection(address))
    stream = line.makefile("rb")
    policy = fs.PairwiseMasking(identities={**keys, own: fs.Identity.from_bytes(secret)})
    session = fs.Session.from_bytes(_receive(stream))
    party = policy.client(session, own, UPDATES[own], weight=10.0 * own)
    data = _framed(party.start())
    while data:
        if own == 4 and len(data) > 100_000:  # its update: the rest of it never leaves
            line.sendall(data[:50_000])
            signal.raise_signal(signal.SIGKILL)
        line.sendall(data)
        data = b"" if party.finished else _framed(party.receive(_receive(stream)))


if __name__ == "__main__":  # the server, after it has started everybody
    secrets, lines, streams = {i: fs.Identity.generate() for i in CLIENTS}, {}, {}
    keys = {i: secrets[i].verify_key for i in CLIENTS}
    policy = fs.PairwiseMasking(identities=keys)
    session = policy.session(client_ids=CLIENTS, spec=SPEC, encoding=ENCODING, weighted=True)
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as door:
        own, *others = (_certify(folder, name) for name in ("server", *CLIENTS))
        for i in CLIENTS:
            args = (folder, i, own), door.getsockname(), i, secrets[i].to_bytes(), keys
            get_context("spawn").Process(target=_client, args=args).start()
        while len(lines) < len(CLIENTS):
            context = _tls(ssl.PROTOCOL_TLS_SERVER, folder, "server", "".join(others))
            line = context.wrap_socket(door.accept()[0], server_side=True)
            line.sendall(_framed([session.to_bytes()]))
            name = int(line.getpeercert()["subject"][0][0][1])
            lines[name], streams[name] = line, line.makefile("rb")
    server = policy.server(session)
    while not server.finished:
        for name in server.waiting_for & lines.keys():
            try:
                while name in server.waiting_for:
                    server.receive(name, _receive(streams[name]))
            except (OSError, fs.errors.RemoteProtocolError) as reason:
                print(f"{server.stage}: going on without client {name}: {reason}")
                del lines[name]
        for name, messages in server.advance().items():
            lines[name].sendall(_framed(messages))
    result, who = server.result(), server.result().contributors
    plain = np.average([UPDATES[i] for i in who], axis=0, weights=[10.0 * i for i in who])
    steps = np.abs(result.mean - plain).max() / ENCODING.step
    print(f"mean of {who}, without {result.dropouts}: {steps:.2f} steps from their plain mean")
    raise SystemExit(0 if steps <= 1 else 2)

"""A Flower deployment on the loopback interface: a SuperLink, SuperNodes and TLS, all offline.

Every wait has a deadline, and whatever was started is ended by its own process group.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import fedsecure
from fedsecure.adapters.flower import write_identities

ROOT = Path(__file__).resolve().parent.parent
APP = ROOT / "examples" / "flower_app"
COMMANDS = Path(sys.executable).parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write_certificates(folder: Path) -> None:
    """Writes an authority, ca.crt, and what it signed for 127.0.0.1: link.crt and link.key."""
    authority, own = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    names = [
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]) for text in ("test", "localhost")
    ]
    now = dt.datetime.now(dt.UTC)

    def certificate(subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, is_ca: bool) -> bytes:
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(names[0])
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName(
                    [
                        x509.DNSName("localhost"),
                        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
                    ]
                ),
                critical=False,
            )
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()),
                critical=False,
            )
        )
        if is_ca:
            usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
            builder = builder.add_extension(usage, critical=True)
        signed = builder.sign(authority, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM)

    (folder / "ca.crt").write_bytes(certificate(names[0], authority, is_ca=True))
    (folder / "link.crt").write_bytes(certificate(names[1], own, is_ca=False))
    (folder / "link.key").write_bytes(
        own.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


@dataclass
class Deployment:
    """Processes in a folder of their own; use it as a context, which ends them."""

    folder: Path
    nodes: int
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)
    node: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        write_certificates(self.folder)
        write_identities(self.folder, range(self.nodes))
        self.port = free_port()
        home = self.folder / "home"
        home.mkdir()
        (home / "config.toml").write_text(
            f'[superlink]\ndefault = "loop"\n[superlink.loop]\naddress = "127.0.0.1:{self.port}"\n'
            f'root-certificates = "{self.folder / "ca.crt"}"\n',
            encoding="utf-8",
        )
        self.environment = {
            **os.environ,
            "FLWR_HOME": str(home),
            "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_DISABLE_UPDATE_CHECK": "1",
            "UV_OFFLINE": "1",
            "PYTHONPATH": str(Path(fedsecure.__file__).parents[1]),
            "PATH": f"{COMMANDS}{os.pathsep}{os.environ['PATH']}",
            "PYTHONUNBUFFERED": "1",
        }

    def __enter__(self) -> Self:
        tls = [f"--ssl-ca-certfile={self.folder / 'ca.crt'}"]
        tls += [f"--ssl-certfile={self.folder / 'link.crt'}"]
        tls += [f"--ssl-keyfile={self.folder / 'link.key'}"]
        self.start(
            "link",
            "flower-superlink",
            "--host=127.0.0.1",
            f"--port={self.port}",
            "--disable-runtime-dependency-installation",
            *tls,
        )
        self.wait_for_port(self.port, 90)
        for number in range(self.nodes):
            config = (
                f"partition-id={number} client-id={number} "
                f'identity="{self.folder / f"{number}.key"}" '
                f'verify-keys="{self.folder / "verify_keys.json"}"'
            )
            self.node[number] = self.start(
                f"node{number}",
                "flower-supernode",
                f"--superlink=127.0.0.1:{self.port}",
                f"--root-certificates={self.folder / 'ca.crt'}",
                f"--port={free_port()}",
                f"--node-config={config}",
                *tls,
            )
        return self

    def start(self, name: str, command: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Starts a command in a session of its own; what it prints goes to <name>.log."""
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [COMMANDS / command, *arguments],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=self.environment,
                cwd=self.folder,
                start_new_session=True,
            )
        self.started.append(process)
        return process

    def wait_for_nodes(self, seconds: float) -> None:
        """Waits until the SuperLink has given every node its id."""
        for number in self.node:
            self.wait_for_text(f"node{number}", "SuperNode ID:", seconds)

    def run(self, app: Path = APP, **config: object) -> Run:
        """Runs an app in this deployment, by default the example."""
        settings = " ".join(
            f'{key}="{value}"' if isinstance(value, str) else f"{key}={value}"
            for key, value in config.items()
        )
        process = self.start(
            "run", "flwr", "run", str(app), "loop", "--stream", "--run-config", settings
        )
        return Run(process, self.folder / "run.log")

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """Ends a process and its children at once, as a machine that loses its power would."""
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        process.wait(timeout=30)

    def wait_for_port(self, port: int, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.2)
        raise TimeoutError(f"nothing listens on port {port}\n{self.logs()}")

    def wait_for_text(self, name: str, text: str, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if text in (self.folder / f"{name}.log").read_text("utf-8", "replace"):
                return
            time.sleep(0.2)
        raise TimeoutError(f"{name} never said {text!r}\n{self.logs()}")

    def logs(self) -> str:
        """The end of everything that was printed."""
        return "\n".join(
            f"--- {path.name}\n" + path.read_text("utf-8", "replace")[-3000:]
            for path in sorted(self.folder.glob("*.log"))
        )

    def __exit__(self, *_: object) -> None:
        for process in reversed(self.started):  # nodes first: without a SuperLink they do not end
            self.kill(process)


@dataclass
class Run:
    """A run, and all that it has printed so far."""

    process: subprocess.Popen[bytes]
    log: Path
    text: str = ""

    def until(self, wanted: str, seconds: float) -> None:
        """Reads the log until it says something."""
        deadline = time.monotonic() + seconds
        while True:
            ended = self.process.poll() is not None
            self.text = self.log.read_text("utf-8", "replace")
            if wanted in self.text:
                return
            if ended or time.monotonic() > deadline:
                raise TimeoutError(f"the run never said {wanted!r}\n{self.text}")
            time.sleep(0.2)

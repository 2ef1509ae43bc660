"""The command `fedsecure keys`: makes identities and Paillier keys in files, and shows them."""

from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedsecure.errors import CryptoError, LocalProtocolError
from fedsecure.paillier import PrivateKey, PublicKey, generate_keypair
from fedsecure.paillier.threshold import KeyShare
from fedsecure.primitives.identity import Identity

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

__all__ = ["add", "run"]

_LARGEST = 1 << 20  # no key file is longer


def add(parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """Gives the parser of `fedsecure keys` its commands.

    Args:
        parser: That parser.
        common: Options that all commands have.
    """
    actions = parser.add_subparsers(dest="action", required=True, metavar="action")
    identity = actions.add_parser(
        "identity",
        parents=[common],
        help="make who a party is: a signing key that others pin",
        description="Makes an Ed25519 signing key in FILE, encrypted with a password, and prints "
        "its verify key. Give that one to the other parties on a way that the server does not "
        "control: with it they know this party from session to session.",
        epilog="in Python: Identity.from_sealed_bytes(Path(FILE).read_bytes(), password)",
    )
    paillier = actions.add_parser(
        "paillier",
        parents=[common],
        help="make a key pair for encrypted sums",
        description="Makes a Paillier key pair: the private key in FILE, encrypted with a "
        "password, the public one in FILE.pub. Clients encrypt under the public one; whoever has "
        "FILE and its password can read every sum, and every single input.",
        epilog="in Python: paillier.PrivateKey.from_bytes(Path(FILE).read_bytes(), password)",
    )
    paillier.add_argument(
        "--bits",
        type=int,
        choices=(2048, 3072, 4096),
        default=3072,
        help="size of the modulus (default: 3072, about 128 bits of security)",
    )
    show = actions.add_parser(
        "show",
        parents=[common],
        help="what a key file holds, without its secrets",
        description="Prints the verify key of an identity, or the fingerprint of a Paillier key "
        "or of a share of one. Compare it with what others have pinned.",
    )
    for action in (identity, paillier, show):
        action.add_argument("file", type=Path, metavar="FILE", help="the key file")
        where = action.add_mutually_exclusive_group()
        where.add_argument(
            "--password-file", type=Path, metavar="P", help="read the password from this file"
        )
        where.add_argument(
            "--password-env", metavar="NAME", help="read it from this environment variable"
        )


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Does what was asked, and returns what may be told of the key.

    Raises:
        CryptoError: Not a key file, or another password.
        LocalProtocolError: There is no password, or a file is there already.
        OSError: A file cannot be read or written.
    """
    if arguments.action == "show":
        return _show(arguments)
    public_file = arguments.file.with_name(f"{arguments.file.name}.pub")
    targets = [arguments.file] if arguments.action == "identity" else [arguments.file, public_file]
    for target in targets:
        if target.exists():
            raise _there(target)
    password = _password(arguments, twice=True)
    if arguments.action == "identity":
        made = Identity.generate()
        _write({arguments.file: made.to_sealed_bytes(password)})
        return {**_of_identity(made), "file": str(arguments.file)}
    public, private = generate_keypair(arguments.bits)
    _write({arguments.file: private.to_bytes(password), public_file: public.to_bytes()})
    found = _of_paillier("Paillier key pair", public)
    return {**found, "file": str(arguments.file), "public_file": str(public_file)}


def _show(arguments: argparse.Namespace) -> dict[str, Any]:
    with arguments.file.open("rb") as file:
        data = file.read(_LARGEST + 1)
    kind, found = data[:4], {"file": str(arguments.file)}
    if kind == b"FSPP":
        return _of_paillier("Paillier public key", PublicKey.from_bytes(data)) | found
    if kind not in (b"FSID", b"FSPS", b"FSTS") or len(data) > _LARGEST:
        raise CryptoError(f"{arguments.file} is no key file of fedsecure")
    password = _password(arguments, twice=False)
    if kind == b"FSID":
        return _of_identity(Identity.from_sealed_bytes(data, password)) | found
    if kind == b"FSPS":
        private = PrivateKey.from_bytes(data, password)
        return _of_paillier("Paillier private key", private.public) | found
    share = KeyShare.from_bytes(data, password)
    about = {"index": share.index, "threshold": share.public.threshold}
    return _of_paillier("share of a Paillier key", share.public.key) | about | found


def _of_identity(identity: Identity) -> dict[str, Any]:
    return {"kind": "identity", "verify_key": identity.verify_key.hex()}


def _of_paillier(kind: str, public: PublicKey) -> dict[str, Any]:
    return {"kind": kind, "bits": public.bits, "fingerprint": public.fingerprint.hex()}


def _password(arguments: argparse.Namespace, *, twice: bool) -> str | bytes:
    """Returns the password from where the command line says, or from the terminal."""
    if arguments.password_file is not None:
        return _line(arguments.password_file)
    if arguments.password_env is not None:
        given = os.environ.get(arguments.password_env)
        if not given:
            raise LocalProtocolError(
                f"the environment variable {arguments.password_env} holds no password"
            )
        return given
    if not sys.stdin.isatty():
        raise LocalProtocolError(
            "there is no terminal to ask for the password: give --password-file or --password-env"
        )
    given = getpass.getpass("Password: ")
    if twice and getpass.getpass("Once more: ") != given:
        raise LocalProtocolError("the two passwords differ: nothing was made")
    return given


def _line(file: Path) -> bytes:
    password = file.read_bytes().removesuffix(b"\n").removesuffix(b"\r")
    if not password or b"\n" in password:
        raise LocalProtocolError(f"{file} does not hold one password in one line")
    return password


def _write(contents: Mapping[Path, bytes]) -> None:
    """Writes new files that only their owner reads: all of them, or none."""
    made: list[Path] = []
    try:
        for file, data in contents.items():
            try:
                handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                raise _there(file) from None
            made.append(file)
            with os.fdopen(handle, "wb") as out:
                out.write(data)
                out.flush()
                os.fsync(out.fileno())
    except BaseException:
        for file in made:
            file.unlink(missing_ok=True)
        raise


def _there(file: Path) -> LocalProtocolError:
    return LocalProtocolError(f"{file} is there already: a key is never overwritten; name another")

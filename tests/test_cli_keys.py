"""`fedsecure keys`: secrets in files that nobody else reads, passwords from the right places."""

from __future__ import annotations

import getpass
import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from fedsecure import _cli_keys
from fedsecure.cli import main
from fedsecure.paillier import PrivateKey, PublicKey
from fedsecure.primitives.identity import Identity
from paillier_keys import private_key
from threshold_keys import dealt

PASSWORD = "correct horse battery staple"


@pytest.fixture(autouse=True)
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY_PASSWORD", PASSWORD)


def keys(*words: object, env: str | None = "KEY_PASSWORD") -> int:
    where = [] if env is None else ["--password-env", env]
    return main(["keys", *map(str, words), *where])


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    return json.loads(capsys.readouterr().out)


def mode(file: Path) -> int:
    return file.stat().st_mode & 0o777


def typed(monkeypatch: pytest.MonkeyPatch, *answers: str) -> list[str]:
    """Answers prompts as a person at a terminal does; returns what was asked, when it is over."""
    left, asked = list(answers), []

    def ask(prompt: str) -> str:
        asked.append(prompt)
        return left.pop(0)

    monkeypatch.setattr(getpass, "getpass", ask)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    return asked


def test_an_identity_is_made_and_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "bank.key"
    assert keys("identity", file, "--json") == 0
    made = told(capsys)
    identity = Identity.from_sealed_bytes(file.read_bytes(), PASSWORD)
    assert made == {
        "kind": "identity",
        "verify_key": identity.verify_key.hex(),
        "file": str(file),
    }
    assert mode(file) == 0o600
    assert identity.to_bytes() not in file.read_bytes()
    assert keys("show", file, "--json") == 0
    assert told(capsys) == made
    assert keys("show", file) == 0
    assert f"verify key    {identity.verify_key.hex()}\n" in capsys.readouterr().out


def test_two_identities_differ(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen = set()
    for name in ("a", "b"):
        assert keys("identity", tmp_path / name, "--json") == 0
        seen.add(told(capsys)["verify_key"])
    assert len(seen) == 2


def test_a_paillier_key_pair_is_made_and_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "sums.key"
    assert keys("paillier", file, "--bits", 2048, "--json") == 0
    made = told(capsys)
    private = PrivateKey.from_bytes(file.read_bytes(), PASSWORD)
    public = PublicKey.from_bytes(Path(made["public_file"]).read_bytes())
    assert private.public == public
    assert (made["bits"], made["fingerprint"]) == (2048, public.fingerprint.hex())
    assert [mode(each) for each in (file, Path(made["public_file"]))] == [0o600, 0o600]
    for each, kind in ((file, "private"), (Path(made["public_file"]), "public")):
        assert keys("show", each, "--json", env=None if kind == "public" else "KEY_PASSWORD") == 0
        shown = told(capsys)
        assert shown["kind"] == f"Paillier {kind} key"
        assert shown["fingerprint"] == made["fingerprint"]


def test_a_share_of_a_key_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    public, shares = dealt(5, 4)
    file = tmp_path / "share"
    file.write_bytes(shares[2].to_bytes(PASSWORD))
    assert keys("show", file, "--json") == 0
    shown = told(capsys)
    assert (shown["index"], shown["threshold"]) == (3, 4)
    assert shown["fingerprint"] == public.key.fingerprint.hex()


@pytest.mark.parametrize("action", ["identity", "paillier"])
def test_nothing_is_ever_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], action: str
) -> None:
    file = tmp_path / "a.key"
    file.write_text("precious", encoding="utf-8")
    assert keys(action, file) == 1
    assert "is there already" in capsys.readouterr().err
    assert file.read_text(encoding="utf-8") == "precious"
    assert list(tmp_path.iterdir()) == [file]


def test_half_a_key_pair_is_not_left_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    public_file = tmp_path / "a.key.pub"
    public_file.write_text("precious", encoding="utf-8")
    monkeypatch.setattr(_cli_keys, "generate_keypair", _existing)
    assert keys("paillier", tmp_path / "a.key") == 1
    # Also where the file comes into being after the first look.
    monkeypatch.setattr(Path, "exists", lambda self: False)
    assert keys("paillier", tmp_path / "a.key") == 1
    assert "a.key.pub is there already" in capsys.readouterr().err
    assert public_file.read_text(encoding="utf-8") == "precious"
    assert list(tmp_path.iterdir()) == [public_file]


@cache
def _existing(bits: int) -> tuple[PublicKey, PrivateKey]:
    return private_key().public, private_key()


def test_a_folder_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert keys("identity", tmp_path / "no" / "a.key") == 1
    assert capsys.readouterr().err.startswith("fedsecure: ")


def test_passwords_are_asked_for_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.key"
    asked = typed(monkeypatch, PASSWORD, PASSWORD.upper(), PASSWORD, PASSWORD, PASSWORD)
    assert keys("identity", file, env=None) == 1
    assert "the two passwords differ" in capsys.readouterr().err
    assert not file.exists()
    assert keys("identity", file, env=None) == 0
    assert keys("show", file, env=None) == 0  # once: a wrong one does no harm
    assert asked == ["Password: ", "Once more: "] * 2 + ["Password: "]
    assert PASSWORD not in "".join(capsys.readouterr())


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_passwords_from_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], end: str
) -> None:
    where = tmp_path / "password"
    where.write_bytes(f"{PASSWORD}{end}".encode())
    file = tmp_path / "a.key"
    assert keys("identity", file, "--password-file", where, env=None) == 0
    Identity.from_sealed_bytes(file.read_bytes(), PASSWORD)


@pytest.mark.parametrize(
    ("content", "words"), [("", "one password"), ("\n", "one password"), ("a\nb\n", "in one line")]
)
def test_files_that_hold_no_password(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, words: str
) -> None:
    where = tmp_path / "password"
    where.write_text(content, encoding="utf-8", newline="")
    assert keys("identity", tmp_path / "a.key", "--password-file", where, env=None) == 1
    assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [where]


def test_without_a_password_nothing_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    assert keys("identity", tmp_path / "a.key", env=None) == 1
    assert "give --password-file or --password-env" in capsys.readouterr().err
    assert keys("identity", tmp_path / "a.key", env="NOT_SET_ANYWHERE") == 1
    assert "NOT_SET_ANYWHERE holds no password" in capsys.readouterr().err
    typed(monkeypatch, "", "")
    assert keys("identity", tmp_path / "a.key", env=None) == 1
    assert "not empty" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_password_is_no_argument(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["keys", "identity", "a.key", "--password", PASSWORD])
    assert stopped.value.code == 2


def test_wrong_passwords_and_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.key"
    assert keys("identity", file) == 0
    monkeypatch.setenv("KEY_PASSWORD", "another one")
    assert keys("show", file) == 1
    error = capsys.readouterr().err
    assert "wrong password, or a changed file" in error
    assert "another one" not in error
    for content in (b"", b"FSEC", b"-----BEGIN", b"FSID", b"FSPP", b"FSID" + bytes(1 << 20)):
        file.write_bytes(content)
        assert keys("show", file) == 1
        assert capsys.readouterr().err.startswith("fedsecure: ")
    assert keys("show", tmp_path / "missing") == 1

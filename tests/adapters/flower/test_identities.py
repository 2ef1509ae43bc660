"""Identities from files, which a node's configuration names."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("flwr")

from fedsecure.adapters.flower import (
    masking_from_node_config,
    read_verify_keys,
    write_identities,
)
from fedsecure.errors import LocalProtocolError
from fedsecure.primitives.identity import Identity
from flower_nodes import FIRST_NODE  # noqa: F401  (imports Flower without its warnings)


def context(folder: Path, **changes: object) -> SimpleNamespace:
    config = {
        "client-id": 2,
        "identity": str(folder / "2.key"),
        "verify-keys": str(folder / "verify_keys.json"),
        **changes,
    }
    return SimpleNamespace(node_config={k: v for k, v in config.items() if v is not None})


def test_what_is_written_is_read(tmp_path: Path) -> None:
    keys = write_identities(tmp_path, [1, 2, 30])
    assert read_verify_keys(tmp_path / "verify_keys.json") == keys
    protocol = masking_from_node_config(context(tmp_path))
    assert protocol.adversary == "malicious"
    own = protocol.identity_of(2)
    assert own is not None
    assert own.verify_key == keys[2]
    assert protocol.identity_of(1) is None
    assert protocol.identities == {1: keys[1], 2: own, 30: keys[30]}
    assert stat.S_IMODE((tmp_path / "2.key").stat().st_mode) == 0o600


def test_an_identity_under_a_password_is_read(tmp_path: Path) -> None:
    """As ``fedsecure keys identity`` writes it."""
    write_identities(tmp_path, [1, 3])
    own, folder = Identity.generate(), tmp_path
    (folder / "2.key").write_bytes(own.to_sealed_bytes("correct horse"))
    keys = read_verify_keys(folder / "verify_keys.json") | {2: own.verify_key}
    texts = {str(name): key.hex() for name, key in keys.items()}
    (folder / "verify_keys.json").write_text(json.dumps(texts), encoding="utf-8")
    for line in (b"correct horse\n", b"correct horse\r\n", b"correct horse"):
        (folder / "password").write_bytes(line)
        found = masking_from_node_config(
            context(folder, **{"identity-password": str(folder / "password")})
        ).identity_of(2)
        assert found is not None
        assert found.verify_key == own.verify_key
    (folder / "password").write_bytes(b"another\n")
    for password in (None, str(folder / "password"), str(folder / "nowhere")):
        with pytest.raises(LocalProtocolError, match="identity cannot be read"):
            masking_from_node_config(context(folder, **{"identity-password": password}))


def test_partition_ids_serve_as_client_ids(tmp_path: Path) -> None:
    write_identities(tmp_path, [0, 1, 2])
    renamed = context(tmp_path, **{"client-id": None, "partition-id": 2})
    assert masking_from_node_config(renamed).identity_of(2) is not None


def test_identities_are_not_overwritten(tmp_path: Path) -> None:
    write_identities(tmp_path, [1])
    before = (tmp_path / "1.key").read_bytes()
    with pytest.raises(LocalProtocolError, match="cannot be written"):
        write_identities(tmp_path, [1])
    assert (tmp_path / "1.key").read_bytes() == before


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"identity": None}, "no identity"),
        ({"verify-keys": None}, "no verify-keys"),
        ({"identity": "/nowhere/2.key"}, "identity cannot be read"),
        ({"verify-keys": "/nowhere/keys.json"}, "cannot be read"),
        ({"client-id": "two"}, "client-id 'two'"),
        ({"client-id": None}, "client-id None"),
        ({"client-id": 1}, "have one verify key"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, changes: dict, match: str) -> None:
    write_identities(tmp_path, [1, 2])
    with pytest.raises(LocalProtocolError, match=match):
        masking_from_node_config(context(tmp_path, **changes))


@pytest.mark.parametrize("text", ["", "[]", '{"1": 5}', '{"1": "xyz"}', '{"one": "00"}'])
def test_files_that_hold_no_verify_keys_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "keys.json").write_text(text, encoding="utf-8")
    with pytest.raises(LocalProtocolError, match="cannot be read"):
        read_verify_keys(tmp_path / "keys.json")


def test_a_short_identity_is_refused(tmp_path: Path) -> None:
    write_identities(tmp_path, [1, 2])
    (tmp_path / "2.key").write_bytes(bytes(31))
    with pytest.raises(LocalProtocolError, match="identity cannot be read"):
        masking_from_node_config(context(tmp_path))

"""The job that runs at each data owner: encrypts, signs, leaves files, and is done."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

import fedsecure as fs
from fedsecure.paillier import PublicKey


def main(home: Path, session: Path, outputs: Path) -> None:
    """Writes this owner's messages; `home` has its identity and what it has pinned."""
    known = json.loads((home / "pinned.json").read_text())
    own = known["own"]
    identities = {int(i): bytes.fromhex(key) for i, key in known["verify_keys"].items()}
    identities[own] = fs.Identity.from_bytes((home / "identity").read_bytes())
    key = PublicKey.from_bytes(bytes.fromhex(known["public_key"]))
    protocol = fs.PaillierSum(key, identities=identities, min_inputs=3)
    private = np.load(home / "private.npy")  # what must not leave; here the job's model is its mean
    update = {"mean": private.mean(axis=0).astype(np.float32)}
    asked = fs.Session.from_bytes(bytes.fromhex(session.read_text()))
    client = protocol.client(asked, own, update, weight=float(len(private)))
    outputs.mkdir(parents=True, exist_ok=True)
    for at, message in enumerate(client.start()):
        (outputs / f"{at:06d}.txt").write_text(message.hex())


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))

"""PySyft jobs whose results nobody reads one by one: python run.py (pip install syft-rds).

Three data owners approve and run a job each, over syft's own stand-in for Google Drive; its outputs
are signed ciphertexts. The data scientist multiplies them, and a key holder, who is neither,
decrypts the one product.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from syft_rds.client import SyftRDSClient

import fedsecure as fs
from fedsecure.paillier import generate_keypair

PUBLIC, PRIVATE = generate_keypair(2048)  # PRIVATE stays with the key holder
IDENTITIES = {i: fs.Identity.generate() for i in (1, 2, 3)}  # each at home with its owner
VERIFY_KEYS = {i: identity.verify_key for i, identity in IDENTITIES.items()}
OWNER = Path(__file__).with_name("owner.py")


def make_home(own: int) -> Path:
    """Plays an owner: its identity, its data, and what it has pinned on a way of its own."""
    home = Path(tempfile.mkdtemp())
    pinned = {
        "own": own,
        "verify_keys": {i: key.hex() for i, key in VERIFY_KEYS.items()},
        "public_key": PUBLIC.to_bytes().hex(),
    }
    (home / "pinned.json").write_text(json.dumps(pinned))
    (home / "identity").write_bytes(IDENTITIES[own].to_bytes())
    np.save(home / "private.npy", np.random.default_rng(own).normal(own, 1.0, (10 * own, 4)))
    return home


def run_job(own: int, home: Path, session: fs.Session) -> list[bytes]:
    """Submits, approves and runs one job, and returns what came back as files."""
    scientist, owner = SyftRDSClient.pair_with_mock_drive_service_connection(
        use_in_memory_cache=False
    )
    script = (
        "#!/bin/bash\nset -e\n"
        f"cat > session.txt <<< {session.to_bytes().hex()}\n"
        f"{sys.executable} {OWNER} {home} session.txt code/outputs\n"
    )
    scientist.submit_bash_job(owner.email, script, job_name=f"secure{own}")
    owner.sync()
    owner.jobs[0].approve()
    owner.process_approved_jobs(share_outputs_with_submitter=True, timeout=60)
    owner.sync()
    scientist.sync()
    files = sorted(path for path in scientist.jobs[0].output_paths if path.suffix == ".txt")
    return [bytes.fromhex(path.read_text()) for path in files]


def main() -> None:
    """Runs three jobs and prints the mean over all rows of all owners."""
    protocol = fs.PaillierSum(PUBLIC, identities=VERIFY_KEYS, min_inputs=3)
    session = protocol.session(
        client_ids=VERIFY_KEYS,
        spec=fs.TreeSpec.of({"mean": np.zeros(4, np.float32)}),
        encoding=fs.FixedPoint(max_weight=100.0),
        weighted=True,
    )
    server = protocol.server(session)
    homes = {own: make_home(own) for own in VERIFY_KEYS}
    for own, home in homes.items():
        started = time.perf_counter()
        messages = run_job(own, home, session)
        for message in messages:
            server.receive(own, message)
        print(f"owner {own}: {len(messages)} files, {time.perf_counter() - started:.1f} s")
    holder = fs.PaillierSum(PRIVATE, identities=VERIFY_KEYS, min_inputs=3).key_holder(session)
    for asked in server.advance().values():
        for message in asked:
            for answer in holder.receive(message):
                server.receive(holder.client_id, answer)
    server.advance()
    result = server.result()
    rows = np.concatenate([np.load(home / "private.npy") for home in homes.values()])
    error = np.abs(result.mean["mean"] - rows.mean(axis=0)).max()
    print(f"mean over {result.total_weight:.0f} rows of owners {result.contributors}")
    print("equal to the mean of all rows within a step:", error < 2**-20)


if __name__ == "__main__":
    main()

"""Federated averaging in NVFlare whose server learns sums only; run: python job.py.

Makes an identity for each site, runs three rounds in NVFlare's simulator, and prints the line that
was learnt. ``--plain`` runs NVFlare's own FedAvg with the same client script, to compare;
``--export FOLDER`` writes the job for a real deployment, or POC mode, instead of running it.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

from nvflare.app_common.abstract.fl_model import FLModel
from nvflare.app_common.workflows.fedavg import FedAvg
from nvflare.client.config import ExchangeFormat
from nvflare.job_config.api import FedJob
from nvflare.job_config.script_runner import FrameworkType, ScriptRunner

from fedsecure import Identity
from fedsecure.adapters.nvflare import SecureFedAvg

START = {"slope": 0.0, "intercept": 0.0}


class Kept(SecureFedAvg):
    """`SecureFedAvg` that keeps each round's model as a file, as a persistor would."""

    def save_model(self, model: FLModel) -> None:
        """Writes the model of a round."""
        _write(self.get_run_dir(), model)


class KeptPlain(FedAvg):
    """NVFlare's own, doing the same."""

    def save_model(self, model: FLModel) -> None:
        """Writes the model of a round."""
        _write(self.get_run_dir(), model)


def _write(folder: str, model: FLModel) -> None:
    values = {name: float(value) for name, value in model.params.items()}
    line = json.dumps({"at": time.time(), **values})
    with Path(folder, "models.jsonl").open("a") as file:
        file.write(line + "\n")
    print("model", line, flush=True)


def make_keys(folder: Path, sites: list[str]) -> dict[str, str]:
    """Plays every site: in earnest each makes its own key, and they tell each other sites.json."""
    folder.mkdir(parents=True, exist_ok=True)
    known = {}
    for site in sites:
        identity = Identity.generate()
        key = folder / f"{site}.key"
        key.touch(mode=0o600)
        key.write_bytes(identity.to_bytes())
        known[site] = identity.verify_key.hex()
    (folder / "sites.json").write_text(json.dumps(known))
    return known


def main() -> None:
    """Makes the job and runs or exports it."""
    options = argparse.ArgumentParser()
    options.add_argument("--sites", type=int, default=3)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--plain", action="store_true")
    options.add_argument("--export")
    options.add_argument("--workspace", default="nvflare_workspace")
    args = options.parse_args()
    sites = [f"site-{k}" for k in range(1, args.sites + 1)]
    folder, export = Path(args.workspace).resolve(), args.export and Path(args.export).resolve()
    os.chdir(Path(__file__).parent)
    job = FedJob(name="plain" if args.plain else "secure")
    # How long NVFlare's sites wait before they ask again for a task: it decides what a wave costs.
    job.to_server({"server": {"task_request_interval": 0.2}})
    if args.plain:
        arguments = ""
        controller = KeptPlain(num_clients=args.sites, num_rounds=args.rounds, model=START)
    else:
        arguments = f"--keys {folder / 'keys'}"
        controller = Kept(
            make_keys(folder / "keys", sites),
            num_rounds=args.rounds,
            timeout=30,
            train_timeout=60,
            max_weight=100.0,
            model=START,
        )
    job.to_server(controller)
    for site in sites:
        runner = ScriptRunner(
            script="client.py",
            script_args=arguments,
            framework=FrameworkType.NUMPY,
            server_expected_format=ExchangeFormat.NUMPY,
        )
        job.to(runner, site)
    if args.export:
        job.export_job(str(export))
        return
    job.simulator_run(str(folder / job.name), threads=args.sites)
    models = (folder / job.name / "server" / "simulate_job").rglob("models.jsonl")
    line = json.loads(next(models).read_text().splitlines()[-1])
    print(f"y = {line['slope']:.3f} x {line['intercept']:+.3f}")


if __name__ == "__main__":
    main()

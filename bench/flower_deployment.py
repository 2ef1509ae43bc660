"""Seconds a round takes in Flower's deployment engine, plain and secure, in one deployment.

    PYTHONPATH=tests python bench/flower_deployment.py [rounds]

Both run the example app, one after the other, on five nodes, over TLS, without drop-outs; the plain
one has no mod and Flower's own grid. Ratio of the medians of the rounds after the first, which
exchanges keys in waves of its own.
"""

from __future__ import annotations

import itertools
import json
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from flower_processes import APP, Deployment

NODES = 5
STAMP = """
    import json, time
    times = []

    def kept(number, arrays):
        times.append(time.monotonic())

"""
EDITS = {
    "server_app.py": [
        ("    nodes = int(", STAMP + "    nodes = int("),
        ("timeout=timeout)\n    if", "timeout=timeout, evaluate_fn=kept)\n    if"),
        ("    line = {", '    print("times", json.dumps(times), "end")\n    line = {'),
    ]
}
PLAIN = {
    "server_app.py": [("strategy.start(secure,", "strategy.start(grid,")],
    "client_app.py": [("ClientApp(mods=[secure_mod(policy)])", "ClientApp()")],
}


def edited(folder: Path, name: str, edits: list[dict[str, list[tuple[str, str]]]]) -> Path:
    """Returns a copy of the example app with the edits, each of which must have its place."""
    app = folder / name
    shutil.copytree(APP, app, ignore=shutil.ignore_patterns("__pycache__"))
    for each in edits:
        for file, changes in each.items():
            path = app / "flower_app" / file
            text = path.read_text(encoding="utf-8")
            for before, after in changes:
                if text.count(before) != 1:
                    raise SystemExit(f"the example app has changed: {before!r} in {file}")
                text = text.replace(before, after)
            path.write_text(text, encoding="utf-8")
    return app


def main(rounds: int) -> None:
    """Runs both and prints what they took."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        apps = {
            "plain": edited(folder, "plain", [EDITS, PLAIN]),
            "secure": edited(folder, "secure", [EDITS]),
        }
        steady = {}
        keys = str(folder / "verify_keys.json")
        with Deployment(folder, NODES) as deployment:
            deployment.wait_for_nodes(120)
            for what, app in apps.items():
                config = {"rounds": rounds, "nodes": NODES, "timeout": 120.0, "verify-keys": keys}
                run = deployment.run(app, **config)
                run.until(" end\n", 60 + 900 * rounds)
                times = json.loads(run.text.split("times ")[1].split(" end")[0])
                took = [after - before for before, after in itertools.pairwise(times)]
                steady[what] = statistics.median(took[1:])
                print(what, "seconds by round:", *(f"{seconds:.1f}" for seconds in took))
                for line in run.text.splitlines():
                    if "wave '" in line:
                        print("  ", line.split("fedsecure: ")[1])
        print(f"steady round, secure / plain: {steady['secure'] / steady['plain']:.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)

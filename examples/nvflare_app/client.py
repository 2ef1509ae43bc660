"""The client script of each site: local training on data that never leaves it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import nvflare.client as flare
from nvflare.app_common.abstract.fl_model import FLModel, MetaKey

from fedsecure import Identity
from fedsecure.adapters.nvflare import SecureClient


def train(params, points):
    """Ten steps of gradient descent on a straight line."""
    x, y = points
    slope, intercept = params["slope"], params["intercept"]
    for _ in range(10):
        error = slope * x + intercept - y
        slope = slope - 0.05 * np.mean(error * x)
        intercept = intercept - 0.05 * np.mean(error)
    return {"slope": slope, "intercept": intercept}, len(x)


def main() -> None:
    """Trains as often as the job asks for it, securely or (to compare) as NVFlare's FedAvg."""
    options = argparse.ArgumentParser()
    options.add_argument("--keys", help="folder with sites.json and this site's own key")
    options.add_argument("--timeout", type=float, default=600)
    keys = options.parse_args().keys
    flare.init()
    site = flare.get_site_name()
    number = int(site.removeprefix("site-"))
    x = np.arange(2.0 + number) / 2 + number / 4
    points = (x, 2 * x - 1)
    receive, send = flare.receive, flare.send
    if keys:
        folder = Path(keys)
        secure = SecureClient(
            json.loads((folder / "sites.json").read_text()),
            identity=Identity.from_bytes((folder / f"{site}.key").read_bytes()),
        )
        receive, send = secure.receive, secure.send
    while (model := receive(timeout=options.parse_args().timeout)) is not None:
        params, examples = train(model.params, points)
        params = {name: np.asarray(value, np.float32) for name, value in params.items()}
        meta = {MetaKey.NUM_STEPS_CURRENT_ROUND: examples}
        send(FLModel(params=params, meta=meta))


if __name__ == "__main__":
    main()

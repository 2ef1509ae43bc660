"""Jobs of NVFlare in one process: the stand-in or the real package, sites that train, a server."""

from __future__ import annotations

import importlib
from types import SimpleNamespace

import numpy as np
import pytest

import fedsecure as fs
from adapters.nvflare_stand_in import Flare, Job, install
from fedsecure.errors import EncodingError

STEP = 2.0**-20
IDENTITIES = {f"site-{k}": fs.Identity.generate() for k in range(1, 5)}
SITES = {name: identity.verify_key.hex() for name, identity in IDENTITIES.items()}
START = {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.zeros(1, np.float32)}
WAVES = 5  # of a round against a malicious server


def opened(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What of the door a script uses, over the stand-in."""
    install(monkeypatch)
    package = importlib.import_module("fedsecure.adapters.nvflare")
    client = importlib.import_module("fedsecure.adapters.nvflare.client")
    flare = Flare()
    monkeypatch.setattr(client, "flare", flare)
    return SimpleNamespace(
        flare=flare,
        SecureClient=package.SecureClient,
        SecureFedAvg=package.SecureFedAvg,
        FLModel=client.FLModel,
        MetaKey=client.MetaKey,
        ParamsType=client.ParamsType,
    )


def trained(params, site: str, number: int):
    """Plain local training: something of the model, the site and the round."""
    shift = int(site[-1]) * (number + 1) / 16
    return {name: np.asarray(v * 0.5 + shift, np.float32) for name, v in params.items()}


def script(door, *, diff=False, spoil=None, rounds=None):
    """Returns the script of a site; `spoil(site, number, params)` may change what it sends."""

    def run() -> None:
        site = door.flare.get_site_name()
        secure = door.SecureClient(SITES, identity=IDENTITIES[site])
        while (model := secure.receive(timeout=20)) is not None:
            number = model.current_round
            params = trained(model.params, site, number)
            if diff:
                params = {name: v - model.params[name] for name, v in params.items()}
            if spoil is not None:
                params = spoil(site, number, params)
            kind = door.ParamsType.DIFF if diff else door.ParamsType.FULL
            meta = {door.MetaKey.NUM_STEPS_CURRENT_ROUND: 10 * int(site[-1])}
            try:
                secure.send(door.FLModel(params=params, params_type=kind, meta=meta))
            except EncodingError as error:
                if rounds is not None:
                    rounds.append((site, number, str(error)))

    return run


def play(door, *, lost=lambda name, wave: False, options=None, **script_options) -> Job:
    controller = door.SecureFedAvg(
        SITES,
        model=START,
        timeout=1,
        train_timeout=1,
        **{"num_rounds": 2, "max_weight": 100.0, **(options or {})},
    )
    job = Job(controller, door.flare, lost)
    for name in SITES:
        job.start(name, script(door, **script_options))
    try:
        controller.run()
    finally:
        job.stop()
    return job


def plain(model, sites, number: int):
    results = [trained(model, site, number) for site in sites]
    weights = [10 * int(site[-1]) for site in sites]
    return {n: np.average([r[n] for r in results], axis=0, weights=weights) for n in model}


def assert_close(got, expected) -> None:
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value, atol=STEP, rtol=0)


def site_alone(door, *tasks):
    """Returns a site that is given these tasks, and what it answers."""
    answered: list = []
    inbox = iter([(task, answered.append) for task in tasks])
    door.flare.here.name = "site-1"
    door.flare.here.inbox = SimpleNamespace(get=lambda timeout: next(inbox, None))
    return door.SecureClient(SITES, identity=IDENTITIES["site-1"]), answered

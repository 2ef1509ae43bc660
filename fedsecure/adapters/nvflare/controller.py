"""`SecureFedAvg`: the server's side of a job."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np
from nvflare.app_common.abstract.fl_model import FLModel
from nvflare.app_common.app_event_type import AppEventType
from nvflare.app_common.workflows.model_controller import ModelController

from fedsecure.adapters.nvflare.messages import (
    ANSWER,
    DOWN,
    INVITATION,
    KEY,
    STAGE,
    UP,
    Sites,
    arrays,
    floats_of,
    ids_of,
    packed,
    policy,
    unpacked,
)
from fedsecure.encoding import FixedPoint
from fedsecure.errors import FedSecureError, LocalProtocolError
from fedsecure.protocols.base import Aggregate, Server
from fedsecure.protocols.model import model_digest
from fedsecure.protocols.session import Session
from fedsecure.pytree import TreeSpec

__all__ = ["SecureFedAvg"]

_CHECK_PERIOD = 0.1  # seconds between two looks at whether a wave is complete
_GRACE = 10.0  # seconds for NVFlare to notice that a task's time is over


class SecureFedAvg(ModelController):
    """The workflow of a job: federated averaging whose server learns sums only.

    A round is a wave of tasks for each stage: five, or four with a weaker adversary. The first one
    brings the model and the session; the session names the model by its digest, so keys cannot be
    exchanged before the round they are for. A round with too few sites fails with one log line,
    and the model stays as it was.

    All arguments are plain values, because NVFlare writes them into the job's configuration.

    Args:
        sites: Name of each site and its verify key as 64 hexadecimal digits, the same in all places
            of the job; the names alone with an adversary for whom no keys are pinned.
        num_rounds: Rounds of training.
        timeout: Whole seconds that each wave but the first may take, above 0.
        train_timeout: Whole seconds that the first wave may take, with the training in it.
        clip: Largest magnitude of an entry of an update; see `FixedPoint`.
        bits: Fraction bits, the quantisation step is ``2**-bits``.
        max_weight: Largest number of steps that a site reports; None: all sites weigh the same.
        adversary: See `PairwiseMasking`.
        threshold: See `PairwiseMasking`.
        patience: After so many failed rounds, one after the other, the job ends with the error.
        model: The model to begin with, as nested lists or arrays of numbers by name (float32); None
            loads that of the persistor.
        persistor_id: The component that loads and saves models.

    Raises:
        LocalProtocolError: A wrong argument.
        EncodingError: `clip`, `bits` or `max_weight` out of range.
    """

    def __init__(
        self,
        sites: Sites,
        *,
        num_rounds: int = 5,
        timeout: int = 60,
        train_timeout: int = 600,
        clip: float = 8.0,
        bits: int = 20,
        max_weight: float | None = None,
        adversary: str = "malicious",
        threshold: int | None = None,
        patience: int = 3,
        model: Mapping[str, Any] | None = None,
        persistor_id: str = "persistor",
    ) -> None:
        # A site's error costs its own contribution, never the job.
        super().__init__(
            persistor_id=persistor_id, ignore_result_error=True, task_check_period=_CHECK_PERIOD
        )
        for name, seconds in (("timeout", timeout), ("train_timeout", train_timeout)):
            if type(seconds) is not int or seconds < 1:
                raise LocalProtocolError(f"{name} is {seconds!r}; give whole seconds, at least 1")
        self.sites = dict(sites) if isinstance(sites, Mapping) else list(sites)
        self.num_rounds = num_rounds
        self.timeout = timeout
        self.train_timeout = train_timeout
        self.clip = clip
        self.bits = bits
        self.max_weight = max_weight
        self.adversary = adversary
        self.threshold = threshold
        self.patience = patience
        self.model = model
        self._ids = ids_of(self.sites)  # an iterator of names has been drawn by now
        self._protocol = policy(self.sites, adversary, threshold)
        self._encoding = FixedPoint(clip=clip, bits=bits, max_weight=max_weight)
        self._lock = threading.Lock()

    def run(self) -> None:
        """Runs all rounds; called by NVFlare."""
        model = self._initial_model()
        failed = 0
        for number in range(self.num_rounds):
            if self.abort_signal.triggered:
                return
            self.event(AppEventType.ROUND_STARTED)
            try:
                result = self._round(model, number)
            except FedSecureError as error:
                if self.abort_signal.triggered:
                    return
                failed += 1
                self.error(f"secure round {number} failed, the model stays as it was: {error}")
                if failed >= self.patience:
                    raise
                continue
            failed = 0
            self.info(
                f"secure round {number}: mean of sites {self._names(result.contributors)}, without "
                f"{self._names(result.dropouts)}, total weight {result.total_weight:g}"
            )
            model = {**model, **_stepped(model, result.mean)}
            self.save_model(FLModel(params=model, current_round=number))
            self.event(AppEventType.ROUND_DONE)

    def _initial_model(self) -> dict[str, Any]:
        if self.model is not None:
            return {
                name: np.asarray(value, getattr(value, "dtype", np.float32))
                for name, value in self.model.items()
            }
        loaded = self.load_model()
        if loaded is None or not loaded.params:
            raise LocalProtocolError("there is no model to begin with: give model= or a persistor")
        return arrays(loaded.params)

    def _round(self, model: dict[str, Any], number: int) -> Aggregate:
        there = {client.name for client in self.engine.get_clients()}
        floats = floats_of(model)
        session = self._protocol.session(
            client_ids=[i for name, i in self._ids.items() if name in there],
            spec=TreeSpec.of(floats),
            encoding=self._encoding,
            weighted=self.max_weight is not None,
            round=number,
            model_digest=model_digest(floats),
        )
        server = self._protocol.server(session)
        mail = {i: [session.to_bytes()] for i in session.client_ids}
        self._wave(server, mail, session, model)
        while True:
            with self._lock:
                mail = server.advance()
            if server.finished:
                return server.result()
            self._wave(server, mail, session, None)

    def _wave(
        self,
        server: Server,
        mail: Mapping[int, list[bytes]],
        session: Session,
        model: dict[str, Any] | None,
    ) -> None:
        """Sends each site its messages and gives their answers to the server, until time is up."""
        stage = server.stage
        limit = self.timeout if model is None else self.train_timeout
        name_of = {i: name for name, i in self._ids.items()}
        for i, messages in mail.items():
            self.send_model(
                targets=[name_of[i]],
                data=FLModel(
                    params={**(model or {}), **packed(messages, DOWN, "numpy")},
                    current_round=session.round,
                    total_rounds=self.num_rounds,
                    meta={KEY: STAGE if model is None else INVITATION},
                ),
                timeout=limit,
                callback=partial(self._take, server, i, name_of[i]),
            )
        deadline = time.monotonic() + limit + _GRACE
        while self.get_num_standing_tasks() and not self.abort_signal.triggered:
            if time.monotonic() > deadline:
                self.cancel_all_tasks()
                break
            time.sleep(self._task_check_period)
        if silent := server.waiting_for:
            self.warning(f"stage {stage}: no answer from {self._names(silent)}; they are out")

    def _take(self, server: Server, client_id: int, name: str, result: FLModel) -> bool:
        if (result.meta or {}).get(KEY) != ANSWER:
            self.warning(f"stage {server.stage}: {name} leaves the round")
            return False
        try:
            for message in unpacked(result.params, UP):
                with self._lock:
                    server.receive(client_id, message)
        except FedSecureError as error:
            self.warning(f"{name}: {error}")
            return False
        return True

    def _names(self, ids: Iterable[int]) -> list[str]:
        name_of = {i: name for name, i in self._ids.items()}
        return [name_of[i] for i in sorted(ids)]


def _stepped(model: Mapping[str, Any], mean: Mapping[str, Any]) -> dict[str, Any]:
    return {name: np.asarray(model[name] + value, value.dtype) for name, value in mean.items()}

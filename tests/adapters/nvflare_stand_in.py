"""What the NVFlare door needs of NVFlare, in one process; the real classes where there are any.

`Job` carries tasks between a controller and client scripts in threads, as NVFlare does: one task
per site, answered or not until time is up.
"""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Callable
from importlib.util import find_spec
from types import ModuleType, SimpleNamespace
from typing import Any

REAL = find_spec("nvflare") is not None


class FLModel:
    """As NVFlare's, in what is used of it."""

    def __init__(self, params_type=None, params=None, metrics=None, current_round=None,
                 total_rounds=None, meta=None):  # fmt: skip
        self.params_type = params_type
        self.params = params
        self.metrics = metrics
        self.current_round = current_round
        self.total_rounds = total_rounds
        self.meta = meta or {}


class ModelController:
    """As NVFlare's, in what is used of it."""

    def __init__(self, persistor_id="persistor", ignore_result_error=None, task_check_period=0.5):
        self._persistor_id = persistor_id
        self._task_check_period = 0.5


def install(monkeypatch: Any) -> None:
    """Puts stand-ins into `sys.modules` for a while, unless NVFlare is there."""
    if REAL:
        return
    enum = SimpleNamespace
    content = {
        "nvflare": {},
        "nvflare.client": {},
        "nvflare.app_common": {},
        "nvflare.app_common.abstract": {},
        "nvflare.app_common.workflows": {},
        "nvflare.app_common.abstract.fl_model": {
            "FLModel": FLModel,
            "MetaKey": enum(NUM_STEPS_CURRENT_ROUND="NUM_STEPS_CURRENT_ROUND"),
            "ParamsType": enum(FULL="FULL", DIFF="DIFF"),
        },
        "nvflare.app_common.app_event_type": {
            "AppEventType": enum(ROUND_STARTED="started", ROUND_DONE="done")
        },
        "nvflare.app_common.workflows.model_controller": {"ModelController": ModelController},
    }
    for name, names in content.items():
        module = ModuleType(name)
        module.__dict__.update(names)
        if "." in name:
            parent, _, last = name.rpartition(".")
            setattr(sys.modules[parent], last, module)
        monkeypatch.setitem(sys.modules, name, module)
    for name in [n for n in sys.modules if n.startswith("fedsecure.adapters.nvflare")]:
        monkeypatch.delitem(sys.modules, name)


class Flare:
    """`nvflare.client` for scripts in threads: each thread is a site."""

    def __init__(self) -> None:
        self.here = threading.local()

    def get_site_name(self) -> str:
        return self.here.name

    def receive(self, timeout: float | None = None) -> Any:
        try:
            task = self.here.inbox.get(timeout=timeout)
        except queue.Empty:
            return None
        if task is None:
            return None
        self.here.answer = task[1]
        return task[0]

    def send(self, model: Any) -> None:
        answer, self.here.answer = self.here.answer, None
        answer(model)


class Job:
    """A controller and client scripts; `lost(site, wave)` says which tasks never arrive."""

    def __init__(self, controller: Any, flare: Flare, lost: Callable[[str, int], bool]) -> None:
        self.controller = controller
        self.flare = flare
        self.lost = lost
        self.inboxes: dict[str, queue.Queue[Any]] = {}
        self.threads: list[threading.Thread] = []
        self.seen: list[tuple[str, Any, Any]] = []
        self.saved: list[Any] = []
        self.logged: list[str] = []
        self.waves: dict[str, int] = {}
        self._standing: set[int] = set()
        self._bind()

    def _bind(self) -> None:
        control = self.controller
        control.engine = SimpleNamespace(
            get_clients=lambda: [SimpleNamespace(name=name) for name in self.inboxes]
        )
        control.abort_signal = SimpleNamespace(triggered=False)
        control._task_check_period = 0.01
        control.send_model = self._send
        control.get_num_standing_tasks = lambda: len(self._standing)
        control.cancel_all_tasks = self._standing.clear
        control.save_model = self.saved.append
        control.event = lambda *_: None
        control.info = control.warning = control.error = self.logged.append

    def start(self, name: str, script: Callable[[], None]) -> None:
        inbox = self.inboxes[name] = queue.Queue()

        def run() -> None:
            self.flare.here.name, self.flare.here.inbox = name, inbox
            script()

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self.threads.append(thread)

    def stop(self) -> None:
        for inbox in self.inboxes.values():
            inbox.put(None)
        for thread in self.threads:
            thread.join(timeout=30)
            assert not thread.is_alive()

    def _send(self, targets: Any, data: Any, timeout: int, callback: Any) -> None:
        assert timeout >= 1
        (name,) = targets
        wave = self.waves[name] = self.waves.get(name, 0) + 1
        if self.lost(name, wave):
            return  # as a task whose time ran out
        task = id(data)
        self._standing.add(task)

        def answered(model: Any) -> None:
            self.seen.append((name, data, model))
            callback(model)
            self._standing.discard(task)

        self.inboxes[name].put((data, answered))

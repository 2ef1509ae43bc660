"""Any bytes, to any party, at any stage: taken, or refused by name with nothing changed.

The first byte of an input selects a target, the second says how the rest becomes what the target
takes: see the modules of the targets. Every breach of the rule is an `AssertionError` or the
foreign exception itself. Memory is bounded from outside: by a limit of the process when a fuzzer
runs this, by counting when the tests do.
"""

from __future__ import annotations

from functools import cache
from itertools import chain
from typing import Protocol

from fuzz.encrypted_targets import encrypted_parties, encrypted_restorers
from fuzz.insider_targets import insiders
from fuzz.paillier_targets import encrypted_readers
from fuzz.party_targets import ClientTarget, ServerTarget
from fuzz.reader_targets import readers
from fuzz.restore_targets import restorers
from fuzz.scenes import POLICIES, Scene, known_entropy

MOST_BYTES = 1 << 14
"""Many times the longest message of a scene: longer inputs find nothing that these do not."""


class Target(Protocol):
    """One place that takes bytes from strangers."""

    def run(self, how: int, rest: bytes) -> None:
        """Hands over what the bytes spell and checks what comes of it."""

    def seeds(self) -> dict[str, bytes]:
        """Inputs to begin with, by name: everything after the selector."""


@cache
def all_targets() -> dict[str, Target]:
    """The targets by name, in the order of their selectors."""
    scenes = [Scene(policy) for policy in POLICIES]
    found: dict[str, Target] = dict(chain(readers(scenes), restorers(scenes), insiders(scenes)))
    for scene in scenes:
        for stage in scene.stages:
            found[f"{scene.policy}-client-{stage}"] = ClientTarget(scene, stage)
            found[f"{scene.policy}-server-{stage}"] = ServerTarget(scene, stage)
        found[f"{scene.policy}-client-drawing"] = ClientTarget(scene, scene.uploaded, drawn=False)
        found[f"{scene.policy}-server-second-piece"] = ServerTarget(
            scene, scene.uploading, pieces=1
        )
    found.update(encrypted_readers())
    found.update(encrypted_parties())
    found.update(encrypted_restorers())
    return found


def one_input(data: bytes) -> None:
    """Runs one input; returns unless the rule is broken."""
    if len(data) < 2:
        return
    targets = list(all_targets().values())
    with known_entropy("now"):
        targets[data[0] % len(targets)].run(data[1], data[2:])


def corpus() -> dict[str, bytes]:
    """All inputs to begin with, by name."""
    return {
        f"{name}.{seed}": bytes([selector]) + rest
        for selector, (name, target) in enumerate(all_targets().items())
        for seed, rest in target.seeds().items()
    }

"""Progress of long work: a callback of the caller, or a bar if `rich` is installed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fedsecure.errors import LocalProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Progress", "reporting"]

Progress = Callable[[str, int, int], None]
"""Called with a stage, how many of its clients are done, and how many there are."""


@contextmanager
def reporting(*, progress: bool | Progress) -> Iterator[Progress]:
    """Gives the callback that `progress` asks for.

    Args:
        progress: False for silence, True for a bar on the terminal, or a callback.

    Raises:
        LocalProtocolError: True, and `rich` is not installed; or neither a bool nor callable.
    """
    if callable(progress):
        yield progress
    elif progress is False:
        yield _silence
    elif progress is True:
        with _bar() as report:
            yield report
    else:
        raise LocalProtocolError(f"progress is {progress!r}; use True, False or a callable")


def _silence(stage: str, done: int, total: int) -> None:
    del stage, done, total


@contextmanager
def _bar() -> Iterator[Progress]:
    try:
        from rich.progress import Progress as RichProgress  # noqa: PLC0415  # an optional extra
    except ImportError:
        raise LocalProtocolError(
            "progress=True draws its bar with rich, which is not installed: "
            "pip install 'fedsecure[rich]', or pass a callable(stage, done, total)"
        ) from None
    with RichProgress(transient=True) as bar:
        task = bar.add_task("", total=None)

        def report(stage: str, done: int, total: int) -> None:
            bar.update(task, description=stage, completed=done, total=total)

        yield report

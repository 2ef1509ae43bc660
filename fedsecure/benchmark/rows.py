"""Figures as rows, and rows as a table, as Markdown, as JSON."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import fedsecure

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Row", "as_json", "as_markdown", "as_table", "cells", "machine"]

_HEAD = ("name", "value", "unit", "baseline", "ratio", "spread")


@dataclass(frozen=True)
class Row:
    """One figure beside another one of the same run.

    Attributes:
        name: What was measured; see `fedsecure.benchmark`.
        value: Our figure, a median; None if this machine cannot give it.
        unit: Of both figures.
        baseline: The other figure; None if it could not be had, which `note` explains.
        ratio: How many times better ours is than the baseline; where the baseline is a bound, how
            many times the bound ours is. None without a baseline.
        note: What the baseline is, and what was scaled.
        spread: Interquartile range over median, of our times or the baseline's, whichever is the
            larger; None for what has no times.
    """

    name: str
    value: float | None
    unit: str
    baseline: float | None
    ratio: float | None
    note: str = ""
    spread: float | None = None


def as_json(rows: Sequence[Row]) -> str:
    """Returns a list of objects with the attributes of `Row`."""
    return json.dumps([asdict(row) for row in rows], indent=1)


def cells(rows: Sequence[Row]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Returns the head of a table and its rows, all of it as text."""
    return _HEAD, [_cells(row) for row in rows]


def as_table(rows: Sequence[Row]) -> str:
    """Returns a table for a terminal, and the notes below it."""
    head, body = cells(rows)
    widths = [max(map(len, column)) for column in zip(head, *body, strict=True)]
    lines = []
    for row in (head, *body):
        first, second, unit, *others = (
            cell.ljust(width) if column in (0, 2) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join((first, second, unit, *others)).rstrip())
    lines.insert(1, "-" * sum(widths, 2 * len(widths) - 2))
    notes = [f"{row.name}: {row.note}" for row in rows if row.note]
    return "\n".join([*lines, "", *notes, "", machine()])


def as_markdown(rows: Sequence[Row], command: str) -> str:
    """Returns the table for a document, with the command that made it and the machine."""
    table = [(*_HEAD, "what is compared"), *((*_cells(row), row.note) for row in rows)]
    lines = ["| " + " | ".join(row) + " |" for row in table]
    lines.insert(1, "|---|---:|---|---:|---:|---:|---|")
    return "\n".join([*lines, "", f"`{command}`: {machine()}."])


def machine() -> str:
    """Returns what a figure depends on, in one line."""
    versions = [f"Python {platform.python_version()}"]
    for package in ("numpy", "cryptography", "flwr", "phe", "gmpy2", "tenseal"):
        try:
            versions.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            versions.append(f"no {package}")
    return (
        f"fedsecure {fedsecure.__version__}, kernels {fedsecure.active_kernels()}, "
        f"{_processor()}, {os.cpu_count()} CPUs, {', '.join(versions)}"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.name,
        _number(row.value),
        row.unit,
        _number(row.baseline),
        _number(row.ratio),
        "-" if row.spread is None else f"{row.spread:.0%}",
    )


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if value < 0.1 else f"{value:.3f}"

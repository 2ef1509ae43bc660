"""Writes the curves of a demo: the numbers as CSV, and a PNG where matplotlib is installed."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fedsecure._picture import BLUE, GREY, NO_PICTURE, ORANGE, SKY, finish, new_figure
from fedsecure._report import Report

__all__ = ["draw_credit", "draw_linear", "write_csv"]

Columns = Mapping[str, Sequence[float]]


def write_csv(path: Path, columns: Columns) -> Path:
    """Writes one row per round, the first column being its number, and returns the path."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["round", *columns])
        for number, values in enumerate(zip(*columns.values(), strict=True), start=1):
            writer.writerow([number, *(f"{value:.6g}" for value in values)])
    return path


def draw_linear(
    report: Report, path: Path, columns: Columns, *, truth: float, local_steps: int
) -> None:
    """Draws the prediction at 6 by round, and how far it is from the truth on a log scale."""
    figure = new_figure("One line through everybody's points")
    if figure is None:
        report.say(NO_PICTURE)
        return
    value, gap = figure.subplots(1, 2)
    styles: dict[str, tuple[str, dict[str, Any]]] = {
        "one_local_step": ("1 local step, plain", {"color": ORANGE}),
        "plain_fedavg": (f"{local_steps} local steps, plain", {"color": SKY, "linewidth": 5}),
        "secure_fedavg": (f"{local_steps} local steps, secure", {"color": BLUE}),
    }
    for name, (label, style) in styles.items():
        rounds = range(1, len(columns[name]) + 1)
        value.plot(rounds, columns[name], label=label, **style)
        gap.semilogy(rounds, [abs(y - truth) for y in columns[name]], **style)
    value.axhline(truth, color=GREY, linestyle="--", linewidth=1, label=f"truth, {truth}")
    gap.axhline(0.01, color=GREY, linestyle=":", linewidth=1)
    gap.annotate("0.01", (1, 0.01), color=GREY, va="bottom")
    finish(value, "Prediction at x = 6", "round", "y")
    finish(gap, "Distance from the truth", "round", f"|y - {truth}|, log scale")
    value.legend(frameon=False)
    _save(report, figure, path)


def draw_credit(report: Report, path: Path, columns: Columns) -> None:
    """Draws accuracy and AUC by round, for the three ways and the banks alone, and the time."""
    figure = new_figure("Ten banks, one credit score (German credit data, common test set)")
    if figure is None:
        report.say(NO_PICTURE)
        return
    panels = figure.subplots(1, 3)
    for panel, measure, title in zip(
        panels, ("accuracy", "auc"), ("Accuracy", "AUC"), strict=False
    ):
        _draw_measure(panel, columns, measure)
        finish(panel, f"{title} by round", "round")
    seconds = columns["secure_seconds"]
    panels[2].bar(range(1, len(seconds) + 1), [1000 * value for value in seconds], color=BLUE)
    finish(panels[2], "Milliseconds in secure aggregation", "round")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False)
    _save(report, figure, path)


def _draw_measure(panel: Any, columns: Columns, measure: str) -> None:
    rounds = range(1, len(columns[f"secure_{measure}"]) + 1)
    low, high = columns[f"local_lowest_{measure}"], columns[f"local_highest_{measure}"]
    panel.fill_between(
        rounds, low, high, color=GREY, alpha=0.15, linewidth=0, label="banks alone, range"
    )
    lines: dict[str, tuple[str, dict[str, Any]]] = {
        "local_mean": ("banks alone, mean", {"color": GREY, "linestyle": "--"}),
        "plain": ("plain FedAvg", {"color": SKY, "linewidth": 5}),
        "secure": ("secure FedAvg", {"color": BLUE}),
        "central": ("all data in one place", {"color": ORANGE, "linestyle": ":", "linewidth": 2}),
    }
    for name, (label, style) in lines.items():
        panel.plot(rounds, columns[f"{name}_{measure}"], label=label, **style)


def _save(report: Report, figure: Any, path: Path) -> None:
    figure.savefig(path)
    report.lines(f"written: {path}")

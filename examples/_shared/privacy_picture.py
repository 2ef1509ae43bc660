"""Draws what differential privacy costs: a panel for each data set, a point for each epsilon."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fedsecure._picture import BLUE, GREY, NO_PICTURE, ORANGE, finish, new_figure
from fedsecure._report import Report

__all__ = ["draw_privacy"]

ASIDE = 1.04  # points of one epsilon stand side by side, a factor apart on the log scale
LABELS = {
    "central": (ORANGE, "o", 1 / ASIDE, "central: a trusted server adds the noise"),
    "distributed": (BLUE, "s", ASIDE, "distributed: silos add it, under their masks"),
}


def draw_privacy(
    report: Report, found: Sequence[tuple[Any, Sequence[Any]]], path: Path, delta: float
) -> None:
    """Writes a PNG to `path`, if matplotlib is installed.

    Args:
        report: where is said what was written.
        found: tasks, each with the runs of its ways, those without privacy first.
        path: where to.
        delta: of the guarantees.
    """
    title = f"Privacy of each record, delta = {delta:g}; bars: standard deviation of one run"
    figure = new_figure(title, (11.0, 4.4))
    if figure is None:
        report.say(NO_PICTURE)
        return
    panels = figure.subplots(1, len(found), squeeze=False)[0]
    for panel, (task, runs) in zip(panels, found, strict=True):
        _draw(panel, task, runs)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(path)
    report.lines(f"written: {path}")


def _draw(panel: Any, task: Any, runs: Sequence[Any]) -> None:
    panel.axhline(runs[0].mean, color=GREY, linestyle="--", label="no differential privacy")
    epsilons = sorted({each.way.epsilon for each in runs[1:]})
    for name, (color, marker, aside, label) in LABELS.items():
        chosen = [each for each in runs if each.way.name == name]
        panel.errorbar(
            [each.way.epsilon * aside for each in chosen],
            [each.mean for each in chosen],
            [each.spread for each in chosen],
            color=color,
            marker=marker,
            capsize=4,
            linewidth=1.5,
            label=label,
        )
    panel.set_xscale("log")
    panel.set_xticks(epsilons, [f"{epsilon:g}" for epsilon in epsilons])
    panel.minorticks_off()
    finish(panel, task.title, "epsilon, log scale", f"{task.measure} on test records")

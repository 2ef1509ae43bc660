"""Draws what differential privacy costs: a panel for each data set, a point for each epsilon."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fedsecure._report import Report

__all__ = ["draw_privacy"]

# Okabe and Ito's colours, told apart by colour-blind eyes as well.
ORANGE, BLUE, GREY = "#E69F00", "#0072B2", "#777777"
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
    if importlib.util.find_spec("matplotlib") is None:
        report.say("No picture: matplotlib is not installed (pip install 'fedsecure[demo]').")
        return
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415  (optional)
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(11.0, 4.4), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    title = f"Privacy of each record, delta = {delta:g}; bars: standard deviation of one run"
    figure.suptitle(title, fontsize=12)
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
    panel.set_title(task.title, fontsize=10)
    panel.set_xlabel("epsilon, log scale")
    panel.set_ylabel(f"{task.measure} on test records")
    panel.grid(alpha=0.3)
    panel.spines[["top", "right"]].set_visible(False)

"""What an experiment prints and draws: tables, one CSV file, one PNG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fedsecure._picture import BLUE, GREY, NO_PICTURE, ORANGE, SKY, finish, new_figure
from fedsecure._report import Report
from fedsecure.demo.plot import write_csv

from .experiment import Outcome, Own

__all__ = ["present"]

NAMED = 16  # so many organisations are shown by name
LEAST_SPAN = 0.05  # of the axis of a measure
ENOUGH = 30  # test rows of an organisation's own, below which they say too little


def present(report: Report, outcome: Outcome, out: Path, name: str, title: str) -> None:
    """Prints the tables, and writes NAME.csv and NAME.png to `out`."""
    _final_table(report, outcome)
    _own_table(report, outcome)
    seconds = [comparison.seconds for comparison in outcome.comparisons]
    worst = max(comparison.steps for comparison in outcome.comparisons)
    report.say(
        f"In secure aggregation: {sum(seconds):.2f} s, every party in this process "
        f"({len(outcome.own)} organisations, {_rounds(outcome)}). Largest difference between "
        f"secure and plain mean of the same updates, in any round: {worst:.3f} quantisation steps "
        f"of {outcome.step:.2g}; above 1 this would have ended with an error."
    )
    report.lines(f"written: {write_csv(out / f'{name}.csv', _columns(outcome))}")
    _draw(report, outcome, out / f"{name}.png", title)


def _rounds(outcome: Outcome) -> str:
    count = len(outcome.comparisons)
    return "1 round" if count == 1 else f"{count} rounds"


def _final_table(report: Report, outcome: Outcome) -> None:
    def row(name: str, values: Sequence[float]) -> tuple[str, ...]:
        return (name, *(f"{value:.3f}" for value in values))

    last = {name: outcome.alone_by_round(name)[-1] for name in outcome.measures}
    final = [(way, getattr(outcome, way)) for way in ("central", "plain", "secure")]
    labels = {
        "central": "all rows in one place",
        "plain": "plain FedAvg",
        "secure": "secure FedAvg",
    }
    report.table(
        f"After {_rounds(outcome)}, on the test rows of all organisations",
        ("learnt from", *outcome.measures),
        [
            row("nothing", list(outcome.nothing.values())),
            row("each alone, lowest", [min(values) for values in last.values()]),
            row("each alone, mean", [outcome.alone_mean(m)[-1] for m in outcome.measures]),
            row("each alone, highest", [max(values) for values in last.values()]),
            *(row(labels[way], [curve[m][-1] for m in outcome.measures]) for way, curve in final),
        ],
    )


def _own_table(report: Report, outcome: Outcome) -> None:
    measure = outcome.measures[0]
    shown = outcome.own
    if len(shown) > NAMED:
        shown = (*shown[: NAMED // 2], *shown[-NAMED // 2 :])
    title = f"{measure} on each organisation's own test rows"
    if len(shown) < len(outcome.own):
        title += f": the {NAMED // 2} largest and the {NAMED // 2} smallest of {len(outcome.own)}"
    report.table(
        title,
        ("organisation", "rows", "test rows", "alone", "secure FedAvg"),
        [
            (own.name, str(own.train_rows), str(own.test_rows), _text(own.alone), _text(own.secure))
            for own in shown
        ],
    )
    known = _known(outcome.own)
    better = sum(own.secure > own.alone for own in known)
    worse = sum(own.secure < own.alone for own in known)
    few = len(outcome.own) - len(known)
    report.say(
        f"On its own test rows secure FedAvg does better than alone for {better} of {len(known)} "
        f"organisations, worse for {worse}."
        + (f" Left out: {few} with less than {ENOUGH} test rows or one class only." * bool(few))
    )


def _known(owns: Sequence[Own]) -> list[Own]:
    return [o for o in owns if o.test_rows >= ENOUGH and not math.isnan(o.alone + o.secure)]


def _text(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def _columns(outcome: Outcome) -> dict[str, list[float]]:
    columns: dict[str, list[float]] = {}
    for measure in outcome.measures:
        key = measure.lower().replace(" ", "_")
        columns[f"alone_mean_{key}"] = outcome.alone_mean(measure)
        columns[f"alone_lowest_{key}"] = [min(v) for v in outcome.alone_by_round(measure)]
        columns[f"alone_highest_{key}"] = [max(v) for v in outcome.alone_by_round(measure)]
        for way in ("central", "plain", "secure"):
            columns[f"{way}_{key}"] = getattr(outcome, way)[measure]
    columns["secure_seconds"] = [comparison.seconds for comparison in outcome.comparisons]
    columns["difference_steps"] = [comparison.steps for comparison in outcome.comparisons]
    return columns


def _draw(report: Report, outcome: Outcome, path: Path, title: str) -> None:
    figure = new_figure(title, (12.0, 4.6))
    if figure is None:
        report.say(NO_PICTURE)
        return
    curves, owns, time = figure.subplots(1, 3, width_ratios=(1.1, 1.2, 0.8))
    _draw_curves(curves, outcome)
    _draw_own(owns, outcome)
    seconds = [1000 * comparison.seconds for comparison in outcome.comparisons]
    time.bar(range(1, len(seconds) + 1), seconds, color=BLUE)
    finish(time, "Milliseconds in secure aggregation", "round")
    for panel in (curves, time):
        panel.set_xlim(0, len(seconds) + 1)
        panel.xaxis.get_major_locator().set_params(integer=True)
    handles, labels = curves.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False)
    figure.savefig(path)
    report.lines(f"written: {path}")


def _draw_curves(panel: Any, outcome: Outcome) -> None:
    measure = outcome.measures[0]
    by_round = outcome.alone_by_round(measure)
    rounds = range(1, len(by_round) + 1)
    low, high = [min(values) for values in by_round], [max(values) for values in by_round]
    # A single round is a point, which a line alone would not show.
    marker = "o" if len(by_round) == 1 else ""
    panel.fill_between(
        rounds, low, high, color=GREY, alpha=0.15, linewidth=0, label="each alone, range"
    )
    lines: tuple[tuple[str, list[float], dict[str, Any]], ...] = (
        ("each alone, mean", outcome.alone_mean(measure), {"color": GREY, "linestyle": "--"}),
        ("plain FedAvg", outcome.plain[measure], {"color": SKY, "linewidth": 5}),
        ("secure FedAvg", outcome.secure[measure], {"color": BLUE}),
        ("all rows in one place", outcome.central[measure], {"color": ORANGE, "linestyle": ":"}),
    )
    for label, values, style in lines:
        panel.plot(rounds, values, label=label, marker=marker, **{"linewidth": 2, **style})
    _keep_proportion(panel)
    finish(panel, f"{measure}, test rows of all", "round")


def _draw_own(panel: Any, outcome: Outcome) -> None:
    known = _known(outcome.own)
    named = len(known) <= NAMED
    places = range(len(known)) if named else [own.train_rows for own in known]
    for place, own in zip(places, known, strict=True):
        panel.plot([place, place], [own.alone, own.secure], color=GREY, linewidth=1, alpha=0.5)
    panel.plot(places, [own.alone for own in known], "o", color="white", mec=GREY)
    panel.plot(places, [own.secure for own in known], "o", color=BLUE)
    _keep_proportion(panel)
    title = f"{outcome.measures[0]}, each on its own test rows\n(white: alone; blue: secure FedAvg)"
    finish(panel, title, "" if named else "rows to learn from, log scale")
    if named:
        names = [own.name for own in known]
        panel.set_xticks(places, names, rotation=45, ha="right", fontsize=8)
    else:
        panel.set_xscale("log")


def _keep_proportion(panel: Any) -> None:
    """Widens a narrow axis, on which the eye would take thousandths for a gap."""
    bottom, top = panel.get_ylim()
    if top - bottom < LEAST_SPAN:
        middle = (bottom + top) / 2
        panel.set_ylim(middle - LEAST_SPAN / 2, middle + LEAST_SPAN / 2)

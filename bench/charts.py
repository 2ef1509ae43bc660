"""Charts of what `make bench` measured, from its results.json.

.venv/bin/python bench/charts.py bench/out/results.json
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

OURS, BOUND, OTHERS = "#1b7837", "#333333", ["#9e9ac8", "#bcbddc"]
PARTS = {"keys": "#4d9221", "encode": "#7fbc41", "masks": "#2c7fb8", "pack": "#fdae61"}
MASKS = "mask, k = 16, d = 16777216: "

Results = dict[str, Any]
Rows = dict[str, dict[str, Any]]


def main() -> None:
    source = Path(sys.argv[1])
    results = json.loads(source.read_text("utf-8"))
    rows = {row["name"]: row for row in results["rows"]}
    for name, draw in {"masks": masks, "client": client, "server": server}.items():
        figure = draw(rows, results)
        if figure is not None:
            figure.get_layout_engine().set(rect=(0, 0.05, 1, 0.95))
            figure.text(0.01, 0.015, results["machine"], fontsize=6.5, color="gray")
            target = source.parent / f"{name}.png"
            figure.savefig(target, dpi=150)
            print(f"wrote {target}")


def masks(rows: Rows, _results: Results) -> Figure | None:
    """Draws ns per weight and neighbor, by kernel set, beside the baselines and the bound."""
    found = {
        name.removeprefix(MASKS).removesuffix(", 1 threads"): row["value"]
        for name, row in rows.items()
        if name.startswith(MASKS) and not name.endswith("all threads")
    }
    if not found:
        return None
    ours = {name: value for name, value in found.items() if "PCG64" not in name}
    crypto = next(row["baseline"] for name, row in rows.items() if name.startswith(MASKS))
    bars = {**found, "AES-CTR of cryptography\n+ add, cut for the cache": crypto}
    bars = {
        name.replace(
            "numpy PCG64", "numpy PCG64 + add, cut for\nthe cache (not for secrets)"
        ): bars[name]
        for name in bars
    }
    names = sorted(bars, key=bars.__getitem__, reverse=True)
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    axes = figure.add_subplot()
    colors = [OURS if name in ours else OTHERS[0] for name in names]
    axes.barh(names, [bars[name] for name in names], color=colors)
    for at, name in enumerate(names):
        bound = rows.get(f"AES port bound: {name}")
        end = bars[name] if bound is None else max(bars[name], bound["value"])
        axes.text(end * 1.04, at, f"{bars[name]:.3f}", va="center", fontsize=9)
        if bound is not None:
            label = "bound: AES instructions alone" if "bound" not in axes.get_label() else None
            axes.plot([bound["value"]] * 2, [at - 0.42, at + 0.42], color=BOUND, lw=2, label=label)
            axes.set_label("bound")
    log_axis(axes, min(bars.values()), 2 * max(bars.values()))
    axes.set_xlabel("ns per weight and neighbor, one thread (log scale; less is better)")
    axes.set_title("Masks of 16 neighbors on 64 MB of uint32, in place")
    axes.legend(loc="upper right", fontsize=9)
    return figure


def log_axis(axes: Any, least: float, right: float) -> None:
    """Begins at a power of ten, with numbers as one writes them."""
    axes.set_xscale("log")
    axes.set_xlim(10 ** math.floor(math.log10(least)), right)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def client(rows: Rows, results: Results) -> Figure | None:
    """Draws a client's round in parts."""
    parts = results["client_parts_ms"]
    row = rows.get("client_pass_vs_flower")
    if not parts or row is None:
        return None
    measured = {"fedsecure": row["value"], "Flower": row["baseline"]}
    figure = Figure(figsize=(8, 4.6), layout="constrained")
    both = [name for name in ("Flower", "fedsecure") if name in parts]
    above, below = figure.subplots(2, height_ratios=[len(both), 1])
    for axes, names in ((above, both), (below, ["fedsecure"])):
        stack(axes, {name: parts[name] for name in names}, measured, label=axes is above)
        axes.set_xlabel("milliseconds of one processor (less is better)")
    above.set_title("One client's round, 1,000,000 float32, 22 neighbors of 100 clients")
    below.set_title("fedsecure alone, enlarged", fontsize=10)
    figure.legend(loc="outside upper center", ncols=5, fontsize=9)
    return figure


def stack(
    axes: Any, parts: dict[str, dict[str, float]], measured: dict[str, float], *, label: bool
) -> None:
    for name, values in parts.items():
        left, first = 0.0, label and name == next(iter(parts))
        for part, color in PARTS.items():
            named = part if first else None
            axes.barh([name], [values[part]], left=left, color=color, label=named)
            left += values[part]
        mark = axes.scatter([measured[name]], [name], marker="D", color=BOUND, zorder=3)
        if first:
            mark.set_label("whole round, measured")
        axes.text(
            max(left, measured[name]), name, f"   {measured[name]:.1f} ms", va="center", fontsize=9
        )
    axes.margins(x=0.12)


def server(rows: Rows, _results: Results) -> Figure | None:
    """Draws the server's round for all cases."""
    named = {
        "server_complete_graph_vs_flower": "n = 100, k = 99\nd = 1000000, 10 gone",
        "server_round_vs_flower": "n = 100, k = 22\nd = 1000000, 10 gone",
    }
    for name in rows:
        if name.startswith("server, "):
            named[name] = name.removeprefix("server, ").replace(", d", "\nd")
    cases = [(label, rows[name]) for name, label in named.items() if name in rows]
    if not cases:
        return None
    figure = Figure(figsize=(8, 4.8), layout="constrained")
    axes = figure.add_subplot()
    for at, (_, row) in enumerate(cases):
        for offset, key, color in ((0.2, "baseline", OTHERS[0]), (-0.2, "value", OURS)):
            if row[key] is None:
                continue
            label = {"baseline": "Flower", "value": "fedsecure"}[key] if at == 0 else None
            axes.barh([at + offset], [row[key]], height=0.38, color=color, label=label)
            text = f"{row[key]:.3g} s" if row[key] >= 0.1 else f"{1e3 * row[key]:.3g} ms"
            if key == "value" and row["ratio"]:
                text += f"   ({row['ratio']:.0f} times faster)"
            axes.text(row[key] * 1.06, at + offset, text, va="center", fontsize=9)
    axes.set_yticks(range(len(cases)), [label for label, _ in cases])
    shown = [row[key] for _, row in cases for key in ("value", "baseline") if row[key]]
    log_axis(axes, min(shown), 12 * max(shown))
    axes.set_xlabel("seconds of one processor (log scale; less is better)")
    axes.set_title("The server's whole work in one round")
    axes.legend(loc="upper right", fontsize=9)
    return figure


if __name__ == "__main__":
    main()

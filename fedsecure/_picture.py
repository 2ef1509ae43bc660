"""What all pictures of this package look like; they are drawn where matplotlib is installed."""

from __future__ import annotations

import importlib.util
from typing import Any

__all__ = ["BLUE", "GREY", "NO_PICTURE", "ORANGE", "SIZE", "SKY", "finish", "new_figure"]

# Okabe and Ito's colours, told apart by colour-blind eyes as well.
ORANGE, SKY, BLUE, GREY = "#E69F00", "#56B4E9", "#0072B2", "#777777"
SIZE = (11.0, 4.2)  # inches
NO_PICTURE = "No picture: matplotlib is not installed (pip install 'fedsecure[demo]')."


def new_figure(title: str, size: tuple[float, float] = SIZE) -> Any:
    """Returns an empty figure that can be saved, or None where matplotlib is not installed.

    Args:
        title: Stands above it.
        size: Width and height in inches, of 120 pixels each.
    """
    if importlib.util.find_spec("matplotlib") is None:
        return None
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415  (optional)
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=size, dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=12)
    return figure


def finish(panel: Any, title: str, x_label: str, y_label: str = "") -> None:
    """Gives a panel that is drawn its words and its grid, and takes away half of its frame."""
    panel.set_title(title, fontsize=10)
    panel.set_xlabel(x_label)
    panel.set_ylabel(y_label)
    panel.grid(alpha=0.3)
    panel.spines[["top", "right"]].set_visible(False)

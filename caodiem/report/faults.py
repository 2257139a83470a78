"""The picture of a fault: what came, what was tried, what came to good, and the backlog, the fault shaded."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from caodiem.report.plots import BLUE, GREEN, GREY, ORANGE, RED

_RATES = (
    ("requests_per_s", "requests begun", GREY),
    ("attempts_per_s", "attempts made", ORANGE),
    ("goodput_per_s", "goodput", GREEN),
)


def draw(figures: dict[str, Any], path: Path) -> Path:
    """Rates above, backlog below, over one time axis, with their intervals, as a PNG; returns its path."""
    faults = figures["faults"]
    figure = Figure(figsize=(8.4, 5.6), layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, sharex=True)
    series = faults["series"]
    minutes = (np.array(series["from_s"]) + series["bin_s"] / 2) / 60
    for name, label, colour in _RATES:
        _line(above, minutes, series[name], label, colour)
    _line(below, minutes + series["bin_s"] / 120, series["backlog"], "requests under way", BLUE)
    for axes in (above, below):
        axes.axvspan(faults["from_s"] / 60, min(faults["to_s"], figures["horizon_s"]) / 60, color=RED, alpha=0.12, lw=0)
        axes.set_ylim(bottom=0)
        axes.set_xlim(0, figures["horizon_s"] / 60)
        axes.grid(color="#e5e5e5", lw=0.6)
        axes.legend(fontsize=8, loc="upper right", framealpha=0.9)
    above.set_ylabel("per second")
    below.set_ylabel("backlog")
    below.set_xlabel("minutes; the fault is shaded")
    above.set_title(f"{figures['title']}\n{faults['statement']}", loc="left", fontsize=9, wrap=True, parse_math=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    return path


def _line(axes: Axes, minutes: Any, series: dict[str, list[float]], label: str, colour: str) -> None:
    axes.plot(minutes, series["value"], color=colour, lw=1.4, label=label)
    axes.fill_between(minutes, series["low"], series["high"], color=colour, alpha=0.2, lw=0)

"""The picture of a back-test: each series, the curves fitted to it, its projections with their bands, what came."""

import math
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import date2num
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from caodiem.report.plots import BLUE, GREEN, GREY, INK, ORANGE, PINK, RED, SKY
from caodiem.series import SeriesScenario
from simulation.backtest import Foretold, Known

_COLOURS = (BLUE, GREEN, ORANGE, PINK, SKY, GREY)
_COLUMNS = 2


def draw(scenario: SeriesScenario, known: dict[str, Known], rows: list[Foretold], path: Path) -> Path:
    """One panel a series, on a logarithmic scale, as a PNG; returns its path."""
    high = math.ceil(len(known) / _COLUMNS)
    wide = min(len(known), _COLUMNS)
    figure = Figure(figsize=(5.2 * wide, 3.9 * high), layout="constrained")
    FigureCanvasAgg(figure)
    panels = np.ravel(figure.subplots(high, wide, squeeze=False))
    for axes, (name, one) in zip(panels, known.items(), strict=False):
        _panel(axes, scenario, name, one, [row for row in rows if row.name == name and row.kind == "count"])
    for axes in panels[len(known) :]:
        axes.set_axis_off()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    return path


def _panel(axes: Axes, scenario: SeriesScenario, name: str, known: Known, rows: list[Foretold]) -> None:
    until = max([row.on for row in rows] + [each.until for each in scenario.added] + [scenario.fit_until])
    start = _number(scenario.starts)
    axes.xaxis_date()
    days = np.linspace(float(known.days[0]), float((until - scenario.starts).days), 200)
    for fit, colour in zip(known.fits, _COLOURS, strict=False):
        values = np.maximum([fit.count(float(day)) for day in days], 1.0)
        axes.plot(start + days, values, color=colour, lw=1, label=f"{fit.name}, weight {fit.weight:.2f}")
    axes.plot(start + known.days, known.counts, "o", color=INK, ms=4, label="fitted")
    for row in rows:
        axes.errorbar(
            [_number(row.on)], [row.expected], yerr=[[row.expected - row.low], [row.high - row.expected]],
            fmt="D", color=RED, ms=4, capsize=3, lw=1.2,
        )  # fmt: skip
        if row.published is not None:
            axes.plot([_number(row.on)], [row.published], "o", mfc="white", mec=INK, ms=6)
    handles: list[Any] = [
        *axes.get_legend_handles_labels()[0],
        axes.plot([], [], "D", color=RED, ms=4, label="projected, 90% band")[0],
        axes.plot([], [], "o", mfc="white", mec=INK, ms=6, label="published later")[0],
    ]
    axes.axvline(_number(scenario.fit_until), color=GREY, lw=0.8, ls=":")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_title(f"{name} ({scenario.series[name].points[0].count.unit}, cumulative)", loc="left", fontsize=10)
    axes.set_ylim(bottom=0.5 * float(known.counts[0]))
    axes.tick_params(axis="x", rotation=30, labelsize=8)
    axes.tick_params(axis="y", labelsize=8)
    axes.grid(color="#e5e5e5", lw=0.6)
    axes.legend(handles=handles, fontsize=7, loc="lower right", framealpha=0.9)


def _number(day: date) -> float:
    """A day as matplotlib counts them."""
    return float(date2num(day))  # type: ignore[no-untyped-call]

"""A back-test as lines for a terminal and as a picture: each series of counts or of shares, the curves fitted to it,
its projections with their bands, and what came."""

import math
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import date2num
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from caodiem.report.plots import BLUE, GREEN, GREY, INK, ORANGE, PINK, RED, SKY
from caodiem.series import SeriesScenario
from caodiem.shares import SharesScenario
from simulation.backtest import Foretold, Known
from simulation.uptake import Uptake

_COLOURS = (BLUE, GREEN, ORANGE, PINK, SKY, GREY)
_COLUMNS = 2
_FEW_POWERS = 30.0  # high over low of an axis whose smaller ticks have numbers too
# Of what may be so many times as much, or as little, nothing is known.
_NO_KNOWLEDGE = 30.0


def lines(found: dict[str, Any], rows: list[Foretold]) -> list[str]:
    """A table for a terminal; before it, where shares were fitted (`found` is backtest.json), each series' curves."""
    told = []
    for name, series in found["series"].items() if "ceiling_percent" in found else ():
        curves = ", ".join(_curve(each) for each in series["curves"])
        told.append(
            f"{name}: {series['points_fitted']} points; points off in foretelling each from those before: {curves}"
        )
    told.append(f"{'':<20} {'':<6} {'on':<11} {'projected':>13} {'90% band':>29} {'published':>13}   error")
    for row in rows:
        digits = 0 if row.kind in ("count", "added") else 1
        band = f"{row.low:,.{digits}f} to {row.high:,.{digits}f}"
        published = f"{row.published:,.{digits}f}" if row.published is not None else ""
        error = f"{row.error_percent:+.1f}%" if row.error_percent is not None else ""
        projected = f"{row.name:<20} {row.kind:<6} {row.on.isoformat():<11} {row.expected:>13,.{digits}f} {band:>29}"
        told.append(f"{projected} {published:>13}   {error}")
    return told + [
        f"{row.name} until {row.on.isoformat()}: the band's ends are {row.high / row.low:,.0f} times apart; "
        "the points that are known say next to nothing of so late a day"
        for row in rows
        if row.high > _NO_KNOWLEDGE * row.low > 0
    ]


def _curve(fitted: dict[str, Any]) -> str:
    """A curve with its criterion and its projections."""
    error = "unknown" if fitted["error_points"] is None else f"{fitted['error_points']:.2g}"
    shares = ", ".join(f"{each['percent']:.1f}%" for each in fitted["projections"])
    return f"{fitted['name']} {error} (weight {fitted['weight']:.2f}; {shares})"


def draw(scenario: SeriesScenario, known: dict[str, Known], rows: list[Foretold], path: Path) -> Path:
    """One panel a series, on a logarithmic scale, as a PNG; returns its path."""
    figure, panels = _grid(len(known))
    for axes, (name, one) in zip(panels, known.items(), strict=False):
        _panel(axes, scenario, name, one, [row for row in rows if row.name == name and row.kind == "count"])
    return _saved(figure, path)


def draw_shares(scenario: SharesScenario, fits: dict[str, Uptake], rows: list[Foretold], path: Path) -> Path:
    """One panel a series, in percent, the 90% band shaded, as a PNG; returns its path."""
    figure, panels = _grid(len(fits))
    for axes, (name, fitted) in zip(panels, fits.items(), strict=False):
        _shares(axes, scenario, name, fitted, [row for row in rows if row.name == name])
    return _saved(figure, path)


def _grid(count: int) -> tuple[Figure, list[Axes]]:
    high, wide = math.ceil(count / _COLUMNS), min(count, _COLUMNS)
    figure = Figure(figsize=(5.2 * wide, 3.9 * high), layout="constrained")
    FigureCanvasAgg(figure)
    panels = list(np.ravel(figure.subplots(high, wide, squeeze=False)))
    for axes in panels[count:]:
        axes.set_axis_off()
    return figure, panels


def _saved(figure: Figure, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    return path


def _shares(axes: Axes, scenario: SharesScenario, name: str, fitted: Uptake, rows: list[Foretold]) -> None:
    start, points = _number(scenario.starts), scenario.known(name)
    first, last = _number(points[0].on) - start, max(_number(row.on) for row in rows) - start
    days = np.linspace(first, max(last, fitted.last_day), 200)
    bands = 100 * np.array([fitted.band(float(day)) for day in days])
    axes.xaxis_date()
    axes.fill_between(start + days, bands[:, 0], bands[:, 1], color=GREY, alpha=0.2, lw=0, label="90% band of the mean")
    for curve, colour in zip(fitted.curves, _COLOURS, strict=False):
        shares = [100 * curve.share(float(day)) for day in days]
        axes.plot(start + days, shares, color=colour, lw=1, label=f"{curve.name}, weight {curve.weight:.2f}")
    axes.plot([_number(p.on) for p in points], [p.share.value for p in points], "o", color=INK, ms=4, label="fitted")
    axes.plot([_number(r.on) for r in rows], [r.expected for r in rows], "D", color=RED, ms=4, label="projected")
    later = [(_number(row.on), row.published) for row in rows if row.published is not None]
    if later:
        axes.plot(*zip(*later, strict=True), "o", mfc="white", mec=INK, ms=6, label="observed later")
    axes.set(ylim=(0, 100), ylabel="percent")
    axes.set_title(name, loc="left", fontsize=10, parse_math=False)
    axes.tick_params(axis="x", rotation=30, labelsize=8)
    axes.tick_params(axis="y", labelsize=8)
    axes.grid(color="#e5e5e5", lw=0.6)
    axes.legend(fontsize=7, loc="upper left", framealpha=0.9)


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
    axes.set_title(
        f"{name} ({scenario.series[name].points[0].count.unit}, cumulative)", loc="left", fontsize=10, parse_math=False
    )
    axes.set_ylim(bottom=0.5 * float(known.counts[0]))
    low, high = axes.get_ylim()
    whole = FuncFormatter(lambda value, _: f"{value:,.0f}")
    axes.yaxis.set_major_formatter(whole)
    # A power of ten may stand alone on an axis of little more than one.
    axes.yaxis.set_minor_formatter(whole if high < _FEW_POWERS * low else NullFormatter())
    axes.tick_params(axis="x", rotation=30, labelsize=8)
    axes.tick_params(axis="y", which="both", labelsize=8)
    axes.grid(color="#e5e5e5", lw=0.6)
    axes.legend(handles=handles, fontsize=7, loc="lower right", framealpha=0.9)


def _number(day: date) -> float:
    """A day as matplotlib counts them."""
    return float(date2num(day))  # type: ignore[no-untyped-call]

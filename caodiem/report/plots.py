"""The plots: each a function of figures, words and a shape to one SVG. No global state of matplotlib is touched.

A plot is drawn wide and narrow, with the same size of letters on the screen, since one picture cannot serve both a
desk and a phone. Colours are Okabe and Ito's, which colour-blind people tell apart; lines differ in dashes as well.
"""

import io
import math
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from caodiem.dossier import OPERATIONS
from caodiem.report import figures
from caodiem.report.words import Words
from caodiem.scenario import point_kind

INK, GREY, RULE = "#1a1a1a", "#595959", "#d9d9d9"
BLUE, SKY, GREEN, ORANGE, RED, PINK, YELLOW = (
    "#0072b2", "#56b4e9", "#009e73", "#e69f00", "#d55e00", "#cc79a7", "#f0e442",
)  # fmt: skip
_PATH = {"ministries": (BLUE, "-"), "localities": (RED, "--"), "national": (INK, "-")}
_POINTS = {"observed": ("o", True), "derived": ("s", True), "target": ("^", True), "assumed": ("o", False)}
_DOSSIERS = {
    "ministries_online": BLUE,
    "localities_online": RED,
    "ministries_counter": "#a6cfe6",
    "localities_counter": "#f3c39d",
}
_CURVES = {"linear": (BLUE, "-"), "logistic": (GREEN, "--"), "Gompertz": (ORANGE, "-."), "Bass": (PINK, ":")}
_PATH_DATA, _DECIMALS = re.compile(r' d="[^"]+"'), re.compile(r"(\.\d\d)\d+")
_SYSTEMS = (BLUE, ORANGE, GREEN, PINK, SKY, RED, YELLOW, GREY)
_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "legend.borderaxespad": 0.2,
    "legend.columnspacing": 1.2,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    # The same input gives the same bytes; letters become outlines, so no reader needs our font.
    "svg.hashsalt": "caodiem",
    "svg.fonttype": "path",
}


_LEGEND_LINES, _LEGEND_LINE_IN = 4, 0.19
# An operation's name is told in two lines beyond these, for the panel's sake.
_LABEL_LETTERS = 26


@dataclass(frozen=True, slots=True)
class Shape:
    """A picture's width, and whether its panels stand beside one another."""

    name: str
    width_in: float
    is_wide: bool

    def grid(self, panels: int) -> tuple[int, int]:
        """(rows, columns) for so many panels."""
        return (1, panels) if self.is_wide else (panels, 1)


# 1 in is 96 pixels on the screen: 860 and 358 pixels, the text's width at a desk and on a phone of 390 pixels.
WIDE = Shape("wide", 860 / 96, True)
NARROW = Shape("narrow", 358 / 96, False)
SHAPES = (WIDE, NARROW)


@dataclass(frozen=True, slots=True)
class Panel:
    """One level in a plot of several: its title and its data."""

    title: str
    data: Any


def adoption(projection: dict[str, Any], words: Words, shape: Shape) -> str:
    """Shares of ministries, localities and the country; points by what they rest on; the levels."""
    with mpl.rc_context(_STYLE):
        figure, (axes,) = _figure(shape, 1, 4.0)
        days = figures.ordinals(projection["path"]["on"])
        for name, (colour, dashes) in _PATH.items():
            width, shares = 2.2 if name == "national" else 1.6, projection["path"][f"{name}_percent"]
            axes.plot(days, shares, dashes, color=colour, lw=width, label=words.text(name))
        kinds = [_point(axes, point) for point in projection["points"]]
        _mark_levels(axes, projection["levels"], words)
        axes.set(ylim=(0, 100), xlim=(days[0], days[-1] + 12), ylabel=words.text("adoption_axis"))
        axes.yaxis.set_major_formatter(_formatter(words))
        _date_axis(axes, days, shape)
        # What points rest on stands in the corner under the curves; the curves' names above, as in every plot.
        points = [_point_key(kind, words) for kind in _POINTS if kind in kinds]
        points.append(Line2D([], [], ls="", marker="D", ms=8, mfc="white", mec=INK, label=words.text("level_mark")))
        axes.legend(handles=points, loc="lower right", frameon=True, framealpha=0.9, edgecolor="none")
        _legend(figure, axes.get_lines()[: len(_PATH)], shape)
        return _svg(figure)


def uptake(projection: dict[str, Any], words: Words, shape: Shape) -> str:
    """A panel a group: the path, the four curves fitted to the observed points, and the band of their mean."""
    with mpl.rc_context(_STYLE):
        figure, grid = _figure(shape, len(projection["fits"]), 3.4)
        days = figures.ordinals(projection["path"]["on"])
        for axes, (group, fits) in zip(grid, projection["fits"].items(), strict=True):
            axes.fill_between(
                days, fits["low_percent"], fits["high_percent"], color=RULE, lw=0, label=words.text("uptake_band")
            )
            for curve in sorted(fits["curves"], key=lambda each: list(_CURVES).index(each["name"])):
                colour, dashes = _CURVES[curve["name"]]
                axes.plot(days, curve["percent"], ls=dashes, color=colour, lw=1.4, label=words.curve(curve["name"]))
            axes.plot(days, projection["path"][f"{group}_percent"], color=INK, lw=2.2, label=words.text("uptake_path"))
            for point in projection["points"]:
                if point["group"] == group:
                    _point(axes, point)
            axes.set(title=words.text(group), ylim=(0, 100), xlim=(days[0], days[-1] + 12))
            axes.yaxis.set_major_formatter(_formatter(words))
            _date_axis(axes, days, shape)
        _name_heights(grid, words.text("adoption_axis"), shape)
        _legend(figure, grid[0].get_legend_handles_labels()[0], shape)
        return _svg(figure)


def dossiers(projection: dict[str, Any], words: Words, shape: Shape) -> str:
    """Stacked weekly means: online at the bottom, so that its growth can be read from the axis."""
    with mpl.rc_context(_STYLE):
        figure, (axes,) = _figure(shape, 1, 3.6)
        table = projection["dossiers_per_day"]
        days = figures.ordinals(table["week_from"])
        series = [table[name] for name in _DOSSIERS]
        labels = [words.text(name) for name in _DOSSIERS]
        axes.stackplot(days, series, labels=labels, colors=list(_DOSSIERS.values()), edgecolor="white", lw=0.4)
        axes.set(xlim=(days[0], days[-1]), ylim=(0, None), ylabel=words.text("dossiers_axis"))
        axes.yaxis.set_major_formatter(_formatter(words))
        _date_axis(axes, days, shape)
        _legend(figure, axes.get_legend_handles_labels()[0], shape)
        return _svg(figure)


def requests(panels: Sequence[Panel], words: Words, shape: Shape) -> str:
    """Each panel's data is traffic.json: stacked requests a second by system, from 0 to 24 hours."""
    with mpl.rc_context(_STYLE):
        # A narrow legend of all systems takes many lines.
        figure, grid = _figure(shape, len(panels), 3.4 if shape.is_wide else 4.6)
        totals = [(sum(panel.data["requests_per_s"][name]), name) for panel in panels for name in _systems(panels)]
        order = list(dict.fromkeys(name for _, name in sorted(totals, reverse=True)))
        for axes, panel in zip(grid, panels, strict=True):
            _requests(axes, panel, order, words)
        _share_scale(grid)
        _name_heights(grid, words.text("requests_axis"), shape)
        _legend(figure, grid[0].get_legend_handles_labels()[0], shape)
        return _svg(figure)


def arrivals(panels: Sequence[Panel], words: Words, shape: Shape) -> str:
    """Each panel's data is (ArrivalRates, length of the plan in s, measured or not)."""
    with mpl.rc_context(_STYLE):
        figure, grid = _figure(shape, len(panels), 3.2)
        for axes, panel in zip(grid, panels, strict=True):
            _arrivals(axes, panel, words)
        _share_scale(grid)
        _name_heights(grid, words.text("arrivals_axis"), shape)
        handles = {str(line.get_label()): line for axes in grid for line in axes.get_legend_handles_labels()[0]}
        _legend(figure, list(handles.values()), shape)
        return _svg(figure)


def responses(panels: Sequence[Panel], words: Words, shape: Shape) -> str:
    """Each panel's data is a list of OperationTimes: dots for p50, p95, p99 on a log axis, `never` at its right end."""
    with mpl.rc_context(_STYLE):
        # The same rows in every panel, also where a level has none of an operation: panels share their labels.
        found = {row.operation for panel in panels for row in panel.data}
        places = {name: place for place, name in enumerate(name for name in ("all", *OPERATIONS) if name in found)}
        figure, grid = _figure(shape, len(panels), 0.34 * len(places) + 1.2)
        span = _span([panel.data for panel in panels])
        for axes, panel in zip(grid, panels, strict=True):
            _responses(axes, panel, places, span, words)
        for axes in grid[1:] if shape.is_wide else []:
            axes.tick_params(labelleft=False)
        figure.supxlabel(words.text("responses_axis"), fontsize=9)
        _legend(figure, _response_keys(panels, words), shape)
        return _svg(figure)


def sync(panels: Sequence[Panel], words: Words, shape: Shape) -> str:
    """Each panel's data is sync.json: entries that wait in the fullest queues, over the days."""
    with mpl.rc_context(_STYLE):
        figure, grid = _figure(shape, len(panels), 3.4)
        names = {each["code"]: each for panel in panels for each in panel.data["backlog"]["agencies"]}
        for axes, panel in zip(grid, panels, strict=True):
            found = {each["code"]: each for each in panel.data["backlog"]["agencies"]}
            for place, code in enumerate(names):
                waiting = found[code]["waiting"] if code in found else []
                days = np.arange(len(waiting)) * panel.data["backlog"]["every_s"] / 86_400
                label = names[code][f"name_{words.language}"]
                axes.plot(days, waiting, color=_SYSTEMS[place % len(_SYSTEMS)], lw=1.4, label=label)
            first = words.day(date.fromisoformat(panel.data["first_day"]))
            axes.set(title=panel.title, xlim=(0, panel.data["days"]), xlabel=words.text("sync_days", first=first))
            axes.yaxis.set_major_formatter(_formatter(words))
        _share_scale(grid)
        _name_heights(grid, words.text("sync_axis"), shape)
        _legend(figure, grid[0].get_legend_handles_labels()[0], shape)
        return _svg(figure)


def hours(panels: Sequence[Panel], words: Words, shape: Shape) -> str:
    """Each panel's data is hours.json: requests begun, attempts and right answers a second, the fault shaded."""
    with mpl.rc_context(_STYLE):
        figure, grid = _figure(shape, len(panels), 3.4)
        for axes, panel in zip(grid, panels, strict=True):
            _hours(axes, panel, words)
        _share_scale(grid)
        _name_heights(grid, words.text("hours_axis"), shape)
        _legend(figure, grid[0].get_legend_handles_labels()[0], shape)
        return _svg(figure)


def _hours(axes: Axes, panel: Panel, words: Words) -> None:
    faults, series = panel.data["faults"], panel.data["faults"]["series"]
    starts_at = datetime.fromisoformat(panel.data["starts_at"])
    from_h = starts_at.hour + starts_at.minute / 60
    hour = from_h + (np.array(series["from_s"]) + series["bin_s"] / 2) / 3600
    lines = (("attempts", RED, ":"), ("requests", INK, "-"), ("goodput", BLUE, "--"))
    for name, colour, dashes in lines:
        axes.plot(
            hour, series[f"{name}_per_s"]["value"], dashes, color=colour, lw=1.5, label=words.text(f"hours_{name}")
        )
    axes.axvspan(from_h + faults["from_s"] / 3600, from_h + faults["to_s"] / 3600, color=INK, alpha=0.16, lw=0)
    axes.set(title=panel.title, xlim=(from_h, from_h + panel.data["horizon_s"] / 3600), ylim=(0, None))
    axes.set_xlabel(words.text("hours_clock"))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: "{:02d}:{:02d}".format(*divmod(round(60 * at), 60))))
    axes.yaxis.set_major_formatter(_formatter(words))


def indicators(panels: Sequence[Panel], words: Words, shape: Shape) -> str:
    """Each panel's data is indicators.json: a dot an agency on each criterion's line, a bar at the least share."""
    with mpl.rc_context(_STYLE):
        names = list(dict.fromkeys(name for panel in panels for name in panel.data["criteria"]))
        figure, grid = _figure(shape, len(panels), 0.5 * len(names) + 1.2)
        for axes, panel in zip(grid, panels, strict=True):
            for place, name in enumerate(names):
                _agencies(axes, panel.data, name, place, words)
            axes.set(title=panel.title, xlim=(0, 100), ylim=(len(names) - 0.4, -0.6), yticks=range(len(names)))
            axes.set_yticklabels([words.text(f"indicator_{name}") for name in names])
            axes.xaxis.set_major_formatter(_formatter(words))
            axes.grid(axis="y", visible=False)
        for axes in grid[1:] if shape.is_wide else []:
            axes.tick_params(labelleft=False)
        figure.supxlabel(words.text("indicators_axis"), fontsize=9)
        handles = {str(line.get_label()): line for line in grid[0].get_legend_handles_labels()[0]}
        _legend(figure, list(handles.values()), shape)
        return _svg(figure)


def _agencies(axes: Axes, found: dict[str, Any], name: str, place: int, words: Words) -> None:
    """Both groups apart, ministries above, and the least share that meets the criterion."""
    for lift, group in ((-0.14, "ministries"), (0.14, "localities")):
        shares = [row[name] for row in found["agencies"] if row["group"] == group and row[name] is not None]
        colour = _PATH[group][0]
        axes.plot(
            shares, [place + lift] * len(shares), "o", ms=4, mfc="none", mec=colour, alpha=0.7,
            label=words.text(group), clip_on=False,
        )  # fmt: skip
    if name in found["criteria"]:
        axes.plot(found["criteria"][name], place, "|", color=INK, ms=22, mew=2, label=words.text("indicators_least"))


def _point(axes: Axes, point: dict[str, Any]) -> str:
    kind = point_kind(point["source"], point["evidence"])
    marker, is_filled = _POINTS[kind]
    colour = _PATH[point["group"]][0]
    day = date.fromisoformat(point["on"]).toordinal()
    face = colour if is_filled else "white"
    # Points of both groups may fall together at the end: the localities' one is drawn inside the ministries'.
    size = 8 if point["group"] == "ministries" else 6
    axes.plot(day, point["share_percent"], marker, ms=size, mec=colour, mfc=face, mew=1.6, zorder=4, clip_on=False)
    return kind


def _point_key(kind: str, words: Words) -> Line2D:
    marker, is_filled = _POINTS[kind]
    face = GREY if is_filled else "white"
    return Line2D([], [], ls="", marker=marker, ms=7, mec=GREY, mfc=face, mew=1.6, label=words.text(f"point_{kind}"))


def _mark_levels(axes: Axes, levels: list[dict[str, Any]], words: Words) -> None:
    """A ring where the country reaches a level; its day at the right end of the level's line, clear of the curves."""
    for place, level in enumerate(levels):
        reached = date.fromisoformat(level["reached_on"])
        axes.axhline(level["percent"], color=GREY, lw=0.9, ls=":")
        axes.plot(
            reached.toordinal(), level["percent"], "D", ms=11, mfc="white", mec=INK, mew=1.6, zorder=3.5, clip_on=False
        )
        text = words.text("adoption_level", percent=words.exact_percent(level["percent"]), day=words.day(reached))
        is_last = place == len(levels) - 1
        axes.annotate(
            text, (0.97, level["percent"]), (0, 7 if is_last else -5), xycoords=("axes fraction", "data"),
            textcoords="offset points", ha="right", va="bottom" if is_last else "top", fontweight="bold", zorder=6,
        )  # fmt: skip


def _systems(panels: Sequence[Panel]) -> list[str]:
    return list(dict.fromkeys(name for panel in panels for name in panel.data["requests_per_s"]))


def _requests(axes: Axes, panel: Panel, order: list[str], words: Words) -> None:
    traffic = panel.data
    bins = len(next(iter(traffic["requests_per_s"].values())))
    hours = (np.arange(bins) + 0.5) * traffic["bin_s"] / 3600
    series = [traffic["requests_per_s"].get(name, [0.0] * bins) for name in order]
    labels = [words.system(name) for name in order]
    colours = [_SYSTEMS[index % len(_SYSTEMS)] for index in range(len(order))]
    axes.stackplot(hours, series, labels=labels, colors=colours, lw=0)
    starts_at = datetime.fromisoformat(traffic["busiest_hour"]["starts_at"])
    hour = starts_at.hour + starts_at.minute / 60
    axes.axvspan(hour, hour + 1, color=INK, alpha=0.16, lw=0, zorder=2)
    replayed_at = datetime.fromisoformat(traffic["plan"]["starts_at"])
    axes.axvline(replayed_at.hour + replayed_at.minute / 60, color=INK, lw=1.1, ls="--")
    day = words.day(date.fromisoformat(traffic["busiest_day"]))
    axes.set(title=panel.title, xlim=(0, 24), xticks=range(0, 25, 4), xlabel=words.text("requests_hour", day=day))
    axes.yaxis.set_major_formatter(_formatter(words))


def _arrivals(axes: Axes, panel: Panel, words: Words) -> None:
    rates, length_s, is_measured = panel.data
    edges = np.append(rates.start_s, rates.start_s[-1] + rates.bin_s)
    axes.stairs(rates.planned, edges, fill=True, color="#c9c9c9", label=words.text("arrivals_planned"))
    if is_measured:
        axes.stairs(rates.released, edges, color=BLUE, lw=1.6, ls=(0, (4, 2)), label=words.text("arrivals_released"))
    finished = "arrivals_finished" if is_measured else "arrivals_predicted"
    axes.stairs(rates.finished, edges, color=RED, lw=1.6, label=words.text(finished))
    axes.axvline(length_s, color=INK, lw=1, ls=":", label=words.text("arrivals_window"))
    axes.set(title=panel.title, xlim=(0, edges[-1]), ylim=(0, None), xlabel=words.text("arrivals_seconds"))
    axes.yaxis.set_major_formatter(_formatter(words))
    axes.xaxis.set_major_formatter(_formatter(words))
    axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))


def _responses(axes: Axes, panel: Panel, places: dict[str, int], span: tuple[float, float], words: Words) -> None:
    rows: list[figures.OperationTimes] = [row for row in panel.data if row.operation in places]
    low_s, high_s = span
    for row in rows:
        place = places[row.operation]
        for times, lift, colour, face in ((row.measured, -0.16, BLUE, BLUE), (row.predicted, 0.16, RED, "white")):
            if times is not None:
                _range(axes, times, place + lift, colour, face, high_s)
        if row.service is not None and math.isfinite(row.service.p95_s):
            axes.plot(row.service.p95_s, place, "|", color=INK, ms=13, mew=1.6, zorder=5)
    axes.set_xscale("log")
    axes.set(title=panel.title, xlim=(low_s, high_s * 1.6))
    axes.set(ylim=(len(places) - 0.4, -0.6), yticks=range(len(places)))
    axes.set_yticklabels([textwrap.fill(words.operation(name), _LABEL_LETTERS) for name in places])
    axes.get_yticklabels()[0].set_fontweight("bold")
    axes.xaxis.set_major_locator(LogLocator(base=10, numticks=8))
    has_never = any(_is_never(times) for row in rows for times in (row.measured, row.predicted))
    # Where `never` stands there is no number.
    end_s = high_s / 2 if has_never else math.inf
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: words.time(value) if value < end_s else ""))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(axis="y", visible=False)
    if has_never:
        axes.axvline(high_s, color=GREY, lw=0.8, ls=":")
        axes.text(high_s, -0.62, words.text("never"), ha="right", va="bottom", fontsize=8, color=INK)


def _range(axes: Axes, times: figures.Times, place: float, colour: str, face: str, high_s: float) -> None:
    """p50, p95 and p99 on one line, growing dots; what never came stands as a cross at `high_s`."""
    values = [times.p50_s, times.p95_s, times.p99_s]
    shown = [value if math.isfinite(value) else high_s for value in values]
    axes.plot([shown[0], shown[-1]], [place, place], "-", color=colour, lw=1.2, zorder=3)
    for value, x, size in zip(values, shown, (3.5, 5.0, 6.5), strict=True):
        marker = "o" if math.isfinite(value) else "X"
        axes.plot(x, place, marker, ms=size, mfc=face, mec=colour, mew=1.2, zorder=4, clip_on=False)


def _is_never(times: figures.Times | None) -> bool:
    return times is not None and math.isinf(times.p99_s)


def _span(levels: list[list[figures.OperationTimes]]) -> tuple[float, float]:
    """The decades that hold every finite time, and one more where something was never answered."""
    times = [each for rows in levels for row in rows for each in (row.measured, row.predicted, row.service) if each]
    values = [value for each in times for value in (each.p50_s, each.p95_s, each.p99_s)]
    finite = [value for value in values if math.isfinite(value) and value > 0] or [0.001, 1.0]
    low = 10.0 ** math.floor(math.log10(min(finite)))
    high = 10.0 ** math.ceil(math.log10(max(finite)))
    return low, high * (10 if any(math.isinf(value) for value in values) else 1)


def _response_keys(panels: Sequence[Panel], words: Words) -> list[Line2D]:
    rows = [row for panel in panels for row in panel.data]
    keys = []
    if any(row.measured for row in rows):
        keys.append(Line2D([], [], color=BLUE, marker="o", mfc=BLUE, ms=5, label=words.text("responses_measured")))
    if any(row.predicted for row in rows):
        keys.append(Line2D([], [], color=RED, marker="o", mfc="white", ms=5, label=words.text("responses_predicted")))
    keys.append(Line2D([], [], ls="", marker="|", color=INK, ms=11, mew=1.6, label=words.text("responses_service")))
    return keys


def _figure(shape: Shape, panels: int, height_in: float) -> tuple[Figure, list[Axes]]:
    rows, columns = shape.grid(panels)
    # Narrow pictures are lower for their width, but need room for a legend in more lines.
    height = height_in if shape.is_wide else rows * (height_in * 0.84) + 0.7
    figure = Figure(figsize=(shape.width_in, height), layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False).flat)


def _name_heights(grid: list[Axes], name: str, shape: Shape) -> None:
    """What the vertical axes show, once beside panels that stand side by side."""
    for axes in grid[:1] if shape.is_wide else grid:
        axes.set_ylabel(name)


def _share_scale(grid: list[Axes]) -> None:
    """One scale for all panels: levels are there to be compared."""
    top = max(axes.get_ylim()[1] for axes in grid)
    for axes in grid:
        axes.set_ylim(0, top)


def _date_axis(axes: Axes, days: figures.Floats, shape: Shape) -> None:
    """A tick each half year, as month/year: read alike in both languages. Narrow pictures take each year's first."""
    first, last = date.fromordinal(int(days[0])), date.fromordinal(int(days[-1]))
    months = (1, 7) if shape.is_wide else (1,)
    ticks = [date(year, month, 1) for year in range(first.year, last.year + 2) for month in months]
    shown = [tick for tick in ticks if days[0] <= tick.toordinal() <= days[-1] + 12]
    axes.set_xticks([tick.toordinal() for tick in shown], [f"{tick.month}/{tick.year}" for tick in shown])


def _legend(figure: Figure, handles: Sequence[Any], shape: Shape) -> None:
    labels = [str(handle.get_label()) for handle in handles]
    columns = _legend_columns(labels, shape.width_in * 72)
    # Pictures are high enough for a few lines; more make them higher, not their panels lower.
    more = -(-len(labels) // columns) - _LEGEND_LINES
    figure.set_figheight(figure.get_figheight() + max(more, 0) * _LEGEND_LINE_IN)
    figure.legend(handles=list(handles), loc="outside upper left", ncols=columns)


def _legend_columns(labels: Sequence[str], width_pt: float) -> int:
    """The most columns whose widest labels fit; a letter is about 5.4 pt wide, a key and its gaps 36 pt."""
    letters = [len(label) for label in labels]
    for columns in range(len(labels), 1, -1):
        # Matplotlib fills columns downwards, the first ones longer.
        widest = [column.max() for column in np.array_split(letters, columns)]
        if sum(5.4 * wide + 36 for wide in widest) <= width_pt:
            return columns
    return 1


def _formatter(words: Words) -> FuncFormatter:
    return FuncFormatter(lambda value, _: words.number(value))


def _svg(figure: Figure) -> str:
    written = io.StringIO()
    # The canvas itself rather than savefig, which would draw everything twice to settle the layout.
    canvas: Any = FigureCanvasSVG(figure)
    canvas.print_svg(written, metadata={"Date": None, "Creator": "Caodiem"})
    # A hundredth of a point is finer than any screen; six decimals only make the file larger.
    return _PATH_DATA.sub(lambda path: _DECIMALS.sub(r"\1", path[0]), written.getvalue())

"""Two runs side by side: as lines for a terminal, and as a picture of one row a level, times on logarithmic scales."""

import math
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from caodiem.comparison import Compared, Pair
from caodiem.report.plots import BLUE, GREY, INK, RED, RULE

_NAMES = (("A", BLUE), ("B", RED))
_QUANTILE = "p95"


def lines(pairs: list[Pair]) -> list[str]:
    """A table for a terminal: what A and B took, how many steps that was told of, and who executed them."""
    told = [f"{'':<10} {'':<34} {'':<5} {'A':>10} {'B':>10} {'B / A':>7}   {'steps A, B':<14} A, B"]
    for pair in pairs:
        shown = [f"{1000 * value:7.1f} ms" if value < math.inf else "never" for value in (pair.first, pair.second)]
        ratio = "" if math.isnan(pair.ratio) else f"{pair.ratio:.2f}"
        times = f"{shown[0]:>10} {shown[1]:>10} {ratio:>7}"
        behind = f"{pair.counts[0]}, {pair.counts[1]}"
        told.append(f"{pair.level:<10} {pair.name:<34} {pair.figure:<5} {times}   {behind:<14} {', '.join(pair.kinds)}")
    return told


def draw(levels: list[Compared], names: tuple[str, str], path: Path) -> Path:
    """Response times of all steps, their p95 by operation, mean times by station, as a PNG; returns its path.

    `names` says what A and B are.
    """
    rows = max(len(_pairs(level.pairs, _QUANTILE)) + len(_pairs(level.pairs, "mean")) for level in levels)
    high = max(3.6, 0.22 * rows)
    figure = Figure(figsize=(15, high * len(levels) + 0.6), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(f"A: {names[0]}     B: {names[1]}", fontsize=10, color=INK)
    for panels, level in zip(figure.subplots(len(levels), 3, squeeze=False), levels, strict=True):
        _distribution(panels[0], level)
        _dumbbells(panels[1], _pairs(level.pairs, _QUANTILE), f"{_QUANTILE} of the response time from due")
        _dumbbells(panels[2], _pairs(level.pairs, "mean"), "mean at each station")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    return path


def _pairs(pairs: list[Pair], figure: str) -> list[Pair]:
    return [pair for pair in pairs if pair.figure == figure]


def _distribution(axes: Axes, level: Compared) -> None:
    """The share of steps that wait longer than a time; a step never answered rightly waits for ever."""
    for (name, colour), kind, times_s in zip(_NAMES, level.kinds, (level.first_s, level.second_s), strict=True):
        waiting = 1 - np.arange(len(times_s)) / len(times_s)
        answered = np.isfinite(np.sort(times_s))
        axes.step(np.sort(times_s)[answered], waiting[answered], where="pre", color=colour, label=f"{name}, {kind}")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylabel("share of steps not answered yet")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g}%"))
    axes.legend(frameon=False)
    _dress(axes, f"{level.level}: response time from due, all steps")


def _dumbbells(axes: Axes, pairs: list[Pair], title: str) -> None:
    """A line for each name from its value in A to its value in B; a cross where it was never answered rightly."""
    finite = [value for pair in pairs for value in (pair.first, pair.second) if 0 < value < np.inf]
    never = 2 * max(finite, default=1.0)
    for place, pair in enumerate(reversed(pairs)):
        values = [min(value, never) for value in (pair.first, pair.second)]
        axes.plot(values, [place, place], color=GREY, lw=1)
        for (name, colour), value, shown in zip(_NAMES, (pair.first, pair.second), values, strict=True):
            marker = "o" if value < np.inf else "x"
            axes.plot([shown], [place], marker, color=colour, ms=6 if name == "A" else 4)
    axes.set_yticks(range(len(pairs)), [pair.name for pair in reversed(pairs)], fontsize=8)
    axes.set_xscale("log")
    _dress(axes, title)


def _dress(axes: Axes, title: str) -> None:
    axes.set_title(title, loc="left", fontsize=10)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(_time))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.tick_params(labelsize=8)
    axes.grid(color=RULE, lw=0.6)
    axes.set_axisbelow(True)


def _time(value_s: float, _: object = None) -> str:
    return f"{value_s:g} s" if value_s >= 1 else f"{1000 * value_s:g} ms"

"""A national year's figures as text, and its picture: dossiers filed and ended on each day, and those under way."""

import math
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from caodiem.report.plots import BLUE, ORANGE, RED

Figures = dict[str, Any]


def lines(figures: Figures) -> Iterator[str]:
    """What `caodiem simulate YEAR` prints."""
    yield (
        f"{figures['days']} days from {figures['first_day']} at {figures['level_percent']:g}%, "
        f"scale {figures['scale']:g}: {figures['dossiers']:,} dossiers, {figures['visits']:,} visits, "
        f"{figures['wall_s']:.1f} s, {figures['peak_rss_bytes'] / 2**20:,.0f} MiB"
    )
    ended = ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in figures["ended"].items())
    yield f"open at the start {figures['open_at_start']:,}; {ended}; open at the end {figures['open_at_end']:,}"
    finished = sum(each["finished"] for each in figures["agencies"])
    late = [each for each in figures["agencies"] if each["on_time_percent"] < 90]
    yield f"finished {finished:,}; {len(late)} of {len(figures['agencies'])} agencies below 90% on time"
    for name, station in figures["stations"].items():
        yield (
            f"{name}: {station['visits']:,} visits, utilisation {station['utilisation']:.3f}, "
            f"wait mean {1000 * station['wait_s_mean']:.3f} ms, p95 {_milliseconds(station['wait_s_p95'])}, "
            f"busiest {station['busiest_hour']} at {station['busiest_hour_visits_per_s']:.0f} a second"
        )
    for each in figures["busiest_hours"]:
        yield f"month {each['month']:>2}: busiest hour {each['starts_at']}, {each['visits_per_s']:.0f} visits a second"


def _milliseconds(wait_s: float) -> str:
    return "beyond all that is counted" if math.isinf(wait_s) else f"{1000 * wait_s:.3f} ms"


def draw(figures: Figures, path: Path) -> None:
    """Write the picture as PNG."""
    first = date.fromisoformat(figures["first_day"]).toordinal()
    days = [date.fromordinal(first + number) for number in range(figures["days"])]
    filed, ended = np.array(figures["filed_per_day"]), np.array(figures["ended_per_day"])
    figure = Figure(figsize=(10, 6), layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, sharex=True)
    above.plot(days, filed, label="filed", color=BLUE, linewidth=0.8)
    above.plot(days, ended, label="ended", color=ORANGE, linewidth=0.8)
    above.set_ylabel("dossiers a day")
    above.legend(frameon=False)
    below.plot(days, figures["open_at_start"] + np.cumsum(filed - ended), color=RED)
    below.set_ylabel("dossiers under way")
    for axes in (above, below):
        axes.set_ylim(bottom=0)
        axes.spines[["top", "right"]].set_visible(False)
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)

"""The table of a sweep: as Parquet and CSV, as text, and as a picture over one or two swept keys."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from pyarrow import csv

from caodiem.files import write_table
from caodiem.report.network import rounded
from caodiem.report.plots import BLUE, GREEN, GREY, ORANGE, PINK, SKY

Row = dict[str, Any]
_COLOURS = (BLUE, ORANGE, GREEN, PINK, SKY, GREY)
# The figures of a network and of a level that are printed and drawn.
_NETWORK = ("system.response_s.mean", "system.response_s.p95")
_LEVEL = ("busiest_hour.requests_per_s_mean", "all.response_s.p95")


def write(rows: list[Row], folder: Path) -> None:
    """sweep.parquet and sweep.csv, a row a point; values of one column that are of several types become text."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    table = pa.table({name: _column([row.get(name) for row in rows]) for name in names})
    write_table(table, folder / "sweep.parquet")
    partial = folder / ".sweep.csv"
    csv.write_csv(table, partial)
    partial.rename(folder / "sweep.csv")


def _column(values: list[Any]) -> pa.Array:
    if all(value is None or _is_number(value) for value in values):
        whole = all(value is None or isinstance(value, int) for value in values)
        return pa.array(values, type=pa.int64() if whole else pa.float64())
    if all(value is None or isinstance(value, bool) for value in values):
        return pa.array(values, type=pa.bool_())
    return pa.array([None if value is None else str(value) for value in values], type=pa.string())


def lines(rows: list[Row], keys: list[str]) -> Iterator[str]:
    """The swept keys and the main figures of each point; half of an interval behind ±."""
    columns = shown_columns(rows)
    table = [
        [*keys, *columns],
        *([*(str(row[key]) for key in keys), *(_told(row, c) for c in columns)] for row in rows),
    ]
    widths = [max(len(line[place]) for line in table) for place in range(len(table[0]))]
    for line in table:
        yield "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))


def shown_columns(rows: list[Row]) -> list[str]:
    """The columns of the main figures, of a network or of each level."""
    names = dict.fromkeys(name for row in rows for name in row)
    levels = dict.fromkeys(name.split(".all.")[0] for name in names if name.startswith("levels.") and ".all." in name)
    found = [name for name in _NETWORK if name in names] + [f"{at}.{name}" for at in levels for name in _LEVEL]
    return found + [name for at in levels for name in names if _is_of_fault(name.removeprefix(f"{at}.hours."))]


def _is_of_fault(name: str) -> bool:
    """Whether a figure of hours says how long a fault is felt, or what share of an SLO's steps is bad after it."""
    return name == "faults.drain_s" or (name.startswith("slo.") and name.endswith(".after.bad_share"))


def _told(row: Row, column: str) -> str:
    value, low, high = row.get(column), row.get(f"{column}.low"), row.get(f"{column}.high")
    if value is None:
        return "–"
    half = f" ± {rounded((high - low) / 2, 2)}" if low is not None and high is not None else ""
    return rounded(value, 4) + half


def draw(rows: list[Row], keys: list[str], path: Path) -> Path | None:
    """A panel a figure, against the first key, a line for each value of the second; nothing for more keys than two."""
    columns = shown_columns(rows)
    if len(keys) > 2 or not columns:
        return None
    figure = Figure(figsize=(5.4 * len(columns), 3.9), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, column in zip(figure.subplots(1, len(columns), squeeze=False)[0], columns, strict=True):
        _panel(axes, rows, keys, column)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    return path


def _panel(axes: Axes, rows: list[Row], keys: list[str], column: str) -> None:
    known = list(dict.fromkeys(row[keys[0]] for row in rows))
    numeric = all(_is_number(value) for value in known)
    for place, other in enumerate(dict.fromkeys(row[keys[1]] for row in rows) if len(keys) == 2 else (None,)):
        mine = [row for row in rows if len(keys) == 1 or row[keys[1]] == other]
        values = [row.get(column) for row in mine]
        at = [row[keys[0]] if numeric else known.index(row[keys[0]]) for row in mine]
        around = [[_distance(row, column, end) for row in mine] for end in ("low", "high")]
        axes.errorbar(
            at, [math.nan if value is None else value for value in values], yerr=around, fmt="o-", ms=3.5, lw=1,
            capsize=2, color=_COLOURS[place % len(_COLOURS)], label=f"{keys[1]} = {other}" if len(keys) == 2 else None,
        )  # fmt: skip
    if not numeric:
        axes.set_xticks(range(len(known)), [str(value) for value in known])
    axes.set_xlabel(keys[0])
    axes.set_title(column, loc="left", fontsize=9, parse_math=False)
    axes.grid(color="#e5e5e5", lw=0.6)
    if len(keys) == 2:
        axes.legend(fontsize=7, framealpha=0.9)


def _distance(row: Row, column: str, end: str) -> float:
    """From the value to an end of its interval; 0 where it has none."""
    value, edge = row.get(column), row.get(f"{column}.{end}")
    return abs(edge - value) if value is not None and edge is not None else 0.0


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

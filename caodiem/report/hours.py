"""The hours in which a connected system fails, worded: for the terminal, and as sentences and a table of the report.

Figures are those of hours.json (simulation/hours.py), in which a null is a time that never came, or an interval that
one replication cannot give.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from caodiem.report.material import LevelMaterial
from caodiem.report.page import Cell, Table
from caodiem.report.words import Words

Figures = dict[str, Any]
PHASES = ("before", "during", "after", "whole")
# What is told of the fault in each phase: its key, and whether it is a share.
_TOLD = (("good_share", True), ("goodput_per_s", False), ("amplification", False))


def lines(found: Figures, percent: float) -> Iterator[str]:
    """What `caodiem simulate` prints of one level's hours."""
    words = Words("en")
    yield f"{percent:g}%: {text(found, words)}"
    table = _table(found, words)
    yield from (" | ".join(cell.text for cell in row) for row in (table.head, *table.rows))
    if "faults" in found:
        yield found["faults"]["statement"]


def sentences(levels: list[LevelMaterial], words: Words) -> list[str]:
    """What was simulated, and of each level whether the portal recovers."""
    known = [(level.percent, level.hours) for level in levels if level.hours]
    said = [text(found, words) for _, found in known[:1]]
    return said + [_recovery(percent, found, words) for percent, found in known if "faults" in found]


def tables(levels: list[LevelMaterial], words: Words) -> list[Table]:
    """Before, during and after the fault, a table a level."""
    return [_table(level.hours, words, level.percent) for level in levels if level.hours]


def text(found: Figures, words: Words) -> str:
    """Which hours, how often, and when the fault was."""
    values = {
        "begins": clock(found, 0.0),
        "ends": clock(found, found["horizon_s"]),
        "replications": words.number(found["replications"]),
        "confidence": words.percent(100 * found["confidence"]),
    }
    said = words.text("hours_said", **values)
    if "faults" not in found:
        return said
    times = {"begins": clock(found, found["faults"]["from_s"]), "ends": clock(found, found["faults"]["to_s"])}
    return f"{said} {words.text('hours_fault', **times)}"


def clock(found: Figures, second: float) -> str:
    """The time of day of a second of the hours."""
    return f"{datetime.fromisoformat(found['starts_at']) + timedelta(seconds=second):%H:%M}"


def _recovery(percent: float, found: Figures, words: Words) -> str:
    faults = found["faults"]
    values = {
        "percent": words.level(percent),
        "lost": words.number(faults["requests_lost"]["value"]),
        "peak": words.number(faults["peak_backlog"]["value"]),
        "left": words.number(faults["backlog_at_horizon"]["value"]),
        "recovered": words.number(faults["recovered_in"]),
        "replications": words.number(found["replications"]),
        "drain": words.text("minutes_short", value=words.number((faults["drain_s"]["value"] or 0.0) / 60)),
    }
    return words.text(f"hours_recovers_{faults['recovers']}", **values)


def _table(found: Figures, words: Words, percent: float | None = None) -> Table:
    phases = [phase for phase in PHASES if any(phase in slo for slo in found["slo"].values())]
    body = []
    for key, is_share in _TOLD if "faults" in found else ():
        cells = [Cell(_interval(found["faults"][key][phase], is_share, words), "number") for phase in phases]
        body.append([Cell(words.text(f"hours_{key}"), "label"), *cells])
    for slo in found["slo"].values():
        limit, allowed = words.exact_time(slo["limit_s"]), words.exact_percent(100 * slo["allowed"])
        label = words.text("hours_slo", operation=words.operation(slo["of"]), limit=limit, allowed=allowed)
        shares = [_interval(slo[phase]["bad_share"], True, words, slo["allowed"]) for phase in phases]
        cells = [Cell(each, "number") for each in shares]
        body.append([Cell(label, "label"), *cells])
    heads = [Cell(words.text(f"hours_{phase}"), "number") for phase in phases]
    title = "" if percent is None else words.text("hours_table", percent=words.level(percent))
    return Table(title, [Cell(""), *heads], body)


def _interval(figure: dict[str, float | None], is_share: bool, words: Words, allowed: float = 1.0) -> str:
    """A value with the ends of its interval behind it; shares show on which side of what is allowed they are."""
    if figure["value"] is None:
        return words.text("none")
    show = (lambda value: words.percent(100 * value, beside=100 * allowed)) if is_share else words.number
    if figure["low"] is None or figure["high"] is None:
        return show(figure["value"])
    low, high = max(figure["low"], 0.0), min(figure["high"], 1.0) if is_share else figure["high"]
    return words.text("hours_interval", value=show(figure["value"]), low=show(low), high=show(high))

"""Shares over time that stand alone: what was observed until a day, and the days to project them to.

A TOML file with `shares`, or a CSV file of them. Points after `fit_until` are not fitted; they are what a projection is
held against.
"""

import csv
from datetime import date
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field, ValidationError

from caodiem import quantity as q
from caodiem.behaviour import completed
from caodiem.document import Document, Part
from caodiem.errors import UsageError
from caodiem.series import LAST_DAY

_LEAST = 2
_COLUMNS = ("on", "percent")


class Observed(Part):
    """A share on a day."""

    on: date
    share: Annotated[q.Percent, completed("percent")]


class SharesScenario(Document):
    """Observed shares by name, the day until which they are taken as known, and what to project."""

    own_numbers: ClassVar[bool] = True

    title: str = Field(default="Observed shares", min_length=1)
    question: str = ""
    # Day 0 of the curves; only Bass's depends on it. The national portal's first day (volume-portal-launch).
    starts: date = date(2019, 12, 9)
    # No curve rises above it.
    ceiling: Annotated[q.PositivePercent, completed("percent")] = q.Quantity(
        value=100, unit="percent", source=q.OWN, evidence="assumed"
    )
    fit_until: date | None = None
    project_to: list[date] = Field(default_factory=list)
    shares: dict[str, list[Observed]] = Field(min_length=1)

    def known(self, name: str) -> list[Observed]:
        """The points that are fitted."""
        return [point for point in self.shares[name] if self.fit_until is None or point.on <= self.fit_until]

    def contradictions(self) -> list[tuple[str, object, str]]:
        found: list[tuple[str, object, str]] = []
        ceiling = self.ceiling.value
        for name, points in self.shares.items():
            key, days, shares = f"shares.{name}", [each.on for each in points], [each.share.value for each in points]
            if days != sorted(set(days)) or (days and days[0] <= self.starts):
                expected = f"days after starts, {self.starts}, each after the one before"
                found.append((key, [str(day) for day in days], expected))
                continue
            if len(self.known(name)) < _LEAST:
                until = f" until {self.fit_until}" if self.fit_until else ""
                found.append((key, [str(day) for day in days], f"{_LEAST} days or more{until}"))
            if shares != sorted(shares) or not all(0 < share < ceiling for share in shares):
                found.append((key, shares, f"shares above 0 and below the ceiling, {ceiling:g} percent, none falling"))
        for day in self.project_to:
            if not self.starts < day <= LAST_DAY:
                found.append(("project_to", str(day), f"a day after starts, {self.starts}, to {LAST_DAY}"))
        return found


def from_csv(path: Path) -> dict[str, Any]:
    """The tables of such a file from a CSV with the columns on, percent and, for several series, name."""
    shares: dict[str, list[dict[str, Any]]] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as opened:
            rows = csv.DictReader(opened)
            missing = [column for column in _COLUMNS if column not in (rows.fieldnames or ())]
            if missing:
                raise UsageError(f"{path}: no column {', '.join(missing)}; expected on, percent and, if several, name")
            for row in rows:
                point = _point(path, rows.line_num, row)
                shares.setdefault(row.get("name") or path.stem, []).append(point)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path}: {error}; expected a CSV file of days and percents") from error
    if not shares:
        raise UsageError(f"{path}: no rows; expected {_LEAST} or more, as 2024-08-31,17.9")
    return {"title": path.stem, "shares": shares}


def _point(path: Path, line: int, row: dict[str, str]) -> dict[str, Any]:
    try:
        point = {"on": date.fromisoformat(row["on"]), "share": float(row["percent"])}
        Observed.model_validate(point)
    except (TypeError, ValueError, ValidationError) as error:
        shown = ",".join(str(row[column]) for column in _COLUMNS)
        raise UsageError(f"{path}:{line}: {shown}: expected a day and 0 to 100 percent, as 2024-08-31,17.9") from error
    return point

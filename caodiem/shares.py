"""Shares over time that stand alone: what was observed until a day, and the days to project them to.

A TOML file with `shares`, or a CSV file of them. Points after `fit_until` are not fitted; they are what a projection is
held against.
"""

from datetime import date
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from caodiem import quantity as q
from caodiem import text_file
from caodiem.behaviour import completed
from caodiem.document import Document, Name, Part
from caodiem.errors import UsageError
from caodiem.series import LAST_DAY, MOST_POINTS, MOST_SERIES, unordered

_LEAST = 2
_COLUMNS = ("on", "percent")


class Observed(Part):
    """A share on a day."""

    on: date
    share: Annotated[q.Percent, completed("percent")]


class SharesScenario(Document):
    """Observed shares by name, the day until which they are taken as known, and what to project."""

    own_numbers: ClassVar[bool] = True

    title: Name = "Observed shares"
    question: str = ""
    # Day 0 of the curves; only Bass's depends on it. The national portal's first day (volume-portal-launch).
    starts: date = date(2019, 12, 9)
    # No curve rises above it.
    ceiling: Annotated[q.PositivePercent, completed("percent")] = q.Quantity(
        value=100, unit="percent", source=q.OWN, evidence="assumed"
    )
    fit_until: date | None = None
    project_to: list[date] = Field(default_factory=list)
    shares: dict[Name, Annotated[list[Observed], Field(max_length=MOST_POINTS)]] = Field(
        min_length=1, max_length=MOST_SERIES
    )

    def known(self, name: str) -> list[Observed]:
        """The points that are fitted."""
        return [point for point in self.shares[name] if self.fit_until is None or point.on <= self.fit_until]

    def contradictions(self) -> q.Problems:
        found: q.Problems = []
        for name, points in self.shares.items():
            found += unordered(f"shares.{name}", [point.on for point in points], self.starts)
            found += self._falling(f"shares.{name}", points)
            if len(self.known(name)) < _LEAST:
                until = f" until {self.fit_until}" if self.fit_until else ""
                found.append((f"shares.{name}", [str(each.on) for each in points], f"{_LEAST} days or more{until}"))
        for day in self.project_to:
            if not self.starts < day <= LAST_DAY:
                found.append(("project_to", day, f"a day after starts, {self.starts}, to {LAST_DAY}"))
        return found

    def _falling(self, key: str, points: list[Observed]) -> q.Problems:
        """Shares that are less than the one before, or that no curve passes through."""
        found: q.Problems = []
        ceiling, before = self.ceiling.value, 0.0
        for place, point in enumerate(points):
            share = point.share.value
            if not (before <= share and 0 < share < ceiling):
                least = f"at least {before:g}, the share before," if before else "more than 0"
                expected = f"{least} and less than the ceiling, {ceiling:g} percent"
                found.append((f"{key}[{place}].share.value", share, expected))
            before = max(before, share)
        return found


def from_csv(path: Path) -> dict[str, Any]:
    """The tables of such a file from a CSV with the columns on, percent and, for several series, name."""
    shares: dict[str, list[dict[str, Any]]] = {}
    problems = []
    for line, row in text_file.rows(path, _COLUMNS, also=("name",)):
        try:
            point = {"on": date.fromisoformat(row["on"].strip()), "share": float(row["percent"])}
            Observed.model_validate(point)
        except ValueError:
            shown = ",".join(row[column][:40] for column in _COLUMNS)
            problems.append(f"{path}:{line}: {shown}: expected a day and 0 to 100 percent, as 2024-08-31,17.9")
        else:
            shares.setdefault(row.get("name") or path.stem, []).append(point)
    if problems:
        raise UsageError("\n".join(problems))
    if not shares:
        raise UsageError(f"{path}: no rows; expected {_LEAST} or more, as 2024-08-31,17.9")
    return {"title": path.stem, "shares": shares}

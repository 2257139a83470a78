"""A scenario that is only counts over time: what is known until a day, and what is to be projected after it.

Points after `fit_until` are not fitted; they are what a projection is held against.
"""

from datetime import date
from itertools import pairwise

from pydantic import Field

from caodiem import quantity as q
from caodiem.document import Document, Name, Part

# Nothing that is fitted to a few years says anything of later days.
LAST_DAY = date(2100, 12, 31)
LEAST_POINTS = 3
# More take minutes to fit, and no picture shows them.
MOST_POINTS, MOST_SERIES = 1000, 100


def unordered(key: str, days: list[date], starts: date) -> q.Problems:
    """Days that are not after the one before, or lie beyond all reason."""
    return [
        (f"{key}[{place}].on", day, f"a day after {before}, to {LAST_DAY}")
        for place, (before, day) in enumerate(pairwise([starts, *days]))
        if not before < day <= LAST_DAY
    ]


class Count(Part):
    """A cumulative count at the end of a day."""

    on: date
    count: q.Count


class Series(Part):
    """One count as it grew; at least three points are fitted."""

    points: list[Count] = Field(min_length=LEAST_POINTS, max_length=MOST_POINTS)

    def not_cumulative(self, key: str) -> q.Problems:
        """Counts that do not rise, and units other than the first one's."""
        found: q.Problems = []
        unit = self.points[0].count.unit
        for place, (before, point) in enumerate(pairwise(self.points), start=1):
            if point.count.value <= before.count.value:
                expected = f"more than {before.count.value:g}, the count before: a cumulative count rises"
                found.append((f"{key}[{place}].count.value", point.count.value, expected))
            if point.count.unit != unit:
                found.append((f"{key}[{place}].count.unit", point.count.unit, f"{unit!r}, as of the first point"))
        return found


class Ratio(Part):
    """One series over another, on every day that is projected or known for both."""

    of: str
    per: str


class Added(Part):
    """What a series adds from the end of one day to the end of another; `published` is what was published on it."""

    series: str
    after: date
    until: date
    published: q.Count | None = None


class SeriesScenario(Document):
    """Counts, the day until which they are taken as known, and what to project."""

    title: Name
    question: str = Field(min_length=1)
    starts: date
    fit_until: date
    project_to: list[date] = Field(default_factory=list)
    series: dict[Name, Series] = Field(min_length=1, max_length=MOST_SERIES)
    ratios: list[Ratio] = Field(default_factory=list)
    added: list[Added] = Field(default_factory=list)

    def contradictions(self) -> q.Problems:
        found: q.Problems = []
        for name, series in self.series.items():
            found += unordered(f"series.{name}.points", [point.on for point in series.points], self.starts)
            found += series.not_cumulative(f"series.{name}.points")
        # Where points are out of order, nothing more can be said of days.
        found += [] if found else self._unfitted()
        named = [
            (f"ratios[{n}].{key}", getattr(each, key)) for n, each in enumerate(self.ratios) for key in ("of", "per")
        ]
        named += [(f"added[{n}].series", each.series) for n, each in enumerate(self.added)]
        known = ", ".join(self.series)
        found += [(key, name, f"one of {known}") for key, name in named if name not in self.series]
        for number, each in enumerate(self.added):
            if not self.fit_until <= each.after < each.until <= LAST_DAY:
                order = f"{each.after} to {each.until}"
                expected = f"two days in order, from {self.fit_until} to {LAST_DAY}"
                found.append((f"added[{number}]", order, expected))
        return found

    def _unfitted(self) -> q.Problems:
        """Days that leave too little to fit, or are not after what is fitted."""
        least_day = max(series.points[LEAST_POINTS - 1].on for series in self.series.values())
        if not least_day <= self.fit_until <= LAST_DAY:
            expected = f"a day from {least_day} on, by which each series has {LEAST_POINTS} points, to {LAST_DAY}"
            return [("fit_until", self.fit_until, expected)]
        last = max(p.on for series in self.series.values() for p in series.points if p.on <= self.fit_until)
        expected = f"a day after {last}, the last one that is fitted (an earlier fit_until fits less), to {LAST_DAY}"
        return [("project_to", day, expected) for day in self.project_to if not last < day <= LAST_DAY]

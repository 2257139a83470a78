"""A scenario that is only counts over time: what is known until a day, and what is to be projected after it.

Points after `fit_until` are not fitted; they are what a projection is held against.
"""

from datetime import date

from pydantic import Field

from caodiem import quantity as q
from caodiem.document import Document, Part

# Nothing that is fitted to a few years says anything of later days.
LAST_DAY = date(2100, 12, 31)


class Count(Part):
    """A cumulative count at the end of a day."""

    on: date
    count: q.Count


class Series(Part):
    """One count as it grew; at least three points are fitted."""

    points: list[Count] = Field(min_length=3)


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

    title: str = Field(min_length=1)
    question: str = Field(min_length=1)
    starts: date
    fit_until: date
    project_to: list[date] = Field(default_factory=list)
    series: dict[str, Series] = Field(min_length=1)
    ratios: list[Ratio] = Field(default_factory=list)
    added: list[Added] = Field(default_factory=list)

    def contradictions(self) -> list[tuple[str, object, str]]:
        found: list[tuple[str, object, str]] = []
        for name, series in self.series.items():
            days = [point.on for point in series.points]
            if days != sorted(set(days)) or days[0] <= self.starts:
                expected = f"days after {self.starts}, each after the one before"
                found.append((f"series.{name}.points", [str(day) for day in days], expected))
            elif sum(day <= self.fit_until for day in days) < 3:
                found.append(
                    (f"series.{name}.points", [str(day) for day in days], f"three or more until {self.fit_until}")
                )
            else:
                last = max(day for day in days if day <= self.fit_until)
                found += [
                    ("project_to", str(day), f"days after {last}, the last one of {name} that is fitted, to {LAST_DAY}")
                    for day in self.project_to
                    if not last < day <= LAST_DAY
                ]
        named = [
            (f"ratios[{n}].{key}", getattr(each, key)) for n, each in enumerate(self.ratios) for key in ("of", "per")
        ]
        named += [(f"added[{n}].series", each.series) for n, each in enumerate(self.added)]
        known = ", ".join(self.series)
        found += [(key, name, f"one of {known}") for key, name in named if name not in self.series]
        for number, each in enumerate(self.added):
            if not self.fit_until <= each.after < each.until:
                order = f"{each.after} to {each.until}"
                found.append((f"added[{number}]", order, f"two days in order, from {self.fit_until} on"))
        return found

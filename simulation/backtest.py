"""A back-test: projections of a series scenario beside what was published later, whatever the error is.

Pure functions of the scenario; rows first, a table and a picture are made of them elsewhere.
"""

from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import numpy as np

from caodiem.series import Series, SeriesScenario
from simulation import growth

Floats = np.ndarray


@dataclass(frozen=True, slots=True)
class Foretold:
    """One projection: a count on a day, what is added until it, or a ratio. `published` is None where nothing was."""

    name: str
    kind: str  # "count", "added" or "ratio"
    after: date | None  # of "added": from the end of this day
    on: date
    unit: str
    expected: float
    low: float
    high: float
    published: float | None

    @property
    def error_percent(self) -> float | None:
        """Expected over published, in percent more or less."""
        return None if self.published is None else 100 * (self.expected / self.published - 1)

    @property
    def is_within(self) -> bool | None:
        """Whether the published value lies in the 90% band."""
        return None if self.published is None else self.low <= self.published <= self.high


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a series until the day to fit to, and the curves fitted to it."""

    days: Floats
    counts: Floats
    fits: list[growth.Fit]


def fit(scenario: SeriesScenario) -> dict[str, Known]:
    """Every series with its curves."""
    return {name: _known(scenario, series) for name, series in scenario.series.items()}


def foretell(scenario: SeriesScenario, known: dict[str, Known]) -> list[Foretold]:
    """Counts on every day asked for and every day published after the fit, then what was added, then ratios."""
    counts = [
        _count(scenario, name, known[name], day)
        for name, series in scenario.series.items()
        for day in _days(scenario, series)
    ]
    return [*counts, *_added(scenario, known), *_ratios(scenario, counts)]


def as_json(scenario: SeriesScenario, known: dict[str, Known], rows: list[Foretold]) -> dict[str, Any]:
    """backtest.json: every curve with its weight, every projection with band, published value and error."""
    return {
        "fit_until": scenario.fit_until.isoformat(),
        "series": {
            name: {
                "points_fitted": len(one.days),
                "curves": [{"name": each.name, "error": each.error, "weight": each.weight} for each in one.fits],
            }
            for name, one in known.items()
        },
        "projections": [
            {
                **asdict(row),
                "on": row.on.isoformat(),
                "after": row.after.isoformat() if row.after else None,
                "error_percent": row.error_percent,
                "is_within_band": row.is_within,
            }
            for row in rows
        ],
    }


def _known(scenario: SeriesScenario, series: Series) -> Known:
    fitted = [point for point in series.points if point.on <= scenario.fit_until]
    days = np.array([float((point.on - scenario.starts).days) for point in fitted])
    counts = np.array([point.count.value for point in fitted])
    return Known(days, counts, growth.fit(days, counts))


def _days(scenario: SeriesScenario, series: Series) -> list[date]:
    published = [point.on for point in series.points if point.on > scenario.fit_until]
    return sorted({*published, *scenario.project_to})


def _count(scenario: SeriesScenario, name: str, known: Known, day: date) -> Foretold:
    found = growth.project(known.fits, known.days, known.counts, float((day - scenario.starts).days))
    points = scenario.series[name].points
    published = next((point.count.value for point in points if point.on == day), None)
    unit = points[0].count.unit
    return Foretold(name, "count", None, day, unit, found.expected, found.low, found.high, published)


def _added(scenario: SeriesScenario, known: dict[str, Known]) -> list[Foretold]:
    rows = []
    for each in scenario.added:
        one = known[each.series]
        after, until = ((day - scenario.starts).days for day in (each.after, each.until))
        found = growth.added(one.fits, one.days, one.counts, float(after), float(until))
        published = each.published.value if each.published else None
        unit = scenario.series[each.series].points[0].count.unit
        rows.append(
            Foretold(
                each.series, "added", each.after, each.until, unit, found.expected, found.low, found.high, published
            )
        )
    return rows


def _ratios(scenario: SeriesScenario, counts: list[Foretold]) -> list[Foretold]:
    """Ratios of counts projected to the same day; the band takes the two errors for independent."""
    by_place = {(each.name, each.on): each for each in counts}
    rows = []
    for ratio in scenario.ratios:
        for (name, day), of in by_place.items():
            per = by_place.get((ratio.per, day))
            if name != ratio.of or per is None:
                continue
            expected = of.expected / per.expected
            below = np.hypot(np.log(of.expected / of.low), np.log(per.high / per.expected))
            above = np.hypot(np.log(of.high / of.expected), np.log(per.expected / per.low))
            published = of.published / per.published if of.published and per.published else None
            low, high = float(expected * np.exp(-below)), float(expected * np.exp(above))
            rows.append(
                Foretold(f"{ratio.of} per {ratio.per}", "ratio", None, day, "ratio", expected, low, high, published)
            )
    return rows

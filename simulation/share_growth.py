"""Observed shares fitted and projected (uptake.py), beside what was observed later, whatever the error is.

Pure functions of the file; rows first, a table and a picture are made of them elsewhere.
"""

from dataclasses import asdict
from datetime import date
from typing import Any

import numpy as np

from caodiem.shares import SharesScenario
from simulation import uptake
from simulation.backtest import Foretold
from simulation.uptake import Uptake


def fit(scenario: SharesScenario) -> dict[str, Uptake]:
    """The four curves of each series, fitted to what is known of it; days count from `starts`."""
    found = {}
    for name in scenario.shares:
        known = scenario.known(name)
        days = np.array([float((point.on - scenario.starts).days) for point in known])
        found[name] = uptake.fit(days, np.array([p.share.value / 100 for p in known]), scenario.ceiling.value / 100)
    return found


def foretell(scenario: SharesScenario, fits: dict[str, Uptake]) -> list[Foretold]:
    """The curves' mean with its 90% band, in percent, on every day asked for and every day observed after the fit."""
    return [_share(scenario, name, fits[name], day) for name in scenario.shares for day in _days(scenario, name)]


def as_json(scenario: SharesScenario, fits: dict[str, Uptake], rows: list[Foretold]) -> dict[str, Any]:
    """backtest.json: of every series each curve, its criterion, weight and projections; then the mean with its band.

    `error_points`: root mean square error, in percentage points, of foretelling each point from those before it; null
    with two points, which judge no curve.
    """
    return {
        "fit_until": scenario.fit_until.isoformat() if scenario.fit_until else None,
        "ceiling_percent": scenario.ceiling.value,
        "series": {
            name: {
                "points_fitted": len(scenario.known(name)),
                "curves": [
                    {
                        "name": curve.name,
                        "error_points": 100 * curve.error,
                        "weight": curve.weight,
                        "projections": [
                            {"on": day.isoformat(), "percent": 100 * curve.share(_day(scenario, day))}
                            for day in _days(scenario, name)
                        ],
                    }
                    for curve in fitted.curves
                ],
            }
            for name, fitted in fits.items()
        },
        "projections": [
            {
                **asdict(row),
                "on": row.on.isoformat(),
                "error_points": None if row.published is None else row.expected - row.published,
                "is_within_band": row.is_within,
            }
            for row in rows
        ],
    }


def _share(scenario: SharesScenario, name: str, fitted: Uptake, day: date) -> Foretold:
    ahead = _day(scenario, day)
    low, high = fitted.band(ahead)
    published = next((point.share.value for point in scenario.shares[name] if point.on == day), None)
    return Foretold(name, "share", None, day, "percent", 100 * fitted.share(ahead), 100 * low, 100 * high, published)


def _days(scenario: SharesScenario, name: str) -> list[date]:
    later = [point.on for point in scenario.shares[name] if scenario.fit_until and point.on > scenario.fit_until]
    return sorted({*later, *scenario.project_to})


def _day(scenario: SharesScenario, day: date) -> float:
    return float((day - scenario.starts).days)

"""The projection: the adoption path and the dossiers along it, expected values only, as rows for a report.

Beside the path stand the curves fitted to the observed points, and what another mix of ministries and localities
would change.
"""

from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np

from caodiem.dossier import Group
from caodiem.errors import UsageError
from caodiem.scenario import Scenario
from simulation import adoption, demand
from simulation.agencies import Agencies, online_shares

_WEEK = 7
_CHANNELS = ("online", "counter")


def project(scenario: Scenario, agencies: Agencies) -> dict[str, Any]:
    """The path, its points, the fitted curves, dossiers a day along it, and each level's groups and agencies.

    `mix` has a row for each share of ministries that the scenario thinks possible. `path`, the curves and
    `dossiers_per_day` have an entry a week (its mean over seven days for the dossiers); shares in percent.
    """
    path = adoption.path(scenario)
    levels = [_level(scenario, agencies, path, percent) for percent in scenario.levels]
    return {
        "path": _weekly_path(path),
        "points": [
            {
                "group": point.group,
                "on": point.on.isoformat(),
                "share_percent": point.share.value,
                "evidence": point.share.evidence,
                "source": point.share.source,
            }
            for point in scenario.adoption.points
        ],
        "curve": scenario.adoption.curve,
        "fits": _fits(scenario, path),
        "mix": [_mixed(scenario, percent) for percent in _mixes(scenario)],
        "dossiers_per_day": _weekly_dossiers(scenario, path),
        "levels": levels,
    }


def level_shares(scenario: Scenario, agencies: Agencies, percent: float) -> np.ndarray:
    """Each agency's online share (0 to 1) on the day on which the country reaches `percent`."""
    path = adoption.path(scenario)
    return online_shares(agencies, scenario, path.shares(adoption.reached_on(path, percent)))


def _level(scenario: Scenario, agencies: Agencies, path: adoption.Path, percent: float) -> dict[str, Any]:
    day = adoption.reached_on(path, percent)
    shares = path.shares(day)
    each = online_shares(agencies, scenario, shares)
    return {
        "percent": percent,
        "reached_on": date.fromordinal(round(day)).isoformat(),
        **{f"{group.value}_percent": 100 * share for group, share in shares.items()},
        "agencies": [
            {"code": code, "name_en": name_en, "name_vi": name_vi, "group": group, "dossiers_per_day": volume,
             "online_percent": 100 * share}
            for code, name_en, name_vi, group, volume, share in zip(
                agencies.code, agencies.name_en, agencies.name_vi, agencies.group,
                agencies.volume_per_day.tolist(), each.tolist(), strict=True,
            )
        ],
    }  # fmt: skip


def _fits(scenario: Scenario, path: adoption.Path) -> dict[str, Any]:
    """Each group's four curves with error (percentage points) and weight, their mean and its 90% band, by week."""
    start = scenario.adoption.starts.toordinal()
    days = [float(day - start) for day in _weeks(path)]
    found = {}
    for group, uptake in adoption.uptakes(scenario).items():
        bands = [uptake.band(day) for day in days]
        found[group.value] = {
            "curves": [
                {"name": curve.name, "error_points": 100 * curve.error, "weight": curve.weight,
                 "percent": [100 * curve.share(day) for day in days]}
                for curve in uptake.curves
            ],
            "averaged_percent": [100 * uptake.share(day) for day in days],
            "low_percent": [100 * low for low, _ in bands],
            "high_percent": [100 * high for _, high in bands],
        }  # fmt: skip
    return found


def _mixes(scenario: Scenario) -> list[float]:
    """The ministries' share of dossiers and its bounds, in percent, ascending."""
    share = scenario.adoption.ministry_dossier_share
    return sorted({bound for bound in (share.low, share.value, share.high) if bound is not None})


def _mixed(scenario: Scenario, percent: float) -> dict[str, Any]:
    """When the country reaches each level if ministries have this share of all dossiers; None where it never does."""
    path = replace(adoption.path(scenario), ministry_dossier_share=percent / 100)
    rows = []
    for level in scenario.levels:
        try:
            day = adoption.reached_on(path, level)
        except UsageError:
            rows.append({"percent": level, "reached_on": None})
            continue
        shares = {f"{group.value}_percent": 100 * share for group, share in path.shares(day).items()}
        rows.append({"percent": level, "reached_on": date.fromordinal(round(day)).isoformat(), **shares})
    return {"ministry_dossier_share_percent": percent, "levels": rows}


def _weeks(path: adoption.Path) -> range:
    return range(path.first.toordinal(), path.last.toordinal() + 1, _WEEK)


def _weekly_path(path: adoption.Path) -> dict[str, list[Any]]:
    days = list(_weeks(path))
    shares = [path.shares(day) for day in days]
    return {
        "on": [date.fromordinal(day).isoformat() for day in days],
        **{f"{group.value}_percent": [100 * share[group] for share in shares] for group in Group},
        "national_percent": [100 * path.national(day) for day in days],
    }


def _weekly_dossiers(scenario: Scenario, path: adoption.Path) -> dict[str, list[Any]]:
    """Expected dossiers a day by group and channel, each week's mean, over the whole weeks of the path."""
    years = range(path.first.year, path.last.year + 1)
    calendars = {year: demand.calendar(scenario, year) for year in years}
    weeks = [day for day in _weeks(path) if day + _WEEK - 1 <= path.last.toordinal()]
    columns: dict[str, list[float]] = {f"{group.value}_{channel}": [] for group in Group for channel in _CHANNELS}
    for week in weeks:
        for name, value in _week_of_dossiers(scenario, path, calendars, week).items():
            columns[name].append(value)
    return {"week_from": [date.fromordinal(day).isoformat() for day in weeks], **columns}


def _week_of_dossiers(
    scenario: Scenario, path: adoption.Path, calendars: dict[int, demand.Calendar], week: int
) -> dict[str, float]:
    parts = {Group.MINISTRIES: path.ministry_dossier_share, Group.LOCALITIES: 1 - path.ministry_dossier_share}
    volume, found = scenario.demand.volume.value, {}
    days = [date.fromordinal(day) for day in range(week, week + _WEEK)]
    for group, part in parts.items():
        online = counter = 0.0
        for day in days:
            calendar = calendars[day.year]
            index, share = calendar.index(day), path.shares(day.toordinal())[group]
            online += volume * part * share * calendar.online[index] / _WEEK
            counter += volume * part * (1 - share) * calendar.counter[index] / _WEEK
        found |= {f"{group.value}_online": online, f"{group.value}_counter": counter}
    return found

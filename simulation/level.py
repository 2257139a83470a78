"""One adoption level: from its online shares through the casework to the busiest hour and the plan.

Writes casework.parquet, traffic.json, indicators.json, plan.parquet and, where asked for, sync.json, hours.parquet and
hours.json into the level's folder.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import Any

import numpy as np

from caodiem import plan, run
from caodiem.errors import UsageError
from caodiem.files import write_table
from caodiem.scenario import Hours, Scenario
from simulation import casework, demand, hours, indicators, network, office, sync_load, traffic
from simulation.agencies import Agencies
from simulation.demand import DAY_S
from simulation.projection import level_shares

_BIN_S = 300.0
_HOUR_S = 3600.0
_LEAST_SAMPLED = 30


def draw(
    scenario: Scenario,
    agencies: Agencies,
    percent: float,
    scale: float,
    into: run.Level,
    progress: Callable[[float], None] = lambda share: None,
) -> plan.Plan:
    """Simulate the casework up to the end of the busiest day at `scale` of the country; the plan of its busiest slice.

    `progress` is told the share of the casework done, from 0 to 1.
    """
    calendar = demand.calendar(scenario, scenario.demand.year)
    busiest = demand.busiest_day(scenario, calendar, percent / 100)
    first = _warm_up_from(scenario, calendar, busiest)
    shares = level_shares(scenario, agencies, percent)
    filed = demand.filings(scenario, agencies, shares, calendar, first, busiest, scale)
    clock = office.clock(scenario, calendar, first)
    day_s = float((busiest - first).days * DAY_S)
    events = casework.simulate(scenario, agencies, calendar, clock, filed, scale, progress)
    into.folder.mkdir(parents=True, exist_ok=True)
    write_table(events, into.casework)

    synced = None
    if scenario.sync is not None:
        found = sync_load.simulate(scenario, agencies, shares, calendar, events, first, busiest)
        run.write_json(into.sync, found)
        synced = {row["code"]: row["synced_share"] for row in found["adapters"]["queue"]}
    run.write_json(into.indicators, indicators.of_level(scenario, agencies, events, clock, synced))

    day = traffic.journeys(scenario, events, day_s)
    hour_s = traffic.busiest_hour(day, scale)
    filed_in_hour = _filed_in_hour(filed, day_s, hour_s, scale)
    length_s = scenario.replay.window.value
    start_s = traffic.busiest_window(day, hour_s, hour_s + _HOUR_S, length_s, scale)
    drawn = traffic.plan(scenario, day, start_s, length_s, _meta(scenario, percent, scale, busiest, start_s, length_s))
    plan.write(drawn, into.plan)
    figures = _figures(scenario, day, busiest, hour_s, drawn, scale)
    figures["busiest_hour"] |= filed_in_hour
    run.write_json(into.traffic, figures)
    if scenario.hours is not None:
        of_hours = _plan_of_hours(scenario, scenario.hours, day, drawn.meta)
        plan.write(of_hours, into.hours_plan)
        run.write_json(into.hours, hours.simulate(scenario, of_hours))
    return drawn


def _filed_in_hour(filed: demand.Filings, day_s: float, hour_s: float, scale: float) -> dict[str, float]:
    """Dossiers of the whole country that are filed in this hour of the day; UsageError where the sample has too few."""
    in_hour = _within(filed.filed_s - day_s, hour_s, _HOUR_S)
    sampled = int(in_hour.sum())
    if sampled < _LEAST_SAMPLED:
        raise UsageError(
            f"--scale {scale:g}: {sampled} dossiers of the sample are filed in the busiest hour, which says nothing of "
            f"the country; expected at least {_LEAST_SAMPLED}, so a larger scale"
        )
    return {
        "dossiers_filed": sampled / scale,
        "dossiers_filed_online": int((in_hour & filed.online).sum()) / scale,
    }


def _plan_of_hours(scenario: Scenario, asked: Hours, day: traffic.Journeys, meta: plan.PlanMeta) -> plan.Plan:
    """The journeys of these hours of the busiest day as a plan."""
    from_s, length_s = asked.from_.value, asked.to.value - asked.from_.value
    midnight = datetime.combine(datetime.fromisoformat(meta.starts_at).date(), time())
    starts_at = (midnight + timedelta(seconds=from_s)).isoformat()
    return traffic.plan(scenario, day, from_s, length_s, replace(meta, starts_at=starts_at, length_s=length_s))


def _figures(
    scenario: Scenario, day: traffic.Journeys, busiest: date, hour_s: float, drawn: plan.Plan, scale: float
) -> dict[str, Any]:
    """traffic.json: rates of the whole country, estimated from the sample by dividing by its scale."""
    rates = traffic.requests_per_s(day, _BIN_S, scale)
    total = np.sum(list(rates.values()), axis=0)
    bins = slice(int(hour_s / _BIN_S), int((hour_s + _HOUR_S) / _BIN_S))
    return {
        "level_percent": drawn.meta.level_percent,
        "scale": scale,
        "busiest_day": busiest.isoformat(),
        "bin_s": _BIN_S,
        "requests_per_s": {name: values.tolist() for name, values in rates.items()},
        "busiest_hour": {
            "starts_at": (datetime.combine(busiest, time()) + timedelta(seconds=hour_s)).isoformat(),
            "requests_per_s_mean": float(total[bins].mean()),
            "requests_per_s_highest_bin": float(total[bins].max()),
        },
        "plan": figures_of_plan(scenario, drawn),
    }


def figures_of_plan(scenario: Scenario, drawn: plan.Plan) -> dict[str, Any]:
    """What traffic.json says of the level's plan."""
    return {
        "starts_at": drawn.meta.starts_at,
        "length_s": drawn.meta.length_s,
        "arrivals": drawn.arrivals,
        "steps": drawn.steps,
        "plan_hash": drawn.meta.plan_hash,
        "offered_load_erlangs": network.offered_load(network.of(scenario.portal, drawn.meta), drawn),
    }


def _meta(
    scenario: Scenario, percent: float, scale: float, busiest: date, start_s: float, length_s: float
) -> plan.PlanMeta:
    starts_at = datetime.combine(busiest, time()) + timedelta(seconds=start_s)
    return plan.PlanMeta(
        scenario_hash=scenario.hash,
        seed=scenario.seed,
        starts_at=starts_at.isoformat(),
        length_s=length_s,
        scale=scale,
        level_percent=percent,
    )


def _warm_up_from(scenario: Scenario, calendar: demand.Calendar, busiest: date) -> date:
    """The working day so many working days before the busiest day, or the calendar's first; without any that day."""
    if not scenario.casework.warm_up.value:
        return busiest
    working = np.flatnonzero(calendar.working)
    place = int(np.searchsorted(working, calendar.index(busiest)))
    return calendar.days[int(working[max(place - int(scenario.casework.warm_up.value), 0)])]


def _within(times_s: np.ndarray, from_s: float, length_s: float) -> np.ndarray:
    return (times_s >= from_s) & (times_s < from_s + length_s)

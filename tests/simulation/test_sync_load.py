"""The load of status sync: events as the casework has them, and a ceiling where the arithmetic puts it."""

from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from caodiem.errors import UsageError
from caodiem.scenario import Scenario
from caodiem.scenario_file import load
from simulation import cases, casework, demand, office, projection, sync_load
from simulation.journeys import SYNCED
from tests.conftest import ROOT

FIRST, BUSIEST = date(2026, 4, 23), date(2026, 5, 4)


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return load(ROOT / "scenarios" / "sync-ceiling.toml")


@pytest.fixture(scope="module")
def table(scenario, known, calendar):
    shares = projection.level_shares(scenario, known, 85)
    filed = demand.filings(scenario, known, shares, calendar, FIRST, BUSIEST, 0.01)
    return casework.simulate(scenario, known, calendar, office.clock(scenario, calendar, FIRST), filed, 0.01)


def test_events_by_dossier_are_those_of_the_casework(scenario, calendar, table) -> None:
    caused = sync_load.life(table, calendar, FIRST)
    events = table["event"].cast("string").to_pylist()
    synced = sum(event in set(map(str, SYNCED)) for event in events)
    filed = events.count("filed")
    assert caused.events.min() > 3
    assert caused.events.max() < 5
    assert synced / filed == pytest.approx(caused.events.mean(), abs=0.1)
    assert caused.days.sum() == pytest.approx(1)
    # Desks are closed at night; citizens withdraw all the same.
    assert caused.halves[:14].sum() + caused.halves[36:].sum() < 0.01


def test_events_after_the_years_end_keep_their_working_day(calendar) -> None:
    """Filed on the year's last day, a Thursday, and finished in the week after the next: six working days later."""
    events = (("filed", 3), ("received", 3), ("finished", 14), ("returned", 14))
    rows = [
        {
            "dossier": 1,
            "agency": "G01",
            "channel": "online",
            "components": 1,
            "event": event,
            "at_s": (day + 0.4) * 86_400,
        }
        for event, day in events
    ]
    caused = sync_load.life(pa.Table.from_pylist(rows, schema=cases.SCHEMA), calendar, date(2026, 12, 28))
    assert set(np.flatnonzero(caused.days)) == {0, 6}


def test_expected_events_come_to_those_of_the_dossiers(scenario, known, calendar, table) -> None:
    caused = sync_load.life(table, calendar, FIRST)
    shares = projection.level_shares(scenario, known, 85)
    coming = sync_load.expected(scenario, scenario.sync, known, shares, calendar, caused, date(2026, 5, 11))
    assert coming.shape == (85, 28 * 48)
    per_day = coming.sum(axis=1) / 28
    filed = known.volume_per_day * (shares * caused.events[1] + (1 - shares) * caused.events[0])
    # Four weeks of May and June stand somewhat above the year's mean.
    assert per_day / filed == pytest.approx(np.full(85, 1.04), abs=0.06)
    off = ~calendar.working[calendar.index(date(2026, 5, 11)) :][:28]
    assert not coming.reshape(85, 28, 48)[:, off].any()


@pytest.mark.slow
def test_the_ceiling_is_where_the_weekly_mean_meets_ten_a_minute(scenario, known, calendar, table) -> None:
    caused = sync_load.life(table, calendar, FIRST)
    first = sync_load.first_day(calendar, BUSIEST, 28)
    rows = sync_load.ceiling(scenario, known, calendar, caused, first)
    by_code = {row["code"]: row for row in rows}
    for code in ("G02", "G05", "H01"):
        place, found = known.code.index(code), by_code[code]["online_only_never_from_percent"]
        alone = scenario.sync.model_copy(
            update={"others_reported": scenario.sync.others_reported.model_copy(update={"value": 0.0})}
        )
        for level in (found - 1, found) if found else (85,):
            shares = projection.level_shares(scenario, known, level)
            coming = sync_load.expected(scenario, alone, known, shares, calendar, caused, first)[place]
            assert (coming.sum() / (28 * 1440) >= 10) == (level == found)


def test_an_outage_outside_the_weeks_simulated_is_refused(known, calendar, table) -> None:
    scenario = load(ROOT / "scenarios" / "sync-backlog.toml")
    away = scenario.sync.outage.model_copy(update={"at": scenario.sync.outage.at.replace(month=9)})
    changed = scenario.model_copy(update={"sync": scenario.sync.model_copy(update={"outage": away})})
    shares = projection.level_shares(scenario, known, 85)
    with pytest.raises(UsageError, match=r"sync\.outage\.at = 2026-09-11"):
        sync_load.simulate(changed, known, shares, calendar, table, FIRST, BUSIEST)

"""Indicators by hand: one small casework table, every share worked out on paper."""

from datetime import date

import pyarrow as pa
import pytest

from caodiem.scenario import Scenario
from simulation import agencies, cases, demand, indicators, office

DAY, HOUR = 86_400.0, 3600.0
FIRST = date(2026, 5, 11)  # a Monday
OPEN = 8 * HOUR

# (dossier, channel, [(event, days and hours after Monday, 8:00), …]); office days have 7.5 hours, the promise 40.
STORY = [
    (1, "online", [("filed", 0, -1), ("paid", 0, 0), ("received", 0, 0), ("finished", 2, 0), ("returned", 2, 1)]),
    # Asked on Tuesday, answered two weeks later, finished the day after: late unless that is taken off.
    (2, "online", [("filed", 0, 0), ("received", 0, 0), ("supplement_asked", 1, 0), ("supplemented", 14, 0),
                   ("finished", 15, 0), ("returned", 15, 1)]),
    # Three weeks without a pause: late in both readings.
    (3, "partly", [("filed", 0, 0), ("received", 0, 1), ("finished", 21, 0), ("returned", 21, 1)]),
    (4, "counter", [("filed", 0, 0), ("received", 0, 1), ("finished", 1, 0), ("returned", 1, 1)]),
    (5, "counter", [("filed", 0, 0), ("not_received", 0, 2)]),
    # Asked twice: late by the first reading, though quick.
    (6, "online", [("filed", 0, 0), ("received", 0, 0), ("supplement_asked", 0, 1), ("supplemented", 0, 2),
                   ("supplement_asked", 1, 1), ("supplemented", 1, 2), ("finished", 2, 0), ("returned", 2, 1)]),
    # Still under way.
    (7, "online", [("filed", 0, 0), ("received", 0, 1)]),
    (8, "partly", [("filed", 0, 0), ("received", 0, 1), ("payment_due", 0, 2), ("obligation_paid", 0, 3),
                   ("finished", 1, 0), ("returned", 1, 1)]),
]  # fmt: skip


def found(
    scenario: Scenario,
    known: agencies.Agencies,
    times: int = 1,
    synced: float | None = None,
    story=STORY,
    first: date = FIRST,
):
    rows = [
        {"dossier": dossier + 100 * copy, "agency": "G01", "channel": channel, "components": 1, "event": event,
         "at_s": day * DAY + OPEN + hour * HOUR}
        for copy in range(times)
        for dossier, channel, events in story
        for event, day, hour in events
    ]  # fmt: skip
    table = pa.Table.from_pylist(sorted(rows, key=lambda row: row["at_s"]), schema=cases.SCHEMA)
    clock = office.clock(scenario, demand.calendar(scenario, 2026), first)
    shares = None if synced is None else dict.fromkeys(known.code, synced)
    return indicators.of_level(scenario, known, table, clock, shares)


def test_each_share_is_the_one_worked_out_by_hand(scenario: Scenario, known: agencies.Agencies) -> None:
    row = found(scenario, known, synced=0.8)["agencies"][0]
    assert row["code"] == "G01"
    assert row["dossiers"] == 8
    # Seven ended; 1, 2, 4, 5 and 8 in time, 6 was asked twice, 3 is late.
    assert row["on_time"] == pytest.approx(100 * 5 / 7)
    # With pauses counted 2 is late, and nobody minds that 6 was asked twice.
    assert row["on_time_pauses_counted"] == pytest.approx(100 * 5 / 7)
    assert row["synced"] == 80
    assert row["online"] == pytest.approx(100 * 6 / 8)
    assert row["online_by_formula"] == pytest.approx(100 * 4 / 8 * 0.8)
    # Paid: 1 and the obligation of 8; two at counters, of which 40% have a fee.
    assert row["paid_online"] == pytest.approx(100 * 2 / (2 + 0.4 * 2))
    # Finished: 1, 2, 6 online; 3, 4, 8 of which 60% are scanned. 5 was refused: in charge of it, without a result.
    digitised = 100 * (3 + 0.6 * 3) / 7
    assert row["digitised"] == pytest.approx(digitised)
    assert row["points"] == pytest.approx(20 * 5 / 7 + 22 + 22 * digitised / 80)


def test_it_says_which_agencies_are_counted_and_what_was_published(
    scenario: Scenario, known: agencies.Agencies
) -> None:
    told = found(scenario, known)
    assert told["agencies_listed"] == {"ministries": 22, "localities": 63}
    assert sum(told["agencies_listed"].values()) == len(told["agencies"]) == 85
    assert (told["published"]["agencies_meeting_all"], told["published"]["agencies"]) == (17, 83)
    assert told["published"]["sources"] == ["adoption-agencies-total", "adoption-criteria-met-agencies"]
    assert pytest.approx(20.48, abs=0.005) == 100 * 17 / 83  # adoption-criteria-met-share, published beside it


def test_the_two_readings_differ_on_a_long_answer(scenario: Scenario, known: agencies.Agencies) -> None:
    """Dossier 2 alone: in time only if the citizen's two weeks are taken off."""
    row = found(scenario, known, story=[each for each in STORY if each[0] == 2])["agencies"][0]
    assert (row["on_time"], row["on_time_pauses_counted"]) == (100, 0)


def test_what_ends_after_the_year_is_on_time_or_late_as_at_any_other_time(
    scenario: Scenario, known: agencies.Agencies
) -> None:
    may, december = (found(scenario, known, first=first)["agencies"][0] for first in (FIRST, date(2026, 12, 28)))
    assert (december["on_time"], december["on_time_pauses_counted"]) == (may["on_time"], may["on_time_pauses_counted"])


def test_too_few_dossiers_judge_no_agency(scenario: Scenario, known: agencies.Agencies) -> None:
    few, many = found(scenario, known), found(scenario, known, times=4)
    assert few["agencies_judged"] == 0
    assert many["agencies_judged"] == 1
    assert many["agencies_meeting"] == {"on_time": 0, "online": 1, "paid_online": 1, "digitised": 0}
    assert many["agencies_meeting_all"] == 0


def test_the_sync_is_a_criterion_only_where_it_was_simulated(scenario: Scenario, known: agencies.Agencies) -> None:
    assert "synced" not in found(scenario, known)["criteria"]
    judged = found(scenario, known, times=4, synced=0.8)
    assert judged["agencies_meeting"]["synced"] == 0
    assert found(scenario, known, times=4, synced=0.99)["agencies_meeting"]["synced"] == 1

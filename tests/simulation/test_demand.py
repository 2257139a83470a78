"""Demand: counts and moments follow the scenario; levels and scales share their dossiers."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from caodiem.scenario import Scenario
from simulation import agencies, demand, projection

FIRST, LAST = date(2026, 5, 11), date(2026, 5, 17)  # Monday to Sunday, no holiday


def filed(scenario: Scenario, known: agencies.Agencies, calendar: demand.Calendar, level: float, scale: float = 0.2):
    shares = projection.level_shares(scenario, known, level)
    return demand.filings(scenario, known, shares, calendar, FIRST, LAST, scale)


def test_the_calendar_knows_tet_and_weekends(calendar: demand.Calendar) -> None:
    def working(day: date) -> bool:
        return bool(calendar.working[calendar.index(day)])

    # 2026: Lunar New Year's Day is 17 February; 30 April and 1 May are Thursday and Friday.
    assert not any(working(date(2026, 2, day)) for day in range(16, 21))
    assert not working(date(2026, 4, 30))
    assert not working(date(2026, 5, 1))
    assert not working(date(2026, 5, 3))
    assert working(date(2026, 5, 4))
    assert calendar.days[calendar.begins] == date(2026, 1, 1)
    assert calendar.online[calendar.begins : calendar.ends].mean() == pytest.approx(1)
    assert calendar.counter[calendar.begins : calendar.ends].mean() == pytest.approx(1)


def test_the_first_working_day_after_a_holiday_is_a_rush(calendar: demand.Calendar) -> None:
    after, usual = calendar.index(date(2026, 5, 4)), calendar.index(date(2026, 5, 11))
    assert calendar.counter[after] / calendar.counter[usual] == pytest.approx(1.4)
    assert calendar.online[after] / calendar.online[usual] == pytest.approx(1.4)


def test_the_years_first_day_may_be_the_busiest_and_has_days_before_it(scenario: Scenario) -> None:
    for seed in range(40):
        tried = scenario.model_copy(update={"seed": seed})
        found = demand.calendar(tried, 2027)
        busiest = demand.busiest_day(tried, found, 0.85)
        assert busiest.year == 2027
        assert found.working[: found.index(busiest)].sum() >= 30


def test_a_day_of_the_year_is_the_busiest_and_the_calendar_holds_its_last_cases(scenario: Scenario) -> None:
    work = scenario.casework
    for promise_h, term_days in ((0.0, 0.0), (40.0, 30.0), (2000.0, 300.0)):
        hours = work.promise.model_copy(update={"value": promise_h})
        term = work.answer_term.model_copy(update={"value": term_days})
        told = scenario.model_copy(update={"casework": work.model_copy(update={"promise": hours, "answer_term": term})})
        found = demand.calendar(told, 2026)
        assert (found.days[found.begins], found.days[found.ends - 1]) == (date(2026, 1, 1), date(2026, 12, 31))
        answered = found.ends + int(3 * term_days)
        assert found.working[answered:].sum() * scenario.office.open_h_per_day > promise_h
        busy = replace(found, factor=np.where(np.arange(len(found.days)) < found.ends, found.factor, 100.0))
        assert demand.busiest_day(told, busy, 0.85).year == 2026


def test_counts_by_channel_are_those_expected(scenario, known, calendar) -> None:
    found = filed(scenario, known, calendar, 43)
    days = range(calendar.index(FIRST), calendar.index(LAST) + 1)
    shares = agencies.service_shares(known, scenario, projection.level_shares(scenario, known, 43))
    volume = known.volume_per_day[:, None] * known.service_parts
    partly = np.array([service.partly.value / 100 for service in scenario.demand.services])
    for chosen, channel, share in (
        (found.online, 1, shares),
        (found.partly, 1, (1 - shares) * partly),
        (~found.online & ~found.partly, 0, (1 - shares) * (1 - partly)),
    ):
        week = sum(calendar.services[channel, :, day] * calendar.factor[day] for day in days)
        expected = 0.2 * (volume * share * week).sum()
        # Five standard deviations of a Poisson count.
        assert abs(np.sum(chosen) - expected) < 5 * np.sqrt(expected)


def test_services_keep_their_agencies_share_and_lean(scenario, known) -> None:
    for level in (43, 85):
        shares = projection.level_shares(scenario, known, level)
        found, parts = agencies.service_shares(known, scenario, shares), known.service_parts
        assert (found * parts).sum(axis=1) == pytest.approx(shares, abs=1e-14)
        assert parts.sum(axis=1) == pytest.approx(1)
        odds = np.log(found[0] / (1 - found[0]), where=parts[0] > 0, out=np.full(len(found[0]), np.nan))
        lean = np.array([service.lean.value for service in scenario.demand.services])
        assert np.nanmax(odds - lean) - np.nanmin(odds - lean) < 1e-9
    assert agencies.service_shares(known, scenario, np.ones(85)).max(axis=1) == pytest.approx(1)
    assert not agencies.service_shares(known, scenario, np.zeros(85)).any()


def test_services_follow_their_seasons(scenario, known, calendar) -> None:
    """Passports fall from 1.3 in June to 0.8 in November, before holidays and weekdays."""
    passports = calendar.services[1, 0]
    june, november = calendar.index(date(2026, 6, 8)), calendar.index(date(2026, 11, 9))
    assert passports[june] / passports[november] == pytest.approx(1.3 / 0.8)
    assert calendar.services[:, :, calendar.begins : calendar.ends].mean(axis=2) == pytest.approx(1)


def test_agencies_get_their_volumes(scenario, known, calendar) -> None:
    found = filed(scenario, known, calendar, 85)
    counts = np.bincount(found.agency[found.online], minlength=len(known.code))
    expected = known.volume_per_day * projection.level_shares(scenario, known, 85)
    expected *= counts.sum() / expected.sum()
    # Five standard deviations, and two percent for what the services' seasons move between the groups.
    assert (np.abs(counts - expected) < 5 * np.sqrt(expected) + 5 + 0.02 * expected).all()


def test_counters_file_only_while_they_are_open(scenario, known, calendar) -> None:
    found = filed(scenario, known, calendar, 43)
    hours = found.filed_s[~found.online & ~found.partly] / 3600
    assert (hours < 5 * 24).all()
    assert ((hours % 24 >= 7) & (hours % 24 < 17)).all()
    assert (np.diff(found.filed_s) >= 0).all()


def test_moments_follow_the_hours_of_the_profile(scenario, known, calendar) -> None:
    found = filed(scenario, known, calendar, 85)
    hours = found.filed_s[found.online] / 3600 % 24
    weights = np.array(scenario.demand.hours_online.value)
    cumulative = np.concatenate([[0], np.cumsum(weights)]) / weights.sum()
    assert kstest(hours, lambda hour: np.interp(hour, np.arange(25), cumulative)).pvalue > 1e-3


def test_a_higher_level_moves_dossiers_online_and_a_smaller_scale_keeps_a_part(scenario, known, calendar) -> None:
    low, high = filed(scenario, known, calendar, 43), filed(scenario, known, calendar, 85)
    online_low = set(low.dossier[low.online].tolist())
    online_high = set(high.dossier[high.online].tolist())
    assert online_low < online_high
    small = filed(scenario, known, calendar, 43, scale=0.05)
    assert set(small.dossier.tolist()) < set(low.dossier.tolist())


def test_days_vary_as_much_as_the_scenario_says(scenario: Scenario) -> None:
    calendars = [demand.calendar(scenario, year) for year in range(2020, 2036)]
    factors = np.concatenate([each.factor[each.begins : each.ends] for each in calendars])
    assert factors.mean() == pytest.approx(1, abs=0.01)
    assert factors.std() == pytest.approx(scenario.demand.day_variation.value, rel=0.05)


@given(st.lists(st.floats(0, 10), min_size=24, max_size=24).filter(lambda w: sum(w) > 1), st.floats(0, 0.999999))
def test_hours_are_inverted_exactly(weights: list[float], share: float) -> None:
    values = np.array(weights)
    hour = float(demand.invert_hours(values, np.array([share]))[0])
    cumulative = np.concatenate([[0], np.cumsum(values)]) / values.sum()
    assert np.interp(hour, np.arange(25), cumulative) == pytest.approx(share, abs=1e-9)

"""Demand: how many dossiers are filed on which day, at which agency, by which channel, at what second.

Every dossier is drawn whole and keyed by its number, so that two adoption levels share their random numbers: the same
dossier that comes to the counter at 43% comes online at 85%.
"""

from dataclasses import dataclass
from datetime import date

import holidays
import numpy as np
from scipy.stats import gamma, poisson

from caodiem.dossier import dossier_number
from caodiem.draws import uniform
from caodiem.plan import kept_at_scale
from caodiem.scenario import Scenario
from simulation.agencies import Agencies

Floats = np.ndarray
DAY_S = 86_400
LEAD_DAYS = 61  # November and December


@dataclass(frozen=True, slots=True)
class Calendar:
    """A year's days, and the last weeks of the year before, in which the work at hand on 1 January was filed.

    Weights are relative to the mean day of the year; arrays have an entry a day.
    """

    days: list[date]
    begins: int  # index of 1 January
    working: np.ndarray  # desks are open
    online: Floats  # weight of online filings
    counter: Floats  # weight of filings at a counter
    factor: Floats  # what the day carries beyond chance, mean 1

    def index(self, day: date) -> int:
        return (day - self.days[0]).days


@dataclass(frozen=True, slots=True)
class Filings:
    """Dossiers in order of filing; arrays of one length. `filed_s` counts from midnight of the first day."""

    dossier: np.ndarray  # int64, caodiem.dossier.dossier_number
    agency: np.ndarray  # index into Agencies
    online: np.ndarray  # bool
    filed_s: Floats


def calendar(scenario: Scenario, year: int) -> Calendar:
    """The weekdays and Vietnamese public holidays of a year, with the scenario's weights."""
    demand = scenario.demand
    first = date(year, 1, 1).toordinal()
    days = [date.fromordinal(n) for n in range(first - LEAD_DAYS, date(year + 1, 1, 1).toordinal())]
    public = holidays.country_holidays("VN", years=[year - 1, year])
    holiday = np.array([day in public for day in days])
    weekday = np.array([day.weekday() for day in days])
    counter = np.where(holiday, 0.0, np.array(demand.week_counter.value)[weekday])
    # On a holiday people file as on a Sunday.
    online = np.array(demand.week_online.value)[np.where(holiday, 6, weekday)]
    working = counter > 0
    rush = np.where(_after_holiday(holiday, working), demand.after_holiday.value, 1.0)
    factor = _day_factors(scenario, days)
    online, counter = (each * rush / (each * rush)[LEAD_DAYS:].mean() for each in (online, counter))
    return Calendar(days, LEAD_DAYS, working, online, counter, factor)


def expected_per_day(scenario: Scenario, calendar: Calendar, online_share: float) -> tuple[Floats, Floats]:
    """(online, counter) dossiers expected on each day in the whole country, before the day's factor."""
    volume = scenario.demand.volume.value
    return volume * online_share * calendar.online, volume * (1 - online_share) * calendar.counter


def busiest_day(scenario: Scenario, calendar: Calendar, online_share: float) -> date:
    """The working day with the most filings, the day's factor included."""
    online, counter = expected_per_day(scenario, calendar, online_share)
    filed = np.where(calendar.working, (online + counter) * calendar.factor, 0)
    filed[: calendar.begins] = 0
    return calendar.days[int(np.argmax(filed))]


def filings(
    scenario: Scenario, agencies: Agencies, shares: Floats, calendar: Calendar, first: date, last: date, scale: float
) -> Filings:
    """The dossiers filed from `first` to `last` (both included) in the sample of the country at `scale`.

    A day's count is Poisson given its factor. Within the day the times are those of a Poisson process whose rate
    follows the hours' profile: given their number, arrival times are independent draws from the normalised
    cumulative rate, which is inverted exactly (Cox and Lewis 1966, section 2.3).
    """
    start, days = calendar.index(first), range(calendar.index(first), calendar.index(last) + 1)
    parts = [_filed_on(scenario, agencies, shares, calendar, day, scale, (day - start) * DAY_S) for day in days]
    dossier, agency, online, filed_s = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.lexsort((dossier, filed_s))
    return Filings(dossier[order], agency[order], online[order], filed_s[order])


def _filed_on(
    scenario: Scenario, agencies: Agencies, shares: Floats, calendar: Calendar, day: int, scale: float, at_s: float
) -> tuple[np.ndarray, ...]:
    """One day's dossiers as columns: number, agency, online, filed_s."""
    seed, demand = scenario.seed, scenario.demand
    weights = np.array([calendar.counter[day], calendar.online[day]])
    most = demand.volume.value * calendar.factor[day] * weights.max()
    ordinal = calendar.days[day].toordinal()
    count = int(poisson.ppf(uniform(seed, "day count", ordinal)[0], most)) if most else 0
    dossier = dossier_number(calendar.days[day], 0) + np.arange(count, dtype=np.int64)
    dossier = dossier[kept_at_scale(seed, dossier, scale)]
    edges = np.cumsum(agencies.volume_per_day) / agencies.volume_per_day.sum()
    agency = np.minimum(np.searchsorted(edges, uniform(seed, "agency", dossier)), len(edges) - 1)
    online = uniform(seed, "channel", dossier) < shares[agency]
    # The day was counted at the heavier channel's weight; the lighter one is thinned.
    kept = uniform(seed, "day weight", dossier) * weights.max() < weights[online.astype(int)]
    dossier, agency, online = dossier[kept], agency[kept], online[kept]
    moment = uniform(seed, "moment", dossier)
    hours = np.where(
        online,
        invert_hours(np.array(demand.hours_online.value), moment),
        invert_hours(np.array(demand.hours_counter.value), moment),
    )
    return dossier, agency, online, at_s + hours * 3600


def invert_hours(weights: Floats, share: Floats) -> Floats:
    """The hour of the day (0 to 24) by which a `share` (0 to 1) of the day's total has come; rates constant by hour."""
    total = np.concatenate([[0.0], np.cumsum(weights)]) / weights.sum()
    # The hour whose end first exceeds the share: hours without weight are never chosen.
    hour = np.clip(np.searchsorted(total, share, side="right") - 1, 0, len(weights) - 1)
    return hour + (share - total[hour]) / (total[hour + 1] - total[hour])


def _after_holiday(holiday: np.ndarray, working: np.ndarray) -> np.ndarray:
    """Working days whose pause since the working day before held a public holiday."""
    found = np.zeros(len(holiday), dtype=bool)
    pending = False
    for day in range(len(holiday)):
        pending = pending or bool(holiday[day])
        if working[day]:
            found[day], pending = pending, False
    return found


def _day_factors(scenario: Scenario, days: list[date]) -> Floats:
    """Gamma factors of mean 1: counts of real arrivals vary more from day to day than a Poisson process."""
    variation = scenario.demand.day_variation.value
    if variation == 0:
        return np.ones(len(days))
    chance = uniform(scenario.seed, "day factor", np.array([day.toordinal() for day in days]))
    return np.asarray(gamma.ppf(chance, variation**-2, scale=variation**2))

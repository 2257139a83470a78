"""Demand: how many dossiers are filed on which day, at which agency, for what, by which channel, at what second.

Every dossier is drawn whole and keyed by its number, so that two adoption levels share their random numbers: the same
dossier that comes to the counter at 43% comes online at 85%. Surges number their dossiers apart, so that one more or
less changes no other dossier.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import holidays
import numpy as np
from scipy.stats import gamma, poisson

from caodiem.dossier import SERIALS_PER_DAY, Group, dossier_number
from caodiem.draws import uniform
from caodiem.plan import kept_at_scale
from caodiem.scenario import Scenario, Surge
from simulation import surge as surges
from simulation.agencies import Agencies, service_shares
from simulation.chances import chance, mixed, words
from simulation.compiling import machine_code
from simulation.surge import DAY_S

Floats = np.ndarray
# Each surge's serials of a day, from the top of the day's numbers downwards.
_SURGE_SERIALS = 2_000_000
LEAD_DAYS = 61  # November and December
# A citizen is asked at most so often, and answers within the term each time: mended papers, a supplement, a payment.
_MOST_ASKED = 3
_QUANTITIES = ("thin", "agency", "service", "channel", "partly", "day weight", "moment")
_THIN, _AGENCY, _SERVICE, _CHANNEL, _PARTLY, _WEIGHT, _MOMENT = range(len(_QUANTITIES))


@dataclass(frozen=True, slots=True)
class Calendar:
    """A year's days, the last weeks of the year before, in which the work at hand on 1 January was filed, and the days
    after it in which the work at hand on 31 December ends.

    Weights are relative to the mean day of the year; arrays have an entry a day. `services` holds the weights of each
    service apart: channel (0 counter, 1 online), service, day.
    """

    days: list[date]
    begins: int  # index of 1 January
    ends: int  # index of the next one
    working: np.ndarray  # desks are open
    online: Floats  # weight of online filings
    counter: Floats  # weight of filings at a counter
    services: Floats
    factor: Floats  # what the day carries beyond chance, mean 1

    def index(self, day: date) -> int:
        return (day - self.days[0]).days


@dataclass(frozen=True, slots=True)
class Filings:
    """Dossiers in order of filing; arrays of one length. `filed_s` counts from midnight of the first day."""

    dossier: np.ndarray  # int64, caodiem.dossier.dossier_number
    agency: np.ndarray  # index into Agencies
    online: np.ndarray  # bool: handled online from end to end
    filed_s: Floats
    partly: np.ndarray  # bool: filed online, and not handled online to the end
    service: np.ndarray  # index into the scenario's services, and after those into its surges


def calendar(scenario: Scenario, year: int) -> Calendar:
    """The weekdays and Vietnamese public holidays of a year, with the scenario's weights."""
    demand = scenario.demand
    first, after = date(year, 1, 1).toordinal(), date(year + 1, 1, 1).toordinal()
    ends = LEAD_DAYS + after - first
    days = [date.fromordinal(n) for n in range(first - LEAD_DAYS, after + _days_after(scenario))]
    public = holidays.country_holidays("VN", years=range(year - 1, days[-1].year + 1))
    holiday = np.array([day in public for day in days])
    weekday = np.array([day.weekday() for day in days])
    counter = np.where(holiday, 0.0, np.array(demand.week_counter.value)[weekday])
    # On a holiday people file as on a Sunday.
    online = np.array(demand.week_online.value)[np.where(holiday, 6, weekday)]
    working = counter > 0
    rush = np.where(_after_holiday(holiday, working), demand.after_holiday.value, 1.0)
    months = np.array([day.month - 1 for day in days])
    season = np.array([service.months.value for service in demand.services])[:, months]
    services = np.stack([counter * rush, online * rush])[:, None, :] * season
    services = services / services[:, :, LEAD_DAYS:ends].mean(axis=2, keepdims=True)
    counter, online = np.einsum("s,csd->cd", _national_parts(scenario), services)
    return Calendar(days, LEAD_DAYS, ends, working, online, counter, services, _day_factors(scenario, days))


def _days_after(scenario: Scenario) -> int:
    """Days after 31 December until what was filed on it has ended, or is late however long its citizen took."""
    work = scenario.casework
    open_h_per_week = scenario.office.open_h_per_day * np.count_nonzero(scenario.demand.week_counter.value)
    # Tet and other holidays fit into what the days before the year have, too.
    return LEAD_DAYS + math.ceil(_MOST_ASKED * work.answer_term.value + 7 * work.promise.value / open_h_per_week)


def _national_parts(scenario: Scenario) -> Floats:
    """The share (0 to 1) of each service in all dossiers of the country."""
    ministries = scenario.adoption.ministry_dossier_share.value / 100
    parts = {Group.MINISTRIES: ministries, Group.LOCALITIES: 1 - ministries}
    return np.array([parts[service.group] * service.share.value / 100 for service in scenario.demand.services])


def expected_per_day(scenario: Scenario, calendar: Calendar, online_share: float) -> tuple[Floats, Floats]:
    """(online, counter) dossiers expected on each day in the whole country, before the day's factor; no surges.

    Services weigh as in all channels together: a season of one that is filed online more than others is blurred.
    """
    volume = scenario.demand.volume.value
    return volume * online_share * calendar.online, volume * (1 - online_share) * calendar.counter


def surges_per_day(scenario: Scenario, calendar: Calendar) -> Floats:
    """Dossiers of all surges expected on each day in the whole country."""
    found = np.zeros(len(calendar.days))
    for surge in scenario.demand.surges:
        found += surge_per_day(scenario, calendar, surge)
    return found


def surge_per_day(scenario: Scenario, calendar: Calendar, surge: Surge) -> Floats:
    """Dossiers of one surge expected on each day."""
    shape, at = surges.shape(scenario, surge), calendar.index(surge.at.date())
    shares = [surges.share_on(shape, day - at) for day in range(len(calendar.days))]
    return surge.size.value * np.array([end - begin for begin, end in shares])


def busiest_day(scenario: Scenario, calendar: Calendar, online_share: float) -> date:
    """The day of the year with the most filings, the day's factor and surges included; without surges a working day."""
    online, counter = expected_per_day(scenario, calendar, online_share)
    filed = np.where(calendar.working, (online + counter) * calendar.factor, 0)
    filed += surges_per_day(scenario, calendar)
    year = slice(calendar.begins, calendar.ends)
    return calendar.days[year][int(np.argmax(filed[year]))]


def filings(
    scenario: Scenario, agencies: Agencies, shares: Floats, calendar: Calendar, first: date, last: date, scale: float
) -> Filings:
    """The dossiers filed from `first` to `last` (both included) in the sample of the country at `scale`.

    A day's count is Poisson given its factor. Within the day the times are those of a Poisson process whose rate
    follows the hours' profile: given their number, arrival times are independent draws from the normalised
    cumulative rate, which is inverted exactly (Cox and Lewis 1966, section 2.3).
    """
    start, days = calendar.index(first), range(calendar.index(first), calendar.index(last) + 1)
    by_service = service_shares(agencies, scenario, shares)
    parts = [_filed_on(scenario, agencies, by_service, calendar, day, scale, (day - start) * DAY_S) for day in days]
    parts += [
        _surged_on(scenario, agencies, number, calendar, day, scale, (day - start) * DAY_S)
        for day in days
        for number in range(len(scenario.demand.surges))
    ]
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    # Of two at one instant the one that was drawn first.
    order = _in_order(columns[3])
    return Filings(*(column[order] for column in columns))


@machine_code
def _in_order(times_s):  # type: ignore[no-untyped-def]
    """What `np.argsort` says, stable: put into as many classes as there are times, and sorted within these."""
    count = len(times_s)
    order, ends = np.empty(count, dtype=np.int64), np.zeros(count + 1, dtype=np.int64)
    if not count:
        return order
    from_s, per_s = times_s.min(), (count - 1) / max(times_s.max() - times_s.min(), 1e-300)
    for time_s in times_s:
        ends[int((time_s - from_s) * per_s) + 1] += 1
    for number in range(1, count):
        ends[number] += ends[number - 1]
    for number in range(count):
        which = int((times_s[number] - from_s) * per_s)
        order[ends[which]] = number
        ends[which] += 1
    for place in range(1, count):
        number = order[place]
        while place and times_s[order[place - 1]] > times_s[number]:
            order[place] = order[place - 1]
            place -= 1
        order[place] = number
    return order


def _filed_on(
    scenario: Scenario, agencies: Agencies, by_service: Floats, calendar: Calendar, day: int, scale: float, at_s: float
) -> tuple[np.ndarray, ...]:
    """One day's usual dossiers as columns of `Filings`; `by_service` has each agency's online share of each service."""
    seed, demand = scenario.seed, scenario.demand
    weights = np.ascontiguousarray(calendar.services[:, :, day])
    # The day is counted at the heaviest weight; the lighter ones are thinned.
    mean = demand.volume.value * calendar.factor[day] * weights.max()
    dossier = _numbered(seed, "day count", calendar, day, mean, 0)
    partly = np.array([each.partly.value / 100 for each in demand.services])
    hours = np.array([_hours_passed(each.value) for each in (demand.hours_counter, demand.hours_online)])
    columns = [np.empty(len(dossier), dtype=kind) for kind in (np.int64, np.int64, bool, np.float64, bool, np.int64)]
    count = _draw_filings(
        dossier, words(seed, _QUANTITIES), scale, _agency_edges(agencies), _service_edges(agencies),
        by_service, partly, weights, hours, at_s, *columns,
    )  # fmt: skip
    return tuple(column[:count] for column in columns)


@machine_code
def _draw_filings(
    numbers, word, scale, agency_edges, service_edges, by_service, partly_shares, weights, hours, at_s,
    dossier, agency, online, filed_s, partly, service,
):  # type: ignore[no-untyped-def]  # fmt: skip
    """Fill the columns of `Filings` with the dossiers that are in the sample and kept; returns how many."""
    heaviest = weights.max()
    count = 0
    for number in numbers:
        key = mixed(number)
        if chance(word[_THIN], key) >= scale:
            continue
        office = np.searchsorted(agency_edges, chance(word[_AGENCY], key))
        what = np.searchsorted(service_edges[office], chance(word[_SERVICE], key), side="right")
        is_online = chance(word[_CHANNEL], key) < by_service[office, what]
        is_partly = not is_online and chance(word[_PARTLY], key) < partly_shares[what]
        remote = int(is_online or is_partly)
        if chance(word[_WEIGHT], key) * heaviest >= weights[remote, what]:
            continue
        dossier[count], agency[count], service[count] = number, office, what
        online[count], partly[count] = is_online, is_partly
        share, passed = chance(word[_MOMENT], key), hours[remote]
        hour = min(np.searchsorted(passed, share, side="right") - 1, len(passed) - 2)
        filed_s[count] = at_s + (hour + (share - passed[hour]) / (passed[hour + 1] - passed[hour])) * 3600
        count += 1
    return count


def _surged_on(
    scenario: Scenario, agencies: Agencies, number: int, calendar: Calendar, day: int, scale: float, at_s: float
) -> tuple[np.ndarray, ...]:
    """One day's dossiers of a surge, as columns of `Filings`."""
    seed, surge = scenario.seed, scenario.demand.surges[number]
    shape, days_after = surges.shape(scenario, surge), day - calendar.index(surge.at.date())
    begin, end = surges.share_on(shape, days_after)
    first = SERIALS_PER_DAY - (number + 1) * _SURGE_SERIALS
    dossier = _numbered(seed, f"surge {surge.name}", calendar, day, surge.size.value * (end - begin), first)
    dossier = dossier[kept_at_scale(seed, dossier, scale)]
    online = uniform(seed, "channel", dossier) < surge.online.value / 100
    filed_s = shape.time(begin + (end - begin) * uniform(seed, "moment", dossier)) - days_after * DAY_S
    service = np.full(len(dossier), len(scenario.demand.services) + number)
    agency = _surge_agency(scenario, agencies, surge, dossier)
    # A surge keeps no office hours: what is not handled online to its end is filed online all the same.
    return dossier, agency, online, at_s + filed_s, ~online, service


def _surge_agency(scenario: Scenario, agencies: Agencies, surge: Surge, dossier: np.ndarray) -> np.ndarray:
    if surge.agency is None:
        return _agency_of(scenario, agencies, dossier)
    return np.full(len(dossier), agencies.code.index(surge.agency))


def _numbered(seed: int, stream: str, calendar: Calendar, day: int, mean: float, first: int) -> np.ndarray:
    """The numbers of a day's dossiers from a serial on: a Poisson count of the given mean, keyed by the day."""
    on = calendar.days[day]
    count = int(poisson.ppf(uniform(seed, stream, on.toordinal())[0], mean)) if mean > 0 else 0
    return dossier_number(on, first) + np.arange(count, dtype=np.int64)


def _agency_of(scenario: Scenario, agencies: Agencies, dossier: np.ndarray) -> np.ndarray:
    return np.searchsorted(_agency_edges(agencies), uniform(scenario.seed, "agency", dossier))


def _agency_edges(agencies: Agencies) -> Floats:
    """Where each agency's part of (0, 1) ends but the last one's, which has the rest whatever the rounding."""
    return (np.cumsum(agencies.volume_per_day) / agencies.volume_per_day.sum())[:-1]


def _service_edges(agencies: Agencies) -> Floats:
    """The same of the services within each agency's group; other groups' services have no width."""
    edges = np.cumsum(agencies.service_parts, axis=1)
    return np.ascontiguousarray(edges / edges[:, -1:])


def _hours_passed(weights: Sequence[float]) -> Floats:
    """The share of the day's total that has come by each full hour (0 to 24)."""
    return np.concatenate([[0.0], np.cumsum(weights)]) / np.sum(weights)


def invert_hours(weights: Sequence[float], share: Floats) -> Floats:
    """The hour of the day (0 to 24) by which a `share` (0 to 1) of the day's total has come; rates constant by hour."""
    total = _hours_passed(weights)
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

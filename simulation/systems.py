"""The country's systems through a year: every visit of every journey at its station, day after day (Numba).

A station is servers who take one visit each, first come first served. Visits are taken in order of time, so that a
station is its servers' free times (Kiefer and Wolfowitz 1955) and a visit's wait is known when it comes. Journeys under
way at midnight go on the next day; memory holds them and what a few minutes start.

Times are keyed by dossier and step. Waits are counted in classes that rise by one percent each: a quantile is right to
one percent.
"""

import itertools
import math
from typing import NamedTuple

import numpy as np

from caodiem.errors import UsageError
from caodiem.year import YearScenario
from simulation.chances import chance_of_two, exponential, mixed, words
from simulation.compiling import inlined, machine_code
from simulation.demand import DAY_S
from simulation.heap import EVENT, pop, push, take_first
from simulation.journeys import JOURNEYS
from simulation.ledger import CLASS_S, CLASSES
from simulation.machine import borrowed
from simulation.starts import START, batches_of, causes, gathered, in_order, journeys_of

_HOUR_S = 3600.0
# Classes of waits: the first ends at `_LEAST_S`, each of the others is a hundredth wider than the one below; the last
# one, from 67 years on, has no end.
_LEAST_S, _STEP, _WAITS = 1e-5, 0.01, 3300

_GOING = np.dtype([("key", "u8"), ("visit", "i8"), ("end", "i8")])
# A visit of a journey: its station, its mean service, whether it is exponential, the pause to think before it.
_VISIT = np.dtype([("station", "i8"), ("exponential", "i8"), ("mean_s", "f8"), ("think_s", "f8"), ("key", "u8")])
STATION = np.dtype([("visits", "i8"), ("waited", "i8"), ("wait_s", "f8"), ("busy_s", "f8")])
# A slot of a journey under way; what is left of a place in the heap is the order in which they came.
_GOING_BITS = 24
_MOST_GOING = 1 << _GOING_BITS
_PENDING, _FREE, _CAME = range(3)
_QUANTITIES = ("service", "think")
_SERVICE, _THINK = range(2)


class _Journeys(NamedTuple):
    """The journeys as visits: those of journey j stand from `first[j]` to `first[j + 1]`."""

    visits: np.ndarray
    first: np.ndarray
    words: np.ndarray


class _Stations(NamedTuple):
    """The free times of the servers of station s stand from `edges[s]` to `edges[s + 1]`; what was counted of it."""

    edges: np.ndarray
    free_s: np.ndarray
    stations: np.ndarray
    waits: np.ndarray
    per_hour: np.ndarray


class _UnderWay(NamedTuple):
    """Journeys under way: the slots that they stand in, the heap of their next visits, and the slots that are free."""

    going: np.ndarray
    heap: np.ndarray
    free: np.ndarray
    counts: np.ndarray


class Systems:
    """The stations and the journeys under way in them. `per_hour` counts visits by hour of the year and station."""

    def __init__(self, scenario: YearScenario, agencies: int, days: int) -> None:
        self._names = list(scenario.year.stations)
        self._journeys = _journeys(scenario)
        self._causes = causes(scenario, agencies)
        servers = [int(each.servers.value) for each in scenario.year.stations.values()]
        edges = np.concatenate([[0], np.cumsum(servers)])
        self.stations = np.zeros(len(servers), dtype=STATION)
        self.waits = np.zeros((len(servers), _WAITS), dtype=np.int64)
        self.per_hour = np.zeros((24 * days, len(servers)), dtype=np.int64)
        free_s = np.full(edges[-1], -np.inf)
        self._stations = _Stations(edges, free_s, self.stations, self.waits, self.per_hour)
        nothing = np.empty(0, dtype=np.int64)
        counts = np.zeros(3, dtype=np.int64)
        self._under_way = _UnderWay(np.empty(0, dtype=_GOING), np.empty(0, dtype=EVENT), nothing, counts)
        self._left = np.empty(0, dtype=START)
        self._failed: UsageError | None = None

    def advance(self, rows: np.ndarray, edges: np.ndarray, day: int) -> None:
        """Take in the events of `day` (as of `Ledger.take`; 0, 1, …; earlier is warm-up) and serve its visits.

        UsageError where more journeys wait than anybody could count, since a station has too few servers; the same
        on every later day, since that one was left in its middle.
        """
        if self._failed:
            raise self._failed
        waiting = gathered(self._causes)
        # One of each pass and one of each event that waits; no memory is taken by what is not written.
        room = len(self._left) + len(rows) * (self._causes.most + len(self._causes.passes)) + waiting.events.size
        try:
            self._under_way, self._left = _through_day(
                float(day * DAY_S), rows, edges, self._causes, waiting, self._left, room, self._journeys,
                self._stations, self._under_way,
            )  # fmt: skip
        except OverflowError as error:
            self._failed = UsageError(
                f"year.stations.{self._latest()}.servers: more than {_MOST_GOING:,} journeys are under way on "
                f"day {day} of the year; expected more servers, since more work comes than they do"
            )
            raise self._failed from error

    def _latest(self) -> str:
        """The station whose servers are taken for longest."""
        free_s = [self._stations.free_s[a:b].min() for a, b in itertools.pairwise(self._stations.edges)]
        return self._names[int(np.argmax(free_s))]


def _journeys(scenario: YearScenario) -> _Journeys:
    """Of the scenario's stations; an operation without services is answered at once."""
    stations = list(scenario.year.stations)
    visits, first = [], [0]
    for steps in JOURNEYS.values():
        think_s = 0.0
        for number, operation in enumerate(steps):
            for place, service in enumerate(each for each in scenario.year.services if each.operation == operation):
                row = stations.index(service.station), service.variation.value, service.mean.value / 1000, think_s
                # Steps are told apart by journey, step and place, as a key of their own.
                visits.append((*row, mixed(len(first) << 16 | number << 8 | place)))
                think_s = 0.0
            think_s += scenario.traffic.think_time.value
        first.append(len(visits))
    return _Journeys(np.array(visits, dtype=_VISIT), np.array(first), words(scenario.seed, _QUANTITIES))


def quantile_s(counted: np.ndarray, share: float) -> float:
    """The wait that this share of visits does not exceed, right to one percent, from a row of `Systems.waits`.

    Infinite where it lies in the last class, NaN where nobody came.
    """
    if not counted.sum():
        return float("nan")
    number = int(np.searchsorted(np.cumsum(counted), share * counted.sum()))
    if number == _WAITS - 1:
        return math.inf
    return 0.0 if number == 0 else _LEAST_S * float(np.exp(_STEP * (number - 0.5)))


@machine_code
def _through_day(
    day_s, rows, edges, known, waiting, left, room, journeys, stations, under_way
):  # type: ignore[no-untyped-def]  # fmt: skip
    """Class after class of the day: what its events start, in order, served. Returns what is left for the next day."""
    starts, ordered = np.empty(room, dtype=START), np.empty(room, dtype=START)
    starts[: len(left)] = left
    count = len(left)
    for number in range(CLASSES):
        from_s, until_s = day_s + number * CLASS_S, day_s + (number + 1) * CLASS_S
        count = journeys_of(rows[edges[number] : edges[number + 1]], day_s, known, waiting, starts, count)
        last = number + 1 == CLASSES
        count = batches_of(np.inf if last else until_s, day_s, known, waiting, starts, count)
        now = in_order(starts[:count], ordered, from_s, until_s)
        under_way = _with_room(under_way, now)
        _serve(until_s, ordered[:now], journeys, stations, under_way)
        starts[: count - now] = ordered[now:count]
        count -= now
    return under_way, starts[:count].copy()


@machine_code
def _with_room(under_way, more):  # type: ignore[no-untyped-def]
    """The same journeys under way, with room for so many more. OverflowError where there are too many."""
    free = under_way.counts[_FREE]
    if more <= free:
        return under_way
    had = len(under_way.going)
    needed = had + more - free
    if needed > _MOST_GOING:
        raise OverflowError("more journeys under way than there are slots")
    room = min(2 * needed, _MOST_GOING)
    going, heap, slots = np.empty(room, dtype=_GOING), np.empty(room, dtype=EVENT), np.empty(room, dtype=np.int64)
    going[:had], heap[:had], slots[:free] = under_way.going, under_way.heap, under_way.free[:free]
    slots[free : free + room - had] = np.arange(had, room)
    # Its own counts: should the day end in an error, the shorter arrays stay with counts that they hold.
    counts = under_way.counts.copy()
    counts[_FREE] += room - had
    return _UnderWay(going, heap, slots, counts)


@machine_code
def _serve(until_s, starts, journeys, stations, under_way):  # type: ignore[no-untyped-def]
    """Take visit after visit before `until_s`, of `starts` and of journeys under way."""
    journeys, stations, under_way = borrowed(journeys), borrowed(stations), borrowed(under_way)
    starts, heap, counts, visits, at = borrowed(starts), under_way.heap, under_way.counts, journeys.visits, 0
    while True:
        start_s = starts[at].at_s if at < len(starts) else np.inf
        if counts[_PENDING] and heap[0].time_s <= start_s:
            if heap[0].time_s >= until_s:
                break
            now_s, key, visit, end = _next(under_way)
        elif at < len(starts):
            now_s, key, journey = start_s, starts[at].key, starts[at].journey
            visit, end = journeys.first[journey], journeys.first[journey + 1]
            at += 1
            if visit == end:
                continue
        else:
            break
        next_s = _served(now_s, key, visits[visit], journeys.words, stations)
        if visit + 1 < end:
            after = visits[visit + 1]
            if after.think_s > 0:
                next_s += exponential(after.think_s, chance_of_two(journeys.words[_THINK], key, after.key))
            _goes_on(next_s, key, visit + 1, end, under_way)


@inlined
def _served(now_s, key, visit, word, stations):  # type: ignore[no-untyped-def]
    """When a visit that comes now will have been served; it is counted."""
    service_s = visit.mean_s
    if visit.exponential:
        service_s = exponential(service_s, chance_of_two(word[_SERVICE], key, visit.key))
    first, end = stations.edges[visit.station], stations.edges[visit.station + 1]
    begins_s = max(now_s, stations.free_s[first])
    take_first(stations.free_s, first, end, begins_s + service_s)
    hour = math.floor(now_s / _HOUR_S)
    if 0 <= hour < len(stations.per_hour):
        stations.per_hour[hour, visit.station] += 1
        _count(begins_s - now_s, service_s, visit.station, stations.stations, stations.waits)
    return begins_s + service_s


@inlined
def _next(under_way):  # type: ignore[no-untyped-def]
    """The first of the journeys under way leaves its slot; time, key, visit, end of its visits."""
    now_s, place = pop(under_way.heap, under_way.counts)
    slot = place & ((1 << _GOING_BITS) - 1)
    journey = under_way.going[slot]
    under_way.free[under_way.counts[_FREE]] = slot
    under_way.counts[_FREE] += 1
    return now_s, journey.key, journey.visit, journey.end


@inlined
def _goes_on(next_s, key, visit, end, under_way):  # type: ignore[no-untyped-def]
    """Put a journey into a slot until its next visit; of two at one instant, the one that was put there first."""
    counts = under_way.counts
    counts[_FREE] -= 1
    slot = under_way.free[counts[_FREE]]
    going = under_way.going[slot]
    going.key, going.visit, going.end = key, visit, end
    counts[_CAME] += 1
    push(next_s, counts[_CAME] << _GOING_BITS | slot, under_way.heap, counts)


@inlined
def _count(wait_s, service_s, number, stations, waits):  # type: ignore[no-untyped-def]
    station = stations[number]
    station.visits += 1
    station.busy_s += service_s
    place = 0
    if wait_s > 0:
        station.waited += 1
        station.wait_s += wait_s
        if wait_s > _LEAST_S:
            place = min(1 + int(math.log(wait_s / _LEAST_S) / _STEP), _WAITS - 1)
    waits[number, place] += 1

"""The country's systems through a year: every visit of every journey at its station, day after day (Numba).

A station is servers who take one visit each, first come first served. Visits are taken in order of time, so that a
station is its servers' free times (Kiefer and Wolfowitz 1955) and a visit's wait is known when it comes. Journeys under
way at midnight go on the next day; memory holds them and one day's starts.

Times are keyed by dossier and step. Waits are counted in classes that rise by one percent each: a quantile is right to
one percent.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit

from caodiem.year import YearScenario
from simulation.cases import NUMBER, Channel
from simulation.chances import chance_of_two, exponential, mixed, words
from simulation.demand import DAY_S
from simulation.heap import EVENT, pop, push, take_first
from simulation.journeys import JOURNEYS, STARTS, SYNCED

_HOUR_S = 3600.0
# Classes of waits: the first ends at `_LEAST_S`, each of the others is a hundredth wider than the one below.
_LEAST_S, _STEP, _CLASSES = 1e-5, 0.01, 2400
_TICKS_PER_S = 10  # starts are put in order by tenths of a second first

_START = np.dtype([("at_s", "f8"), ("key", "u8"), ("journey", "i2"), ("agency", "i2")], align=True)
_GOING = np.dtype([("key", "u8"), ("visit", "i4"), ("end", "i4")], align=True)
# A visit of a journey: its station, its mean service, whether it is exponential, the pause to think before it.
_VISIT = np.dtype([("station", "i4"), ("exponential", "i4"), ("mean_s", "f8"), ("think_s", "f8"), ("number", "u8")])
STATION = np.dtype([("visits", "i8"), ("waited", "i8"), ("wait_s", "f8"), ("busy_s", "f8")])
_GOING_BITS = 24
_PENDING, _FREE, _CAME = range(3)
_SYNC = list(JOURNEYS).index("agency_syncs")
_QUANTITIES = ("service", "think", "sync phase")
_SERVICE, _THINK, _PHASE = range(3)


@dataclass(frozen=True, slots=True)
class Journeys:
    """The journeys as visits: those of journey j stand from `first[j]` to `first[j + 1]`.

    `starts[event, channel, n]` is the n-th journey that an event starts, -1 for none; `synced[event]` whether it is
    reported.
    """

    visits: np.ndarray
    first: np.ndarray
    starts: np.ndarray
    synced: np.ndarray


def journeys(scenario: YearScenario) -> Journeys:
    """Of the scenario's stations; an operation without services is answered at once."""
    stations = list(scenario.year.stations)
    visits, first = [], [0]
    for steps in JOURNEYS.values():
        think_s = 0.0
        for number, operation in enumerate(steps):
            for place, service in enumerate(each for each in scenario.year.services if each.operation == operation):
                row = stations.index(service.station), service.variation.value, service.mean.value / 1000, think_s
                visits.append((*row, len(JOURNEYS) * (8 * number + place) + len(first)))
                think_s = 0.0
            think_s += scenario.traffic.think_time.value
        first.append(len(visits))
    starts = np.full((len(NUMBER), len(Channel), len(STARTS)), -1, dtype=np.int64)
    for start in STARTS:
        for channel in start.channels:
            row = starts[NUMBER[start.event], channel]
            row[np.argmax(row < 0)] = list(JOURNEYS).index(start.journey)
    synced = np.array([event in SYNCED for event in NUMBER])
    return Journeys(np.array(visits, dtype=_VISIT), np.array(first), starts, synced)


class Systems:
    """The stations and the journeys under way in them. `per_hour` counts visits by hour of the year and station."""

    def __init__(self, scenario: YearScenario, agencies: int, days: int) -> None:
        self._journeys = journeys(scenario)
        servers = [int(each.servers.value) for each in scenario.year.stations.values()]
        self._edges = np.concatenate([[0], np.cumsum(servers)])
        self._free_s = np.full(self._edges[-1], -np.inf)
        self.stations = np.zeros(len(servers), dtype=STATION)
        self.waits = np.zeros((len(servers), _CLASSES), dtype=np.int64)
        self.per_hour = np.zeros((24 * days, len(servers)), dtype=np.int64)
        self._later = np.empty(0, dtype=_START)
        self._going = np.empty(1 << 12, dtype=_GOING)
        self._heap = np.empty(len(self._going), dtype=EVENT)
        self._free = np.arange(len(self._going))
        self._counts = np.array([0, len(self._going), 0], dtype=np.int64)
        self._words = words(scenario.seed, _QUANTITIES)
        self._sync = np.array([scenario.traffic.sync_period.value, scenario.traffic.sync_batch.value])
        self._gathered = np.zeros(agencies, dtype=np.int64)  # events that wait for the agency's next pass

    def advance(self, rows: np.ndarray, day: int) -> None:
        """Take in the events (`ROW`) that became known, and serve every visit of `day` (0, 1, …; earlier: warm-up)."""
        known = self._journeys
        until_s = (day + 1.0) * DAY_S
        starts = np.empty(len(rows) * int((known.starts >= 0).sum(axis=2).max() + 1), dtype=_START)
        count = _starts_of(rows, known.starts, known.synced, starts)
        starts = np.concatenate([self._later, starts[:count]])
        order, now = _in_order(starts, day * float(DAY_S))
        self._later = starts[order[now:]]
        at = 0
        while at < now or (self._counts[_PENDING] and self._heap[0]["time_s"] < until_s):
            before = at, int(self._counts[_PENDING])
            at = _serve(
                until_s, starts, order[:now], at, known.visits, known.first, self._edges, self._free_s, self.stations,
                self.waits, self.per_hour, self._going, self._heap, self._free, self._counts, self._words, self._sync,
                self._gathered,
            )  # fmt: skip
            if self._counts[_FREE] < 2:
                self._make_room()
            elif before == (at, int(self._counts[_PENDING])):
                break

    def _make_room(self) -> None:
        had = len(self._going)
        self._going = np.concatenate([self._going, np.empty(had, dtype=_GOING)])
        self._heap = np.concatenate([self._heap, np.empty(had, dtype=EVENT)])
        free = int(self._counts[_FREE])
        self._free = np.concatenate([self._free[:free], np.arange(had, 2 * had), np.empty(had - free, dtype=np.int64)])
        self._counts[_FREE] = free + had


def quantile_s(counted: np.ndarray, share: float) -> float:
    """The wait that this share of visits does not exceed, right to one percent, from a row of `Systems.waits`."""
    if not counted.sum():
        return float("nan")
    number = int(np.searchsorted(np.cumsum(counted), share * counted.sum()))
    return 0.0 if number == 0 else _LEAST_S * float(np.exp(_STEP * (number - 0.5)))


_function = njit(cache=True, nogil=True)


@_function
def _starts_of(rows, starts_of, synced, starts):  # type: ignore[no-untyped-def]
    """The journeys that events start; an event to be reported is a start of the sync, told apart by its key."""
    count = 0
    for row in rows:
        for journey in starts_of[row.event, row.channel]:
            if journey < 0:
                break
            start = starts[count]
            start.at_s, start.key, start.journey, start.agency = row.at_s, mixed(row.dossier), journey, row.agency
            count += 1
        if synced[row.event]:
            start = starts[count]
            start.at_s, start.key, start.journey, start.agency = row.at_s, mixed(row.dossier), _SYNC, row.agency
            count += 1
    return count


@_function
def _in_order(starts, from_s):  # type: ignore[no-untyped-def]
    """(order, now): the starts in order of time, those of the day that begins at `from_s` first; their number.

    Counted by tenths of a second, then sorted within each. At one instant in order of key and journey.
    """
    ticks = DAY_S * _TICKS_PER_S
    at = np.zeros(ticks + 2, dtype=np.int64)
    tick = np.empty(len(starts), dtype=np.int32)
    for number in range(len(starts)):
        # What happened in the night before is taken at midnight.
        tick[number] = min(max(int((starts[number].at_s - from_s) * _TICKS_PER_S), 0), ticks)
        at[tick[number] + 1] += 1
    first = np.cumsum(at)
    at = first.copy()
    now = first[ticks]
    order = np.empty(len(starts), dtype=np.int32)
    for number in range(len(starts)):
        place = at[tick[number]]
        at[tick[number]] += 1
        if tick[number] < ticks:
            while place > first[tick[number]] and _later(starts[order[place - 1]], starts[number]):
                order[place] = order[place - 1]
                place -= 1
        order[place] = number
    return order, now


@njit(inline="always")
def _later(start, other):  # type: ignore[no-untyped-def]
    if start.at_s != other.at_s:
        return start.at_s > other.at_s
    return start.key > other.key or (start.key == other.key and start.journey > other.journey)


@_function
def _serve(
    until_s, starts, order, at, visits, first, edges, free_s, stations, waits, per_hour, going, heap, free, counts,
    word, sync, gathered,
):  # type: ignore[no-untyped-def]  # fmt: skip
    """Take visit after visit before `until_s`; returns how many starts were taken, fewer when room ran out."""
    while counts[_FREE] >= 2:
        start_s = np.inf
        if at < len(order):
            start_s = starts[order[at]].at_s
        if counts[_PENDING] and heap[0].time_s <= start_s:
            if heap[0].time_s >= until_s:
                break
            now_s, place = pop(heap, counts)
            slot = place & ((1 << _GOING_BITS) - 1)
            key, visit, end = going[slot].key, going[slot].visit, going[slot].end
            free[counts[_FREE]] = slot
            counts[_FREE] += 1
            if visit < 0:
                # An agency's pass: a batch for so many events, one after the other.
                agency = -visit - 1
                batches = -(-gathered[agency] // int(sync[1]))
                gathered[agency] = 0
                for batch in range(batches):
                    _visit(
                        now_s,
                        key + np.uint64(batch),
                        visits[first[_SYNC]],
                        edges,
                        free_s,
                        stations,
                        waits,
                        per_hour,
                        word,
                    )
                continue
        elif at < len(order):
            start = starts[order[at]]
            at += 1
            now_s, key = start.at_s, start.key
            if start.journey == _SYNC:
                _gather(now_s, start, first, visits, sync, gathered, going, heap, free, counts, word)
                continue
            visit, end = first[start.journey], first[start.journey + 1]
        else:
            break
        if visit == end:
            continue
        next_s = _visit(now_s, key, visits[visit], edges, free_s, stations, waits, per_hour, word)
        if visit + 1 < end:
            if visits[visit + 1].think_s > 0:
                drawn = chance_of_two(word[_THINK], key, mixed(np.int64(visits[visit + 1].number)))
                next_s += exponential(visits[visit + 1].think_s, drawn)
            _go_on(next_s, key, visit + 1, end, going, heap, free, counts)
    return at


@_function
def _gather(now_s, start, first, visits, sync, gathered, going, heap, free, counts, word):  # type: ignore[no-untyped-def]
    """An event waits for its agency's next pass, which is planned with the first of them."""
    agency = start.agency
    gathered[agency] += 1
    phase_s = sync[0] * chance_of_two(word[_PHASE], mixed(np.int64(agency)), mixed(np.int64(0)))
    number = np.int64(np.ceil((now_s - phase_s) / sync[0]))
    if gathered[agency] == 1 and first[_SYNC] < first[_SYNC + 1]:
        _go_on(max(number * sync[0] + phase_s, now_s), start.key, -agency - 1, 0, going, heap, free, counts)


@_function
def _go_on(next_s, key, visit, end, going, heap, free, counts):  # type: ignore[no-untyped-def]
    counts[_FREE] -= 1
    slot = free[counts[_FREE]]
    going[slot].key, going[slot].visit, going[slot].end = key, visit, end
    counts[_CAME] += 1
    push(next_s, counts[_CAME] << _GOING_BITS | slot, heap, counts)


@_function
def _visit(now_s, key, visit, edges, free_s, stations, waits, per_hour, word):  # type: ignore[no-untyped-def]
    """One arrival at a station, its wait and its service; returns when it has been served."""
    service_s = visit.mean_s
    if visit.exponential:
        service_s = exponential(service_s, chance_of_two(word[_SERVICE], key, mixed(np.int64(visit.number))))
    servers = free_s[edges[visit.station] : edges[visit.station + 1]]
    begins_s = max(now_s, servers[0])
    take_first(servers, begins_s + service_s)
    hour = int(now_s // _HOUR_S)
    if 0 <= hour < len(per_hour):
        station = stations[visit.station]
        station.visits += 1
        station.busy_s += service_s
        number = 0
        wait_s = begins_s - now_s
        if wait_s > 0:
            station.waited += 1
            station.wait_s += wait_s
            if wait_s > _LEAST_S:
                number = min(1 + int(np.log(wait_s / _LEAST_S) / _STEP), _CLASSES - 1)
        waits[visit.station, number] += 1
        per_hour[hour, visit.station] += 1
    return begins_s + service_s

"""The country's systems through a year: every visit of every journey at its station, day after day (Numba).

A station is servers who take one visit each, first come first served. Visits are taken in order of time, so that a
station is its servers' free times (Kiefer and Wolfowitz 1955) and a visit's wait is known when it comes. Journeys under
way at midnight go on the next day; memory holds them and one day's starts.

Times are keyed by dossier and step. Waits are counted in classes that rise by one percent each: a quantile is right to
one percent.
"""

import math
from dataclasses import dataclass

import numpy as np
from numba import njit

from caodiem.draws import uniform
from caodiem.year import YearScenario
from simulation.cases import NUMBER, Channel
from simulation.chances import chance, chance_of_two, exponential, mixed, words
from simulation.demand import DAY_S
from simulation.heap import EVENT, pop, push, take_first
from simulation.journeys import GATHERED, JOURNEYS, STARTS

_HOUR_S = 3600.0
# Classes of waits: the first ends at `_LEAST_S`, each of the others is a hundredth wider than the one below.
_LEAST_S, _STEP, _CLASSES = 1e-5, 0.01, 2400
# Starts are put in order by classes of minutes, then by tenths of a second, then one by one.
_ROUGH, _TICKS_PER_S = 256, 10
_ROUGH_S = DAY_S / _ROUGH

_START = np.dtype([("at_s", "f8"), ("key", "u8"), ("journey", "i8")])
_GOING = np.dtype([("key", "u8"), ("visit", "i8"), ("end", "i8")])
# A visit of a journey: its station, its mean service, whether it is exponential, the pause to think before it.
_VISIT = np.dtype([("station", "i8"), ("exponential", "i8"), ("mean_s", "f8"), ("think_s", "f8"), ("key", "u8")])
STATION = np.dtype([("visits", "i8"), ("waited", "i8"), ("wait_s", "f8"), ("busy_s", "f8")])
_GOING_BITS = 24
_PENDING, _FREE, _CAME = range(3)
_QUANTITIES = ("service", "think")
_SERVICE, _THINK = range(2)


# What an event starts: a journey, for a share of the dossiers, so long after it.
_CAUSE = np.dtype([("journey", "i8"), ("share", "f8"), ("word", "u8"), ("after_s", "f8")])
# Passes of each agency: how far apart, what they start, the most events that one batch takes.
_PASSES = np.dtype([("period_s", "f8"), ("journey", "i8"), ("most", "i8")])


@dataclass(frozen=True, slots=True)
class Journeys:
    """The journeys as visits: those of journey j stand from `first[j]` to `first[j + 1]`.

    `causes[event, channel, n]` is the n-th journey that an event starts, -1 for none; `gathers[event, p]` says whether
    an event waits for the p-th kind of `passes`.
    """

    visits: np.ndarray
    first: np.ndarray
    causes: np.ndarray
    passes: np.ndarray
    gathers: np.ndarray

    @property
    def most(self) -> int:
        """The most journeys that one event starts."""
        return int((self.causes["journey"] >= 0).sum(axis=2).max())


def journeys(scenario: YearScenario) -> Journeys:
    """Of the scenario's stations; an operation without services is answered at once."""
    visits, first = _visits(scenario)
    asked, names = scenario.traffic, list(JOURNEYS)
    causes = np.full((len(NUMBER), len(Channel), len(STARTS)), -1, dtype=_CAUSE)
    for start in STARTS:
        share = getattr(asked, start.share).value / 100 if start.share else 1.0
        (word,) = words(scenario.seed, (f"{start.event} {start.journey}",))
        after_s = scenario.casework.pause.value if start.later else 0.0
        for channel in start.channels:
            row = causes[NUMBER[start.event], channel]
            row[np.argmax(row["journey"] < 0)] = names.index(start.journey), share, word, after_s
    passes = np.empty(len(GATHERED), dtype=_PASSES)
    for number, each in enumerate(GATHERED):
        most = getattr(asked, each.batch).value if each.batch else np.iinfo(np.int64).max
        passes[number] = getattr(asked, each.period).value, names.index(each.journey), most
    gathers = np.array([[event in each.events for each in GATHERED] for event in NUMBER])
    return Journeys(visits, first, causes, passes, gathers)


def _visits(scenario: YearScenario) -> tuple[np.ndarray, np.ndarray]:
    """Every journey's visits, one journey after the other, and where each begins."""
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
    return np.array(visits, dtype=_VISIT), np.array(first)


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
        # The starts of a day as they come, the first `_left` from the day before, and in order; kept from day to day,
        # since fresh memory costs more than what is written into it.
        self._starts = self._rough = self._ordered = np.empty(0, dtype=_START)
        self._left = 0
        self._going = np.empty(1 << 12, dtype=_GOING)
        self._heap = np.empty(len(self._going), dtype=EVENT)
        self._free = np.arange(len(self._going))
        self._counts = np.array([0, len(self._going), 0], dtype=np.int64)
        self._words = words(scenario.seed, _QUANTITIES)
        number = np.arange(agencies)
        phases = [each * uniform(scenario.seed, f"phase {n}", number) for n, each in enumerate(self._periods_s)]
        self._phase_s = np.array(phases)

    @property
    def _periods_s(self) -> np.ndarray:
        return self._journeys.passes["period_s"]

    def advance(self, rows: np.ndarray, day: int) -> None:
        """Take in the events of `day` (`ROW`; 0, 1, …; earlier is warm-up) and serve every visit of that day."""
        known, day_s = self._journeys, float(day * DAY_S)
        gathered = np.zeros((*self._phase_s.shape, int(DAY_S / self._periods_s.min()) + 2), dtype=np.int64)
        self._keep_room(len(rows) * known.most)
        left = self._left
        count = _starts_of(rows, known.causes, known.passes, known.gathers, self._starts, left, gathered, day_s,
                           self._phase_s)  # fmt: skip
        batches = _batches_of(gathered, day_s, known.passes, self._phase_s)
        self._keep_room(count - left + len(batches))
        self._starts[count : count + len(batches)] = batches
        count += len(batches)
        now = _in_order(self._starts[:count], self._rough[:count], self._ordered[:count], day_s)
        starts = self._ordered[:now]
        self._left = count - now
        self._starts[: self._left] = self._ordered[now:count]
        at = 0
        while True:
            at = _serve(
                day_s + DAY_S, starts, at, known.visits, known.first, self._edges, self._free_s, self.stations,
                self.waits, self.per_hour, self._going, self._heap, self._free, self._counts, self._words,
            )  # fmt: skip
            if self._counts[_FREE]:
                return
            self._make_room()

    def _keep_room(self, more: int) -> None:
        """Room for so many starts beside those left from yesterday."""
        if len(self._starts) < self._left + more:
            room = 2 * (self._left + more)
            self._starts = np.concatenate([self._starts, np.empty(room - len(self._starts), dtype=_START)])
            self._rough, self._ordered = np.empty((2, room), dtype=_START)

    def _make_room(self) -> None:
        had = len(self._going)
        self._going = np.concatenate([self._going, np.empty(had, dtype=_GOING)])
        self._heap = np.concatenate([self._heap, np.empty(had, dtype=EVENT)])
        self._free = np.concatenate([np.arange(had, 2 * had), np.empty(had, dtype=np.int64)])
        self._counts[_FREE] = had


def quantile_s(counted: np.ndarray, share: float) -> float:
    """The wait that this share of visits does not exceed, right to one percent, from a row of `Systems.waits`."""
    if not counted.sum():
        return float("nan")
    number = int(np.searchsorted(np.cumsum(counted), share * counted.sum()))
    return 0.0 if number == 0 else _LEAST_S * float(np.exp(_STEP * (number - 0.5)))


_function = njit(cache=True, nogil=True)


@_function
def _starts_of(
    rows, causes, passes, gathers, starts, count, gathered, day_s, phase_s
):  # type: ignore[no-untyped-def]  # fmt: skip
    """Write the journeys that events start behind the first `count` of `starts`; returns how many those are then.

    `gathered[p, agency, n]` counts what waits for the n-th pass from now.
    """
    for number in range(len(rows)):
        row = rows[number]
        key = mixed(row.dossier)
        for nth in range(causes.shape[2]):
            cause = causes[row.event, row.channel, nth]
            if cause.journey < 0:
                break
            if cause.share == 1.0 or chance(cause.word, key) < cause.share:
                starts[count].at_s, starts[count].key = row.at_s + cause.after_s, key
                starts[count].journey = cause.journey
                count += 1
        since_s = max(row.at_s - day_s, 0.0)
        for kind in range(len(passes)):
            if gathers[row.event, kind]:
                wait_s = max(since_s - phase_s[kind, row.agency], 0.0)
                gathered[kind, row.agency, int(np.ceil(wait_s / passes[kind].period_s))] += 1
    return count


@_function
def _batches_of(gathered, day_s, passes, phase_s):  # type: ignore[no-untyped-def]
    """A start for each batch of each agency's passes."""
    batches = 0
    for kind in range(len(passes)):
        for each in gathered[kind].ravel():
            batches += (each - 1) // passes[kind].most + 1
    starts = np.empty(batches, dtype=_START)
    count = 0
    for kind, agency, number in np.ndindex(gathered.shape):
        at_s = day_s + phase_s[kind, agency] + number * passes[kind].period_s
        for batch in range((gathered[kind, agency, number] - 1) // passes[kind].most + 1):
            starts[count].at_s, starts[count].journey = at_s, passes[kind].journey
            starts[count].key = mixed(mixed(np.int64(at_s)) ^ mixed(agency * 1_000_003 + batch))
            count += 1
    return starts


@_function
def _in_order(starts, rough, found, from_s):  # type: ignore[no-untyped-def]
    """Write `starts` into `found` in order of time, those of the day that begins at `from_s` first; returns how many.

    Put into classes of minutes, each of those into tenths of a second, and sorted within these: a class at a time stays
    in the processor's caches. At one instant in order of key and journey.
    """
    edges = _by_class(starts, rough, from_s, 1 / _ROUGH_S, _ROUGH)
    for number in range(_ROUGH):
        begin, end = edges[number], edges[number + 1]
        class_s = from_s + number * _ROUGH_S
        _by_class(rough[begin:end], found[begin:end], class_s, _TICKS_PER_S, int(_ROUGH_S * _TICKS_PER_S))
        for place in range(begin + 1, end):
            if not _is_later(found[place - 1], found[place].at_s, found[place].key, found[place].journey):
                continue
            at_s, key, journey = found[place].at_s, found[place].key, found[place].journey
            while place > begin and _is_later(found[place - 1], at_s, key, journey):
                found[place] = found[place - 1]
                place -= 1
            found[place].at_s, found[place].key, found[place].journey = at_s, key, journey
    found[edges[_ROUGH] :] = rough[edges[_ROUGH] :]
    return edges[_ROUGH]


@_function
def _by_class(starts, found, from_s, per_s, classes):  # type: ignore[no-untyped-def]
    """Write `starts` into `found` class by class; where each class begins, last those that are none of them.

    What is told late, since it happened while desks were closed, is taken in the first class.
    """
    begins = np.zeros(classes + 2, dtype=np.int64)
    for number in range(len(starts)):
        begins[_class(starts[number].at_s, from_s, per_s, classes) + 1] += 1
    for number in range(classes + 1):
        begins[number + 1] += begins[number]
    ends = begins.copy()
    for number in range(len(starts)):
        which = _class(starts[number].at_s, from_s, per_s, classes)
        found[ends[which]] = starts[number]
        ends[which] += 1
    return begins


@njit(inline="always")
def _class(at_s, from_s, per_s, classes):  # type: ignore[no-untyped-def]
    return min(max(int((at_s - from_s) * per_s), 0), classes)


@njit(inline="always")
def _is_later(start, at_s, key, journey):  # type: ignore[no-untyped-def]
    if start.at_s != at_s:
        return start.at_s > at_s
    return start.key > key or (start.key == key and start.journey > journey)


@_function
def _serve(
    until_s, starts, at, visits, first, edges, free_s, stations, waits, per_hour, going, heap, free, counts, word
):  # type: ignore[no-untyped-def]  # fmt: skip
    """Take visit after visit before `until_s`, or until no journey more can be under way; returns the starts taken."""
    while counts[_FREE]:
        start_s = starts[at].at_s if at < len(starts) else np.inf
        if counts[_PENDING] and heap[0].time_s <= start_s:
            if heap[0].time_s >= until_s:
                break
            now_s, place = pop(heap, counts)
            slot = place & ((1 << _GOING_BITS) - 1)
            key, at_visit, end = going[slot].key, going[slot].visit, going[slot].end
            free[counts[_FREE]] = slot
            counts[_FREE] += 1
        elif at < len(starts):
            now_s, key, journey = start_s, starts[at].key, starts[at].journey
            at += 1
            at_visit, end = first[journey], first[journey + 1]
            if at_visit == end:
                continue
        else:
            break
        visit = visits[at_visit]
        service_s = visit.mean_s
        if visit.exponential:
            service_s = exponential(service_s, chance_of_two(word[_SERVICE], key, visit.key))
        begins_s = max(now_s, free_s[edges[visit.station]])
        next_s = begins_s + service_s
        take_first(free_s, edges[visit.station], edges[visit.station + 1], next_s)
        hour = int(now_s // _HOUR_S)
        if 0 <= hour < len(per_hour):
            per_hour[hour, visit.station] += 1
            _count(begins_s - now_s, service_s, visit.station, stations, waits)
        if at_visit + 1 < end:
            after = visits[at_visit + 1]
            if after.think_s > 0:
                next_s += exponential(after.think_s, chance_of_two(word[_THINK], key, after.key))
            counts[_FREE] -= 1
            slot = free[counts[_FREE]]
            going[slot].key, going[slot].visit, going[slot].end = key, at_visit + 1, end
            counts[_CAME] += 1
            push(next_s, counts[_CAME] << _GOING_BITS | slot, heap, counts)
    return at


@njit(inline="always")
def _count(wait_s, service_s, number, stations, waits):  # type: ignore[no-untyped-def]
    station = stations[number]
    station.visits += 1
    station.busy_s += service_s
    place = 0
    if wait_s > 0:
        station.waited += 1
        station.wait_s += wait_s
        if wait_s > _LEAST_S:
            place = min(1 + int(math.log(wait_s / _LEAST_S) / _STEP), _CLASSES - 1)
    waits[number, place] += 1

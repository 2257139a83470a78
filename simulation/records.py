"""What the compiled engine works on: a network and its work as arrays of records, before anything happens.

State is kept in few arrays of records: Numba counts references to arrays, not to records.
"""

import math

import numpy as np

from simulation.heap import EVENT
from simulation.network import INFINITE, Network
from simulation.work import Work

NOBODY = -1

# A step: where its draws and its log are, which try it is at, and its neighbours in a queue.
STEP = np.dtype(
    [
        ("visit_at", "i8"),
        ("attempt_at", "i8"),
        ("think_s", "f8"),
        ("kind", "i4"),
        ("tries", "i4"),  # attempt and visit that it is at; NOBODY when it is over
        ("after", "i4"),
        ("before", "i4"),
        ("waits", "i4"),
        ("last", "i4"),  # of its journey
        ("entry", "i8"),  # the step by which its journey came in; NOBODY where there is no entrance
        ("state", "i8"),  # of the breaker that let its visit through
    ]
)
OPERATION = np.dtype(
    [
        ("first", "i8"),  # of its visits
        ("visits", "i8"),
        ("level", "i8"),  # the place of its priority among all priorities
        ("attempts", "i8"),
        ("timeout_s", "f8"),
        ("budget", "f8"),
        ("burst", "f8"),
    ]
)
VISIT = np.dtype([("station", "i8"), ("patient", "i8")])
# The changes of a station by time stand from x_at to x_end: its hours, what outages leave, how slow it is.
STATION = np.dtype(
    [
        ("queue", "i8"),
        ("servers", "i8"),  # that work now: the smaller of those that hours and outages leave
        ("refuses", "i8"),
        ("busy", "i8"),
        ("waiting", "i8"),
        ("entrance", "i8"),
        ("breaker", "i8"),  # its place among all breakers; NOBODY where there is none
        ("gap_s", "f8"),  # of its pace; 0 where it has none
        ("slack_s", "f8"),
        ("next_s", "f8"),
        ("awaits_token", "i8"),
        ("open", "i8"),
        ("limit", "i8"),
        ("period_s", "f8"),
        ("turn", "i8"),  # how often its calendar has begun again
        ("hours_at", "i8"),
        ("hours", "i8"),
        ("hours_end", "i8"),
        ("limit_at", "i8"),
        ("limit_end", "i8"),
        ("slow_at", "i8"),
        ("slow_end", "i8"),
    ]
)
# A breaker and what it remembers: the ends of the last visits while closed, as a ring within an array of all rings.
BREAKER = np.dtype(
    [
        ("share", "f8"),
        ("calls", "i8"),
        ("least", "i8"),
        ("open_s", "f8"),
        ("probes", "i8"),
        ("state", "i8"),  # how often it has changed
        ("open_until_s", "f8"),  # -inf when it is closed
        ("let_through", "i8"),  # probes since it is half open; NOBODY when it is not
        ("good", "i8"),  # probes that succeeded
        ("ring_at", "i8"),
        ("ended", "i8"),  # since it closed
        ("failures", "i8"),  # among those remembered
    ]
)
CHANGE = np.dtype([("from_s", "f8"), ("to_s", "f8"), ("servers", "i8"), ("refuses", "i8"), ("factor", "f8")])


def steps(network: Network, work: Work) -> np.ndarray:
    steps = np.empty(work.steps, dtype=STEP)
    steps["visit_at"], steps["attempt_at"] = work.visit_at[:-1], work.attempt_at[:-1]
    steps["think_s"], steps["kind"] = work.think_s, work.kind
    steps["tries"], steps["waits"], steps["last"] = NOBODY, 0, 0
    steps["last"][work.first[1:] - 1] = 1
    steps["entry"] = NOBODY
    if any(station.entrance for station in network.stations):
        enters = [any(network.stations[v.station].entrance for v in each.visits) for each in work.operations]
        entry = np.where(np.array(enters)[work.kind[work.first[:-1]]], work.first[:-1], NOBODY)
        steps["entry"] = np.repeat(entry, np.diff(work.first))
    return steps


def operations(work: Work) -> tuple[np.ndarray, np.ndarray, int]:
    """The operations, their visits, and how many priorities there are."""
    levels = sorted({each.priority for each in work.operations})
    operations = np.empty(len(work.operations), dtype=OPERATION)
    visits = []
    for number, each in enumerate(work.operations):
        retries = (each.retries.budget, each.retries.burst) if each.retries else (0.0, 0.0)
        level = levels.index(each.priority)
        operations[number] = (len(visits), len(each.visits), level, each.attempts, each.timeout_s, *retries)
        visits += [(visit.station, visit.patience is not None) for visit in each.visits]
    return operations, np.array(visits, dtype=VISIT), len(levels)


def stations(network: Network) -> tuple[np.ndarray, np.ndarray]:
    """The stations before anything happens, and all that changes in them with time."""
    stations = np.zeros(len(network.stations), dtype=STATION)
    changes: list[tuple[float, float, int, bool, float]] = []
    guarded = 0
    for station, each in zip(stations, network.stations, strict=True):
        hours = each.hours
        station["entrance"], station["breaker"] = each.entrance, NOBODY
        if each.breaker:
            station["breaker"] = guarded
            guarded += 1
        if each.pace:
            station["gap_s"], station["slack_s"] = each.pace.gap_s, each.pace.slack_s
        station["queue"] = np.iinfo(np.int64).max if each.queue is None else each.queue
        station["open"], station["limit"], station["period_s"] = hours.servers[0], INFINITE, hours.period_s
        station["servers"] = hours.servers[0]
        station["hours_at"] = station["hours"] = len(changes)
        changes += [(start, 0.0, n, False, 1.0) for start, n in zip(hours.starts_s, hours.servers, strict=True)]
        station["hours_end"] = station["limit_at"] = len(changes)
        changes += [(start, 0.0, n, refuses, 1.0) for start, n, refuses in each.limits()]
        station["limit_end"] = station["slow_at"] = len(changes)
        changes += [(slow.from_s, slow.to_s, 0, False, slow.factor) for slow in each.slowdowns]
        station["slow_end"] = len(changes)
    return stations, np.array(changes, dtype=CHANGE)


def breakers(network: Network) -> tuple[np.ndarray, np.ndarray]:
    """The breakers in the order of their stations, closed, and room for what they remember."""
    described = [station.breaker for station in network.stations if station.breaker]
    breakers = np.zeros(len(described), dtype=BREAKER)
    for breaker, each in zip(breakers, described, strict=True):
        for name in ("share", "calls", "least", "open_s", "probes"):
            breaker[name] = getattr(each, name)
    calls = breakers["calls"]
    breakers["ring_at"] = np.cumsum(calls) - calls
    breakers["open_until_s"], breakers["let_through"] = -np.inf, NOBODY
    return breakers, np.zeros(calls.sum(), dtype=np.int8)


def heap(network: Network, work: Work) -> np.ndarray:
    """Room for every event that can be pending; the operating system gives memory only to what is written.

    One of each journey, two changes and a token of each station, and what clients no longer wait for: patience,
    time-outs, and services that go on without their client.
    """
    room = work.arrivals + 3 * len(network.stations) + len(work.patience_s)
    if any(each.timeout_s < math.inf for each in work.operations):
        room += int(work.attempt_at[-1]) + int(work.visit_at[-1])
    return np.empty(room + 1, dtype=EVENT)

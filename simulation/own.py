"""A planner's own network: from its typed file to a network and to the work of one replication."""

import hashlib
import math

import numpy as np
from scipy.sparse import csr_array

from caodiem import network as described
from caodiem.behaviour import SECONDS, per_second, seconds
from caodiem.draws import uniform
from caodiem.network import ENTRANCE, NetworkScenario
from simulation import arrivals, distributions, expectation
from simulation import work as works
from simulation.distributions import Distribution
from simulation.groups import places
from simulation.network import (
    INFINITE,
    Calendar,
    Network,
    Operation,
    Pace,
    Station,
    Visit,
    breaker,
    outages,
    pace,
    retries,
    slowdowns,
)
from simulation.work import Steps, Work

Floats = np.ndarray
Integers = np.ndarray


def network_of(scenario: NetworkScenario) -> Network:
    """The stations, and an operation for each request of a journey, named `journey/number` (or by its station).

    Where admission is controlled, one station and one operation more, both called `entrance`, stand at the end.
    """
    stations = tuple(_station(each) for each in scenario.stations)
    operations = {name: each for name, each, _ in _requests(scenario)}
    if scenario.admission is not None:
        patience = distributions.of(scenario.admission.patience) if scenario.admission.patience else None
        operations[ENTRANCE] = Operation((Visit(len(stations), distributions.Fixed(0.0), patience),))
        stations = (*stations, _entrance(scenario.admission))
    return Network(stations, operations)


def journeys(scenario: NetworkScenario) -> list[str]:
    """The names by which journeys are reported; one where the file has none."""
    return [each.name for each in scenario.journeys] or ["all"]


def draw(scenario: NetworkScenario, network: Network, replication: int) -> tuple[Work, Integers]:
    """The work of one replication, and the journey of each arrival. UsageError where it would not fit into memory."""
    expectation.check_room(scenario)
    seed = seed_of(scenario.run.seed, replication)
    due_s, journey, entry = _arrivals(scenario, seed)
    operations = tuple(network.operations.values())
    if scenario.routes:
        first, step, kind = _walks(scenario, entry, seed)
    else:
        first, step, kind = _scripts(scenario, journey)
    if scenario.admission is not None:
        first, step, kind = _entered(first, step, kind, len(operations) - 1)
    arrival = np.repeat(np.arange(len(due_s)), np.diff(first))
    think_s = np.zeros(len(kind))
    for number, (name, _, think) in enumerate(_requests(scenario)):
        if think is not None:
            rows = np.flatnonzero((kind == number) & (step > 0))
            think_s[rows] = think.times_s(uniform(seed, f"think {name}", arrival[rows], step[rows]))
    return works.draw(network, operations, Steps(due_s, first, arrival, step, kind, think_s), seed), journey


def seed_of(seed: int, replication: int) -> int:
    """A seed of its own for each replication."""
    name = hashlib.blake2b(f"{seed}/replication {replication}".encode(), digest_size=8).digest()
    return int.from_bytes(name, "little") >> 1


def _arrivals(scenario: NetworkScenario, seed: int) -> tuple[Floats, Integers, Integers]:
    """Of each arrival, in order: due time, journey, and the station where it enters."""
    names, stations = journeys(scenario), [each.name for each in scenario.stations]
    parts = []
    for number, stream in enumerate(scenario.arrivals):
        due_s = _due_s(stream, seconds(scenario.run.horizon), seed, f"arrival {number}")
        if stream.journey is not None:
            journey = np.full(len(due_s), names.index(stream.journey))
        else:
            journey = _shared_out(scenario, len(due_s), seed, f"journey {number}")
        entry = np.full(len(due_s), stations.index(stream.to) if stream.to else 0)
        parts.append((due_s, journey, entry))
    due_s, journey, entry = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(due_s, kind="stable")
    return due_s[order], journey[order], entry[order]


def _due_s(stream: described.Arrivals, horizon_s: float, seed: int, name: str) -> Floats:
    if stream.rate is not None:
        return arrivals.poisson(per_second(stream.rate), horizon_s, seed, name)
    if stream.points is not None:
        repeat_s = seconds(stream.repeat) if stream.repeat is not None else math.inf
        return arrivals.by_rate(stream.points.value, repeat_s, horizon_s, seed, name)
    if stream.interval is not None:
        return arrivals.renewal(distributions.of(stream.interval), horizon_s, seed, name)
    assert stream.times is not None
    due_s = np.sort(np.array(stream.times.value) * SECONDS[stream.times.unit])
    return due_s[due_s < horizon_s]


def _shared_out(scenario: NetworkScenario, count: int, seed: int, name: str) -> Integers:
    """A journey for each of `count` arrivals, by the journeys' shares."""
    shares = np.cumsum([each.share.value for each in scenario.journeys] or [1.0])
    chance = uniform(seed, name, np.arange(count)) if count else np.empty(0)
    return np.searchsorted(shares, chance * shares[-1], side="right")


def _scripts(scenario: NetworkScenario, journey: Integers) -> tuple[Integers, Integers, Integers]:
    """(first, step, kind) of journeys whose steps are fixed."""
    lengths = np.array([len(each.requests()) for each in scenario.journeys] or [len(scenario.stations)])
    begins = np.concatenate([[0], np.cumsum(lengths)])[:-1]
    first = np.concatenate([[0], np.cumsum(lengths[journey])])
    step = np.arange(first[-1]) - np.repeat(first[:-1], lengths[journey])
    return first, step, np.repeat(begins[journey], lengths[journey]) + step


def _walks(scenario: NetworkScenario, entry: Integers, seed: int) -> tuple[Integers, Integers, Integers]:
    """(first, step, kind) of walks from station to station: one draw for each departure."""
    chances = expectation.chances(scenario)
    walking, here, number = np.arange(len(entry)), entry, 0
    visited = []
    while len(walking):
        visited.append((walking, here, np.full(len(walking), number)))
        onward = _onward(chances, here, uniform(seed, "route", walking, number))
        goes = onward < len(scenario.stations)
        walking, here, number = walking[goes], onward[goes], number + 1
    who, where, which = (np.concatenate(column) for column in zip(*visited, strict=True)) if visited else 3 * [entry]
    order = np.lexsort((which, who))
    first = np.concatenate([[0], np.cumsum(np.bincount(who, minlength=len(entry)))])
    return first, which[order], where[order]


def _onward(chances: csr_array, here: Integers, chance: Floats) -> Integers:
    """Where each goes on to from the station `here`; the number of stations stands for leaving."""
    stations, place = np.unique(here, return_inverse=True)
    onward = np.empty(len(here), dtype=np.int64)
    for station, rows in zip(stations, places(place, len(stations)), strict=True):
        own = slice(chances.indptr[station], chances.indptr[station + 1])
        leads_to = np.append(chances.indices[own], chances.shape[0])
        onward[rows] = leads_to[np.searchsorted(np.cumsum(chances.data[own]), chance[rows], side="right")]
    return onward


def _entered(first: Integers, step: Integers, kind: Integers, entrance: int) -> tuple[Integers, Integers, Integers]:
    """The same journeys, each with a step before its first one: number -1, so that the others keep their draws."""
    return (
        first + np.arange(len(first)),
        np.insert(step, first[:-1], -1),
        np.insert(kind, first[:-1], entrance),
    )


def _requests(scenario: NetworkScenario) -> list[tuple[str, Operation, Distribution | None]]:
    """Every request that journeys make, in their order: name, operation, time to think before it."""
    stations = {each.name: (number, each) for number, each in enumerate(scenario.stations)}
    again = retries(scenario.retries)
    if not scenario.journeys:
        return [
            (name, Operation((_visit(described.Visit(station=name), stations),), retries=again), None)
            for name in stations
        ]
    found = []
    for journey in scenario.journeys:
        for number, step in enumerate(journey.requests()):
            visits = tuple(_visit(visit, stations) for visit in step.visits for _ in range(visit.visits))
            timeout_s = seconds(step.timeout) if step.timeout is not None else math.inf
            operation = Operation(visits, journey.priority, timeout_s, again)
            found.append((f"{journey.name}/{number}", operation, distributions.of(step.think) if step.think else None))
    return found


def _visit(visit: described.Visit, stations: dict[str, tuple[int, described.Station]]) -> Visit:
    number, station = stations[visit.station]
    service, patience = visit.service or station.service, visit.patience or station.patience
    assert service is not None
    return Visit(number, distributions.of(service), distributions.of(patience) if patience else None)


def _station(given: described.Station) -> Station:
    return Station(
        given.name,
        int(given.servers.value),
        int(given.queue.value) if given.queue is not None else None,
        _calendar(given) if given.calendar else None,
        outages(given.outages),
        slowdowns(given.slowdowns),
        breaker(given.breaker),
        pace(given.pace),
    )


def _entrance(given: described.Admission) -> Station:
    """The station in which journeys are while they are under way, its queue those who wait outside."""
    return Station(
        ENTRANCE,
        int(given.inside.value) if given.inside is not None else INFINITE,
        int(given.room.value) if given.room is not None else None,
        pace=Pace(per_second(given.rate), given.burst) if given.rate is not None else None,
        entrance=True,
    )


def _calendar(station: described.Station) -> Calendar:
    """Opening intervals as the changes of a step function, one change where intervals touch."""
    assert station.calendar is not None
    changes = {0.0: 0}
    for from_s, to_s, servers in station.calendar.spans():
        changes[from_s] = int((servers or station.servers).value)
        if to_s < station.calendar.period_s:
            changes[to_s] = 0
    return Calendar(tuple(changes), tuple(changes.values()), station.calendar.period_s)

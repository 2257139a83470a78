"""Figures of one replication: pure functions of its work and its log, each a dictionary of numbers.

Counted are the arrivals (of a journey to the network, of a visit to a station) in [warm-up, horizon), to their end
however late; averages over time are taken over the same interval.
"""

import math
from typing import Any

import numpy as np

from simulation.groups import places
from simulation.log import End, Log, station_of_visits
from simulation.network import INFINITE, Network, Station
from simulation.work import Work

QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
Floats = np.ndarray
Figures = dict[str, Any]


def of_replication(
    network: Network, work: Work, log: Log, journey: np.ndarray, names: list[str], from_s: float, to_s: float
) -> Figures:
    """`system`, and `stations` and `journeys` by name."""
    # Most visits of most attempts are never made: what was made is looked at alone.
    made = np.flatnonzero(log.visits["end"] != End.NONE)
    visits, where = log.visits[made], station_of_visits(work)[made]
    of_visit = np.repeat(journey, np.diff(work.visit_at[work.first]))[made]
    ended = Ended(work, log)
    return {
        "system": _journeys(ended, np.ones(work.arrivals, dtype=bool), from_s, to_s),
        "stations": {
            station.name: _station(station, visits[here], from_s, to_s)
            for station, here in zip(network.stations, places(where, len(network.stations)), strict=True)
        },
        "journeys": {
            name: _journeys(ended, journey == number, from_s, to_s)
            | {"waits": _waits_at(network, visits[mine], where[mine], from_s, to_s)}
            for number, (name, mine) in enumerate(zip(names, places(of_visit, len(names)), strict=True))
        },
    }


class Ended:
    """How and when each journey ended, and how many attempts and steps it made."""

    def __init__(self, work: Work, log: Log) -> None:
        first_attempt = work.attempt_at[work.first[:-1]]
        made = log.attempts["end"] != End.NONE
        places = np.where(made, np.arange(len(made)), -1)
        last = np.maximum.reduceat(places, first_attempt) if work.arrivals else np.empty(0, dtype=np.int64)
        self.due_s = work.due_s
        self.ended_s = log.attempts["ended_s"][last]
        self.end = log.attempts["end"][last]
        # A step was reached when its first attempt was made; coming in through an entrance is no step of the client's.
        entered = (work.step[work.first[:-1]] < 0).astype(np.int64)
        self.attempts = _sums(made, first_attempt) - entered
        self.steps = _sums(made[work.attempt_at[:-1]], work.first[:-1]) - entered


def _journeys(ended: Ended, chosen: np.ndarray, from_s: float, to_s: float) -> Figures:
    counted = chosen & (ended.due_s >= from_s) & (ended.due_s < to_s)
    end, arrivals = ended.end[counted], int(counted.sum())
    ok = counted & (ended.end == End.OK)
    steps = int(ended.steps[counted].sum())
    return {
        "arrivals": arrivals,
        "completed": int(ok.sum()),
        "refused": int((end == End.REFUSED).sum()),
        "abandoned": int((end == End.ABANDONED).sum()),
        "timed_out": int((end == End.TIMED_OUT).sum()),
        "attempts_per_request": int(ended.attempts[counted].sum()) / steps if steps else math.nan,
        "response_s": Spread(ended.ended_s[ok] - ended.due_s[ok]),
        "number": present(ended.due_s[chosen], ended.ended_s[chosen], from_s, to_s),
    }


def _station(station: Station, visits: np.ndarray, from_s: float, to_s: float) -> Figures:
    counted = visits[(visits["came_s"] >= from_s) & (visits["came_s"] < to_s)]
    cut_off = int((counted["end"] == End.CUT_OFF).sum())
    counted = counted[counted["end"] != End.CUT_OFF]
    served = counted[counted["end"] == End.OK]
    entered = counted[counted["end"] != End.REFUSED]
    waits = np.where(entered["end"] == End.OK, entered["began_s"], entered["left_s"]) - entered["came_s"]
    begun = visits[visits["end"] == End.OK]  # at an entrance: of those inside
    busy = present(begun["began_s"], begun["left_s"], from_s, to_s)
    number = present(visits["came_s"], visits["left_s"], from_s, to_s)
    servers = mean_servers(station, from_s, to_s)
    return {
        "arrivals": len(counted),
        "served": len(served),
        "refused": int((counted["end"] == End.REFUSED).sum()),
        "abandoned": int(np.isin(counted["end"], (End.ABANDONED, End.TIMED_OUT)).sum()),
        "cut_off": cut_off,
        "waited": float((waits > 0).mean()) if len(waits) else math.nan,
        "wait_s": Spread(waits),
        "response_s": Spread(served["left_s"] - served["came_s"]),
        "number": number,
        "number_waiting": number - busy,
        "servers_busy": busy,
        "utilisation": busy / servers if servers and servers < INFINITE / 2 else math.nan,
    }


def _waits_at(network: Network, visits: np.ndarray, where: np.ndarray, from_s: float, to_s: float) -> dict[str, float]:
    """The mean wait of some arrivals' visits at each station, which priorities make differ."""
    came_s, end = visits["came_s"], visits["end"]
    entered = (end != End.REFUSED) & (end != End.CUT_OFF) & (came_s >= from_s) & (came_s < to_s)
    until_s = np.where(end == End.OK, visits["began_s"], visits["left_s"])
    wait_s, here = (until_s - came_s)[entered], places(where[entered], len(network.stations))
    return {station.name: _mean(wait_s[rows]) for station, rows in zip(network.stations, here, strict=True)}


class Spread(dict[str, float]):
    """Mean and exact quantiles of one replication, and the sorted values that quantiles over several are taken of."""

    # Of more values than these every so many-th stands for its neighbours: a rank is right to a part in 20,000.
    _KEPT = 20_000

    def __init__(self, values: Floats) -> None:
        """Quantiles are the smallest value that a share q of all do not exceed (caodiem/summary.py)."""
        ordered = np.sort(values)
        count = len(ordered)
        super().__init__(mean=float(ordered.mean()) if count else math.nan)
        for name, q in QUANTILES.items():
            self[name] = float(ordered[max(math.ceil(round(q * count, 9)), 1) - 1]) if count else math.nan
        step = max(math.ceil(count / self._KEPT), 1)
        self.count = count
        self.kept = ordered[(step - 1) // 2 :: step].copy()
        self.weight = count / len(self.kept) if count else 0.0

    def within(self, value: float) -> float:
        """How many do not exceed a value."""
        return self.weight * int(np.searchsorted(self.kept, value, side="right"))


class Pooled:
    """The values of all replications together, each standing for some; there must be one."""

    def __init__(self, values: list[Floats], stand_for: list[Floats]) -> None:
        together = np.concatenate(values)
        order = np.argsort(together)
        self._values, self._reached = together[order], np.concatenate(stand_for)[order].cumsum()

    def quantile(self, q: float) -> float:
        """The smallest value that a share q of all do not exceed; the least or the greatest beyond 0 and 1."""
        # Sums of equal weights may miss a rank by a rounding error.
        place = np.searchsorted(self._reached, q * self._reached[-1] * (1 - 1e-9))
        return float(self._values[min(place, len(self._values) - 1)])


def pooled(spreads: list[Spread]) -> Pooled:
    """The values of all of them, of which there must be one."""
    return Pooled([each.kept for each in spreads], [np.full(len(each.kept), each.weight) for each in spreads])


def present(came_s: Floats, left_s: Floats, from_s: float, to_s: float) -> float:
    """How many are there in the mean over [from_s, to_s)."""
    inside = np.clip(left_s, from_s, to_s) - np.clip(came_s, from_s, to_s)
    return float(inside.sum() / (to_s - from_s))


def mean_servers(station: Station, from_s: float, to_s: float) -> float:
    """Servers that work, after hours and outages, in the mean over [from_s, to_s)."""
    edges, opened, limit = {from_s, to_s}, [(0.0, station.hours.servers[0])], [(0.0, INFINITE)]
    for time_s, servers in station.hours.changes():
        if time_s >= to_s:
            break
        opened.append((time_s, servers))
    limit += [(time_s, servers) for time_s, servers, _ in station.limits()]
    edges |= {time_s for time_s, _ in [*opened, *limit] if from_s < time_s < to_s}
    times = np.array(sorted(edges))
    working = np.minimum(_at(opened, times[:-1]), _at(limit, times[:-1]))
    return float((np.diff(times) * working).sum() / (to_s - from_s))


def _at(changes: list[tuple[float, int]], times_s: Floats) -> Floats:
    place = np.searchsorted([time_s for time_s, _ in changes], times_s, side="right") - 1
    return np.array([servers for _, servers in changes], dtype=np.float64)[place]


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else math.nan


def _sums(values: np.ndarray, begins: np.ndarray) -> np.ndarray:
    return np.add.reduceat(values.astype(np.int64), begins) if len(begins) else np.empty(0, dtype=np.int64)

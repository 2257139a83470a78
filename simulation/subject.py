"""What is sized: a network, how a replication of its work is drawn at a factor on its arrivals, and its SLOs.

There are two kinds: a planner's own network, and the portal of a scenario under the plan of its busiest window.
Every draw keeps its key whatever the servers and the factor are: common random numbers.
"""

import itertools
import math
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from caodiem import network as described
from caodiem.behaviour import Time, seconds
from caodiem.draws import uniform
from caodiem.network import NetworkScenario
from caodiem.plan import Plan
from caodiem.quantity import Quantity
from caodiem.scenario import Scenario
from simulation import arrivals, expectation, network, own
from simulation import work as works
from simulation.figures import Ended
from simulation.journeys import BY_THE_CLOCK
from simulation.log import End, Log
from simulation.network import INFINITE, Network
from simulation.objectives import Kind, Objective, Rows
from simulation.work import Work

Sizes = tuple[int, ...]  # servers of each station, in the network's order
# Highest factor on the arrivals that is tried.
MOST_FACTOR = 64.0
# Of this machine's memory, that a replication at a higher factor may take; the rest is for others that are kept.
_ROOM = 0.5
_BINS, _LONGEST_BIN_S = 20, 300.0
_REPLICATIONS, _MOST_REPLICATIONS, _CONFIDENCE = 10, 80, 0.95


@dataclass(frozen=True, slots=True)
class Drawn:
    """The work of one replication, and of each of its rows (as `Rows` counts them) whose it is."""

    work: Work
    of: np.ndarray

    @property
    def bytes(self) -> int:
        arrays = (getattr(self.work, name) for name in Work.__dataclass_fields__)
        return sum(each.nbytes for each in arrays if isinstance(each, np.ndarray))


class Subject(Protocol):
    """What Trials (simulation/trials.py) asks of whatever is sized."""

    objectives: list[Objective]
    engine: str  # which engine is asked for, as `run.engine` says it
    replications: int
    most_replications: int
    confidence: float
    horizon_s: float
    most_factor: float  # on the arrivals; more would not fit into memory, or is of no interest

    @property
    def today(self) -> Sizes: ...

    @property
    def sizable(self) -> dict[int, str]:
        """Stations whose servers are searched, by name."""

    def sized(self, sizes: Sizes) -> Network:
        """The network with so many servers."""

    def draw(self, factor: float, replication: int) -> Drawn:
        """The work of one replication when `factor` times as many come."""

    def rows(self, drawn: Drawn, log: Log) -> Rows:
        """What came of it for those who wait."""

    def warm_up_s(self) -> float | None:
        """Seconds to leave out; None: found by MSER-5."""

    def overloaded(self, sizes: Sizes, factor: float) -> dict[int, float]:
        """Erlangs of the stations whose queues grow for ever, where a steady state is asked for."""


class OwnNetwork:
    """A network of its own. A row is a journey; its time to think is no part of its response time."""

    def __init__(self, scenario: NetworkScenario) -> None:
        run = scenario.run
        self._scenario = scenario
        self._names, self._loads = own.journeys(scenario), expectation.unrelieved_loads(scenario)
        self.objectives = [each for slo in scenario.slo for each in _objectives(slo)]
        needs, has = expectation.room(scenario)
        self.most_factor = max(1.0, min(_ROOM * has / needs, MOST_FACTOR)) if needs else MOST_FACTOR
        self.engine: str = run.engine
        self.confidence, self.horizon_s = run.confidence, seconds(run.horizon)
        self.replications, self.most_replications = run.replications, max(run.replications, run.most_replications)

    @property
    def today(self) -> Sizes:
        return tuple(int(each.servers.value) for each in self._scenario.stations)

    @property
    def sizable(self) -> dict[int, str]:
        return {
            number: each.name
            for number, each in enumerate(self._scenario.stations)
            if each.servers.value < INFINITE
            and (each.calendar is None or any(opening.servers is None for opening in each.calendar.open))
        }

    def sized(self, sizes: Sizes) -> Network:
        stations = [
            each.model_copy(update={"servers": each.servers.model_copy(update={"value": float(servers)})})
            for each, servers in zip(self._scenario.stations, sizes, strict=True)
        ]
        return own.network_of(self._scenario.model_copy(update={"stations": stations}))

    def draw(self, factor: float, replication: int) -> Drawn:
        scenario = busier(self._scenario, factor)
        return Drawn(*own.draw(scenario, own.network_of(scenario), replication))

    def rows(self, drawn: Drawn, log: Log) -> Rows:
        work = drawn.work
        ended = Ended(work, log)
        thinks_s = np.add.reduceat(work.think_s, work.first[:-1]) if work.arrivals else np.empty(0)
        taken_s = ended.ended_s - ended.due_s - np.where(ended.end == End.OK, thinks_s, 0.0)
        return Rows(self._names, drawn.of, ended.due_s, taken_s, ended.end)

    def warm_up_s(self) -> float | None:
        asked = self._scenario.run.warm_up
        if isinstance(asked, Quantity):
            return seconds(asked)
        return None if asked or self._scenario.steady else 0.0

    def overloaded(self, sizes: Sizes, factor: float) -> dict[int, float]:
        loads = {} if self.warm_up_s() is not None else self._loads
        numbered = enumerate(zip(self._scenario.stations, sizes, strict=True))
        return {
            number: factor * loads[station.name]
            for number, (station, servers) in numbered
            if station.name in loads and factor * loads[station.name] > servers
        }


def _objectives(slo: described.Objective) -> list[Objective]:
    """The objectives that one `[[slo]]` states."""
    found = []
    if slo.quantile is not None and slo.response is not None:
        allowed = round(1 - slo.quantile.value / 100, 12)
        found.append(Objective(slo.journey, Kind.RESPONSE, allowed, seconds(slo.response)))
    for kind, most in ((Kind.REFUSED, slo.refused), (Kind.ABANDONED, slo.abandoned)):
        if most is not None:
            found.append(Objective(slo.journey, kind, most.value / 100))
    return found


def busier(scenario: NetworkScenario, factor: float) -> NetworkScenario:
    """The same network with `factor` times the arrivals: rates times it, gaps over it, listed arrivals so often."""
    streams = [_busier_stream(each, factor) for each in scenario.arrivals]
    return scenario.model_copy(update={"arrivals": streams})


def _busier_stream(stream: described.Arrivals, factor: float) -> described.Arrivals:
    changed: dict[str, Any] = {}
    if stream.rate is not None:
        changed["rate"] = _times(stream.rate, factor)
    if stream.points is not None:
        points = [(time_s, rate * factor) for time_s, rate in stream.points.value]
        changed["points"] = stream.points.model_copy(update={"value": points})
    if stream.interval is not None:
        changed["interval"] = _shorter(stream.interval, factor)
    if stream.times is not None:
        # The n-th arrival comes as often as a whole number lies in ((n - 1) · factor, n · factor].
        edges = np.floor(factor * np.arange(len(stream.times.value) + 1) + 1e-9)
        times = np.repeat(np.sort(stream.times.value), np.diff(edges).astype(int)).tolist()
        changed["times"] = stream.times.model_copy(update={"value": times})
    return stream.model_copy(update=changed)


def _shorter(time: Time, factor: float) -> Time:
    """The same distribution of times over `factor`."""
    changed: dict[str, Any] = {
        name: _times(getattr(time, name), 1 / factor)
        for name in ("mean", "low", "high")
        if getattr(time, name) is not None
    }
    if time.values is not None:
        changed["values"] = time.values.model_copy(update={"value": [each / factor for each in time.values.value]})
    if time.parts is not None:
        changed["parts"] = [_shorter(part, factor) for part in time.parts]
    return time.model_copy(update=changed)


def _times(quantity: Quantity, factor: float) -> Quantity:
    return quantity.model_copy(update={"value": quantity.value * factor})


class BusiestWindow:
    """The portal of a scenario under the plan of one level. A row is a step, as in the verdict.

    A replication draws the window anew: arrivals are Poisson, with the rate that the plan has in each twentieth of
    the window (in each five minutes of one of hours), and each makes the journey of an arrival of the plan's that was
    due in that time. A plan of a part of the country stands for the whole: its arrivals are as many more, but for
    agencies' passes, which come by the clock (thinning made them smaller, not fewer).
    """

    engine = "auto"
    replications, most_replications, confidence = _REPLICATIONS, _MOST_REPLICATIONS, _CONFIDENCE

    def __init__(self, scenario: Scenario, plan: Plan) -> None:
        self._portal, self._plan = scenario.portal, plan
        self.objectives = [
            Objective(each.operation, Kind.RESPONSE, round(1 - each.quantile.value / 100, 12), each.response.value)
            for each in scenario.slo
        ]
        self.horizon_s, self.most_factor = plan.meta.length_s, MOST_FACTOR
        self._network = network.of(scenario.portal, plan.meta)
        self._names = plan.table["operation"].combine_chunks().dictionary.to_pylist()
        self._first = np.flatnonzero(plan.table["step"].to_numpy() == 0)
        bins = max(_BINS, math.ceil(self.horizon_s / _LONGEST_BIN_S))
        self._edges_s = np.linspace(0.0, self.horizon_s, bins + 1)
        # Arrivals of the country in order of due time: so many for each one of the plan, cumulated.
        by_the_clock = pc.is_in(plan.table["journey"].cast(pa.string()), pa.array(BY_THE_CLOCK)).to_numpy()
        stands_for = np.where(by_the_clock[self._first], 1.0, 1 / plan.meta.scale)
        due_s = plan.table["due_s"].to_numpy()[self._first]
        self._upto = np.concatenate([[0.0], np.cumsum(stands_for)])
        self._upto_edge = self._upto[np.searchsorted(due_s, self._edges_s)]

    @property
    def today(self) -> Sizes:
        return tuple(each.servers for each in self._network.stations)

    @property
    def sizable(self) -> dict[int, str]:
        return {number: each.name for number, each in enumerate(self._network.stations) if each.servers < INFINITE}

    def sized(self, sizes: Sizes) -> Network:
        stations = zip(self._network.stations, sizes, strict=True)
        return replace(self._network, stations=tuple(replace(each, servers=servers) for each, servers in stations))

    def draw(self, factor: float, replication: int) -> Drawn:
        work = works.of_plan(self._network, self.redrawn(factor, replication))
        return Drawn(work, work.kind)

    def visits(self) -> float:
        """How many the arrivals of the whole country would make if every attempt were made."""
        operations = (self._network.operations.get(name) for name in self._names)
        each = np.array([known.attempts * len(known.visits) if known else 0 for known in operations])
        lengths = np.diff(np.append(self._first, self._plan.steps))
        kinds = self._plan.table["operation"].combine_chunks().indices.to_numpy()
        return float(np.repeat(np.diff(self._upto), lengths) @ each[kinds])

    def redrawn(self, factor: float, replication: int) -> Plan:
        """The plan of one replication, of the whole country."""
        seed = own.seed_of(self._plan.meta.seed, replication)
        rates = factor * np.diff(self._upto_edge) / np.diff(self._edges_s)
        spans = zip(itertools.pairwise(self._edges_s), rates, strict=True)
        points = [point for (a, b), rate in spans for point in ((a, rate), (b, rate))]
        due_s = arrivals.by_rate(points, math.inf, self.horizon_s, seed, "arrival")
        place = np.minimum(np.searchsorted(self._edges_s, due_s, side="right") - 1, len(rates) - 1)
        chance = uniform(seed, "journey", np.arange(len(due_s)))
        low, high = self._upto_edge[place], self._upto_edge[place + 1]
        like = np.searchsorted(self._upto, low + chance * (high - low), side="right") - 1
        return self._with(due_s, like, seed)

    def _with(self, due_s: np.ndarray, like: np.ndarray, seed: int) -> Plan:
        """Arrivals at `due_s`, each with the steps of the plan's arrival `like`."""
        ends = np.append(self._first[1:], self._plan.steps)
        lengths = (ends - self._first)[like]
        begins = np.cumsum(lengths) - lengths
        row = np.repeat(self._first[like] - begins, lengths) + np.arange(lengths.sum())
        arrival = np.repeat(np.arange(len(due_s)), lengths)
        table = self._plan.table.take(pa.array(row))
        for name, column in (("arrival", arrival), ("due_s", due_s[arrival])):
            place = table.schema.get_field_index(name)
            table = table.set_column(place, table.schema.field(name), pa.array(column))
        return Plan(table, replace(self._plan.meta, seed=seed))

    def rows(self, drawn: Drawn, log: Log) -> Rows:
        """From the first attempt of a step to the end of its last; a step that its journey never reached is bad."""
        work, first = drawn.work, drawn.work.attempt_at[:-1]
        made = log.attempts["end"] != End.NONE
        places = np.where(made, np.arange(len(made)), -1)
        last = np.maximum(np.maximum.reduceat(places, first), first) if work.steps else np.empty(0, dtype=np.int64)
        journey = np.repeat(np.arange(work.arrivals), np.diff(work.first))
        return Rows(
            self._names,
            drawn.of,
            work.due_s[journey],
            log.attempts["ended_s"][last] - log.attempts["began_s"][first],
            log.attempts["end"][last],
        )

    def warm_up_s(self) -> float | None:
        return 0.0

    def overloaded(self, sizes: Sizes, factor: float) -> dict[int, float]:
        return {}

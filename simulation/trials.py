"""Trials: a subject at some size and some rate, replicated until every SLO is decided or the limit is reached.

Looks are taken after so many replications, twice as many, and so on; each has its share of the error allowed
(Bonferroni), so that looking again does not make a decision less sure than stated. All trials share their random
numbers: what they differ by is not chance.
"""

import itertools
import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from simulation import replications
from simulation.figures import mean_servers, present
from simulation.log import End, station_of_visits
from simulation.network import INFINITE, Network
from simulation.objectives import Counted, Decision, Judged, Rows, count, judge
from simulation.subject import Drawn, Sizes, Subject

_KEPT_BYTES = 2**30
_SLICES = 24


@dataclass(frozen=True, slots=True)
class Trial:
    """What is known of one size at one rate."""

    sizes: Sizes
    factor: float
    judged: list[Judged]
    counted: list[list[Counted]]  # of each replication, of each objective
    aside: frozenset[int] = frozenset()  # places of SLOs that are judged and do not decide
    overloaded: dict[int, float] = field(default_factory=dict)  # erlangs of stations whose queues grow for ever
    settled: bool = True  # whether a steady state was found, where one is asked for

    @property
    def deciding(self) -> list[int]:
        """The places of the SLOs that decide."""
        return [place for place in range(len(self.judged)) if place not in self.aside]

    def decided(self, place: int) -> Decision:
        """Of one SLO: none is met where a queue grows for ever, and none is surely met without a steady state."""
        found = Decision.MISSED if self.overloaded else self.judged[place].decision
        return Decision.UNDECIDED if found is Decision.MET and not self.settled else found

    @property
    def decision(self) -> Decision:
        """Missed when one SLO is, met when all are."""
        found = {self.decided(place) for place in self.deciding}
        if Decision.MISSED in found:
            return Decision.MISSED
        return Decision.UNDECIDED if Decision.UNDECIDED in found else Decision.MET

    @property
    def strain(self) -> float:
        """That of the SLO that is nearest to its limit, or farthest beyond it; 1 is the limit."""
        return self.judged[self.tightest].strain

    @property
    def tightest(self) -> int:
        """The place of that SLO."""
        return max(self.deciding, key=lambda place: self.judged[place].strain)


class Trials:
    """All trials made of one subject. `told` is called with the number of replications made so far."""

    def __init__(self, subject: Subject, told: Callable[[int], None] = lambda made: None) -> None:
        self.subject = subject
        self.engine, self._run, self.notice = replications.choose(subject.engine, subject.sized(subject.today))
        self.looks = _looks(subject.replications, subject.most_replications)
        self.made = 0
        self._told = told
        self._aside: frozenset[int] = frozenset()
        self._counted: dict[tuple[Sizes, float], list[list[Counted]]] = {}
        self._from_s: dict[tuple[Sizes, float], float] = {}
        self._settled: dict[tuple[Sizes, float], bool] = {}
        self._drawn: OrderedDict[tuple[float, int], Drawn] = OrderedDict()
        self._drawn_bytes = 0

    def set_aside(self, places: frozenset[int]) -> None:
        """From now on these SLOs, of those of the subject, decide nothing."""
        self._aside = places

    def at(self, sizes: Sizes, factor: float = 1.0, whole: bool = False) -> Trial:
        """The trial at a size and a rate. It stops at the first SLO that is missed, unless `whole` is asked for."""
        overloaded = self.subject.overloaded(sizes, factor)
        for look in self.looks:
            counted = self._replicated(sizes, factor, look)
            settled = self._settled[sizes, factor]
            trial = Trial(sizes, factor, self._judge(counted), counted, self._aside, overloaded, settled)
            undecided = any(trial.judged[place].decision is Decision.UNDECIDED for place in trial.deciding)
            if not undecided or (trial.decision is Decision.MISSED and not whole):
                break
        return trial

    def _judge(self, counted: list[list[Counted]]) -> list[Judged]:
        confidence = 1 - (1 - self.subject.confidence) / len(self.looks)
        columns = zip(*counted, strict=True)
        return [
            judge(objective, list(column), confidence)
            for objective, column in zip(self.subject.objectives, columns, strict=True)
        ]

    def _replicated(self, sizes: Sizes, factor: float, least: int) -> list[list[Counted]]:
        """At least so many replications of a trial; those that it has are kept."""
        key = (sizes, factor)
        found = self._counted.setdefault(key, [])
        network = self.subject.sized(sizes)
        if not found:
            pilots = [self._rows(network, factor, number) for number in range(self.looks[0])]
            self._from_s[key], self._settled[key] = self._warm_up_s(pilots)
            found += [self._count(rows, self._from_s[key]) for rows in pilots]
        while len(found) < least:
            found.append(self._count(self._rows(network, factor, len(found)), self._from_s[key]))
        return list(found)

    def _count(self, rows: Rows, from_s: float) -> list[Counted]:
        return [count(objective, rows, from_s) for objective in self.subject.objectives]

    def _warm_up_s(self, pilots: list[Rows]) -> tuple[float, bool]:
        """(seconds to leave out, whether there is a steady state after them where one is asked for)."""
        known = self.subject.warm_up_s()
        if known is not None:
            return known, True
        first = pilots[: replications.MOST_PILOTS]
        return replications.settled_from_s([each.due_s for each in first], [each.taken_s for each in first])

    def _rows(self, network: Network, factor: float, replication: int) -> Rows:
        drawn = self.drawn(factor, replication)
        self.made += 1
        self._told(self.made)
        return self.subject.rows(drawn, self._run(network, drawn.work))

    def drawn(self, factor: float, replication: int) -> Drawn:
        """The work of a replication, drawn once for all sizes as long as there is room to keep it."""
        key = (factor, replication)
        if key in self._drawn:
            self._drawn.move_to_end(key)
            return self._drawn[key]
        drawn = self.subject.draw(factor, replication)
        self._drawn[key] = drawn
        self._drawn_bytes += drawn.bytes
        while len(self._drawn) > 1 and self._drawn_bytes > _KEPT_BYTES:
            self._drawn_bytes -= self._drawn.popitem(last=False)[1].bytes
        return drawn

    def offered_load(self) -> dict[int, float]:
        """Erlangs offered to each sizable station in the busiest 24th of the horizon: how many servers would be busy
        if nobody ever waited (the modified offered load of Jennings, Mandelbaum, Massey, Whitt 1996).
        """
        network = self.subject.sized(unlimited(self.subject))
        free = tuple(
            replace(each, calendar=None, outages=(), servers=INFINITE, breaker=None, pace=None)
            for each in network.stations
        )
        drawn = self.drawn(1.0, 0)
        log = self._run(replace(network, stations=free), drawn.work)
        where, edges = station_of_visits(drawn.work), np.linspace(0, self.subject.horizon_s, _SLICES + 1)
        found = {}
        for number in self.subject.sizable:
            served = log.visits[(where == number) & (log.visits["end"] == End.OK)]
            busy = [present(served["began_s"], served["left_s"], a, b) for a, b in itertools.pairwise(edges)]
            found[number] = max(busy)
        return found

    def utilisation(self, sizes: Sizes, factor: float) -> dict[int, float]:
        """Busy over open servers of each sizable station in the mean of a few replications, from second 0 on."""
        network, horizon_s = self.subject.sized(sizes), self.subject.horizon_s
        found: dict[int, list[float]] = {number: [] for number in self.subject.sizable}
        for replication in range(min(self.looks[0], replications.MOST_PILOTS)):
            drawn = self.drawn(factor, replication)
            visits, where = self._run(network, drawn.work).visits, station_of_visits(drawn.work)
            for number, values in found.items():
                begun = visits[(where == number) & (visits["end"] == End.OK)]
                servers = mean_servers(network.stations[number], 0.0, horizon_s)
                busy = present(begun["began_s"], begun["left_s"], 0.0, horizon_s)
                values.append(busy / servers if servers else math.nan)
        return {number: float(np.mean(values)) for number, values in found.items()}


def unlimited(subject: Subject) -> Sizes:
    """As many servers as anybody could want, wherever servers are searched."""
    return tuple(INFINITE if number in subject.sizable else servers for number, servers in enumerate(subject.today))


def _looks(first: int, most: int) -> list[int]:
    """After how many replications it is looked whether an SLO is decided."""
    found = [first]
    while 2 * found[-1] < most:
        found.append(2 * found[-1])
    return found if found[-1] == most else [*found, most]

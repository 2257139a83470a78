"""A queueing network: stations, the operations that visit them, and how clients try again.

A journey is a row of operations (requests); an operation visits stations in order. The meaning of every field is
what simulation/reference.py does with it. Nothing here runs or draws.
"""

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from caodiem import behaviour
from caodiem.behaviour import per_second, seconds
from caodiem.plan import Plan, PlanMeta
from caodiem.quantity import Quantity
from caodiem.scenario import Connected, Portal
from simulation import distributions
from simulation.distributions import Distribution, by_variation

INFINITE = 2**31


@dataclass(frozen=True, slots=True)
class Calendar:
    """Servers by time: from `starts_s[k]` on there are `servers[k]`, the whole again every `period_s`.

    `starts_s` begins with 0 and rises below `period_s`; an infinite period means that the last number stays.
    """

    starts_s: tuple[float, ...]
    servers: tuple[int, ...]
    period_s: float = math.inf

    def opens(self) -> bool:
        """Whether somebody who waits is served in the end."""
        return any(self.servers) if self.period_s < math.inf else self.servers[-1] > 0

    def changes(self) -> Iterator[tuple[float, int]]:
        """(time, servers) of every change after second 0, without end where the calendar repeats."""
        yield from zip(self.starts_s[1:], self.servers[1:], strict=True)
        turn = 1
        while self.period_s < math.inf:
            yield from ((turn * self.period_s + start, n) for start, n in zip(self.starts_s, self.servers, strict=True))
            turn += 1


@dataclass(frozen=True, slots=True)
class Outage:
    """At most `servers` work in [from_s, to_s); where it `refuses`, whoever comes meanwhile is turned away."""

    from_s: float
    to_s: float
    servers: int = 0
    refuses: bool = False


@dataclass(frozen=True, slots=True)
class Slowdown:
    """A visit whose service begins in [from_s, to_s) takes `factor` times as long."""

    from_s: float
    to_s: float
    factor: float


@dataclass(frozen=True, slots=True)
class Pace:
    """A token bucket: a service begins only with a token. `burst` tokens at most, one more every 1 / rate_per_s.

    Counted as a virtual schedule (GCRA, ITU-T I.371): `next_s`, at first 0, is when the bucket would be full again; a
    service may begin when next_s - slack_s <= now, and then next_s becomes max(next_s, now) + gap_s.
    """

    rate_per_s: float
    burst: int = 1

    @property
    def gap_s(self) -> float:
        return 1 / self.rate_per_s

    @property
    def slack_s(self) -> float:
        return (self.burst - 1) / self.rate_per_s


@dataclass(frozen=True, slots=True)
class Breaker:
    """A circuit breaker in front of a station, one for all its clients (Nygard 2007, "Release It!").

    Closed, it lets everybody through and remembers how the last `calls` visits ended: once there are `least` of them
    and failures are at least `share` of those remembered, it opens. Open, it refuses whoever comes within `open_s`: the
    visit is not made. From then on it is half open: it lets `probes` visits through and refuses the others meanwhile;
    the first probe that fails opens it again, and when all have succeeded it closes and has forgotten the past.

    A visit succeeds when its service ends while its client is there; one refused, abandoned or timed out has failed.
    What came before the breaker last changed its state no longer counts.
    """

    share: float
    calls: int
    least: int
    open_s: float
    probes: int = 1


@dataclass(frozen=True, slots=True)
class Station:
    """Servers that take one visit each; whoever waits is taken by priority, then first come first served."""

    name: str
    servers: int
    queue: int | None = None  # most visits that may wait; one more is refused
    calendar: Calendar | None = None  # overrides `servers`
    outages: tuple[Outage, ...] = ()  # in order, apart from each other
    slowdowns: tuple[Slowdown, ...] = ()  # in order, apart from each other
    breaker: Breaker | None = None
    pace: Pace | None = None
    # An entrance (admission control): a visit is over as soon as a server takes it, and keeps the server until its
    # journey has ended. So servers are the most journeys inside, and those who wait for one stand outside. An
    # operation that visits an entrance visits nothing else and is the first of its journey.
    entrance: bool = False

    @property
    def hours(self) -> Calendar:
        """The calendar, or its servers always."""
        return self.calendar or Calendar((0.0,), (self.servers,))

    def limits(self) -> list[tuple[float, int, bool]]:
        """(time, servers at most, refuses) of every change by outages; one where one follows another at once."""
        changes: list[tuple[float, int, bool]] = []
        for outage in self.outages:
            if changes and changes[-1][0] == outage.from_s:
                changes.pop()
            changes.append((outage.from_s, outage.servers, outage.refuses))
            changes.append((outage.to_s, INFINITE, False))
        return changes

    def slow_by(self, now_s: float) -> float:
        """The factor on a service that begins now."""
        number = bisect_right([each.from_s for each in self.slowdowns], now_s) - 1
        return self.slowdowns[number].factor if number >= 0 and now_s < self.slowdowns[number].to_s else 1.0


@dataclass(frozen=True, slots=True)
class Visit:
    """One station, the time its service takes, and how long the client waits for it to begin."""

    station: int
    service: Distribution
    patience: Distribution | None = None


@dataclass(frozen=True, slots=True)
class Retries:
    """What a client does whose attempt came to no good: pause and try again, at most `attempts` times in all.

    The pause before attempt n + 1 is pause_s · factor^(n-1), at most longest_s, less a random share of it up to
    `jitter`. A budget holds all clients together: the retries made stay below burst + budget · first attempts made.
    """

    attempts: int
    pause_s: float
    factor: float = 2.0
    longest_s: float = math.inf
    jitter: float = 0.0
    budget: float = math.inf
    burst: float = 0.0

    def pause_after(self, attempt: int) -> float:
        """Seconds before jitter between `attempt` (1, 2, …) and the next."""
        return min(self.pause_s * self.factor ** (attempt - 1), self.longest_s)


@dataclass(frozen=True, slots=True)
class Operation:
    """One request: its visits in order, its priority (the smaller is served first), its client's time-out."""

    visits: tuple[Visit, ...]
    priority: int = 0
    timeout_s: float = math.inf
    retries: Retries | None = None

    @property
    def attempts(self) -> int:
        return self.retries.attempts if self.retries else 1


@dataclass(frozen=True, slots=True)
class Network:
    """Stations, and operations by name."""

    stations: tuple[Station, ...]
    operations: dict[str, Operation] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for station in self.stations:
            if not station.hours.opens():
                raise ValueError(f"{station.name} closes for ever: expected a calendar that opens again")


def of(portal: Portal, meta: PlanMeta | None = None) -> Network:
    """The network that a scenario's portal describes; its times count from the second 0 of the plan of `meta`.

    What fails by the time of day fails then; without `meta` the plan begins at midnight.
    """
    index = {name: number for number, name in enumerate((*portal.stations, *portal.connected))}
    visits: dict[str, list[Visit]] = {}
    for service in portal.services:
        times = by_variation(service.mean.value / 1000, service.variation.value)
        patience = distributions.of(service.patience) if service.patience else None
        visits.setdefault(service.operation, []).append(Visit(index[service.station], times, patience))
    stations = tuple(
        Station(
            name,
            int(each.servers.value),
            int(each.queue.value) if each.queue is not None else None,
            None,
            outages(each.outages),
            slowdowns(each.slowdowns),
            breaker(each.breaker),
            pace(each.pace),
        )
        for name, each in portal.stations.items()
    )
    for name, asked in portal.connected.items():
        patience = distributions.of(asked.patience) if asked.patience else None
        for operation in asked.visited_by(name):
            visits.setdefault(operation, []).append(Visit(index[name], distributions.of(asked.service), patience))
        stations = (*stations, _connected(name, asked, meta))
    timeout_s = seconds(portal.timeout) if portal.timeout is not None else math.inf
    again = retries(portal.retries)
    return Network(stations, {name: Operation(tuple(each), 0, timeout_s, again) for name, each in visits.items()})


def _connected(name: str, given: Connected, meta: PlanMeta | None) -> Station:
    """A system that the portal asks; of what fails by the time of day, what is left at second 0 and later."""
    starts_s, speed = (meta.clock_s, meta.speed) if meta else (0.0, 1.0)

    def at(time_of_day: Quantity) -> float:
        return max((seconds(time_of_day) - starts_s) / speed, 0.0)

    return Station(
        name,
        int(given.servers.value),
        int(given.queue.value) if given.queue is not None else None,
        None,
        tuple(
            Outage(at(each.from_), at(each.to), int(each.servers.value), each.refuses)
            for each in given.outages
            if at(each.to) > 0
        ),
        tuple(Slowdown(at(each.from_), at(each.to), each.factor.value) for each in given.slowdowns if at(each.to) > 0),
        breaker(given.breaker),
        pace(given.pace),
    )


def outages(given: Sequence[behaviour.Outage]) -> tuple[Outage, ...]:
    """As a file describes them."""
    return tuple(Outage(seconds(each.from_), seconds(each.to), int(each.servers.value), each.refuses) for each in given)


def slowdowns(given: Sequence[behaviour.Slowdown]) -> tuple[Slowdown, ...]:
    """As a file describes them."""
    return tuple(Slowdown(seconds(each.from_), seconds(each.to), each.factor.value) for each in given)


def breaker(given: behaviour.Breaker | None) -> Breaker | None:
    """As a file describes it."""
    if given is None:
        return None
    least = given.calls if given.least is None else given.least
    return Breaker(given.share.value, given.calls, least, seconds(given.open), given.probes)


def pace(given: behaviour.Pace | None) -> Pace | None:
    """As a file describes it."""
    return Pace(per_second(given.rate), given.burst) if given is not None else None


def retries(given: behaviour.Retries | None) -> Retries | None:
    """As a file describes them; None where nobody tries again."""
    if given is None or given.attempts == 1:
        return None
    return Retries(
        given.attempts,
        seconds(given.pause),
        given.factor.value,
        seconds(given.longest) if given.longest is not None else math.inf,
        given.jitter.value,
        given.budget.value if given.budget is not None else math.inf,
        given.burst.value,
    )


def offered_load(network: Network, plan: Plan) -> dict[str, float]:
    """Offered load a = λS of each station in erlangs: the servers that the plan's window keeps busy in the mean."""
    total = dict.fromkeys((station.name for station in network.stations), 0.0)
    for entry in plan.table["operation"].value_counts().to_pylist():
        for visit in network.operations[entry["values"]].visits if entry["values"] in network.operations else ():
            total[network.stations[visit.station].name] += entry["counts"] * visit.service.mean_s / plan.meta.length_s
    return total

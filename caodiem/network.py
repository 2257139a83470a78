"""A network that stands alone as typed values: arrivals, stations, journeys or routes, and how to run it.

A file with `[arrivals]` is one. Quantities are those of every scenario, but what is left out of one is filled in: its
unit as the key states it, the source `own`, the evidence `assumed`; so a bare number will do. docs/networks.md.
"""

import math
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from caodiem import quantity as q
from caodiem.behaviour import (
    LONGEST_S,
    MOST_PER_SECOND,
    Breaker,
    Calendar,
    Count,
    Journeys,
    Outage,
    Pace,
    Rate,
    Ratio,
    Retries,
    Seconds,
    Servers,
    Share,
    Slowdown,
    Time,
    Times,
    completed,
    overlaps,
    seconds,
    wrong,
)
from caodiem.document import Document, Name, Part
from caodiem.errors import one_of

# What admission control is called among the stations.
ENTRANCE = "entrance"
_MOST_STEPS = 1000
_MOST_STATIONS = 10_000
# A station that opens every minute of a year stays below it.
_MOST_OPENINGS = 1_000_000


class Points(Part):
    """A rate by time: pairs of seconds and arrivals per second, linear between them."""

    value: list[tuple[q.Number, q.Number]] = Field(min_length=2)
    unit: Literal["seconds, per second"]
    source: str = Field(min_length=1)
    evidence: Literal[q.EVIDENCE]  # type: ignore[valid-type]


class Arrivals(Part):
    """One stream of arrivals: one of `rate`, `points`, `interval`, `times`."""

    rate: Rate | None = None
    points: Annotated[Points, completed("seconds, per second")] | None = None
    repeat: Seconds | None = None
    interval: Time | None = None
    times: Times | None = None
    journey: str | None = None
    to: str | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> "Arrivals":
        kinds = [name for name in ("rate", "points", "interval", "times") if getattr(self, name) is not None]
        if len(kinds) != 1:
            raise wrong(("rate", ", ".join(kinds) or None, "exactly one of rate, points, interval, times"))
        if self.repeat is not None and self.points is None:
            raise wrong(("repeat", self.repeat.value, "points, which repeat"))
        if self.points is not None:
            times, rates = zip(*self.points.value, strict=True)
            if times[0] != 0 or list(times) != sorted(times) or times[-1] > LONGEST_S:
                raise wrong(("points", self.points.value, f"times that rise from 0 to at most {LONGEST_S:g} seconds"))
            if not 0 <= min(rates) <= max(rates) <= MOST_PER_SECOND:
                raise wrong(("points", self.points.value, f"rates from 0 to {MOST_PER_SECOND:g} per second"))
            if self.repeat is not None and seconds(self.repeat) < times[-1]:
                raise wrong(("repeat", self.repeat.value, f"at least the last time, {times[-1]:g} seconds"))
            if self.repeat is not None and not any(rate for _, rate in self.points.value):
                raise wrong(("points", self.points.value, "a rate above 0 somewhere"))
        if self.interval is not None and self.interval.is_nothing:
            raise wrong(("interval", "0 seconds", "gaps above 0 seconds"))
        return self


class Station(Part):
    """Servers, those who wait, and what its visits take unless a visit says otherwise."""

    name: Name
    servers: Servers
    queue: Count | None = None
    service: Time | None = None
    patience: Time | None = None
    calendar: Calendar | None = None
    outages: list[Outage] = Field(default=[])
    slowdowns: list[Slowdown] = Field(default=[])
    breaker: Breaker | None = None
    pace: Pace | None = None


class Admission(Part):
    """Admission control: how many journeys are inside at once, at which rate they enter, and who waits outside."""

    inside: Journeys | None = None
    rate: Rate | None = None
    burst: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] = 1
    room: Journeys | None = None
    patience: Time | None = None

    @model_validator(mode="after")
    def _limited(self) -> "Admission":
        if self.inside is None and self.rate is None:
            raise wrong(("inside", None, "one of inside, rate, or both"))
        if self.inside is not None and self.inside.value < 1:
            raise wrong(("inside", self.inside.value, "at least 1 journey"))
        if self.rate is not None and self.rate.value == 0:
            raise wrong(("rate", 0, "more than 0"))
        return self


class Visit(Part):
    """One station, `visits` times in a row."""

    station: str
    visits: Annotated[int, Field(strict=True, ge=1, le=_MOST_STEPS)] = 1
    service: Time | None = None
    patience: Time | None = None

    @model_validator(mode="before")
    @classmethod
    def _bare(cls, given: Any) -> Any:
        return {"station": given} if isinstance(given, str) else given


class Step(Part):
    """One request: its visits in order, after a pause to think, with a time-out of its client."""

    visits: list[Visit] = Field(min_length=1)
    think: Time | None = None
    timeout: Seconds | None = None


class Journey(Part):
    """What a client does: `route`, each visit a request of its own, or `steps`, each with several visits."""

    name: Name
    share: Ratio = q.Quantity(value=1, unit="ratio", source=q.OWN, evidence="assumed")
    priority: Annotated[int, Field(strict=True, ge=-1_000_000, le=1_000_000)] = 0
    route: list[Visit] | None = None
    steps: list[Step] | None = None

    @model_validator(mode="after")
    def _one_way(self) -> "Journey":
        if bool(self.route) == bool(self.steps):
            raise wrong(("route", "route and steps" if self.route else None, "exactly one of route, steps"))
        return self

    def requests(self) -> list[Step]:
        """The journey as steps, whichever way it was written."""
        if self.steps:
            return self.steps
        return [
            Step(visits=[visit.model_copy(update={"visits": 1})])
            for visit in self.route or []
            for _ in range(visit.visits)
        ]


class Route(Part):
    """Of those who leave a station, the share that goes on to another; the others leave the network."""

    from_: Annotated[str, Field(alias="from")]
    to: str
    probability: Share


class Objective(Part):
    """An SLO of the journeys of one name, or of all: a quantile of their response time, greatest shares that fail."""

    journey: str = "all"
    quantile: Annotated[q.QuantilePercent, completed("percent")] | None = None
    response: Seconds | None = None
    refused: Annotated[q.Percent, completed("percent")] | None = None
    abandoned: Annotated[q.Percent, completed("percent")] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> "Objective":
        if (self.quantile is None) != (self.response is None):
            raise wrong(("quantile", self.quantile and self.quantile.value, "quantile and response together"))
        if self.quantile is None and self.refused is None and self.abandoned is None:
            raise wrong(("quantile", None, "quantile and response, or refused, or abandoned"))
        for key, most in (("refused", self.refused), ("abandoned", self.abandoned)):
            if most is not None and most.value == 0:
                expected = "more than 0, such as 0.1: that it never happens is proven by no number of replications"
                raise wrong((key, most.value, expected))
        return self


class Run(Part):
    """How long, how often, how precise."""

    horizon: Seconds
    replications: Annotated[int, Field(strict=True, ge=1, le=100_000)] = 10
    warm_up: Literal["mser5"] | Seconds | None = None
    seed: Annotated[int, Field(strict=True, ge=0, lt=2**63)] = 1
    confidence: Annotated[float, Field(strict=True, gt=0, lt=1)] = 0.95
    precision: Annotated[float, Field(strict=True, gt=0, lt=1)] | None = None
    most_replications: Annotated[int, Field(strict=True, ge=2, le=100_000)] = 100
    engine: Literal["auto", "compiled", "reference"] = "auto"


def _repeated(key: str, expected: str, names: list[str], taken: list[str]) -> q.Problems:
    """Names that stand above already, or that something else has."""
    found: q.Problems = []
    seen = set(taken)
    for number, name in enumerate(names):
        if name in seen:
            found.append((f"{key}[{number}].name", name, expected))
        seen.add(name)
    return found


class NetworkScenario(Document):
    """A network with its arrivals."""

    own_numbers: ClassVar[bool] = True

    title: Name = "A network"
    title_vi: str = ""
    question: str = ""
    question_vi: str = ""
    arrivals: list[Arrivals] = Field(min_length=1)
    stations: list[Station] = Field(min_length=1, max_length=_MOST_STATIONS)
    journeys: list[Journey] = Field(default=[])
    routes: list[Route] = Field(default=[])
    retries: Retries | None = None
    slo: list[Objective] = Field(default=[])
    admission: Admission | None = None
    run: Run

    @model_validator(mode="before")
    @classmethod
    def _one_stream(cls, given: Any) -> Any:
        if isinstance(given, dict) and isinstance(given.get("arrivals"), dict):
            return {**given, "arrivals": [given["arrivals"]]}
        return given

    @property
    def steady(self) -> bool:
        """Whether nothing in it depends on the time of day, so that a steady state can be asked for."""
        timed = any(each.calendar or each.outages or each.slowdowns for each in self.stations)
        return not timed and all(each.rate or each.interval for each in self.arrivals)

    def contradictions(self) -> q.Problems:
        """Values that are fine alone and wrong together."""
        names, journeys = ([each.name for each in named] for named in (self.stations, self.journeys))
        taken = [ENTRANCE] if self.admission is not None else []
        found = _repeated("stations", "a name that no other station has", names, taken)
        found += _repeated("journeys", "a name that no other journey has", journeys, [])
        if "all" in journeys and len(journeys) > 1:
            key = f"journeys[{journeys.index('all')}].name"
            found.append((key, "all", "another name than that of all journeys together"))
        unknown = self._unknown_names(names)
        found += unknown + self._spans() + self._services()
        if self.journeys and self.routes:
            found.append(("routes", "journeys and routes", "one of journeys, routes"))
        if self.journeys and not sum(each.share.value for each in self.journeys):
            found.append(("journeys", "shares of 0", "a share above 0"))
        if not unknown:
            found += self._leavable(names)
        horizon_s = seconds(self.run.horizon)
        if isinstance(self.run.warm_up, q.Quantity) and seconds(self.run.warm_up) >= horizon_s:
            found.append(("run.warm_up", self.run.warm_up.value, f"less than the horizon, {horizon_s:g} seconds"))
        if horizon_s <= 0:
            found.append(("run.horizon", horizon_s, "more than 0 seconds"))
        return found

    def _unknown_names(self, stations: list[str]) -> q.Problems:
        """Stations and journeys that are named and are not there."""
        named = [
            (f"journeys[{j}].{'steps' if journey.steps else 'route'}", visit.station)
            for j, journey in enumerate(self.journeys)
            for step in journey.requests()
            for visit in step.visits
        ]
        named += [(f"routes[{n}].from", route.from_) for n, route in enumerate(self.routes)]
        named += [(f"routes[{n}].to", route.to) for n, route in enumerate(self.routes)]
        named += [(f"arrivals[{n}].to", each.to) for n, each in enumerate(self.arrivals) if each.to is not None]
        known = set(stations)
        found: q.Problems = [
            (key, name, one_of(name, stations)) for key, name in dict.fromkeys(named) if name not in known
        ]
        journeys = [each.name for each in self.journeys]
        for number, each in enumerate(self.arrivals):
            if each.journey is not None and each.journey not in journeys:
                expected = one_of(each.journey, journeys) if journeys else "nothing; there are no journeys"
                found.append((f"arrivals[{number}].journey", each.journey, expected))
            if each.to is not None and not self.routes:
                found.append((f"arrivals[{number}].to", each.to, "nothing, unless there are routes"))
        accepted = ["all", *journeys]
        for number, slo in enumerate(self.slo):
            if slo.journey not in accepted:
                found.append((f"slo[{number}].journey", slo.journey, one_of(slo.journey, accepted)))
        return found

    def _spans(self) -> q.Problems:
        """Outages and slow-downs that overlap, stations that never open."""
        found: q.Problems = []
        for number, station in enumerate(self.stations):
            found += overlaps(f"stations[{number}].outages", station.outages)
            found += overlaps(f"stations[{number}].slowdowns", station.slowdowns)
            spans = station.calendar.spans() if station.calendar else [(0.0, math.inf, None)]
            if not any((each or station.servers).value >= 1 for _, _, each in spans):
                found.append((f"stations[{number}].servers", station.servers.value, "at least 1 server at some time"))
            found += self._timed(f"stations[{number}]", station)
        return found

    def _timed(self, key: str, station: Station) -> q.Problems:
        """What of a station's times has no sense within this horizon."""
        horizon_s = seconds(self.run.horizon)
        spans: list[tuple[str, Outage | Slowdown]] = []
        spans += [(f"{key}.outages[{place}]", each) for place, each in enumerate(station.outages)]
        spans += [(f"{key}.slowdowns[{place}]", each) for place, each in enumerate(station.slowdowns)]
        expected = f"a beginning before the horizon, {horizon_s:g} seconds"
        found: q.Problems = [
            (at, f"{seconds(each.from_):g} to {seconds(each.to):g}", expected)
            for at, each in spans
            if seconds(each.from_) >= horizon_s > 0
        ]
        if station.calendar is not None:
            opens = len(station.calendar.spans()) * horizon_s / station.calendar.period_s
            if opens > _MOST_OPENINGS:
                expected = f"one that opens at most {_MOST_OPENINGS:,} times before the horizon, not {opens:.2g} times"
                found.append((f"{key}.calendar.period", station.calendar.period_s, expected))
        return found

    def _services(self) -> q.Problems:
        """Visits whose service time is said nowhere."""
        untold = {station.name for station in self.stations if not station.service}
        if not self.journeys:
            missing = [n for n, station in enumerate(self.stations) if not station.service]
            return [(f"stations[{n}].service", None, "a service time; no journey gives one") for n in missing]
        visits = [
            (f"journeys[{j}]", visit.station)
            for j, journey in enumerate(self.journeys)
            for step in journey.requests()
            for visit in step.visits
            if visit.service is None and visit.station in untold
        ]
        return [(key, name, "a service, at the visit or at its station") for key, name in dict.fromkeys(visits)]

    def _leavable(self, stations: list[str]) -> q.Problems:
        """Shares of a station that exceed 1, and stations that nobody can leave the network from."""
        onward: dict[str, list[float]] = {name: [] for name in stations}
        comes_from: dict[str, list[str]] = {name: [] for name in stations}
        for each in self.routes:
            onward[each.from_].append(each.probability.value)
            if each.probability.value > 0:
                comes_from[each.to].append(each.from_)
        totals = {name: math.fsum(shares) for name, shares in onward.items()}
        found: q.Problems = [
            ("routes", f"{total:g} from {name}", "at most 1 from one station")
            for name, total in totals.items()
            if total > 1 + 1e-9
        ]
        out = [name for name, total in totals.items() if total < 1 - 1e-9]
        leavable = set(out)
        while out:
            further = [name for name in comes_from[out.pop()] if name not in leavable]
            leavable.update(further)
            out += further
        return found + [("routes", name, "a way out of the network") for name in totals if name not in leavable]

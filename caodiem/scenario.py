"""A scenario as typed values: one question, every number with its unit, source and evidence.

The classes say what a scenario file may hold. Reading files, merging `extends` and reporting errors is in
scenario_file.py.
"""

import math
import re
from collections.abc import Iterator
from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, get_type_hints

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, create_model

from caodiem import quantity as q
from caodiem.behaviour import (
    Breaker,
    Count,
    Outage,
    Pace,
    Retries,
    Slowdown,
    SystemOutage,
    SystemSlowdown,
    Time,
    TimeOfDay,
    overlaps,
)
from caodiem.behaviour import Seconds as AnySeconds
from caodiem.document import Document, Name, Part
from caodiem.dossier import OPERATIONS, Group
from caodiem.faults import GREATEST_SLOWDOWN, LONGEST_S, SYSTEMS, Fault, Faults

# Each surge numbers its dossiers in a block of its own of a day's serials.
MOST_SURGES = 3
# About four years: the calendar holds the days until the promise of what was filed on its last one is over.
_MOST_PROMISED_DAYS = 1000

if TYPE_CHECKING:
    SystemName = str
    OperationName = str
    OperationOrAll = str
else:
    SystemName = Literal[SYSTEMS]
    OperationName = Literal[tuple(OPERATIONS)]
    OperationOrAll = Literal[("all", *OPERATIONS)]


class Point(Part):
    """A share of full-process online dossiers on a day: observed, a target, or assumed."""

    group: Group
    on: date
    share: q.Percent

    @property
    def is_observed(self) -> bool:
        """Whether it was seen, rather than aimed at or assumed: curves are fitted to such points alone."""
        return point_kind(self.share.source, self.share.evidence) in ("observed", "derived")


def point_kind(source: str, evidence: str) -> str:
    """`target`, `assumed`, `derived` or `observed`: what a point of the adoption path rests on."""
    if "-target-" in source:
        return "target"
    return {"assumed": "assumed", "derived": "derived"}.get(evidence, "observed")


class Adoption(Part):
    """The path of full-process online shares: through these points, or a curve fitted to those observed."""

    curve: Literal["through points", "linear", "logistic", "Gompertz", "Bass", "averaged"]
    # Day 0 of the Bass curve.
    starts: date
    # No fitted curve rises above it.
    ceiling: q.PositivePercent
    ministry_dossier_share: q.Percent
    points: list[Point] = Field(min_length=2)
    # How far agencies stand apart within their group: the standard deviation of the logit of their shares.
    spread: q.LogitSpread


class ServiceGroup(Part):
    """Services of one group of agencies that are filed alike."""

    name: str = Field(min_length=1)
    group: Group
    # Of all dossiers of its group of agencies; the services of a group come to 100.
    share: q.Percent
    # How far the logit of its online share stands above the agency's own; agencies' shares are kept.
    lean: q.Logit
    # Codes of the agencies at which alone it is filed; left out, all of its group.
    agencies: list[str] = Field(default=[])
    # Of its dossiers that are not handled end to end online: those that are filed online all the same.
    partly: q.Percent
    months: q.YearProfile


class Surge(Part):
    """Dossiers that come on top of the usual ones, at one agency or at all by their volumes.

    An announcement's rate starts at once and decays; a deadline's grows towards it and falls to nothing.
    """

    name: str = Field(min_length=1)
    kind: Literal["announcement", "deadline"]
    at: datetime
    size: q.Dossiers
    # The rate changes by a factor of e in this time, besides citizens' hours.
    decay: q.Hours
    online: q.Percent
    agency: str | None = None


class Demand(Part):
    """Dossiers filed, all channels, and how they fall on services, days and hours."""

    year: Annotated[int, Field(strict=True, ge=2020, le=2035)]
    volume: q.DossiersPerDay
    # Largest over smallest agency of a group; the others stand between them in a geometric row.
    volume_spread: q.Factor
    # How far agencies of a group stand apart in what is filed with them: standard deviation over mean of an agency's
    # preference for a service. Each group's services keep their shares.
    mix_variation: q.Variation = q.Quantity(value=0, unit="ratio", source=q.OWN, evidence="assumed")
    # Standard deviation over mean of the factor that a day carries beyond chance.
    day_variation: q.Variation
    # First working day after a public holiday, relative to the same weekday without one.
    after_holiday: q.Factor
    week_online: q.WeekProfile
    week_counter: q.WeekProfile
    hours_online: q.DayProfile
    hours_counter: q.DayProfile
    services: list[ServiceGroup] = Field(min_length=2)
    surges: list[Surge] = Field(default_factory=list, max_length=MOST_SURGES)


class Office(Part):
    """When desks are open: local hours on working days."""

    morning_from: q.Hour
    morning_to: q.Hour
    afternoon_from: q.Hour
    afternoon_to: q.Hour

    @property
    def open_h_per_day(self) -> float:
        morning_h = self.morning_to.value - self.morning_from.value
        return morning_h + (self.afternoon_to.value - self.afternoon_from.value)


class Casework(Part):
    """A dossier's way through an office."""

    # Of a dossier filed online in part: its papers are shown and its result fetched at a counter.
    papers_shown: q.Days
    components: q.CountProfile
    # Filings whose signatures do not pass, and how long until the citizen files again.
    bad_signature: q.Percent
    mending: q.Days
    fee: q.Percent
    not_received: q.Percent
    supplement: q.Percent
    supplement_answer: q.Days
    # A financial obligation that is found while in process.
    payment_due: q.Percent
    payment_due_answer: q.Days
    # Of citizens who are asked for mended papers, a supplement or a payment: those who never answer.
    unanswered: q.Percent
    answer_term: q.Days
    withdrawn: q.Percent
    # From the filing to the withdrawal; those who would withdraw after the end do not.
    withdrawal: q.Days
    signature_check: q.Seconds
    # Least time between a filing and the next thing that its citizen does; the payment comes `payment` after it.
    pause: q.Seconds
    payment: q.Minutes
    receive_time: q.WorkingMinutes
    handle_time: q.WorkingMinutes
    return_time: q.WorkingMinutes
    # Standard deviation over mean of the times at desks.
    desk_variation: q.Variation
    # Time between the start of handling and its end that is not spent at the officer's desk.
    processing: q.WorkingHours
    processing_variation: q.Variation
    desk_utilisation: q.PositivePercent
    # From receipt to the end of handling, less the time during which the citizen was asked.
    promise: q.WorkingHours
    # Working days simulated before the busiest one, so that desks hold the work that they usually hold.
    warm_up: q.WorkingDays


class Traffic(Part):
    """What a dossier's events ask of the portals."""

    # Of dossiers filed online.
    look_ups: q.PerDossier
    browses: q.PerDossier
    think_time: q.Seconds
    # Of dossiers filed online: through the agency's own portal instead of the national one.
    agency_portal: q.Percent
    # Of dossiers filed online: signed by a remote service, with a paper that is in the store already.
    remote_signing: q.Percent
    reuse: q.Percent
    # Of dossiers taken up: another agency is asked, a document goes to the government's work system.
    consulted: q.Percent
    work_documents: q.Percent
    # Questions of citizens after a filing, and after signatures that failed, a refusal or a stop.
    support: q.Percent
    support_after_failure: q.Percent
    sync_period: q.Period
    sync_batch: q.Events
    # Between two passes of an agency while it has anything to do.
    fetch_period: q.Period
    reconcile_period: q.Period
    indicator_period: q.Period


class Station(Part):
    """A station of the portal in the queueing model. Servers are processes or threads that serve one visit each."""

    servers: q.Servers
    # Most visits that may wait; whoever comes to a full queue is refused.
    queue: Count | None = None
    # Times count from the start of the window that is predicted: the replayed slice, or whichever is asked for.
    outages: list[Outage] = Field(default=[])
    slowdowns: list[Slowdown] = Field(default=[])
    breaker: Breaker | None = None
    pace: Pace | None = None


class Service(Part):
    """Mean service time of one operation at one station; exponential unless `variation` says otherwise."""

    operation: OperationName
    station: str
    mean: q.Milliseconds
    # Standard deviation over mean of a gamma distribution; 1 is the exponential.
    variation: q.Variation
    # How long a visit waits here to be served before its client gives up.
    patience: Time | None = None


class Connected(Part):
    """A system that the portal asks, as one more station: the population database, the bank, remote signing, ...

    Its outages and slow-downs have times of the busiest day, and as settings of what is tried no source.
    """

    # Those that visit it, after their stations of the portal; left out, the system's own.
    operations: list[OperationName] = Field(default=[])
    servers: q.Servers
    service: Time
    queue: Count | None = None
    patience: Time | None = None
    outages: list[SystemOutage] = Field(default=[])
    slowdowns: list[SystemSlowdown] = Field(default=[])
    breaker: Breaker | None = None
    pace: Pace | None = None

    def visited_by(self, system: str) -> list[str]:
        """The operations that visit it, of which it is the system `system`."""
        return self.operations or [each.name for each in OPERATIONS.values() if each.system == system]

    def failing(self, from_s: float, to_s: float) -> Fault | None:
        """What the staging portal is told where it fails all the time from one second of the day to another.

        Where visits wait for the end of an outage, each answer is so late, at most ten minutes. Servers that still
        work in an outage cannot be told.
        """
        for outage in self.outages:
            if outage.from_.value <= from_s and to_s <= outage.to.value and not outage.servers.value:
                left_s = min(outage.to.value - from_s, LONGEST_S)
                return Fault(outage=True) if outage.refuses else Fault(latency_s_median=left_s)
        for slow in self.slowdowns:
            if slow.from_.value <= from_s and to_s <= slow.to.value and slow.factor.value > 1:
                return Fault(slowdown=min(slow.factor.value, GREATEST_SLOWDOWN))
        return None


class Portal(Part):
    """The staging portal as a network of stations: each operation visits its stations in the order given."""

    stations: dict[Name, Station] = Field(min_length=1)
    services: list[Service] = Field(min_length=1)
    connected: dict[SystemName, Connected] = Field(default={})
    # Of every client: how long it waits for the answer to one attempt.
    timeout: AnySeconds | None = None
    retries: Retries | None = None


class Hours(Part):
    """Hours of the busiest day that are simulated whole, drawn anew in each replication."""

    from_: Annotated[TimeOfDay, Field(alias="from")]
    to: TimeOfDay
    replications: Annotated[int, Field(strict=True, ge=2, le=100)] = 5


class Objective(Part):
    """An SLO: the share `quantile` of the due steps is answered rightly within `response`, counted from due."""

    operation: OperationOrAll
    quantile: q.QuantilePercent
    response: q.Seconds


class SyncOutage(Part):
    """The portal takes no status from anybody. Calls are refused at once, or hang until their time-out."""

    at: datetime
    length: q.Hours
    hangs: q.TrueOrFalse


class StatusSync(Part):
    """How agencies' adapters report status events entry by entry, as the published one does (docs/sync-ceiling.md)."""

    days: q.Days
    period: q.Period
    entries: q.Events
    calls: q.Requests
    call_time: q.Seconds
    timeout: q.Seconds
    # Attempts that fail for reasons of their own, and how often an entry is tried again.
    failing: q.Percent
    retries: q.Repeats
    # Of dossiers that are not handled online end to end: those whose events are reported too.
    others_reported: q.Percent
    # Systems of an agency, each with a queue of its own and an equal part of the events.
    systems: q.Systems
    outage: SyncOutage | None = None


class Indicators(Part):
    """What Decision 766 asks of an agency, and what the casework does not tell: simulation/indicators.py has the
    formulas."""

    # Least shares with which an agency meets each criterion.
    on_time: q.Percent
    synced: q.Percent
    online: q.Percent
    paid_online: q.Percent
    digitised: q.Percent
    # Of dossiers filed or returned at a counter: those whose papers and result are scanned.
    scanned_at_counter: q.Percent
    # What was published of such a count: how many agencies there were, and how many met all criteria of their portals.
    published_agencies: q.Agencies
    published_meeting_all: q.Agencies


class Validity(Part):
    """What a replay must show before its figures prove anything."""

    generator_lag_p99: q.Seconds
    least_steps: q.Events


class Replay(Part):
    """How much of the busiest hour is replayed and by what pool."""

    window: q.Slice
    pool: q.Servers
    greatest_lateness: q.Seconds


def _beside(name: str) -> str:
    if not re.fullmatch(r"[\w.-]+\.csv", name):
        raise ValueError("the name of a CSV file beside this one, as agencies.csv")
    return name


_FAULT_KEYS: dict[str, Any] = {name: (kind, None) for name, kind in get_type_hints(Fault).items()}
_WRITTEN_FAULT = create_model("_WrittenFault", **_FAULT_KEYS)


def _as_written(fault: Any) -> Any:
    """The same; an error for each value of a table that is not its key's: true is no number, and "yes" is not true."""
    if isinstance(fault, dict):
        _WRITTEN_FAULT.model_validate(fault, strict=True)
    return fault


class Scenario(Document):
    """All inputs of a run."""

    title: Name
    title_vi: Name
    question: str = Field(min_length=1)
    question_vi: str = Field(min_length=1)
    seed: Annotated[int, Field(strict=True, ge=0, lt=2**63)]
    # The file beside this one that lists the agencies.
    agencies: Annotated[str, AfterValidator(_beside)] = "agencies.csv"
    levels: list[Annotated[float, Field(strict=True, gt=0, le=100)]] = Field(min_length=1)
    adoption: Adoption
    demand: Demand
    office: Office
    casework: Casework
    traffic: Traffic
    sync: StatusSync | None = None
    indicators: Indicators
    portal: Portal
    slo: list[Objective] = Field(min_length=1)
    validity: Validity
    replay: Replay
    hours: Hours | None = None
    # What is to go wrong with our own portal while it is replayed against.
    faults: dict[SystemName, Annotated[Fault, BeforeValidator(_as_written)]] = Field(default={})

    @classmethod
    def of_run(cls, resolved: dict[str, Any]) -> Self:
        """The scenario as a run resolved it. A plan that stands alone has the level 0, which no file may say."""
        said = cls.model_validate({**resolved, "levels": [level or 100 for level in resolved["levels"]]})
        return said.model_copy(update={"levels": resolved["levels"]})

    def faults_between(self, from_s: float, to_s: float) -> Faults:
        """What goes wrong with our own portal in a replay of these seconds of the day: `faults`, and which connected
        systems fail all the time then.
        """
        failing = {name: each.failing(from_s, to_s) for name, each in self.portal.connected.items()}
        return {name: fault for name, fault in failing.items() if fault is not None} | self.faults

    def contradictions(self) -> list[tuple[str, object, str]]:
        found: list[tuple[str, object, str]] = []
        stations = ", ".join(self.portal.stations)
        for number, service in enumerate(self.portal.services):
            if service.station not in self.portal.stations:
                found.append((f"portal.services[{number}].station", service.station, f"one of {stations}"))
        for name, station in self.portal.stations.items():
            found += overlaps(f"portal.stations.{name}.outages", station.outages)
            found += overlaps(f"portal.stations.{name}.slowdowns", station.slowdowns)
        found += _connected_contradictions(self.portal, self.hours)
        for group in Group:
            days = [point.on for point in self.adoption.points if point.group is group]
            if len(days) < 2 or days != sorted(set(days)):
                expected = "two or more days, each after the one before"
                found.append((f"adoption.points ({group.value})", [str(day) for day in days], expected))
            shares = [point.share.value for point in self.adoption.points if point.group is group]
            if shares != sorted(shares):
                found.append((f"adoption.points ({group.value})", shares, "shares that do not fall"))
        found += _demand_contradictions(self.demand)
        office = self.office
        hours = [office.morning_from, office.morning_to, office.afternoon_from, office.afternoon_to]
        values = [hour.value for hour in hours]
        if values != sorted(values) or not office.open_h_per_day > 0:
            expected = "morning_from, morning_to, afternoon_from and afternoon_to in order, and an office that is open"
            found.append(("office", values, expected))
        elif self.casework.promise.value > (most_h := _MOST_PROMISED_DAYS * office.open_h_per_day):
            expected = f"at most {most_h:g} hours, {_MOST_PROMISED_DAYS} working days of the office"
            found.append(("casework.promise", self.casework.promise.value, expected))
        # A level's folder carries its number as %g writes it, and is read back from that.
        found += [
            (f"levels[{place}]", level, f"at most six digits, as {level:g}")
            for place, level in enumerate(self.levels)
            if float(f"{level:g}") != level
        ]
        if len(set(self.levels)) < len(self.levels):
            found.append(("levels", self.levels, "levels that differ"))
        return found


def _connected_contradictions(portal: Portal, hours: Hours | None) -> list[tuple[str, object, str]]:
    """The same of the systems that the portal asks, and of the hours in which they fail."""
    found: list[tuple[str, object, str]] = []
    spans: list[tuple[str, SystemOutage | SystemSlowdown]] = []
    for name, each in portal.connected.items():
        key = f"portal.connected.{name}"
        found += overlaps(f"{key}.outages", each.outages) + overlaps(f"{key}.slowdowns", each.slowdowns)
        if name in portal.stations:
            found.append((key, name, "a system that is not one of portal.stations"))
        if not each.visited_by(name):
            found.append((f"{key}.operations", [], "one or more operations; the system has none of its own"))
        spans += [(f"{key}.outages[{place}]", one) for place, one in enumerate(each.outages)]
        spans += [(f"{key}.slowdowns[{place}]", one) for place, one in enumerate(each.slowdowns)]
    if hours is None:
        return found + [
            (key, clock(one), "hours = { from, to } that hold it, the part of the day to be simulated")
            for key, one in spans
        ]
    from_s, to_s = hours.from_.value, hours.to.value
    if from_s >= to_s:
        found.append(("hours.to", to_s, f"more than hours.from, {from_s:g} seconds from midnight"))
    for key, one in spans:
        if not from_s <= one.from_.value < one.to.value < to_s:
            found.append((key, clock(one), f"a time within the hours, {clock(hours)}, that ends before they do"))
    for name, station in portal.stations.items():
        if station.outages or station.slowdowns:
            expected = "no outages or slow-downs beside hours: they count from the start of the replayed slice"
            found.append((f"portal.stations.{name}", "outages or slow-downs", expected))
    return found


def clock(span: SystemOutage | SystemSlowdown | Hours) -> str:
    """A span of the day as a file writes it."""
    shown = [f"{int(each.value) // 3600:02d}:{int(each.value) % 3600 // 60:02d}" for each in (span.from_, span.to)]
    return " to ".join(shown)


def _demand_contradictions(demand: Demand) -> list[tuple[str, object, str]]:
    """The same of the services and surges."""
    found: list[tuple[str, object, str]] = []
    for group in Group:
        shares = [service.share.value for service in demand.services if service.group is group]
        if not math.isclose(sum(shares), 100, abs_tol=1e-6):
            found.append((f"demand.services ({group.value}).share", shares, "shares that come to 100 percent"))
    for number, surge in enumerate(demand.surges):
        if surge.at.year != demand.year or surge.at.tzinfo is not None:
            found.append(
                (f"demand.surges[{number}].at", str(surge.at), f"a local time in {demand.year}, the calendar's")
            )
    for key, names in (
        ("services", [service.name for service in demand.services]),
        ("surges", [surge.name for surge in demand.surges]),
    ):
        if len(set(names)) < len(names):
            found.append((f"demand.{key}", names, "names that differ"))
    return found


def inputs(scenario: Scenario) -> list[dict[str, Any]]:
    """Every quantity that a scenario states as a row: key, value, unit, low, high, source, evidence.

    What is left to the default of its key has no source and is none of them.
    """
    return [row for row in _walk("", scenario) if row["source"] != q.OWN]


def _walk(key: str, node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, q.Quantity | q.Profile):
        yield {"key": key, **node.model_dump()}
    elif isinstance(node, BaseModel):
        for name, field in type(node).model_fields.items():
            shown = field.alias or name
            yield from _walk(f"{key}.{shown}" if key else shown, getattr(node, name))
    elif isinstance(node, dict):
        for name, child in node.items():
            yield from _walk(f"{key}.{name}", child)
    elif isinstance(node, list):
        for number, child in enumerate(node):
            yield from _walk(f"{key}[{number}]", child)

"""Figures of the report: pure functions from tables to numbers and series. Seconds and per second throughout.

Knows neither languages nor plots.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from caodiem import summary
from caodiem.dossier import OPERATIONS, Outcome
from caodiem.plan import Plan

Floats = npt.NDArray[np.float64]
_MOST_BINS = 300
# A gap between two right answers counts as a stall from this length on, when so many arrivals fell due in it:
# with fewer, a quiet stretch of the plan looks the same.
_STALL_FROM_S = 1.0
_STALL_FROM_ARRIVALS = 5
# A long wait is half of the longest one or more, if that is at least so long. Waiting is called hidden when service
# times show at most half of the long waits.
_LONG_FROM_S = 0.25


@dataclass(frozen=True, slots=True)
class Times:
    """Percentiles in seconds; infinite where so many steps were never answered rightly, NaN for no steps."""

    p50_s: float
    p95_s: float
    p99_s: float


@dataclass(frozen=True, slots=True)
class OperationTimes:
    """One operation: measured by a replay, predicted by the simulation; None where there is no such table."""

    operation: str
    steps: int
    measured: Times | None
    predicted: Times | None
    service: Times | None
    locust_p95_s: float | None


@dataclass(frozen=True, slots=True)
class Stall:
    """The longest stretch without a right answer in which arrivals fell due."""

    from_s: float
    to_s: float
    arrivals: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """What people waited, against what clients measured. `longest_response_s` is of steps that were answered."""

    longest_response_s: float
    longest_service_s: float
    long_s: float  # from here on a wait is long
    long_responses: int
    long_services: int
    steps: int
    never: int
    arrivals: int
    stall: Stall | None

    @property
    def is_hidden(self) -> bool:
        """Whether service times alone would hide most of the waiting."""
        return self.long_s >= _LONG_FROM_S and 2 * self.long_services <= self.long_responses


@dataclass(frozen=True, slots=True)
class ArrivalRates:
    """Arrivals a second in bins of `bin_s`; `start_s` holds the bins' starts."""

    start_s: Floats
    bin_s: float
    planned: Floats
    released: Floats
    finished: Floats


@dataclass(frozen=True, slots=True)
class Account:
    """Where the arrivals of one level's plan went, by outcome."""

    percent: float
    executor: str
    planned: int | None
    outcomes: Mapping[str, int]

    @property
    def total(self) -> int:
        return sum(self.outcomes.values())

    @property
    def is_balanced(self) -> bool:
        return self.planned == self.total


def account(percent: float, executor: str, drawn: Plan | None, rows: pa.Table) -> Account:
    """Counted from the tables, the plan's arrivals from the plan itself; None when that cannot be read."""
    return Account(percent, executor, drawn.arrivals if drawn else None, summary.arrival_outcomes(rows))


def operation_times(
    replayed: pa.Table | None, simulated: pa.Table | None, locust: Mapping[str, Any]
) -> list[OperationTimes]:
    """All operations first, then each in the domain's order. `locust` is info.json of the replay, or empty."""
    measured = summary.summarise(replayed) if replayed is not None else None
    predicted = summary.summarise(simulated) if simulated is not None else None
    known = {name for each in (measured, predicted) if each for name in each["operations"]}
    ordered = [name for name in OPERATIONS if name in known] + sorted(known - set(OPERATIONS))
    reported = _locust_p95_s(locust)
    return [_operation(name, measured, predicted, reported) for name in ("all", *ordered)]


def waiting(rows: pa.Table, length_s: float) -> Waiting:
    """How long people waited within the plan's `length_s`, and whether the portal stood still meanwhile."""
    settled = summary.last_attempts(rows)
    response_s = summary.response_s(settled)
    answered = np.isfinite(response_s)
    service_s = summary.service_s(rows)
    due_s = np.sort(_first_steps(settled)["due_s"].to_numpy())
    longest_s = float(response_s[answered].max()) if answered.any() else math.inf
    return Waiting(
        longest_response_s=longest_s,
        long_s=longest_s / 2,
        long_responses=int(np.sum(response_s[answered] >= longest_s / 2)),
        long_services=int(np.sum(service_s >= longest_s / 2)),
        longest_service_s=float(service_s.max()) if len(service_s) else math.nan,
        steps=settled.num_rows,
        never=int(np.sum(~answered)),
        arrivals=len(due_s),
        stall=_stall(due_s, settled["finished_s"].to_numpy()[answered], length_s),
    )


def arrival_rates(drawn: Plan, rows: pa.Table) -> ArrivalRates:
    """Planned, released and finished arrivals; finished ones are journeys whose last step was answered rightly."""
    settled = summary.last_attempts(rows)
    ok = np.isfinite(summary.response_s(settled))
    arrival = settled["arrival"].to_numpy()
    last = np.ones(len(arrival), dtype=bool)
    last[:-1] = arrival[1:] != arrival[:-1]
    finished_s = settled["finished_s"].to_numpy()[ok & last]
    released_s = _first_steps(settled)["released_s"].to_numpy()
    planned_s = _first_steps(drawn.table)["due_s"].to_numpy()
    length_s = max([drawn.meta.length_s, *(times.max() for times in (finished_s,) if len(times))])
    bin_s = float(max(math.ceil(length_s / _MOST_BINS), 1))
    edges = np.arange(0, math.ceil(length_s / bin_s) + 1) * bin_s
    planned, released, finished = (_per_s(times, edges) for times in (planned_s, released_s, finished_s))
    return ArrivalRates(edges[:-1], bin_s, planned, released, finished)


def median_of(rows: list[dict[str, Any]], name: str) -> float:
    """The median of a column, rows without a value left out; NaN for none."""
    values = [row[name] for row in rows if row[name] is not None]
    return float(np.median(values)) if values else math.nan


def ordinals(days: list[str]) -> Floats:
    """ISO dates as day numbers, for an axis."""
    return np.array([date.fromisoformat(day).toordinal() for day in days], dtype=np.float64)


def _operation(
    name: str, measured: dict[str, Any] | None, predicted: dict[str, Any] | None, reported: Mapping[str, float]
) -> OperationTimes:
    def part(whole: dict[str, Any] | None) -> dict[str, Any] | None:
        return None if whole is None else whole["all"] if name == "all" else whole["operations"].get(name)

    found, expected = part(measured), part(predicted)
    shown = found or expected or {"steps": 0}
    return OperationTimes(
        operation=name,
        steps=shown["steps"],
        measured=_times(found, "response_s"),
        predicted=_foretold(_times(expected, "response_s")),
        service=_times(found, "service_s") if measured is not None else _foretold(_times(expected, "service_s")),
        locust_p95_s=reported.get(name),
    )


def _foretold(times: Times | None) -> Times | None:
    """None where no station of the model serves the operation: it is answered at once, which foretells nothing."""
    return times if times is not None and times.p99_s > 0 else None


def _times(part: dict[str, Any] | None, kind: str) -> Times | None:
    if part is None or not part[kind]["count"]:
        return None
    return Times(*(part[kind][name] for name in ("p50", "p95", "p99")))


def _locust_p95_s(info: Mapping[str, Any]) -> dict[str, float]:
    """Locust's own p95 by operation; its line over everything is called Aggregated."""
    entries = info.get("locust_statistics") or []
    named = {("all" if each["name"] == "Aggregated" else each["name"]): each.get("p95_ms") for each in entries}
    return {name: value / 1000 for name, value in named.items() if value is not None}


def _stall(due_s: Floats, answered_s: Floats, length_s: float) -> Stall | None:
    inside = answered_s[(answered_s >= 0) & (answered_s < length_s)]
    edges = np.concatenate(([0.0], np.sort(inside), [length_s]))
    arrivals = np.diff(np.searchsorted(due_s, edges))
    length = np.where(arrivals > 0, np.diff(edges), 0.0)
    longest = int(np.argmax(length))
    if length[longest] < _STALL_FROM_S or arrivals[longest] < _STALL_FROM_ARRIVALS:
        return None
    return Stall(float(edges[longest]), float(edges[longest + 1]), int(arrivals[longest]))


def _first_steps(rows: pa.Table) -> pa.Table:
    return rows.filter(pc.equal(rows["step"], 0))


def _per_s(times_s: Floats, edges: Floats) -> Floats:
    counted = np.histogram(times_s[~np.isnan(times_s)], bins=edges)[0]
    return np.asarray(counted / (edges[1] - edges[0]), dtype=np.float64)


def outcome_names() -> list[str]:
    """The six outcomes in the order in which accounts list them."""
    return [outcome.value for outcome in Outcome]

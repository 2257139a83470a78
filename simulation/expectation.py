"""What a planner's own network is expected to ask of its stations and of this machine, before anything is drawn.

Means alone, by the traffic equations: how many visits come, how much work they are, whether there is room for them.
"""

import math
import os
from collections.abc import Iterator

import numpy as np
from scipy.sparse import csr_array, eye_array
from scipy.sparse.linalg import spsolve

from caodiem.behaviour import SECONDS, per_second, seconds
from caodiem.errors import UsageError
from caodiem.network import Arrivals, NetworkScenario, Visit
from simulation import arrivals, distributions

Floats = np.ndarray

# Draws, log and figures of one visit, and the log of one that another attempt could make; as measured.
_BYTES_A_VISIT, _BYTES_IN_RESERVE = 270, 140


def check(scenario: NetworkScenario) -> None:
    """UsageError where hardly anybody comes in all replications, or one does not fit into this machine's memory."""
    horizon_s, run = seconds(scenario.run.horizon), scenario.run
    most = run.replications if run.precision is None else max(run.replications, run.most_replications)
    comes = sum(_arrivals(each, horizon_s) for each in scenario.arrivals)
    if comes * most < 1:
        raise UsageError(
            f"arrivals: {comes:.2g} come in {horizon_s:g} seconds in the mean, hardly one in {most} replications; "
            "expected more, by a higher rate or a longer horizon"
        )
    check_room(scenario)


def check_room(scenario: NetworkScenario) -> None:
    """UsageError where a replication does not fit into this machine's memory. Every attempt allowed has its room."""
    needs, has = room(scenario)
    if needs > has:
        horizon_s, made = seconds(scenario.run.horizon), sum(count for _, count in visits(scenario))
        attempts = _attempts(scenario)
        each = f" of up to {attempts} attempts" if attempts > 1 else ""
        raise UsageError(
            f"run.horizon = {horizon_s:g} seconds: a replication makes {made:.2g} visits{each}, which take "
            f"{needs / 2**30:.2g} GiB of {has / 2**30:.2g}; expected at most {horizon_s * has / needs:.2g} seconds, "
            "lower rates, or a nearer way out of the network; more replications say as much as a longer one"
        )


def room(scenario: NetworkScenario) -> tuple[float, float]:
    """(bytes that a replication needs, bytes that this machine has)."""
    made = sum(count for _, count in visits(scenario))
    needs = made * (_BYTES_A_VISIT + _BYTES_IN_RESERVE * (_attempts(scenario) - 1))
    return needs, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _attempts(scenario: NetworkScenario) -> int:
    return scenario.retries.attempts if scenario.retries else 1


def overloads(scenario: NetworkScenario) -> list[str]:
    """A line for each station that more work comes to than it can do, of a network where nobody gives up."""
    loads = unrelieved_loads(scenario)
    return [
        overload(each.name, loads[each.name], int(each.servers.value))
        for each in scenario.stations
        if each.name in loads and loads[each.name] > each.servers.value
    ]


def overload(station: str, load: float, servers: int) -> str:
    """What is said of a station that more erlangs come to than it has servers."""
    return (
        f"{station}: {load:.4g} erlangs of work for {servers} servers; "
        "its queue grows as long as anybody comes, there is no steady state"
    )


def unrelieved_loads(scenario: NetworkScenario) -> dict[str, float]:
    """Erlangs that come to each station, by name; none of a network that has no steady state to look for, or in which
    somebody gives up.
    """
    if not scenario.steady or _is_relieved(scenario):
        return {}
    work_s, horizon_s = dict.fromkeys((each.name for each in scenario.stations), 0.0), seconds(scenario.run.horizon)
    services = {each.name: each.service for each in scenario.stations}
    for visit, count in visits(scenario):
        service = visit.service or services[visit.station]
        assert service is not None
        work_s[visit.station] += count * distributions.of(service).mean_s
    return {name: work / horizon_s for name, work in work_s.items()}


def chances(scenario: NetworkScenario) -> csr_array:
    """Row by row, of those who leave a station the shares that go on to each; columns of a row ascend."""
    place = {each.name: number for number, each in enumerate(scenario.stations)}
    rows, columns = ([place[getattr(each, end)] for each in scenario.routes] for end in ("from_", "to"))
    shares = [each.probability.value for each in scenario.routes]
    found = csr_array((shares, (rows, columns)), shape=(len(place), len(place)), dtype=np.float64)
    found.sum_duplicates()
    return found


def visits(scenario: NetworkScenario) -> Iterator[tuple[Visit, float]]:
    """How often each visit is made in one replication in the mean, if nobody tries again."""
    coming = [_arrivals(each, seconds(scenario.run.horizon)) for each in scenario.arrivals]
    if not scenario.journeys:
        counts = _walked(scenario, coming) if scenario.routes else [sum(coming)] * len(scenario.stations)
        yield from ((Visit(station=each.name), count) for each, count in zip(scenario.stations, counts, strict=True))
        return
    shares = sum(each.share.value for each in scenario.journeys)
    for journey in scenario.journeys:
        makes = sum(
            count * (journey.share.value / shares if stream.journey is None else stream.journey == journey.name)
            for stream, count in zip(scenario.arrivals, coming, strict=True)
        )
        yield from ((visit, makes * visit.visits) for step in journey.requests() for visit in step.visits)


def _is_relieved(scenario: NetworkScenario) -> bool:
    """Whether anybody is turned away, held up or gives up anywhere, so that less than all the work comes."""
    steps = [step for journey in scenario.journeys for step in journey.requests()]
    limited = any(
        each.queue is not None or each.patience or each.breaker or each.pace is not None for each in scenario.stations
    )
    hurried = any(step.timeout is not None or any(visit.patience for visit in step.visits) for step in steps)
    return limited or hurried or scenario.admission is not None


def _walked(scenario: NetworkScenario, coming: list[float]) -> list[float]:
    """Visits of each station by the traffic equations: who enters there and whom other stations send."""
    names = [each.name for each in scenario.stations]
    entries = np.zeros(len(names))
    for stream, count in zip(scenario.arrivals, coming, strict=True):
        entries[names.index(stream.to) if stream.to else 0] += count
    equations = eye_array(len(names), format="csc") - chances(scenario).T.tocsc()
    found: list[float] = np.atleast_1d(spsolve(equations, entries)).tolist()
    return found


def _arrivals(stream: Arrivals, horizon_s: float) -> float:
    """Arrivals of one stream in the mean."""
    if stream.rate is not None:
        return per_second(stream.rate) * horizon_s
    if stream.points is not None:
        repeat_s = seconds(stream.repeat) if stream.repeat is not None else math.inf
        return arrivals.expected_by_rate(stream.points.value, repeat_s, horizon_s)
    if stream.interval is not None:
        return horizon_s / distributions.of(stream.interval).mean_s
    assert stream.times is not None
    return sum(each * SECONDS[stream.times.unit] < horizon_s for each in stream.times.value)

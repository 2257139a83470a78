"""A national year: every dossier of the country through its agency's desks and the country's systems, day by day.

Nothing is kept of a day but what is still under way and what is counted, so memory does not grow with the horizon.
Three things run side by side: the systems (systems.py) serve a day's journeys while the desks (casework_compiled.py)
work through a later one and the one after it is drawn.

What a year leaves out: the casework does not wait for the systems (a slow system delays requests, not dossiers);
citizens' browsing and look-ups, which belong to no event of a dossier; patience, retries and outages. In a sample of
the country the systems keep all their servers, so their waits mean something only at scale 1.
"""

import resource
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np

from caodiem.year import YearScenario
from simulation import cases, demand, office
from simulation import desks as offices
from simulation.agencies import Agencies
from simulation.cases import ENDS, NUMBER, Channel, Event
from simulation.casework_compiled import Office
from simulation.compiling import machine_code
from simulation.demand import DAY_S, Calendar, Filings
from simulation.ledger import Ledger
from simulation.memory import Memory
from simulation.projection import level_shares
from simulation.systems import Systems, quantile_s

_THREADS = 2
_MOST_LAG_DAYS = 2
# Agencies that one task works through: enough tasks that both threads are busy to the day's end.
_SHARDS = 6
_FINAL = [NUMBER[event] for event in ENDS]
_FILED, _ONLINE = NUMBER[Event.FILED], int(Channel.ONLINE)


@dataclass(frozen=True, slots=True)
class _Filed:
    """One day's cases, agency by agency from `edges[a]` to `edges[a + 1]`, and their events before any desk."""

    cases: np.ndarray
    edges: np.ndarray
    rows: np.ndarray


class _Country:
    """Desks, systems and counts. Day 0 is 1 January; the days before it fill the desks and are not counted."""

    def __init__(self, scenario: YearScenario, agencies: Agencies, scale: float) -> None:
        self.scenario, self.agencies, self.scale = scenario, agencies, scale
        self.calendar = demand.calendar(scenario, scenario.demand.year)
        self.first = self.calendar.days[self.calendar.begins]
        self.days = _days(self.first, scenario.year.months)
        self.warm_up_days = _warm_up_days(self.calendar, int(scenario.casework.warm_up.value))
        self.shares = level_shares(scenario, agencies, scenario.levels[0])
        begins = self.first - timedelta(days=self.warm_up_days)
        self.begins_s = -float(DAY_S * self.warm_up_days)
        self.clock = _since(office.clock(scenario, self.calendar, begins), self.begins_s)
        self.desks = offices.of(scenario, agencies, self.calendar, scale)
        term_s = scenario.casework.answer_term.value * DAY_S
        self.offices = [Office(self.clock, self.desks, agency, term_s) for agency in range(len(agencies.code))]
        self.systems = Systems(scenario, len(agencies.code), self.days)
        # By day, agency, event and channel: what happened in the year.
        self.counts = np.zeros((self.days, len(agencies.code), len(NUMBER)), dtype=np.int64)
        self.online = np.zeros(len(agencies.code), dtype=np.int64)
        self.open_before = np.zeros(len(agencies.code), dtype=np.int64)
        self.ledger = Ledger()
        self.memory = Memory()

    def filed(self, day: int) -> _Filed:
        """Draw the day's dossiers."""
        on = self.first + timedelta(days=day)
        found = demand.filings(self.scenario, self.agencies, self.shares, self.calendar, on, on, self.scale)
        order = np.argsort(found.agency.astype(np.int16), kind="stable")
        agency = found.agency[order]
        ordered = Filings(
            found.dossier[order], agency, found.online[order], found.filed_s[order] + float(day * DAY_S),
            found.partly[order], found.service[order],
        )  # fmt: skip
        drawn, rows = cases.draw(self.scenario, self.clock, ordered, self.desks, self.memory.empty)
        return _Filed(drawn, np.searchsorted(agency, np.arange(len(self.agencies.code) + 1)), rows)

    def work(self, filed: _Filed, day: int, members: range) -> list[np.ndarray]:
        """The events at the desks of some agencies on one day."""
        until_s = float(self.clock.to_office(np.array((day + 1.0) * DAY_S)))
        rows = []
        for agency in members:
            mine = filed.cases[filed.edges[agency] : filed.edges[agency + 1]]
            rows += self.offices[agency].advance(mine, until_s, self.memory.empty)
        return rows

    def serve(self, pieces: list[np.ndarray], day: int) -> None:
        """Count what became known on a day, and serve the journeys of that day."""
        rows, edges = self.ledger.take(pieces, day)
        for piece in pieces:
            self.memory.give_back(piece)
        counted = np.zeros(self.counts.shape[1:], dtype=np.int64)
        online = np.zeros(len(counted), dtype=np.int64)
        _count(rows, counted, online)
        if day < 0:
            self.open_before += counted[:, NUMBER[Event.FILED]] - counted[:, _FINAL].sum(axis=1)
        else:
            self.counts[day] = counted
            self.online += online
        self.systems.advance(rows, edges, day)


@machine_code
def _count(rows, counted, online):  # type: ignore[no-untyped-def]
    """Count the events of each agency, and the dossiers that are filed online."""
    for number in range(len(rows)):
        row = rows[number]
        counted[row.agency, row.event] += 1
        online[row.agency] += (row.event == _FILED) & (row.channel == _ONLINE)


def simulate(
    scenario: YearScenario, agencies: Agencies, scale: float, progress: Callable[[float], None] = lambda share: None
) -> dict[str, Any]:
    """Run the year; its figures as docs/national-year.md describes them. `progress` is told the share of days done."""
    begun_s = time.perf_counter()
    country = _Country(scenario, agencies, scale)
    first = -country.warm_up_days
    shards = [range(shard, len(agencies.code), _SHARDS) for shard in range(_SHARDS)]
    tallied: list[np.ndarray] = []
    with ThreadPoolExecutor(_THREADS) as pool, ThreadPoolExecutor(1) as systems:
        filed, lagging = country.filed(first), deque[Future[None]]()
        for day in range(first, country.days):
            if day == 0:
                tallied = [each.tally.copy() for each in country.offices]
            following = pool.submit(country.filed, day + 1) if day + 1 < country.days else None
            worked = [pool.submit(country.work, filed, day, shard) for shard in shards]
            pieces = [filed.rows, *(piece for each in worked for piece in each.result())]
            country.memory.give_back(filed.cases)
            filed = following.result() if following else filed
            # The systems take one day after the other, and may lag some days behind the desks.
            lagging.append(systems.submit(country.serve, pieces, day))
            if len(lagging) > _MOST_LAG_DAYS:
                lagging.popleft().result()
            progress((day - first + 1) / (country.days - first))
        for each in lagging:
            each.result()
    figures = _figures(country, tallied)
    return {**figures, "wall_s": time.perf_counter() - begun_s, "peak_rss_bytes": _peak_rss_bytes()}


def _figures(country: _Country, tallied: list[np.ndarray]) -> dict[str, Any]:
    counts = country.counts
    filed = int(counts[:, :, NUMBER[Event.FILED]].sum())
    ended = {event.value: int(counts[:, :, NUMBER[event]].sum()) for event in ENDS}
    open_before = int(country.open_before.sum())
    desk_visits = sum(
        int((each.tally["visits"] - before["visits"]).sum())
        for each, before in zip(country.offices, tallied, strict=True)
    )
    return {
        "dossiers": filed,
        "visits": desk_visits + int(country.systems.stations["visits"].sum()),
        "visits_at_desks": desk_visits,
        "scale": country.scale,
        "level_percent": country.scenario.levels[0],
        "first_day": country.first.isoformat(),
        "days": country.days,
        "warm_up_days": country.warm_up_days,
        "open_at_start": open_before,
        "ended": ended,
        "open_at_end": open_before + filed - sum(ended.values()),
        "filed_per_day": counts[:, :, NUMBER[Event.FILED]].sum(axis=1).tolist(),
        "ended_per_day": counts[:, :, _FINAL].sum(axis=(1, 2)).tolist(),
        "agencies": list(_agencies(country, tallied)),
        "stations": _stations(country),
        "busiest_hours": _busiest_hours(country),
    }


def _agencies(country: _Country, tallied: list[np.ndarray]) -> Iterator[dict[str, Any]]:
    """Of each agency what was filed, how much of it online, what was finished in time, what is open at the end."""
    open_s = office.working_s_between(country.clock, 0.0, country.days * float(DAY_S))
    for number, code in enumerate(country.agencies.code):
        tally, before = country.offices[number].tally, tallied[number]
        counted = country.counts[:, number].sum(axis=0)
        filed = int(counted[NUMBER[Event.FILED]])
        finished = int((tally["finished"] - before["finished"]).sum())
        on_time = int((tally["on_time"] - before["on_time"]).sum())
        visits = tally["visits"] - before["visits"]
        wait_s = tally["wait_s"] - before["wait_s"]
        busy_s = tally["busy_s"] - before["busy_s"]
        yield {
            "code": code,
            "filed": filed,
            "online_percent": 100 * int(country.online[number]) / filed if filed else float("nan"),
            "finished": finished,
            "on_time_percent": 100 * on_time / finished if finished else float("nan"),
            "backlog": int(country.open_before[number]) + filed - int(counted[_FINAL].sum()),
            "desks": [
                {
                    "desk": name,
                    "officers": int(country.desks.officers[number, desk]),
                    "visits": int(visits[desk]),
                    "wait_working_s_mean": float(wait_s[desk] / visits[desk]) if visits[desk] else float("nan"),
                    "utilisation": float(busy_s[desk] / (open_s * country.desks.officers[number, desk])),
                }
                for desk, name in ((offices.FRONT, "front"), (offices.UNIT, "unit"))
            ],
        }


def _stations(country: _Country) -> dict[str, Any]:
    systems, length_s = country.systems, country.days * float(DAY_S)
    found = {}
    for number, (name, each) in enumerate(country.scenario.year.stations.items()):
        station, servers = systems.stations[number], int(each.servers.value)
        visits = int(station["visits"])
        hour = int(np.argmax(systems.per_hour[:, number]))
        found[name] = {
            "servers": servers,
            "visits": visits,
            "utilisation": float(station["busy_s"]) / (length_s * servers),
            "waited_percent": 100 * int(station["waited"]) / visits if visits else float("nan"),
            "wait_s_mean": float(station["wait_s"]) / visits if visits else float("nan"),
            "wait_s_p95": quantile_s(systems.waits[number], 0.95),
            "wait_s_p99": quantile_s(systems.waits[number], 0.99),
            "busiest_hour": _hour(country, hour),
            "busiest_hour_visits_per_s": float(systems.per_hour[hour, number]) / 3600,
        }
    return found


def _busiest_hours(country: _Country) -> list[dict[str, Any]]:
    """Of each month the hour with the most visits of all systems."""
    total = country.systems.per_hour.sum(axis=1)
    months = np.repeat([(country.first + timedelta(days=day)).month for day in range(country.days)], 24)
    found = []
    for month in range(1, country.scenario.year.months + 1):
        hour = int(np.argmax(np.where(months == month, total, -1)))
        found.append({"month": month, "starts_at": _hour(country, hour), "visits_per_s": float(total[hour]) / 3600})
    return found


def _hour(country: _Country, hour: int) -> str:
    return f"{(country.first + timedelta(days=hour // 24)).isoformat()}T{hour % 24:02d}:00:00"


def _days(first: date, months: int) -> int:
    return (date(first.year + months // 12, months % 12 + 1, 1) - first).days


def _warm_up_days(calendar: Calendar, working_days: int) -> int:
    """Days before 1 January that hold so many working days, or as many as the calendar has."""
    working = np.flatnonzero(calendar.working[: calendar.begins])
    return calendar.begins - int(working[-min(working_days, len(working))]) if working_days else 0


def _since(clock: office.OfficeClock, begins_s: float) -> office.OfficeClock:
    """The clock with a wall time that is negative before 1 January; office time begins with the warm-up."""
    return office.OfficeClock(clock.opens_s + begins_s, clock.closes_s + begins_s, clock.begins_s)


def _peak_rss_bytes() -> int:
    """The most memory that this process has held; Linux counts kilobytes, macOS bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

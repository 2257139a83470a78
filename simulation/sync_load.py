"""The load of status sync: each agency's events over some weeks, what its adapter makes of them, and the sync ceiling.

How many events a dossier causes, on which working day after its filing and at what time of day is counted from the
casework; how many dossiers are filed is expected from the demand. The adapter's queue is sync_queue.py. The whole
country is simulated whatever the run's scale, since a queue cannot be thinned.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.stats import poisson

from caodiem.draws import uniform
from caodiem.errors import UsageError
from caodiem.scenario import Scenario, StatusSync
from simulation import adoption
from simulation.agencies import Agencies, online_shares
from simulation.cases import Event, texts
from simulation.demand import DAY_S, Calendar, surge_per_day
from simulation.journeys import SYNCED
from simulation.sync_queue import Adapter, backlog, fluid_backlog, run

Floats = np.ndarray
_BIN_S = 1800
_BINS = DAY_S // _BIN_S
_LONGEST_WORKING_DAYS = 30
_MORNING_S = 7 * 3600
_LEVEL_STEP = 1.0
# Of the agencies that wait most, so many are drawn over time.
_DRAWN = 5


@dataclass(frozen=True, slots=True)
class Life:
    """What a dossier causes: `events` by channel (0 others, 1 online), which part of them falls on each working day
    after its filing (`days`), and on each half hour of a day (`halves`)."""

    events: Floats
    days: Floats
    halves: Floats


def life(casework: pa.Table, calendar: Calendar, first: date) -> Life:
    """Counted from a casework table whose clock begins at midnight of `first`."""
    event, channel = texts(casework, "event"), texts(casework, "channel")
    dossier, at_s = (casework[name].to_numpy() for name in ("dossier", "at_s"))
    online, filed, synced = channel == "online", event == Event.FILED, np.isin(event, SYNCED)
    events = [
        synced[online == is_online].sum() / max(filed[online == is_online].sum(), 1) for is_online in (False, True)
    ]
    worked = np.cumsum(calendar.working)
    start = calendar.index(first)

    def working_day(times_s: Floats) -> np.ndarray:
        day = np.minimum(start + (times_s // DAY_S).astype(int), len(worked) - 1)
        # Working days begun: what falls on a day off belongs to the next working day.
        return worked[day] + ~calendar.working[day]

    order = np.argsort(dossier[filed])
    place = order[np.searchsorted(dossier[filed][order], dossier[synced])]
    after = working_day(at_s[synced]) - working_day(at_s[filed])[place]
    days = np.bincount(np.clip(after, 0, _LONGEST_WORKING_DAYS), minlength=_LONGEST_WORKING_DAYS + 1)
    halves = np.bincount((at_s[synced] % DAY_S // _BIN_S).astype(int), minlength=_BINS)
    return Life(np.array(events), days / days.sum(), halves / halves.sum())


def expected(
    scenario: Scenario,
    sync: StatusSync,
    agencies: Agencies,
    shares: Floats,
    calendar: Calendar,
    caused: Life,
    first: date,
) -> Floats:
    """Status events of one system of each agency (rows) in each half hour from midnight of `first` on."""
    volume, reported = agencies.volume_per_day[:, None], sync.others_reported.value / 100
    online = volume * shares[:, None] * calendar.online * calendar.factor
    others = volume * (1 - shares[:, None]) * calendar.counter * calendar.factor
    of_surges = _surged(scenario, agencies, calendar)
    filed = caused.events[1] * online + caused.events[0] * reported * others + caused.events[1] * of_surges
    daily = _on_working_days(filed, calendar, caused.days)
    start = calendar.index(first)
    chosen = daily[:, start : start + int(sync.days.value)] / sync.systems.value
    return np.asarray((chosen[:, :, None] * caused.halves).reshape(len(chosen), -1))


def simulate(
    scenario: Scenario,
    agencies: Agencies,
    shares: Floats,
    calendar: Calendar,
    casework: pa.Table,
    began: date,
    busiest: date,
) -> dict[str, Any]:
    """sync.json: for the published queue and for batches, each agency's backlog, delays and failures; the ceiling."""
    sync = scenario.sync
    assert sync is not None  # asked for by scenarios that have it
    caused = life(casework, calendar, began)
    first = first_day(calendar, busiest, int(sync.days.value))
    coming = expected(scenario, sync, agencies, shares, calendar, caused, first)
    at_s, chance = _drawn(scenario.seed, coming)
    adapters = {"queue": queue_of(sync), "batch": batch_of(scenario, sync)}
    rows = {name: _rows(sync, agencies, adapter, coming, at_s, chance, first) for name, adapter in adapters.items()}
    worst = sorted(rows["queue"], key=lambda row: -row["backlog_most"])[:_DRAWN]
    return {
        "first_day": first.isoformat(),
        "days": int(sync.days.value),
        "events_per_online_dossier": float(caused.events[1]),
        "events_per_other_dossier": float(caused.events[0]),
        "ceiling_per_minute": {name: 60 * adapter.ceiling_per_s for name, adapter in adapters.items()},
        "adapters": {
            name: [{key: value for key, value in row.items() if key != "backlog"} for row in found]
            for name, found in rows.items()
        },
        "backlog": {"every_s": 3600.0, "agencies": [
            {"code": row["code"], "name_en": row["name_en"], "name_vi": row["name_vi"], "waiting": row["backlog"]}
            for row in worst
        ]},
        "ceiling": ceiling(scenario, agencies, calendar, caused, first),
    }  # fmt: skip


def queue_of(sync: StatusSync) -> Adapter:
    """The published adapter: calls one after the other for each entry."""
    call_s, calls = sync.call_time.value, sync.calls.value
    # The last call is not made when the one before it failed.
    hanging_s = (calls - 1) * (sync.timeout.value if sync.outage and sync.outage.hangs else call_s)
    entries, retries = int(sync.entries.value), int(sync.retries.value)
    return Adapter(sync.period.value, entries, calls * call_s, 0.0, hanging_s, 0.0, sync.failing.value / 100, retries)


def batch_of(scenario: Scenario, sync: StatusSync) -> Adapter:
    """The newer adapter of this scenario's traffic: one call for a whole batch."""
    traffic = scenario.traffic
    hanging_s = sync.timeout.value if sync.outage and sync.outage.hangs else sync.call_time.value
    return Adapter(
        traffic.sync_period.value, int(traffic.sync_batch.value), 0.0, sync.call_time.value, 0.0, hanging_s,
        sync.failing.value / 100, int(sync.retries.value),
    )  # fmt: skip


def first_day(calendar: Calendar, busiest: date, days: int) -> date:
    """The Monday before the busiest day's week, or as late as lets all days fit into the calendar."""
    wanted = busiest - timedelta(days=busiest.weekday() + 7)
    return max(calendar.days[0], min(wanted, calendar.days[-1] - timedelta(days=days - 1)))


def ceiling(
    scenario: Scenario, agencies: Agencies, calendar: Calendar, caused: Life, first: date
) -> list[dict[str, Any]]:
    """From which national level on each agency's queue is not empty every morning, and from which it grows for ever.

    Fluid, in half hours; None where no level of the path does it. Twice: with all other dossiers reported as the
    scenario says, and with those handled online alone.
    """
    assert scenario.sync is not None
    path = adoption.path(scenario)
    least, most = (100 * path.national(day.toordinal()) for day in (path.first, path.last))
    levels = np.arange(np.ceil(least), most + 1e-9, _LEVEL_STEP)
    shares = [online_shares(agencies, scenario, path.shares(adoption.reached_on(path, level))) for level in levels]
    sync, rows = scenario.sync, []
    alone = sync.model_copy(update={"others_reported": sync.others_reported.model_copy(update={"value": 0.0})})
    found = {}
    for name, each in (("all", sync), ("online_only", alone)):
        coming = np.stack([expected(scenario, each, agencies, one, calendar, caused, first) for one in shares])
        taken = queue_of(each).ceiling_per_s * _BIN_S
        waiting = fluid_backlog(coming, taken)[:, :, _MORNING_S // _BIN_S - 1 :: _BINS]
        grows = coming.mean(axis=2) >= taken
        found[name] = {"not_every_morning": waiting.max(axis=2) > each.entries.value, "never": grows}
    for place, code in enumerate(agencies.code):
        row: dict[str, Any] = {"code": code, "name_en": agencies.name_en[place], "name_vi": agencies.name_vi[place]}
        for name, kinds in found.items():
            for kind, over in kinds.items():
                hit = np.flatnonzero(over[:, place])
                row[f"{name}_{kind}_from_percent"] = float(levels[hit[0]]) if len(hit) else None
        rows.append(row)
    return rows


def _surged(scenario: Scenario, agencies: Agencies, calendar: Calendar) -> Floats:
    """Dossiers of surges filed at each agency on each day."""
    found = np.zeros((len(agencies.code), len(calendar.days)))
    for each in scenario.demand.surges:
        part = agencies.volume_per_day / agencies.volume_per_day.sum()
        if each.agency is not None:
            part = np.array([code == each.agency for code in agencies.code], dtype=float)
        found += part[:, None] * surge_per_day(scenario, calendar, each)
    return found


def _on_working_days(filed: Floats, calendar: Calendar, days: Floats) -> Floats:
    """Events by the day on which they happen: days off wait for the next working day, then `days` spreads them."""
    working = np.flatnonzero(calendar.working)
    place = np.minimum(np.searchsorted(working, np.arange(filed.shape[1])), len(working) - 1)
    arrived = np.zeros((len(filed), len(working)))
    np.add.at(arrived.T, place, filed.T)
    spread = np.array([np.convolve(row, days)[: len(working)] for row in arrived])
    daily = np.zeros(filed.shape)
    daily[:, working] = spread
    return daily


def _drawn(seed: int, coming: Floats) -> tuple[list[Floats], list[Floats]]:
    """Each agency's entries: when they come (ascending) and a draw for their failures."""
    times, chances = [], []
    for place, means in enumerate(coming):
        bins = np.arange(len(means))
        counts = poisson.ppf(uniform(seed, "sync count", place, bins), means).astype(np.int64)
        bin_of = np.repeat(bins, counts)
        nth = np.arange(len(bin_of))
        at_s = _BIN_S * (bin_of + uniform(seed, "sync moment", place, nth))
        # Half hours are in order already; only within each are times sorted.
        times.append(np.sort(at_s))
        chances.append(uniform(seed, "sync failure", place, nth))
    return times, chances


def _rows(
    sync: StatusSync,
    agencies: Agencies,
    adapter: Adapter,
    coming: Floats,
    at_s: list[Floats],
    chance: list[Floats],
    first: date,
) -> list[dict[str, Any]]:
    end_s = float(sync.days.value) * DAY_S
    mornings_s = np.array([day * DAY_S + _MORNING_S for day in range(1, int(sync.days.value))], dtype=np.float64)
    hours_s = np.arange(0, end_s, 3600)
    down = _down(sync, first)
    rows = []
    for place, code in enumerate(agencies.code):
        found = run(adapter, at_s[place], chance[place], end_s, down)
        waiting = backlog(at_s[place], found.left_s, hours_s)
        mornings = backlog(at_s[place], found.left_s, mornings_s)
        delays_s = np.where(found.failed, np.inf, found.left_s - at_s[place])
        p50, p95 = np.quantile(delays_s, [0.5, 0.95], method="higher") if len(delays_s) else (0.0, 0.0)
        rows.append(
            {
                "code": code,
                "name_en": agencies.name_en[place],
                "name_vi": agencies.name_vi[place],
                "events": len(delays_s),
                "utilisation": float(coming[place].sum() / end_s / adapter.ceiling_per_s),
                "delay_s_p50": float(p50),
                "delay_s_p95": float(p95),
                "backlog_most": int(waiting.max(initial=0)),
                "backlog_end": int(np.isinf(found.left_s).sum()),
                "mornings_with_backlog": int((mornings > adapter.entries).sum()),
                "failed": int(found.failed.sum()),
                "synced_share": float(np.isfinite(delays_s).mean()) if len(delays_s) else 1.0,
                "backlog": waiting.tolist(),
            }
        )
    return rows


def _down(sync: StatusSync, first: date) -> tuple[float, float] | None:
    """The outage in seconds from midnight of `first`."""
    if sync.outage is None:
        return None
    at = sync.outage.at
    if not 0 <= (at.date() - first).days < sync.days.value:
        raise UsageError(
            f"sync.outage.at = {at}: expected within {sync.days.value:g} days from {first}, those simulated"
        )
    from_s = (at.date() - first).days * DAY_S + at.hour * 3600 + at.minute * 60 + at.second
    return float(from_s), from_s + sync.outage.length.value * 3600

"""Indicators of Decision 766 for each agency, counted from the casework and the sync's figures: pure functions.

    1.4  synchronised: of status events, those that the national portal had when the days simulated ended
    2.1  on time: dossiers that ended within their promise, over all that ended (regulation-qd766-formula-2-1)
    3.3  online: filed online, over all filed; the formula multiplies by the synchronised share and asks for an
         electronic result, so it counts only what is handled online end to end
    3.6  paid online: dossiers paid online over those with something to pay
    4.2  digitised: dossiers with papers and result in electronic form over all that ended, which are those that the
         agency was in charge of (regulation-qd766-formula-4-2); without a result there is none in electronic form

The working document contradicts itself twice, and both readings are given: whether the time that a citizen takes to
answer is taken off (2.1), and whether the synchronised share multiplies the online share (3.3). A second request for a
supplement makes a dossier late in the first reading. Counters' fees and scans are taken in expectation.
"""

from typing import Any

import numpy as np
import pyarrow as pa

from caodiem.dossier import Group
from caodiem.scenario import Indicators, Scenario
from simulation.agencies import Agencies
from simulation.cases import Event, texts
from simulation.office import OfficeClock

Floats = np.ndarray
# Fewer dossiers in the sample say nothing of their agency.
LEAST_DOSSIERS = 30
# Points of Decision 766 (regulation-qd766-weight-progress, -online, -digitisation).
_POINTS = {"on_time": 20.0, "online": 22.0, "digitised": 22.0}
CRITERIA = ("on_time", "synced", "online", "paid_online", "digitised")


def of_level(
    scenario: Scenario, agencies: Agencies, casework: pa.Table, clock: OfficeClock, synced: dict[str, float] | None
) -> dict[str, Any]:
    """indicators.json: a row an agency, and how many agencies meet each criterion and all of them.

    `synced` has each agency's synchronised share (0 to 1) by code; None where no sync was simulated, and then no
    agency is judged by it. Shares are in percent. `agencies_listed` counts the scenario's list; `published` is what was
    published of the country's number of agencies, and of those whose portals met all criteria of that time.
    """
    times = _times(casework)
    on_time = _on_time(times, clock, 3600 * scenario.casework.promise.value)
    asked = [name for name in CRITERIA if name != "synced" or synced is not None]
    rows = [_row(scenario, times, on_time, code, None if synced is None else synced[code]) for code in agencies.code]
    named = zip(rows, agencies.name_en, agencies.name_vi, agencies.group, strict=True)
    rows = [
        {**row, "name_en": name_en, "name_vi": name_vi, "group": group.value} for row, name_en, name_vi, group in named
    ]
    judged = [row for row in rows if row["dossiers"] >= LEAST_DOSSIERS]
    for row in judged:
        row["meets"] = [name for name in asked if _meets(scenario.indicators, row, name)]
        row["meets_all"] = len(row["meets"]) == len(asked)
    return {
        "criteria": {name: getattr(scenario.indicators, name).value for name in asked},
        "agencies_listed": {group.value: agencies.group.count(group) for group in Group},
        "agencies_judged": len(judged),
        "agencies_meeting": {name: sum(name in row["meets"] for row in judged) for name in asked},
        "agencies_meeting_all": sum(row["meets_all"] for row in judged),
        "published": {
            "agencies": int(scenario.indicators.published_agencies.value),
            "agencies_meeting_all": int(scenario.indicators.published_meeting_all.value),
            "sources": [
                scenario.indicators.published_agencies.source,
                scenario.indicators.published_meeting_all.source,
            ],
        },
        "points_of": sum(_POINTS.values()),
        "agencies": rows,
    }


def _row(
    scenario: Scenario, times: dict[str, np.ndarray], on_time: dict[str, np.ndarray], code: str, synced: float | None
) -> dict[str, Any]:
    """One agency's shares in percent and points; NaN where nothing ended."""
    own = times["agency"] == code
    channel, ended = times["channel"][own], on_time["ended"][own]
    filed, online = max(len(channel), 1), channel == "online"
    is_remote = channel != "counter"
    scanned = scenario.indicators.scanned_at_counter.value / 100
    finished = ~np.isnan(times[Event.FINISHED][own])
    owed = ~np.isnan(times[Event.PAYMENT_DUE][own])
    paid = is_remote & ~(np.isnan(times[Event.PAID][own]) & np.isnan(times[Event.OBLIGATION_PAID][own]))
    # At a counter a fee is paid unseen: it is expected as often as elsewhere, an obligation on top is seen.
    unseen = scenario.casework.fee.value / 100 * np.sum(~is_remote & ~owed)
    to_pay = np.sum(paid | owed) + unseen
    row: dict[str, Any] = {
        "code": code,
        "dossiers": len(channel),
        "on_time": _percent(on_time["paused"][own].sum(), ended.sum()),
        "on_time_pauses_counted": _percent(on_time["running"][own].sum(), ended.sum()),
        "synced": None if synced is None else 100 * synced,
        "online": _percent(is_remote.sum(), filed),
        "online_by_formula": _percent(online.sum(), filed) * (1.0 if synced is None else synced),
        "paid_online": _percent(paid.sum(), to_pay),
        "digitised": _percent((finished & online).sum() + scanned * (finished & ~online).sum(), ended.sum()),
    }
    return {**row, "points": _points(scenario.indicators, row), "meets": [], "meets_all": False}


def _times(casework: pa.Table) -> dict[str, np.ndarray]:
    """A row a dossier: its agency and channel, when each event happened (NaN: never; the first time where it happened
    more than once), and how often it was asked for a supplement."""
    event = texts(casework, "event")
    at_s = casework["at_s"].to_numpy()
    dossier, first, row = np.unique(casework["dossier"].to_numpy(), return_index=True, return_inverse=True)
    found: dict[str, np.ndarray] = {name: texts(casework, name)[first] for name in ("agency", "channel")}
    for kind in Event:
        happened = np.flatnonzero(event == kind)[::-1]  # the first one is written last
        times = np.full(len(dossier), np.nan)
        times[row[happened]] = at_s[happened]
        found[kind] = times
    found["requests"] = np.bincount(row[event == Event.SUPPLEMENT_ASKED], minlength=len(dossier))
    return found


def _on_time(times: dict[str, np.ndarray], clock: OfficeClock, promise_s: float) -> dict[str, np.ndarray]:
    """For each dossier, whether it ended, and whether within its promise, in office time from its receipt.

    The clock stops when it is finished, else when it is refused, stopped or, once received, withdrawn
    (lifecycle-end-statuses). `paused` takes off the time during which its citizen was asked, `running` does not.
    """
    received, refused = times[Event.RECEIVED], times[Event.NOT_RECEIVED]
    begin = np.where(np.isnan(received), times[Event.FILED], received)
    end = times[Event.FINISHED]
    for kind in (Event.STOPPED, Event.WITHDRAWN):
        end = np.where(np.isnan(end) & ~np.isnan(received), times[kind], end)
    end = np.where(np.isnan(end), refused, end)
    ended = ~np.isnan(end)
    took_s = _office_s(clock, begin, end)
    pause_s = np.zeros(len(end))
    for asked, answered in ((Event.SUPPLEMENT_ASKED, Event.SUPPLEMENTED), (Event.PAYMENT_DUE, Event.OBLIGATION_PAID)):
        until = np.where(np.isnan(times[answered]), end, times[answered])
        pause_s += np.nan_to_num(_office_s(clock, times[asked], until))
    with np.errstate(invalid="ignore"):
        paused = ended & (took_s - pause_s <= promise_s) & (times["requests"] <= 1)
        return {"ended": ended, "paused": paused, "running": ended & (took_s <= promise_s)}


def _office_s(clock: OfficeClock, begin: Floats, end: Floats) -> Floats:
    """Office seconds between two wall times; NaN where one of them is."""
    known = ~(np.isnan(begin) | np.isnan(end))
    passed = np.full(len(begin), np.nan)
    passed[known] = clock.to_office(end[known]) - clock.to_office(begin[known])
    return passed


def _percent(part: float, whole: float) -> float:
    return float(100 * part / whole) if whole else float("nan")


def _meets(asked: Indicators, row: dict[str, Any], name: str) -> bool:
    return bool(row[name] >= getattr(asked, name).value)


def _points(asked: Indicators, row: dict[str, Any]) -> float:
    """The points that the casework can tell of: in proportion up to the share that earns them all."""
    full = {"on_time": 100.0, "online": asked.online.value, "digitised": asked.digitised.value}
    return float(sum(most * min(row[name] / full[name], 1.0) for name, most in _POINTS.items()))

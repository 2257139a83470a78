"""Casework: each dossier's way through its agency, as a SimPy process in office time.

filed ─► signatures checked ─► paid ─► received ─► in process ─► finished ─► returned
                                   └─► not received    └─► supplement asked ─► supplemented ─┘

A one-stop desk receives and returns, a specialised unit handles; each serves first come first served. All draws are
made before the simulation and keyed by dossier. Not modelled yet: withdrawal, stopping, a financial obligation while in
process, signatures that fail.
"""

import gc
import heapq
from collections.abc import Callable, Generator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import pyarrow as pa
import simpy
from scipy.special import ndtri

from caodiem.draws import uniform
from caodiem.scenario import Scenario
from simulation.agencies import Agencies
from simulation.demand import DAY_S, Calendar, Filings
from simulation.office import OfficeClock, working_s_per_year

Floats = np.ndarray


class Event(StrEnum):
    """What happens to a dossier; the casework table has a row for each."""

    FILED = "filed"
    CHECKED = "signatures_checked"
    PAID = "paid"
    RECEIVED = "received"
    NOT_RECEIVED = "not_received"
    STARTED = "in_process"
    SUPPLEMENT_ASKED = "supplement_asked"
    SUPPLEMENTED = "supplemented"
    FINISHED = "finished"
    RETURNED = "returned"


_NUMBER = {event: number for number, event in enumerate(Event)}
Row = tuple[int, int, float, bool]  # dossier's row, number of the event, time, whether it is wall time

SCHEMA = pa.schema(
    [
        ("dossier", pa.int64()),
        ("agency", pa.dictionary(pa.int32(), pa.string())),
        ("online", pa.bool_()),
        ("components", pa.int32()),
        ("event", pa.dictionary(pa.int32(), pa.string())),
        ("at_s", pa.float64()),  # wall time from midnight of the first day simulated
    ]
)


@dataclass(frozen=True, slots=True)
class Draws:
    """What chance decides for each dossier, drawn before anything runs; lists of one length. Times in seconds."""

    components: np.ndarray
    checked_s: list[float]  # wall time
    paid_s: list[float]  # wall time; NaN where nothing is paid online
    ready_s: list[float]  # office time from which the desk may receive it
    refused: list[bool]
    supplements: list[bool]
    answer_s: list[float]  # wall seconds that a citizen takes to answer
    processing_s: list[float]  # office seconds
    # What a desk takes for this dossier over what it takes in the mean.
    receive: list[float]
    handle: list[float]
    handle_again: list[float]
    give_back: list[float]


@dataclass(slots=True)
class Officers:
    """Officers who take one case each, first come first served.

    Nobody leaves the queue and service times are drawn beforehand, so a case's end is known when it joins: one event
    a case instead of the four of a SimPy resource.
    """

    free_s: list[float]  # a heap: the office time at which each officer is free

    def end_s(self, now_s: float, service_s: float) -> float:
        """When a case that joins the queue now will have been served."""
        end_s = max(now_s, self.free_s[0]) + service_s
        heapq.heapreplace(self.free_s, end_s)
        return end_s


@dataclass(frozen=True, slots=True)
class Desk:
    """What one kind of work takes of its officers, in the mean."""

    officers: Officers
    service_s: float


def simulate(
    scenario: Scenario,
    agencies: Agencies,
    calendar: Calendar,
    clock: OfficeClock,
    filings: Filings,
    scale: float,
    progress: Callable[[float], None] = lambda share: None,
) -> pa.Table:
    """Run every dossier to its end; the events (columns as `SCHEMA`) in order of time.

    Nothing is filed after the last of `filings`, so what happens later than that is too quiet to be counted; it tells
    how long each dossier lived. `progress` is told the share done, from 0 to 1.
    """
    env = simpy.Environment()
    draws = draw(scenario, clock, filings)
    rows: list[Row] = []
    desks = _desks(scenario, agencies, calendar, scale)
    env.process(_file_all(env, clock, filings, draws, desks, rows))
    last_s = max(draws.ready_s, default=0.0)
    # Millions of live generators, none of them in a cycle: the cyclic collector would only walk them, again and again.
    gc.disable()
    try:
        for part in range(1, 101):
            # A second is added, so that time goes on even where nothing is filed.
            env.run(until=(last_s + 1) * part / 100)
            progress(0.75 * part / 100)
        env.run()
        progress(1.0)
    finally:
        gc.enable()
    return _table(agencies, clock, filings, draws, rows)


def draw(scenario: Scenario, clock: OfficeClock, filings: Filings) -> Draws:
    """Every draw of the casework, keyed by (seed, quantity, dossier)."""
    work, seed, dossier = scenario.casework, scenario.seed, filings.dossier

    def chance(quantity: str) -> Floats:
        return uniform(seed, quantity, dossier)

    weights = np.cumsum(work.components.value) / np.sum(work.components.value)
    components = 1 + np.searchsorted(weights, chance("components"))
    checked_s = filings.filed_s + np.where(filings.online, components * work.signature_check.value, 0)
    pays = filings.online & (chance("fee") < work.fee.value / 100)
    delay_s = work.pause.value - 60 * work.payment.value * np.log(chance("payment"))
    paid_s = np.where(pays, checked_s + delay_s, np.nan)

    def at_desk(quantity: str) -> list[float]:
        return lognormal(work.desk_variation.value, chance(quantity)).tolist()

    processing = lognormal(work.processing_variation.value, chance("processing"))
    return Draws(
        components=components,
        checked_s=checked_s.tolist(),
        paid_s=paid_s.tolist(),
        ready_s=clock.to_office(np.where(pays, paid_s, checked_s)).tolist(),
        refused=(chance("not received") < work.not_received.value / 100).tolist(),
        supplements=(chance("supplement") < work.supplement.value / 100).tolist(),
        answer_s=(-np.log(chance("answer")) * work.supplement_answer.value * DAY_S).tolist(),
        processing_s=(3600 * work.processing.value * processing).tolist(),
        receive=at_desk("receive"),
        handle=at_desk("handle"),
        handle_again=at_desk("handle again"),
        give_back=at_desk("return"),
    )


def lognormal(variation: float, chance: Floats) -> Floats:
    """Lognormal draws of mean 1 and a standard deviation over mean, by inversion of `chance` (0 to 1)."""
    sigma = np.sqrt(np.log1p(variation**2))
    return np.exp(sigma * ndtri(chance) - sigma**2 / 2)


def _file_all(
    env: simpy.Environment,
    clock: OfficeClock,
    filings: Filings,
    draws: Draws,
    desks: list[dict[str, Desk]],
    rows: list[Row],
) -> Generator[simpy.Event, None, None]:
    """Start each dossier's process when its desk may first receive it, earliest first."""
    for row in np.argsort(draws.ready_s, kind="stable").tolist():
        yield env.timeout(max(draws.ready_s[row] - env.now, 0))
        env.process(_case(env, clock, row, draws, desks[filings.agency[row]], rows))


def _case(
    env: simpy.Environment, clock: OfficeClock, row: int, draws: Draws, desks: dict[str, Desk], rows: list[Row]
) -> Generator[simpy.Event, Any, None]:
    """One dossier from the desk's receipt to the returned result."""
    yield _served(env, desks["receive"], draws.receive[row])
    if draws.refused[row]:
        rows.append((row, _NUMBER[Event.NOT_RECEIVED], env.now, False))
        return
    rows.append((row, _NUMBER[Event.RECEIVED], env.now, False))
    yield _served(env, desks["handle"], draws.handle[row])
    rows.append((row, _NUMBER[Event.STARTED], env.now, False))
    yield env.timeout(draws.processing_s[row])
    if draws.supplements[row]:
        rows.append((row, _NUMBER[Event.SUPPLEMENT_ASKED], env.now, False))
        answered_s = float(clock.to_wall(np.array(env.now))) + draws.answer_s[row]
        # An answer that comes at once may lie a rounding before now.
        yield env.timeout(max(float(clock.to_office(np.array(answered_s))) - env.now, 0))
        rows.append((row, _NUMBER[Event.SUPPLEMENTED], answered_s, True))
        yield _served(env, desks["handle"], draws.handle_again[row])
    rows.append((row, _NUMBER[Event.FINISHED], env.now, False))
    yield _served(env, desks["return"], draws.give_back[row])
    rows.append((row, _NUMBER[Event.RETURNED], env.now, False))


def _served(env: simpy.Environment, desk: Desk, factor: float) -> simpy.Timeout:
    """Join the desk's queue; the event happens when the case has been served."""
    return env.timeout(desk.officers.end_s(env.now, desk.service_s * factor) - env.now)


def _desks(scenario: Scenario, agencies: Agencies, calendar: Calendar, scale: float) -> list[dict[str, Desk]]:
    """Each agency's desks, with as many officers as keep the scenario's utilisation in the mean of the year.

    In a sample of the country a desk may come to a fraction of an officer. Then one officer stands there whose
    service takes longer in proportion, which keeps the utilisation; waits are coarser than in the whole country.
    """
    work = scenario.casework
    utilisation = work.desk_utilisation.value / 100
    days = len(calendar.days) - calendar.begins
    per_open_s = agencies.volume_per_day * days / working_s_per_year(scenario, calendar)
    received = 1 - work.not_received.value / 100
    front_s = 60 * (work.receive_time.value + received * work.return_time.value)
    handling_s = 60 * work.handle_time.value * received * (1 + work.supplement.value / 100)
    desks = []
    for rate in per_open_s:
        front, stretch = _officers(scale * rate * front_s / utilisation)
        unit, unit_stretch = _officers(scale * rate * handling_s / utilisation)
        desks.append(
            {
                "receive": Desk(front, 60 * work.receive_time.value * stretch),
                "handle": Desk(unit, 60 * work.handle_time.value * unit_stretch),
                "return": Desk(front, 60 * work.return_time.value * stretch),
            }
        )
    return desks


def _officers(number: float) -> tuple[Officers, float]:
    """Whole officers, and the factor on service times that makes up for the rounding; 1 where nobody has work."""
    whole = max(1, round(number))
    return Officers([0.0] * whole), whole / number if number else 1.0


def _table(agencies: Agencies, clock: OfficeClock, filings: Filings, draws: Draws, rows: list[Row]) -> pa.Table:
    """The events of the desks and those of the citizens before them, in order of time."""
    row, event, at_s, wall = np.array(rows, dtype=np.float64).reshape(-1, 4).T
    at_s = np.where(wall > 0, at_s, clock.to_wall(at_s))
    everyone, paid_s = np.arange(len(filings.dossier)), np.array(draws.paid_s)
    online = everyone[filings.online]
    pays = everyone[~np.isnan(paid_s)]
    row = np.concatenate([everyone, online, pays, row.astype(np.int64)])
    at_s = np.concatenate([filings.filed_s, np.array(draws.checked_s)[online], paid_s[pays], at_s])
    sizes = [(Event.FILED, len(everyone)), (Event.CHECKED, len(online)), (Event.PAID, len(pays))]
    event = np.concatenate([*(np.full(size, _NUMBER[kind]) for kind, size in sizes), event.astype(np.int64)])
    order = np.lexsort((row, at_s))
    row = row[order]
    return pa.table(
        {
            "dossier": filings.dossier[row],
            "agency": pa.DictionaryArray.from_arrays(filings.agency[row].astype(np.int32), agencies.code),
            "online": filings.online[row],
            "components": draws.components[row].astype(np.int32),
            "event": pa.DictionaryArray.from_arrays(event[order].astype(np.int32), list(_NUMBER)),
            "at_s": at_s[order],
        }
    ).cast(SCHEMA)

"""Traffic: the journeys that the casework's events cause on the busiest day, and the plan of its busiest window.

    a dossier's event   the journeys of journeys.STARTS
    while a case lasts  citizen_tracks       sign in, look the status up
    before filing       citizen_browses      search, search
    gathered events     the journeys of journeys.GATHERED: one, or a batch, an agency and period

Pure functions of the casework table; every draw is keyed by dossier. Gathered events come by the clock: thinning makes
batches smaller before it makes them fewer.
"""

import math
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from caodiem.dossier import FILINGS, OPERATIONS
from caodiem.draws import uniform
from caodiem.plan import SCHEMA, Plan, PlanMeta, make
from caodiem.scenario import Scenario
from simulation.agencies import key_of
from simulation.cases import ENDS, Event, texts
from simulation.demand import DAY_S, invert_hours
from simulation.journeys import BY_THE_CLOCK, GATHERED, JOURNEYS, REMOTE, STARTS, Gathered, Start

Floats = np.ndarray

# Operations that are about more than one thing.
_ITEMS = (*FILINGS, "supplement_dossier", "push_sync")
_NATIONAL, _OWN = "national_portal", "agency_portal"


@dataclass(frozen=True, slots=True)
class Journeys:
    """Journeys of one day in order of time; arrays of one length. `at_s` counts from the day's midnight."""

    at_s: Floats
    journey: np.ndarray  # str
    agency: np.ndarray  # str
    dossier: np.ndarray  # int64
    items: np.ndarray  # int32
    own_portal: np.ndarray  # bool: the citizen goes through the agency's portal instead of the national one

    def __len__(self) -> int:
        return len(self.at_s)


def journeys(scenario: Scenario, casework: pa.Table, day_s: float) -> Journeys:
    """Every journey of the day that begins at `day_s` of the casework's clock."""
    events = _columns(casework)
    parts = [
        *(_started(scenario, events, start) for start in STARTS),
        _tracking(scenario, events),
        _browsing(scenario, events, day_s),
        *(_gathered(scenario, events, each) for each in GATHERED),
    ]
    at_s, journey, agency, dossier, items = (np.concatenate(column) for column in zip(*parts, strict=True))
    today = (at_s >= day_s) & (at_s < day_s + DAY_S)
    order = np.flatnonzero(today)
    order = order[np.lexsort((journey[order], dossier[order], at_s[order]))]
    at_s, journey, agency, dossier, items = (each[order] for each in (at_s, journey, agency, dossier, items))
    own = uniform(scenario.seed, "agency portal", dossier) < scenario.traffic.agency_portal.value / 100
    own &= np.char.startswith(journey, "citizen_") if len(journey) else False
    return Journeys(at_s - day_s, journey, agency, dossier, items.astype(np.int32), own)


def requests_per_s(day: Journeys, bin_s: float, scale: float = 1.0) -> dict[str, Floats]:
    """Requests a second of each system in each bin of the day, in the country of which the journeys are a sample.

    Passes come by the clock: thinning makes their batches smaller before it makes them fewer. So they count as they
    are, and are a little too few for the whole country.
    """
    edges = np.arange(0, DAY_S + bin_s, bin_s)
    systems = sorted({_OWN, *(each.system for each in OPERATIONS.values())})
    rates = {system: np.zeros(len(edges) - 1) for system in systems}
    for journey, steps in JOURNEYS.items():
        for own in (False, True):
            chosen = (day.journey == journey) & (day.own_portal == own)
            counted = np.histogram(day.at_s[chosen], bins=edges)[0] / bin_s
            counted = counted if journey in BY_THE_CLOCK else counted / scale
            for step in steps:
                system = OPERATIONS[step].system
                rates[_OWN if own and system == _NATIONAL else system] += counted
    return rates


def busiest_hour(day: Journeys, scale: float = 1.0) -> float:
    """The second of the day at which the 60 minutes with the most requests of the country begin, in steps of five
    minutes.
    """
    total = np.sum(list(requests_per_s(day, 300, scale).values()), axis=0)
    return float(np.argmax(np.convolve(total, np.ones(12), "valid")) * 300)


def busiest_window(day: Journeys, from_s: float, to_s: float, length_s: float, scale: float = 1.0) -> float:
    """The second within [from_s, to_s) at which the `length_s` long slice with the most requests of the country begins.

    Slices stand one behind the other, as many as lie within whole; one where it is longer than that.
    """
    slices = max(math.floor((to_s - from_s) / length_s + 1e-9), 1)
    edges = from_s + length_s * np.arange(slices + 1)
    requests = np.array([len(JOURNEYS[name]) / (1.0 if name in BY_THE_CLOCK else scale) for name in day.journey])
    counted = np.histogram(day.at_s, bins=edges, weights=requests)[0]
    return float(edges[np.argmax(counted)])


def plan(scenario: Scenario, day: Journeys, start_s: float, length_s: float, meta: PlanMeta) -> Plan:
    """The journeys that begin in [start_s, start_s + length_s) as a plan, with their think times drawn."""
    chosen = np.flatnonzero((day.at_s >= start_s) & (day.at_s < start_s + length_s))
    names = day.journey[chosen]
    sizes = np.array([len(JOURNEYS[name]) for name in names], dtype=np.int64)
    arrival = np.repeat(np.arange(len(chosen)), sizes)
    row = chosen[arrival]
    step = np.arange(len(arrival)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    operation = np.concatenate([np.array(JOURNEYS[name]) for name in names]) if len(names) else np.array([], dtype=str)
    chance = uniform(scenario.seed, "think", day.dossier[row], step, arrival)
    think_s = np.where(step > 0, -np.log(chance) * scenario.traffic.think_time.value, 0.0)
    system = np.array([OPERATIONS[name].system for name in operation], dtype=str)
    columns = {
        "arrival": arrival,
        "step": step.astype(np.int16),
        "journey": day.journey[row],
        "operation": operation,
        "agency": day.agency[row],
        "system": np.where(day.own_portal[row] & (system == _NATIONAL), _OWN, system),
        "dossier": day.dossier[row],
        "items": np.where(np.isin(operation, _ITEMS), day.items[row], 1),
        "due_s": day.at_s[row] - start_s,
        "think_s": think_s,
    }
    return make(pa.table({name: pa.array(columns[name]) for name in SCHEMA.names}), meta)


def _columns(casework: pa.Table) -> dict[str, np.ndarray]:
    """The casework table as arrays, words as str."""
    words = {name: texts(casework, name) for name in ("agency", "channel", "event")}
    rest = {name: casework[name].to_numpy() for name in casework.column_names if name not in words}
    return {**rest, **words, "online": np.isin(words["channel"], [channel.name.lower() for channel in REMOTE])}


def _started(scenario: Scenario, events: dict[str, np.ndarray], start: Start) -> tuple[np.ndarray, ...]:
    """A journey for each event of a kind that somebody causes by a request, or for a share of them."""
    channels = [channel.name.lower() for channel in start.channels]
    chosen = np.flatnonzero((events["event"] == start.event) & np.isin(events["channel"], channels))
    dossier = events["dossier"][chosen]
    if start.share:
        share = getattr(scenario.traffic, start.share).value / 100
        kept = uniform(scenario.seed, f"{start.event} {start.journey}", dossier) < share
        chosen, dossier = chosen[kept], dossier[kept]
    at_s = events["at_s"][chosen] + (scenario.casework.pause.value if start.later else 0)
    name = np.full(len(chosen), start.journey)
    return at_s, name, events["agency"][chosen], dossier, events["components"][chosen]


def _tracking(scenario: Scenario, events: dict[str, np.ndarray]) -> tuple[np.ndarray, ...]:
    """Look-ups of the dossiers filed online, spread over the life of each as citizens are awake.

    Their number is Poisson by inversion of a keyed draw.
    """
    filed = np.flatnonzero((events["event"] == Event.FILED) & events["online"])
    ends = np.isin(events["event"], ENDS)
    # Every dossier that was filed ends once, so the ends in order of dossier answer for each filing.
    dossier, end_s = events["dossier"][ends], events["at_s"][ends]
    order = np.argsort(dossier)
    until_s = end_s[order][np.searchsorted(dossier[order], events["dossier"][filed])]
    row, number = _repeated(scenario.seed, "look-ups", events["dossier"][filed], scenario.traffic.look_ups.value)
    share = uniform(scenario.seed, "look-up moment", events["dossier"][filed][row], number)
    hours = np.array(scenario.demand.hours_online.value)
    # Nobody asks after a dossier before it has been filed; a case refused at once is asked after once it is.
    from_s = events["at_s"][filed] + scenario.casework.pause.value
    begin, end = _awake(hours, from_s[row]), _awake(hours, np.maximum(until_s, from_s)[row])
    at_s = _wall(hours, begin + share * (end - begin))
    source = filed[row]
    name = np.full(len(source), "citizen_tracks")
    return at_s, name, events["agency"][source], events["dossier"][source], np.ones(len(source))


def _browsing(scenario: Scenario, events: dict[str, np.ndarray], day_s: float) -> tuple[np.ndarray, ...]:
    """Visits that file nothing: so many for each dossier filed online that day, when citizens are online."""
    filed = np.flatnonzero((events["at_s"] >= day_s) & (events["event"] == Event.FILED) & events["online"])
    row, number = _repeated(scenario.seed, "browses", events["dossier"][filed], scenario.traffic.browses.value)
    source = filed[row]
    share = uniform(scenario.seed, "browse moment", events["dossier"][source], number)
    at_s = day_s + 3600 * invert_hours(np.array(scenario.demand.hours_online.value), share)
    name = np.full(len(source), "citizen_browses")
    return at_s, name, events["agency"][source], events["dossier"][source], np.ones(len(source))


def _gathered(scenario: Scenario, events: dict[str, np.ndarray], what: Gathered) -> tuple[np.ndarray, ...]:
    """Each agency's events of some kinds, gathered until its next pass and cut into batches."""
    synced = np.flatnonzero(np.isin(events["event"], what.events))
    period = getattr(scenario.traffic, what.period).value
    most = int(getattr(scenario.traffic, what.batch).value) if what.batch else max(len(synced), 1)
    names, agency = np.unique(events["agency"][synced], return_inverse=True)
    # Agencies' passes do not come at the same second.
    phase = period * uniform(scenario.seed, f"{what.period} phase", np.array([key_of(name) for name in names]))
    passes = np.ceil((events["at_s"][synced] - phase[agency]) / period).astype(np.int64)
    order = np.lexsort((events["at_s"][synced], passes, agency))
    _, first, sizes = np.unique(
        np.stack([agency[order], passes[order]], axis=1), axis=0, return_index=True, return_counts=True
    )
    batches = -(-sizes // most)
    row = np.repeat(first, batches)
    nth = np.arange(len(row)) - np.repeat(np.cumsum(batches) - batches, batches)
    items = np.minimum(np.repeat(sizes, batches) - nth * most, most)
    source = order[row + nth * most]
    at_s = phase[agency[source]] + passes[source] * period
    return at_s, np.full(len(row), what.journey), names[agency[source]], events["dossier"][synced][source], items


def _repeated(seed: int, quantity: str, dossier: np.ndarray, mean: float) -> tuple[np.ndarray, np.ndarray]:
    """A Poisson number of things for each dossier: (the dossier's row, the thing's number) for each thing."""
    # Summing exponential gaps until they pass the mean; one keyed draw a gap.
    counts = np.zeros(len(dossier), dtype=np.int64)
    passed, live = np.zeros(len(dossier)), np.arange(len(dossier))
    for number in range(1000):
        passed[live] -= np.log(uniform(seed, quantity, dossier[live], number)) if len(live) else 0
        live = live[passed[live] < mean]
        if not len(live):
            break
        counts[live] += 1
    row = np.repeat(np.arange(len(dossier)), counts)
    return row, np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)


def _awake(hours: Floats, wall_s: Floats) -> Floats:
    """Days of citizens' activity passed at a wall time: whole days plus the share of the day's total."""
    total = np.concatenate([[0.0], np.cumsum(hours)]) / hours.sum()
    day = np.floor(wall_s / DAY_S)
    return day + np.interp((wall_s - day * DAY_S) / 3600, np.arange(25), total)


def _wall(hours: Floats, awake: Floats) -> Floats:
    """The wall time at which so much of citizens' activity has passed; the inverse of `_awake`."""
    day = np.floor(awake)
    return day * DAY_S + 3600 * invert_hours(hours, awake - day)

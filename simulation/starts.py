"""What the events of dossiers start at the country's systems, in order of time: journeys, and each agency's batches.

Which event starts what stands in journeys.py; here it is a table for compiled loops (Numba).
"""

from typing import NamedTuple

import numpy as np

from caodiem.draws import uniform
from caodiem.year import YearScenario
from simulation.cases import NUMBER, Channel
from simulation.chances import chance, mixed, words
from simulation.compiling import inlined, machine_code
from simulation.demand import DAY_S
from simulation.journeys import GATHERED, JOURNEYS, STARTS
from simulation.machine import borrowed

START = np.dtype([("at_s", "f8"), ("key", "u8"), ("journey", "i8")])
# What an event starts: a journey, for a share of the dossiers, so long after it.
_CAUSE = np.dtype([("journey", "i8"), ("share", "f8"), ("word", "u8"), ("after_s", "f8")])
# Passes of each agency: how far apart, what they start, the most events that one batch takes.
_PASS = np.dtype([("period_s", "f8"), ("journey", "i8"), ("most", "i8")])


class Causes(NamedTuple):
    """`causes[event, channel, n]` is the n-th journey that an event starts, -1 for none.

    `gathers[event, p]` says whether an event waits for the p-th kind of `passes`; the first of these that an agency
    makes on a day is `phase_s[p, agency]` after midnight.
    """

    causes: np.ndarray
    passes: np.ndarray
    gathers: np.ndarray
    phase_s: np.ndarray

    @property
    def most(self) -> int:
        """The most journeys that one event starts."""
        return int((self.causes["journey"] >= 0).sum(axis=2).max())


class Gathered(NamedTuple):
    """One day's passes: `events[p, agency, n]` wait for the n-th; those before the `done[p, agency]`-th are made."""

    events: np.ndarray
    done: np.ndarray


def causes(scenario: YearScenario, agencies: int) -> Causes:
    asked, names = scenario.traffic, list(JOURNEYS)
    found = np.full((len(NUMBER), len(Channel), len(STARTS)), -1, dtype=_CAUSE)
    for start in STARTS:
        share = getattr(asked, start.share).value / 100 if start.share else 1.0
        (word,) = words(scenario.seed, (f"{start.event} {start.journey}",))
        after_s = scenario.casework.pause.value if start.later else 0.0
        for channel in start.channels:
            row = found[NUMBER[start.event], channel]
            row[np.argmax(row["journey"] < 0)] = names.index(start.journey), share, word, after_s
    passes = np.empty(len(GATHERED), dtype=_PASS)
    for number, each in enumerate(GATHERED):
        most = getattr(asked, each.batch).value if each.batch else np.iinfo(np.int64).max
        passes[number] = getattr(asked, each.period).value, names.index(each.journey), most
    gathers = np.array([[event in each.events for each in GATHERED] for event in NUMBER])
    phases = [
        each["period_s"] * uniform(scenario.seed, f"phase {number}", np.arange(agencies))
        for number, each in enumerate(passes)
    ]
    return Causes(found, passes, gathers, np.array(phases))


def gathered(known: Causes) -> Gathered:
    """Nothing has happened yet on a day."""
    most = int(DAY_S / known.passes["period_s"].min()) + 2
    return Gathered(
        np.zeros((*known.phase_s.shape, most), dtype=np.int64), np.zeros(known.phase_s.shape, dtype=np.int64)
    )


@machine_code
def journeys_of(rows, day_s, known, waiting, starts, count):  # type: ignore[no-untyped-def]
    """Write the journeys that events start behind the first `count` of `starts`; returns how many those are then.

    What waits for a pass is counted.
    """
    rows, known, waiting, starts = borrowed(rows), borrowed(known), borrowed(waiting), borrowed(starts)
    for number in range(len(rows)):
        row = rows[number]
        key = mixed(row.dossier)
        for nth in range(known.causes.shape[2]):
            cause = known.causes[row.event, row.channel, nth]
            if cause.journey < 0:
                break
            if cause.share == 1.0 or chance(cause.word, key) < cause.share:
                starts[count].at_s, starts[count].key = row.at_s + cause.after_s, key
                starts[count].journey = cause.journey
                count += 1
        since_s = max(row.at_s - day_s, 0.0)
        for kind in range(len(known.passes)):
            if known.gathers[row.event, kind]:
                wait_s = max(since_s - known.phase_s[kind, row.agency], 0.0)
                waiting.events[kind, row.agency, int(np.ceil(wait_s / known.passes[kind].period_s))] += 1
    return count


@machine_code
def batches_of(until_s, day_s, known, waiting, starts, count):  # type: ignore[no-untyped-def]
    """Write the batches of all passes before `until_s` behind the others; returns how many starts there are then.

    There must be room for one of each pass and one of each event.
    """
    for kind, agency in np.ndindex(waiting.done.shape):
        each, number = known.passes[kind], waiting.done[kind, agency]
        while number < waiting.events.shape[2]:
            at_s = day_s + known.phase_s[kind, agency] + number * each.period_s
            if at_s >= until_s:
                break
            events = waiting.events[kind, agency, number]
            for batch in range((events - 1) // each.most + 1 if events else 0):
                starts[count].at_s, starts[count].journey = at_s, each.journey
                starts[count].key = mixed(mixed(np.int64(at_s)) ^ mixed(agency * 1_000_003 + batch))
                count += 1
            number += 1
        waiting.done[kind, agency] = number
    return count


@machine_code
def in_order(starts, found, from_s, until_s):  # type: ignore[no-untyped-def]
    """Write `starts` into `found` in order of time; returns how many are before `until_s`. The others come last.

    Put into as many classes as there are starts, and sorted within these. At one instant in order of key and journey.
    """
    now = _by_class(starts, found, from_s, until_s)
    for place in range(1, now):
        at_s, key, journey = found[place].at_s, found[place].key, found[place].journey
        if not _is_later(found[place - 1], at_s, key, journey):
            continue
        while place and _is_later(found[place - 1], at_s, key, journey):
            found[place] = found[place - 1]
            place -= 1
        found[place].at_s, found[place].key, found[place].journey = at_s, key, journey
    return now


@machine_code
def _by_class(starts, found, from_s, until_s):  # type: ignore[no-untyped-def]
    """Write `starts` into `found` class by class; returns how many are before `until_s`."""
    classes = len(starts)
    per_s = classes / (until_s - from_s)
    ends = np.zeros(classes + 2, dtype=np.int32)
    for number in range(len(starts)):
        ends[_class(starts[number].at_s, from_s, until_s, per_s, classes) + 1] += 1
    for number in range(classes):
        ends[number + 1] += ends[number]
    now = ends[classes]
    for number in range(len(starts)):
        which = _class(starts[number].at_s, from_s, until_s, per_s, classes)
        found[ends[which]] = starts[number]
        ends[which] += 1
    return now


@inlined
def _class(at_s, from_s, until_s, per_s, classes):  # type: ignore[no-untyped-def]
    return classes if at_s >= until_s else min(max(int((at_s - from_s) * per_s), 0), classes - 1)


@inlined
def _is_later(start, at_s, key, journey):  # type: ignore[no-untyped-def]
    if start.at_s != at_s:
        return start.at_s > at_s
    return start.key > key or (start.key == key and start.journey > journey)

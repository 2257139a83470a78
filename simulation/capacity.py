"""Capacity: the fewest servers that meet every SLO, the highest rate that today's servers hold, what gives way next.

A search over trials (simulation/trials.py). SLOs that no number of servers meets are set aside, and told; the search is
for the others. It takes for granted that a server more never makes an SLO worse; where
that fails (as it can with retries) the answer still met every SLO in its own trial. A size counts as good only when
its trial decided that every SLO is met: what stays undecided is not.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from simulation.network import INFINITE
from simulation.objectives import Decision, Interval, linearised
from simulation.replications import interval
from simulation.subject import MOST_FACTOR, Sizes
from simulation.trials import Trial, Trials, unlimited

_FINE = 1.01  # the bracket of a rate is narrowed to this ratio
_AROUND = (-2, -1, 0, 1, 2)
_MOST_SIZES = 60  # sizes of a smaller total that are tried one by one


@dataclass(frozen=True, slots=True)
class Needed:
    """The fewest servers: a size that is met, and what shows that it cannot be smaller."""

    trial: Trial
    neighbours: dict[int, Trial]  # by station, with one server fewer there; none where one is left
    least: Sizes  # of each station when the others have as many as they want: nothing smaller can do
    least_in_total: bool  # whether every size with one server fewer in total was tried
    around: list[Trial]  # a few servers fewer and more at one station, for the picture


@dataclass(frozen=True, slots=True)
class Rate:
    """The highest factor on the arrivals at which every SLO is met: surely up to `low`, surely not from `high` on."""

    value: float
    low: float
    high: float
    missed: Trial | None  # at `high`; None where no factor that was tried is surely too much
    tried: list[Trial]  # in order of their factors


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """At the lowest rate that is too high: by how much one server more lowers the share of bad rows, by station."""

    station: int | None  # None where no server more is sure to help
    relief: dict[int, Interval]
    utilisation: dict[int, float]


@dataclass(frozen=True, slots=True)
class Capacity:
    """All that `caodiem size` answers for one subject."""

    today: Trial
    unlimited: Trial  # with as many servers as anybody could want
    offered_load: dict[int, float]
    needed: Needed | None  # None where no number of servers meets any SLO
    rate: Rate
    bottleneck: Bottleneck | None


def find(trials: Trials, progress: Callable[[float], None] = lambda share: None) -> Capacity:
    """Answer all questions of one subject. `progress` is told the share done, which is a guess."""
    today = trials.at(trials.subject.today, whole=True)
    progress(0.1)
    loads = trials.offered_load()
    free = trials.at(unlimited(trials.subject), whole=True)
    hopeless = frozenset(place for place in range(len(free.judged)) if free.decided(place) is not Decision.MET)
    some = len(hopeless) < len(free.judged)
    trials.set_aside(hopeless if some else frozenset())
    needed = fewest(trials, loads) if some else None
    progress(0.5)
    rate = highest_rate(trials)
    progress(0.9)
    return Capacity(today, free, loads, needed, rate, bottleneck(trials, rate))


def fewest(trials: Trials, loads: dict[int, float]) -> Needed:
    """Up from what each station needs at least, where it helps most, and down again as far as it goes."""
    least = _least(trials, loads)
    sizes = _reduce(trials, least, _increase(trials, least))
    while (smaller := _smaller(trials, least, sizes)) is not None:
        sizes = _reduce(trials, least, smaller)
    neighbours = {
        number: trials.at(_with(sizes, number, sizes[number] - 1), whole=True)
        for number in trials.subject.sizable
        if sizes[number] > 1
    }
    proven = _sizes_below(trials, least, sizes) is not None
    around = [
        trials.at(_with(sizes, number, sizes[number] + more))
        for number in trials.subject.sizable
        for more in _AROUND
        if sizes[number] + more >= 1
    ]
    return Needed(trials.at(sizes, whole=True), neighbours, least, proven, around)


def _met(trials: Trials, sizes: Sizes) -> bool:
    return trials.at(sizes).decision is Decision.MET


def _least(trials: Trials, loads: dict[int, float]) -> Sizes:
    """Of each station the fewest servers when all others are unlimited. Square-root staffing is where it begins."""
    found = list(trials.subject.today)
    for number, load in loads.items():
        free = unlimited(trials.subject)
        guess = max(math.ceil(load + math.sqrt(load)), 1)
        found[number] = _fewest_at(trials, free, number, guess)
    return tuple(found)


def _fewest_at(trials: Trials, sizes: Sizes, number: int, guess: int) -> int:
    """The fewest servers of one station with those of the others given, which meet every SLO with enough of it."""
    bad, good = 0, guess
    while not _met(trials, _with(sizes, number, good)):
        bad, good = good, min(2 * good, INFINITE)
    step = max(round(math.sqrt(good)), 1)
    while bad < good - 1:
        # Near the guess first, since the answer mostly is; halving takes over where it is not.
        tried = max(good - step, bad + 1) if bad == 0 else (bad + good) // 2
        if _met(trials, _with(sizes, number, tried)):
            good, step = tried, 2 * step
        else:
            bad = tried
    return good


def _increase(trials: Trials, sizes: Sizes) -> Sizes:
    """Add servers where they lower the strain most, until every SLO is met."""
    while (found := trials.at(sizes)).decision is not Decision.MET:
        more = {number: max(round(math.sqrt(sizes[number]) / 4), 1) for number in trials.subject.sizable}
        if all(found.judged[place].decision is Decision.MET for place in found.deciding):
            # Only a steady state is missing, and servers that no SLO feels may be what it lacks.
            sizes = _added(sizes, list(more), tuple(more.values()))
        else:
            tried = [trials.at(_with(sizes, number, sizes[number] + extra)) for number, extra in more.items()]
            sizes = min(tried, key=lambda trial: trial.strain).sizes
    return sizes


def _reduce(trials: Trials, least: Sizes, sizes: Sizes) -> Sizes:
    """Take servers away, station by station, until no station can spare one."""
    changed = True
    while changed:
        changed = False
        for number in trials.subject.sizable:
            if sizes[number] > least[number] and _met(trials, _with(sizes, number, sizes[number] - 1)):
                sizes, changed = _with(sizes, number, _fewest_at(trials, sizes, number, sizes[number] - 1)), True
    return sizes


def _smaller(trials: Trials, least: Sizes, sizes: Sizes) -> Sizes | None:
    """A size with one server fewer in total that meets every SLO, where there is one and it can be looked for."""
    below = _sizes_below(trials, least, sizes)
    return next((each for each in below or [] if _met(trials, each)), None)


def _sizes_below(trials: Trials, least: Sizes, sizes: Sizes) -> list[Sizes] | None:
    """Every size of one server fewer in total that has at least what each station needs; None where they are many."""
    places = list(trials.subject.sizable)
    spare = sum(sizes) - 1 - sum(least)
    if spare < 0:
        return []
    if math.comb(spare + len(places) - 1, len(places) - 1) > _MOST_SIZES:
        return None
    return [_added(least, places, extra) for extra in _shares(spare, len(places))]


def _shares(total: int, parts: int) -> Iterator[tuple[int, ...]]:
    """Every way to share out a number."""
    for bars in itertools.combinations(range(total + parts - 1), parts - 1):
        edges = (-1, *bars, total + parts - 1)
        yield tuple(b - a - 1 for a, b in itertools.pairwise(edges))


def _added(sizes: Sizes, places: list[int], extra: tuple[int, ...]) -> Sizes:
    more = dict(zip(places, extra, strict=True))
    return tuple(servers + more.get(number, 0) for number, servers in enumerate(sizes))


def _with(sizes: Sizes, number: int, servers: int) -> Sizes:
    return (*sizes[:number], servers, *sizes[number + 1 :])


def highest_rate(trials: Trials) -> Rate:
    """Bisect the factor on the arrivals that today's servers hold: where it is surely met, where surely missed."""
    sizes, most = trials.subject.today, trials.subject.most_factor
    tried: dict[float, Trial] = {}

    def at(factor: float) -> Trial:
        if factor not in tried:
            tried[factor] = trials.at(sizes, factor)
        return tried[factor]

    met, not_met = 1.0, 1.0
    while at(met).decision is not Decision.MET and met > 1 / MOST_FACTOR:
        met /= 2
    while at(not_met).decision is Decision.MET and not_met < most:
        not_met = min(2 * not_met, most)
    if at(not_met).decision is Decision.MET:
        return Rate(math.inf, not_met, math.inf, None, _in_order(tried))
    if at(met).decision is not Decision.MET:
        met = 0.0
    else:
        met, not_met = _narrowed(met, not_met, lambda factor: at(factor).decision is Decision.MET)
    missed = not_met
    while at(missed).decision is not Decision.MISSED and missed < most:
        missed = min(2 * missed, most)
    if at(missed).decision is not Decision.MISSED:
        return Rate(math.inf, met, math.inf, None, _in_order(tried))
    _, missed = _narrowed(max(met, 1 / MOST_FACTOR), missed, lambda factor: at(factor).decision is not Decision.MISSED)
    return Rate(_crossing(_in_order(tried), met, missed), met, missed, at(missed), _in_order(tried))


def _narrowed(good: float, bad: float, holds: Callable[[float], bool]) -> tuple[float, float]:
    """Two factors close to each other of which the first holds and the second does not."""
    while bad / good > _FINE:
        middle = math.sqrt(good * bad)
        good, bad = (middle, bad) if holds(middle) else (good, middle)
    return good, bad


def _in_order(tried: dict[float, Trial]) -> list[Trial]:
    return [tried[factor] for factor in sorted(tried)]


def _crossing(tried: list[Trial], low: float, high: float) -> float:
    """Where the estimated strain passes 1, linear between two factors that were tried, or a queue begins to grow."""
    between = [trial for trial in tried if low <= trial.factor <= high]
    for a, b in itertools.pairwise(between):
        if a.strain <= 1 and (b.strain > 1 or b.overloaded):
            share = (1 - a.strain) / (b.strain - a.strain) if not b.overloaded and math.isfinite(b.strain) else 0.0
            return a.factor + share * (b.factor - a.factor)
    return low


def bottleneck(trials: Trials, rate: Rate) -> Bottleneck | None:
    """Which station's server more lowers the share of bad rows most; differences under common random numbers.

    A station whose queue grows for ever goes before all others.
    """
    if rate.missed is None:
        return None
    missed, place = rate.missed, rate.missed.tightest
    relief = {}
    for number in trials.subject.sizable:
        helped = trials.at(_with(missed.sizes, number, missed.sizes[number] + 1), missed.factor, whole=True)
        pairs = zip(missed.counted, helped.counted, strict=False)
        before, after = zip(*((a[place], b[place]) for a, b in pairs), strict=True)
        values = [a - b for a, b in zip(linearised(list(before)), linearised(list(after)), strict=True)]
        relief[number] = interval(values, trials.subject.confidence)
    best = max(relief, key=lambda number: relief[number]["value"], default=None)
    if missed.overloaded:
        # Nothing helps before this queue ends, however little short runs feel of it.
        best = max(missed.overloaded, key=lambda number: missed.overloaded[number] / missed.sizes[number])
    elif best is not None and relief[best]["low"] <= 0:
        best = None
    return Bottleneck(best, relief, trials.utilisation(missed.sizes, missed.factor))

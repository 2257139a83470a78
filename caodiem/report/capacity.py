"""The answer of `caodiem size`: as JSON, as text, and as a picture of the tightest SLO against servers and arrivals."""

import math
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from caodiem.errors import ExitCode
from caodiem.report.network import rounded
from caodiem.report.plots import BLUE, GREEN, GREY, INK, ORANGE, PINK, RED, SKY
from caodiem.report.words import Words
from simulation.capacity import Bottleneck, Capacity, Needed, Rate
from simulation.expectation import overload
from simulation.network import INFINITE
from simulation.objectives import Decision, Kind
from simulation.replications import NO_STEADY_STATE
from simulation.subject import MOST_FACTOR, Sizes
from simulation.trials import Trial, Trials

_COLOURS = (BLUE, ORANGE, GREEN, PINK, SKY, GREY)
_EXITS = {
    Decision.MET: ExitCode.PASS,
    Decision.MISSED: ExitCode.FAIL,
    Decision.UNDECIDED: ExitCode.INVALID,
}
# What fits above one panel.
_TITLE_LETTERS = 62
# What is said of an SLO of which no journey or step came.
_NOBODY = "none came that it is about"
_WORDS = Words("en")
Figures = dict[str, Any]


def exit_code(found: list[Capacity]) -> ExitCode:
    """PASS when today's servers meet every SLO of every case, FAIL when one is missed, INVALID when undecided."""
    decisions = {each.today.decision for each in found}
    worst = next(each for each in (Decision.MISSED, Decision.UNDECIDED, Decision.MET) if each in decisions)
    return _EXITS[worst]


def as_json(found: Capacity, trials: Trials) -> Figures:
    """One case: servers, SLOs, what shows that fewer will not do, capacity, headroom, bottleneck."""
    subject = trials.subject
    # A waiting room is a station of the network that nobody sizes; it stands behind those of the file.
    names = [each.name for each in subject.sized(subject.today).stations][: len(subject.today)]
    needed = found.needed
    return {
        "today": found.today.decision.value,
        "stations": {name: _station(found, number, number in subject.sizable) for number, name in enumerate(names)},
        "slo": [_slo(found, place) for place in range(len(subject.objectives))],
        "needed": _needed(needed, names) if needed else None,
        "reason": reason(found),
        "undecided": undecided(found),
        "capacity": _rate(found.rate),
        "bottleneck": _bottleneck(found.bottleneck, names) if found.bottleneck else None,
        "engine": trials.engine,
        "notices": [*([trials.notice] if trials.notice else []), *_overloads(found, names), *_unsettled(found)],
        "confidence": subject.confidence,
        "looks": trials.looks,
        "replications": trials.made,
    }


def reason(found: Capacity) -> str | None:
    """Which SLOs no number of servers meets, if any."""
    missed = _unlimited(found, Decision.MISSED)
    return f"not met with as many servers as anybody could want: {missed}" if missed else None


def undecided(found: Capacity) -> str | None:
    """Of which SLOs the replications do not even tell whether as many servers as anybody could want meet them."""
    left = _unlimited(found, Decision.UNDECIDED)
    more = "expected more replications or a longer horizon"
    return f"not decided with as many servers as anybody could want: {left}; {more}" if left else None


def _unlimited(found: Capacity, decision: Decision) -> str:
    free = found.unlimited
    places = [place for place in range(len(free.judged)) if free.decided(place) is decision]
    return "; ".join(f"{free.judged[place].objective.name}: {_bad(free.judged[place].bad_share)}" for place in places)


def _overloads(found: Capacity, names: list[str]) -> list[str]:
    """Of today's size and of those with one server fewer than needed: stations whose queues grow for ever."""
    shown = [found.today, *(found.needed.neighbours.values() if found.needed else ())]
    told = (overload(names[at], load, each.sizes[at]) for each in shown for at, load in each.overloaded.items())
    return list(dict.fromkeys(told))


def _unsettled(found: Capacity) -> list[str]:
    shown = {"today's servers": found.today, "as many servers as anybody could want": found.unlimited}
    return [f"{name}: {NO_STEADY_STATE}" for name, trial in shown.items() if not trial.settled]


def _station(found: Capacity, number: int, is_sized: bool) -> Figures:
    today = found.today.sizes[number]
    return {
        "today": today if today < INFINITE else "infinite",
        "needed": found.needed.trial.sizes[number] if found.needed and is_sized else None,
        "sized": is_sized,
        "offered_load_erlangs": found.offered_load.get(number),
    }


def _slo(found: Capacity, place: int) -> Figures:
    objective = found.today.judged[place].objective
    trials = {"today": found.today, "unlimited": found.unlimited}
    if found.needed:
        trials["needed"] = found.needed.trial
    return {
        "name": objective.name,
        "of": objective.of,
        "kind": objective.kind.value,
        "allowed_bad_share": objective.allowed,
        "limit_s": objective.limit_s,
        **{name: _judged(trial, place) for name, trial in trials.items()},
    }


def _judged(trial: Trial, place: int) -> Figures:
    judged = trial.judged[place]
    shown: Figures = {"decision": trial.decided(place).value, "bad_share": judged.bad_share}
    if judged.objective.kind is Kind.RESPONSE:
        shown["response_s"] = judged.response_s
    return shown


def _needed(needed: Needed, names: list[str]) -> Figures:
    return {
        "total": _total(needed.trial.sizes),
        "least_total": needed.least_in_total,
        "least_alone": {names[number]: needed.least[number] for number in needed.neighbours},
        "neighbours": {
            names[number]: {
                "servers": trial.sizes[number],
                "slo": trial.judged[trial.tightest].objective.name,
                **_judged(trial, trial.tightest),
            }
            for number, trial in needed.neighbours.items()
        },
    }


def _total(sizes: Sizes) -> int:
    return sum(servers for servers in sizes if servers < INFINITE)


def _rate(rate: Rate) -> Figures:
    factors = {"value": rate.value, "low": rate.low, "high": rate.high}
    return {
        "factor": factors,
        "headroom": {name: 1 - 1 / factor if factor else -math.inf for name, factor in factors.items()},
        "beyond": rate.missed is None,
    }


def _bottleneck(found: Bottleneck, names: list[str]) -> Figures:
    return {
        "station": names[found.station] if found.station is not None else None,
        "relief": {names[number]: each for number, each in found.relief.items()},
        "utilisation": {names[number]: each for number, each in found.utilisation.items()},
    }


def lines(case: Figures) -> Iterator[str]:
    """One case as text."""
    yield from case["notices"]
    yield f"{'':<26} {'today':>9} {'needed':>9}   offered load"
    none = "none will do" if case["reason"] else "undecided"
    for name, each in case["stations"].items():
        needed = each["needed"] if each["needed"] is not None else "as it is" if not each["sized"] else none
        load = f"{each['offered_load_erlangs']:.3g} erlangs" if each["offered_load_erlangs"] is not None else ""
        yield f"{name:<26} {each['today']:>9} {needed:>9}   {load}"
    for slo in case["slo"]:
        yield slo["name"]
        for size in ("today", "needed", "unlimited"):
            if size in slo and (size != "unlimited" or slo[size]["decision"] != Decision.MET.value):
                yield f"  {size:<10} {_found(slo[size])}"
    yield from _needed_lines(case)
    yield from _rate_lines(case)


def _needed_lines(case: Figures) -> Iterator[str]:
    if case["needed"] is None:
        yield from _set_aside_lines(case)
        return
    total, neighbours = case["needed"]["total"], case["needed"]["neighbours"]
    if not any(each["sized"] for each in case["stations"].values()):
        yield "Nothing to size: no station has a number of servers."
        return
    how = "with one fewer in total no size does" if case["needed"]["least_total"] else "no single one can be spared"
    yield f"Needed: {total} servers in all; {how}."
    if case["reason"] or case["undecided"]:
        yield "That is for the other SLOs."
        yield from _set_aside_lines(case)
    for name, each in neighbours.items():
        yield f"  with {each['servers']} at {name}: {each['slo']}: {_found(each)}"


def _set_aside_lines(case: Figures) -> Iterator[str]:
    """The SLOs for which no servers were sought."""
    if case["reason"]:
        yield f"No number of servers helps: {case['reason']}."
    if case["undecided"]:
        yield f"Whether servers help is open: {case['undecided']}."


def _rate_lines(case: Figures) -> Iterator[str]:
    factor, headroom = case["capacity"]["factor"], case["capacity"]["headroom"]
    if not factor["low"]:
        yield f"Capacity of today's servers: not even 1/{MOST_FACTOR:g} of today's arrivals is sure to meet every SLO."
    elif case["capacity"]["beyond"]:
        yield (
            f"Capacity of today's servers: at least {factor['low']:.3g} times today's arrivals; "
            "nothing that was tried is surely too much."
        )
    else:
        yield (
            f"Capacity of today's servers: {factor['value']:.3f} times today's arrivals "
            f"({factor['low']:.3f} to {factor['high']:.3f}); headroom {100 * headroom['value']:.1f}% "
            f"({100 * headroom['low']:.1f}% to {100 * headroom['high']:.1f}%)."
        )
    bottleneck = case["bottleneck"]
    if bottleneck is None or not bottleneck["relief"]:
        return
    station = bottleneck["station"]
    told = f"a server more at {station} helps most" if station else "no station is sure to be helped by a server more"
    yield f"Next bottleneck, at {factor['high']:.3f} times today's arrivals: {told}."
    for name, relief in bottleneck["relief"].items():
        yield (
            f"  {name}: {100 * bottleneck['utilisation'][name]:.0f}% busy; a server more lowers the bad share by "
            f"{_points(relief)}"
        )


def _found(judged: Figures) -> str:
    told = f"{judged['decision']}: {_bad(judged['bad_share'])}"
    if math.isnan(judged["bad_share"]["value"]):
        return told
    response = judged.get("response_s")
    if response is None:
        return told
    if math.isinf(response["value"]):
        return f"{told}; quantile never"
    value_s, low_s, high_s = (rounded(response[name], 4) for name in ("value", "low", "high"))
    return f"{told}; quantile {value_s} s ({low_s} to {high_s.replace('inf', 'never')})"


def _points(interval: Figures) -> str:
    low, value, high = (100 * interval[name] for name in ("low", "value", "high"))
    return f"{value:.3g} points ({low:.3g} to {high:.3g})"


def _bad(share: Figures) -> str:
    if math.isnan(share["value"]):
        return _NOBODY
    value, low, high = (_WORDS.percent(100 * share[name]) for name in ("value", "low", "high"))
    return f"{value} bad ({low} to {high})"


def draw(found: list[tuple[str, Capacity, Trials]], path: Path) -> Path:
    """Two panels a case, as a PNG: the tightest SLO against servers, and against arrivals with the capacity marked."""
    figure = Figure(figsize=(10.4, 3.9 * len(found)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(found), 2, squeeze=False)
    for (name, capacity, trials), (left, right) in zip(found, panels, strict=True):
        if capacity.needed and not trials.subject.sizable:
            _said_instead(left, "no station has a number of servers")
        elif capacity.needed:
            _servers_panel(left, name, capacity.needed, trials)
        else:
            told = "no number of servers meets every SLO" if reason(capacity) else "it is not decided which servers do"
            _said_instead(left, told)
        _rate_panel(right, name, capacity.rate)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    return path


def _said_instead(axes: Axes, text: str) -> None:
    axes.text(0.5, 0.5, text, ha="center", transform=axes.transAxes)
    axes.set_axis_off()


def _servers_panel(axes: Axes, name: str, needed: Needed, trials: Trials) -> None:
    for (number, station), colour in zip(trials.subject.sizable.items(), _COLOURS * 9, strict=False):
        # The size that is needed stands among those of every station.
        own = {
            each.sizes[number]: each
            for each in needed.around
            if all(each.sizes[k] == n for k, n in enumerate(needed.trial.sizes) if k != number)
        }
        places = sorted(own)
        label = f"{station}, needed {needed.trial.sizes[number]}"
        _strains(axes, places, [own[place] for place in places], colour, label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("servers at one station, the others as needed")
    _finish(axes, f"{name}: the tightest SLO against servers")


def _rate_panel(axes: Axes, name: str, rate: Rate) -> None:
    near = [each for each in rate.tried if rate.missed is None or each.factor <= 2 * rate.high]
    _strains(axes, [each.factor for each in near], near, BLUE, "today's servers")
    if rate.missed is not None:
        axes.axvspan(rate.low, rate.high, color=RED, alpha=0.2, lw=0)
        axes.axvline(rate.value, color=RED, lw=1.2, label=f"capacity {rate.value:.3f}")
    axes.axvline(1.0, color=INK, lw=0.8, ls=":", label="today's arrivals")
    axes.set_xlabel("arrivals, times today's")
    _finish(axes, f"{name}: the tightest SLO against arrivals")


def _strains(axes: Axes, places: Sequence[float], trials: list[Trial], colour: str, label: str) -> None:
    """The bad share of each trial's tightest SLO over what is allowed, with its interval."""
    shares = [each.judged[each.tightest] for each in trials]
    values = [each.strain for each in shares]
    allowed = [each.objective.allowed or 1.0 for each in shares]
    low = [max(v - each.bad_share["low"] / a, 0) for v, each, a in zip(values, shares, allowed, strict=True)]
    high = [max(each.bad_share["high"] / a - v, 0) for v, each, a in zip(values, shares, allowed, strict=True)]
    axes.errorbar(places, values, yerr=[low, high], fmt="o-", color=colour, ms=3.5, lw=1, capsize=2, label=label)


def _finish(axes: Axes, title: str) -> None:
    axes.axhline(1.0, color=GREY, lw=1, ls="--")
    axes.set_ylabel("bad share / allowed share")
    axes.set_yscale("symlog", linthresh=1.0)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_title(textwrap.fill(title, _TITLE_LETTERS), loc="left", fontsize=10, parse_math=False)
    axes.grid(color="#e5e5e5", lw=0.6)
    axes.legend(fontsize=7, framealpha=0.9)

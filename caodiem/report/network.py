"""A network's figures as text: one line a station, each figure with half its interval."""

import math
from collections.abc import Iterator
from typing import Any

Figures = dict[str, Any]
_COLUMNS = ("wait_s", "response_s")


def lines(figures: Figures) -> Iterator[str]:
    """The table that `caodiem simulate NETWORK` prints."""
    percent = 100 * figures["confidence"]
    yield figures["title"]
    yield (
        f"{figures['engine']} engine, seed {figures['seed']}, {figures['replications']} replications of "
        f"{figures['horizon_s']:g} s, the first {figures['warm_up_s']:.4g} s left out; "
        f"± half of a {percent:g}% interval over replications"
    )
    yield from figures["notices"]
    yield ""
    for name, station in figures["stations"].items():
        yield f"{name}: {_shown(station['arrivals'])} visits, {_shown(station['number'])} there in the mean"
        if not math.isnan(station["utilisation"]["value"]):
            yield f"  utilisation {_shown(station['utilisation'])}"
        cut_off = f", cut off {_shown(station['cut_off'])}" if station["cut_off"]["value"] else ""
        yield f"  refused {_shown(station['refused'])}, abandoned {_shown(station['abandoned'])}{cut_off}"
        for column in _COLUMNS:
            yield f"  {column:<11}{_times(station[column])}"
    yield ""
    system = figures["system"]
    yield f"journeys: {_shown(system['arrivals'])}, {_shown(system['number'])} under way in the mean"
    ends = ", ".join(f"{end} {_shown(system[end])}" for end in ("completed", "refused", "abandoned", "timed_out"))
    yield f"  {ends}"
    yield f"  response_s {_times(system['response_s'])}"
    if "faults" in figures:
        yield ""
        yield from _fault(figures["faults"])


def _fault(faults: Figures) -> Iterator[str]:
    """What the fault cost, and whether the network recovers from it."""
    lost = _shown(faults["requests_lost"])
    yield f"fault from {faults['from_s']:g} to {faults['to_s']:g} s: {lost} requests lost"
    for name in ("goodput_per_s", "good_share", "amplification"):
        yield f"  {name:<14}{_times(faults[name])}"
    yield (
        f"  backlog       before {_shown(faults['normal_backlog'])}  peak {_shown(faults['peak_backlog'])}  "
        f"at the horizon {_shown(faults['backlog_at_horizon'])}"
    )
    yield f"  drain_s       {_shown(faults['drain_s'])}"
    yield faults["statement"]


def _times(times: Figures) -> str:
    return "  ".join(f"{name} {_shown(each)}" for name, each in times.items())


def _shown(figure: dict[str, float]) -> str:
    value, half = figure["value"], (figure["high"] - figure["low"]) / 2
    if math.isnan(value):
        return "–"
    return rounded(value, 5) if math.isnan(half) else f"{rounded(value, 5)} ± {rounded(half, 2)}"


def rounded(value: float, digits: int) -> str:
    """At least so many digits that count; a large number whole and not as a power of ten."""
    text = f"{value:.{digits}g}"
    return f"{value:.0f}" if "e+" in text else text

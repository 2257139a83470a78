"""What a fault costs and whether the network recovers from it by itself: pure functions of the work and the log.

The fault lasts from the beginning of the first outage or slow-down of any station to the end of the last. Counted are
requests (what a client tries again), whose backlog is those begun and not ended: waiting, served, or pausing before
another attempt. Waiting outside an entrance counts as one more request for the backlog, and for nothing else.
"""

import math
from typing import Any

import numpy as np

from simulation.log import End, Log
from simulation.network import Network
from simulation.work import Work

Floats = np.ndarray
Figures = dict[str, Any]

_BINS = 200
# Recovered is a network that does at the end, in the last tenth of the time, nearly what it did before the fault.
_LAST = 0.1
_NEARLY = 0.95


def fault(network: Network, horizon_s: float) -> tuple[float, float] | None:
    """(from_s, to_s) of all that fails; None where nothing does before the horizon."""
    spans = [each for station in network.stations for each in (*station.outages, *station.slowdowns)]
    begins = [each.from_s for each in spans if each.from_s < horizon_s]
    return (min(begins), max(each.to_s for each in spans if each.from_s < horizon_s)) if begins else None


def of_replication(work: Work, log: Log, span: tuple[float, float], horizon_s: float) -> Figures:
    """Figures of one replication: numbers, dictionaries of them by phase, and `series` of one number for each bin."""
    rows = _Requests(work, log)
    from_s, to_s = span[0], min(span[1], horizon_s)
    phases = {"before": (0.0, from_s), "during": (from_s, to_s), "after": (to_s, horizon_s)}
    good = {name: rows.good_share(*phase) for name, phase in phases.items()}
    good["last"] = _good_at_last(rows, to_s, horizon_s)
    normal = rows.mean_backlog(from_s / 2, from_s)
    drain_s = rows.drained_at(to_s, max(math.ceil(normal), 1)) - to_s
    drained = to_s + drain_s < horizon_s
    as_before = math.isnan(good["last"]) or _as_good(good)
    peak, peak_s = rows.peak_backlog(from_s, horizon_s)
    return {
        "recovered": float(drained and as_before),
        "good_share": good,
        "goodput_per_s": {name: rows.goodput_per_s(*phase) for name, phase in phases.items()},
        "amplification": {name: rows.amplification(*phase) for name, phase in phases.items()},
        "requests_lost": rows.lost(from_s, horizon_s),
        "normal_backlog": normal,
        "peak_backlog": peak,
        "peak_backlog_at_s": peak_s,
        "backlog_at_horizon": float(rows.backlog_at(np.array([horizon_s]))[0]),
        "drain_s": drain_s if drained else math.nan,
        "series": rows.series(np.linspace(0, horizon_s, _BINS + 1)),
    }


def _good_at_last(rows: "_Requests", to_s: float, horizon_s: float) -> float:
    """The good share in the last tenth of the horizon after the fault, or of the time until the last one came where
    nobody came so late; NaN where nobody came after the fault at all.
    """
    found = rows.good_share(max(to_s, horizon_s * (1 - _LAST)), horizon_s)
    until_s = rows.last_begun_s(horizon_s)
    if math.isnan(found) and until_s >= to_s:
        return rows.good_share(max(to_s, until_s * (1 - _LAST)), math.nextafter(until_s, math.inf))
    return found


def _as_good(good: dict[str, float]) -> bool:
    """Whether nearly as many come to good at last as before the fault; all, where nobody came before."""
    return good["last"] >= _NEARLY * (1.0 if math.isnan(good["before"]) else good["before"])


def summary(found: list[Figures], merged: Figures, span: tuple[float, float], horizon_s: float) -> Figures:
    """`faults` of a network's figures: `merged` are those of all replications with their intervals."""
    recovered = sum(int(each["recovered"]) for each in found)
    edges = np.linspace(0, horizon_s, _BINS + 1)
    series = {"from_s": edges[:-1].tolist(), "bin_s": horizon_s / _BINS, **merged["series"]}
    rest = {key: value for key, value in merged.items() if key not in ("recovered", "series")}
    return {
        "from_s": span[0],
        "to_s": span[1],
        "statement": _statement(merged, recovered, len(found), span[1], horizon_s),
        "recovered_in": recovered,
        "recovers": {0: "no", len(found): "yes"}.get(recovered, "sometimes"),
        **rest,
        "series": series,
    }


def _statement(merged: Figures, recovered: int, count: int, to_s: float, horizon_s: float) -> str:
    """Whether it recovers, in a sentence."""
    if to_s >= horizon_s:
        return "The fault lasts to the horizon's end, so nothing is said of recovery; expected a longer horizon"
    times = f"in {recovered} of {count} replications"
    if recovered == count:
        drain_s = merged["drain_s"]
        return f"It recovers by itself {times}: the backlog is gone {drain_s['value']:.4g} s after the fault's end"
    left = merged["backlog_at_horizon"]["value"]
    good = {phase: each["value"] for phase, each in merged["good_share"].items()}
    answer = "It does not recover by itself" if not recovered else f"It recovers by itself only {times}"
    told = f"{answer}: {horizon_s - to_s:g} s after the fault's end {left:.4g} requests are under way in the mean, and"
    if math.isnan(good["last"]) or _as_good(good):
        lately = "nobody has come since" if math.isnan(good["last"]) else "those begun lately come to good"
        return f"{told} {lately}; expected a longer horizon, to see whether the backlog drains"
    return f"{told} {100 * good['last']:.3g}% of those begun lately come to good (a metastable failure)"


class _Requests:
    """Each request that was begun: when, when it ended for good, and how; and when its attempts were made."""

    def __init__(self, work: Work, log: Log) -> None:
        made = log.attempts["end"] != End.NONE
        counts = np.add.reduceat(made.astype(np.int64), work.attempt_at[:-1]) if work.steps else np.empty(0, np.int64)
        begun = np.flatnonzero(counts)
        first, last = work.attempt_at[begun], work.attempt_at[begun] + counts[begun] - 1
        self._began_s, self._ended_s = log.attempts["began_s"][first], log.attempts["ended_s"][last]
        self._real = work.step[begun] >= 0  # not an entrance
        self._good = log.attempts["end"][last] == End.OK
        of_client = np.repeat(work.step >= 0, np.diff(work.attempt_at))
        self._tried_s = log.attempts["began_s"][made & of_client]
        # The backlog after each of its changes.
        times = np.concatenate([self._began_s, self._ended_s])
        order = np.argsort(times, kind="stable")
        self._times_s = times[order]
        self._backlog = np.cumsum(np.repeat([1, -1], len(begun))[order])

    def good_share(self, from_s: float, to_s: float) -> float:
        """Of the requests begun in [from_s, to_s), the share that came to good in the end."""
        chosen = self._real & (self._began_s >= from_s) & (self._began_s < to_s)
        return float(self._good[chosen].mean()) if chosen.any() else math.nan

    def last_begun_s(self, to_s: float) -> float:
        """When the last request before `to_s` was begun; minus infinity where none was."""
        return float(self._began_s[self._real & (self._began_s < to_s)].max(initial=-math.inf))

    def lost(self, from_s: float, to_s: float) -> int:
        """How many of those begun in [from_s, to_s) came to no good."""
        chosen = self._real & (self._began_s >= from_s) & (self._began_s < to_s)
        return int((~self._good[chosen]).sum())

    def goodput_per_s(self, from_s: float, to_s: float) -> float:
        ended_s = self._ended_s[self._real & self._good]
        return float(((ended_s >= from_s) & (ended_s < to_s)).sum() / (to_s - from_s)) if to_s > from_s else math.nan

    def amplification(self, from_s: float, to_s: float) -> float:
        """Attempts for each first attempt in [from_s, to_s)."""
        first = (self._began_s[self._real] >= from_s) & (self._began_s[self._real] < to_s)
        tried = (self._tried_s >= from_s) & (self._tried_s < to_s)
        return float(tried.sum() / first.sum()) if first.any() else math.nan

    def backlog_at(self, times_s: Floats) -> Floats:
        place = np.searchsorted(self._times_s, times_s, side="right") - 1
        return np.where(place >= 0, self._backlog[np.maximum(place, 0)], 0) if len(self._backlog) else 0 * times_s

    def mean_backlog(self, from_s: float, to_s: float) -> float:
        """In the mean over time; 0 over no time."""
        inside = np.clip(self._ended_s, from_s, to_s) - np.clip(self._began_s, from_s, to_s)
        return float(inside.sum() / (to_s - from_s)) if to_s > from_s else 0.0

    def peak_backlog(self, from_s: float, to_s: float) -> tuple[float, float]:
        """(most, when) in [from_s, to_s)."""
        inside = np.flatnonzero((self._times_s >= from_s) & (self._times_s < to_s))
        if not len(inside):
            return 0.0, from_s
        place = inside[np.argmax(self._backlog[inside])]
        return float(self._backlog[place]), float(self._times_s[place])

    def drained_at(self, after_s: float, least: int) -> float:
        """When from `after_s` on the backlog is first at most `least`."""
        if self.backlog_at(np.array([after_s]))[0] <= least:
            return after_s
        return float(self._times_s[(self._times_s > after_s) & (self._backlog <= least)].min(initial=math.inf))

    def series(self, edges: Floats) -> Figures:
        """By bins of time; the backlog is that at a bin's end."""
        length_s = edges[1] - edges[0]
        return {
            "requests_per_s": np.histogram(self._began_s[self._real], edges)[0] / length_s,
            "attempts_per_s": np.histogram(self._tried_s, edges)[0] / length_s,
            "goodput_per_s": np.histogram(self._ended_s[self._real & self._good], edges)[0] / length_s,
            "backlog": self.backlog_at(edges[1:]).astype(np.float64),
        }

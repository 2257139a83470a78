"""The queue of one agency's adapter: status events wait in it until the national portal has taken them.

A pass begins at every tick of the period; a tick that falls into a running pass is left out, so passes never overlap.
It takes the oldest entries, a limited number, one after the other. A failed one keeps its place and is tried again in
the next pass, until its retries are used up. Knows nothing of agencies or calendars.

Ceiling: while a pass of n entries fits into the period p, n / p entries a second; else n entries in as many periods as
the pass touches.
"""

import math
from dataclasses import dataclass

import numpy as np

from simulation.compiling import machine_code

Floats = np.ndarray
# What rounding may add to a pass, of its length, when it sums up its entries.
_ROUNDING = 1e-9
# Attempts that an entry could fail by chance and still count.
_MOST_FAILURES = 10_000


@dataclass(frozen=True, slots=True)
class Adapter:
    """How an adapter works. `entry_s` is spent on each entry, `pass_s` on each pass; `down` is the portal's outage."""

    period_s: float
    entries: int
    entry_s: float
    pass_s: float
    entry_down_s: float
    pass_down_s: float
    failing: float  # share of attempts, 0 to 1
    retries: int

    @property
    def ceiling_per_s(self) -> float:
        """Entries a second that it can take for ever, when none fails."""
        length_s = self.pass_s + self.entries * self.entry_s
        return self.entries / (self.period_s * _periods(length_s, self.period_s))


@dataclass(frozen=True, slots=True)
class Synced:
    """What became of each entry: when it left the queue (infinite: not until the end), whether it was given up."""

    left_s: Floats
    failed: np.ndarray


def run(
    adapter: Adapter, at_s: Floats, chance: Floats, end_s: float, down: tuple[float, float] | None = None
) -> Synced:
    """Pass after pass until `end_s`, ticks counted from 0, over entries that come at `at_s` (ascending).

    `chance` has a draw in (0, 1) for each entry: how often it fails by itself is geometric. `down` is the time in
    which every attempt fails.
    """
    with np.errstate(divide="ignore"):
        failures = np.floor(np.log(chance) / np.log(adapter.failing)) if adapter.failing else np.zeros(len(chance))
    failures = np.minimum(failures, _MOST_FAILURES).astype(np.int64)
    costs = np.array([[adapter.pass_s, adapter.entry_s], [adapter.pass_down_s, adapter.entry_down_s]])
    down_s = down or (math.inf, math.inf)
    return Synced(*_passes(at_s, failures, costs, adapter.period_s, adapter.entries, adapter.retries, end_s, down_s))


@machine_code
def _periods(length_s: float, period_s: float) -> int:
    """From one pass to the next in periods, when it takes so long; one that fills its periods exactly needs no more."""
    return max(int(np.ceil(length_s / period_s * (1 - _ROUNDING))), 1)


@machine_code
def _passes(
    at_s: Floats,
    failures: np.ndarray,
    costs: Floats,
    period_s: float,
    entries: int,
    retries: int,
    end_s: float,
    down_s: tuple[float, float],
) -> tuple[Floats, np.ndarray]:
    """When each entry left the queue, and whether it was given up.

    `head` are the entries of a pass; those that failed keep the head of the queue. `costs` has a row while the portal
    is up and a row while it is down: of a pass, of an entry.
    """
    left_s, failed = np.full(len(at_s), np.inf), np.zeros(len(at_s), np.bool_)
    attempts = np.zeros(len(at_s), np.int64)
    head, size, following, tick = np.zeros(entries, np.int64), 0, 0, 0
    while size or following < len(at_s):
        if not size:
            tick = max(tick, int(np.ceil(at_s[following] / period_s)))
        now_s = tick * period_s
        if now_s >= end_s:
            break
        while size < entries and following < len(at_s) and at_s[following] <= now_s:
            head[size] = following
            size += 1
            following += 1
        size, took_s = _pass(head, size, now_s, costs, down_s, retries, attempts, failures, left_s, failed)
        tick += _periods(took_s, period_s)
    return left_s, failed


@machine_code
def _pass(
    head: np.ndarray,
    size: int,
    begins_s: float,
    costs: Floats,
    down_s: tuple[float, float],
    retries: int,
    attempts: np.ndarray,
    failures: np.ndarray,
    left_s: Floats,
    failed: np.ndarray,
) -> tuple[int, float]:
    """Try the `size` entries at the head one after the other: (how many of them stay, seconds of the pass)."""
    stay = 0
    took_s = costs[int(down_s[0] <= begins_s < down_s[1]), 0]
    for entry in head[:size]:
        is_down = down_s[0] <= begins_s + took_s < down_s[1]
        took_s += costs[int(is_down), 1]
        attempts[entry] += 1
        if is_down:
            # The portal's failure is not the entry's own, but uses up a retry all the same.
            failures[entry] += 1
        if attempts[entry] > failures[entry]:
            left_s[entry] = begins_s + took_s
        elif attempts[entry] > retries:
            left_s[entry], failed[entry] = begins_s + took_s, True
        else:
            head[stay] = entry
            stay += 1
    return stay, took_s


def backlog(at_s: Floats, left_s: Floats, moments_s: Floats) -> np.ndarray:
    """Entries that wait at each moment; `at_s` ascending."""
    left = np.searchsorted(np.sort(left_s), moments_s, side="right")
    return np.asarray(np.searchsorted(at_s, moments_s, side="right") - left)


def fluid_backlog(coming: Floats, taken_per_bin: float) -> Floats:
    """The backlog after each bin (last axis) if entries flowed: max(0, backlog + coming - taken)."""
    found = np.zeros(coming.shape)
    level = np.zeros(coming.shape[:-1])
    for each in range(coming.shape[-1]):
        level = np.maximum(level + coming[..., each] - taken_per_bin, 0)
        found[..., each] = level
    return found

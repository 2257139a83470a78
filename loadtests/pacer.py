"""The pacer: which steps are due now, which are too late. Policy only, of time and count.

Knows neither clocks nor sleeping, neither Locust nor HTTP: the caller says what time it is, in seconds from the
window's start, and swarm.py does the sleeping.
"""

import heapq
import math
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

State = TypeVar("State")


# When a step falls due, and whatever its journey carries along.
Due = tuple[float, State]


def is_too_late(due_s: float, now_s: float, greatest_lateness_s: float) -> bool:
    """Whether a step must be dropped instead of sent: a late burst would not be the traffic that the plan describes."""
    return now_s - due_s > greatest_lateness_s


class Bound:
    """At most so many steps may be started in any second, also when a stall ends and many are waiting."""

    def __init__(self, rate_per_s: float) -> None:
        """A rate below one a second means one step in 1 / rate seconds."""
        self._most = max(math.floor(rate_per_s), 1)
        self._within_s = max(1 / rate_per_s, 1.0)
        self._starts_s: deque[float] = deque(maxlen=self._most)

    def start_s(self, now_s: float) -> float:
        """The earliest moment, from now on, at which one more step may be started."""
        return max(now_s, self._starts_s[0] + self._within_s) if len(self._starts_s) == self._most else now_s

    def change(self, rate_per_s: float) -> None:
        """From now on another rate: a worker's share of the top rate follows how many workers there are."""
        most = max(math.floor(rate_per_s), 1)
        if most != self._most:
            self._most, self._starts_s = most, deque(self._starts_s, maxlen=most)
        self._within_s = max(1 / rate_per_s, 1.0)

    def rest(self, now_s: float) -> None:
        """As if as many as may be had been started at `now_s`."""
        self._starts_s.extend([now_s] * self._most)

    def note(self, start_s: float) -> None:
        """A step is started at `start_s`."""
        self._starts_s.append(start_s)


class _Firsts(Generic[State]):
    """First steps of one lease, in order of due, up to `until_s`."""

    def __init__(self, dues: Iterator[Due[State]]) -> None:
        self.dues = dues
        self.until_s = math.inf


class Pacer(Generic[State]):
    """Merges first steps, read in order of due from leases, with later steps, which fall due as journeys go on.

    Later steps wait on a heap, so fifty thousand thinking journeys cost heap entries and nothing else. First steps
    stay in their iterator until they are due: of each lease one stands on the heap, for all of them.
    """

    def __init__(self, greatest_lateness_s: float) -> None:
        self.greatest_lateness_s = greatest_lateness_s
        self._heap: list[tuple[float, int, State, _Firsts[State] | None]] = []
        self._put = 0  # breaks ties: of two steps due at the same time the one put first goes first
        # When the next step falls due; infinite while nothing is known to come.
        self.next_due_s = math.inf

    def add(self, dues: Iterator[Due[State]]) -> None:
        """The first steps of one more lease, in order of due."""
        self._advance(_Firsts(dues))
        self._look()

    def revoke(self, after_s: float) -> None:
        """Forget every first step that is due after `after_s`, whichever lease it is of."""
        kept = []
        for entry in self._heap:
            firsts = entry[3]
            if firsts is not None:
                firsts.until_s = min(firsts.until_s, after_s)
            if firsts is None or entry[0] <= after_s:
                kept.append(entry)
        heapq.heapify(kept)
        self._heap = kept
        self._look()

    def put_back(self, finished_s: float, think_s: float, state: State) -> float:
        """A step of a journey has finished and the next follows `think_s` later; returns when that is due."""
        due_s = finished_s + think_s
        self._put += 1
        heapq.heappush(self._heap, (due_s, self._put, state, None))
        if due_s < self.next_due_s:
            self.next_due_s = due_s
        return due_s

    def take(self, now_s: float) -> tuple[list[Due[State]], list[Due[State]]]:
        """(to release, to drop) of everything due by `now_s`, each in order of due."""
        release: list[Due[State]] = []
        drop: list[Due[State]] = []
        while self.next_due_s <= now_s:
            due = self._pop()
            (drop if is_too_late(due[0], now_s, self.greatest_lateness_s) else release).append(due)
        return release, drop

    def _pop(self) -> Due[State]:
        due_s, _, state, firsts = heapq.heappop(self._heap)
        if firsts is not None:
            self._advance(firsts, due_s)
        self._look()
        return due_s, state

    def _advance(self, firsts: _Firsts[State], behind_s: float = -math.inf) -> None:
        """Put the next first step of a lease on the heap, if there is one."""
        due = next(firsts.dues, None)
        if due is None or due[0] > firsts.until_s:
            return
        if due[0] < behind_s:
            raise ValueError(f"first steps out of order: due {due[0]:g} s after {behind_s:g} s")
        self._put += 1
        heapq.heappush(self._heap, (due[0], self._put, due[1], firsts))

    def _look(self) -> None:
        self.next_due_s = self._heap[0][0] if self._heap else math.inf

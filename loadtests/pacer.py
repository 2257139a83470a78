"""The pacer: which steps are due now, which are too late. Policy only, of time and count.

Knows neither clocks nor sleeping, neither Locust nor HTTP: the caller says what time it is, in seconds from the
window's start, and swarm.py does the sleeping.
"""

import heapq
import math
from collections import deque
from collections.abc import Iterator
from typing import Generic, NamedTuple, TypeVar

State = TypeVar("State")


class Due(NamedTuple, Generic[State]):
    """A step that fell due at `due_s`; `state` is whatever its journey carries along."""

    due_s: float
    state: State


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

    def note(self, start_s: float) -> None:
        """A step is started at `start_s`."""
        self._starts_s.append(start_s)


class Pacer(Generic[State]):
    """Merges first steps, read in order of due from the plan, with later steps, which fall due as journeys go on.

    Later steps wait on a heap, so fifty thousand thinking journeys cost heap entries and nothing else. First steps
    stay in their iterator until they are due, so the plan need not fit in memory.
    """

    def __init__(self, firsts: Iterator[tuple[float, State]], greatest_lateness_s: float) -> None:
        self.greatest_lateness_s = greatest_lateness_s
        self._firsts = firsts
        self._first = next(firsts, None)
        self._later: list[tuple[float, int, State]] = []
        self._put = 0  # breaks ties: of two steps due at the same time the one put back first goes first

    @property
    def next_due_s(self) -> float:
        """When the next step falls due; infinite while nothing is known to come."""
        first_s = self._first[0] if self._first is not None else math.inf
        return min(first_s, self._later[0][0]) if self._later else first_s

    def put_back(self, finished_s: float, think_s: float, state: State) -> float:
        """A step of a journey has finished and the next follows `think_s` later; returns when that is due."""
        due_s = finished_s + think_s
        self._put += 1
        heapq.heappush(self._later, (due_s, self._put, state))
        return due_s

    def take(self, now_s: float) -> tuple[list[Due[State]], list[Due[State]]]:
        """(to release, to drop) of everything due by `now_s`, each in order of due."""
        release: list[Due[State]] = []
        drop: list[Due[State]] = []
        while self.next_due_s <= now_s:
            due = self._pop()
            (drop if is_too_late(due.due_s, now_s, self.greatest_lateness_s) else release).append(due)
        return release, drop

    def _pop(self) -> Due[State]:
        first_s = self._first[0] if self._first is not None else math.inf
        if self._later and self._later[0][0] < first_s:
            due_s, _, state = heapq.heappop(self._later)
            return Due(due_s, state)
        assert self._first is not None
        due = Due(*self._first)
        self._first = next(self._firsts, None)
        if self._first is not None and self._first[0] < due.due_s:
            raise ValueError(f"first steps out of order: due {self._first[0]:g} s after {due.due_s:g} s")
        return due

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

    def note(self, start_s: float) -> None:
        """A step is started at `start_s`."""
        self._starts_s.append(start_s)


class Pacer(Generic[State]):
    """Merges first steps, read in order of due from the plan, with later steps, which fall due as journeys go on.

    Later steps wait on a heap, so fifty thousand thinking journeys cost heap entries and nothing else. First steps
    stay in their iterator until they are due, so the plan need not fit in memory.
    """

    def __init__(self, firsts: Iterator[Due[State]], greatest_lateness_s: float) -> None:
        self.greatest_lateness_s = greatest_lateness_s
        self._firsts = firsts
        self._first = next(firsts, None)
        self._later: list[tuple[float, int, State]] = []
        self._put = 0  # breaks ties: of two steps due at the same time the one put back first goes first
        # When the next step falls due; infinite while nothing is known to come.
        self.next_due_s = self._first[0] if self._first is not None else math.inf

    def put_back(self, finished_s: float, think_s: float, state: State) -> float:
        """A step of a journey has finished and the next follows `think_s` later; returns when that is due."""
        due_s = finished_s + think_s
        self._put += 1
        heapq.heappush(self._later, (due_s, self._put, state))
        self.next_due_s = min(self.next_due_s, due_s)
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
        first, later = self._first, self._later
        due: Due[State]
        if later and (first is None or later[0][0] < first[0]):
            due_s, _, state = heapq.heappop(later)
            due = due_s, state
        else:
            assert first is not None
            due = first
            self._first = first = next(self._firsts, None)
            if first is not None and first[0] < due[0]:
                raise ValueError(f"first steps out of order: due {first[0]:g} s after {due[0]:g} s")
        first_s = first[0] if first is not None else math.inf
        self.next_due_s = min(first_s, later[0][0]) if later else first_s
        return due

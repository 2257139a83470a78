"""The reference casework: each dossier as a SimPy process in office time, written to be read. It defines the meaning.

Officers take one case each, first come first served. At one instant the dossier that was filed earlier comes first.

A citizen's withdrawal takes a case out of a queue, and out of whatever takes no officer's time, at once. A service
under way is not broken off, since the officer learns of it at the next click: the case ends with it.
"""

import gc
import heapq
import math
from collections.abc import Callable, Generator
from typing import Any

import numpy as np
import simpy

from simulation.cases import NUMBER, ROW, Event
from simulation.desks import FRONT, TALLY, UNIT, Desks
from simulation.office import OfficeClock
from simulation.reference import Clock

Waits = Generator[simpy.Event, Any, bool]  # whether the case goes on


def run(
    clock: OfficeClock,
    desks: Desks,
    cases: np.ndarray,
    term_s: float,
    progress: Callable[[float], None] = lambda share: None,
) -> tuple[np.ndarray, np.ndarray]:
    """(rows, tally): every event at desks as `ROW`s, and a record of `TALLY` for each agency and desk.

    `cases` stand in order of filing; `term_s` is how long a citizen who is asked has to answer. `progress` is told the
    share of the cases begun.
    """
    found = _Run(clock, desks, cases, term_s, progress)
    rows = np.empty(len(found.rows), dtype=ROW)
    if found.rows:
        at_s, case, event = (np.array(column) for column in zip(*found.rows, strict=True))
        for name in ("dossier", "agency", "channel", "components"):
            rows[name] = cases[name][case]
        rows["at_s"], rows["event"] = at_s, event
    return rows, found.tally


class Officers:
    """Officers of one desk.

    A case's end is known when it joins the queue, for service times are drawn beforehand and those who are withdrawn
    take no officer's time: one event a case instead of the four of a SimPy resource.
    """

    def __init__(self, number: int, tally: np.ndarray) -> None:
        self._free_s = [0.0] * number  # a heap: the office time at which each officer is free
        self._tally = tally

    def join(self, now_s: float, service_s: float, leaves_s: float) -> float | None:
        """When a case that joins the queue now will have been served; None when it leaves before its turn."""
        begins_s = max(now_s, self._free_s[0])
        self._tally["visits"] += 1
        self._tally["wait_s"] += min(begins_s, leaves_s) - now_s
        if begins_s >= leaves_s:
            self._tally["left"] += 1
            return None
        self._tally["busy_s"] += service_s
        heapq.heapreplace(self._free_s, begins_s + service_s)
        return begins_s + service_s


class _Case:
    """One dossier from its coming to the desk to its end."""

    def __init__(self, run: "_Run", number: int) -> None:
        self.run, self.number, self.drawn = run, number, run.cases[number]
        self.last_s = float(self.drawn["last_s"])
        self.withdraws_s = float(self.drawn["withdraws_s"])
        self.front, self.unit = run.officers[self.drawn["agency"]]
        self.paused_s = 0.0

    def goes(self) -> Waits:
        run, drawn = self.run, self.drawn
        if not (yield from self._served(self.front, "receive_s")):
            return False
        if drawn["refused"]:
            self._tell(Event.NOT_RECEIVED)
            return False
        self._tell(Event.RECEIVED)
        received_s = run.now
        if not (yield from self._served(self.unit, "handle_s")):
            return False
        self._tell(Event.STARTED)
        if not (yield from self._passes(run.now + float(drawn["processing_s"]))):
            return False
        if drawn["supplements"]:
            self._tell(Event.SUPPLEMENT_ASKED)
            if not (yield from self._answered("answer_s", Event.SUPPLEMENTED, "handle_again_s")):
                return False
        if drawn["owes"]:
            self._tell(Event.PAYMENT_DUE)
            if not (yield from self._answered("pay_s", Event.OBLIGATION_PAID, "settle_s")):
                return False
        self._tell(Event.FINISHED)
        run.finish(int(drawn["agency"]), run.now - received_s - self.paused_s)
        self.withdraws_s = math.inf
        yield from self._served(self.front, "return_s")
        self._tell(Event.RETURNED)
        return True

    def _served(self, officers: Officers, what: str) -> Waits:
        """Queue and be served; the case goes on unless it was withdrawn meanwhile."""
        run = self.run
        end_s = officers.join(run.now, float(self.drawn[what]), self.withdraws_s)
        yield run.at(max(run.now, self.withdraws_s) if end_s is None else end_s, self.number)
        return not self._withdrawn()

    def _passes(self, until_s: float) -> Waits:
        """Time that takes no officer's."""
        yield self.run.at(min(until_s, self.withdraws_s), self.number)
        return not self._withdrawn()

    def _answered(self, after: str, event: Event, handled: str) -> Waits:
        """The citizen answers, and the unit goes on; without an answer within the term the case is stopped."""
        run, asked_s = self.run, self.run.now
        after_s = float(self.drawn[after])
        answer_s = self.last_s + min(after_s, run.term_s)
        # An answer that comes at once may lie a rounding before now.
        if not (yield from self._passes(max(float(run.clock.to_office(np.array(answer_s))), run.now))):
            return False
        if after_s == math.inf:
            self._tell(Event.STOPPED, answer_s)
            return False
        self._tell(event, answer_s)
        self.paused_s += run.now - asked_s
        return (yield from self._served(self.unit, handled))

    def _withdrawn(self) -> bool:
        run = self.run
        if run.now < self.withdraws_s:
            return False
        self._tell(Event.WITHDRAWN, max(float(self.drawn["withdrawn_s"]), run.wall_s()))
        return True

    def _tell(self, event: Event, at_s: float | None = None) -> None:
        self.last_s = max(self.run.wall_s() if at_s is None else at_s, self.last_s)
        self.run.rows.append((self.last_s, self.number, NUMBER[event]))


class _Run:
    """One execution; the constructor runs it to its end."""

    def __init__(
        self, clock: OfficeClock, desks: Desks, cases: np.ndarray, term_s: float, progress: Callable[[float], None]
    ) -> None:
        self.clock, self.desks, self.cases, self.term_s = clock, desks, cases, term_s
        self.rows: list[tuple[float, int, int]] = []
        self.tally = np.zeros((len(desks.officers), 2), dtype=TALLY)
        self.officers = [
            tuple(Officers(int(desks.officers[agency, desk]), self.tally[agency, desk]) for desk in (FRONT, UNIT))
            for agency in range(len(desks.officers))
        ]
        self._env = Clock()
        self._env.process(self._come(progress))
        # Millions of live generators, none of them in a cycle: the cyclic collector would only walk them.
        gc.disable()
        try:
            self._env.run()
        finally:
            gc.enable()

    @property
    def now(self) -> float:
        return float(self._env.now)

    def at(self, time_s: float, number: int) -> simpy.Event:
        """An event of a case. Those of one instant come in the order of filing, after what SimPy schedules itself."""
        return self._env.at(time_s, 2 + number)

    def wall_s(self) -> float:
        return float(self.clock.to_wall(np.array(self.now)))

    def finish(self, agency: int, took_s: float) -> None:
        self.tally[agency, UNIT]["finished"] += 1
        self.tally[agency, UNIT]["on_time"] += took_s <= self.desks.promise_s

    def _come(self, progress: Callable[[float], None]) -> Generator[simpy.Event, Any, None]:
        """Start each case when its desk may first receive it; who has withdrawn by then never joins a queue."""
        ready_s = self.cases["ready_s"]
        order = np.argsort(ready_s, kind="stable")
        order = order[~np.isnan(ready_s[order])].tolist()
        for count, number in enumerate(order):
            yield self.at(float(ready_s[number]), number)
            case = _Case(self, number)
            if not case._withdrawn():
                self._env.process(case.goes())
            if count % 1000 == 0:
                progress(count / len(order))

"""The reference engine: work through a network, as SimPy processes written to be read. It defines the meaning.

Each arrival is a process: it waits until it is due, visits the stations of its first step, thinks, goes on with the
next step. The stations are our own: SimPy's resources know no closing time, no outage and nobody who leaves a queue.
"""

import math
from collections import deque
from collections.abc import Callable, Generator
from heapq import heappop, heappush
from typing import Any

import pyarrow as pa
import simpy

from caodiem.plan import Plan
from simulation import log as logs
from simulation import network as described
from simulation import work as works
from simulation.instants import COMES, PATIENCE_ENDS, SERVED, SERVERS_CHANGE, TIMES_OUT, TOKEN_COMES, change, order
from simulation.log import End, Log
from simulation.network import INFINITE, Network, Operation, Retries, Visit
from simulation.work import Work

NAME = "reference"
Waits = Generator[simpy.Event, Any, End]


def execute(
    network: Network, plan: Plan, progress: Callable[[float], None] = lambda due_s: None
) -> tuple[pa.Table, pa.Table]:
    """(observations, components) of every step of the plan. `progress` is told the second of the plan reached."""
    work = works.of_plan(network, plan)
    return logs.tables(network, plan, work, run(network, work, progress), NAME)


def run(network: Network, work: Work, progress: Callable[[float], None] = lambda due_s: None) -> Log:
    """What came of every attempt and visit; ends with the last journey."""
    works.draw_rest(network, work)
    return _Run(network, work, progress).log


class Clock(simpy.Environment):
    """SimPy's time, in which each event has a place of its own among those of its instant (instants.py)."""

    def at(self, time_s: float, place: int) -> simpy.Event:
        """An event at `time_s`. What SimPy schedules by itself comes before the next of these."""
        event = simpy.Event(self)
        event._ok, event._value = True, None
        heappush(self._queue, (time_s, place, next(self._eid), event))
        return event


class Turn(simpy.Event):
    """A visit's place in a queue; succeeds when a server takes it."""

    left = False


class Station:
    """Servers and those who wait for them."""

    def __init__(self, clock: Clock, description: described.Station, index: int) -> None:
        self._clock = clock
        self.described = description
        self.breaker = Breaker(clock, description.breaker) if description.breaker else None
        self._index = index
        self._next_s = 0.0
        self._awaits_token = False
        self._busy = 0
        self._waiting = 0
        self._queue: list[tuple[int, int, Turn]] = []  # a heap by priority, then by who came first
        self._came = 0
        self._open = description.hours.servers[0]
        self._limit = INFINITE
        self._refuses = False
        clock.process(self._keep_hours(index))
        clock.process(self._fail(index))

    def join(self, priority: int) -> Turn | None:
        """A turn for somebody who comes now; None when nobody is let in."""
        free = self._busy < self._servers and self._has_token()
        if self._refuses or (not free and self.described.queue is not None and self._waiting >= self.described.queue):
            return None
        turn = Turn(self._clock)
        self._came += 1
        self._waiting += 1
        heappush(self._queue, (priority, self._came, turn))
        self._serve()
        return turn

    def leave_queue(self, turn: Turn) -> None:
        """Whoever gave up is gone: no server takes the visit later."""
        turn.left = True
        self._waiting -= 1

    def end_service(self, _event: simpy.Event | None = None) -> None:
        self._busy -= 1
        self._serve()

    def slow_by(self) -> float:
        return self.described.slow_by(self._clock.now)

    def told(self, state: int | None, end: End) -> End:
        """The end of a visit, of which the breaker that let it through in `state` is told."""
        if self.breaker and state is not None:
            self.breaker.tell(state, end == End.OK)
        return end

    @property
    def _servers(self) -> int:
        return min(self._open, self._limit)

    def _serve(self) -> None:
        """Let free servers take who waits. Nobody in service is sent away when servers become fewer."""
        while self._waiting and self._busy < self._servers and self._has_token():
            turn = heappop(self._queue)[2]
            if not turn.left:
                self._waiting -= 1
                self._busy += 1
                self._take_token()
                turn.succeed()
        if self._waiting and self._busy < self._servers and not self._awaits_token:
            self._awaits_token = True
            token = self._clock.at(self._next_s - self.described.pace.slack_s, order(TOKEN_COMES, self._index))
            token.callbacks.append(self._token_came)

    def _has_token(self) -> bool:
        pace = self.described.pace
        return pace is None or (not self._awaits_token and self._next_s - pace.slack_s <= self._clock.now)

    def _take_token(self) -> None:
        if self.described.pace:
            self._next_s = max(self._next_s, self._clock.now) + self.described.pace.gap_s

    def _token_came(self, _event: simpy.Event) -> None:
        self._awaits_token = False
        self._serve()

    def _keep_hours(self, index: int) -> Generator[simpy.Event, Any, None]:
        for time_s, servers in self.described.hours.changes():
            yield self._clock.at(time_s, order(SERVERS_CHANGE, change(index, servers > self._open, False)))
            self._open = servers
            self._serve()

    def _fail(self, index: int) -> Generator[simpy.Event, Any, None]:
        for time_s, servers, refuses in self.described.limits():
            yield self._clock.at(time_s, order(SERVERS_CHANGE, change(index, servers > self._limit, True)))
            self._limit, self._refuses = servers, refuses
            self._serve()


class Breaker:
    """A circuit breaker and what it remembers."""

    def __init__(self, clock: Clock, description: described.Breaker) -> None:
        self._clock = clock
        self._described = description
        self._state = 0  # how often it has changed
        self._open_until_s = -math.inf  # when it is not closed
        self._probes: int | None = None  # let through since it is half open; None when it is not
        self._good = 0  # probes that succeeded
        self._ended: deque[bool] = deque()  # how the last visits while closed did, True for a failure
        self._failures = 0  # among them

    def let_through(self) -> int | None:
        """The state in which somebody comes who may visit the station; None when the visit is refused."""
        if self._open_until_s > self._clock.now:
            return None
        if self._open_until_s > -math.inf and self._probes is None:
            self._state, self._probes, self._good = self._state + 1, 0, 0
        if self._probes is not None:
            if self._probes == self._described.probes:
                return None
            self._probes += 1
        return self._state

    def tell(self, state: int, succeeded: bool) -> None:
        """How a visit ended that was let through in `state`."""
        if state != self._state:
            return
        if self._probes is None:
            self._remember(failed=not succeeded)
        elif not succeeded:
            self._open()
        else:
            self._good += 1
            if self._good == self._described.probes:
                self._change(-math.inf)

    def _remember(self, failed: bool) -> None:
        if len(self._ended) == self._described.calls:
            self._failures -= self._ended.popleft()
        self._ended.append(failed)
        self._failures += failed
        counted = len(self._ended)
        if counted >= self._described.least and self._failures >= self._described.share * counted:
            self._open()

    def _open(self) -> None:
        self._change(self._clock.now + self._described.open_s)

    def _change(self, open_until_s: float) -> None:
        self._state, self._probes, self._open_until_s = self._state + 1, None, open_until_s
        self._ended.clear()
        self._failures = 0


class _Run:
    """One execution; the constructor runs it to its end."""

    def __init__(self, network: Network, work: Work, progress: Callable[[float], None]) -> None:
        self.operations = [work.operations[kind] for kind in work.kind.tolist()]
        self.due_s, self.think_s, self.pause_s = work.due_s.tolist(), work.think_s.tolist(), work.pause_s.tolist()
        self.service_s, self.patience_s = work.service_s.tolist(), work.patience_s.tolist()
        self.first, self.attempt_at, self.visit_at = (
            work.first.tolist(),
            work.attempt_at.tolist(),
            work.visit_at.tolist(),
        )
        self.log = logs.blank(work)
        self.clock = Clock()
        self.stations = [Station(self.clock, each, index) for index, each in enumerate(network.stations)]
        self.begun = 0  # first attempts of steps that may be tried again
        self.retried = 0
        self.under_way = work.arrivals
        self.over = self.clock.event()
        if work.arrivals:
            self.clock.process(self._arrive(progress))
            self.clock.run(until=self.over)

    def _arrive(self, progress: Callable[[float], None]) -> Generator[simpy.Event, Any, None]:
        for due_s, first, end in zip(self.due_s, self.first, self.first[1:], strict=False):
            yield self.clock.at(due_s, order(COMES, first))
            progress(due_s)
            self.clock.process(self._journey(first, end))

    def _journey(self, first: int, end: int) -> Generator[simpy.Event, Any, None]:
        """Step after step, until all are done or one came to no good; then whoever waits outside may come in."""
        for row in range(first, end):
            if row > first:
                yield self.clock.at(self.clock.now + self.think_s[row], order(COMES, row))
            if (yield from self._step(row)) != End.OK:
                break
        self._leave(first)
        self.under_way -= 1
        if not self.under_way:
            self.over.succeed()

    def _leave(self, first: int) -> None:
        """Give back the place of a journey that came in through an entrance."""
        visits = self.operations[first].visits
        if visits and self.stations[visits[0].station].described.entrance:
            at = self.visit_at[first]
            if self.log.visits["end"][at] == End.OK:
                self.log.visits["left_s"][at] = self.clock.now
                self.stations[visits[0].station].end_service()

    def _step(self, row: int) -> Waits:
        """Attempt after attempt, until one succeeds or no other is allowed."""
        operation = self.operations[row]
        self.begun += operation.attempts > 1
        attempt = 0
        while True:
            at = self.attempt_at[row] + attempt
            began_s = self.clock.now
            end = yield from self._attempt(operation, row, attempt)
            self.log.attempts[at] = began_s, self.clock.now, end
            attempt += 1
            if end == End.OK or attempt == operation.attempts or not self._afford(operation.retries):
                return end
            yield self.clock.at(self.clock.now + self.pause_s[at], order(COMES, row, attempt))

    def _afford(self, retries: Retries) -> bool:
        """Whether the budget has room for one retry more, which is then taken from it."""
        if self.retried >= retries.burst + retries.budget * self.begun:
            return False
        self.retried += 1
        return True

    def _attempt(self, operation: Operation, row: int, attempt: int) -> Waits:
        """The visits in order. The time-out counts from the attempt's beginning and ends it wherever it is."""
        deadline = None
        if operation.visits and operation.timeout_s < math.inf:
            deadline = self.clock.at(self.clock.now + operation.timeout_s, order(TIMES_OUT, row, attempt))
        for number, visit in enumerate(operation.visits):
            end = yield from self._visit(visit, operation.priority, row, attempt, number, deadline)
            if end != End.OK:
                return end
        return End.OK

    def _visit(
        self, visit: Visit, priority: int, row: int, attempt: int, number: int, deadline: simpy.Event | None
    ) -> Waits:
        """Come, wait, be served; what is logged is the station's view, what is returned the client's."""
        clock, visits, station = self.clock, self.log.visits, self.stations[visit.station]
        at = self.visit_at[row] + attempt * len(self.operations[row].visits) + number
        came_s, state = clock.now, None
        if station.breaker:
            state = station.breaker.let_through()
            if state is None:
                visits[at] = came_s, math.nan, came_s, End.CUT_OFF
                return End.REFUSED
        turn = station.join(priority)
        if turn is None:
            visits[at] = came_s, math.nan, came_s, End.REFUSED
            return station.told(state, End.REFUSED)
        if not turn.triggered:
            patience = None
            if visit.patience:
                patience = clock.at(came_s + self.patience_s[at], order(PATIENCE_ENDS, row, attempt, number))
            yield _first(turn, patience, deadline)
            if not turn.triggered:
                station.leave_queue(turn)
                end = End.ABANDONED if patience is not None and patience.processed else End.TIMED_OUT
                visits[at] = came_s, math.nan, clock.now, end
                return station.told(state, end)
        served_s = clock.now + self.service_s[at] * station.slow_by()
        visits[at] = came_s, clock.now, served_s, End.OK
        served = clock.at(served_s, order(SERVED, row, attempt, number))
        # The server is busy to the end of the service, also when its client is gone by then.
        if not station.described.entrance:
            served.callbacks.append(station.end_service)
        yield _first(served, deadline)
        return station.told(state, End.OK if served.processed else End.TIMED_OUT)


def _first(*events: simpy.Event | None) -> simpy.Event:
    """Whatever comes first of those that can come."""
    possible = [event for event in events if event is not None]
    return possible[0] if len(possible) == 1 else possible[0].env.any_of(possible)

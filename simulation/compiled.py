"""The compiled engine: the same meaning as simulation/reference.py, as one event loop over arrays (Numba).

Writes the same log, bit for bit, ties included; `unsupported` names what it does not take. The first call on a machine
compiles and keeps the result (compiling.py).

A pending event is a time and a place (instants.py) in a heap (heap.py); arrivals are not in it but are merged with it.
Who waits at a station stands in a doubly linked list of steps, one list for each priority, so that giving up is a
removal.
"""

import numpy as np
import pyarrow as pa

from caodiem.errors import UsageError
from caodiem.plan import Plan
from simulation import log as logs
from simulation import records
from simulation import work as works
from simulation.compiling import inlined, machine_code
from simulation.heap import before, rise, sink
from simulation.instants import (
    ATTEMPT_BITS,
    COMES,
    MOST,
    PATIENCE_ENDS,
    SERVED,
    SERVERS_CHANGE,
    TIMES_OUT,
    TOKEN_COMES,
    change,
    kind_of,
    order,
    row_of,
    try_of,
)
from simulation.log import End, Log
from simulation.machine import borrowed
from simulation.network import Network
from simulation.records import NOBODY
from simulation.work import BLOCK_BITS, Work

NAME = "compiled"
_OK, _REFUSED, _ABANDONED, _TIMED_OUT, _CUT_OFF = (
    int(each) for each in (End.OK, End.REFUSED, End.ABANDONED, End.TIMED_OUT, End.CUT_OFF)
)

# Journeys that have come and that are under way, events pending, whether the first of them is taken, first attempts
# that may be repeated, retries made.
_ARRIVED, _UNDER_WAY, _PENDING, _TAKEN, _BEGUN, _RETRIED = range(6)
_HEAD, _TAIL = range(2)

# Events of one call of the loop, some tenths of a second: between two calls Python hears Ctrl-C and SIGTERM.
_EVENTS = 1 << 21

_order, _change, _kind_of, _row_of, _try_of = (inlined(each) for each in (order, change, kind_of, row_of, try_of))


def execute(network: Network, plan: Plan) -> tuple[pa.Table, pa.Table]:
    """(observations, components) of every step of the plan, as the reference engine's but for the worker's name."""
    work = works.of_plan(network, plan)
    return logs.tables(network, plan, work, run(network, work), NAME)


def unsupported(network: Network) -> list[str]:
    """What of a network the engine does not take, in words; empty when it takes all of it."""
    most = max((max(each.attempts, len(each.visits)) for each in network.operations.values()), default=0)
    return [f"operation of more than {MOST} attempts or visits"] if most > MOST else []


def run(network: Network, work: Work) -> Log:
    """What came of every attempt and visit. UsageError when the network needs what `unsupported` names."""
    missing = unsupported(network)
    if missing:
        raise UsageError(f"the compiled engine takes no {', no '.join(missing)}; the reference engine does")
    log = logs.blank(work)
    if work.arrivals:
        operations, visits, levels = records.operations(work)
        stations, changes = records.stations(network)
        breakers, rings = records.breakers(network)
        lists = np.full((len(stations), levels, 2), NOBODY, dtype=np.int64)
        counts = np.array([0, work.arrivals, 0, 0, 0, 0], dtype=np.int64)
        steps, heap = records.steps(network, work), records.heap(network, work)
        _plan_changes(stations, changes, heap, counts)
        while counts[_UNDER_WAY]:
            undrawn = _loop(
                work.due_s, work.first, steps, operations, visits, stations, changes, breakers, rings, lists, heap,
                counts, work.service_s, work.patience_s, work.pause_s, work.drawn, log.attempts, log.visits,
            )  # fmt: skip
            if undrawn:
                works.draw_later(network, work, row_of(undrawn), try_of(undrawn) >> ATTEMPT_BITS)
    return log


@machine_code
def _plan_changes(stations, changes, heap, counts):  # type: ignore[no-untyped-def]
    """Schedule what first changes each station's servers."""
    for station in range(len(stations)):
        _plan_hours(station, stations, changes, heap, counts)
        _plan_limit(station, stations, changes, heap, counts)


@machine_code
def _loop(
    due_s, first, steps, operations, visits, stations, changes, breakers, rings, lists, heap, counts,
    service_s, patience_s, pause_s, drawn, attempts, log,
):  # type: ignore[no-untyped-def]  # fmt: skip
    """Take the next event, of the heap or an arrival, until no journey is under way or there were many; returns 0.

    Or the place of an attempt that begins next and is not drawn yet: once it is, the loop goes on with it.
    """
    due_s, first, steps, operations = borrowed(due_s), borrowed(first), borrowed(steps), borrowed(operations)
    visits, stations, changes, lists = borrowed(visits), borrowed(stations), borrowed(changes), borrowed(lists)
    heap, counts, attempts, log = borrowed(heap), borrowed(counts), borrowed(attempts), borrowed(log)
    service_s, patience_s, pause_s = borrowed(service_s), borrowed(patience_s), borrowed(pause_s)
    breakers, rings, drawn = borrowed(breakers), borrowed(rings), borrowed(drawn)
    for _ in range(_EVENTS):
        if not counts[_UNDER_WAY]:
            break
        time_s, place = _next(due_s, first, heap, counts)
        kind, row, tried = _kind_of(place), _row_of(place), _try_of(place)
        # What becomes of the attempt that the event is about; 0: it goes on to its next visit.
        end = 0
        if kind <= TOKEN_COMES:
            if not _goes_on(
                time_s, kind, row, tried, steps, operations, visits, stations, changes, breakers, rings, lists, heap,
                counts, service_s, log,
            ):  # fmt: skip
                continue
        elif kind == COMES:
            if tried and not drawn[row >> BLOCK_BITS, steps[row].kind, tried >> ATTEMPT_BITS]:
                counts[_TAKEN] = 0
                return place
            _begin(time_s, row, tried, steps, operations, heap, counts, attempts)
        elif kind == PATIENCE_ENDS and steps[row].waits and steps[row].tries == tried:
            end = _ABANDONED
        elif kind == TIMES_OUT and steps[row].tries >> ATTEMPT_BITS == tried >> ATTEMPT_BITS:
            end = _TIMED_OUT
        else:
            continue
        if end:
            _give_up(time_s, row, end, steps, operations, visits, stations, breakers, rings, lists, log)
        else:
            end = _advance(
                time_s, row, steps, operations, visits, stations, changes, breakers, rings, lists, heap, counts,
                service_s, patience_s, log,
            )  # fmt: skip
        if end and _end_attempt(time_s, row, end, steps, operations, heap, counts, pause_s, attempts):
            counts[_UNDER_WAY] -= 1
            if steps[row].entry != NOBODY:
                _leave(
                    time_s, steps[row].entry, steps, operations, visits, stations, changes, lists, heap, counts,
                    service_s, log,
                )  # fmt: skip
    return 0


@inlined
def _next(due_s, first, heap, counts):  # type: ignore[no-untyped-def]
    """Take the next event, of the heap or an arrival: its time and its place."""
    time_s, place = np.inf, 0
    if counts[_ARRIVED] < len(due_s):
        time_s, place = due_s[counts[_ARRIVED]], _order(COMES, first[counts[_ARRIVED]], 0, 0)
    if counts[_TAKEN]:
        _close(heap, counts)
    if counts[_PENDING] and not before(time_s, place, heap[0].time_s, heap[0].place):
        time_s, place, counts[_TAKEN] = heap[0].time_s, heap[0].place, 1
    else:
        counts[_ARRIVED] += 1
    return time_s, place


@inlined
def _goes_on(
    now_s, kind, row, tried, steps, operations, visits, stations, changes, breakers, rings, lists, heap,
    counts, service_s, log,
):  # type: ignore[no-untyped-def]  # fmt: skip
    """A service ends, servers change or a token comes: who waits is served. Whether a step goes on to its next visit.

    It does not if the client gave up the attempt that was served.
    """
    if kind == SERVED:
        where = visits[operations[steps[row].kind].first + (tried & MOST)].station
        stations[where].busy -= not stations[where].entrance
    elif kind == SERVERS_CHANGE:
        where = row >> 2
        _change_servers(row, stations, changes, heap, counts)
    else:
        where = row
        stations[where].awaits_token = 0
    _serve(now_s, where, steps, operations, stations, changes, lists, heap, counts, service_s, log)
    if kind != SERVED or steps[row].tries != tried:
        return False
    _tell(now_s, stations[where].breaker, steps[row].state, True, breakers, rings)
    steps[row].tries += 1
    return True


@inlined
def _begin(now_s, row, tried, steps, operations, heap, counts, attempts):  # type: ignore[no-untyped-def]
    """Log an attempt's beginning and set its time-out."""
    step = steps[row]
    operation, attempt = operations[step.kind], tried >> ATTEMPT_BITS
    if attempt == 0 and operation.attempts > 1:
        counts[_BEGUN] += 1
    step.tries = tried
    attempts[step.attempt_at + attempt].began_s = now_s
    if operation.timeout_s < np.inf and operation.visits:
        _push(now_s + operation.timeout_s, _order(TIMES_OUT, row, attempt, 0), heap, counts)


@inlined
def _advance(
    now_s, row, steps, operations, visits, stations, changes, breakers, rings, lists, heap, counts,
    service_s, patience_s, log,
):  # type: ignore[no-untyped-def]  # fmt: skip
    """Come to the station of the step's visit; returns how the attempt ended if that ends it, else 0."""
    step = steps[row]
    operation, attempt, number = operations[step.kind], step.tries >> ATTEMPT_BITS, step.tries & MOST
    if number == operation.visits:
        return _OK
    visit = visits[operation.first + number]
    station = stations[visit.station]
    at = step.visit_at + attempt * operation.visits + number
    log[at].came_s = now_s
    if station.breaker != NOBODY:
        if not _lets_through(now_s, breakers[station.breaker]):
            log[at].left_s, log[at].end = now_s, _CUT_OFF
            return _REFUSED
        step.state = breakers[station.breaker].state
    free = station.busy < station.servers and _has_token(now_s, station)
    if station.refuses or (not free and station.waiting >= station.queue):
        log[at].left_s, log[at].end = now_s, _REFUSED
        _tell(now_s, station.breaker, step.state, False, breakers, rings)
        return _REFUSED
    if free:
        _start(now_s, row, at, station, step, changes, heap, counts, service_s, log)
    else:
        _queue(row, visit.station, operation.level, steps, stations, lists)
        _await_token(visit.station, stations, heap, counts)
        if visit.patient:
            _push(now_s + patience_s[at], _order(PATIENCE_ENDS, row, attempt, number), heap, counts)
    return 0


@inlined
def _start(now_s, row, at, station, step, changes, heap, counts, service_s, log):  # type: ignore[no-untyped-def]
    """A free server takes a visit."""
    station.busy += 1
    if station.gap_s:
        station.next_s = max(station.next_s, now_s) + station.gap_s
    slow = 1.0
    for number in range(station.slow_at, station.slow_end):
        if changes[number].from_s <= now_s < changes[number].to_s:
            slow = changes[number].factor
    served_s = now_s + service_s[at] * slow
    log[at].began_s, log[at].left_s, log[at].end = now_s, served_s, _OK
    _push(served_s, _order(SERVED, row, step.tries >> ATTEMPT_BITS, step.tries & MOST), heap, counts)


@inlined
def _serve(
    now_s, where, steps, operations, stations, changes, lists, heap, counts, service_s, log
):  # type: ignore[no-untyped-def]  # fmt: skip
    """Let free servers take who waits."""
    station = stations[where]
    while station.waiting and station.busy < station.servers and _has_token(now_s, station):
        level = 0
        while lists[where, level, _HEAD] == NOBODY:
            level += 1
        row = lists[where, level, _HEAD]
        step = steps[row]
        _unqueue(row, where, level, steps, stations, lists)
        visits = operations[step.kind].visits
        at = step.visit_at + (step.tries >> ATTEMPT_BITS) * visits + (step.tries & MOST)
        _start(now_s, row, at, station, step, changes, heap, counts, service_s, log)
    _await_token(where, stations, heap, counts)


@inlined
def _await_token(where, stations, heap, counts):  # type: ignore[no-untyped-def]
    """Whoever waits at a paced station where a server is free waits for a token: schedule it, once."""
    station = stations[where]
    if station.gap_s and station.waiting and station.busy < station.servers and not station.awaits_token:
        station.awaits_token = 1
        _push(station.next_s - station.slack_s, _order(TOKEN_COMES, where, 0, 0), heap, counts)


@inlined
def _has_token(now_s, station):  # type: ignore[no-untyped-def]
    """Whether a paced station may begin a service; any other always may."""
    return station.gap_s == 0 or (not station.awaits_token and station.next_s - station.slack_s <= now_s)


@inlined
def _lets_through(now_s, breaker):  # type: ignore[no-untyped-def]
    """Whether somebody who comes now may visit the station."""
    if breaker.open_until_s > now_s:
        return False
    if breaker.open_until_s > -np.inf and breaker.let_through == NOBODY:
        breaker.state += 1
        breaker.let_through, breaker.good = 0, 0
    if breaker.let_through == NOBODY:
        return True
    breaker.let_through += 1
    return breaker.let_through <= breaker.probes


@inlined
def _tell(now_s, which, state, succeeded, breakers, rings):  # type: ignore[no-untyped-def]
    """Tell a station's breaker, if it has one, how a visit ended that was let through in `state`."""
    if which != NOBODY and breakers[which].state == state:
        breaker = breakers[which]
        opens, closes = False, False
        if breaker.let_through == NOBODY:
            opens = _remember(breaker, not succeeded, rings)
        elif succeeded:
            breaker.good += 1
            closes = breaker.good == breaker.probes
        else:
            opens = True
        if opens or closes:
            breaker.state += 1
            breaker.open_until_s = now_s + breaker.open_s if opens else -np.inf
            breaker.let_through, breaker.ended, breaker.failures = NOBODY, 0, 0


@inlined
def _remember(breaker, failed, rings):  # type: ignore[no-untyped-def]
    """Put the end of a visit into a closed breaker's ring; whether it opens by that."""
    place = breaker.ring_at + breaker.ended % breaker.calls
    if breaker.ended >= breaker.calls:
        breaker.failures -= rings[place]
    rings[place] = failed
    breaker.failures += failed
    breaker.ended += 1
    counted = min(breaker.ended, breaker.calls)
    return counted >= breaker.least and breaker.failures >= breaker.share * counted


@inlined
def _give_up(
    now_s, row, end, steps, operations, visits, stations, breakers, rings, lists, log
):  # type: ignore[no-untyped-def]  # fmt: skip
    """A client ends its visit. If it waits it is gone: no server takes the visit later."""
    step = steps[row]
    operation, number = operations[step.kind], step.tries & MOST
    where = visits[operation.first + number].station
    if step.waits:
        at = step.visit_at + (step.tries >> ATTEMPT_BITS) * operation.visits + number
        _unqueue(row, where, operation.level, steps, stations, lists)
        log[at].left_s, log[at].end = now_s, end
    _tell(now_s, stations[where].breaker, step.state, False, breakers, rings)


@machine_code
def _leave(
    now_s, entry, steps, operations, visits, stations, changes, lists, heap, counts, service_s, log
):  # type: ignore[no-untyped-def]  # fmt: skip
    """Give back the place of a journey that came in through an entrance."""
    where = visits[operations[steps[entry].kind].first].station
    at = steps[entry].visit_at
    if log[at].end == _OK:
        log[at].left_s = now_s
        stations[where].busy -= 1
        _serve(now_s, where, steps, operations, stations, changes, lists, heap, counts, service_s, log)


@inlined
def _end_attempt(now_s, row, end, steps, operations, heap, counts, pause_s, attempts):  # type: ignore[no-untyped-def]
    """On to the next step or to the next attempt; returns whether the journey is over instead."""
    step = steps[row]
    operation, attempt = operations[step.kind], step.tries >> ATTEMPT_BITS
    at = step.attempt_at + attempt
    attempts[at].ended_s, attempts[at].end = now_s, end
    step.tries = NOBODY
    if end == _OK and not step.last:
        _push(now_s + steps[row + 1].think_s, _order(COMES, row + 1, 0, 0), heap, counts)
        return False
    if end == _OK or attempt + 1 == operation.attempts:
        return True
    if counts[_RETRIED] < operation.burst + operation.budget * counts[_BEGUN]:
        counts[_RETRIED] += 1
        _push(now_s + pause_s[at], _order(COMES, row, attempt + 1, 0), heap, counts)
        return False
    return True


@inlined
def _queue(row, where, level, steps, stations, lists):  # type: ignore[no-untyped-def]
    """Put a step at the end of its list."""
    last = lists[where, level, _TAIL]
    steps[row].before, steps[row].after, steps[row].waits = last, NOBODY, 1
    if last == NOBODY:
        lists[where, level, _HEAD] = row
    else:
        steps[last].after = row
    lists[where, level, _TAIL] = row
    stations[where].waiting += 1


@inlined
def _unqueue(row, where, level, steps, stations, lists):  # type: ignore[no-untyped-def]
    """Take a step out of its list, wherever in it."""
    before, after = steps[row].before, steps[row].after
    if before == NOBODY:
        lists[where, level, _HEAD] = after
    else:
        steps[before].after = after
    if after == NOBODY:
        lists[where, level, _TAIL] = before
    else:
        steps[after].before = before
    steps[row].waits = 0
    stations[where].waiting -= 1


@inlined
def _change_servers(which, stations, changes, heap, counts):  # type: ignore[no-untyped-def]
    """The next number of a calendar (even `which`) or of outages (odd); instants.change says how it is made up."""
    station = stations[which >> 2]
    if which & 1:
        change = changes[station.limit_at]
        station.limit, station.refuses = change.servers, change.refuses
        station.limit_at += 1
        _plan_limit(which >> 2, stations, changes, heap, counts)
    else:
        station.open = changes[station.hours].servers
        _plan_hours(which >> 2, stations, changes, heap, counts)
    station.servers = min(station.open, station.limit)


@inlined
def _plan_hours(where, stations, changes, heap, counts):  # type: ignore[no-untyped-def]
    """Schedule the calendar's next change."""
    station = stations[where]
    station.hours += 1
    if station.hours == station.hours_end:
        station.hours = station.hours_at
        station.turn += 1
        if station.period_s == np.inf:
            return
    change_s = changes[station.hours].from_s
    if station.turn:
        change_s = station.turn * station.period_s + change_s
    adds = changes[station.hours].servers > station.open
    _push(change_s, _order(SERVERS_CHANGE, _change(where, adds, 0), 0, 0), heap, counts)


@inlined
def _plan_limit(where, stations, changes, heap, counts):  # type: ignore[no-untyped-def]
    """Schedule the next change that an outage makes."""
    station = stations[where]
    if station.limit_at < station.limit_end:
        change = changes[station.limit_at]
        adds = change.servers > station.limit
        _push(change.from_s, _order(SERVERS_CHANGE, _change(where, adds, 1), 0, 0), heap, counts)


@inlined
def _push(time_s, place, heap, counts):  # type: ignore[no-untyped-def]
    """Into the heap: where the event that was taken stood, if that place is still free, else upwards from the end."""
    if counts[_TAKEN]:
        counts[_TAKEN] = 0
        sink(time_s, place, heap, counts[_PENDING])
    else:
        hole = counts[_PENDING]
        counts[_PENDING] += 1
        rise(time_s, place, hole, heap)


@inlined
def _close(heap, counts):  # type: ignore[no-untyped-def]
    """Let the heap's last event stand where the event that was taken stood."""
    counts[_TAKEN] = 0
    counts[_PENDING] -= 1
    last = heap[counts[_PENDING]]
    sink(last.time_s, last.place, heap, counts[_PENDING])

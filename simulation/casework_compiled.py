"""The compiled casework: the same meaning as simulation/casework_reference.py, as an event loop over arrays (Numba).

Writes the same rows, bit for bit, ties included. Agencies share nothing, so each is an `Office` of its own with the
cases under way in it, and may run in a thread of its own. An office can be told of its cases little by little: days of
filings in, days of events out. Its memory holds the cases under way, however long it runs.

Only what decides who is served next is an event of the heap: a case that comes to its desk, the end of a receipt, the
end of the processing, an answer, and a finished case that goes to be returned. Whatever follows from one of these alone
is written down with it, ahead of its time; so no event is written down after the day on which it happens.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from simulation.cases import CASE, NUMBER, ROW, Event, write
from simulation.compiling import inlined, machine_code
from simulation.desks import FRONT, TALLY, UNIT, Desks
from simulation.heap import EVENT, pop, push, take_first
from simulation.machine import borrowed, fetch_ahead
from simulation.office import OfficeClock, later_period, period_of, to_office, to_wall

# Rows that one call of the loop has room for, and the most that one event writes.
_ROOM = 8_192
_MOST_ROWS = 4

# A place in the heap: who was filed first, then where the case is kept, then what happens to it.
_STAGE_BITS, _SLOT_BITS = 3, 22
_COMES, _RECEIVED, _PROCESSED, _ANSWERED, _PAID_UP, _FINISHES = range(6)
# What follows once the unit has handled a case.
_PROCESSING, _SETTLING, _FINISHING = range(3)
_PENDING, _FREE, _CAME = range(3)

_IS_RECEIVED, _IS_NOT_RECEIVED, _STARTED = (
    NUMBER[event] for event in (Event.RECEIVED, Event.NOT_RECEIVED, Event.STARTED)
)
_SUPPLEMENT_ASKED, _SUPPLEMENTED = NUMBER[Event.SUPPLEMENT_ASKED], NUMBER[Event.SUPPLEMENTED]
_PAYMENT_DUE, _OBLIGATION_PAID = NUMBER[Event.PAYMENT_DUE], NUMBER[Event.OBLIGATION_PAID]
_WITHDRAWN, _STOPPED = NUMBER[Event.WITHDRAWN], NUMBER[Event.STOPPED]
_FINISHED, _RETURNED = NUMBER[Event.FINISHED], NUMBER[Event.RETURNED]


class Office:
    """One agency: its desks and the cases under way in it."""

    def __init__(self, clock: OfficeClock, desks: Desks, agency: int, term_s: float) -> None:
        front, unit = desks.officers[agency]
        self.tally = np.zeros(2, dtype=TALLY)
        self._front, self._unit = np.zeros(front), np.zeros(unit)
        self._clock = clock.opens_s, clock.closes_s, clock.begins_s
        self._limits = np.array([term_s, desks.promise_s])
        self._cases = np.empty(0, dtype=CASE)
        self._free = np.empty(0, dtype=np.int64)
        self._heap = np.empty(0, dtype=EVENT)
        self._counts = np.zeros(3, dtype=np.int64)

    @property
    def under_way(self) -> int:
        """Cases that have come into the office and not left it."""
        return int(self._counts[_PENDING])

    def advance(
        self, cases: np.ndarray, until_s: float, empty: Callable[[int, np.dtype[Any]], np.ndarray] = np.empty
    ) -> Iterator[np.ndarray]:
        """Take `cases` in and go on to the office time `until_s`, itself left out; the events in pieces of `empty`.

        `cases` were filed after all that came before, and come to their desks no earlier than where the office stands.
        """
        self._make_room(len(cases))
        _admit(cases, self._cases, self._free, self._heap, self._counts)
        while True:
            rows = empty(_ROOM, ROW)
            count = _advance(
                until_s, self._cases, self._free, self._heap, self._counts, self._front, self._unit, self.tally,
                self._limits, *self._clock, rows,
            )  # fmt: skip
            yield rows[:count]
            if count + _MOST_ROWS <= _ROOM:
                return

    def _make_room(self, more: int) -> None:
        free = int(self._counts[_FREE])
        if more <= free:
            return
        had = len(self._cases)
        room = max(2 * had, had + more - free)
        if room > 1 << _SLOT_BITS:
            raise ValueError(f"{room} cases under way in one agency: expected at most {1 << _SLOT_BITS}")
        for name in ("_cases", "_heap"):
            old = getattr(self, name)
            new = np.empty(room, dtype=old.dtype)
            new[:had] = old
            setattr(self, name, new)
        self._free = np.concatenate([self._free[:free], np.arange(had, room), np.empty(had - free, dtype=np.int64)])
        self._counts[_FREE] = free + room - had


def run(
    clock: OfficeClock,
    desks: Desks,
    cases: np.ndarray,
    term_s: float,
    progress: Callable[[float], None] = lambda share: None,
) -> tuple[np.ndarray, np.ndarray]:
    """(rows, tally) as `casework_reference.run`; the rows stand agency by agency."""
    rows: list[np.ndarray] = [np.empty(0, dtype=ROW)]
    tally = np.zeros((len(desks.officers), 2), dtype=TALLY)
    cases = cases[np.argsort(cases["agency"], kind="stable")]
    edges = np.searchsorted(cases["agency"], np.arange(len(tally) + 1))
    for agency in range(len(tally)):
        office = Office(clock, desks, agency, term_s)
        rows += office.advance(cases[edges[agency] : edges[agency + 1]], np.inf)
        tally[agency] = office.tally
        progress(edges[agency + 1] / max(len(cases), 1))
    return np.concatenate(rows), tally


@machine_code
def _admit(new, cases, free, heap, counts):  # type: ignore[no-untyped-def]
    """Put the new cases into free slots; each comes to its desk when it is ready. Those that ended before do not."""
    for number in range(len(new)):
        came = counts[_CAME]
        counts[_CAME] += 1
        if np.isnan(new[number].ready_s):
            continue
        counts[_FREE] -= 1
        slot = free[counts[_FREE]]
        cases[slot] = new[number]
        place = ((came << _SLOT_BITS | slot) << _STAGE_BITS) | _COMES
        push(new[number].ready_s, place, heap, counts)


@machine_code
def _advance(
    until_s, cases, free, heap, counts, front, unit, tally, limits, opens_s, closes_s, begins_s, rows
):  # type: ignore[no-untyped-def]  # fmt: skip
    """Take event after event before `until_s`; returns the rows written, nearly all of `rows` when it must go on."""
    cases, free, heap, counts = borrowed(cases), borrowed(free), borrowed(heap), borrowed(counts)
    front, unit, tally, limits = borrowed(front), borrowed(unit), borrowed(tally), borrowed(limits)
    opens_s, closes_s, begins_s, rows = borrowed(opens_s), borrowed(closes_s), borrowed(begins_s), borrowed(rows)
    count = 0
    period = period_of(heap[0].time_s, begins_s) if counts[_PENDING] else 0
    while counts[_PENDING] and heap[0].time_s < until_s and count + _MOST_ROWS <= len(rows):
        now_s, place = pop(heap, counts)
        fetch_ahead(cases, (heap[0].place >> _STAGE_BITS) & ((1 << _SLOT_BITS) - 1))
        period = later_period(now_s, begins_s, period)
        stage = place & ((1 << _STAGE_BITS) - 1)
        slot = (place >> _STAGE_BITS) & ((1 << _SLOT_BITS) - 1)
        place ^= stage
        case = cases[slot]
        wall_s = _wall(now_s, period, opens_s, begins_s)
        # When and how the case goes on; -1: it does not.
        next_s, then = 0.0, -1
        if now_s >= case.withdraws_s:
            count = _tell(rows, count, case, _WITHDRAWN, max(case.withdrawn_s, wall_s))
        elif stage == _COMES:
            next_s = _served(now_s, case.receive_s, case.withdraws_s, front, tally[FRONT])
            then = _RECEIVED
            if next_s < 0:
                count, then = _tell(rows, count, case, _WITHDRAWN, case.withdrawn_s), -1
        elif stage == _RECEIVED and case.refused:
            count = _tell(rows, count, case, _IS_NOT_RECEIVED, wall_s)
        elif stage == _FINISHES:
            count = _finish(rows, count, now_s, wall_s, case, front, tally, limits, period, opens_s, begins_s)
        else:
            count, end_s, follows = _handle(rows, count, now_s, wall_s, stage, case, unit, tally)
            if end_s >= 0:
                count, next_s, then = _follow(
                    rows, count, end_s, stage, follows, case, period, limits, opens_s, closes_s, begins_s
                )
        if then < 0:
            free[counts[_FREE]] = slot
            counts[_FREE] += 1
        else:
            push(next_s, place | then, heap, counts)
    return count


@inlined
def _finish(
    rows, count, now_s, wall_s, case, front, tally, limits, period, opens_s, begins_s
):  # type: ignore[no-untyped-def]  # fmt: skip
    """The case is finished, counted against the promise, and returned; returns the rows."""
    count = _tell(rows, count, case, _FINISHED, wall_s)
    took_s = now_s - case.received_s - case.paused_s
    tally[UNIT].finished += 1
    tally[UNIT].on_time += took_s <= limits[1]
    end_s = _served(now_s, case.return_s, np.inf, front, tally[FRONT])
    return _tell(rows, count, case, _RETURNED, _wall(end_s, period, opens_s, begins_s))


@inlined
def _handle(rows, count, now_s, wall_s, stage, case, unit, tally):  # type: ignore[no-untyped-def]
    """The unit handles the case, unless its processing has just ended; rows, when that ends, and what follows.

    It ends at -1 when the case is withdrawn before its turn.
    """
    if stage == _PROCESSED:
        return count, now_s, _SETTLING
    service_s, follows = case.handle_s, _PROCESSING
    if stage == _RECEIVED:
        case.received_s = now_s
        count = _tell(rows, count, case, _IS_RECEIVED, wall_s)
    else:
        case.paused_s += now_s - case.asked_s
        service_s, follows = case.handle_again_s, _SETTLING
        if stage == _PAID_UP:
            service_s, follows = case.settle_s, _FINISHING
    end_s = _served(now_s, service_s, case.withdraws_s, unit, tally[UNIT])
    if end_s < 0:
        count = _tell(rows, count, case, _WITHDRAWN, case.withdrawn_s)
    return count, end_s, follows


@inlined
def _follow(
    rows, count, end_s, stage, follows, case, period, limits, opens_s, closes_s, begins_s
):  # type: ignore[no-untyped-def]  # fmt: skip
    """What follows once the unit has handled the case; rows, when the case goes on, and how, -1: it does not."""
    wall_s = _wall(end_s, period, opens_s, begins_s)
    next_s, then = end_s, _FINISHES
    if end_s >= case.withdraws_s:
        count, then = _tell(rows, count, case, _WITHDRAWN, max(case.withdrawn_s, wall_s)), -1
    elif follows == _PROCESSING:
        count = _tell(rows, count, case, _STARTED, wall_s)
        next_s, then = end_s + case.processing_s, _PROCESSED
        if case.withdraws_s <= next_s:
            count, then = _withdraw(rows, count, case, opens_s, begins_s), -1
    elif follows == _SETTLING and (case.owes or (stage == _PROCESSED and case.supplements)):
        asked, answer, after_s, then = _PAYMENT_DUE, _OBLIGATION_PAID, case.pay_s, _PAID_UP
        if stage == _PROCESSED and case.supplements:
            asked, answer, after_s, then = _SUPPLEMENT_ASKED, _SUPPLEMENTED, case.answer_s, _ANSWERED
        count = _tell(rows, count, case, asked, wall_s)
        count, next_s = _ask(rows, count, end_s, case, after_s, answer, limits[0], opens_s, closes_s, begins_s)
        if next_s < 0:
            then = -1
    return count, next_s, then


@inlined
def _wall(office_s, period, opens_s, begins_s):  # type: ignore[no-untyped-def]
    """`to_wall`, looked for from a period that is no later than the one sought."""
    found = later_period(office_s, begins_s, period)
    return opens_s[found] + (office_s - begins_s[found])


@machine_code
def _served(now_s, service_s, leaves_s, free_s, tally):  # type: ignore[no-untyped-def]
    """When a case that joins the queue now will have been served; -1 when it leaves before its turn."""
    begins_s = max(now_s, free_s[0])
    tally.visits += 1
    tally.wait_s += min(begins_s, leaves_s) - now_s
    if begins_s >= leaves_s:
        tally.left += 1
        return -1.0
    tally.busy_s += service_s
    take_first(free_s, 0, len(free_s), begins_s + service_s)
    return begins_s + service_s


@machine_code
def _ask(
    rows, count, now_s, case, after_s, answer, term_s, opens_s, closes_s, begins_s
):  # type: ignore[no-untyped-def]  # fmt: skip
    """Write how the citizen answers; returns the rows, and when the office learns of it, -1 when the case ends."""
    case.asked_s = now_s
    answered_s = case.last_s + min(after_s, term_s)
    next_s = max(to_office(answered_s, opens_s, closes_s, begins_s), now_s)
    if case.withdraws_s <= next_s:
        return _withdraw(rows, count, case, opens_s, begins_s), -1.0
    if after_s == np.inf:
        return _tell(rows, count, case, _STOPPED, answered_s), -1.0
    return _tell(rows, count, case, answer, answered_s), next_s


@machine_code
def _withdraw(rows, count, case, opens_s, begins_s):  # type: ignore[no-untyped-def]
    """The citizen withdraws a case that takes no officer's time."""
    return _tell(rows, count, case, _WITHDRAWN, max(case.withdrawn_s, to_wall(case.withdraws_s, opens_s, begins_s)))


@inlined
def _tell(rows, count, case, event, at_s):  # type: ignore[no-untyped-def]
    case.last_s = max(at_s, case.last_s)
    return write(rows, count, case, event, case.last_s)

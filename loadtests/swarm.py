"""One worker's share of a replay at work: a greenlet that paces, a pool that sends, another that tells what came of it.

This is where the clock and the sleeping are; what is due and what is too late is the pacer's business. Knows gevent,
but not Locust: the pool's users are handed in by locustfile.py, and what they did is told to `on_request`.
"""

import gc
import math
import sys
from collections.abc import Callable, Iterable
from typing import NamedTuple

import gevent
from gevent.event import Event
from gevent.lock import BoundedSemaphore
from gevent.queue import SimpleQueue

from caodiem import abort, observations
from caodiem.dossier import Outcome
from caodiem.errors import SafetyError
from caodiem.targets import without_secrets
from loadtests import clock, failures, portals
from loadtests.client import Client, kept_cookies
from loadtests.journeys import Journey
from loadtests.leases import FENCE_S
from loadtests.ledger import Held, Ledger
from loadtests.pacer import Bound, Pacer, is_too_late
from loadtests.portals import Answer, Portal

_NAN = float("nan")
_TELL_EVERY_S = 1.0
_SWITCH_INTERVAL_S = 2e-4
_FENCED_FOR_S = 0.05  # how often a step that has its turn looks whether the master has answered
# (method, operation, service time in seconds, bytes of the body, what went wrong or "")
OnRequest = Callable[[str, str, float, int, str], None]


class Told(NamedTuple):
    """What a worker tells of the time since it last told: rows and components packed (observations.packed), the
    seconds played, what each abort rule counts of the steps settled, how many it finds overdue, what went wrong."""

    rows: bytes
    components: bytes
    at_s: float
    settled: list[abort.Count]
    overdue: list[int]
    failures: list[failures.Told]


# A step that the pacer has handed out, waiting for one of the pool: when it was due, when handed out, whose it is.
Released = tuple[float, float, Journey]


class Swarm:
    """Seconds are counted from `epoch_s`, the moment of this machine's clock that is the window's start.

    `until_s` ends the draining: steps that fall due later are never sent, and the accounts call them lost. Nothing is
    sent while the master is silent: arrivals that are not due yet may have gone to others by then (leases.py).
    """

    def __init__(
        self,
        pacer: Pacer[Journey],
        portal: Portal,
        client: Client,
        ledger: Ledger,
        until_s: float,
        on_request: OnRequest,
        bound: Bound | None,
        rules: list[abort.Rule],
        on_told: Callable[[Told], None],
    ) -> None:
        self._pacer, self._portal, self._client = pacer, portal, client
        self._ledger, self._until_s = ledger, until_s
        self._on_request, self._on_told = on_request, on_told
        self._bound, self._rules = bound, rules
        self._turn = BoundedSemaphore(1)
        self._epoch_s = _NAN
        self._fence_s = -math.inf
        self._queue: SimpleQueue[Released] = SimpleQueue()
        # When the steps that were handed out and not settled were due, by arrival: a journey has one at a time.
        self._open_due_s: dict[int, float] = {}
        self._wake = Event()
        self._asleep_until_s = 0.0
        self._pacing: gevent.Greenlet | None = None
        self._telling: gevent.Greenlet | None = None
        self._ended = Event()
        self.halted: SafetyError | None = None

    @property
    def now_s(self) -> float:
        return clock.monotonic() - self._epoch_s

    @property
    def is_idle(self) -> bool:
        """Nothing is under way, and nothing that was leased so far will fall due before the end of the draining."""
        return not self._open_due_s and self._pacer.next_due_s > self._until_s

    @property
    def _is_over(self) -> bool:
        """Nothing more may be sent."""
        return self.halted is not None or self._ended.is_set()

    def begin(self, epoch_s: float) -> None:
        """Start the clock: second 0 is when clock.monotonic() says `epoch_s`."""
        # What stays is kept out of garbage collections, and the packing thread gives the interpreter up 25 times as
        # often as by default: together they take p99 of the lateness at 3,000 steps/s from about 20 to 5 ms.
        gc.collect()
        gc.freeze()
        sys.setswitchinterval(_SWITCH_INTERVAL_S)
        self._epoch_s = epoch_s
        self._fence_s = clock.monotonic() + FENCE_S - epoch_s
        self._pacing = gevent.spawn(self._pace)
        self._telling = gevent.spawn(self._tell_now_and_then)

    def add(self, journeys: Iterable[Journey]) -> None:
        """One more lease: journeys in order of due."""
        self._pacer.add((journey.due_s, journey) for journey in journeys)
        self._wake.set()

    def revoke(self, after_s: float) -> None:
        """Forget the journeys not begun that are due after `after_s`: they went to others while we were silent."""
        self._pacer.revoke(after_s)

    def renew(self, asked_s: float) -> None:
        """The master has answered what was asked when clock.monotonic() said `asked_s`."""
        self._fence_s = asked_s + FENCE_S - self._epoch_s
        self._wake.set()

    def share(self, rate_per_s: float) -> None:
        """Send at most so many steps in any second from now on."""
        if self._bound is not None:
            self._bound.change(rate_per_s)

    def rest(self) -> None:
        """Under a top rate, send nothing for a second from now: others may just have sent what was ours to send."""
        if self._bound is not None:
            self._bound.rest(self.now_s)

    def take(self) -> Released:
        """The next step that is due; blocks until there is one."""
        if self._pacer.next_due_s <= self.now_s:
            # Whoever has just finished a step looks itself: under load the pacing greenlet must wait for its turn.
            self._release()
        return self._queue.get()

    def perform(self, released: Released, host: str) -> None:
        """Send one step, which was meant for `host`, and record what came of it."""
        try:
            if not self._is_over:
                self._attempt(released, host)
        except SafetyError as error:
            self.halted = error
        finally:
            del self._open_due_s[released[2].arrival]
            if not self._open_due_s or self.halted:
                self._wake.set()

    def end(self) -> None:
        """Stop pacing and tell what is held; steps still under way are left to the accounts."""
        self._ended.set()
        if self._pacing is not None and self._telling is not None:
            self._pacing.kill()
            self._telling.join()
            self._tell()
        self._client.close()

    def _attempt(self, released: Released, host: str) -> None:
        if host != self._client.host:
            given, checked = without_secrets(host), without_secrets(self._client.host)
            raise SafetyError(f"host {given!r}: the run was checked for and started against {checked}")
        due_s, released_s, journey = released
        if not self._may_start(due_s):
            if not self._is_over:  # else what waited is left to the accounts
                self._drop(journey, due_s, released_s)
            return
        try:
            request = self._portal.request(journey)
        except Exception as error:  # whatever a class of the user's raises: it is this step's, and no other's
            method, started_s = "", self.now_s
            answer = Answer(Outcome.FAILED, 0, error=f"request: {portals.raised(error)}")
        else:
            method, started_s = request.method, self.now_s
            answer = self._client.send(request, journey.cookies)
            if answer.cookies:
                journey.cookies = kept_cookies(journey.cookies, answer.cookies)
        finished_s = self.now_s
        self._ledger.record(journey, (due_s, released_s, started_s, finished_s), answer)
        operation = journey.step.operation
        self._on_request(method, operation, finished_s - started_s, len(answer.body), answer.error)
        if answer.outcome is Outcome.OK:
            self._go_on(journey, finished_s)

    def _may_start(self, due_s: float) -> bool:
        """Whether a step can be sent in time; waits until the top rate allows it."""
        lateness_s = self._pacer.greatest_lateness_s
        if self._bound is None:
            return not is_too_late(due_s, self.now_s, lateness_s)
        with self._turn:  # one waits at a time, so that a moment that has passed is never used twice
            while not self._is_over:
                start_s = self._bound.start_s(now_s := self.now_s)
                if is_too_late(due_s, start_s, lateness_s):
                    break
                if start_s > now_s:
                    gevent.sleep(start_s - now_s)
                elif now_s >= self._fence_s:  # our share of the top rate may have gone to others as well
                    gevent.sleep(_FENCED_FOR_S)
                else:
                    self._bound.note(now_s)
                    return True
            return False

    def _go_on(self, journey: Journey, finished_s: float) -> None:
        pause_s = journey.pause_s
        if pause_s is None:
            return
        journey.position += 1
        if self._pacer.put_back(finished_s, pause_s, journey) < self._asleep_until_s:
            self._wake.set()

    def _pace(self) -> None:
        """Release what is due, sleep until the next deadline; deadlines are absolute, so lateness never adds up."""
        while self.halted is None:
            now_s = self._release()
            self._asleep_until_s = self._pacer.next_due_s if now_s < self._fence_s else math.inf
            self._wake.clear()
            self._wake.wait(max(min(self._asleep_until_s - self.now_s, 1.0), 0))

    def _release(self) -> float:
        """Hand out what is due and drop what is too late; returns the time at which it was."""
        now_s = self.now_s
        if not self._is_over and now_s < self._fence_s:
            release, drop = self._pacer.take(min(now_s, self._until_s))
            for due_s, journey in release:
                self._open_due_s[journey.arrival] = due_s
                self._queue.put((due_s, now_s, journey))
            for due_s, journey in drop:
                self._drop(journey, due_s, _NAN)
        return now_s

    def _drop(self, journey: Journey, due_s: float, released_s: float) -> None:
        self._ledger.record(journey, (due_s, released_s, _NAN, _NAN), Answer(Outcome.DROPPED, 0))

    def _tell_now_and_then(self) -> None:
        while not self._ended.wait(_TELL_EVERY_S):
            self._tell()

    def _tell(self) -> None:
        held, now_s = self._ledger.take(), self.now_s
        overdue = [abort.count_overdue(rule, self._open_due_s.values(), now_s) for rule in self._rules]
        # In a thread of the hub's pool, so that packing does not hold the pacer up.
        packed = gevent.get_hub().threadpool.apply(self._pack, (held,))
        self._on_told(Told(packed[0], packed[1], now_s, packed[2], overdue, held.failures.told()))

    def _pack(self, held: Held) -> tuple[bytes, bytes, list[abort.Count]]:
        rows = self._ledger.table(held)
        components = observations.table_of(held.components, observations.COMPONENTS_SCHEMA)
        counted = [abort.count(rule, rows) for rule in self._rules]
        return observations.packed(rows), observations.packed(components), counted

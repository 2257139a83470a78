"""A worker's part in a replay: takes orders and leases, sends through a swarm, tells the master what came of it.

Runs in every Locust worker, and in the one process of a replay without workers, where Locust hands messages to itself.
Asks the master for an answer four times a second, for as long as it lives: the answers align the clocks, keep the
leases, and show that the master is there. Without them it stops sending, and in the end itself.
"""

import math
import signal
import socket
import sys
import uuid
from collections import deque
from pathlib import Path
from typing import Any

import gevent
from gevent.event import Event
from locust import runners
from locust.env import Environment

from caodiem import abort, observations, plan, run, targets
from caodiem.errors import CaodiemError, ExitCode, UsageError
from loadtests import accounts, clock, journeys, portals
from loadtests.client import Client
from loadtests.journeys import Journey
from loadtests.ledger import Ledger
from loadtests.pacer import Bound, Pacer
from loadtests.swarm import Swarm, Told

# Messages from the worker to the master and, below, back. Their data are what msgpack carries.
PULSE, TOLD, THROUGH = "caodiem_pulse", "caodiem_told", "caodiem_through"
ANSWER, ORDERS, BEGIN, LEASE, END = "caodiem_answer", "caodiem_orders", "caodiem_begin", "caodiem_lease", "caodiem_end"

PULSE_EVERY_S = 0.25
# A master from whom nothing was heard for so long is gone: while it replays, and while it does not.
_GONE_S, _GONE_AT_REST_S = 10.0, 60.0
_LAST_WORDS_S = 0.5


class AnswerError(Exception):
    """What Locust's failure table shows of an answer that was not right: the words alone."""

    def __repr__(self) -> str:
        return str(self)


class Share:
    """What this worker does of one replay after the other; its name tells it from others on whatever machine."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        runner = environment.runner
        assert runner is not None
        self._runner = runner
        self._name = f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"
        self._clock = clock.Alignment()
        self._answered_s = clock.monotonic()
        self._quitting = False
        self._ordered = Event()
        self._forget()
        runner.register_message(ANSWER, self._take_answer)
        runner.register_message(ORDERS, self._take_orders)
        runner.register_message(BEGIN, self._begin)
        runner.register_message(LEASE, self._take_lease)
        runner.register_message(END, self._take_end)
        environment.events.test_stop.add_listener(self._end)
        environment.events.quitting.add_listener(self._say_goodbye)
        if isinstance(runner, runners.WorkerRunner):
            # Locust's own limit counts on the time of day, which may be set while we replay.
            runners.MASTER_HEARTBEAT_TIMEOUT = math.inf
            for number in (signal.SIGTERM, signal.SIGINT):
                gevent.signal_handler(number, self._leave, f"stopped by {number.name}")

    def start(self) -> None:
        """Begin to ask the master for answers; whoever answers must be listening."""
        gevent.spawn(self._pulse_on)

    def visit(self) -> None:
        """One of the pool: performs step after step, until whoever called wants no more.

        In a greenlet that Locust does not know: where it takes users away, as when a worker comes late, it kills them
        in the midst of a request, and nobody would know what became of that.
        """
        leaving = Event()
        visitor = gevent.spawn(self._perform_until, leaving)
        try:
            visitor.join()
        finally:
            leaving.set()

    def _perform_until(self, leaving: Event) -> None:
        self._ordered.wait()
        swarm, environment = self._swarm, self._environment
        assert swarm is not None
        while not leaving.is_set():
            # The run stops when Locust was given another host meanwhile.
            swarm.perform(swarm.take(), environment.host or "")
            if swarm.halted is not None and not self._is_through:
                gevent.spawn(self._end)

    def _forget(self) -> None:
        self._orders: dict[str, Any] = {}
        self._ordered.clear()
        self._swarm: Swarm | None = None
        self._has_begun = self._is_through = False
        self._ended = Event()
        self._leases = 0
        self._revoked_after_s: float | None = None
        self._presence: accounts.Presence | None = None
        self._parts: Path | None = None  # where our rows go once the master is gone
        self._told = 0
        # What was told and may not stand on the master's disk yet, by number.
        self._unwritten: deque[tuple[int, Told]] = deque()

    def _pulse_on(self) -> None:
        while not self._quitting:
            swarm = self._swarm
            told = {
                "worker": self._name,
                "sent_s": clock.monotonic(),
                "replay": self._orders.get("replay", ""),
                "leases": self._leases,
                "is_idle": swarm is not None and self._has_begun and swarm.is_idle,
                "revoked_after_s": self._revoked_after_s,
                "clock": self._clock.figures() if self._has_begun else None,
            }
            self._runner.send_message(PULSE, told)
            gevent.sleep(PULSE_EVERY_S)
            limit_s = _GONE_S if self._has_begun and not self._is_through else _GONE_AT_REST_S
            if clock.monotonic() - self._answered_s > limit_s:
                self._close_alone(f"nothing heard from the master for {limit_s:g} s")

    def _take_answer(self, msg: Any, **_: Any) -> None:
        told = msg.data
        received_s = clock.monotonic()
        self._clock.note(clock.estimate(told["sent_s"], told["answered_s"], received_s))
        self._answered_s = max(self._answered_s, told["sent_s"])
        swarm = self._swarm
        if swarm is None or told["replay"] != self._orders["replay"]:
            return
        while self._unwritten and self._unwritten[0][0] <= told["written"]:
            self._unwritten.popleft()
        if told["revoked_after_s"] is not None:
            # Others have our leases and our share of the top rate, until the master has heard that we know.
            self._revoked_after_s = told["revoked_after_s"]
            swarm.revoke(told["revoked_after_s"])
            return
        swarm.share(self._top_rate_per_s / max(told["workers"], 1))
        if self._revoked_after_s is not None:
            self._revoked_after_s = None
            swarm.rest()
        swarm.renew(told["sent_s"])

    def _take_orders(self, msg: Any, **_: Any) -> None:
        self._forget()
        self._orders = msg.data
        try:
            self._make_ready()
        except CaodiemError as error:
            self._tell_through(str(error), error.exit_code)

    def _make_ready(self) -> None:
        """A swarm as the orders say; CaodiemError when this machine cannot do it."""
        orders, asked = self._orders, self._orders["info"]
        portal = portals.load(asked["portal"])
        try:
            portal.use(orders["prepared"])
        except Exception as error:
            raise UsageError(f"--portal {asked['portal']}: use: {portals.raised(error)}: {error}") from error
        permitted = targets.load()
        self._top_rate_per_s = permitted.top_rate_per_s(orders["host"])
        is_bounded = self._top_rate_per_s < math.inf
        self._swarm = Swarm(
            Pacer[Journey](asked["greatest_lateness_s"]),
            portal,
            Client(orders["host"], permitted, asked["pool"], authorities=orders["authorities"]),
            Ledger(orders["worker"]),
            orders["until_s"],
            self._tell_locust,
            Bound(self._top_rate_per_s / orders["senders"]) if is_bounded else None,
            [abort.parse(text) for text in asked["abort_rules"]],
            self._tell_master,
        )
        self._presence = accounts.Presence.beside(run.Execution(Path(orders["folder"])))
        self._ordered.set()

    def _begin(self, msg: Any, **_: Any) -> None:
        """The master says at what moment of its clock second 0 is."""
        if self._swarm is None or self._has_begun or msg.data["replay"] != self._orders["replay"]:
            return
        self._swarm.begin(msg.data["epoch_s"] - self._clock.fix())
        self._has_begun = True

    def _take_lease(self, msg: Any, **_: Any) -> None:
        if self._swarm is not None and msg.data["replay"] == self._orders["replay"]:
            self._leases += 1
            self._swarm.add(journeys.unpacked(msg.data["rows"]))

    def _take_end(self, **_: Any) -> None:
        # Not here: whoever sends to itself may be in the midst of telling, which ending waits for.
        gevent.spawn(self._end)

    def _end(self, **_: Any) -> None:
        """Tell the last rows, and that they were the last; whoever comes second waits for the first."""
        swarm = self._swarm
        if swarm is None:
            return
        if self._is_through:
            self._ended.wait()
            return
        self._is_through = True
        self._ordered.clear()  # whoever comes now waits for the next replay's orders
        swarm.end()
        self._tell_through(str(swarm.halted or ""), ExitCode.SAFETY)
        self._ended.set()

    def _tell_through(self, halted: str, code: ExitCode) -> None:
        """Nothing more will come of us. `halted` says why, where it was not the end, and `code` is its exit code."""
        report = {
            "replay": self._orders["replay"],
            "worker": self._name,
            "halted": halted,
            "code": int(code),
            "clock": self._clock.figures() if self._has_begun else None,
        }
        self._runner.send_message(THROUGH, report)

    def _leave(self, reason: str) -> None:
        """Told to stop: the master gets what we observed, and other workers what we held that is not due yet."""
        if not self._quitting:
            print(f"worker {reason}", file=sys.stderr, flush=True)
            self._say_goodbye()
            self._quit()

    def _say_goodbye(self, **_: Any) -> None:
        """Before Locust ends this process, for whatever reason. Whoever comes second waits too."""
        self._quitting = True
        if self._swarm is not None and self._parts is None:
            self._end()
            gevent.sleep(_LAST_WORDS_S)  # for the messages to go out

    def _close_alone(self, reason: str) -> None:
        """The master is gone: our last rows go where its folder is, or would be; the last one there closes accounts."""
        self._quitting = True
        print(f"replay stopped: {reason}", file=sys.stderr, flush=True)
        try:
            if self._swarm is not None:
                self._close_folder(self._swarm, reason)
        except (CaodiemError, OSError) as error:
            print(f"error: {error}", file=sys.stderr, flush=True)
        self._quit()

    def _close_folder(self, swarm: Swarm, reason: str) -> None:
        orders = self._orders
        execution = run.Execution(Path(orders["folder"]))
        if not self._is_through:
            self._is_through = True
            if not execution.info.is_file():  # else the master has closed the accounts without us
                self._parts = execution.parts
                self._parts.mkdir(parents=True, exist_ok=True)
                for number, told in self._unwritten:
                    self._write(number, told)
                print(f"the last rows of {orders['worker']} go to {execution.parts}", file=sys.stderr, flush=True)
            swarm.end()
            self._ended.set()
        if self._presence is not None and self._presence.is_last() and not execution.info.is_file():
            ended = {"reached_end": False, "stopped_because": reason, "stopped_for_safety": False}
            accounts.settle(plan.read(Path(orders["plan"])), execution, {**orders["info"], **ended})
            print(accounts.in_words(execution), file=sys.stderr, flush=True)

    def _quit(self) -> None:
        self._environment.process_exit_code = int(ExitCode.INVALID)
        self._runner.quit()

    def _tell_master(self, told: Told) -> None:
        self._told += 1
        if self._parts is not None:
            self._write(self._told, told)
            return
        self._unwritten.append((self._told, told))
        named = {"replay": self._orders["replay"], "worker": self._name, "number": self._told}
        self._runner.send_message(TOLD, {**named, **told._asdict()})

    def _write(self, number: int, told: Told) -> None:
        """As the master would: where it has written this part before it went, the part is the same."""
        assert self._parts is not None
        observations.write_part(self._parts, self._orders["worker"], number, told.rows, told.components)

    def _tell_locust(self, method: str, operation: str, service_s: float, length: int, error: str) -> None:
        self._environment.events.request.fire(
            request_type=method,
            name=operation,
            response_time=service_s * 1000,
            response_length=length,
            exception=AnswerError(error) if error else None,
            context={},
        )

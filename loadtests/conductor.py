"""One replay inside Locust, from its start to the closed accounts and the exit code.

Runs in the master, or in the one process of a replay without workers. Workers (share.py) ask it for an answer now and
then; whoever asks gets orders, is told when second 0 is, and is granted leases of the plan, with their rows. What they
observe comes as messages and is written here, so it survives them, and they need neither this machine's disk nor clock.
"""

import os
import sys
import uuid
from typing import Any

import gevent
from gevent.event import Event
from gevent.lock import BoundedSemaphore
from locust.env import Environment
from locust.runners import WORKER_REPORT_INTERVAL, MasterRunner

from caodiem import abort, observations, plan, run, targets
from caodiem.dossier import Outcome
from caodiem.errors import CaodiemError, ExitCode, SafetyError
from loadtests import accounts, clock, journeys, preparation, statistics
from loadtests.assignment import Assignment
from loadtests.board import Board
from loadtests.client import CONNECT_TIMEOUT_S, REQUEST_TIMEOUT_S
from loadtests.crew import Crew, Hand
from loadtests.failures import Failures
from loadtests.leases import LENGTH_S, Leases
from loadtests.share import ANSWER, BEGIN, END, LEASE, ORDERS, PULSE, THROUGH, TOLD

ADMIN_TOKEN = "CAODIEM_ADMIN_TOKEN"
PARENT = "CAODIEM_PARENT_PID"
# How long after the end of the draining an answer may still come: a connect and a request time-out.
_GRACE_S = CONNECT_TIMEOUT_S + REQUEST_TIMEOUT_S
_BEGIN_AFTER_S = 1.0
# Workers that have not taken their orders so long after the pool was up come late.
_ORDERS_WITHIN_S = 5.0
_WORKERS_END_WITHIN_S = 5.0
_INVALID = (Outcome.DROPPED, Outcome.LOST)


class Conductor:
    """Decides when a replay is over, why, and what the process tells the shell."""

    def __init__(self, environment: Environment) -> None:
        """Checks plan and target; CaodiemError, with its exit code, before the first packet when they won't do."""
        assert environment.runner is not None and environment.parsed_options is not None
        environment.process_exit_code = int(ExitCode.INVALID)
        self._environment = environment
        self._runner = environment.runner
        self._options = environment.parsed_options
        # Locust's master hears nobody while it waits for the pool of a worker that has gone: not for a second, then.
        os.environ.setdefault("LOCUST_WAIT_FOR_WORKERS_REPORT_AFTER_RAMP_UP", "0.2")
        self._forget()
        self._runner.register_message(PULSE, self._note_pulse)
        self._runner.register_message(TOLD, self._note_told)
        self._runner.register_message(THROUGH, self._note_through)
        self._asked = Assignment.of(vars(self._options), environment.host or "", os.environ.get(ADMIN_TOKEN, ""))
        environment.host = self._asked.host
        self._arrivals = journeys.Arrivals(self._asked.plan.table)
        self._until_s = self._asked.until_s
        # Before anything else, so that a run that dies can be repeated.
        print(self._asked.in_words(self._pool), file=sys.stderr, flush=True)
        self._board: Board | None = None
        self._looking = BoundedSemaphore(1)
        self._ended_s = 0.0
        environment.events.test_start.add_listener(self._start)
        environment.events.spawning_complete.add_listener(self._note_pool)
        environment.events.test_stopping.add_listener(self._hear_out)
        environment.events.test_stop.add_listener(self._settle)
        # Where Locust misses its last worker it quits, and the greenlet in which it had begun to stop goes with that.
        environment.events.quitting.add_listener(self._settle_at_last)

    def is_over(self) -> bool:
        """Asked by the shape once a second: whether there is nothing more to wait for."""
        self._note_progress()
        parent = int(os.environ.get(PARENT, "0"))
        if parent and os.getppid() != parent:
            self.conclude(ExitCode.INVALID, "the command that started the replay is gone")
        limit_s = self._options.run_time
        if limit_s and self._has_begun and self._now_s > limit_s:
            self.conclude(ExitCode.INVALID, f"--run-time of {limit_s:g} s was over before the plan")
        if self._reason:
            return True
        if not self._has_begun:
            return False
        self._lose_silent()
        if not self._is_done:
            self._is_done = self._crew.is_done(self._now_s) or self._now_s > self._until_s + _GRACE_S
            if self._is_done:
                self._send_all(END)
        return self._is_done and not self._crew.awaited(self._now_s) and self._workers_have_reported()

    @property
    def host(self) -> str:
        """The only host that this run may load."""
        return self._asked.host

    def look(self) -> dict[str, Any] | None:
        """What the board shows of the replay that runs or ran last; None before the first.

        One look at a time, in a thread of the hub's pool, so that whoever watches does not hold up whoever sends.
        """
        with self._looking:
            if self._board is None:
                return None
            played_s = self._now_s if self._has_begun else self._ended_s
            figures: dict[str, Any] = gevent.get_hub().threadpool.apply(self._board.figures, (played_s,))
            return figures

    def conclude(self, code: ExitCode, reason: str) -> None:
        """End the replay early; the first reason given stands."""
        if not self._reason:
            self._reason, self._code = reason, code
            print(f"replay stopped: {reason}", file=sys.stderr)

    @property
    def _pool(self) -> int:
        return self._options.num_users or 1

    @property
    def _now_s(self) -> float:
        return clock.monotonic() - self._epoch_s

    @property
    def _has_begun(self) -> bool:
        return self._epoch_s < float("inf")

    def _forget(self) -> None:
        self._replay = ""  # names the one under way
        self._reason = ""
        self._code = ExitCode.INVALID
        self._crew = Crew(Leases(-float("inf")))
        self._pool_up_at = self._epoch_s = float("inf")
        self._is_done = False
        self._all_through = Event()
        self._last_through_at = 0.0
        self._execution: run.Execution | None = None
        self._presence: accounts.Presence | None = None
        self._breach: abort.Breach | None = None
        self._failures = Failures()

    def _start(self, **_: Any) -> None:
        """Locust starts a test: check again, prepare the portal; workers get their orders when they next ask."""
        self._environment.process_exit_code = int(ExitCode.INVALID)
        self._started_at = clock.monotonic()
        host = self._asked.host
        try:
            if self._environment.host != host:
                given, checked = (targets.without_secrets(each or "") for each in (self._environment.host, host))
                raise SafetyError(f"host {given!r}: the run was checked for {checked}; start anew")
            self._execution = run.Execution(self._asked.folder())
            accounts.clear(self._execution)
            self._presence = accounts.Presence.beside(self._execution)
            if not self._asked.part.is_whole:
                plan.write(self._asked.plan, self._execution.plan)
            self._watch = abort.Watch(self._asked.rules)
            self._prepared = preparation.prepare(self._asked)
            self._crew = Crew(Leases(self._arrivals.last_due_s))
            self._replay = uuid.uuid4().hex
            if self._environment.web_ui:
                self._board, self._ended_s = Board(self._asked.plan, self._execution.parts, self._asked.scenario()), 0.0
        except CaodiemError as error:
            self.conclude(error.exit_code, str(error))
        except OSError as error:
            self.conclude(ExitCode.INVALID, _in_words(error))

    def _orders(self, hand: Hand) -> dict[str, Any]:
        assert self._execution is not None
        asked = self._asked
        return {
            "replay": self._replay,
            "worker": hand.label,
            "senders": self._crew.senders(self._now_s) + 1,
            "plan": str((asked.plan_file if asked.part.is_whole else self._execution.plan).resolve()),
            "folder": str(self._execution.folder),
            "host": asked.host,
            "authorities": asked.authorities,
            "until_s": self._until_s,
            "prepared": self._prepared,
            "info": asked.as_json(self._pool),
        }

    def _note_pool(self, **_: Any) -> None:
        """The pool is up. Later changes of it leave the replay alone."""
        self._pool_up_at = min(self._pool_up_at, clock.monotonic())

    def _note_pulse(self, msg: Any, **_: Any) -> None:
        """A worker asks; what is answered depends on how far it is."""
        told, answered_s = msg.data, clock.monotonic()
        hand = self._crew.hands.get(told["worker"])
        revoked_after_s = None
        if hand is not None and told["replay"] == self._replay:
            self._crew.heard(hand, told)
            if hand.is_begun and not hand.is_through:
                revoked_after_s = self._crew.take_part(told["worker"], self._now_s)
        answer = {
            "replay": self._replay,
            "sent_s": told["sent_s"],
            "answered_s": answered_s,
            "revoked_after_s": revoked_after_s,
            "workers": self._crew.senders(self._now_s),
            "written": hand.written if hand is not None else 0,
        }
        self._runner.send_message(ANSWER, answer, msg.node_id)
        if self._replay and not self._reason and not self._is_done:
            self._go_on(told["worker"], hand, msg.node_id)
        elif hand in self._crew.under_way:
            self._runner.send_message(END, {}, msg.node_id)

    def _go_on(self, worker: str, hand: Hand | None, node: str) -> None:
        """The next thing for a worker that has asked: its orders, the beginning, leases."""
        if hand is None:
            self._runner.send_message(ORDERS, self._orders(self._crew.join(worker, node)), node)
        elif not self._has_begun:
            self._begin_when_ready()
        elif hand.is_ordered and hand.is_here and not hand.is_begun:
            hand.is_begun = True
            self._runner.send_message(BEGIN, {"replay": self._replay, "epoch_s": self._epoch_s}, node)
            self._crew.take_part(worker, self._now_s)
        else:
            self._lose_silent()
            # Not before a lease's length is left: by then everybody who is there has begun.
            if self._now_s > -LENGTH_S / 2:
                self._grant()

    def _begin_when_ready(self) -> None:
        waited_s = clock.monotonic() - self._pool_up_at
        ready = waited_s >= 0 and all(hand.is_ordered for hand in self._crew.hands.values())
        if ready or waited_s > _ORDERS_WITHIN_S:
            self._epoch_s = clock.monotonic() + _BEGIN_AFTER_S

    def _grant(self) -> None:
        for hand, lease in self._crew.grant(self._now_s):
            rows = journeys.packed(self._arrivals.of(lease))
            self._runner.send_message(LEASE, {"replay": self._replay, "rows": rows}, hand.node)

    def _lose_silent(self) -> None:
        for hand in self._crew.lose_silent(self._now_s):
            self._watch.forget(hand.label)
            print(
                f"worker {hand.label} is silent since second {self._now_s:.1f}: what it holds that is not due yet "
                "goes to the others",
                file=sys.stderr,
                flush=True,
            )

    def _note_told(self, msg: Any, **_: Any) -> None:
        """Once a second: rows, to be written, and figures, to be held against the abort rules."""
        told = msg.data
        if told["replay"] != self._replay:
            return
        hand = self._crew.hands[told["worker"]]
        assert self._execution is not None
        try:
            part_of_it = (self._execution.parts, hand.label, told["number"], told["rows"], told["components"])
            gevent.get_hub().threadpool.apply(observations.write_part, part_of_it)
            hand.written = told["number"]
        except OSError as error:
            self._stop_sending(ExitCode.INVALID, _in_words(error))
        self._failures.add(told["failures"])
        # Who was given up may never tell that it settled what it tells to be overdue.
        overdue = told["overdue"] if hand.is_here else [0] * len(told["overdue"])
        self._watch.note(hand.label, told["at_s"], told["settled"], overdue)
        if not self._reason:
            self._breach = self._watch.breach(told["at_s"])
            if self._breach is not None:
                self._stop_sending(ExitCode.SAFETY, str(self._breach))

    def _note_through(self, msg: Any, **_: Any) -> None:
        report = msg.data
        if report["replay"] != self._replay:
            return
        hand = self._crew.hands[report["worker"]]
        self._crew.note_clock(hand, report["clock"])
        self._crew.leave(report["worker"], self._now_s)
        self._watch.forget(hand.label)
        if report["halted"]:
            self._note_halted(hand, f"worker {hand.label}: {report['halted']}", ExitCode(report["code"]))
        self._last_through_at = clock.monotonic()
        if not self._crew.awaited(self._now_s):
            self._all_through.set()
        elif not self._is_done and not self._reason:
            self._grant()

    def _note_halted(self, hand: Hand, reason: str, code: ExitCode) -> None:
        if self._has_begun and not hand.is_begun:
            print(f"{reason}; the others go on without it", file=sys.stderr, flush=True)
        else:
            self._stop_sending(code, reason)

    def _stop_sending(self, code: ExitCode, reason: str) -> None:
        """End the replay early and every worker's sending at once."""
        self.conclude(code, reason)
        self._send_all(END)

    def _send_all(self, message: str) -> None:
        for hand in self._crew.under_way:
            self._runner.send_message(message, {}, hand.node)

    def _workers_have_reported(self) -> bool:
        """Workers tell their last statistics some seconds after their last request; Locust drops what comes late."""
        if not isinstance(self._runner, MasterRunner):
            return True
        return clock.monotonic() - self._last_through_at > WORKER_REPORT_INTERVAL + 1

    def _note_progress(self) -> None:
        if self._execution is not None and self._has_begun:
            played_s = min(max(self._now_s, 0.0), self._asked.plan.meta.length_s)
            try:
                run.write_json(accounts.progress_file(self._execution.folder), {"played_s": played_s})
            except OSError as error:
                self._stop_sending(ExitCode.INVALID, _in_words(error))

    def _hear_out(self, **_: Any) -> None:
        """The test is about to stop, whatever the reason: get the last rows from the workers, while they are heard."""
        if self._replay and not self._is_done:
            nobody = "no worker is left: " if self._has_begun and not self._crew.present else ""
            self.conclude(ExitCode.INVALID, f"{nobody}stopped before the plan's end")
        if self._crew.awaited(self._now_s):
            self._send_all(END)
            self._all_through.wait(_WORKERS_END_WITHIN_S)

    def _settle(self, **_: Any) -> None:
        """The test has stopped: close the accounts."""
        if self._replay and self._execution is not None:
            self._judge_clocks()
            self._look_for_the_last_time()
        self._environment.process_exit_code = self._close()
        self._forget()

    def _settle_at_last(self, **_: Any) -> None:
        """Locust ends: close the accounts if nobody has."""
        if self._execution is not None:
            self._settle()

    def _judge_clocks(self) -> None:
        for hand in self._crew.hands.values():
            if hand.clock is not None and hand.clock["error_s_max"] > clock.GREATEST_ERROR_S:
                self.conclude(
                    ExitCode.INVALID,
                    f"the clock of worker {hand.label} may be off by {hand.clock['error_s_max']:.4f} s: "
                    f"expected at most {clock.GREATEST_ERROR_S:g} s",
                )

    def _close(self) -> int:
        """Close the accounts; returns the exit code."""
        if self._execution is None:
            return int(self._code)
        try:
            outcomes = accounts.settle(self._asked.plan, self._execution, self._info())
        except CaodiemError as error:
            print(f"error: {error}", file=sys.stderr, flush=True)
            return int(self._code if self._reason else error.exit_code)
        print(accounts.in_words(self._execution), file=sys.stderr, flush=True)
        return self._exit_code(outcomes)

    def _look_for_the_last_time(self) -> None:
        """The parts go when the accounts are closed; what the page shows afterwards is what it sees now."""
        if self._has_begun:
            self._ended_s = self._now_s
        self.look()

    def _exit_code(self, outcomes: dict[str, int]) -> int:
        if self._reason:
            return int(self._code)
        if any(outcomes[outcome] for outcome in _INVALID):
            return int(ExitCode.INVALID)
        # As stock Locust does: any failure makes the exit code 1, or what --exit-code-on-error says.
        return 0 if outcomes[Outcome.OK] == self._asked.plan.arrivals else int(self._options.exit_code_on_error)

    def _info(self) -> dict[str, Any]:
        stats = self._environment.stats
        return {
            **self._asked.as_json(self._pool),
            "workers": len(self._crew.hands),
            "by_worker": [hand.as_json() for hand in self._crew.hands.values()],
            "wall_s": clock.monotonic() - self._started_at,
            "reached_end": not self._reason,
            "stopped_because": self._reason or None,
            "stopped_for_safety": bool(self._reason) and self._code is ExitCode.SAFETY,
            "abort_rule_broken": self._breach.as_json() if self._breach is not None else None,
            "failures": self._failures.as_json(),
            "locust_statistics": statistics.by_name(stats),
        }


def _in_words(error: OSError) -> str:
    return f"{error.filename or 'the disk'}: {error.strerror or error}"

"""One replay inside Locust, from the checks before the first packet to the closed accounts and the exit code.

Runs in the master, or in the one process of a replay without workers. Orders stripes to workers (share.py), which
must run on this machine: they share its clock and its disk.
"""

import os
import socket
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gevent.event import Event
from locust.env import Environment
from locust.runners import STATE_MISSING, WORKER_REPORT_INTERVAL, MasterRunner
from locust.stats import StatsEntry

from caodiem import abort, part, plan, run, targets
from caodiem.dossier import Outcome
from caodiem.errors import CaodiemError, ExitCode, InvalidRun, SafetyError
from caodiem.scenario import Scenario
from loadtests import accounts, defaults, journeys, portals
from loadtests.board import Board
from loadtests.client import Client
from loadtests.share import BEGIN, END, HEALTH, ORDERS, THROUGH

ADMIN_TOKEN = "CAODIEM_ADMIN_TOKEN"
PARENT = "CAODIEM_PARENT_PID"
# Later steps of journeys begun inside the window are sent until so long after the last would be due at the latest
# if every answer came at once; what is not sent by then is lost.
_DRAIN_S = 60.0
_BEGIN_AFTER_S = 1.0
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
        self._plan_file = defaults.plan_file(self._options.plan)
        asked = self._options
        self._part = part.parse(asked.window, asked.scale, asked.speed, asked.journeys)
        self._plan = self._part.of(plan.read(self._plan_file))
        portals.check_serves(portals.load(self._options.portal), self._plan)
        self._admin_token = os.environ.get(ADMIN_TOKEN, "")
        if not environment.host:
            environment.host, self._admin_token = defaults.staging_portal()
        self._host: str = environment.host
        targets.load().check(self._host, journeys.highest_second_per_s(self._plan.table))
        self._rules = abort.rules(self._options.abort, targets.is_loopback(urlsplit(self._host).hostname or ""))
        self._announce()
        self._board: Board | None = None
        self._ended_s = 0.0
        self._forget()
        self._runner.register_message(THROUGH, self._note_through)
        self._runner.register_message(HEALTH, self._note_health)
        environment.events.test_start.add_listener(self._start)
        environment.events.spawning_complete.add_listener(self._begin)
        environment.events.test_stop.add_listener(self._settle)

    def _announce(self) -> None:
        """The seed and every option as resolved, before anything else, so that a run that dies can be repeated."""
        meta, options = self._plan.meta, self._options
        print(
            f"plan {self._plan_file}: seed {meta.seed}, {self._part}\n"
            f"replays {self._plan.arrivals} arrivals, {self._plan.steps} steps in {meta.length_s:g} s from "
            f"{meta.starts_at}, hash {meta.plan_hash[:12]}\n"
            f"host {_without_userinfo(self._host)}, pool {options.num_users or 1}, "
            f"greatest lateness {options.greatest_lateness:g} s, "
            f"abort rules: {'; '.join(rule.text for rule in self._rules) or 'none'}",
            file=sys.stderr,
            flush=True,
        )

    def is_over(self) -> bool:
        """Asked by the shape once a second: whether there is nothing more to wait for."""
        self._note_progress()
        parent = int(os.environ.get(PARENT, "0"))
        if parent and os.getppid() != parent:
            self.conclude(ExitCode.INVALID, "the command that started the replay is gone")
        limit_s = self._options.run_time
        if limit_s and self._begun_at and time.monotonic() - self._begun_at > limit_s:
            self.conclude(ExitCode.INVALID, f"--run-time of {limit_s:g} s was over before the plan")
        if self._reason:
            return True
        if not self._workers:
            return False
        if self._workers.keys() - self._through - self._gone():
            return False
        return self._workers_have_reported()

    @property
    def host(self) -> str:
        """The only host that this run may load."""
        return self._host

    def look(self) -> tuple[Board, float] | None:
        """The board of the replay that runs or ran last, and the seconds of the plan that have been played."""
        if self._board is None:
            return None
        return self._board, time.monotonic() - self._begun_at if self._begun_at else self._ended_s

    def conclude(self, code: ExitCode, reason: str) -> None:
        """End the replay early; the first reason given stands."""
        if not self._reason:
            self._reason, self._code = reason, code
            print(f"replay stopped: {reason}", file=sys.stderr)

    def _forget(self) -> None:
        self._reason = ""
        self._code = ExitCode.INVALID
        self._workers: dict[int, str] = {}  # index of the stripe to Locust's name of the worker
        self._through: set[int] = set()
        self._all_through = Event()
        self._last_through_at = 0.0
        self._begun_at = 0.0
        self._execution: run.Execution | None = None
        self._watch = abort.Watch(self._rules)
        self._breach: abort.Breach | None = None

    def _start(self, **_: Any) -> None:
        """Locust starts a test: check again, prepare the portal, order the stripes."""
        self._environment.process_exit_code = int(ExitCode.INVALID)
        self._started_at = time.monotonic()
        try:
            if self._environment.host != self._host:
                raise SafetyError(f"host {self._environment.host!r}: the run was checked for {self._host}; start anew")
            workers = self._ready_workers()
            folder = self._options.observations or f"{self._plan_file.parent}/locust-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
            self._execution = run.Execution(Path(folder))
            accounts.clear(self._execution)
            if not self._part.is_whole:
                plan.write(self._plan, self._execution.plan)
            self._order(workers)
            if self._environment.web_ui:
                self._board, self._ended_s = Board(self._plan, self._execution.parts, self._scenario()), 0.0
        except CaodiemError as error:
            self.conclude(error.exit_code, str(error))

    def _ready_workers(self) -> list[str]:
        if not isinstance(self._runner, MasterRunner):
            return ["local"]
        clients = self._runner.clients
        workers = [node.id for node in clients.ready + clients.spawning + clients.running]
        elsewhere = [worker for worker in workers if worker.rpartition("_")[0] != socket.gethostname()]
        if elsewhere:
            raise InvalidRun(
                f"workers {elsewhere}: expected all on {socket.gethostname()}; other machines have other clocks"
            )
        return workers

    def _order(self, workers: list[str]) -> None:
        assert self._execution is not None
        client = Client(self._host, targets.load(), 1)
        prepared = portals.load(self._options.portal, self._admin_token).prepare(self._plan, client.send)
        client.close()
        self._workers = dict(enumerate(workers))
        for index, worker in self._workers.items():
            orders = {
                "index": index,
                "count": len(workers),
                "plan": str((self._plan_file if self._part.is_whole else self._execution.plan).resolve()),
                "parts": str(self._execution.parts.resolve()),
                "host": self._host,
                "pool": self._options.num_users or 1,
                "greatest_lateness_s": self._options.greatest_lateness,
                "until_s": self._last_due_s() + _DRAIN_S,
                "abort_rules": [rule.text for rule in self._rules],
                "portal": self._options.portal,
                "prepared": prepared,
            }
            self._runner.send_message(ORDERS, orders, worker)

    def _last_due_s(self) -> float:
        nominal_s = journeys.nominal_due_s(self._plan.table)
        return max(self._plan.meta.length_s, float(nominal_s.max()) if len(nominal_s) else 0.0)

    def _begin(self, **_: Any) -> None:
        """The pool is up: the clock starts. Later changes of the pool leave it alone."""
        if self._begun_at or not self._workers:
            return
        self._begun_at = time.monotonic() + _BEGIN_AFTER_S
        self._runner.send_message(BEGIN, {"epoch_s": self._begun_at})

    def _note_through(self, environment: Environment, msg: Any, **_: Any) -> None:
        report = msg.data
        if report["halted"]:
            self.conclude(ExitCode.SAFETY, report["halted"])
        elif not report["drained"]:
            self.conclude(ExitCode.INVALID, "stopped before the plan's end")
        self._through.add(report["index"])
        self._last_through_at = time.monotonic()
        if self._through >= self._workers.keys():
            self._all_through.set()

    def _note_health(self, environment: Environment, msg: Any, **_: Any) -> None:
        """What a worker tells once a second; a broken rule ends the sending at once, and the run with it."""
        told = msg.data
        self._watch.note(told["index"], told["at_s"], told["settled"], told["overdue"])
        if self._reason:
            return
        self._breach = self._watch.breach(told["at_s"])
        if self._breach is not None:
            self.conclude(ExitCode.SAFETY, str(self._breach))
            self._runner.send_message(END, {})

    def _gone(self) -> set[int]:
        """The stripes whose worker died: what it held is lost."""
        if not isinstance(self._runner, MasterRunner):
            return set()
        alive = {node.id for node in self._runner.clients.all if node.state != STATE_MISSING}
        return {index for index, worker in self._workers.items() if worker not in alive}

    def _workers_have_reported(self) -> bool:
        """Workers tell their last statistics some seconds after their last request; Locust drops what comes late."""
        if not isinstance(self._runner, MasterRunner):
            return True
        return time.monotonic() - self._last_through_at > WORKER_REPORT_INTERVAL + 1

    def _note_progress(self) -> None:
        if self._execution is not None and self._begun_at:
            played_s = min(max(time.monotonic() - self._begun_at, 0.0), self._plan.meta.length_s)
            run.write_json(accounts.progress_file(self._execution.folder), {"played_s": played_s})

    def _settle(self, **_: Any) -> None:
        """The test has stopped, whatever the reason: get the last rows from the workers and close the accounts."""
        if self._execution is None:
            self._environment.process_exit_code = int(self._code)
            self._forget()
            return
        waiting = self._workers.keys() - self._through - self._gone()
        if waiting:
            self._runner.send_message(END, {})
            self._all_through.wait(_WORKERS_END_WITHIN_S)
        self._look_for_the_last_time()
        execution = self._execution
        gone = sorted(self._gone() - self._through)
        if gone:
            self.conclude(ExitCode.INVALID, f"workers of stripes {gone} are gone")
        outcomes = accounts.settle(self._plan, execution, self._info())
        self._environment.process_exit_code = self._exit_code(outcomes)
        print(accounts.in_words(execution), file=sys.stderr)
        self._forget()

    def _look_for_the_last_time(self) -> None:
        """The parts go when the accounts are closed; what the page shows afterwards is what it sees now."""
        if seen := self.look():
            board, self._ended_s = seen
            board.figures(self._ended_s)

    def _scenario(self) -> Scenario | None:
        """The scenario of the run that the plan stands in; a plan alone has none, and so no SLOs."""
        resolved = run.Run(self._plan_file.parent.parent).scenario
        return Scenario.model_validate(run.read_json(resolved)["resolved"]) if resolved.is_file() else None

    def _exit_code(self, outcomes: dict[str, int]) -> int:
        if self._reason:
            return int(self._code)
        if any(outcomes[outcome] for outcome in _INVALID):
            return int(ExitCode.INVALID)
        # As stock Locust does: any failure makes the exit code 1, or what --exit-code-on-error says.
        return 0 if outcomes[Outcome.OK] == self._plan.arrivals else int(self._options.exit_code_on_error)

    def _info(self) -> dict[str, Any]:
        stats = self._environment.stats
        return {
            "executor": "locust",
            "target": _without_userinfo(self._host),
            "plan_hash": self._plan.meta.plan_hash,
            "part": str(self._part),
            "portal": self._options.portal,
            "pool": self._options.num_users or 1,
            "greatest_lateness_s": self._options.greatest_lateness,
            "workers": len(self._workers),
            "wall_s": time.monotonic() - self._started_at,
            "reached_end": not self._reason,
            "stopped_because": self._reason or None,
            "stopped_for_safety": bool(self._reason) and self._code is ExitCode.SAFETY,
            "abort_rules": [rule.text for rule in self._rules],
            "abort_rule_broken": self._breach.as_json() if self._breach is not None else None,
            "locust_statistics": [_figures(entry) for entry in [*stats.entries.values(), stats.total]],
        }


def _without_userinfo(host: str) -> str:
    target = urlsplit(host)
    return f"{target.scheme}://{target.netloc.rpartition('@')[2]}{target.path}"


def _figures(entry: StatsEntry) -> dict[str, Any]:
    """What Locust says of one name; its response times are service times, and kept to about two digits."""
    return {
        "name": entry.name,
        "method": entry.method or None,
        "num_requests": entry.num_requests,
        "num_failures": entry.num_failures,
        "avg_ms": entry.avg_response_time,
        "median_ms": entry.median_response_time,
        "p95_ms": entry.get_response_time_percentile(0.95),
        "p99_ms": entry.get_response_time_percentile(0.99),
        "max_ms": entry.max_response_time,
    }

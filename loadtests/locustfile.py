"""What Locust loads: its events, its users, its shape and our arguments. Thin: see conductor.py and share.py.

locust                                  everything by default, with the web UI on http://localhost:8089
locust --headless --plan RUN --host URL
"""

import signal
import sys
from functools import partial
from typing import Any

import gevent
from locust import LoadTestShape, User, events, task
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

from caodiem import abort
from caodiem.errors import CaodiemError, ExitCode
from loadtests import dashboard, portals
from loadtests.conductor import Conductor
from loadtests.share import Share

# One Locust process runs one environment.
_conductor: Conductor | None = None
_share: Share | None = None


@events.init_command_line_parser.add_listener
def add_arguments(parser: LocustArgumentParser, **_: Any) -> None:
    """Primitives only: they travel to workers. None can be changed in the web UI, where nothing is checked."""
    add = partial(parser.add_argument, include_in_web_ui=False)
    add("--plan", default="", help="plan.parquet, or a run's folder (its highest level)")
    part = "replay this part of the plan, like 600+60 or 10min+90s (default: all of it)"
    add("--window", default="", metavar="START+LENGTH", help=part)
    add("--scale", type=float, default=1.0, help="replay this share of the plan's dossiers")
    add("--speed", type=float, default=1.0, help="divide due and think times by this")
    add("--journeys", default="", metavar="A,B", help="replay these journeys alone")
    portal = "the class that knows the portal's requests (default: that of our staging portal)"
    add("--portal", default=portals.REFERENCE, metavar="MODULE:CLASS", help=portal)
    add("--ca", default="", metavar="FILE", help="trust these authorities (PEM) over TLS")
    lateness = "drop a step, and count it, that could not be sent within S seconds of its due time"
    add("--greatest-lateness", type=float, default=1.0, metavar="S", help=lateness)
    rule = f"stop when this happens, as in {abort.ACCEPTED}; may be given again".replace("%", "%%")
    add("--abort", action="append", default=[], metavar="RULE", help=rule)
    add("--observations", default="", metavar="DIR", help="where the observations go")


@events.init.add_listener
def begin(environment: Environment, **_: Any) -> None:
    """Check everything that can be checked before the first packet; end with the error's exit code."""
    global _conductor, _share
    assert environment.parsed_options is not None
    if not isinstance(environment.runner, MasterRunner):
        _share = Share(environment)
    if not isinstance(environment.runner, WorkerRunner):
        try:
            _conductor = Conductor(environment)
        except CaodiemError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(int(error.exit_code))
    if _share is not None:
        _share.start()
    if _conductor is None:
        return
    if environment.web_ui is not None:
        dashboard.install(environment.web_ui, _conductor.host, _conductor.look)
    if environment.parsed_options.headless:
        # Under a shape Locust would die of SIGTERM without any of its closing events.
        for number in (signal.SIGTERM, signal.SIGINT):
            reason = f"stopped by {number.name}"
            gevent.signal_handler(number, _conductor.conclude, ExitCode.INVALID, reason)


class Visitor(User):
    """One of the pool: takes a due step, sends it, waits for the next. Whose step it is changes each time."""

    def on_start(self) -> None:
        # Waiting at once makes Locust see the user as idle, so it stops without delay.
        self.wait()

    def wait_time(self) -> float:
        """Does not return: Locust's own turn between two tasks takes as long as a third of a request."""
        assert _share is not None
        _share.visit()
        return 0.0

    @task
    def perform(self) -> None:
        """Locust wants every user to have a task; the steps are performed above."""


class Pool(LoadTestShape):
    """A pool of constant size (`-u`) until the plan has ended and every worker is through."""

    use_common_options = True

    def tick(self) -> tuple[int, float] | None:
        if _conductor is None or self.runner is None or _conductor.is_over():
            return None
        options = self.runner.environment.parsed_options
        assert options is not None
        return options.num_users or 1, options.spawn_rate or 1

"""A worker's part in a replay: takes its orders, builds a swarm from them, says when it is through.

Runs in every Locust worker, and in the one process of a replay without workers, where Locust hands messages to itself.
"""

import math
import socket
from pathlib import Path
from typing import Any

import gevent
from gevent.event import Event
from locust.env import Environment

from caodiem import abort, targets
from caodiem.observations import Recorder
from loadtests import journeys, portals
from loadtests.client import Client
from loadtests.journeys import Journey
from loadtests.ledger import Ledger
from loadtests.pacer import Bound, Pacer
from loadtests.swarm import Released, Swarm

# Messages, conductor to worker and back. Their data are primitives: they travel by msgpack.
ORDERS, BEGIN, END, THROUGH = "caodiem_orders", "caodiem_begin", "caodiem_end", "caodiem_through"
HEALTH = "caodiem_health"


class AnswerError(Exception):
    """What Locust's failure table shows of an answer that was not right."""


class Share:
    """One stripe of the plan, from orders to the last row written."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._index = 0
        self._swarm: Swarm | None = None
        self._is_through = False
        runner = environment.runner
        assert runner is not None
        runner.register_message(ORDERS, self._take_orders)
        runner.register_message(BEGIN, self._begin)
        # Ending waits for rows to be written; concurrently, so that heartbeats go on.
        runner.register_message(END, self._end, concurrent=True)
        environment.events.test_stop.add_listener(self._end)

    def take(self) -> Released:
        """The next step for one of the pool; blocks. Without orders (a worker that came late) it blocks for good."""
        if self._swarm is None:
            Event().wait()
        assert self._swarm is not None
        return self._swarm.take()

    def perform(self, released: Released) -> None:
        """Send a step that `take` gave; the run stops when Locust was given another host meanwhile."""
        assert self._swarm is not None
        self._swarm.perform(released, self._environment.host or "")

    def _take_orders(self, environment: Environment, msg: Any, **_: Any) -> None:
        orders = msg.data
        self._index, self._is_through = orders["index"], False
        stripe = journeys.of_stripe(Path(orders["plan"]), orders["index"], orders["count"])
        firsts = ((journey.due_s, journey) for journey in stripe)
        worker = f"{socket.gethostname()}-{orders['index']}"
        portal = portals.load(orders["portal"])
        portal.use(orders["prepared"])
        permitted = targets.load()
        top_rate_per_s = permitted.top_rate_per_s(orders["host"]) / orders["count"]
        self._swarm = Swarm(
            Pacer[Journey](firsts, orders["greatest_lateness_s"]),
            portal,
            Client(orders["host"], permitted, orders["pool"]),
            Recorder(Path(orders["parts"]), worker),
            Ledger(worker),
            orders["until_s"],
            self._tell_locust,
            Bound(top_rate_per_s) if top_rate_per_s < math.inf else None,
            [abort.parse(text) for text in orders["abort_rules"]],
            self._tell_health,
        )

    def _begin(self, environment: Environment, msg: Any, **_: Any) -> None:
        assert self._swarm is not None
        self._swarm.begin(msg.data["epoch_s"])
        gevent.spawn(self._end_when_drained, self._swarm)

    def _end_when_drained(self, swarm: Swarm) -> None:
        swarm.drained.wait()
        self._end()

    def _end(self, **_: Any) -> None:
        swarm = self._swarm
        if swarm is None or self._is_through:
            return
        self._is_through = True
        drained = swarm.drained.is_set() and swarm.halted is None
        swarm.end()
        report = {"index": self._index, "drained": drained, "halted": str(swarm.halted or "")}
        assert self._environment.runner is not None
        self._environment.runner.send_message(THROUGH, report)

    def _tell_health(self, at_s: float, settled: list[abort.Count], overdue: list[int]) -> None:
        assert self._environment.runner is not None
        told = {"index": self._index, "at_s": at_s, "settled": settled, "overdue": overdue}
        self._environment.runner.send_message(HEALTH, told)

    def _tell_locust(self, method: str, operation: str, service_s: float, length: int, error: str) -> None:
        self._environment.events.request.fire(
            request_type=method,
            name=operation,
            response_time=service_s * 1000,
            response_length=length,
            exception=AnswerError(error) if error else None,
            context={},
        )

"""The conductor with a runner that carries its messages nowhere, so that a test says what workers tell it."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from caodiem import plan
from tests.conftest import ROOT
from tests.loadtests import replay_plans

pytestmark = pytest.mark.slow
# Locust patches the process that imports it.
HEARING = """
import sys
from argparse import Namespace
from types import SimpleNamespace
from locust.env import Environment
from caodiem import observations
from caodiem.abort import Count
from loadtests.conductor import Conductor
from loadtests.portals import REFERENCE
from loadtests.share import BEGIN, END, PULSE, THROUGH, TOLD

class Runner:
    def __init__(self): self.heard_by, self.sent = {}, []
    def register_message(self, name, hear): self.heard_by[name] = hear
    def send_message(self, name, data, node=None): self.sent.append((name, node, data))

plan, host, into, rule = sys.argv[1:]
part = {"window": "", "scale": 1.0, "speed": 1.0, "journeys": ""}
limits = {"greatest_lateness": 1.0, "abort": [rule], "num_users": 1, "run_time": 0}
environment = Environment(host=host)
environment.runner = runner = Runner()
environment.parsed_options = Namespace(plan=plan, observations=into, portal=REFERENCE, ca="", **part, **limits)
conductor = Conductor(environment)

def tell(name, worker, **told):
    runner.heard_by[name](SimpleNamespace(data={"worker": worker, "replay": replay, **told}, node_id=worker))

def pulse(worker):
    tell(PULSE, worker, sent_s=0.0, leases=0, is_idle=False, clock=None, revoked_after_s=None)

replay = ""
environment.events.test_start.fire(environment=environment)
environment.events.spawning_complete.fire(user_count=1)
for worker in ("a-0", "b-1"):
    pulse(worker)
replay = runner.sent[-1][2]["replay"]
while sum(name == BEGIN for name, _, _ in runner.sent) < 2:
    for worker in ("a-0", "b-1"):
        pulse(worker)

def sent(name): return sum(each == name for each, _, _ in runner.sent)
rows = observations.packed(observations.table_of([], observations.SCHEMA))
components = observations.packed(observations.table_of([], observations.COMPONENTS_SCHEMA))
def settled(worker, at_s, good, overdue):
    told = {"at_s": at_s, "settled": [Count(good, 0)], "overdue": [overdue], "failures": []}
    tell(TOLD, worker, number=round(at_s), rows=rows, components=components, **told)
"""
LEFT = """
settled("a-0", 1.0, 0, 40)
tell(THROUGH, "a-0", halted="", code=0, clock=None)
for second in range(2, 9):
    settled("b-1", float(second), 10, 0)
print(sent(END))
"""
# One is silent until it is given up.
SILENT = """
conductor._crew._leases.heard("b-1", conductor._now_s + 60)
conductor._crew._leases.heard("a-0", conductor._now_s - 60)
pulse("b-1")
"""
# What it told before, or was about to, comes later.
GIVEN_UP = (
    SILENT
    + """
settled("a-0", 1.0, 0, 40)
for second in range(2, 9):
    settled("b-1", float(second), 10, 0)
print(sent(END))
"""
)
# Then the portal fails: who was given up may send again by now.
BROKEN = (
    SILENT
    + """
for second in range(1, 9):
    settled("b-1", float(second), 0, 40)
print(*sorted({node for name, node, _ in runner.sent if name == END}))
"""
)

# Somebody watches when the replay ends, and the figures of both looks take a while.
WATCHED = """
import time
import gevent
class Board:
    looking, most = 0, 0
    def figures(self, played_s):
        self.looking += 1
        self.most = max(self.most, self.looking)
        time.sleep(0.2)
        self.looking -= 1
        return {}
conductor._board = board = Board()
watching = gevent.spawn(conductor.look)
gevent.sleep(0.05)
environment.events.test_stop.fire(environment=environment)
watching.join()
print(board.most)
"""


@pytest.fixture
def hear(serve: Callable[..., Any], tmp_path: Path) -> Callable[[str], list[str]]:
    """Runs a script with a conductor whose two workers have begun; returns what it prints."""

    def run(script: str) -> list[str]:
        plan.write(replay_plans.evenly(1, 1, ["search"]), tmp_path / "plan.parquet")
        asked = [str(tmp_path / "plan.parquet"), serve().url, str(tmp_path / "into"), "p95 > 1 s for 5 s"]
        done = subprocess.run(
            [sys.executable, "-c", HEARING + script, *asked],
            cwd=ROOT,
            env={**os.environ, "CAODIEM_ADMIN_TOKEN": "admin"},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    return run


def test_what_was_overdue_with_a_worker_that_left_breaks_no_rule(hear: Callable[[str], list[str]]) -> None:
    """It told that it was overdue when it left, and will not tell that it settled."""
    assert hear(LEFT) == ["0"]


def test_what_was_overdue_with_a_worker_that_was_given_up_breaks_no_rule(hear: Callable[[str], list[str]]) -> None:
    """Also what it told before and is heard afterwards: it may die before it tells of anything else."""
    assert hear(GIVEN_UP) == ["0"]


def test_a_rule_that_is_broken_ends_the_sending_of_everybody(hear: Callable[[str], list[str]]) -> None:
    """Also of who was given up, and is there all the same."""
    assert hear(BROKEN) == ["a-0", "b-1"]


def test_the_last_look_waits_for_whoever_watches(hear: Callable[[str], list[str]]) -> None:
    assert hear(WATCHED) == ["1"]

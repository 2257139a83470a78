"""A worker's share with a runner that carries its messages nowhere, so that a test says what the master answers."""

import subprocess
import sys

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.slow
# Locust patches the process that imports it.
ANSWERED = """
from types import SimpleNamespace
from locust.env import Environment
from loadtests.share import ANSWER, Share

class Runner:
    def __init__(self): self.heard_by = {}
    def register_message(self, name, hear): self.heard_by[name] = hear

class Swarm:
    def __init__(self): self.done = []
    def __getattr__(self, name): return lambda *_: self.done.append(name)

environment = Environment()
environment.runner = runner = Runner()
share = Share(environment)
share._orders, share._swarm, share._top_rate_per_s = {"replay": "r"}, (swarm := Swarm()), 10.0
for revoked_after_s in (None, 3.0, 3.0, None, None):
    swarm.done.clear()
    told = {"replay": "r", "sent_s": 1.0, "answered_s": 1.0, "written": 0, "workers": 2}
    runner.heard_by[ANSWER](SimpleNamespace(data={**told, "revoked_after_s": revoked_after_s}))
    print(*swarm.done, sep=",")
"""


def test_a_worker_that_was_given_up_sends_nothing_until_the_master_has_heard_that_it_knows() -> None:
    """Others have its share of the top rate until then, and may have used it in the second before."""
    command = [sys.executable, "-c", ANSWERED]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["share,renew", "revoke", "revoke", "share,rest,renew", "share,renew"]

"""The swarm against a client that answers at once: what is sent, how densely, and what is not."""

import subprocess
import sys

import pytest

from tests.conftest import ROOT

# gevent patches the process, so the swarm plays in one of its own.
PLAYING = """
from gevent import monkey
monkey.patch_all()
from gevent.monkey import get_original
import gevent, sys, time
from pathlib import Path
from caodiem.dossier import Outcome
from loadtests.journeys import Journey, Step
from loadtests.ledger import Ledger
from loadtests.pacer import Bound, Pacer
from loadtests.portals import Answer, Request
from loadtests.swarm import Swarm

rate_per_s = float(sys.argv[1])
sent_s, told = [], []

class Client:
    host = "http://127.0.0.1"
    def send(self, request, jar):
        sent_s.append(time.monotonic())
        return Answer(Outcome.OK, 200)
    def close(self): pass

class Portal:
    def request(self, journey):
        return Request("GET", "/", lambda status, body: None)

bound = Bound(rate_per_s) if rate_per_s else None
swarm = Swarm(Pacer(5.0), Portal(), Client(), Ledger("w"), 9.0, lambda *_: None, bound, [], told.append)

def visit():
    while True:
        swarm.perform(swarm.take(), Client.host)

def play(dues_s):
    swarm.begin(time.monotonic())
    swarm.add(Journey(n, "j", "H01", n, due_s, (Step(0, "o", "s", 1),)) for n, due_s in enumerate(dues_s))
    swarm.renew(time.monotonic() + 60)
    for _ in range(50):
        gevent.spawn(visit)
"""
# The generator stands still for a second (a sleep that gevent knows nothing of), so that a hundred steps are waiting;
# then they go out.
STALLED = """
play([n / 100 for n in range(200)])
gevent.sleep(0.5)
get_original("time", "sleep")(1.0)
while not swarm.is_idle:
    gevent.sleep(0.05)
within = max(sum(first <= each < first + 1.0 for each in sent_s) for first in sent_s)
print(len(sent_s), within)
"""


# The end comes while most steps wait for their turn.
ENDED = """
play([0.0] * 20)
gevent.sleep(0.8)
swarm.end()
sent = len(sent_s)
gevent.sleep(0.5)
print(sent, len(sent_s))
"""
# A step is handed out, and then the master falls silent.
FENCED = """
play([0.0])
released = swarm.take()
swarm.renew(time.monotonic() - 60)
gevent.spawn(swarm.perform, released, Client.host)
gevent.sleep(0.2)
print(len(sent_s))
swarm.renew(time.monotonic() + 60)
while not sent_s:
    gevent.sleep(0.05)
print(len(sent_s))
"""
NEVER_BEGUN = """
swarm.end()
print(len(told))
"""


def figures(script: str, rate_per_s: int) -> list[int]:
    command = [sys.executable, "-c", PLAYING + script, str(rate_per_s)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=30)
    return [int(word) for word in done.stdout.split()]


@pytest.mark.parametrize(("rate_per_s", "densest"), [(0, 130), (120, 125)])
def test_what_waited_goes_out_no_faster_than_the_top_rate(rate_per_s: int, densest: int) -> None:
    sent, within = figures(STALLED, rate_per_s)
    assert sent == 200
    # A moment passes between a step's turn and its packet: a few more may fall into a second measured here.
    assert within <= densest if rate_per_s else within >= densest


def test_what_waits_for_its_turn_is_not_sent_once_the_end_has_come() -> None:
    sent, sent_after_all = figures(ENDED, 4)
    assert sent == sent_after_all < 20


def test_what_has_its_turn_is_not_sent_while_the_master_is_silent() -> None:
    """Its share of the top rate may have gone to others."""
    sent, sent_once_answered = figures(FENCED, 4)
    assert sent == 0 < sent_once_answered


@pytest.mark.slow
def test_a_swarm_that_never_began_tells_nothing() -> None:
    """It has no time to tell of."""
    assert figures(NEVER_BEGUN, 0) == [0]

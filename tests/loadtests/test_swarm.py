"""The swarm against a client that answers at once: what is sent, and how densely, after the generator stood still."""

import subprocess
import sys

import pytest

from tests.conftest import ROOT

# gevent patches the process, so the swarm plays in one of its own. The generator stands still for a second (a sleep
# that gevent knows nothing of), so that a hundred steps are waiting; then they go out.
STALLED = """
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
sent_s = []

class Client:
    host = "http://127.0.0.1"
    def send(self, request, jar):
        sent_s.append(time.monotonic())
        return Answer(Outcome.OK, 200)
    def close(self): pass

class Portal:
    def request(self, journey):
        return Request("GET", "/", lambda status, body: None)

journeys = [Journey(n, "j", "H01", n, n / 100, (Step(0, "o", "s", 1),)) for n in range(200)]
bound = Bound(rate_per_s) if rate_per_s else None
ignore = lambda *_: None
swarm = Swarm(Pacer(5.0), Portal(), Client(), Ledger("w"), 9.0, ignore, bound, [], ignore)

def visit():
    while True:
        swarm.perform(swarm.take(), Client.host)

swarm.begin(time.monotonic())
swarm.add(journeys)
swarm.renew(time.monotonic() + 60)
for _ in range(50):
    gevent.spawn(visit)
gevent.sleep(0.5)
get_original("time", "sleep")(1.0)
while not swarm.is_idle:
    gevent.sleep(0.05)
within = max(sum(first <= each < first + 1.0 for each in sent_s) for first in sent_s)
print(len(sent_s), within)
"""


@pytest.mark.parametrize(("rate_per_s", "densest"), [(0, 130), (120, 125)])
def test_what_waited_goes_out_no_faster_than_the_top_rate(rate_per_s: int, densest: int) -> None:
    command = [sys.executable, "-c", STALLED, str(rate_per_s)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=30)
    sent, within = map(int, done.stdout.split())
    assert sent == 200
    # A moment passes between a step's turn and its packet: a few more may fall into a second measured here.
    assert within <= densest if rate_per_s else within >= densest

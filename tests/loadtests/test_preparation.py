"""What is sent before the clock starts keeps to the host's top rate too."""

import math
from collections.abc import Mapping
from typing import Any

import pytest

from caodiem.dossier import Outcome
from loadtests import preparation
from loadtests.portals import Answer, Request


class Recorder:
    """A client that takes no time, and the clock by which it is asked."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.sent_s: list[float] = []
        self.jars: list[Any] = []

    def send(self, request: Request, jar: Mapping[str, str]) -> Answer:
        self.sent_s.append(self.now_s)
        self.jars.append(jar)
        return Answer(Outcome.OK, 200, cookies=(f"n={len(self.jars)}",))

    def sleep(self, for_s: float) -> None:
        self.now_s += for_s


@pytest.mark.parametrize(("top_rate_per_s", "densest"), [(5.0, 5), (0.5, 1), (math.inf, 40)])
def test_no_second_has_more_than_the_top_rate(
    monkeypatch: pytest.MonkeyPatch, top_rate_per_s: float, densest: int
) -> None:
    client: Any = Recorder()
    monkeypatch.setattr(preparation.clock, "monotonic", lambda: client.now_s)
    monkeypatch.setattr(preparation.gevent, "sleep", client.sleep)
    send = preparation.sender(client, top_rate_per_s)
    for _ in range(40):
        send(Request("GET", "/", lambda status, body: None))
    assert max(sum(first <= each < first + 1.0 for each in client.sent_s) for first in client.sent_s) == densest
    assert client.jars == [{}, *({"n": str(n)} for n in range(1, 40))]

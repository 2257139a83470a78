"""What a portal class sends before the clock starts: one request at a time, no faster than the host's top rate allows.

Knows gevent, for the waiting; no Locust.
"""

import math

import gevent

from loadtests import clock
from loadtests.client import Client, kept_cookies
from loadtests.journeys import NO_COOKIES
from loadtests.pacer import Bound
from loadtests.portals import Answer, Request, Send


def sender(client: Client, top_rate_per_s: float) -> Send:
    """For `Portal.prepare`; keeps the cookies of the preparation."""
    jar = NO_COOKIES
    bound = Bound(top_rate_per_s) if top_rate_per_s < math.inf else None

    def send(request: Request) -> Answer:
        nonlocal jar
        if bound is not None:
            while (start_s := bound.start_s(now_s := clock.monotonic())) > now_s:
                gevent.sleep(start_s - now_s)
            bound.note(now_s)
        answer = client.send(request, jar)
        jar = kept_cookies(jar, answer.cookies)
        return answer

    return send

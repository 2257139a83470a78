"""What a portal class sends before the clock starts: one request at a time, no faster than the host's top rate allows.

Knows gevent, for the waiting; no Locust.
"""

import math
from typing import Any

import gevent
import msgpack

from caodiem import targets
from caodiem.errors import CaodiemError, UsageError
from loadtests import clock, portals
from loadtests.assignment import Assignment
from loadtests.client import Client, kept_cookies
from loadtests.journeys import NO_COOKIES
from loadtests.pacer import Bound
from loadtests.portals import Answer, Request, Send


def prepare(asked: Assignment) -> dict[str, Any]:
    """What the portal class made ready and every worker needs; CaodiemError when it could not, or when the host is not
    who it says."""
    permitted = targets.load()
    client = Client(asked.host, permitted, 1, authorities=asked.authorities)
    send = sender(client, permitted.top_rate_per_s(asked.host))
    where = f"--portal {asked.portal}: prepare"
    try:
        client.check_trust()
        prepared = portals.load(asked.portal, asked.admin_token).prepare(asked.plan, send)
    except CaodiemError:
        raise
    except Exception as error:  # whatever a class of the user's raises
        raise UsageError(f"{where}: {portals.raised(error)}: {error}") from error
    finally:
        client.close()
    try:
        msgpack.packb(prepared)
    except (TypeError, ValueError, OverflowError) as error:
        raise UsageError(f"{where}: {error}; expected what msgpack carries to workers") from error
    return prepared


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

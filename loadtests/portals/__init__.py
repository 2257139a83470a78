"""What a replay asks of a portal class: one class for each kind of portal, reference.py for ours.

A team with its own portal writes one class with the two methods of `Portal` and nothing else. Knows no Locust, no
sockets and no clock.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from caodiem.dossier import Outcome
from caodiem.plan import Plan
from loadtests.journeys import Journey

# What is wrong with an answer (HTTP status, body); None when it is right. It may keep what later steps need.
Check = Callable[[int, bytes], str | None]


class Request(NamedTuple):
    """One request; `path` starts with a slash, the host is not the portal class's business."""

    method: str
    path: str
    check: Check
    body: bytes = b""
    headers: Mapping[str, str] = MappingProxyType({})


class Answer(NamedTuple):
    """What became of a request. `error` is empty when the outcome is ok; `status` is 0 where there was no answer.

    `components` holds (station, wait_s, service_s) as the portal's Server-Timing header told them.
    """

    outcome: Outcome
    status: int
    body: bytes = b""
    error: str = ""
    components: tuple[tuple[str, float, float], ...] = ()


Send = Callable[[Request], Answer]


class Portal(Protocol):
    """How one kind of portal is made ready for a plan, and asked for a step of it."""

    def prepare(self, plan: Plan, send: Send) -> dict[str, Any]:
        """Put the portal into the state that the plan's first steps expect, before the clock starts.

        Returns what `request` needs, in types that msgpack carries, so that it can be sent to other workers.
        InvalidRun when the portal does not do it.
        """
        ...

    def use(self, prepared: dict[str, Any]) -> None:
        """Take over what `prepare` returned, here or on another worker."""
        ...

    def request(self, journey: Journey) -> Request:
        """What `journey.step` asks of the portal."""
        ...

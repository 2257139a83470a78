"""What a replay asks of a portal class: one class for each kind of portal, reference.py for ours.

A team with its own portal writes one class that does what `Portal` says and nothing else (docs/your-portal.md). Knows
no Locust, no sockets and no clock.
"""

import importlib
import traceback
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from caodiem.dossier import Outcome
from caodiem.errors import UsageError
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

    `components` holds (station, wait_s, service_s) as the portal's Server-Timing header told them, `cookies` what its
    Set-Cookie headers said.
    """

    outcome: Outcome
    status: int
    body: bytes = b""
    error: str = ""
    components: tuple[tuple[str, float, float], ...] = ()
    cookies: tuple[str, ...] = ()


Send = Callable[[Request], Answer]
REFERENCE = "loadtests.portals.reference:ReferencePortal"


class Portal(Protocol):
    """How one kind of portal is made ready for a plan, and asked for a step of it.

    Made with the token of `CAODIEM_ADMIN_TOKEN` ("" where there is none), which only `prepare` may use.
    """

    operations: Collection[str]  # what `request` can ask; a plan with others is refused before the first packet

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


def load(name: str, admin_token: str = "") -> Portal:
    """The portal class that `name` (module:Class) means, made; UsageError when there is none or it lacks something."""
    module, _, kind = name.partition(":")
    try:
        made = getattr(importlib.import_module(module), kind)(admin_token)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise UsageError(f"--portal {name}: {error}; expected a class as module:Class, like {REFERENCE}") from error
    missing = [part for part in ("operations", "prepare", "use", "request") if not hasattr(made, part)]
    if missing:
        raise UsageError(f"--portal {name}: has no {', '.join(missing)}; expected what loadtests.portals.Portal says")
    portal: Portal = made
    return portal


def raised(error: Exception) -> str:
    """What a portal class raised, and where in it; not the message, which may name a dossier, and failures are counted
    by their text."""
    frames = traceback.extract_tb(error.__traceback__)
    # The first frame is ours, which called the class; the second is the class's own.
    place = frames[min(1, len(frames) - 1)]
    return f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}"


def check_serves(portal: Portal, plan: Plan) -> None:
    """UsageError that names what the plan asks and the portal class cannot, and the journeys that would do."""
    table = plan.table.select(["journey", "operation"]).group_by(["journey", "operation"]).aggregate([]).to_pylist()
    unserved = sorted({row["operation"] for row in table} - set(portal.operations))
    if unserved:
        lacking = {row["journey"] for row in table if row["operation"] in unserved}
        possible = sorted({row["journey"] for row in table} - lacking)
        instead = f"--journeys {','.join(possible)}" if possible else "another plan: no journey of this one will do"
        raise UsageError(f"the portal class serves no {', '.join(unserved)}; expected {instead}")

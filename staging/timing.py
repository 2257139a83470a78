"""Where a request's time went: waiting and service by station, told in the Server-Timing response header.

Knows nothing of the stations but their names. One `Timing` belongs to one request and travels in a context variable.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

PORTAL = "portal"
VERIFICATION = "signature_verification"
DATABASE = "database"
SIGNING = "signing"


class Timing:
    """Seconds waited and served at each station of one request. Whatever no station claims is the portal's own."""

    __slots__ = ("_service_s", "_started_s", "_wait_s")

    def __init__(self) -> None:
        self._started_s = time.perf_counter()
        self._wait_s: dict[str, float] = {}
        self._service_s: dict[str, float] = {}

    def add(self, station: str, wait_s: float, service_s: float) -> None:
        """Count one visit; several visits to a station add up."""
        self._wait_s[station] = self._wait_s.get(station, 0.0) + wait_s
        self._service_s[station] = self._service_s.get(station, 0.0) + service_s

    def header(self) -> str:
        """The value of Server-Timing, in milliseconds. The portal has no wait of its own that could be seen here."""
        elsewhere_s = sum(self._wait_s.values()) + sum(self._service_s.values())
        own_s = max(time.perf_counter() - self._started_s - elsewhere_s, 0.0)
        entries = [f"{PORTAL};dur={own_s * 1000:.3f}"]
        for station, service_s in self._service_s.items():
            entries.append(f"{station};dur={service_s * 1000:.3f}")
            entries.append(f"{station}-wait;dur={self._wait_s[station] * 1000:.3f}")
        return ", ".join(entries)


_current: ContextVar[Timing] = ContextVar("timing")


@contextmanager
def timed() -> Iterator[Timing]:
    """The timing of one request, for as long as it is handled."""
    timing = Timing()
    token = _current.set(timing)
    try:
        yield timing
    finally:
        _current.reset(token)


def add(station: str, wait_s: float, service_s: float) -> None:
    """Count a visit for the request at hand; outside a request there is nothing to count for."""
    timing = _current.get(None)
    if timing is not None:
        timing.add(station, wait_s, service_s)

"""Systems that misbehave on demand: each visit to one takes longer, fails or is turned away, as an admin says.

What is to go wrong stands in one file of the portal's folder, so that every worker does it from the next visit on.
Knows systems by name, and nothing of what they do.
"""

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from caodiem import faults
from staging import timing
from staging.answers import Refusal

FILE = "faults.json"


class Faults:
    """What goes wrong at this moment, as the portal's folder says."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._seen: tuple[int, int] | None = None
        self._faults: faults.Faults = {}
        self._draws = random.Random()

    def all(self) -> faults.Faults:
        """By system; looks at the file's time only, which costs a microsecond or two."""
        status = self._path.stat()
        seen = (status.st_mtime_ns, status.st_ino)
        if seen != self._seen:
            self._faults = msgspec.json.decode(self._path.read_bytes(), type=faults.Faults)
            self._seen = seen
        return self._faults

    def set(self, wanted: faults.Faults) -> None:
        """Let this go wrong from now on, and nothing else."""
        new = self._path.with_suffix(f".{os.getpid()}")
        new.write_bytes(msgspec.json.encode(wanted))
        new.replace(self._path)

    @asynccontextmanager
    async def reach(self, system: str) -> AsyncIterator[None]:
        """A visit to a system. Refusal 503 while it is away, 502 when it fails; added time counts as the system's."""
        fault = self.all().get(system)
        if fault is None:
            yield
            return
        if fault.outage:
            timing.add(system, 0.0, 0.0)
            raise Refusal(503, f"{system} is away; try again")
        latency_s = fault.latency_s(self._draws.gauss(0, 1)) * fault.slowdown
        await _pass(system, latency_s)
        if self._draws.random() < fault.error_share:
            raise Refusal(502, f"{system} answered with an error")
        started_s = time.perf_counter()
        yield
        await _pass(system, (time.perf_counter() - started_s) * (fault.slowdown - 1))


async def _pass(system: str, for_s: float) -> None:
    """Let time go by, on the system's account."""
    started_s = time.perf_counter()
    if for_s > 0:
        await asyncio.sleep(for_s)
    timing.add(system, 0.0, time.perf_counter() - started_s)

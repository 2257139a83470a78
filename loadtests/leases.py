"""The leases of a replay: which worker answers for which arrivals, and what happens to those of a worker that is gone.

Policy only, of time and count: knows no clock, no plan's rows, neither Locust nor gevent. A worker holds leases for the
next seconds and no more, so little goes with it when it dies. Nothing is ever sent twice: a worker that has not heard
from the master for `FENCE_S` sends nothing until it does, and only after `SILENT_S`, which is longer, are the arrivals
that were not due yet given to others.
"""

import math
from typing import NamedTuple

LENGTH_S = 1.0  # a lease is for arrivals due within a second
AHEAD_S = 3.0  # and granted so long before the last of them is due
FENCE_S = 1.5
SILENT_S = 2.0


class Lease(NamedTuple):
    """The arrivals due in [from_s, to_s) whose place in the plan is `residue` modulo `modulus`."""

    from_s: float
    to_s: float
    residue: int = 0
    modulus: int = 1

    def split(self, count: int) -> "list[Lease]":
        """The same arrivals in `count` leases as even as can be: residue classes split into residue classes."""
        return [
            self._replace(residue=self.residue + n * self.modulus, modulus=self.modulus * count) for n in range(count)
        ]


class Leases:
    """Who holds what. Seconds are the plan's; workers are known by whatever names the caller gives them."""

    def __init__(self, last_due_s: float) -> None:
        """`last_due_s` is when the plan's last arrival is due; -inf for a plan without any."""
        self._last_due_s = last_due_s
        self._granted_until_s = 0.0
        self._held: dict[str, list[Lease]] = {}
        self._heard_s: dict[str, float] = {}
        self._orphans: list[Lease] = []

    @property
    def workers(self) -> int:
        """How many there are, the silent ones not yet given up among them."""
        return len(self._heard_s)

    @property
    def all_granted(self) -> bool:
        """Whether every arrival has been given to somebody."""
        return self._granted_until_s > self._last_due_s and not self._orphans

    def heard(self, worker: str, now_s: float) -> None:
        """A worker is alive; one that was not known, or was given up, gets leases from now on."""
        self._heard_s[worker] = now_s
        self._held.setdefault(worker, [])

    def silent(self, now_s: float) -> list[str]:
        """The workers from whom nothing was heard for too long."""
        return [worker for worker, heard_s in self._heard_s.items() if now_s - heard_s > SILENT_S]

    def revoke(self, worker: str, now_s: float) -> None:
        """A worker is gone: what it holds that is due after `now_s` will go to others, the rest stays its own."""
        del self._heard_s[worker]
        for lease in self._held.pop(worker):
            if lease.to_s > now_s:
                # The next number after it: what is due at `now_s` itself stays with the worker that is gone.
                from_s = max(lease.from_s, math.nextafter(now_s, math.inf))
                self._orphans.append(lease._replace(from_s=from_s))

    def grant(self, now_s: float) -> list[tuple[str, Lease]]:
        """(worker, lease) for everything that can be granted now; nothing while there is no worker."""
        if not self._heard_s:
            return []
        fresh, self._orphans = self._orphans, []
        while self._granted_until_s <= min(self._last_due_s, now_s + AHEAD_S - LENGTH_S):
            fresh.append(Lease(self._granted_until_s, self._granted_until_s + LENGTH_S))
            self._granted_until_s += LENGTH_S
        granted = [pair for lease in fresh for pair in zip(self._heard_s, lease.split(self.workers), strict=True)]
        for worker, held in self._held.items():
            new = [lease for each, lease in granted if each == worker]
            self._held[worker] = [lease for lease in held if lease.to_s > now_s] + new
        return granted

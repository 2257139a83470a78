"""The clock that a replay counts on, and how far a worker's clock is from the master's.

Steps of the time of day do not touch it: it is the monotonic clock, which begins anywhere on each machine. A worker
estimates the difference from messages there and back, as NTP does (RFC 5905, sections 8 and 10): the master's reading
falls somewhere between sending and receiving, so half of the round trip bounds the error, whatever the way back takes.
"""

import time
from collections import deque
from typing import NamedTuple

monotonic = time.monotonic

# Clocks drift apart, by 15 millionths as RFC 5905 assumes (PHI): an estimate is good for so many messages, and no more.
_KEPT = 40
# Above this a run proves nothing: it is what the clocks may add to or hide of the lateness.
GREATEST_ERROR_S = 0.010


class Estimate(NamedTuple):
    """Master's clock − worker's clock; wrong by `uncertainty_s` at most when it was made."""

    offset_s: float
    uncertainty_s: float


def estimate(sent_s: float, answered_s: float, received_s: float) -> Estimate:
    """From one message there and back: sent and received by the worker's clock, answered by the master's.

    An offset that its own uncertainty explains is none: workers on the master's machine share its clock.
    """
    offset_s = answered_s - (sent_s + received_s) / 2
    uncertainty_s = (received_s - sent_s) / 2
    if abs(offset_s) <= uncertainty_s:
        return Estimate(0.0, uncertainty_s + abs(offset_s))
    return Estimate(offset_s, uncertainty_s)


class Alignment:
    """What a worker knows of the master's clock; the offset that it counts on is fixed once, when a replay begins."""

    def __init__(self) -> None:
        self._latest: deque[Estimate] = deque(maxlen=_KEPT)
        self._fixed: Estimate | None = None

    def note(self, made: Estimate) -> None:
        """One more estimate."""
        self._latest.append(made)

    def fix(self) -> float:
        """The offset to count on from now on, in seconds; there must have been an answer before."""
        self._fixed = self._best()
        return self._fixed.offset_s

    def figures(self) -> dict[str, float]:
        """Offset counted on, its uncertainty, the drift since, and what the error cannot exceed now; in seconds."""
        assert self._fixed is not None
        best = self._best()
        drift_s = abs(best.offset_s - self._fixed.offset_s)
        return {
            "offset_s": self._fixed.offset_s,
            "uncertainty_s": self._fixed.uncertainty_s,
            "drift_s": drift_s,
            "error_s_max": drift_s + best.uncertainty_s,
        }

    def _best(self) -> Estimate:
        return min(self._latest, key=lambda each: each.uncertainty_s)

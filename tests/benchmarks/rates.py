"""The highest rate that holds, found by search: a rate counts only if it holds every time that it is tried.

One try may be lucky, so a rate is tried several times, and the first try that does not hold decides against it.
"""

import math
from collections.abc import Callable

TRIES = 3
_STEP = 1.4  # from one rate to the next until one holds and one does not
WITHIN = 1.09  # the lowest rate that did not hold, at most so many times the highest that did
_LOWEST_PER_S = 100.0


def highest(holds: Callable[[float], bool], first_per_s: float) -> float:
    """The highest rate found of which `TRIES` tries in a row hold; AssertionError when none does down to 100/s."""

    def always(rate_per_s: float) -> bool:
        return all(holds(rate_per_s) for _ in range(TRIES))

    low_per_s, high_per_s = first_per_s, math.inf
    while not always(low_per_s):
        low_per_s, high_per_s = low_per_s / _STEP, low_per_s
        assert low_per_s > _LOWEST_PER_S, f"no rate down to {high_per_s:.0f}/s held {TRIES} times"
    while high_per_s == math.inf:
        if always(low_per_s * _STEP):
            low_per_s *= _STEP
        else:
            high_per_s = low_per_s * _STEP
    while high_per_s > low_per_s * WITHIN:
        middle_per_s = math.sqrt(low_per_s * high_per_s)
        if always(middle_per_s):
            low_per_s = middle_per_s
        else:
            high_per_s = middle_per_s
    return low_per_s

"""The office clock: seconds during which desks are open, counted on without the pauses between them.

The casework runs in office time, where desks never close. So a queue, a service and a promise need no calendar, and
what a citizen does at night reaches the desk at opening.

`to_office` and `to_wall` are functions of one time, for compiled loops; `OfficeClock` has them for arrays.
"""

from dataclasses import dataclass
from datetime import date

import numpy as np

from caodiem.scenario import Scenario
from simulation.compiling import inlined, machine_code
from simulation.demand import DAY_S, Calendar

Floats = np.ndarray


@dataclass(frozen=True, slots=True)
class OfficeClock:
    """Opening hours as [opens, closes) in wall seconds, in order, and the office time at which each begins."""

    opens_s: Floats
    closes_s: Floats
    begins_s: Floats

    def to_office(self, wall_s: Floats) -> Floats:
        """Office time at a wall time; while desks are closed, the office time of the next opening."""
        wall_s = np.asarray(wall_s, dtype=np.float64)
        found = _all_to_office(wall_s.ravel(), self.opens_s, self.closes_s, self.begins_s)
        return found.reshape(wall_s.shape)

    def to_wall(self, office_s: Floats) -> Floats:
        """Wall time at an office time; work that ends at closing ends then, not at the next opening."""
        office_s = np.asarray(office_s, dtype=np.float64)
        return _all_to_wall(office_s.ravel(), self.opens_s, self.begins_s).reshape(office_s.shape)


@machine_code
def to_office(wall_s, opens_s, closes_s, begins_s):  # type: ignore[no-untyped-def]
    """As `OfficeClock.to_office`; infinite stays infinite."""
    if wall_s == np.inf:
        return wall_s
    period = max(np.searchsorted(opens_s, wall_s, side="right") - 1, 0)
    return begins_s[period] + min(max(wall_s - opens_s[period], 0.0), closes_s[period] - opens_s[period])


@machine_code
def to_wall(office_s, opens_s, begins_s):  # type: ignore[no-untyped-def]
    """As `OfficeClock.to_wall`."""
    period = period_of(office_s, begins_s)
    return opens_s[period] + (office_s - begins_s[period])


@machine_code
def period_of(office_s, begins_s):  # type: ignore[no-untyped-def]
    """The period in which an office time lies; one that is a period's last second belongs to it, not to the next."""
    return max(np.searchsorted(begins_s, office_s, side="left") - 1, 0)


@inlined
def later_period(office_s, begins_s, period):  # type: ignore[no-untyped-def]
    """The same, looked for from a period that is no later: mostly it is that one."""
    while period + 1 < len(begins_s) and begins_s[period + 1] < office_s:
        period += 1
    return period


@machine_code
def _all_to_office(wall_s, opens_s, closes_s, begins_s):  # type: ignore[no-untyped-def]
    return np.array([to_office(each, opens_s, closes_s, begins_s) for each in wall_s])


@machine_code
def _all_to_wall(office_s, opens_s, begins_s):  # type: ignore[no-untyped-def]
    return np.array([to_wall(each, opens_s, begins_s) for each in office_s])


def clock(scenario: Scenario, calendar: Calendar, first: date) -> OfficeClock:
    """The clock of the calendar's working days, wall second 0 being midnight of `first`."""
    office = scenario.office
    hours = np.array(
        [
            [office.morning_from.value, office.morning_to.value],
            [office.afternoon_from.value, office.afternoon_to.value],
        ]
    )
    start = calendar.index(first)
    midnights = DAY_S * (np.flatnonzero(calendar.working) - start)
    periods = (midnights[:, None, None] + 3600 * hours[None, :, :]).reshape(-1, 2)
    periods = periods[(periods[:, 0] >= 0) & (periods[:, 1] > periods[:, 0])]
    # Each on its own, not as the column of a matrix, for which Numba would compile everything once more.
    opens_s, closes_s = np.ascontiguousarray(periods.T)
    return OfficeClock(opens_s, closes_s, np.concatenate([[0.0], np.cumsum(closes_s - opens_s)[:-1]]))


def working_s_per_year(scenario: Scenario, calendar: Calendar) -> float:
    """Seconds that a desk is open in the calendar's year."""
    days = calendar.working[calendar.begins : calendar.ends].sum()
    return float(days * scenario.office.open_h_per_day * 3600)


def working_s_between(clock: OfficeClock, from_s: float, to_s: float) -> float:
    """Seconds that a desk is open between two wall times."""
    begins_s, ends_s = clock.to_office(np.array([from_s, to_s]))
    return float(ends_s - begins_s)

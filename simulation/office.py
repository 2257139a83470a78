"""The office clock: seconds during which desks are open, counted on without the pauses between them.

The casework runs in office time, where desks never close. So a queue, a service and a promise need no calendar, and
what a citizen does at night reaches the desk at opening.
"""

from dataclasses import dataclass
from datetime import date

import numpy as np

from caodiem.scenario import Scenario
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
        period = np.clip(np.searchsorted(self.opens_s, wall_s, side="right") - 1, 0, None)
        worked = np.clip(wall_s - self.opens_s[period], 0, self.closes_s[period] - self.opens_s[period])
        return self.begins_s[period] + worked

    def to_wall(self, office_s: Floats) -> Floats:
        """Wall time at an office time; work that ends at closing ends then, not at the next opening."""
        office_s = np.asarray(office_s, dtype=np.float64)
        period = np.clip(np.searchsorted(self.begins_s, office_s, side="left") - 1, 0, None)
        return self.opens_s[period] + (office_s - self.begins_s[period])


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
    lengths = periods[:, 1] - periods[:, 0]
    return OfficeClock(periods[:, 0], periods[:, 1], np.concatenate([[0.0], np.cumsum(lengths)[:-1]]))


def working_s_per_year(scenario: Scenario, calendar: Calendar) -> float:
    """Seconds that a desk is open in the calendar's year."""
    office = scenario.office
    hours = office.morning_to.value - office.morning_from.value
    hours += office.afternoon_to.value - office.afternoon_from.value
    return float(calendar.working[calendar.begins :].sum() * hours * 3600)

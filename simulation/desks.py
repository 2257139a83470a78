"""Desks: how many officers each agency has and what they take for a dossier.

A one-stop desk receives and returns, a specialised unit handles; each serves first come first served. There are as
many officers as keep the scenario's utilisation in the mean of the year.
"""

from dataclasses import dataclass

import numpy as np

from caodiem.scenario import Scenario
from simulation.agencies import Agencies
from simulation.demand import Calendar
from simulation.office import working_s_per_year

FRONT, UNIT = range(2)  # the one-stop desk, the specialised unit

# What desks did: visits are cases that joined a queue, `left` those that were withdrawn while they waited. Finished
# cases are counted where they are finished; `on_time` are those within the promise.
TALLY = np.dtype(
    [("visits", "i8"), ("left", "i8"), ("wait_s", "f8"), ("busy_s", "f8"), ("finished", "i8"), ("on_time", "i8")]
)


@dataclass(frozen=True, slots=True)
class Desks:
    """`officers` (agencies × 2), and mean office seconds that an officer takes, an entry an agency."""

    officers: np.ndarray
    receive_s: np.ndarray
    handle_s: np.ndarray
    return_s: np.ndarray
    promise_s: float  # office time from receipt within which a dossier is to be finished


def of(scenario: Scenario, agencies: Agencies, calendar: Calendar, scale: float) -> Desks:
    """Each agency's desks in a sample of the country.

    In a sample a desk may come to a fraction of an officer. Then one officer stands there whose service takes longer
    in proportion, which keeps the utilisation; waits are coarser than in the whole country. Dossiers that end before
    their desk are few and not allowed for.
    """
    work = scenario.casework
    days = calendar.ends - calendar.begins
    per_open_s = scale * agencies.volume_per_day * days / working_s_per_year(scenario, calendar)
    received = 1 - work.not_received.value / 100
    handlings = received * (1 + (work.supplement.value + work.payment_due.value) / 100)
    front_s = 60 * (work.receive_time.value + received * work.return_time.value)
    utilisation = work.desk_utilisation.value / 100
    front, front_stretch = _officers(per_open_s * front_s / utilisation)
    unit, unit_stretch = _officers(per_open_s * 60 * work.handle_time.value * handlings / utilisation)
    return Desks(
        officers=np.stack([front, unit], axis=1),
        receive_s=60 * work.receive_time.value * front_stretch,
        handle_s=60 * work.handle_time.value * unit_stretch,
        return_s=60 * work.return_time.value * front_stretch,
        promise_s=3600 * work.promise.value,
    )


def _officers(number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whole officers, and the factor on service times that makes up for the rounding; 1 where nobody has work."""
    whole = np.maximum(1, np.round(number)).astype(np.int64)
    return whole, np.divide(whole, number, out=np.ones(len(number)), where=number > 0)

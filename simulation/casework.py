"""Casework: what became of every dossier, from filings to the table of events. Either engine does it.

The draws are in cases.py, the officers in desks.py; casework_reference.py (SimPy) says what happens in between, and
casework_compiled.py (Numba) does the same for the country.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from caodiem.scenario import Scenario
from simulation import cases, casework_compiled
from simulation import desks as offices
from simulation.agencies import Agencies
from simulation.demand import DAY_S, Calendar, Filings
from simulation.office import OfficeClock


def simulate(
    scenario: Scenario,
    agencies: Agencies,
    calendar: Calendar,
    clock: OfficeClock,
    filings: Filings,
    scale: float,
    progress: Callable[[float], None] = lambda share: None,
    engine: Any = casework_compiled,
) -> pa.Table:
    """Run every dossier to its end; the events (columns as `cases.SCHEMA`) in order of time.

    Nothing is filed after the last of `filings`, so what happens later than that is too quiet to be counted; it tells
    how long each dossier lived. `progress` is told the share done, from 0 to 1.
    """
    desks = offices.of(scenario, agencies, calendar, scale)
    drawn, before = cases.draw(scenario, clock, filings, desks)
    term_s = scenario.casework.answer_term.value * DAY_S
    rows, _ = engine.run(clock, desks, drawn, term_s, progress)
    return cases.table(agencies, np.concatenate([before, rows]))

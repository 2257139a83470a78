"""What came of the work: a record for each attempt and for each visit, filled in by an engine.

Both engines write the same log, bit for bit. `tables` makes the observations and components of a plan from it.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import pyarrow as pa

from caodiem import observations
from caodiem.dossier import Outcome
from caodiem.plan import SCHEMA, Plan
from simulation.groups import places
from simulation.network import Network
from simulation.work import Work, as_dictionary


class End(IntEnum):
    """What became of a visit or an attempt; NONE where it never began."""

    NONE = 0
    OK = 1
    REFUSED = 2
    ABANDONED = 3  # its patience ended while it waited
    TIMED_OUT = 4  # its client's time-out ended first; a service that had begun goes on without the client
    CUT_OFF = 5  # of a visit that was not made because a circuit breaker was open; its attempt was refused


# What an HTTP client would see; who gave up saw no answer in time.
_OUTCOMES = {End.OK: (Outcome.OK, 200), End.REFUSED: (Outcome.REFUSED, 503)}
_NO_ANSWER = (Outcome.TIMED_OUT, 0)


# Times in seconds, NaN where it never came to that.
ATTEMPT = np.dtype([("began_s", "f8"), ("ended_s", "f8"), ("end", "i8")])
VISIT = np.dtype(
    [
        ("came_s", "f8"),  # to the station
        ("began_s", "f8"),  # its service
        ("left_s", "f8"),  # served, refused, or gone from the queue; through an entrance: when its journey was over
        ("end", "i8"),  # End; OK for each visit that was served, wanted or not
    ]
)


@dataclass(frozen=True, slots=True)
class Log:
    """Records of `ATTEMPT` and `VISIT`; their places are those of simulation/work.py."""

    attempts: np.ndarray
    visits: np.ndarray

    def same_as(self, other: "Log") -> bool:
        """Whether every attempt and visit is equal, bit for bit."""
        return self.attempts.tobytes() == other.attempts.tobytes() and self.visits.tobytes() == other.visits.tobytes()


def blank(work: Work) -> Log:
    """A log in which nothing has happened."""
    return Log(_never(int(work.attempt_at[-1]), ATTEMPT), _never(int(work.visit_at[-1]), VISIT))


def _never(count: int, kind: np.dtype) -> np.ndarray:
    """Records of `kind` with no times and no end."""
    records = np.full(count * len(kind.names), np.nan).view(kind)
    records["end"] = End.NONE
    return records


def station_of_visits(work: Work) -> np.ndarray:
    """The station (int64) of each visit of the log."""
    stations = np.empty(int(work.visit_at[-1]), dtype=np.int64)
    for operation, rows in zip(work.operations, places(work.kind, len(work.operations)), strict=True):
        row = np.tile([visit.station for visit in operation.visits], operation.attempts).astype(np.int64)
        at = work.visit_at[:-1][rows]
        stations[(at[:, None] + np.arange(len(row))).ravel()] = np.tile(row, len(at))
    return stations


def tables(network: Network, plan: Plan, work: Work, log: Log, worker: str) -> tuple[pa.Table, pa.Table]:
    """(observations, components) of a plan: a row for each attempt made, one for each visit served."""
    made = np.flatnonzero(log.attempts["end"] != End.NONE)
    row = np.repeat(np.arange(work.steps), np.diff(work.attempt_at))[made]
    ended = log.attempts["end"][made]
    outcomes = [_OUTCOMES.get(End(code), _NO_ANSWER) for code in range(len(End))]
    due_s, finished_s = log.attempts["began_s"][made], log.attempts["ended_s"][made]
    keys = plan.table.take(pa.array(row)).select(SCHEMA.names[:8])
    columns = {
        **{name: keys[name] for name in keys.column_names},
        "due_s": due_s,
        "released_s": due_s,
        "started_s": due_s,
        "finished_s": finished_s,
        "outcome": as_dictionary([outcome.value for outcome, _ in outcomes], ended),
        "status": np.array([status for _, status in outcomes], dtype=np.int16)[ended],
        "attempt": (made - work.attempt_at[row] + 1).astype(np.int16),
        "worker": as_dictionary([worker], np.zeros(len(made))),
    }
    rows = pa.table({field.name: columns[field.name] for field in observations.SCHEMA}).cast(observations.SCHEMA)
    return observations.close_accounts(plan, rows), _components(network, work, log)


def _components(network: Network, work: Work, log: Log) -> pa.Table:
    served = np.flatnonzero(log.visits["end"] == End.OK)
    row = np.repeat(np.arange(work.steps), np.diff(work.visit_at))[served]
    visits = log.visits[served]
    columns = {
        "arrival": work.arrival[row],
        "step": work.step[row].astype(np.int16),
        "station": as_dictionary([station.name for station in network.stations], station_of_visits(work)[served]),
        "wait_s": visits["began_s"] - visits["came_s"],
        "service_s": visits["left_s"] - visits["began_s"],
    }
    return pa.table(columns).cast(observations.COMPONENTS_SCHEMA)

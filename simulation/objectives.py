"""SLOs as the share of rows that may be bad, and what replications together say of that share.

A row is a journey or a request that somebody waits for. "p95 within 2 s" is the same as "at most 5 of 100 are not
answered rightly within 2 s"; as a share it has an interval also where a quantile is infinite, because too many rows
were never answered.
"""

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from caodiem.summary import quantile
from simulation.log import End
from simulation.replications import interval

ALL = "all"
Interval = dict[str, float]
Floats = np.ndarray


class Kind(StrEnum):
    """What makes a row a bad one."""

    RESPONSE = "response"  # not answered rightly within the limit
    REFUSED = "refused"
    ABANDONED = "abandoned"  # by patience or by the client's time-out


class Decision(StrEnum):
    """On which side of what is allowed the whole interval lies."""

    MET = "met"
    UNDECIDED = "undecided"
    MISSED = "missed"


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of the time: rows due in [from_s, to_s)."""

    name: str
    from_s: float
    to_s: float


WHOLE = Phase("whole", 0.0, math.inf)


@dataclass(frozen=True, slots=True)
class Objective:
    """At most a share `allowed` of the rows of `of` (a journey, an operation, or `ALL`) in a phase may be bad."""

    of: str
    kind: Kind
    allowed: float
    limit_s: float = math.inf
    phase: Phase = WHOLE

    @property
    def name(self) -> str:
        """The rule and, where it holds in a part of the time only, which part."""
        return self.rule if self.phase.name == WHOLE.name else f"{self.rule}, {self.phase.name} the fault"

    @property
    def rule(self) -> str:
        if self.kind is Kind.RESPONSE:
            return f"{self.of}: p{100 * (1 - self.allowed):g} within {self.limit_s:g} s"
        return f"{self.of}: at most {100 * self.allowed:g}% {self.kind.value}"


@dataclass(frozen=True, slots=True)
class Rows:
    """What came of one replication; arrays of one length, a row each."""

    names: list[str]
    of: np.ndarray  # int64, a place in `names`
    due_s: Floats
    taken_s: Floats  # from due to the end, good or bad; NaN where it was never reached
    end: np.ndarray  # End


@dataclass(frozen=True, slots=True)
class Counted:
    """One objective in one replication."""

    rows: int
    bad: int
    quantile_s: float  # of the response time; infinite where too many were never answered rightly


@dataclass(frozen=True, slots=True)
class Judged:
    """One objective over all replications: the share of bad rows and the quantile, with their intervals."""

    objective: Objective
    decision: Decision
    bad_share: Interval
    response_s: Interval

    @property
    def strain(self) -> float:
        """The share of bad rows over the share allowed: 1 at the limit, less when there is room."""
        share, allowed = self.bad_share["value"], self.objective.allowed
        return share / allowed if allowed else (math.inf if share else 0.0)


def count(objective: Objective, rows: Rows, from_s: float) -> Counted:
    """The rows of the objective's phase that are due from `from_s` on."""
    chosen = (rows.due_s >= max(from_s, objective.phase.from_s)) & (rows.due_s < objective.phase.to_s)
    if objective.of != ALL:
        chosen &= rows.of == (rows.names.index(objective.of) if objective.of in rows.names else -1)
    end = rows.end[chosen]
    response_s = np.where(end == End.OK, rows.taken_s[chosen], np.inf)
    if objective.kind is Kind.RESPONSE:
        bad = response_s > objective.limit_s
    elif objective.kind is Kind.REFUSED:
        bad = end == End.REFUSED
    else:
        bad = (end == End.ABANDONED) | (end == End.TIMED_OUT)
    return Counted(len(end), int(bad.sum()), quantile(response_s, 1 - objective.allowed))


def judge(objective: Objective, counted: list[Counted], confidence: float) -> Judged:
    """The objective held against the interval of its share of bad rows. No rows decide nothing."""
    share = _share(linearised(counted), counted, confidence)
    if math.isnan(share["low"]) or math.isnan(share["high"]):
        decision = Decision.UNDECIDED
    elif share["high"] <= objective.allowed:
        decision = Decision.MET
    else:
        decision = Decision.MISSED if share["low"] > objective.allowed else Decision.UNDECIDED
    return Judged(objective, decision, share, _of_quantiles([each.quantile_s for each in counted], confidence))


def linearised(counted: list[Counted]) -> list[float]:
    """A value for each replication whose mean is Σ bad / Σ rows and whose spread is that estimate's.

    A replication with more rows weighs more, as its clients do; the ratio's variance is that of the linearised
    values r + (bad - r · rows) / mean(rows) (Law, Simulation Modeling and Analysis, ratio estimators).
    """
    rows, bad = sum(each.rows for each in counted), sum(each.bad for each in counted)
    if not rows:
        return [math.nan] * len(counted)
    ratio, mean = bad / rows, rows / len(counted)
    return [ratio + (each.bad - ratio * each.rows) / mean for each in counted]


def _share(values: list[float], counted: list[Counted], confidence: float) -> Interval:
    found = interval(values, confidence)
    rows, bad = sum(each.rows for each in counted), sum(each.bad for each in counted)
    if not rows:
        return found
    # Where all rows are alike, replications do not differ and Student's interval has no width. Poisson's has: none
    # of n seen leaves -ln(alpha / 2) / n possible.
    unseen = -math.log((1 - confidence) / 2) / rows
    low, high = max(found["low"], 0.0), min(found["high"], 1.0)
    return {
        "value": found["value"],
        "low": low if bad < rows else min(low, 1 - unseen),
        "high": high if bad else max(high, unseen),
    }


def _of_quantiles(values: list[float], confidence: float) -> Interval:
    known = [value for value in values if not math.isnan(value)]
    if any(math.isinf(value) for value in known):
        return {"value": math.inf, "low": min(known), "high": math.inf}
    found = interval(known, confidence)
    return {**found, "low": max(found["low"], 0.0)}

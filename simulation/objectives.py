"""SLOs as the share of rows that may be bad, and what replications together say of that share.

A row is a journey or a request that somebody waits for. "p95 within 2 s" is the same as "at most 5 of 100 are not
answered rightly within 2 s"; as a share it has an interval also where a quantile is infinite, because too many rows
were never answered.
"""

import math
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from simulation.figures import Pooled
from simulation.log import End
from simulation.replications import interval

ALL = "all"
# Of more response times than these every so many-th stands for its neighbours, among the slowest (so many times as many
# as may be bad) and among the others.
_KEPT, _SLOWEST = 500, 4
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
    """A part of the time: rows whose journeys are due in [from_s, to_s)."""

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
    """One objective in one replication. Of an SLO on them `times_s` are response times, shortest first."""

    rows: int
    bad: int
    times_s: Floats  # infinite where a row was not answered rightly
    stand_for: Floats  # for how many rows each of them stands


@dataclass(frozen=True, slots=True)
class Judged:
    """One objective over all replications: the share of bad rows and the quantile, with their intervals.

    The quantile is infinite where too many rows were never answered rightly, and NaN where the SLO has none.
    """

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
    if objective.kind is not Kind.RESPONSE:
        ends = (End.REFUSED,) if objective.kind is Kind.REFUSED else (End.ABANDONED, End.TIMED_OUT)
        return Counted(len(end), int(np.isin(end, ends).sum()), np.empty(0), np.empty(0))
    response_s = np.where(end == End.OK, rows.taken_s[chosen], np.inf)
    bad = int((response_s > objective.limit_s).sum())
    return Counted(len(end), bad, *_thinned(np.sort(response_s), objective.allowed))


def _thinned(ordered: Floats, allowed: float) -> tuple[Floats, Floats]:
    """Some of the values, and for how many each stands: the median of so many neighbours."""
    edge = max(len(ordered) - math.ceil(_SLOWEST * allowed * len(ordered)), 0)
    kept, stand_for = [], []
    for part in (ordered[:edge], ordered[edge:]):
        step = max(math.ceil(len(part) / _KEPT), 1)
        kept.append(part[(step - 1) // 2 :: step])
        stand_for.append(np.full(len(kept[-1]), len(part) / max(len(kept[-1]), 1)))
    return np.concatenate(kept), np.concatenate(stand_for)


def judge(objective: Objective, counted: list[Counted], confidence: float) -> Judged:
    """The objective held against the interval of its share of bad rows. No rows decide nothing."""
    share = _share(linearised(counted), counted, confidence)
    if math.isnan(share["low"]) or math.isnan(share["high"]):
        decision = Decision.UNDECIDED
    elif share["high"] <= objective.allowed:
        decision = Decision.MET
    else:
        decision = Decision.MISSED if share["low"] > objective.allowed else Decision.UNDECIDED
    return Judged(objective, decision, share, _of_quantile(counted, objective.allowed, confidence))


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


def _of_quantile(counted: list[Counted], allowed: float, confidence: float) -> Interval:
    """The response time that a share `allowed` of all rows exceeds, with R. Woodruff's interval (JASA 47, 1952).

    Of all replications' rows together, since the quantile of a short run alone is too low in the mean. The ends are the
    quantiles at the ends of the interval of the share that exceeds the value.
    """
    if not any(len(each.times_s) for each in counted):
        return {"value": math.nan, "low": math.nan, "high": math.nan}
    pooled = Pooled([each.times_s for each in counted], [each.stand_for for each in counted])
    value = pooled.quantile(1 - allowed)
    above = [
        replace(each, bad=round(each.stand_for[(each.times_s > value) | np.isinf(each.times_s)].sum()))
        for each in counted
    ]
    share = _share(linearised(above), above, confidence)
    # Nothing exceeds an infinite value; then the interval is that of the share that has it, moved to what is allowed.
    excess = share["value"] - allowed if math.isinf(value) else 0.0
    return {
        "value": value,
        "low": min(_exceeded_by(pooled, share["high"] - excess), value),
        "high": max(_exceeded_by(pooled, share["low"] - excess), value),
    }


def _exceeded_by(pooled: Pooled, share: float) -> float:
    """The smallest time that no more than this share of all rows exceeds; NaN for a share of NaN."""
    return math.nan if math.isnan(share) else pooled.quantile(1 - share)

"""The verdict: does a replay prove anything, and did it meet every SLO? Pure functions of a plan and its rows.

Validity comes first: a generator that was late, arrivals dropped or lost, or too few steps make a run invalid, which
is neither pass nor fail. Response times count from due; a step without a right answer never meets an SLO.
"""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from caodiem import summary
from caodiem.dossier import Outcome
from caodiem.errors import ExitCode
from caodiem.plan import Plan
from caodiem.scenario import Objective, Scenario


class Result(StrEnum):
    """How a rule, a level or a run came out."""

    PASS = "pass"
    FAIL = "fail"
    INVALID = "invalid"

    @property
    def exit_code(self) -> ExitCode:
        return {Result.PASS: ExitCode.PASS, Result.FAIL: ExitCode.FAIL, Result.INVALID: ExitCode.INVALID}[self]


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that was asked. `found` and `limit` are in `unit`; an infinite `found` means never answered rightly."""

    name: str  # "slo", or the name of a validity rule
    operation: str
    quantile_percent: float | None
    limit: float
    found: float
    unit: str
    result: Result


@dataclass(frozen=True, slots=True)
class Verdict:
    """The rules of one level and what they come to."""

    level_percent: float
    rules: list[Rule]

    @property
    def result(self) -> Result:
        return worst([rule.result for rule in self.rules])


def worst(results: list[Result]) -> Result:
    """Invalid if any is invalid or there is none, else fail if any fails."""
    if not results or Result.INVALID in results:
        return Result.INVALID
    return Result.FAIL if Result.FAIL in results else Result.PASS


def judge(scenario: Scenario, plan: Plan, rows: pa.Table, reached_end: bool) -> Verdict:
    """The verdict on `rows`, the closed accounts of `plan`; `reached_end` says that the replay was not stopped."""
    settled = summary.last_attempts(rows)
    ended = _invalid_above("stopped", 0, int(not reached_end), "stops")
    rules = [ended, *_validity(scenario, plan, settled, rows), *(_objective(each, settled) for each in scenario.slo)]
    return Verdict(plan.meta.level_percent, rules)


def as_json(verdicts: list[Verdict]) -> dict[str, Any]:
    """verdict.json: the whole run's result, then each level's rules."""
    result = worst([verdict.result for verdict in verdicts])
    return {
        "result": result.value,
        "exit_code": int(result.exit_code),
        "levels": [
            {"percent": each.level_percent, "result": each.result.value, "rules": [asdict(rule) for rule in each.rules]}
            for each in verdicts
        ],
    }


def _validity(scenario: Scenario, plan: Plan, settled: pa.Table, rows: pa.Table) -> Iterator[Rule]:
    """The rules that a run must meet before its response times are looked at."""
    counted = summary.arrival_outcomes(rows)
    unaccounted = abs(plan.arrivals - sum(counted.values())) + abs(plan.steps - settled.num_rows)
    yield _invalid_above("unaccounted", 0, unaccounted, "steps")
    steps = summary.count_outcomes(settled)
    yield _invalid_above("dropped", 0, steps[Outcome.DROPPED], "steps")
    yield _invalid_above("lost", 0, steps[Outcome.LOST], "steps")
    least = scenario.validity.least_steps.value
    enough = Result.PASS if settled.num_rows >= least else Result.INVALID
    yield Rule("least_steps", "all", None, least, settled.num_rows, "steps", enough)
    lag = settled["released_s"].to_numpy() - settled["due_s"].to_numpy()
    found = summary.quantile(lag[~np.isnan(lag)], 0.99)
    limit = scenario.validity.generator_lag_p99.value
    # Not a number means that nothing was released at all.
    late = Result.PASS if found <= limit else Result.INVALID
    yield Rule("generator_lag", "all", 99.0, limit, found if not math.isnan(found) else math.inf, "seconds", late)


def _invalid_above(name: str, limit: float, found: float, unit: str) -> Rule:
    return Rule(name, "all", None, limit, found, unit, Result.PASS if found <= limit else Result.INVALID)


def _objective(objective: Objective, settled: pa.Table) -> Rule:
    """An SLO held against the steps of its operation.

    Fewer than 1 / (1 - q) steps prove nothing: their quantile would be the largest of them.
    """
    if objective.operation != "all":
        settled = settled.filter(pc.equal(settled["operation"].cast(pa.string()), objective.operation))
    share = objective.quantile.value / 100
    found = summary.quantile(summary.response_s(settled), share)
    limit = objective.response.value
    result = Result.PASS if found <= limit else Result.FAIL
    if settled.num_rows * (1 - share) < 1 - 1e-9:
        result = Result.INVALID
    found = math.inf if math.isnan(found) else found
    return Rule("slo", objective.operation, objective.quantile.value, limit, found, "seconds", result)

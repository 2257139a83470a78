"""The figures of a run that was reviewed, and whether another run is as good: response times from due and capacity.

Pure functions of a run's folder and a baseline's file under results/baselines/. Only like is held against like: another
scenario, other plans, another portal or generator, or another machine makes the comparison invalid.
"""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from caodiem import comparison, plan, run, summary
from caodiem.errors import InvalidRun, UsageError
from caodiem.part import Part
from caodiem.verdict import Result, worst

BASELINES = Path("results/baselines")
SCHEMA_VERSION = 1
QUANTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
# What a run may be worse by. They stand in the file, where a review sees them and may change them.
_TOLERATED = {"response_percent": 25.0, "capacity_percent": 10.0}
# Options that say where plans and SLOs come from and which part is replayed; the scale stays, for runs without plans.
_OF_PLANS = {"command", "file", "plan", "plans_from", "slo_from", "part"}
_OF_PLANS |= {each.name for each in fields(Part)} - {"scale"}
_STEPS_BEYOND = 10  # a quantile is kept when so many steps lie beyond it
_DOUBT = 2.576  # standard deviations: a quantile's bound is wrong once in two hundred times, on each side


@dataclass(frozen=True, slots=True)
class Rule:
    """One figure held against the baseline's; times in seconds, capacity as a factor of the scenario's arrivals."""

    level: str
    name: str
    figure: str
    baseline: float
    limit: float
    found: float
    result: Result


def take(folder: Path, before: Path | None = None) -> dict[str, Any]:
    """A baseline of a run; InvalidRun when it proves nothing or has not ended, UsageError when it has no figures.

    A run that missed an SLO makes a baseline too: what it is held against is for who reviews it to say. What a review
    said may be tolerated is kept from the file `before`, if there is one.
    """
    opened = run.open_run(folder)
    _check_valid(opened)
    manifest = run.read_json(opened.manifest)
    sure = {name: factor for name, factor in _capacities(opened).items() if _said(factor)}
    figures = {"response_s": _responses(opened), "capacity_factor": sure}
    if not any(figures.values()):
        raise UsageError(f"{folder}: neither replayed nor sized; expected a run of `caodiem replay`, `run` or `size`")
    return {
        "schema_version": SCHEMA_VERSION,
        "tolerated": _read(before)["tolerated"] if before and before.is_file() else dict(_TOLERATED),
        **{key: manifest.get(key) for key in ("scenario", "commit", "started_at")},
        **_alike(opened, manifest),
        **figures,
    }


def hold(folder: Path, file: Path) -> list[Rule]:
    """Every figure of the baseline in `file`, held against the run's; InvalidRun when they are not alike."""
    known, opened = _read(file), run.open_run(folder)
    _check_valid(opened)
    for key, value in _alike(opened, run.read_json(opened.manifest)).items():
        if known.get(key) != value:
            raise InvalidRun(f"{folder}: {key}: {value}; expected {known.get(key)}, as in {file}")
    tolerated = known["tolerated"]
    rules = _hold_capacity(opened, known["capacity_factor"], tolerated["capacity_percent"])
    return [*_hold_responses(opened, known["response_s"], tolerated["response_percent"]), *rules]


def _read(file: Path) -> dict[str, Any]:
    known = run.read_json(file)
    if not isinstance(known, dict) or known.get("schema_version") != SCHEMA_VERSION:
        raise UsageError(f"{file}: schema_version: expected {SCHEMA_VERSION}, as `caodiem baseline` writes it")
    return known


def result(rules: list[Rule]) -> Result:
    return worst([rule.result for rule in rules])


def _check_valid(opened: run.Run) -> None:
    if opened.verdict.is_file() and run.read_json(opened.verdict)["result"] == Result.INVALID.value:
        raise InvalidRun(f"{opened.folder}: its verdict is invalid; expected a run that proves something")
    if (state := run.read_json(opened.manifest)["state"]) != "finished":
        raise InvalidRun(f"{opened.folder}: it is {state}; expected a run that was finished")


def _alike(opened: run.Run, manifest: dict[str, Any]) -> dict[str, Any]:
    """What two runs must share to be compared. Which plans were replayed, their hashes say, whoever drew them when."""
    options = {key: value for key, value in manifest["options"].items() if key not in _OF_PLANS}
    if generator := options.get("generator"):
        # Another machine may keep the same authorities in another place.
        options["generator"] = {key: value for key, value in generator.items() if key != "ca"}
    plans = {level.folder.name: plan.read_meta(level.plan).plan_hash for level in opened.levels if level.plan.is_file()}
    told = {"scenario_hash": manifest.get("scenario_hash"), "options": options, "plans": plans}
    return {**told, "machine": manifest.get("machine")}


def _replayed(opened: run.Run) -> dict[str, dict[str, comparison.Floats]]:
    """Response times from due in seconds, by level and operation."""
    executions = {level.folder.name: level.executed("replayed") for level in opened.levels}
    return {name: comparison.response_s(each) for name, each in executions.items() if each.observations.is_file()}


def _responses(opened: run.Run) -> dict[str, dict[str, dict[str, float]]]:
    """The quantiles that have enough steps beyond them and were answered."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for level, by_operation in _replayed(opened).items():
        found[level] = {}
        for operation, times_s in by_operation.items():
            kept = {
                name: summary.quantile(times_s, share)
                for name, share in QUANTILES.items()
                if len(times_s) * (1 - share) >= _STEPS_BEYOND
            }
            if kept := {name: value for name, value in kept.items() if value < np.inf}:
                found[level][operation] = kept
    return found


def _hold_responses(opened: run.Run, known: dict[str, Any], tolerated_percent: float) -> list[Rule]:
    rules, ours = [], _replayed(opened)
    for level, operations in known.items():
        for operation, quantiles in operations.items():
            times_s = ours.get(level, {}).get(operation, np.array([]))
            for name, value in quantiles.items():
                limit = value * (1 + tolerated_percent / 100)
                found = summary.quantile(times_s, QUANTILES[name])
                result = _judge(times_s, QUANTILES[name], limit)
                rules.append(Rule(level, operation, name, value, limit, found, result))
    return rules


def _judge(times_s: comparison.Floats, share: float, limit_s: float) -> Result:
    """Pass where the quantile meets the limit; fail where even its lower bound does not; else nothing is shown.

    The bound is an order statistic: the number of times below a quantile is binomial (David and Nagaraja, Order
    Statistics, 3rd ed., section 7.1), here by its normal approximation.
    """
    count = len(times_s)
    if count * (1 - share) < _STEPS_BEYOND / 2:
        return Result.INVALID
    if summary.quantile(times_s, share) <= limit_s:
        return Result.PASS
    rank = count * share - _DOUBT * np.sqrt(count * share * (1 - share))
    is_proven = rank >= 1 and np.sort(times_s)[int(rank) - 1] > limit_s
    return Result.FAIL if is_proven else Result.INVALID


def _capacities(opened: run.Run) -> dict[str, dict[str, float | None]]:
    """By case: how many times today's arrivals meet every SLO, surely up to `low` and surely not from `high` on.

    Beyond the last rate tried `value` and `high` are None.
    """
    path = opened.folder / "capacity.json"
    cases = run.read_json(path)["cases"] if path.is_file() else []
    return {case["case"]: case["capacity"]["factor"] for case in cases}


def _said(factor: dict[str, float | None]) -> float:
    """One number for a capacity: beyond the last rate tried, what is sure."""
    return factor["value"] or factor["low"] or 0.0


def _hold_capacity(opened: run.Run, known: dict[str, Any], tolerated_percent: float) -> list[Rule]:
    rules, ours = [], _capacities(opened)
    for name, factor in known.items():
        limit = _said(factor) * (1 - tolerated_percent / 100)
        found = ours.get(name)
        result = Result.INVALID if found is None else _judge_capacity(found, limit)
        said = np.nan if found is None else _said(found)
        rules.append(Rule(name, "capacity", "factor", _said(factor), limit, said, result))
    return rules


def _judge_capacity(factor: dict[str, float | None], limit: float) -> Result:
    """Pass where the capacity meets the limit; fail where even its upper bound does not; else nothing is shown."""
    if _said(factor) >= limit:
        return Result.PASS
    high = factor["high"]
    return Result.FAIL if high is not None and high < limit else Result.INVALID

"""What a run's folder holds, as far as the run got. Reads everything once; what is missing or damaged is listed.

Everything but the manifest is optional here: a report of a run that broke off must still be made.
"""

from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from caodiem import observations, plan
from caodiem.errors import UsageError
from caodiem.part import Part, of_options
from caodiem.run import Execution, Level, Run, read_json

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Executed:
    """The closed accounts of one execution, and what the executor said of itself."""

    rows: pa.Table
    info: Json


@dataclass(frozen=True, slots=True)
class LevelMaterial:
    """One adoption level; None for what it lacks."""

    percent: float
    traffic: Json | None
    sync: Json | None
    indicators: Json | None
    hours: Json | None
    plan: plan.Plan | None
    simulated: Executed | None
    replayed: Executed | None
    verdict: Json | None

    @property
    def executed(self) -> Executed | None:
        """What was measured, or for want of it what was predicted."""
        return self.replayed or self.simulated


@dataclass(frozen=True, slots=True)
class Missing:
    """A key of words.toml that says what is missing, with its values, and what a program `said` of it in English."""

    key: str
    values: dict[str, Any] = field(default_factory=dict)
    said: str = ""


@dataclass(frozen=True, slots=True)
class Material:
    """Everything that a report is made of."""

    run: Run
    manifest: Json
    scenario: Json | None
    projection: Json | None
    verdict: Json | None
    levels: list[LevelMaterial]
    missing: list[Missing]

    @property
    def stands_alone(self) -> bool:
        """Whether the plan was given, such as one from an access log: it comes from no scenario's country."""
        return stands_alone(self.manifest)

    @property
    def inputs(self) -> list[Json]:
        return list((self.scenario or {}).get("inputs", []))

    @property
    def assumed(self) -> int:
        """How many inputs rest on assumptions alone."""
        return sum(each["evidence"] == "assumed" for each in self.inputs)

    @property
    def scale(self) -> float | None:
        """The share of the country that was sampled, 0 to 1."""
        scales = [level.traffic["scale"] for level in self.levels if level.traffic]
        asked = self.manifest.get("options", {}).get("scale")
        return float(scales[0]) if scales else (None if asked is None else float(asked))

    @property
    def part(self) -> Part | None:
        """What of the country's traffic, or of a plan that stands alone, was replayed; None where nothing says it."""
        options = self.manifest.get("options", {})
        return of_options(options) if "scale" in options else None


def gather(run: Run) -> Material:
    """Read the run; UsageError only when it has no manifest."""
    manifest = read_json(run.manifest)
    missing: list[Missing] = []
    if manifest.get("state") in ("interrupted", "failed"):
        missing.append(Missing(f"missing_state_{manifest['state']}"))
    scenario = _json(run.scenario, Missing("missing_scenario"), missing)
    alone = stands_alone(manifest)
    projection = None if alone else _json(run.projection, Missing("missing_projection"), missing)
    verdict = _json(run.verdict, Missing("missing_verdict"), missing)
    judged = {each["percent"]: each for each in (verdict or {}).get("levels", [])}
    levels = [_level(level, judged.get(level.percent), missing, alone) for level in run.levels]
    found = {level.percent for level in levels}
    asked = [] if alone else (scenario or {}).get("levels", [])
    missing += [_of("missing_level", each) for each in asked if each not in found]
    if not levels:
        missing.append(Missing("missing_levels"))
    return Material(run, manifest, scenario, projection, verdict, levels, missing)


def stands_alone(manifest: Json) -> bool:
    return "plan" in manifest.get("options", {})


def _level(level: Level, verdict: Json | None, missing: list[Missing], alone: bool) -> LevelMaterial:
    percent = level.percent
    traffic = None if alone else _json(level.traffic, _of("missing_traffic", percent), missing)
    sync, indicators, hours = (_optional(path, missing) for path in (level.sync, level.indicators, level.hours))
    drawn = _plan(level, missing)
    simulated = _executed(level.executed("simulated"), _of("missing_simulated", percent), missing)
    replayed = _executed(level.executed("replayed"), _of("missing_replayed", percent), missing)
    reason = replayed.info.get("stopped_because") if replayed else None
    if reason:
        missing.append(Missing("missing_stopped", {"percent": percent}, str(reason)))
    return LevelMaterial(percent, traffic, sync, indicators, hours, drawn, simulated, replayed, verdict)


def _of(key: str, percent: float) -> Missing:
    return Missing(key, {"percent": percent})


def _json(path: Any, absent: Missing, missing: list[Missing]) -> Json | None:
    if not path.is_file():
        missing.append(absent)
        return None
    try:
        found: Json = read_json(path)
    except UsageError as error:
        missing.append(Missing("missing_unreadable", said=str(error)))
        return None
    return found


def _optional(path: Any, missing: list[Missing]) -> Json | None:
    """What not every run writes: its absence is no gap."""
    return _json(path, Missing("missing_unreadable", said=str(path)), missing) if path.is_file() else None


def _plan(level: Level, missing: list[Missing]) -> plan.Plan | None:
    if not level.plan.is_file():
        missing.append(_of("missing_plan", level.percent))
        return None
    try:
        return plan.read(level.plan)
    except UsageError as error:
        missing.append(Missing("missing_unreadable", said=str(error)))
        return None


def _executed(execution: Execution, absent: Missing, missing: list[Missing]) -> Executed | None:
    if not execution.observations.is_file():
        missing.append(absent)
        return None
    try:
        rows = observations.read(execution.observations)
    except UsageError as error:
        missing.append(Missing("missing_unreadable", said=str(error)))
        return None
    info = _json(execution.info, absent, []) if execution.info.is_file() else None
    return Executed(rows, info or {})

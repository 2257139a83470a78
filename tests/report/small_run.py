"""A run's folder made by hand, small and known in every figure, for the tests of the report."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from caodiem import observations, plan
from caodiem.dossier import OPERATIONS, Outcome
from caodiem.run import Run, write_json

LENGTH_S = 20.0
PER_S = 4
STEPS = ("sign_in", "file_dossier")
SERVICE_S = 0.05
URL = "https://vbpl.vn/van-ban"
# What a step came to: (started_s, finished_s, outcome) from its due time.
Serve = Callable[[int, float], tuple[float, float, Outcome]]


def at_once(arrival: int, due_s: float) -> tuple[float, float, Outcome]:
    """Each step is taken up when due and answered rightly."""
    return due_s, due_s + SERVICE_S, Outcome.OK


def never(arrival: int, due_s: float) -> tuple[float, float, Outcome]:
    """Each step ends in an error."""
    return due_s, due_s + SERVICE_S, Outcome.FAILED


def paused(from_s: float, to_s: float) -> Serve:
    """Nothing is taken up in [from_s, to_s); what fell due in it waits, and is then served as fast as ever."""

    def serve(arrival: int, due_s: float) -> tuple[float, float, Outcome]:
        begun_s = to_s if from_s - SERVICE_S <= due_s < to_s else due_s
        return begun_s, begun_s + SERVICE_S, Outcome.OK

    return serve


def make_run(folder: Path, state: str = "finished") -> Run:
    """A run with its manifest, inputs and projection; levels are added to it."""
    run = Run(folder / "20260504T020000Z_small_abcdef0")
    write_json(
        run.manifest,
        {
            "schema_version": 1,
            "state": state,
            "scenario": "small",
            "scenario_hash": "abcdef0" + "0" * 57,
            "options": {"scale": 0.25, "seed": 7},
            "started_at": "2026-05-04T02:00:00+00:00",
            "ended_at": "2026-05-04T02:01:00+00:00",
            "commit": "c" * 40,
            "dirty": False,
            "versions": {"python": "3.11.7", "caodiem": "0.1.0"},
            "machine": {"system": "Linux", "processor": "x86_64", "cores": 2},
        },
    )
    write_json(run.scenario, _scenario())
    write_json(run.projection, _projection())
    return run


def add_level(
    run: Run, percent: float, simulated: Serve | None = at_once, replayed: Serve | None = at_once, info: Any = None
) -> None:
    """One level's folder: 4 arrivals a second for 20 s, two steps each, 1 s apart."""
    level = run.level(percent)
    level.folder.mkdir(parents=True)
    planned = _plan(percent)
    plan.write(planned, level.plan)
    write_json(level.traffic, _traffic(percent))
    for how, serve in (("simulated", simulated), ("replayed", replayed)):
        if serve is not None:
            execution = level.executed(how)
            execution.folder.mkdir()
            observations.write(observations.close_accounts(planned, _rows(planned, serve)), execution.observations)
    if info is not None:
        write_json(level.executed("replayed").info, info)


def add_hours(run: Run, percent: float) -> None:
    """hours.json of a level that does not recover from an hour's outage."""

    def every_phase(value: float) -> dict[str, Any]:
        return {phase: _interval(value) for phase in ("before", "during", "after", "last")}

    rates = {name: _interval([10.0] * 4) for name in ("requests_per_s", "attempts_per_s", "goodput_per_s", "backlog")}
    counts = ("requests_lost", "normal_backlog", "peak_backlog", "backlog_at_horizon")
    faults = {
        "from_s": 3600.0,
        "to_s": 7200.0,
        "statement": "It does not recover by itself",
        "recovered_in": 0,
        "recovers": "no",
        "series": {"from_s": [0.0, 3600.0, 7200.0, 10800.0], "bin_s": 3600.0, **rates},
        "drain_s": {"value": None, "low": None, "high": None},
        **{name: every_phase(0.5) for name in ("good_share", "goodput_per_s", "amplification")},
        **{name: _interval(7.0) for name in counts},
    }
    slo = {"of": "file_dossier", "kind": "response", "allowed": 0.05, "limit_s": 2.0}
    judged = {phase: {"result": "missed", "bad_share": _interval(0.255)} for phase in ("before", "during", "after")}
    head = {"starts_at": "2026-05-04T08:00:00", "horizon_s": 14400.0, "replications": 5, "confidence": 0.95}
    write_json(run.level(percent).hours, {**head, "slo": {"p95 within 2 s": {**slo, **judged}}, "faults": faults})


def _interval(value: Any) -> dict[str, Any]:
    if isinstance(value, list):
        return {"value": value, "low": value, "high": value}
    return {"value": value, "low": value - 0.015, "high": value + 0.015}


def add_verdict(run: Run, results: dict[float, list[str]], result: str) -> None:
    """`results` has, for each level, the results of its two SLOs; the validity rules are met."""
    write_json(
        run.verdict,
        {"result": result, "exit_code": 0, "levels": [_judged(percent, slos) for percent, slos in results.items()]},
    )


def make_whole(folder: Path) -> Run:
    """A run that has everything and met every objective."""
    run = make_run(folder)
    for percent in (43.0, 85.0):
        add_level(run, percent, info={"target": "http://127.0.0.1:8080", "pool": 20, "workers": 1, "wall_s": 21.5})
    add_verdict(run, {43.0: ["pass", "pass"], 85.0: ["pass", "pass"]}, "pass")
    return run


def _judged(percent: float, slos: list[str]) -> dict[str, Any]:
    def rule(name: str, limit: float, found: float | None, unit: str, result: str, **more: Any) -> dict[str, Any]:
        return {"name": name, "operation": "all", "quantile_percent": None, "limit": limit, "found": found,
                "unit": unit, "result": result, **more}  # fmt: skip

    judged = ["invalid" if "invalid" in slos else "fail" if "fail" in slos else "pass"]
    found = {"pass": 0.05, "fail": None, "invalid": None}
    return {
        "percent": percent,
        "result": judged[0],
        "rules": [
            rule("dropped", 0, 0, "steps", "pass"),
            rule("least_steps", 100, 160, "steps", "pass"),
            rule("generator_lag", 0.1, 0.001, "seconds", "pass", quantile_percent=99.0),
            *(rule("slo", 1.0, found[slo], "seconds", slo, quantile_percent=95.0) for slo in slos),
        ],
    }


def _plan(percent: float) -> plan.Plan:
    rows = [
        {"arrival": arrival, "step": step, "journey": "citizen_files", "operation": operation, "agency": "H01",
         "system": OPERATIONS[operation].system, "dossier": 202605040000000 + arrival, "items": 1,
         "due_s": arrival / PER_S, "think_s": float(step)}
        for arrival in range(int(LENGTH_S * PER_S))
        for step, operation in enumerate(STEPS)
    ]  # fmt: skip
    meta = plan.PlanMeta("abcdef0" + "0" * 57, 7, "2026-05-04T09:10:00", LENGTH_S, 0.25, percent)
    return plan.make(pa.Table.from_pylist(rows, schema=plan.SCHEMA), meta)


def _rows(planned: plan.Plan, serve: Serve) -> pa.Table:
    """A journey goes on a second after its first step was answered rightly."""
    made = []
    for first, second in zip(*(_steps(planned, step) for step in (0, 1)), strict=True):
        due_s = first["due_s"]
        for step in (first, second):
            started_s, finished_s, outcome = serve(step["arrival"], due_s)
            keys = tuple(step[name] for name in observations.SCHEMA.names[:8])
            made.append((*keys, due_s, due_s, started_s, finished_s, outcome.value, 200, 1, "w0"))
            if outcome is not Outcome.OK:
                break
            due_s = finished_s + 1.0
    return observations.table_of(made)


def _steps(planned: plan.Plan, step: int) -> list[dict[str, Any]]:
    rows = [row for row in planned.table.to_pylist() if row["step"] == step]
    return sorted(rows, key=lambda row: int(row["arrival"]))


def _traffic(percent: float) -> dict[str, Any]:
    hours = [1.0] * 9 + [percent] + [2.0] * 14
    return {
        "level_percent": percent,
        "scale": 0.25,
        "busiest_day": "2026-05-04",
        "bin_s": 3600.0,
        "requests_per_s": {"identity": hours, "national_portal": [2 * value for value in hours]},
        "busiest_hour": {
            "starts_at": "2026-05-04T09:00:00",
            "requests_per_s_mean": 3 * percent,
            "requests_per_s_highest_bin": 3 * percent,
            "dossiers_filed": 30000.0,
            "dossiers_filed_online": 200 * percent,
        },
        "plan": {"starts_at": "2026-05-04T09:10:00", "length_s": LENGTH_S},
    }


def _projection() -> dict[str, Any]:
    days = [f"{year}-{month:02d}-01" for year in (2024, 2025, 2026) for month in range(1, 13)]
    shares = [25 + 60 * place / 35 for place in range(36)]
    points = [
        ("ministries", "2024-01-01", 25.0, "seed", "seen"),
        ("localities", "2025-01-01", 45.0, "seed", "a-target-b"),
        ("ministries", "2026-12-01", 85.0, "assumed", "chosen"),
        ("localities", "2024-01-01", 25.0, "derived", "sum"),
    ]
    return {
        "path": {"on": days, **{f"{name}_percent": shares for name in ("ministries", "localities", "national")}},
        "points": [
            dict(zip(("group", "on", "share_percent", "evidence", "source"), point, strict=True)) for point in points
        ],
        "dossiers_per_day": {
            "week_from": days,
            **{f"{group}_{channel}": [22000.0] * 36 for group in ("ministries", "localities")
               for channel in ("online", "counter")},
        },
        "levels": [
            {"percent": 43.0, "reached_on": "2024-11-01", "agencies": []},
            {"percent": 85.0, "reached_on": "2026-12-01", "agencies": []},
        ],
    }  # fmt: skip


def _scenario() -> dict[str, Any]:
    def row(key: str, unit: str, value: Any, evidence: str, reference: str, **more: Any) -> dict[str, Any]:
        source = f"{evidence}-source"
        return {"key": key, "unit": unit, "value": value, "evidence": evidence, "source": source, "name": "A name",
                "reference": reference, "note": "", **more}  # fmt: skip

    return {
        "title": "From 43% to 85% online",
        "title_vi": "Từ 43% lên 85% hồ sơ trực tuyến",
        "question": "What will the busiest hour ask of the portals?",
        "question_vi": "Giờ cao điểm sẽ đòi hỏi gì ở các cổng dịch vụ công?",
        "seed": 7,
        "levels": [43.0, 85.0],
        "slo": [],
        "inputs": [
            row("demand.volume", "dossiers/day", 88000.5, "derived", f"{URL} (2025)", low=86300.0, high=122222.0),
            row("demand.week_online", "weight", [1.35, 1.0, 1.0, 1.0, 1.0, 0.5, 0.0], "assumed", "Chosen"),
            row("casework.fee", "percent", 40.0, "assumed", "Chosen", low=10.0),
            row("slo[0].response", "seconds", 1.0, "published", "dqhuy/AXDD: a file", high=2.0),
            row("a_new.key", "a new unit", 3.0, "measured", "By us"),
        ],
        "resolved": {"slo": [{"operation": "file_dossier"}]},
    }
